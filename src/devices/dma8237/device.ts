import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BusDevice, DmaChannel, DmaView } from "../../bus/index.ts";
import { DMA_CONTROLLER_STATE, DmaController } from "./controller.ts";

export interface Dma8237Options {
  readonly memory: DmaView;
}

const TYPE_VERIFY = 0;
const TYPE_WRITE = 1;
const TYPE_READ = 2;
const MODE_CASCADE = 0xc0;
const MODE_DECREMENT = 0x20;

/** Where the page register of a channel is, from 80h. */
const PAGE_OF_CHANNEL = [7, 3, 1, 2, 15, 11, 9, 10] as const;

export const DMA8237_STATE = shape.record({
  v: shape.oneOf(1),
  controllers: shape.pair(DMA_CONTROLLER_STATE, DMA_CONTROLLER_STATE),
  pages: shape.bytes(16),
});
export type Dma8237StateV1 = Shaped<typeof DMA8237_STATE>;

/**
 * The PC/AT's two 8237As: channels 0..3 move bytes (00h..0Fh), 4 is the cascade, 5..7 move words (C0h..DFh, every second port);
 * page registers 80h..8Fh, the unused ones being scratch bytes (80h is the POST code).
 *
 * The first chip's requests pass through channel 4 of the second, so masking channel 4 stops channels 0..3. There is no POST code that
 * would set it up, therefore power-on leaves channel 4 as every BIOS does: cascade mode, unmasked.
 */
export class Dma8237 {
  readonly controller1: BusDevice;
  readonly controller2: BusDevice;
  readonly pages: BusDevice;
  readonly #memory: DmaView;
  readonly #chips: readonly [DmaController, DmaController];
  readonly #pages = new Uint8Array(16);
  readonly #channels: readonly Channel[];
  readonly #reverse = new Uint8Array(4096);

  constructor(options: Dma8237Options) {
    this.#memory = options.memory;
    this.#chips = [new DmaController((n) => this.#software(n)), new DmaController((n) => this.#software(n + 4))];
    const [low, high] = this.#chips;
    this.controller1 = {
      name: "dma8237-1",
      read: (offset) => low.read(offset & 15),
      write: (offset, _size, value) => low.write(offset & 15, value & 0xff),
    };
    this.controller2 = {
      name: "dma8237-2",
      read: (offset) => high.read((offset >> 1) & 15),
      write: (offset, _size, value) => high.write((offset >> 1) & 15, value & 0xff),
    };
    this.pages = {
      name: "dma-page",
      read: (offset) => this.#pages[offset & 15] ?? 0,
      write: (offset, _size, value) => {
        this.#pages[offset & 15] = value & 0xff;
      },
    };
    this.#channels = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => new Channel(this, n));
    this.reset();
  }

  /** Power-on: both chips cleared, then channel 4 as POST leaves it. */
  reset(): void {
    for (const chip of this.#chips) chip.clear();
    this.#pages.fill(0);
    this.#chips[1].mode[0] = MODE_CASCADE;
    this.#chips[1].mask &= ~1;
  }

  /** Channel 0..3 (bytes) or 5..7 (words). */
  channel(n: number): DmaChannel {
    const channel = this.#channels[n];
    if (channel === undefined) throw new RangeError(`DMA channel ${n} does not exist; there are 0..7`);
    return channel;
  }

  /** For `Channel`: moves up to `buffer.length` bytes of type `type` and tells how many. */
  transfer(n: number, type: number, buffer: Uint8Array, channel: Channel): number {
    channel.terminalCount = false;
    if (!this.canTransfer(n)) return 0;
    const chip = this.#chip(n);
    const c = n & 3;
    const programmed = ((chip.mode[c] ?? 0) >> 2) & 3;
    if (programmed !== type && programmed !== TYPE_VERIFY) return 0;
    const shift = n >= 4 ? 1 : 0;
    const units = Math.min(buffer.length >> shift, (chip.count[c] ?? 0) + 1);
    if (units === 0) return 0;
    if (programmed !== TYPE_VERIFY) this.#move(n, type, buffer, units);
    channel.terminalCount = chip.step(c, units);
    return units << shift;
  }

  canTransfer(n: number): boolean {
    const chip = this.#chip(n);
    const second = this.#chips[1];
    if (!chip.enabled || (chip.mask & (1 << (n & 3))) !== 0 || ((chip.mode[n & 3] ?? 0) & 0xc0) === MODE_CASCADE) return false;
    return n >= 4 || (second.enabled && (second.mask & 1) === 0 && ((second.mode[0] ?? 0) & 0xc0) === MODE_CASCADE);
  }

  remaining(n: number): number {
    return ((this.#chip(n).count[n & 3] ?? 0) + 1) << (n >= 4 ? 1 : 0);
  }

  setRequest(n: number, level: boolean): void {
    const chip = this.#chip(n);
    if (level) chip.lines |= 1 << (n & 3);
    else chip.lines &= ~(1 << (n & 3));
  }

  saveState(): Dma8237StateV1 {
    return { v: 1, controllers: [this.#chips[0].saveState(), this.#chips[1].saveState()], pages: this.#pages.slice() };
  }

  loadState(s: Dma8237StateV1): void {
    this.#chips[0].loadState(s.controllers[0]);
    this.#chips[1].loadState(s.controllers[1]);
    this.#pages.set(s.pages.subarray(0, 16));
  }

  #chip(n: number): DmaController {
    return n < 4 ? this.#chips[0] : this.#chips[1];
  }

  /** Guest-physical address of a channel's unit: the page register on top; the 16-bit address wraps inside the page. */
  #physical(n: number, address: number): number {
    const page = this.#pages[PAGE_OF_CHANNEL[n] ?? 0] ?? 0;
    return n >= 4 ? (page & 0xfe) * 0x10000 + address * 2 : page * 0x10000 + address;
  }

  /** The data path: runs of memory without a wrap, reversed when the address counts down. */
  #move(n: number, type: number, buffer: Uint8Array, units: number): void {
    const chip = this.#chip(n);
    const c = n & 3;
    const size = n >= 4 ? 2 : 1;
    const down = ((chip.mode[c] ?? 0) & MODE_DECREMENT) !== 0;
    const maxRun = this.#reverse.length / size;
    let address = chip.address[c] ?? 0;
    for (let done = 0; done < units; ) {
      const run = Math.min(units - done, down ? Math.min(address + 1, maxRun) : 0x10000 - address);
      const part = buffer.subarray(done * size, (done + run) * size);
      if (!down) {
        const gpa = this.#physical(n, address);
        if (type === TYPE_WRITE) this.#memory.write(gpa, part);
        else this.#memory.read(gpa, part);
      } else {
        const gpa = this.#physical(n, address - run + 1);
        const scratch = this.#reverse.subarray(0, run * size);
        if (type === TYPE_WRITE) {
          reverseUnits(part, scratch, size);
          this.#memory.write(gpa, scratch);
        } else {
          this.#memory.read(gpa, scratch);
          reverseUnits(scratch, part, size);
        }
      }
      address = (down ? address - run : address + run) & 0xffff;
      done += run;
    }
  }

  /** A request written by software. Nobody drives the data bus, unless it starts a memory-to-memory transfer. */
  #software(n: number): void {
    const chip = this.#chip(n);
    const c = n & 3;
    if (!chip.enabled) return;
    if (c === 0 && (chip.command & 1) !== 0) {
      this.#memoryToMemory(n);
      return;
    }
    // Software requests are not maskable, but need block mode to be of use; in the others one unit is moved.
    const mode = chip.mode[c] ?? 0;
    if ((mode & 0xc0) === MODE_CASCADE) return;
    const units = (mode & 0xc0) === 0x80 || (mode & 0xc0) === 0 ? (chip.count[c] ?? 0) + 1 : 1;
    const type = (mode >> 2) & 3;
    if (type === TYPE_WRITE) this.#move(n, TYPE_WRITE, new Uint8Array(units * (n >= 4 ? 2 : 1)).fill(0xff), units);
    chip.step(c, units);
    chip.request &= ~(1 << c);
  }

  /** Channel 0 is the source, channel 1 the destination and the count; one byte at a time through the temporary register. */
  #memoryToMemory(n: number): void {
    const chip = this.#chip(n);
    const unit = new Uint8Array(n >= 4 ? 2 : 1);
    const total = (chip.count[1] ?? 0) + 1;
    const terminalCount0 = chip.status & 1;
    const mask0 = chip.mask & 1;
    for (let i = 0; i < total; i++) {
      this.#memory.read(this.#physical(n, chip.address[0] ?? 0), unit);
      this.#memory.write(this.#physical(n + 1, chip.address[1] ?? 0), unit);
      chip.step(0, 1);
      chip.step(1, 1);
    }
    // The service ends with channel 1; channel 0 rolling over sets no terminal count and masks nothing (82C37A, "Memory-to-memory").
    chip.status = (chip.status & ~1) | terminalCount0;
    chip.mask = (chip.mask & ~1) | mask0;
    chip.temporary = unit[0] ?? 0;
    chip.request &= ~1;
  }
}

class Channel implements DmaChannel {
  terminalCount = false;
  readonly #owner: Dma8237;
  readonly #n: number;

  constructor(owner: Dma8237, n: number) {
    this.#owner = owner;
    this.#n = n;
  }
  setRequest(level: boolean): void {
    this.#owner.setRequest(this.#n, level);
  }
  transferToMemory(bytes: Uint8Array): number {
    return this.#owner.transfer(this.#n, TYPE_WRITE, bytes, this);
  }
  transferFromMemory(into: Uint8Array): number {
    return this.#owner.transfer(this.#n, TYPE_READ, into, this);
  }
  get remaining(): number {
    return this.#owner.remaining(this.#n);
  }
  get ready(): boolean {
    return this.#owner.canTransfer(this.#n);
  }
}

function reverseUnits(from: Uint8Array, to: Uint8Array, size: number): void {
  for (let i = 0; i < from.length; i += size) {
    const j = from.length - size - i;
    to[j] = from[i] ?? 0;
    if (size === 2) to[j + 1] = from[i + 1] ?? 0;
  }
}
