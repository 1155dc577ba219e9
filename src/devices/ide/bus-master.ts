import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { BusDevice, DmaView } from "../../bus/index.ts";
import { byteRegisters } from "../common/byte-access.ts";
import type { IdeDevice } from "./device.ts";

const START = 0x01;
const TO_MEMORY = 0x08;
const ACTIVE = 0x01;
const ERROR = 0x02;
const INTERRUPT = 0x04;
/** A descriptor table may not cross 64 KB: this many entries at most. */
const MAX_DESCRIPTORS = 8192;

export const BUS_MASTER_STATE = shape.record({
  v: shape.oneOf(1),
  command: shape.byte,
  status: shape.byte,
  table: shape.dword,
  scheduled: shape.flag,
});
export type BusMasterStateV1 = Shaped<typeof BUS_MASTER_STATE>;

/**
 * One channel of the bus master IDE controller: command, status and descriptor table pointer. Moves a whole transfer at once,
 * a moment after start and drive are both ready. Source: "Programming Interface for Bus Master IDE Controller", rev. 1.0; PIIX3.
 */
export class BusMaster {
  readonly #dma: DmaView;
  readonly #timer: Timer;
  readonly #clock: Clock;
  readonly #delayNs: number;
  readonly #selected: () => IdeDevice | undefined;
  readonly #descriptor = new Uint8Array(8);
  #command = 0;
  #status = 0x60;
  #table = 0;

  constructor(options: { readonly dma: DmaView; readonly clock: Clock; readonly delayNs: number; readonly selected: () => IdeDevice | undefined }) {
    this.#dma = options.dma;
    this.#clock = options.clock;
    this.#delayNs = options.delayNs;
    this.#selected = options.selected;
    this.#timer = options.clock.createTimer("ide-dma", () => this.#transfer());
  }

  /** Registers 0..7 of the channel, bytewise. */
  read(offset: number): number {
    if (offset === 0) return this.#command;
    if (offset === 2) return this.#status;
    return offset >= 4 ? (this.#table >>> (8 * (offset - 4))) & 0xff : 0;
  }

  write(offset: number, value: number): void {
    if (offset === 0) {
      const started = (value & START) !== 0 && (this.#command & START) === 0;
      this.#command = value & (START | TO_MEMORY);
      if (started) this.#status |= ACTIVE;
      if ((value & START) === 0) {
        this.#status &= ~ACTIVE;
        this.#timer.cancel();
      }
      if (started) this.schedule();
    } else if (offset === 2) {
      // Bits 5 and 6 are the driver's notes; interrupt and error are cleared by writing one.
      this.#status = (this.#status & ~(value & (ERROR | INTERRUPT)) & ~0x60) | (value & 0x60);
    } else if (offset >= 4) {
      const shift = 8 * (offset - 4);
      this.#table = ((this.#table & ~(0xff << shift)) | (value << shift)) & ~3;
    }
  }

  /** The drive or the driver became ready. */
  schedule(): void {
    if ((this.#status & ACTIVE) === 0 || this.#selected()?.dmaPending !== true) return;
    if (this.#delayNs === 0) this.#transfer();
    else this.#timer.arm(this.#clock.nowNs() + this.#delayNs);
  }

  /** INTRQ went up. */
  interruptRaised(): void {
    this.#status |= INTERRUPT;
  }

  reset(): void {
    this.#timer.cancel();
    this.#command = 0;
    this.#status = 0x60;
    this.#table = 0;
  }

  #transfer(): void {
    const device = this.#selected();
    if (device === undefined || !device.dmaPending || (this.#status & ACTIVE) === 0) return;
    const d = this.#descriptor;
    let at = this.#table >>> 0;
    let address = 0;
    let left = 0;
    let last = false;
    for (let used = 0; device.dmaPending; ) {
      if (left === 0) {
        // The table ended before the drive did: the master stops, the drive goes on waiting.
        if (last || used === MAX_DESCRIPTORS) {
          this.#status &= ~ACTIVE;
          return;
        }
        this.#dma.read(at, d);
        at = (at & ~0xffff) + ((at + 8) & 0xffff);
        used++;
        address = (((d[0] ?? 0) & 0xfe) | ((d[1] ?? 0) << 8) | ((d[2] ?? 0) << 16) | ((d[3] ?? 0) << 24)) >>> 0;
        left = ((d[4] ?? 0) & 0xfe) | ((d[5] ?? 0) << 8);
        if (left === 0) left = 0x10000;
        last = ((d[7] ?? 0) & 0x80) !== 0;
      }
      const window = device.dmaWindow(left);
      const n = window.length;
      if (n === 0) break;
      if (device.direction === 1) this.#dma.write(address, window);
      else this.#dma.read(address, window);
      address += n;
      left -= n;
      device.dmaAdvance(n);
    }
    // Active stays on when the table describes more than the drive had.
    if (last && left === 0) this.#status &= ~ACTIVE;
  }

  saveState(): BusMasterStateV1 {
    return { v: 1, command: this.#command, status: this.#status, table: this.#table, scheduled: this.#timer.deadlineNs !== undefined };
  }

  loadState(s: BusMasterStateV1): void {
    this.#timer.cancel();
    this.#command = s.command;
    this.#status = s.status;
    this.#table = s.table;
    if (s.scheduled) this.#timer.arm(this.#clock.nowNs() + this.#delayNs);
  }
}

/** The 16 ports of BAR4: channel 0, then channel 1. */
export function busMasterPorts(primary: BusMaster, secondary: BusMaster): BusDevice {
  const half = (offset: number): BusMaster => ((offset & 8) === 0 ? primary : secondary);
  return byteRegisters(
    "ide-bus-master",
    (offset) => half(offset).read(offset & 7),
    (offset, value) => half(offset).write(offset & 7, value),
  );
}
