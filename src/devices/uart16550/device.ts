import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { ConsoleBackend } from "../../backends/api/index.ts";
import type { Clock, Timer } from "../../base/index.ts";
import type { AccessSize, BusDevice, IrqPin } from "../../bus/index.ts";
import {
  FCR_CLEAR_RX,
  FCR_ENABLE,
  IER_LINE,
  IER_MODEM,
  IER_RDA,
  IER_THRE,
  IIR_FIFO,
  IIR_LINE,
  IIR_MODEM,
  IIR_NONE,
  IIR_RDA,
  IIR_THRE,
  IIR_TIMEOUT,
  LCR_BREAK,
  LCR_DLAB,
  LCR_PARITY,
  LCR_STOP2,
  LSR_BI,
  LSR_DR,
  LSR_FE,
  LSR_FIFO_ERROR,
  LSR_OE,
  LSR_PE,
  LSR_TEMT,
  LSR_THRE,
  MCR_DTR,
  MCR_LOOP,
  MCR_OUT1,
  MCR_OUT2,
  MCR_RTS,
  MSR_CTS,
  MSR_DCD,
  MSR_DCTS,
  MSR_DDCD,
  MSR_DDSR,
  MSR_DSR,
  MSR_RI,
  MSR_TERI,
} from "./registers.ts";

/** The modem's outputs as the UART sees them; true is "on". */
export interface ModemLines {
  readonly cts: boolean;
  readonly dsr: boolean;
  readonly ri: boolean;
  readonly dcd: boolean;
}

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

const FIFO_BYTES = 16;
const TRIGGER = [1, 4, 8, 14] as const;
/** Host input waiting for the guest; more than this is dropped (someone pastes a disk image into the terminal). */
const HOST_QUEUE_BYTES = 1 << 16;
/** The wire's character time, but never slower than a human would notice nor faster than a guest can serve. */
const MIN_CHAR_NS = 20_000;
const MAX_CHAR_NS = 1_200_000;
const XTAL_HZ = 1_843_200;

export const UART16550_STATE = shape.record({
  v: shape.oneOf(1),
  fifo: shape.list(shape.word, FIFO_BYTES, 0),
  host: shape.bytes(HOST_QUEUE_BYTES, 0),
  ier: shape.byte,
  fcr: shape.byte,
  lcr: shape.byte,
  mcr: shape.byte,
  msr: shape.byte,
  scratch: shape.byte,
  divisor: shape.word,
  overrun: shape.flag,
  threPending: shape.flag,
  timedOut: shape.flag,
  rbr: shape.byte,
  lineErrors: shape.byte,
  modem: shape.byte,
});
export type Uart16550StateV1 = Shaped<typeof UART16550_STATE>;

/**
 * A 16550A serial port, eight registers. Characters are sent at once: THR is always empty, TEMT always set, and the THRE interrupt comes
 * anew after each write, so a guest is never slowed down by its console. Received characters come one character time apart and wait in
 * the host while the FIFO is full, so a guest never loses one. OUT2 gates the interrupt line, as on a PC's adapter card.
 */
export class Uart16550 implements BusDevice {
  readonly name: string;
  readonly #clock: Clock;
  readonly #pin: IrqPin;
  readonly #console: ConsoleBackend;
  readonly #receiveTimer: Timer;
  readonly #timeoutTimer: Timer;
  /** Received characters; the error bits of LSR are in bits 8..15. Without FIFO mode it holds one. */
  #fifo: number[] = [];
  readonly #host = new Uint8Array(HOST_QUEUE_BYTES);
  #hostHead = 0;
  #hostCount = 0;
  #ier = 0;
  #fcr = 0;
  #lcr = 3;
  #mcr = 0;
  /** Delta bits only; the level bits follow the lines. */
  #deltas = 0;
  #scratch = 0;
  #divisor = 12;
  #overrun = false;
  #threPending = false;
  #timedOut = false;
  #rbr = 0;
  /** Errors of the character at the top of the FIFO, not yet read through LSR. */
  #lineErrors = 0;
  #modem: number;

  constructor(options: Uart16550Options) {
    this.name = options.name;
    this.#clock = options.clock;
    this.#pin = options.pin;
    this.#console = options.console;
    this.#modem = modemBits(options.modem ?? { cts: true, dsr: true, ri: false, dcd: true });
    this.#receiveTimer = options.clock.createTimer(`${options.name}-receive`, () => this.#onReceive());
    this.#timeoutTimer = options.clock.createTimer(`${options.name}-timeout`, () => this.#onTimeout());
    options.console.onInput = (value) => this.receive(value);
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
    this.#arrive(0 | ((LSR_BI | LSR_FE) << 8));
  }

  /** A character with line errors (LSR_PE, LSR_FE). */
  receiveDamaged(value: number, errors: number): void {
    this.#arrive((value & 0xff) | ((errors & (LSR_PE | LSR_FE | LSR_BI)) << 8));
  }

  /** Host bytes that the guest has not taken: queue and FIFO. */
  get pendingInput(): number {
    return this.#hostCount + this.#fifo.length;
  }

  /** The line rate that the guest programmed, in bits per second. */
  get baud(): number {
    return XTAL_HZ / 16 / Math.max(1, this.#divisor);
  }

  /** The modem's lines change (a terminal attaches or goes away). */
  setModemLines(lines: ModemLines): void {
    const before = this.#modemStatus();
    this.#modem = modemBits(lines);
    this.#modemChanged(before);
  }

  read(offset: number, _size: AccessSize): number {
    switch (offset & 7) {
      case 0:
        return (this.#lcr & LCR_DLAB) !== 0 ? this.#divisor & 0xff : this.#readRbr();
      case 1:
        return (this.#lcr & LCR_DLAB) !== 0 ? this.#divisor >> 8 : this.#ier;
      case 2:
        return this.#readIir();
      case 3:
        return this.#lcr;
      case 4:
        return this.#mcr;
      case 5:
        return this.#readLsr();
      case 6: {
        const value = this.#modemStatus() | this.#deltas;
        this.#deltas = 0;
        this.#updatePin();
        return value;
      }
      default:
        return this.#scratch;
    }
  }

  write(offset: number, _size: AccessSize, value: number): void {
    const v = value & 0xff;
    switch (offset & 7) {
      case 0:
        if ((this.#lcr & LCR_DLAB) !== 0) this.#divisor = (this.#divisor & 0xff00) | v;
        else this.#transmit(v);
        break;
      case 1:
        if ((this.#lcr & LCR_DLAB) !== 0) this.#divisor = (this.#divisor & 0x00ff) | (v << 8);
        else this.#writeIer(v & 0x0f);
        break;
      case 2:
        this.#writeFcr(v);
        break;
      case 3:
        this.#lcr = v;
        break;
      case 4: {
        const before = this.#modemStatus();
        this.#mcr = v & 0x1f;
        this.#modemChanged(before);
        break;
      }
      case 7:
        this.#scratch = v;
        break;
      default:
        // LSR is for factory tests, MSR is read-only.
        break;
    }
  }

  saveState(): Uart16550StateV1 {
    return {
      v: 1,
      fifo: [...this.#fifo],
      host: Uint8Array.from({ length: this.#hostCount }, (_, i) => this.#host[(this.#hostHead + i) % HOST_QUEUE_BYTES] ?? 0),
      ier: this.#ier,
      fcr: this.#fcr,
      lcr: this.#lcr,
      mcr: this.#mcr,
      msr: this.#deltas,
      scratch: this.#scratch,
      divisor: this.#divisor,
      overrun: this.#overrun,
      threPending: this.#threPending,
      timedOut: this.#timedOut,
      rbr: this.#rbr,
      lineErrors: this.#lineErrors,
      modem: this.#modem,
    };
  }

  loadState(s: Uart16550StateV1): void {
    this.#fifo = s.fifo.slice(0, FIFO_BYTES);
    const host = s.host.subarray(0, HOST_QUEUE_BYTES);
    this.#host.set(host);
    this.#hostHead = 0;
    this.#hostCount = host.length;
    this.#ier = s.ier;
    this.#fcr = s.fcr;
    this.#lcr = s.lcr;
    this.#mcr = s.mcr;
    this.#deltas = s.msr;
    this.#scratch = s.scratch;
    this.#divisor = s.divisor;
    this.#overrun = s.overrun;
    this.#threPending = s.threPending;
    this.#timedOut = s.timedOut;
    this.#rbr = s.rbr;
    this.#lineErrors = s.lineErrors;
    this.#modem = s.modem;
    this.#receiveTimer.cancel();
    this.#armTimeout();
    this.#updatePin();
    this.#pump();
  }

  get #fifoMode(): boolean {
    return (this.#fcr & FCR_ENABLE) !== 0;
  }

  get #loop(): boolean {
    return (this.#mcr & MCR_LOOP) !== 0;
  }

  /** Start, data, parity and stop bits at the programmed rate, within the bounds above. */
  #charNs(): number {
    const bits = 1 + 5 + (this.#lcr & 3) + ((this.#lcr & LCR_PARITY) !== 0 ? 1 : 0) + ((this.#lcr & LCR_STOP2) !== 0 ? 2 : 1);
    return Math.min(MAX_CHAR_NS, Math.max(MIN_CHAR_NS, Math.floor((bits * 1e9) / this.baud)));
  }

  #readRbr(): number {
    const entry = this.#fifo.shift();
    if (entry !== undefined) this.#rbr = entry & 0xff;
    this.#lineErrors = (this.#fifo[0] ?? 0) >> 8;
    this.#timedOut = false;
    this.#armTimeout();
    this.#updatePin();
    this.#pump();
    return this.#rbr;
  }

  #readLsr(): number {
    const inFifo = this.#fifoMode && this.#fifo.some((entry) => entry > 0xff);
    const value =
      LSR_THRE | LSR_TEMT | (this.#fifo.length > 0 ? LSR_DR : 0) | (this.#overrun ? LSR_OE : 0) | this.#lineErrors | (inFifo ? LSR_FIFO_ERROR : 0);
    this.#overrun = false;
    this.#lineErrors = 0;
    const top = this.#fifo[0];
    if (top !== undefined) this.#fifo[0] = top & 0xff;
    this.#updatePin();
    return value;
  }

  #readIir(): number {
    const id = this.#cause();
    // Reading IIR is what resets the THRE interrupt, when it is the one shown.
    if (id === IIR_THRE) {
      this.#threPending = false;
      this.#updatePin();
    }
    return id | (this.#fifoMode ? IIR_FIFO : 0);
  }

  #writeIer(value: number): void {
    // Enabling THRE while the register is empty raises it at once.
    if ((value & IER_THRE) !== 0 && (this.#ier & IER_THRE) === 0) this.#threPending = true;
    this.#ier = value;
    this.#updatePin();
  }

  #writeFcr(value: number): void {
    const toggled = ((value ^ this.#fcr) & FCR_ENABLE) !== 0;
    this.#fcr = (value & FCR_ENABLE) !== 0 ? value & 0xc9 : 0;
    // Switching FIFO mode empties both FIFOs. The transmitter's is always empty.
    if (toggled || ((value & FCR_ENABLE) !== 0 && (value & FCR_CLEAR_RX) !== 0)) {
      this.#fifo = [];
      this.#lineErrors = 0;
      this.#timedOut = false;
      this.#timeoutTimer.cancel();
    }
    this.#updatePin();
    this.#pump();
  }

  #transmit(value: number): void {
    const data = value & (0xff >> (3 - (this.#lcr & 3)));
    this.#threPending = false;
    this.#updatePin();
    if (this.#loop) this.#arrive((this.#lcr & LCR_BREAK) !== 0 ? (LSR_BI | LSR_FE) << 8 : data);
    else if ((this.#lcr & LCR_BREAK) === 0) this.#console.writeByte(data);
    this.#threPending = true;
    this.#updatePin();
  }

  /** A character reaches the receiver. */
  #arrive(entry: number): void {
    if (!this.#fifoMode && this.#fifo.length > 0) {
      this.#overrun = true;
      this.#fifo[0] = entry;
    } else if (this.#fifo.length >= FIFO_BYTES) {
      this.#overrun = true;
    } else {
      this.#fifo.push(entry);
    }
    this.#lineErrors |= (this.#fifo[0] ?? 0) >> 8;
    this.#armTimeout();
    this.#updatePin();
  }

  /** Lets the next host character come, one character time from now, when there is room for it. */
  #pump(): void {
    if (this.#hostCount === 0 || this.#receiveTimer.deadlineNs !== undefined) return;
    if (this.#loop || this.#fifo.length >= (this.#fifoMode ? FIFO_BYTES : 1)) return;
    this.#receiveTimer.arm(this.#clock.nowNs() + this.#charNs());
  }

  #onReceive(): void {
    if (this.#hostCount === 0 || this.#loop || this.#fifo.length >= (this.#fifoMode ? FIFO_BYTES : 1)) return;
    const value = this.#host[this.#hostHead] ?? 0;
    this.#hostHead = (this.#hostHead + 1) % HOST_QUEUE_BYTES;
    this.#hostCount--;
    this.#arrive(value & (0xff >> (3 - (this.#lcr & 3))));
    this.#pump();
  }

  /** FIFO mode: characters that lie unread for four character times raise an interrupt below the trigger level. */
  #armTimeout(): void {
    if (this.#fifoMode && this.#fifo.length > 0) this.#timeoutTimer.arm(this.#clock.nowNs() + 4 * this.#charNs());
    else this.#timeoutTimer.cancel();
  }

  #onTimeout(): void {
    if (!this.#fifoMode || this.#fifo.length === 0) return;
    this.#timedOut = true;
    this.#updatePin();
  }

  /** The interrupt of highest priority, as IIR shows it. */
  #cause(): number {
    if ((this.#ier & IER_LINE) !== 0 && (this.#overrun || this.#lineErrors !== 0)) return IIR_LINE;
    if ((this.#ier & IER_RDA) !== 0) {
      const level = this.#fifoMode ? (TRIGGER[this.#fcr >> 6] ?? 1) : 1;
      if (this.#fifo.length >= level) return IIR_RDA;
      if (this.#timedOut) return IIR_TIMEOUT;
    }
    if ((this.#ier & IER_THRE) !== 0 && this.#threPending) return IIR_THRE;
    if ((this.#ier & IER_MODEM) !== 0 && this.#deltas !== 0) return IIR_MODEM;
    return IIR_NONE;
  }

  #updatePin(): void {
    // In loopback the OUT2 output itself is inactive, so the card's gate is shut.
    this.#pin.set(this.#cause() !== IIR_NONE && (this.#mcr & (MCR_OUT2 | MCR_LOOP)) === MCR_OUT2);
  }

  /** Upper half of MSR. In loopback the four inputs are the four outputs. */
  #modemStatus(): number {
    if (!this.#loop) return this.#modem;
    const m = this.#mcr;
    return (
      ((m & MCR_RTS) !== 0 ? MSR_CTS : 0) |
      ((m & MCR_DTR) !== 0 ? MSR_DSR : 0) |
      ((m & MCR_OUT1) !== 0 ? MSR_RI : 0) |
      ((m & MCR_OUT2) !== 0 ? MSR_DCD : 0)
    );
  }

  #modemChanged(before: number): void {
    const now = this.#modemStatus();
    const changed = before ^ now;
    if ((changed & MSR_CTS) !== 0) this.#deltas |= MSR_DCTS;
    if ((changed & MSR_DSR) !== 0) this.#deltas |= MSR_DDSR;
    if ((changed & MSR_DCD) !== 0) this.#deltas |= MSR_DDCD;
    // The ring indicator counts at its trailing edge.
    if ((before & MSR_RI) !== 0 && (now & MSR_RI) === 0) this.#deltas |= MSR_TERI;
    this.#updatePin();
    this.#pump();
  }
}

function modemBits(lines: ModemLines): number {
  return (lines.cts ? MSR_CTS : 0) | (lines.dsr ? MSR_DSR : 0) | (lines.ri ? MSR_RI : 0) | (lines.dcd ? MSR_DCD : 0);
}
