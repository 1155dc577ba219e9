import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { ConsoleBackend } from "../../backends/api/index.ts";
import type { AccessSize, BusDevice, IrqPin } from "../../bus/index.ts";
import { UART_CHIP_STATE, UartChip } from "./chip.ts";
import type { ModemLines } from "./chip.ts";
import { LSR_BI, LSR_FE, LSR_PE } from "./registers.ts";

export interface Uart16550Options {
  /** "com1": for messages and traces. */
  readonly name: string;
  readonly clock: Clock;
  readonly pin: IrqPin;
  /** The other end of the line. Its `onInput` is taken over. */
  readonly console: ConsoleBackend;
  /** The modem's lines at power-on (default: CTS, DSR and DCD on, a cable to a live terminal). */
  readonly modem?: ModemLines;
}

/** Host input waiting for the guest; more than this is dropped (someone pastes a disk image into the terminal). */
const HOST_QUEUE_BYTES = 1 << 16;

export const UART16550_STATE = shape.record({
  v: shape.oneOf(1),
  ...UART_CHIP_STATE,
  /** Characters of the host that the receiver had no room for yet. */
  host: shape.bytes(HOST_QUEUE_BYTES, 0),
});
export type Uart16550StateV1 = Shaped<typeof UART16550_STATE>;

/**
 * A 16550A serial port: the chip with its interrupt wire, its line's time and the host at the other end. A guest is never slowed down by its console:
 * characters leave at once. Received ones come one character time apart and wait in the host while the receiver is full, so a guest never loses one.
 */
export class Uart16550 implements BusDevice {
  readonly name: string;
  readonly #clock: Clock;
  readonly #chip: UartChip;
  readonly #receiveTimer: Timer;
  readonly #timeoutTimer: Timer;
  readonly #host = new Uint8Array(HOST_QUEUE_BYTES);
  #hostHead = 0;
  #hostCount = 0;

  constructor(options: Uart16550Options) {
    const { name, clock, pin, console } = options;
    this.name = name;
    this.#clock = clock;
    this.#chip = new UartChip(
      {
        interrupt: (level) => pin.set(level),
        transmit: (value) => console.writeByte(value),
        unread: (waiting) => this.#unread(waiting),
        moved: () => this.#pump(),
      },
      options.modem ?? { cts: true, dsr: true, ri: false, dcd: true },
    );
    this.#receiveTimer = clock.createTimer(`${name}-receive`, () => this.#onReceive());
    this.#timeoutTimer = clock.createTimer(`${name}-timeout`, () => this.#chip.timeOut());
    console.onInput = (value) => this.receive(value);
  }

  read(offset: number, _size: AccessSize): number {
    return this.#chip.read(offset);
  }
  write(offset: number, _size: AccessSize, value: number): void {
    this.#chip.write(offset, value);
  }

  /** One character from the host. It reaches the guest when the receiver has room. False: the queue is full and it was dropped. */
  receive(value: number): boolean {
    if (this.#hostCount === HOST_QUEUE_BYTES) return false;
    this.#host[(this.#hostHead + this.#hostCount) % HOST_QUEUE_BYTES] = value & 0xff;
    this.#hostCount++;
    this.#pump();
    return true;
  }
  /** A break condition on the line: a zero character with BI and FE. */
  receiveBreak(): void {
    this.#chip.arrive(0 | ((LSR_BI | LSR_FE) << 8));
  }
  /** A character with line errors (LSR_PE, LSR_FE). */
  receiveDamaged(value: number, errors: number): void {
    this.#chip.arrive((value & 0xff) | ((errors & (LSR_PE | LSR_FE | LSR_BI)) << 8));
  }
  /** Host bytes that the guest has not taken: queue and FIFO. */
  get pendingInput(): number {
    return this.#hostCount + this.#chip.held;
  }
  /** The line rate that the guest programmed, in bits per second. */
  get baud(): number {
    return this.#chip.baud;
  }
  /** The modem's lines change (a terminal attaches or goes away). */
  setModemLines(lines: ModemLines): void {
    this.#chip.setModemLines(lines);
  }

  saveState(): Uart16550StateV1 {
    const host = Uint8Array.from({ length: this.#hostCount }, (_, i) => this.#host[(this.#hostHead + i) % HOST_QUEUE_BYTES] ?? 0);
    return { v: 1, ...this.#chip.saveState(), host };
  }
  loadState(s: Uart16550StateV1): void {
    this.#host.set(s.host);
    this.#hostHead = 0;
    this.#hostCount = s.host.length;
    this.#receiveTimer.cancel();
    this.#chip.loadState(s);
  }

  /** Lets the next host character come, one character time from now, when there is room for it. */
  #pump(): void {
    if (this.#hostCount === 0 || this.#receiveTimer.deadlineNs !== undefined || !this.#chip.hasRoom) return;
    this.#receiveTimer.arm(this.#clock.nowNs() + this.#chip.charNs);
  }
  #onReceive(): void {
    if (this.#hostCount === 0 || !this.#chip.hasRoom) return;
    const value = this.#host[this.#hostHead] ?? 0;
    this.#hostHead = (this.#hostHead + 1) % HOST_QUEUE_BYTES;
    this.#hostCount--;
    this.#chip.receive(value);
    this.#pump();
  }
  #unread(waiting: boolean): void {
    if (waiting) this.#timeoutTimer.arm(this.#clock.nowNs() + 4 * this.#chip.charNs);
    else this.#timeoutTimer.cancel();
  }
}
