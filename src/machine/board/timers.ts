import type { IrqPin } from "../../bus/index.ts";
import { Pit8254, Rtc146818 } from "../../devices/index.ts";
import { Hpet } from "../../devices/hpet/index.ts";
import { IRQ, MEM, PORT } from "../../isa/index.ts";
import type { Backplane } from "./backplane.ts";

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

/** The HPET at its usual place: on the ISA interrupt wires of the timers that it can replace, and on the I/O APIC. */
export function buildHpet(on: Backplane): HpetBoard {
  const pit = new Gate(on.pin(IRQ.PIT));
  const rtc = new Gate(on.pin(IRQ.RTC));
  const legacy = [on.pin(IRQ.PIT), on.pin(IRQ.RTC)] as const;
  const hpet = new Hpet({
    clock: on.wires.clock,
    setPin: (gsi, asserted) => on.chips.apic.ioApic.setPin(gsi, asserted),
    setLegacy: (timer, asserted) => legacy[timer].set(asserted),
    onLegacy: (enabled) => {
      pit.setOpen(!enabled);
      rtc.setOpen(!enabled);
    },
  });
  on.mmio.register(MEM.HPET, 0x400, hpet);
  return { hpet, pitPin: pit, rtcPin: rtc };
}

export function buildPit(on: Backplane): Pit8254 {
  const pit = new Pit8254({ clock: on.wires.clock, pin: on.chips.hpet.pitPin });
  on.claimBytes(PORT.PIT, 4, pit);
  on.pio.register(PORT.SYSTEM_B, 1, pit.portB);
  return pit;
}

/** The clock; its alarm is a wake-up event of power management too. */
export function buildRtc(on: Backplane): Rtc146818 {
  const { rtcPin } = on.chips.hpet;
  const pin: IrqPin = {
    set(level) {
      rtcPin.set(level);
      if (level) on.chips.pm.rtcAlarm();
    },
  };
  const rtc = new Rtc146818({ clock: on.wires.clock, pin, startSeconds: Math.floor(on.config.rtcMs / 1000) });
  on.claimBytes(PORT.CMOS_INDEX, 2, rtc);
  return rtc;
}
