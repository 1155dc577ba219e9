import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";

/** The palette DAC (ports 3C6-3C9): 256 colours of 3 x 6 bits, or 3 x 8 bits when the dispi interface says so. */
export const DAC_STATE = shape.record({
  v: shape.oneOf(1),
  mask: shape.byte,
  index: shape.byte,
  component: shape.int(0, 2),
  state: shape.int(0, 3),
  eightBit: shape.flag,
  colors: shape.bytes(768),
});
export type DacStateV1 = Shaped<typeof DAC_STATE>;

export class Dac {
  readonly colors = new Uint8Array(768);
  mask = 0xff;
  #index = 0;
  #component = 0;
  /** 0 write mode, 3 read mode: what port 3C7 reads back. */
  #state = 0;
  #eightBit = false;
  readonly #pending = new Uint8Array(3);

  get eightBit(): boolean {
    return this.#eightBit;
  }
  /** Switching the width keeps the colours: stored components are scaled. */
  set eightBit(on: boolean) {
    if (on === this.#eightBit) return;
    this.#eightBit = on;
    for (let i = 0; i < 768; i++) {
      const c = this.colors[i] ?? 0;
      this.colors[i] = on ? (c << 2) | (c >> 4) : c >> 2;
    }
  }

  reset(): void {
    this.colors.fill(0);
    this.mask = 0xff;
    this.#index = 0;
    this.#component = 0;
    this.#state = 0;
    this.#eightBit = false;
  }

  get state(): number {
    return this.#state;
  }
  get writeIndex(): number {
    return this.#index;
  }

  setReadIndex(v: number): void {
    this.#index = v & 0xff;
    this.#component = 0;
    this.#state = 3;
  }

  setWriteIndex(v: number): void {
    this.#index = v & 0xff;
    this.#component = 0;
    this.#state = 0;
  }

  readData(): number {
    const v = this.colors[this.#index * 3 + this.#component] ?? 0;
    this.#advance();
    return v;
  }

  /** A colour takes effect with its third component, as in the chip. */
  writeData(v: number): void {
    this.#pending[this.#component] = this.#eightBit ? v : v & 0x3f;
    if (this.#component === 2) this.colors.set(this.#pending, this.#index * 3);
    this.#advance();
  }

  #advance(): void {
    this.#component++;
    if (this.#component === 3) {
      this.#component = 0;
      this.#index = (this.#index + 1) & 0xff;
    }
  }

  /** Colour `i` as A8B8G8R8 (bytes R, G, B, 255 in memory), without the pel mask. */
  color(i: number): number {
    const c = this.colors;
    const r = c[i * 3] ?? 0;
    const g = c[i * 3 + 1] ?? 0;
    const b = c[i * 3 + 2] ?? 0;
    if (this.#eightBit) return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
    return (0xff000000 | (((b << 2) | (b >> 4)) << 16) | (((g << 2) | (g >> 4)) << 8) | (r << 2) | (r >> 4)) >>> 0;
  }

  saveState(): DacStateV1 {
    return {
      v: 1,
      mask: this.mask,
      index: this.#index,
      component: this.#component,
      state: this.#state,
      eightBit: this.#eightBit,
      colors: this.colors.slice(),
    };
  }

  loadState(s: DacStateV1): void {
    this.mask = s.mask;
    this.#index = s.index;
    this.#component = s.component;
    this.#state = s.state;
    this.#eightBit = s.eightBit;
    this.colors.set(s.colors.subarray(0, 768));
  }
}
