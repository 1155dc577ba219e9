import type { Clock } from "../../base/index.ts";
import type { IrqPin, MmioBus } from "../../bus/index.ts";
import { Hpet } from "../../devices/hpet/index.ts";
import { IRQ } from "../../isa/index.ts";

export const HPET_BASE = 0xfed00000;

/** A wire that can be cut; it remembers the level that its chip wants. */
class Gate implements IrqPin {
  readonly #out: IrqPin;
  #level = false;
  #open = true;

  constructor(out: IrqPin) {
    this.#out = out;
  }
  set(level: boolean): void {
    this.#level = level;
    if (this.#open) this.#out.set(level);
  }
  setOpen(open: boolean): void {
    this.#open = open;
    this.#out.set(open && this.#level);
  }
}

export interface HpetBoard {
  readonly hpet: Hpet;
  /** IRQ0 and IRQ8 of the 8254 and the RTC: cut while the HPET replaces them. */
  readonly pitPin: IrqPin;
  readonly rtcPin: IrqPin;
}

/** The HPET at its usual place; `pin` gives one more device a place on an ISA interrupt wire, `setGsi` drives an I/O APIC input. */
export function buildHpet(options: {
  readonly clock: Clock;
  readonly mmio: MmioBus;
  readonly pin: (irq: number) => IrqPin;
  readonly setGsi: (gsi: number, asserted: boolean) => void;
}): HpetBoard {
  const pit = new Gate(options.pin(IRQ.PIT));
  const rtc = new Gate(options.pin(IRQ.RTC));
  const legacy = [options.pin(IRQ.PIT), options.pin(IRQ.RTC)] as const;
  const hpet = new Hpet({
    clock: options.clock,
    setPin: options.setGsi,
    setLegacy: (timer, asserted) => legacy[timer].set(asserted),
    onLegacy: (enabled) => {
      pit.setOpen(!enabled);
      rtc.setOpen(!enabled);
    },
  });
  options.mmio.register(HPET_BASE, 0x400, hpet);
  return { hpet, pitPin: pit, rtcPin: rtc };
}
