import type { IrqPin } from "./api.ts";

/** One interrupt wire that several devices pull (PCI INTx): asserted while any of them asserts it. */
export class SharedIrqLine {
  readonly #out: IrqPin;
  /** What each device wants, in the order of connection. */
  readonly #levels: boolean[] = [];
  #asserted = 0;

  constructor(out: IrqPin) {
    this.#out = out;
  }

  /** A pin for one more device on this wire. */
  connect(): IrqPin {
    const index = this.#levels.push(false) - 1;
    return {
      set: (next: boolean): void => {
        if (next === this.#levels[index]) return;
        this.#levels[index] = next;
        this.#asserted += next ? 1 : -1;
        this.#out.set(this.#asserted > 0);
      },
    };
  }

  get asserted(): boolean {
    return this.#asserted > 0;
  }

  /** Who pulls the wire now. */
  saveState(): readonly boolean[] {
    return [...this.#levels];
  }
  /** The wire as it was, with no edge at its end: what is there has its own memory of the level. */
  loadState(levels: readonly boolean[]): void {
    for (let i = 0; i < this.#levels.length; i++) this.#levels[i] = levels[i] === true;
    this.#asserted = this.#levels.filter(Boolean).length;
  }
}
