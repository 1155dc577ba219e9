import type { PhysicalMemory } from "../../vmm/index.ts";
import type { BiosConfig } from "../config.ts";
import { acpiAreaStart } from "../memory-map.ts";
import type { RomImage } from "../rom/image.ts";
import { acpiTables } from "./acpi.ts";
import type { PlacedTable } from "./acpi.ts";
import { ByteWriter, fixChecksum } from "./bytes.ts";
import { mpConfig, mpPointer } from "./mp.ts";
import { pirTable } from "./pir.ts";
import { smbiosEntry, smbiosStructures } from "./smbios.ts";

/** Offsets in the F000 segment; the pointers are on 16-byte steps, where operating systems look. */
const AT = { BIOS32: 0x8000, RSDP: 0x8010, SMBIOS: 0x8040, MP: 0x8060, PIR: 0x8080, MP_CONFIG: 0x8400, SMBIOS_STRUCTURES: 0x9000 } as const;
const SEGMENT_BASE = 0xf0000;

/** Puts the tables that operating systems search for into the ROM image; ACPI's own go to RAM and are returned. */
export function placeTables(rom: RomImage, config: BiosConfig, date: string): readonly PlacedTable[] {
  if (config.pci) {
    const entry = new ByteWriter()
      .text("_32_")
      .u32(SEGMENT_BASE + rom.address("bios32"))
      .u8(0, 1, 0, 0, 0, 0, 0, 0)
      .done();
    rom.place(AT.BIOS32, fixChecksum(entry, 10));
    rom.place(AT.PIR, pirTable(config));
  }
  const smbios = smbiosStructures(config, date);
  rom.place(AT.SMBIOS_STRUCTURES, smbios.bytes);
  rom.place(AT.SMBIOS, smbiosEntry(SEGMENT_BASE + AT.SMBIOS_STRUCTURES, smbios.bytes.length, smbios.count, smbios.longest));
  if (config.apic) {
    rom.place(AT.MP_CONFIG, mpConfig(config));
    rom.place(AT.MP, mpPointer(SEGMENT_BASE + AT.MP_CONFIG));
  }
  const area = acpiAreaStart(config);
  if (area === undefined) return [];
  const { tables, rsdp } = acpiTables(config, area);
  rom.place(AT.RSDP, rsdp);
  return tables;
}

/** Firmware waking vector of the FACS (ACPI 5.0, table 5-39): a physical address below 1 MiB, 0 for none. */
const WAKING_VECTOR = 12;
export function wakingVector(memory: PhysicalMemory, tables: readonly PlacedTable[]): number {
  const facs = tables.find(({ bytes }) => String.fromCharCode(...bytes.subarray(0, 4)) === "FACS");
  const vector = facs === undefined ? 0 : memory.read32(facs.address + WAKING_VECTOR);
  return vector <= 0xfffff ? vector : 0;
}

export function writeTables(memory: PhysicalMemory, tables: readonly PlacedTable[]): void {
  for (const { address, bytes } of tables) memory.write(address, bytes);
}
