import type { BiosConfig } from "../config.ts";
import * as aml from "./aml.ts";
import type { Aml } from "./aml.ts";

const SLOTS = 32;
const COM_IRQ = [4, 3, 4, 3] as const;

function isaDevice(name: string, id: string, uid: number, ...crs: readonly Aml[]): number[] {
  return aml.device(
    name,
    aml.defName("_HID", aml.eisaId(id)),
    aml.defName("_UID", aml.integer(uid)),
    aml.defName("_STA", aml.integer(0x0f)),
    aml.defName("_CRS", aml.resources(...crs)),
  );
}

function isaDevices(config: BiosConfig): number[][] {
  const out: number[][] = [
    isaDevice("PIC", "PNP0000", 0, aml.io(0x20, 2), aml.io(0xa0, 2), aml.io(0x4d0, 2), aml.irq(2)),
    isaDevice("TMR", "PNP0100", 0, aml.io(0x40, 4), aml.irq(0)),
    isaDevice("DMAC", "PNP0200", 0, aml.io(0x00, 16), aml.io(0x81, 15), aml.io(0xc0, 32), aml.dma(4)),
    isaDevice("RTC", "PNP0B00", 0, aml.io(0x70, 2), aml.irq(8)),
    isaDevice("KBD", "PNP0303", 0, aml.io(0x60, 1), aml.io(0x64, 1), aml.irq(1)),
  ];
  if (config.mouse) out.push(isaDevice("MOU", "PNP0F13", 0, aml.irq(12)));
  if (config.fpu) out.push(isaDevice("FPU", "PNP0C04", 0, aml.io(0xf0, 16), aml.irq(13)));
  if (config.floppyTypes.some((type) => type !== 0)) {
    out.push(isaDevice("FDC", "PNP0700", 0, aml.io(0x3f0, 6), aml.io(0x3f7, 1), aml.irq(6), aml.dma(2)));
  }
  config.comPorts.slice(0, 4).forEach((base, i) => {
    if (base !== 0) out.push(isaDevice(`COM${i + 1}`, "PNP0501", i + 1, aml.io(base, 8), aml.irq(COM_IRQ[i] ?? 4)));
  });
  config.lptPorts.slice(0, 3).forEach((base, i) => {
    if (base !== 0) out.push(isaDevice(`LPT${i + 1}`, "PNP0400", i + 1, aml.io(base, 8), aml.irq(i === 0 ? 7 : 5)));
  });
  return out;
}

/** PCI interrupts are hard-wired to global interrupts: slot S, pin P gives PIRQ (P + S - 1) mod 4. */
function routing(config: BiosConfig): number[] {
  const rows: number[][] = [];
  for (let slot = 1; slot < SLOTS; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      const irq = config.pirqIrqs[(slot + pin + 3) & 3] ?? 0;
      rows.push(aml.packageOf(aml.integer(slot * 0x10000 + 0xffff), aml.integer(pin), aml.integer(0), aml.integer(irq)));
    }
  }
  return aml.packageOf(...rows);
}

/** The AML of the DSDT (without its header): sleep state S5, the PCI root with its windows and routing, ISA devices, HPET. */
export function dsdtBody(config: BiosConfig): number[] {
  const root = config.pci
    ? aml.device(
        "PCI0",
        aml.defName("_HID", aml.eisaId("PNP0A03")),
        aml.defName("_BBN", aml.integer(0)),
        aml.defName("_UID", aml.integer(0)),
        aml.defName(
          "_CRS",
          aml.resources(
            aml.busRange(0, 0xff),
            aml.io(0xcf8, 8),
            aml.ioRange(0x0000, 0x0cf7),
            aml.ioRange(0x0d00, 0xffff),
            aml.memoryRange(0xa0000, 0xbffff, true),
            aml.memoryRange(Math.min(0xe0000000, config.pciMemStart), config.pciMemEnd - 1),
          ),
        ),
        aml.defName("_PRT", routing(config)),
        config.isaBridgeSlot === undefined
          ? []
          : aml.device("ISA", aml.defName("_ADR", aml.integer(config.isaBridgeSlot * 0x10000)), ...isaDevices(config)),
      )
    : aml.device("ISA", aml.defName("_HID", aml.eisaId("PNP0A05")), aml.defName("_UID", aml.integer(0)), ...isaDevices(config));
  const hpet = config.hpet
    ? aml.device(
        "HPET",
        aml.defName("_HID", aml.eisaId("PNP0103")),
        aml.defName("_UID", aml.integer(0)),
        aml.defName("_CRS", aml.resources(aml.fixedMemory(0xfed00000, 0x400))),
      )
    : [];
  const s5 = aml.integer(config.s5SleepType);
  return [
    ...aml.defName("PICM", aml.integer(0)),
    ...aml.method("\\_PIC", 1, aml.store(aml.ARG0, aml.name("PICM"))),
    ...aml.defName("\\_S5", aml.packageOf(s5, s5, aml.integer(0), aml.integer(0))),
    ...aml.scope("\\_SB", root, hpet),
  ];
}
