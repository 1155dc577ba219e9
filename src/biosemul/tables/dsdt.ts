import type { BiosConfig } from "../config.ts";
import * as aml from "./aml.ts";
import type { Aml } from "./aml.ts";
import { linkDevices, pirqRegisters, routing } from "./links.ts";

const COM_IRQ = [4, 3, 4, 3] as const;
const PCI_SCOPE = "\\_SB.PCI0";
const ISA_SCOPE = `${PCI_SCOPE}.ISA`;

function fixedDevice(name: string, id: string, uid: number, ...crs: readonly Aml[]): number[] {
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
    fixedDevice("PIC", "PNP0000", 0, aml.io(0x20, 2), aml.io(0xa0, 2), aml.io(0x4d0, 2), aml.irq(2)),
    fixedDevice("TMR", "PNP0100", 0, aml.io(0x40, 4), aml.irq(0)),
    fixedDevice("DMAC", "PNP0200", 0, aml.io(0x00, 16), aml.io(0x81, 15), aml.io(0xc0, 32), aml.dma(4)),
    fixedDevice("RTC", "PNP0B00", 0, aml.io(0x70, 2), aml.irq(8)),
    fixedDevice("SPKR", "PNP0800", 0, aml.io(0x61, 1)),
    fixedDevice("KBD", "PNP0303", 0, aml.io(0x60, 1), aml.io(0x64, 1), aml.irq(1)),
  ];
  if (config.mouse) out.push(fixedDevice("MOU", "PNP0F13", 0, aml.irq(12)));
  if (config.fpu) out.push(fixedDevice("FPU", "PNP0C04", 0, aml.io(0xf0, 16), aml.irq(13)));
  if (config.floppyTypes.some((type) => type !== 0)) {
    out.push(fixedDevice("FDC", "PNP0700", 0, aml.io(0x3f0, 6), aml.io(0x3f7, 1), aml.irq(6), aml.dma(2)));
  }
  config.comPorts.slice(0, 4).forEach((base, i) => {
    if (base !== 0) out.push(fixedDevice(`COM${i + 1}`, "PNP0501", i + 1, aml.io(base, 8), aml.irq(COM_IRQ[i] ?? 4)));
  });
  config.lptPorts.slice(0, 3).forEach((base, i) => {
    if (base !== 0) out.push(fixedDevice(`LPT${i + 1}`, "PNP0400", i + 1, aml.io(base, 8), aml.irq(i === 0 ? 7 : 5)));
  });
  // The board's own registers, so that nobody puts something else there.
  const board: Aml[] = [aml.io(0x80, 1), aml.io(0x92, 1)];
  if (config.smiCommandPort !== 0) board.push(aml.io(config.smiCommandPort, 2));
  board.push(aml.io(config.pmBase, 0x10));
  out.push(fixedDevice("MBRD", "PNP0C02", 0, ...board));
  return out;
}

/** The PCI root: one bus, the windows that its devices get addresses from, the ISA bridge. */
function pciRoot(config: BiosConfig): number[] {
  return aml.device(
    "PCI0",
    aml.defName("_HID", aml.eisaId("PNP0A03")),
    // What an older ACPI (FreeBSD 10) asks a root bridge for.
    aml.defName("_ADR", aml.integer(0)),
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
    config.isaBridgeSlot === undefined
      ? []
      : aml.device("ISA", aml.defName("_ADR", aml.integer(config.isaBridgeSlot * 0x10000)), ...pirqRegisters(), ...isaDevices(config)),
    ...routing(config, "\\_SB"),
  );
}

/** One I/O APIC input for each HPET timer, of those that its timers can be routed to (20-23). */
const HPET_GSIS = [20, 21, 22] as const;

/** The AML of the DSDT (without its header): processors, sleep state S5, the PCI root with its windows and routing, ISA devices, HPET. */
export function dsdtBody(config: BiosConfig): number[] {
  const processors: number[][] = [];
  for (let n = 0; n < config.cpus; n++) {
    processors.push(aml.processor(`CP${n.toString(16).toUpperCase().padStart(2, "0")}`, n));
  }
  const buses = config.pci
    ? [...(config.isaBridgeSlot === undefined ? [] : linkDevices(config, ISA_SCOPE)), pciRoot(config)]
    : [aml.device("ISA", aml.defName("_HID", aml.eisaId("PNP0A05")), aml.defName("_UID", aml.integer(0)), ...isaDevices(config))];
  const hpet = config.hpet
    ? aml.device(
        "HPET",
        aml.defName("_HID", aml.eisaId("PNP0103")),
        aml.defName("_UID", aml.integer(0)),
        aml.defName("_CRS", aml.resources(aml.fixedMemory(0xfed00000, 0x400), config.apic ? aml.interrupts(...HPET_GSIS) : [])),
      )
    : [];
  const s3 = aml.integer(config.s3SleepType);
  const s5 = aml.integer(config.s5SleepType);
  return [
    ...aml.defName("\\PICM", aml.integer(0)),
    ...aml.method("\\_PIC", 1, aml.store(aml.ARG0, aml.name("\\PICM"))),
    ...aml.defName("\\_S3", aml.packageOf(s3, s3, aml.integer(0), aml.integer(0))),
    ...aml.defName("\\_S5", aml.packageOf(s5, s5, aml.integer(0), aml.integer(0))),
    // Where systems of all ages look for them; ACPI0007 devices are known since ACPI 3 only.
    ...aml.scope("\\_PR", ...processors),
    ...aml.scope("\\_SB", ...buses, hpet),
  ];
}
