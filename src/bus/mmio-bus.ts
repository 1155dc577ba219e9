import { VmmError } from "../base/index.ts";
import type { AccessSize, BusDevice } from "./api.ts";
import type { BusTraceHook } from "./pio-bus.ts";

interface Range {
  readonly base: number;
  /** First address after the range. */
  readonly end: number;
  readonly maxSize: AccessSize;
  readonly device: BusDevice;
}

/**
 * Guest-physical addresses that devices answer. Addresses are integers below 2^40, so plain numbers and no bit operations on them.
 * Ranges are sorted and do not overlap; the last range hit is tried first, since accesses come in runs (a screen, a ring).
 */
export class MmioBus {
  /** Set to watch every access. */
  hook: BusTraceHook | undefined;
  /** Accesses nobody claimed: reads give all ones, writes vanish. */
  unclaimedReads = 0;
  unclaimedWrites = 0;
  /** The last address nobody claimed, or -1. */
  lastUnclaimed = -1;
  #ranges: Range[] = [];
  #last: Range | undefined;

  /** Claims `sizeBytes` bytes from `base`. Throws VMM_BUS_OVERLAP when another device has any of them. */
  register(base: number, sizeBytes: number, device: BusDevice, options: { readonly maxSize?: AccessSize } = {}): void {
    if (!valid(base, sizeBytes))
      throw new VmmError("VMM_BUS_RANGE", `memory range ${hex(base)} + ${sizeBytes} of ${device.name} is not a physical range`);
    const taken = this.#overlapping(base, base + sizeBytes);
    if (taken !== undefined) {
      throw new VmmError("VMM_BUS_OVERLAP", `memory ${hex(base)}..${hex(base + sizeBytes - 1)} of ${device.name} overlaps ${taken.device.name}`);
    }
    this.#insert({ base, end: base + sizeBytes, maxSize: options.maxSize ?? 4, device });
  }

  /** As `register`, but false instead of an error: for ranges that a guest chooses (PCI BARs). */
  tryRegister(base: number, sizeBytes: number, device: BusDevice, options: { readonly maxSize?: AccessSize } = {}): boolean {
    if (!valid(base, sizeBytes) || this.#overlapping(base, base + sizeBytes) !== undefined) return false;
    this.#insert({ base, end: base + sizeBytes, maxSize: options.maxSize ?? 4, device });
    return true;
  }

  /** Gives up the claim that `device` made at `base`. False when there is none. */
  unregister(base: number, device: BusDevice): boolean {
    const index = this.#ranges.findIndex((r) => r.base === base && r.device === device);
    if (index < 0) return false;
    this.#ranges.splice(index, 1);
    this.#last = undefined;
    return true;
  }

  deviceAt(gpa: number): BusDevice | undefined {
    return this.#find(gpa)?.device;
  }

  /** True when a device answers at this guest-physical address. */
  hasMapping(gpa: number): boolean {
    return this.#find(gpa) !== undefined;
  }

  read(gpa: number, size: AccessSize): number {
    const range = this.#find(gpa);
    const value =
      range !== undefined && size <= range.maxSize && gpa + size <= range.end
        ? range.device.read(gpa - range.base, size)
        : this.#readSplit(gpa, size);
    if (this.hook !== undefined) this.hook(false, gpa, size, value, range?.device);
    return value;
  }

  write(gpa: number, size: AccessSize, value: number): void {
    const range = this.#find(gpa);
    const v = size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
    if (range !== undefined && size <= range.maxSize && gpa + size <= range.end) range.device.write(gpa - range.base, size, v);
    else this.#writeSplit(gpa, size, v);
    if (this.hook !== undefined) this.hook(true, gpa, size, v, range?.device);
  }

  #find(gpa: number): Range | undefined {
    const last = this.#last;
    if (last !== undefined && gpa >= last.base && gpa < last.end) return last;
    const ranges = this.#ranges;
    let low = 0;
    let high = ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const range = ranges[middle];
      if (range === undefined) break;
      if (gpa < range.base) high = middle - 1;
      else if (gpa >= range.end) low = middle + 1;
      else {
        this.#last = range;
        return range;
      }
    }
    return undefined;
  }

  #readSplit(gpa: number, size: AccessSize): number {
    let value = 0;
    let claimed = false;
    for (let i = 0; i < size; ) {
      const range = this.#find(gpa + i);
      if (range === undefined) {
        value |= 0xff << (8 * i);
        i++;
      } else {
        const part = partSize(range, gpa + i, size - i);
        value |= range.device.read(gpa + i - range.base, part) << (8 * i);
        i += part;
        claimed = true;
      }
    }
    if (!claimed) {
      this.unclaimedReads++;
      this.lastUnclaimed = gpa;
    }
    return size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
  }

  #writeSplit(gpa: number, size: AccessSize, value: number): void {
    let claimed = false;
    for (let i = 0; i < size; ) {
      const range = this.#find(gpa + i);
      if (range === undefined) {
        i++;
      } else {
        const part = partSize(range, gpa + i, size - i);
        const bits = value >>> (8 * i);
        range.device.write(gpa + i - range.base, part, part === 4 ? bits : part === 2 ? bits & 0xffff : bits & 0xff);
        i += part;
        claimed = true;
      }
    }
    if (!claimed) {
      this.unclaimedWrites++;
      this.lastUnclaimed = gpa;
    }
  }

  #overlapping(base: number, end: number): Range | undefined {
    return this.#ranges.find((r) => base < r.end && end > r.base);
  }

  #insert(range: Range): void {
    this.#ranges = [...this.#ranges, range].sort((a, b) => a.base - b.base);
    this.#last = undefined;
  }
}

function partSize(range: Range, gpa: number, left: number): AccessSize {
  const room = Math.min(left, range.end - gpa, range.maxSize);
  return room >= 4 ? 4 : room >= 2 ? 2 : 1;
}

function valid(base: number, sizeBytes: number): boolean {
  return Number.isInteger(base) && Number.isInteger(sizeBytes) && base >= 0 && sizeBytes > 0 && base + sizeBytes <= 2 ** 52;
}

function hex(n: number): string {
  return `${n.toString(16).toUpperCase()}h`;
}
