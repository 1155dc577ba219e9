import type { Intercepts } from "../api/index.ts";

/** Looked at by the run loop, between instructions. */
const BETWEEN_INSTRUCTIONS = ["externalInterrupt", "interruptWindow", "nmiWindow", "unconditionalIo", "mtf", "preemptionTimer"] as const;

/**
 * A CPU's intercepts; nothing exits that need not. Most are looked at by the instruction they are about. Those that the run loop looks at between
 * instructions are accessors, which tell it: a change from inside a `GuestIo` call or a hypercall counts from the next instruction on.
 */
export class SoftIntercepts implements Intercepts {
  exceptionBitmap = 0;
  nmi = false;
  hlt = false;
  invlpg = false;
  mwait = false;
  monitor = false;
  rdpmc = false;
  rdtsc = false;
  cr3Load = false;
  cr3Store = false;
  cr8Load = false;
  cr8Store = false;
  cr0Mask = 0;
  cr4Mask = 0;
  cr0Shadow = 0;
  cr4Shadow = 0;
  movDr = false;
  rdmsr: Intercepts["rdmsr"] = new Set();
  wrmsr: Intercepts["wrmsr"] = new Set();
  pause = false;
  pauseLoop: number | undefined = undefined;
  descriptorTable = false;
  wbinvd = false;
  rdrand = false;
  rdseed = false;
  taskSwitch = false;
  xsetbv = false;
  getsec = false;
  invpcid = false;
  cpuid = false;
  externalInterrupt = false;
  interruptWindow = false;
  nmiWindow = false;
  unconditionalIo = false;
  mtf = false;
  preemptionTimer: number | undefined = undefined;
  #changed: () => void = () => {};
  #timerWrites = 0;

  constructor() {
    for (const name of BETWEEN_INSTRUCTIONS) this.#watch(name);
  }
  /** Makes an accessor of a property. Its own still, so that intercepts can be copied as a whole. */
  #watch<Name extends (typeof BETWEEN_INSTRUCTIONS)[number]>(name: Name): void {
    let current = this[name];
    Object.defineProperty(this, name, {
      enumerable: true,
      get: () => current,
      set: (value: this[Name]) => {
        current = value;
        if (name === "preemptionTimer") this.#timerWrites++;
        this.#changed();
      },
    });
  }
  /** `changed` is called when one of the accessors was written. */
  onChange(changed: () => void): void {
    this.#changed = changed;
  }
  /** Times that the preemption timer was set. */
  get timerWrites(): number {
    return this.#timerWrites;
  }
}
