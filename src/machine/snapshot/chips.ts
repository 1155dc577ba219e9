import type { Chips } from "../board/chips.ts";

/** Every chip of a PC as plain records. Virtio devices are part of the PCI bus's. */
export interface ChipsStateV1 {
  readonly v: 1;
  readonly [chip: string]: unknown;
}

interface Saved {
  saveState(): unknown;
}

/** What has to be saved, by name. */
function parts(chips: Chips): Readonly<Record<string, Saved | undefined>> {
  const { pci, hpet, pit, rtc, dma, fdc, keyboard, mouse, kbc, system, lpt, vga, pm, pic, apic } = chips;
  const named: Record<string, Saved | undefined> = { pci, hpet, pit, rtc, dma, fdc, keyboard, mouse, kbc, system, lpt, vga, pm, pic };
  chips.uarts.forEach((uart, i) => (named[`uart${i}`] = uart));
  chips.ide.forEach((channel, i) => (named[`ide${i}`] = channel));
  named["ioapic"] = apic.ioApic;
  named["apic-bus"] = apic.bus;
  apic.lapics.forEach((lapic, i) => (named[`lapic${i}`] = lapic));
  return named;
}

export function saveChips(chips: Chips): ChipsStateV1 {
  const out: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(parts(chips))) if (part !== undefined) out[name] = part.saveState();
  return { ...out, v: 1, wires: chips.lines.map((line) => line.saveState()), shutdownPort: chips.power.matched };
}

/** The places of a record, taken by name; tells which were missing. */
class Records {
  readonly #state: ChipsStateV1;
  readonly missing: string[] = [];
  constructor(state: ChipsStateV1) {
    this.#state = state;
  }
  load<S>(name: string, chip: { saveState(): S; loadState(s: S): void } | undefined): void {
    if (chip === undefined) return;
    const state = this.#state[name];
    if (isRecordOf<S>(state)) chip.loadState(state);
    else this.missing.push(name);
  }
}

function levels(value: unknown): readonly boolean[] {
  return Array.isArray(value) ? value.map((level: unknown) => level === true) : [];
}

/** The chip checks what matters to it; a record of another version never gets here (`MachineStateV1` is refused as a whole). */
function isRecordOf<S>(state: unknown): state is S {
  return typeof state === "object" && state !== null;
}

/**
 * Loads the chips of a fresh PC. The order matters: what pulls wires comes before what the wires end at, so that pins pulled on the way leave no
 * trace in the interrupt controllers, which are told last what they knew. Timers are the caller's to arm. Answers which chips had no record.
 */
export function loadChips(chips: Chips, state: ChipsStateV1): readonly string[] {
  const { apic } = chips;
  const r = new Records(state);
  // Address maps first: base addresses, shadow RAM, IDE decoding.
  r.load("pci", chips.pci);
  r.load("hpet", chips.hpet);
  r.load("pit", chips.pit);
  r.load("rtc", chips.rtc);
  r.load("dma", chips.dma);
  r.load("fdc", chips.fdc);
  r.load("keyboard", chips.keyboard);
  r.load("mouse", chips.mouse);
  r.load("kbc", chips.kbc);
  r.load("system", chips.system);
  for (const [i, uart] of chips.uarts.entries()) r.load(`uart${i}`, uart);
  for (const [i, channel] of chips.ide.entries()) r.load(`ide${i}`, channel);
  r.load("lpt", chips.lpt);
  r.load("vga", chips.vga);
  // After the RTC, whose alarm it hears.
  r.load("pm", chips.pm);
  // Who pulls which wire: a chip that has pulsed an edge does not say again that it still holds the wire up.
  const wires = state["wires"];
  if (Array.isArray(wires)) for (const [i, line] of chips.lines.entries()) line.loadState(levels(wires[i]));
  r.load("pic", chips.pic);
  r.load("ioapic", apic.ioApic);
  r.load("apic-bus", apic.bus);
  for (const [i, lapic] of apic.lapics.entries()) r.load(`lapic${i}`, lapic);
  const matched = state["shutdownPort"];
  chips.power.matched = typeof matched === "number" ? matched : 0;
  return r.missing;
}
