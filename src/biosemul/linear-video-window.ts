import type { PhysicalMemory } from "../vmm/index.ts";
import type { VideoWindow } from "./api.ts";
import type { AddressTranslation } from "./linear-memory.ts";

/**
 * The display window A0000-BFFFF as a call under paging sees it. Pages that lie where they say go the fast way; a monitor that runs programs in a
 * window puts memory of its own there, which is written byte by byte.
 */
export class LinearVideoWindow implements VideoWindow {
  readonly #window: VideoWindow;
  readonly #memory: PhysicalMemory;
  readonly #map: AddressTranslation;
  setCursor?: (port: number, address: number) => void;

  /** `memory`: by linear address. */
  constructor(window: VideoWindow, memory: PhysicalMemory, map: AddressTranslation) {
    this.#window = window;
    this.#memory = memory;
    this.#map = map;
    if (window.setCursor !== undefined) this.setCursor = window.setCursor.bind(window);
  }
  #direct(at: number, bytes: number, write: boolean): boolean {
    for (let page = at & ~0xfff; page < at + bytes; page += 0x1000) if (this.#map.translate(page, write) !== page) return false;
    return true;
  }
  read8(at: number): number {
    return this.#direct(at, 1, false) ? this.#window.read8(at) : this.#memory.read8(at);
  }
  write8(at: number, value: number): void {
    if (this.#direct(at, 1, true)) this.#window.write8(at, value);
    else this.#memory.write8(at, value);
  }
  fill16(at: number, count: number, value: number): void {
    if (this.#direct(at, count * 2, true)) this.#window.fill16(at, count, value);
    else for (let i = 0; i < count; i++) this.#memory.write16(at + i * 2, value);
  }
  move(to: number, from: number, bytes: number): void {
    if (this.#direct(to, bytes, true) && this.#direct(from, bytes, false)) this.#window.move(to, from, bytes);
    else if (to < from) for (let i = 0; i < bytes; i++) this.#memory.write8(to + i, this.#memory.read8(from + i));
    else for (let i = bytes - 1; i >= 0; i--) this.#memory.write8(to + i, this.#memory.read8(from + i));
  }
}
