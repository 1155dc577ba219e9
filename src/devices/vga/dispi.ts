import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { DISPI, DISPI_ENABLE } from "../../isa/index.ts";

/** Largest geometry the interface reports through GETCAPS. */
export const DISPI_MAX = { xres: 1920, yres: 1200, bpp: 32 } as const;

const ID_FIRST = 0xb0c0;
const ID_LAST = 0xb0c5;

export const DISPI_STATE = shape.record({
  v: shape.oneOf(1),
  index: shape.word,
  registers: shape.list(shape.word, 16),
});
export type DispiStateV1 = Shaped<typeof DISPI_STATE>;

export class Dispi {
  readonly #vramBytes: number;
  readonly #regs = new Uint16Array(16);
  #index = 0;

  constructor(vramBytes: number) {
    this.#vramBytes = vramBytes;
    this.reset();
  }

  reset(): void {
    this.#regs.fill(0);
    this.#regs[DISPI.ID] = ID_LAST;
    this.#regs[DISPI.BPP] = 8;
    this.#index = 0;
  }

  get enabled(): boolean {
    return ((this.#regs[DISPI.ENABLE] ?? 0) & DISPI_ENABLE.ENABLED) !== 0;
  }
  get dac8(): boolean {
    return ((this.#regs[DISPI.ENABLE] ?? 0) & DISPI_ENABLE.DAC_8BIT) !== 0;
  }
  get noClear(): boolean {
    return ((this.#regs[DISPI.ENABLE] ?? 0) & DISPI_ENABLE.NOCLEAR) !== 0;
  }
  get width(): number {
    return this.#regs[DISPI.XRES] ?? 0;
  }
  get height(): number {
    return this.#regs[DISPI.YRES] ?? 0;
  }
  get bpp(): number {
    return this.#regs[DISPI.BPP] ?? 8;
  }
  get bank(): number {
    return this.#regs[DISPI.BANK] ?? 0;
  }
  get virtualWidth(): number {
    return this.#regs[DISPI.VIRT_WIDTH] ?? 0;
  }
  get xOffset(): number {
    return this.#regs[DISPI.X_OFFSET] ?? 0;
  }
  get yOffset(): number {
    return this.#regs[DISPI.Y_OFFSET] ?? 0;
  }
  /** Bytes from a line to the next; in 4-bit modes bytes of one plane. */
  get strideBytes(): number {
    return strideOf(this.virtualWidth, this.bpp);
  }
  get index(): number {
    return this.#index;
  }
  set index(value: number) {
    this.#index = value & 0xffff;
  }

  read(): number {
    const i = this.#index;
    if (i === DISPI.VIDEO_MEMORY_64K) return this.#vramBytes >>> 16;
    if (i > DISPI.VIDEO_MEMORY_64K) return 0;
    if (((this.#regs[DISPI.ENABLE] ?? 0) & DISPI_ENABLE.GETCAPS) !== 0) {
      if (i === DISPI.XRES) return DISPI_MAX.xres;
      if (i === DISPI.YRES) return DISPI_MAX.yres;
      if (i === DISPI.BPP) return DISPI_MAX.bpp;
    }
    return this.#regs[i] ?? 0;
  }

  /** Writes the indexed register. True: the mode was just switched on (the caller clears memory unless NOCLEAR). */
  write(value: number): boolean {
    const regs = this.#regs;
    const v = value & 0xffff;
    switch (this.#index) {
      case DISPI.ID:
        if (v >= ID_FIRST && v <= ID_LAST) regs[DISPI.ID] = v;
        return false;
      case DISPI.XRES:
        if (v <= DISPI_MAX.xres) regs[DISPI.XRES] = v & ~7;
        this.#fixGeometry();
        return false;
      case DISPI.YRES:
        if (v <= DISPI_MAX.yres) regs[DISPI.YRES] = v;
        this.#fixGeometry();
        return false;
      case DISPI.BPP: {
        const bpp = v === 0 ? 8 : v;
        if (bpp === 4 || bpp === 8 || bpp === 15 || bpp === 16 || bpp === 24 || bpp === 32) regs[DISPI.BPP] = bpp;
        this.#fixGeometry();
        return false;
      }
      case DISPI.ENABLE:
        return this.#writeEnable(v);
      case DISPI.BANK:
        if (v < this.#vramBytes >>> 16) regs[DISPI.BANK] = v;
        return false;
      case DISPI.VIRT_WIDTH:
        // A line may not be longer than memory holds at the visible height.
        if (strideOf(v & ~7, this.bpp) * this.height <= this.#planeBytes()) regs[DISPI.VIRT_WIDTH] = Math.max(v & ~7, this.width);
        this.#fixGeometry();
        return false;
      case DISPI.X_OFFSET:
        regs[DISPI.X_OFFSET] = v;
        return false;
      case DISPI.Y_OFFSET:
        regs[DISPI.Y_OFFSET] = v;
        return false;
      default:
        return false;
    }
  }

  #writeEnable(v: number): boolean {
    const regs = this.#regs;
    const was = this.enabled;
    let next = v & 0xe3;
    const turnOn = (v & DISPI_ENABLE.ENABLED) !== 0 && !was;
    if (turnOn && (this.width === 0 || this.height === 0)) next &= ~DISPI_ENABLE.ENABLED;
    regs[DISPI.ENABLE] = next;
    if ((next & DISPI_ENABLE.ENABLED) === 0) {
      regs[DISPI.BANK] = 0;
      return false;
    }
    if (!turnOn) return false;
    regs[DISPI.VIRT_WIDTH] = this.width;
    regs[DISPI.X_OFFSET] = 0;
    regs[DISPI.Y_OFFSET] = 0;
    regs[DISPI.BANK] = 0;
    this.#fixGeometry();
    return true;
  }

  #planeBytes(): number {
    return this.bpp === 4 ? this.#vramBytes >>> 2 : this.#vramBytes;
  }

  #fixGeometry(): void {
    const regs = this.#regs;
    if (this.virtualWidth < this.width) regs[DISPI.VIRT_WIDTH] = this.width;
    const stride = this.strideBytes;
    regs[DISPI.VIRT_HEIGHT] = stride === 0 ? 0 : Math.min(0xffff, Math.floor(this.#planeBytes() / stride));
  }

  saveState(): DispiStateV1 {
    return { v: 1, index: this.#index, registers: [...this.#regs] };
  }

  loadState(s: DispiStateV1): void {
    this.#index = s.index & 0xffff;
    this.#regs.set(s.registers.slice(0, this.#regs.length));
  }
}

function strideOf(pixels: number, bpp: number): number {
  if (bpp === 4) return pixels >>> 3;
  return pixels * ((bpp + 7) >>> 3);
}
