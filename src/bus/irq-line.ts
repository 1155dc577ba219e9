import type { IrqPin } from "./api.ts";

/** One interrupt wire that several devices pull (PCI INTx): asserted while any of them asserts it. */
export class SharedIrqLine {
  readonly #out: IrqPin;
  #asserted = 0;

  constructor(out: IrqPin) {
    this.#out = out;
  }

  /** A pin for one more device on this wire. */
  connect(): IrqPin {
    let level = false;
    return {
      set: (next: boolean): void => {
        if (next === level) return;
        level = next;
        this.#asserted += next ? 1 : -1;
        this.#out.set(this.#asserted > 0);
      },
    };
  }

  get asserted(): boolean {
    return this.#asserted > 0;
  }
}
