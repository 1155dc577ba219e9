import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { MsiSink } from "../../bus/index.ts";
import type { LocalApic } from "./chip.ts";
import { DELIVERY } from "./registers.ts";

/** Something that keeps level-triggered interrupts in flight until they are ended: an I/O APIC. */
export interface EoiListener {
  endOfInterrupt(vector: number): void;
}

export const APIC_BUS_STATE = shape.record({
  v: shape.oneOf(1),
  lastLowest: shape.int(-1, 0xff),
});
export type ApicBusStateV1 = Shaped<typeof APIC_BUS_STATE>;

/**
 * Carries interrupt messages between local APICs, I/O APICs and devices that signal by message. Destinations are 8 bits wide, or 32
 * (`wide`) when an x2APIC sends. SDM vol. 3A 11.6.2 (destinations), 11.6.2.4 (lowest priority), 11.11 (MSI).
 */
export class ApicBus implements MsiSink {
  readonly #apics: LocalApic[] = [];
  readonly #listeners: EoiListener[] = [];
  /** Index that got the last lowest-priority message: equals take turns. */
  #lastLowest = 0;

  attach(apic: LocalApic): void {
    this.#apics.push(apic);
  }
  attachListener(listener: EoiListener): void {
    this.#listeners.push(listener);
  }

  /** Sends to a destination. False when no APIC accepted it. */
  deliver(destination: number, logical: boolean, wide: boolean, mode: number, vector: number, level: boolean): boolean {
    if (mode === DELIVERY.LOWEST) {
      const apic = this.#lowest(destination, logical, wide);
      return apic !== undefined && apic.accept(mode, vector, level);
    }
    let accepted = false;
    for (let i = 0; i < this.#apics.length; i++) {
      const apic = this.#apics[i];
      if (apic !== undefined && apic.isAddressed(destination, logical, wide) && apic.accept(mode, vector, level)) accepted = true;
    }
    return accepted;
  }

  /** To every APIC but `except`. */
  broadcast(mode: number, vector: number, except: LocalApic | undefined): void {
    for (let i = 0; i < this.#apics.length; i++) {
      const apic = this.#apics[i];
      if (apic !== undefined && apic !== except) apic.accept(mode, vector, false);
    }
  }

  /** The EOI message of a level-triggered interrupt. */
  endOfInterrupt(vector: number): void {
    for (let i = 0; i < this.#listeners.length; i++) this.#listeners[i]?.endOfInterrupt(vector);
  }

  /** A dword write to FEEx_xxxxh: destination 19:12, redirection hint 3, mode 2; data: vector, delivery mode 10:8, level 14, trigger 15. */
  write(address: number, data: number): void {
    if (address >>> 20 !== 0xfee) return;
    const trigger = (data & 0x8000) !== 0;
    // A level-triggered message with the level off is a de-assertion: nothing to deliver.
    if (trigger && (data & 0x4000) === 0) return;
    let mode = (data >>> 8) & 7;
    if ((address & 8) !== 0 && mode === DELIVERY.FIXED) mode = DELIVERY.LOWEST;
    this.deliver((address >>> 12) & 0xff, (address & 12) === 12 || (address & 4) !== 0, false, mode, data & 0xff, trigger);
  }

  saveState(): ApicBusStateV1 {
    return { v: 1, lastLowest: this.#lastLowest };
  }
  loadState(s: ApicBusStateV1): void {
    this.#lastLowest = s.lastLowest;
  }

  #lowest(destination: number, logical: boolean, wide: boolean): LocalApic | undefined {
    const count = this.#apics.length;
    let found = -1;
    let best = 0x100;
    for (let i = 1; i <= count; i++) {
      const at = (this.#lastLowest + i) % count;
      const apic = this.#apics[at];
      if (apic === undefined || !apic.takesInterrupts || !apic.isAddressed(destination, logical, wide)) continue;
      const priority = apic.processorPriority;
      if (priority < best) {
        best = priority;
        found = at;
      }
    }
    if (found < 0) return undefined;
    this.#lastLowest = found;
    return this.#apics[found];
  }
}
