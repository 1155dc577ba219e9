import type { BiosConfig } from "../config.ts";
import { ByteWriter, fixChecksum } from "./bytes.ts";
import { dsdtBody } from "./dsdt.ts";

/** A table and where it goes. */
export interface PlacedTable {
  readonly address: number;
  readonly bytes: Uint8Array;
}

const OEM = "WHYVE ";
const OEM_TABLE = "WHYVEPC ";
const CREATOR = "WHYV";
const HEADER_BYTES = 36;
/** The I/O APIC's id; with xAPICs it may be that of a processor. */
export const IO_APIC_ID = 0;
const CHECKSUM_AT = 9;
/** Generic addresses. */
const SPACE_IO = 1;
const SPACE_MEMORY = 0;

function table(signature: string, revision: number, body: (w: ByteWriter) => void): Uint8Array {
  const w = new ByteWriter().text(signature).u32(0).u8(revision, 0).text(OEM).text(OEM_TABLE).u32(1).text(CREATOR).u32(1);
  body(w);
  const bytes = w.done();
  new DataView(bytes.buffer).setUint32(4, bytes.length, true);
  return fixChecksum(bytes, CHECKSUM_AT);
}

function gas(w: ByteWriter, space: number, bits: number, address: number): void {
  w.u8(space, bits, 0, address === 0 ? 0 : bits === 8 ? 1 : bits === 16 ? 2 : 3).u64(address);
}

function facs(): Uint8Array {
  return new ByteWriter().text("FACS").u32(64).u32(0, 0, 0, 0).u64(0).u8(2).pad(64).done();
}

/** Bits of the fixed feature flags: WBINVD, C1, no sleep button, 32-bit PM timer, reset register. Buttons and RTC are fixed hardware. */
const FADT_FLAGS = (1 << 0) | (1 << 2) | (1 << 5) | (1 << 8) | (1 << 10);

/** FADT revision 5 (ACPI 5.0, table 5-34). */
function fadt(config: BiosConfig, facsAt: number, dsdtAt: number): Uint8Array {
  const pm = config.pmBase;
  const smi = config.smiCommandPort;
  return table("FACP", 5, (w) => {
    w.u32(facsAt, dsdtAt);
    w.u8(0, 1) // desktop
      .u16(config.sciIrq)
      .u32(smi)
      .u8(smi === 0 ? 0 : config.acpiEnable, smi === 0 ? 0 : config.acpiDisable, 0, 0);
    w.u32(pm, 0, pm + 4, 0, 0, pm + 8, pm + 0x0c, 0);
    w.u8(4, 2, 0, 4, 4, 0, 0, 0);
    w.u16(0x0fff, 0x0fff, 0, 0).u8(0, 0); // no C2, C3
    w.u8(0, 0, 0x32).u16(0x03).u8(0); // century register; legacy devices and 8042
    w.u32(FADT_FLAGS);
    gas(w, SPACE_IO, 8, config.resetPort);
    w.u8(config.resetValue, 0, 0, 0);
    // Xen wants the 64-bit address of the FACS to be the 32-bit one, Linux takes either.
    w.u64(facsAt).u64(dsdtAt);
    gas(w, SPACE_IO, 32, pm);
    gas(w, SPACE_IO, 0, 0);
    gas(w, SPACE_IO, 16, pm + 4);
    gas(w, SPACE_IO, 0, 0);
    gas(w, SPACE_IO, 0, 0);
    gas(w, SPACE_IO, 32, pm + 8);
    gas(w, SPACE_IO, 32, pm + 0x0c);
    gas(w, SPACE_IO, 0, 0);
    gas(w, SPACE_IO, 0, 0); // sleep control and status: of machines without this hardware
    gas(w, SPACE_IO, 0, 0);
  });
}

/** Multiple APIC description: processors, the I/O APIC, IRQ0 on its pin 2, the level-triggered SCI, NMI on LINT1. PCI is in the _PRT. */
function madt(config: BiosConfig): Uint8Array {
  return table("APIC", 3, (w) => {
    w.u32(0xfee00000, 1);
    for (let n = 0; n < config.cpus; n++) w.u8(0, 8, n, n).u32(1);
    w.u8(1, 12, IO_APIC_ID, 0).u32(0xfec00000, 0);
    w.u8(2, 10, 0, 0).u32(2).u16(0);
    w.u8(2, 10, 0, config.sciIrq).u32(config.sciIrq).u16(0x000d);
    w.u8(4, 6, 0xff).u16(0).u8(1);
  });
}

function hpet(): Uint8Array {
  return table("HPET", 1, (w) => {
    w.u32(0x8086a201);
    gas(w, SPACE_MEMORY, 64, 0xfed00000);
    w.u8(0).u16(0x0080).u8(0);
  });
}

/** All ACPI tables from `base` (64-byte aligned) up, and the root pointer for the ROM. */
export function acpiTables(config: BiosConfig, base: number): { readonly tables: readonly PlacedTable[]; readonly rsdp: Uint8Array } {
  const tables: PlacedTable[] = [];
  let next = base;
  const place = (bytes: Uint8Array, align = 16): number => {
    const address = Math.ceil(next / align) * align;
    tables.push({ address, bytes });
    next = address + bytes.length;
    return address;
  };
  const facsAt = place(facs(), 64);
  const dsdtAt = place(table("DSDT", 2, (w) => w.bytes(dsdtBody(config))));
  const list = [place(fadt(config, facsAt, dsdtAt))];
  if (config.apic) list.push(place(madt(config)));
  if (config.hpet) list.push(place(hpet()));
  const rsdtAt = place(table("RSDT", 1, (w) => w.u32(...list)));
  const xsdtAt = place(
    table("XSDT", 1, (w) => {
      for (const address of list) w.u64(address);
    }),
  );
  const rsdp = new ByteWriter().text("RSD PTR ").u8(0).text(OEM).u8(2).u32(rsdtAt).u32(HEADER_BYTES).u64(xsdtAt).u8(0, 0, 0, 0).done();
  fixChecksum(rsdp, 8, 0, 20);
  fixChecksum(rsdp, 32);
  return { tables, rsdp };
}
