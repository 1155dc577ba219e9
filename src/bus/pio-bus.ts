import { VmmError } from "../base/index.ts";
import type { AccessSize, BusDevice } from "./api.ts";

/** Sees every access after it was answered; `device` is undefined when nobody claims the address. For traces, not for policy. */
export type BusTraceHook = (write: boolean, address: number, size: AccessSize, value: number, device: BusDevice | undefined) => void;

export interface ClaimOptions {
  /** The widest access that the device decodes itself (default 4); a wider one arrives as several, low address first. */
  readonly maxSize?: AccessSize;
  /**
   * True: this claim sits inside another device's range and wins the accesses that start on it. An access that starts on the
   * outer device and lies within its range still goes there whole (CF9h inside the PCI address port CF8h..CFBh).
   */
  readonly overlay?: boolean;
}

interface Claim {
  readonly base: number;
  readonly count: number;
  readonly maxSize: AccessSize;
  readonly overlay: boolean;
  readonly device: BusDevice;
}

const PORTS = 0x10000;
const allOnes = (size: AccessSize): number => (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff);

/**
 * The 64 Ki I/O ports. One flat table from port to claim, so an access costs one load and one call.
 * An access wider than its device takes, or one that leaves the device's range, is split low byte first, as the ISA bridge does.
 */
export class PioBus {
  /** Set to watch every access. */
  hook: BusTraceHook | undefined;
  /** Accesses nobody claimed: reads give all ones, writes vanish. Counted per whole or split access. */
  unclaimedReads = 0;
  unclaimedWrites = 0;
  /** The last port nobody claimed, or -1. */
  lastUnclaimed = -1;
  readonly #map = new Uint16Array(PORTS);
  /** Index 0 is never used: it means "unclaimed" in the map. */
  readonly #claims: (Claim | undefined)[] = [undefined];

  /** Claims ports `base`..`base+count-1`. Throws VMM_BUS_OVERLAP when any of them is taken. */
  register(base: number, count: number, device: BusDevice, options: ClaimOptions = {}): void {
    const taken = this.#conflict(base, count, options.overlay === true);
    if (taken !== undefined) {
      throw new VmmError(
        "VMM_BUS_OVERLAP",
        `ports ${hex(base)}..${hex(base + count - 1)} of ${device.name} overlap ${taken.name}; give one of them another base`,
      );
    }
    this.#add(base, count, device, options);
  }

  /** As `register`, but false instead of an error: for ranges that a guest chooses (PCI BARs). */
  tryRegister(base: number, count: number, device: BusDevice, options: ClaimOptions = {}): boolean {
    if (!validRange(base, count) || this.#conflict(base, count, options.overlay === true) !== undefined) return false;
    this.#add(base, count, device, options);
    return true;
  }

  /** Gives up the claim that `device` made at `base`. False when there is none. */
  unregister(base: number, device: BusDevice): boolean {
    const index = this.#claims.findIndex((c) => c !== undefined && c.base === base && c.device === device);
    const claim = this.#claims[index];
    if (claim === undefined) return false;
    this.#claims[index] = undefined;
    for (let port = base; port < base + claim.count; port++) {
      if (this.#map[port] === index) this.#map[port] = this.#owner(port);
    }
    return true;
  }

  /** The device that answers byte accesses to `port`. */
  deviceAt(port: number): BusDevice | undefined {
    return this.#claims[this.#map[port & 0xffff] ?? 0]?.device;
  }

  /** True when some device claims the port. */
  hasMapping(port: number): boolean {
    return this.#map[port & 0xffff] !== 0;
  }

  /** IN. An unsigned value below 2^(8*size). */
  read(port: number, size: AccessSize): number {
    const claim = this.#claims[this.#map[port & 0xffff] ?? 0];
    const value =
      claim !== undefined && size <= claim.maxSize && port + size <= claim.base + claim.count
        ? claim.device.read(port - claim.base, size)
        : this.#readSplit(port, size);
    if (this.hook !== undefined) this.hook(false, port, size, value, claim?.device);
    return value;
  }

  /** OUT. `value` is unsigned; bits above the size are ignored. */
  write(port: number, size: AccessSize, value: number): void {
    const claim = this.#claims[this.#map[port & 0xffff] ?? 0];
    const v = size === 4 ? value >>> 0 : value & (size === 2 ? 0xffff : 0xff);
    if (claim !== undefined && size <= claim.maxSize && port + size <= claim.base + claim.count) claim.device.write(port - claim.base, size, v);
    else this.#writeSplit(port, size, v);
    if (this.hook !== undefined) this.hook(true, port, size, v, claim?.device);
  }

  /** Whole when unclaimed over all its bytes; else in the largest natural parts that the device under them takes. */
  #readSplit(port: number, size: AccessSize): number {
    if (this.#allUnclaimed(port, size)) {
      this.unclaimedReads++;
      this.lastUnclaimed = port;
      return allOnes(size);
    }
    let value = 0;
    for (let i = 0; i < size; ) {
      const p = (port + i) & 0xffff;
      const claim = this.#claims[this.#map[p] ?? 0];
      if (claim === undefined) {
        value |= 0xff << (8 * i);
        i++;
      } else {
        const part = partSize(claim, p, size - i);
        value |= claim.device.read(p - claim.base, part) << (8 * i);
        i += part;
      }
    }
    return size === 4 ? value >>> 0 : value & allOnes(size);
  }

  #writeSplit(port: number, size: AccessSize, value: number): void {
    if (this.#allUnclaimed(port, size)) {
      this.unclaimedWrites++;
      this.lastUnclaimed = port;
      return;
    }
    for (let i = 0; i < size; ) {
      const p = (port + i) & 0xffff;
      const claim = this.#claims[this.#map[p] ?? 0];
      if (claim === undefined) {
        i++;
      } else {
        const part = partSize(claim, p, size - i);
        const bits = value >>> (8 * i);
        claim.device.write(p - claim.base, part, part === 4 ? bits : part === 2 ? bits & 0xffff : bits & 0xff);
        i += part;
      }
    }
  }

  #allUnclaimed(port: number, size: number): boolean {
    for (let i = 0; i < size; i++) if (this.#map[(port + i) & 0xffff] !== 0) return false;
    return true;
  }

  #conflict(base: number, count: number, overlay: boolean): BusDevice | undefined {
    if (!validRange(base, count)) throw new VmmError("VMM_BUS_RANGE", `port range ${hex(base)} + ${count} lies outside 0..FFFFh`);
    return this.#claims.find((c) => c !== undefined && c.overlay === overlay && base < c.base + c.count && base + count > c.base)?.device;
  }

  #add(base: number, count: number, device: BusDevice, options: ClaimOptions): void {
    const claim: Claim = { base, count, device, maxSize: options.maxSize ?? 4, overlay: options.overlay ?? false };
    let index = this.#claims.indexOf(undefined, 1);
    if (index < 0) index = this.#claims.length;
    this.#claims[index] = claim;
    for (let port = base; port < base + count; port++) {
      const under = this.#claims[this.#map[port] ?? 0];
      if (under === undefined || claim.overlay) this.#map[port] = index;
    }
  }

  #owner(port: number): number {
    let found = 0;
    for (let i = 1; i < this.#claims.length; i++) {
      const c = this.#claims[i];
      if (c === undefined || port < c.base || port >= c.base + c.count) continue;
      if (c.overlay) return i;
      found = i;
    }
    return found;
  }
}

/** The largest of 4, 2, 1 that the device takes, that is left to do, and that stays in its range. */
function partSize(claim: Claim, port: number, left: number): AccessSize {
  const room = Math.min(left, claim.base + claim.count - port, claim.maxSize);
  return room >= 4 ? 4 : room >= 2 ? 2 : 1;
}

function validRange(base: number, count: number): boolean {
  return Number.isInteger(base) && Number.isInteger(count) && base >= 0 && count > 0 && base + count <= PORTS;
}

function hex(n: number): string {
  return `${n.toString(16).toUpperCase()}h`;
}
