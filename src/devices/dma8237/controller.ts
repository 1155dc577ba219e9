import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
/**
 * The registers of one 8237A, without the data path. Source: Intel 8237A data sheet (231466), "Register Description" and
 * "Software Commands". Addresses and counts are in the chip's own units (bytes or words).
 */

const COMMAND_DISABLE = 0x04;

export const DMA_CONTROLLER_STATE = shape.record({
  baseAddress: shape.list(shape.word, 4),
  baseCount: shape.list(shape.word, 4),
  address: shape.list(shape.word, 4),
  count: shape.list(shape.word, 4),
  mode: shape.list(shape.byte, 4),
  mask: shape.int(0, 15),
  request: shape.int(0, 15),
  lines: shape.int(0, 15),
  status: shape.byte,
  command: shape.byte,
  temporary: shape.byte,
  flipFlop: shape.flag,
});
export type DmaControllerState = Shaped<typeof DMA_CONTROLLER_STATE>;

export class DmaController {
  readonly baseAddress = new Uint16Array(4);
  readonly baseCount = new Uint16Array(4);
  readonly address = new Uint16Array(4);
  readonly count = new Uint16Array(4);
  readonly mode = new Uint8Array(4);
  /** Bit set: the channel's requests are ignored. */
  mask = 0x0f;
  /** Software requests. */
  request = 0;
  /** DREQ lines, as the status register shows them. */
  lines = 0;
  /** Terminal count bits. */
  status = 0;
  command = 0;
  temporary = 0;
  /** False: the next byte of an address or a count is the low one. */
  flipFlop = false;
  readonly #softwareRequest: (channel: number) => void;

  /** `softwareRequest` runs the transfer that a write to the request register starts. */
  constructor(softwareRequest: (channel: number) => void) {
    this.#softwareRequest = softwareRequest;
  }

  get enabled(): boolean {
    return (this.command & COMMAND_DISABLE) === 0;
  }

  /** Hardware reset and the master clear command. */
  clear(): void {
    this.mask = 0x0f;
    this.request = 0;
    this.status = 0;
    this.command = 0;
    this.temporary = 0;
    this.flipFlop = false;
  }

  /** One unit was moved on `channel`. True at terminal count (the count rolled over to FFFFh). */
  step(channel: number, units: number): boolean {
    const old = this.count[channel] ?? 0;
    const delta = this.hold(channel) ? 0 : units;
    const address = this.address[channel] ?? 0;
    this.address[channel] = ((this.mode[channel] ?? 0) & 0x20) !== 0 ? address - delta : address + delta;
    this.count[channel] = old - units;
    if (units <= old) return false;
    this.status |= 1 << channel;
    this.request &= ~(1 << channel);
    if (((this.mode[channel] ?? 0) & 0x10) !== 0) {
      this.address[channel] = this.baseAddress[channel] ?? 0;
      this.count[channel] = this.baseCount[channel] ?? 0;
    } else {
      this.mask |= 1 << channel;
    }
    return true;
  }

  /** Channel 0 keeps its address in memory-to-memory transfers when the command says so. */
  hold(channel: number): boolean {
    return channel === 0 && (this.command & 3) === 3;
  }

  /** `register` 0..15. */
  read(register: number): number {
    if (register < 8) {
      const values = (register & 1) === 0 ? this.address : this.count;
      const value = values[register >> 1] ?? 0;
      this.flipFlop = !this.flipFlop;
      return this.flipFlop ? value & 0xff : value >> 8;
    }
    switch (register) {
      case 0x8: {
        const value = this.status | ((this.lines | this.request) << 4);
        this.status = 0;
        return value;
      }
      case 0xd:
        return this.temporary;
      default:
        // Later parts read the mask back here; the original floats.
        return register === 0xf ? 0xf0 | this.mask : 0xff;
    }
  }

  write(register: number, value: number): void {
    if (register < 8) {
      this.#writeHalf(register, value);
      return;
    }
    const channel = value & 3;
    switch (register) {
      case 0x8:
        this.command = value;
        break;
      case 0x9:
        if ((value & 4) !== 0) {
          this.request |= 1 << channel;
          this.#softwareRequest(channel);
        } else {
          this.request &= ~(1 << channel);
        }
        break;
      case 0xa:
        if ((value & 4) !== 0) this.mask |= 1 << channel;
        else this.mask &= ~(1 << channel);
        break;
      case 0xb:
        this.mode[channel] = value & 0xfc;
        break;
      case 0xc:
        this.flipFlop = false;
        break;
      case 0xd:
        this.clear();
        break;
      case 0xe:
        this.mask = 0;
        break;
      default:
        this.mask = value & 0x0f;
        break;
    }
  }

  #writeHalf(register: number, value: number): void {
    const channel = register >> 1;
    const base = (register & 1) === 0 ? this.baseAddress : this.baseCount;
    const current = (register & 1) === 0 ? this.address : this.count;
    const old = base[channel] ?? 0;
    const next = this.flipFlop ? (old & 0x00ff) | (value << 8) : (old & 0xff00) | value;
    base[channel] = next;
    current[channel] = next;
    this.flipFlop = !this.flipFlop;
  }

  saveState(): DmaControllerState {
    return {
      baseAddress: [...this.baseAddress],
      baseCount: [...this.baseCount],
      address: [...this.address],
      count: [...this.count],
      mode: [...this.mode],
      mask: this.mask,
      request: this.request,
      lines: this.lines,
      status: this.status,
      command: this.command,
      temporary: this.temporary,
      flipFlop: this.flipFlop,
    };
  }

  loadState(s: DmaControllerState): void {
    this.baseAddress.set(s.baseAddress.slice(0, 4));
    this.baseCount.set(s.baseCount.slice(0, 4));
    this.address.set(s.address.slice(0, 4));
    this.count.set(s.count.slice(0, 4));
    this.mode.set(s.mode.slice(0, 4));
    this.mask = s.mask;
    this.request = s.request;
    this.lines = s.lines;
    this.status = s.status;
    this.command = s.command;
    this.temporary = s.temporary;
    this.flipFlop = s.flipFlop;
  }
}
