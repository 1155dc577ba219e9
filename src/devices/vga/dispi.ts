import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
/**
 * Bochs VBE "dispi" register file (ports 1CE/1CF, interface id B0C5): how the video BIOS and display drivers set
 * linear modes. Source: the interface description in Bochs' VBE documentation.
 */
export const DISPI_INDEX = {
  ID: 0,
  XRES: 1,
  YRES: 2,
  BPP: 3,
  ENABLE: 4,
  BANK: 5,
  VIRT_WIDTH: 6,
  VIRT_HEIGHT: 7,
  X_OFFSET: 8,
  Y_OFFSET: 9,
  VIDEO_MEMORY_64K: 10,
} as const;

export const DISPI_ENABLE = { ENABLED: 0x01, GETCAPS: 0x02, DAC_8BIT: 0x20, LFB: 0x40, NOCLEAR: 0x80 } as const;

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
    this.#regs[DISPI_INDEX.ID] = ID_LAST;
    this.#regs[DISPI_INDEX.BPP] = 8;
    this.#index = 0;
  }

  get enabled(): boolean {
    return ((this.#regs[DISPI_INDEX.ENABLE] ?? 0) & DISPI_ENABLE.ENABLED) !== 0;
  }
  get dac8(): boolean {
    return ((this.#regs[DISPI_INDEX.ENABLE] ?? 0) & DISPI_ENABLE.DAC_8BIT) !== 0;
  }
  get noClear(): boolean {
    return ((this.#regs[DISPI_INDEX.ENABLE] ?? 0) & DISPI_ENABLE.NOCLEAR) !== 0;
  }
  get width(): number {
    return this.#regs[DISPI_INDEX.XRES] ?? 0;
  }
  get height(): number {
    return this.#regs[DISPI_INDEX.YRES] ?? 0;
  }
  get bpp(): number {
    return this.#regs[DISPI_INDEX.BPP] ?? 8;
  }
  get bank(): number {
    return this.#regs[DISPI_INDEX.BANK] ?? 0;
  }
  get virtualWidth(): number {
    return this.#regs[DISPI_INDEX.VIRT_WIDTH] ?? 0;
  }
  get xOffset(): number {
    return this.#regs[DISPI_INDEX.X_OFFSET] ?? 0;
  }
  get yOffset(): number {
    return this.#regs[DISPI_INDEX.Y_OFFSET] ?? 0;
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
    if (i === DISPI_INDEX.VIDEO_MEMORY_64K) return this.#vramBytes >>> 16;
    if (i > DISPI_INDEX.VIDEO_MEMORY_64K) return 0;
    if (((this.#regs[DISPI_INDEX.ENABLE] ?? 0) & DISPI_ENABLE.GETCAPS) !== 0) {
      if (i === DISPI_INDEX.XRES) return DISPI_MAX.xres;
      if (i === DISPI_INDEX.YRES) return DISPI_MAX.yres;
      if (i === DISPI_INDEX.BPP) return DISPI_MAX.bpp;
    }
    return this.#regs[i] ?? 0;
  }

  /** Writes the indexed register. True: the mode was just switched on (the caller clears memory unless NOCLEAR). */
  write(value: number): boolean {
    const regs = this.#regs;
    const v = value & 0xffff;
    switch (this.#index) {
      case DISPI_INDEX.ID:
        if (v >= ID_FIRST && v <= ID_LAST) regs[DISPI_INDEX.ID] = v;
        return false;
      case DISPI_INDEX.XRES:
        if (v <= DISPI_MAX.xres) regs[DISPI_INDEX.XRES] = v & ~7;
        this.#fixGeometry();
        return false;
      case DISPI_INDEX.YRES:
        if (v <= DISPI_MAX.yres) regs[DISPI_INDEX.YRES] = v;
        this.#fixGeometry();
        return false;
      case DISPI_INDEX.BPP: {
        const bpp = v === 0 ? 8 : v;
        if (bpp === 4 || bpp === 8 || bpp === 15 || bpp === 16 || bpp === 24 || bpp === 32) regs[DISPI_INDEX.BPP] = bpp;
        this.#fixGeometry();
        return false;
      }
      case DISPI_INDEX.ENABLE:
        return this.#writeEnable(v);
      case DISPI_INDEX.BANK:
        if (v < this.#vramBytes >>> 16) regs[DISPI_INDEX.BANK] = v;
        return false;
      case DISPI_INDEX.VIRT_WIDTH:
        // A line may not be longer than memory holds at the visible height.
        if (strideOf(v & ~7, this.bpp) * this.height <= this.#planeBytes()) regs[DISPI_INDEX.VIRT_WIDTH] = Math.max(v & ~7, this.width);
        this.#fixGeometry();
        return false;
      case DISPI_INDEX.X_OFFSET:
        regs[DISPI_INDEX.X_OFFSET] = v;
        return false;
      case DISPI_INDEX.Y_OFFSET:
        regs[DISPI_INDEX.Y_OFFSET] = v;
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
    regs[DISPI_INDEX.ENABLE] = next;
    if ((next & DISPI_ENABLE.ENABLED) === 0) {
      regs[DISPI_INDEX.BANK] = 0;
      return false;
    }
    if (!turnOn) return false;
    regs[DISPI_INDEX.VIRT_WIDTH] = this.width;
    regs[DISPI_INDEX.X_OFFSET] = 0;
    regs[DISPI_INDEX.Y_OFFSET] = 0;
    regs[DISPI_INDEX.BANK] = 0;
    this.#fixGeometry();
    return true;
  }

  #planeBytes(): number {
    return this.bpp === 4 ? this.#vramBytes >>> 2 : this.#vramBytes;
  }

  #fixGeometry(): void {
    const regs = this.#regs;
    if (this.virtualWidth < this.width) regs[DISPI_INDEX.VIRT_WIDTH] = this.width;
    const stride = this.strideBytes;
    regs[DISPI_INDEX.VIRT_HEIGHT] = stride === 0 ? 0 : Math.min(0xffff, Math.floor(this.#planeBytes() / stride));
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
