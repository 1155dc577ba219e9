import type { BiosConfig } from "../config.ts";
import { IO_APIC_ID } from "./acpi.ts";
import { ByteWriter, fixChecksum } from "./bytes.ts";
import { PIRQ_GSI } from "./links.ts";

const SLOTS = 32;
const BUS_PCI = 0;
const BUS_ISA = 1;
const ISA_ALONE = 0;
const LEVEL_HIGH = 0x0d;
const LEVEL_LOW = 0x0f;
const INT = 0;
const NMI = 1;
const EXTINT = 3;
/** Family 6; FPU, TSC, MSRs and APIC on chip. */
const CPU_SIGNATURE = 0x600;
const CPU_FEATURES = 0x231;

/**
 * MP configuration table, virtual wire mode (no IMCR). PCI interrupts have inputs of their own on the I/O APIC, as the ACPI tables say.
 * Source: Intel MultiProcessor Specification 1.4.
 */
export function mpConfig(config: BiosConfig): Uint8Array {
  const isa = config.pci ? BUS_ISA : ISA_ALONE;
  let entries = 0;
  const w = new ByteWriter();
  const entry = (): ByteWriter => {
    entries++;
    return w;
  };
  for (let n = 0; n < config.cpus; n++)
    entry()
      .u8(0, n, 0x14, n === 0 ? 3 : 1)
      .u32(CPU_SIGNATURE, CPU_FEATURES, 0, 0);
  if (config.pci) entry().u8(1, BUS_PCI).text("PCI   ");
  entry().u8(1, isa).text("ISA   ");
  entry().u8(2, IO_APIC_ID, 0x11, 1).u32(0xfec00000);
  if (config.pci) {
    for (let slot = 1; slot < SLOTS; slot++) {
      for (let pin = 0; pin < 4; pin++) {
        entry()
          .u8(3, INT)
          .u16(LEVEL_LOW)
          .u8(BUS_PCI, (slot << 2) | pin, IO_APIC_ID, PIRQ_GSI + ((slot + pin + 3) & 3));
      }
    }
  }
  for (let irq = 0; irq < 16; irq++) {
    if (irq === 2) continue;
    entry()
      .u8(3, INT)
      .u16(irq === config.sciIrq && config.acpi ? LEVEL_HIGH : 0)
      .u8(isa, irq, IO_APIC_ID, irq === 0 ? 2 : irq);
  }
  entry().u8(4, EXTINT).u16(0).u8(isa, 0, 0xff, 0);
  entry().u8(4, NMI).u16(0).u8(isa, 0, 0xff, 1);
  const body = w.done();
  const header = new ByteWriter()
    .text("PCMP")
    .u16(44 + body.length)
    .u8(4, 0)
    .text("WHYVE   ")
    .text("VIRTUAL PC  ");
  header.u32(0).u16(0, entries).u32(0xfee00000).u16(0).u8(0, 0).bytes(body);
  return fixChecksum(header.done(), 7);
}

/** `_MP_`: points to the configuration table. */
export function mpPointer(configAt: number): Uint8Array {
  return fixChecksum(new ByteWriter().text("_MP_").u32(configAt).u8(1, 4, 0, 0, 0, 0, 0, 0).done(), 10);
}
