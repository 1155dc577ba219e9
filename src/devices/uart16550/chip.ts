import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { UART_REGISTER } from "../../isa/index.ts";
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

/** What the chip drives. */
export interface UartWires {
  /** INTR behind the OUT2 gate of a PC's adapter card. */
  interrupt(level: boolean): void;
  /** A character leaves. */
  transmit(value: number): void;
  /** FIFO mode: characters lie unread; `timeOut()` is due in four character times, counted anew. False: none do. */
  unread(waiting: boolean): void;
  /** Something changed that may have made room for a character. */
  moved(): void;
}

export const FIFO_BYTES = 16;
/** Characters that raise the receive interrupt, by FCR bits 7:6. */
const TRIGGER = [1, 4, 8, 14] as const;
/** The wire's character time, but never slower than a human would notice nor faster than a guest can serve. */
const MIN_CHAR_NS = 20_000;
const MAX_CHAR_NS = 1_200_000;
const XTAL_HZ = 1_843_200;

/** The chip's part of a saved serial port. */
export const UART_CHIP_STATE = {
  fifo: shape.list(shape.word, FIFO_BYTES, 0),
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
} as const;
export type UartChipState = { readonly [Name in keyof typeof UART_CHIP_STATE]: Shaped<(typeof UART_CHIP_STATE)[Name]> };

/**
 * The registers of a 16550A. Characters are sent at once: THR is always empty, TEMT always set, and the THRE interrupt comes anew after each write.
 */
export class UartChip {
  readonly #wires: UartWires;
  /** Received characters; the error bits of LSR are in bits 8..15. Without FIFO mode it holds one. */
  #fifo: number[] = [];
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

  constructor(wires: UartWires, lines: ModemLines) {
    this.#wires = wires;
    this.#modem = modemBits(lines);
  }

  /** Received characters that the guest has not taken. */
  get held(): number {
    return this.#fifo.length;
  }
  /** The receiver takes a character from the line. */
  get hasRoom(): boolean {
    return !this.#loop && this.#fifo.length < (this.#fifoMode ? FIFO_BYTES : 1);
  }
  /** Bits per second. */
  get baud(): number {
    return XTAL_HZ / 16 / Math.max(1, this.#divisor);
  }
  /** Start, data, parity and stop bits at the programmed rate, within the bounds above. */
  get charNs(): number {
    const bits = 1 + 5 + (this.#lcr & 3) + ((this.#lcr & LCR_PARITY) !== 0 ? 1 : 0) + ((this.#lcr & LCR_STOP2) !== 0 ? 2 : 1);
    return Math.min(MAX_CHAR_NS, Math.max(MIN_CHAR_NS, Math.floor((bits * 1e9) / this.baud)));
  }

  setModemLines(lines: ModemLines): void {
    const before = this.#modemStatus();
    this.#modem = modemBits(lines);
    this.#modemChanged(before);
  }

  read(offset: number): number {
    switch (offset & 7) {
      case UART_REGISTER.DATA:
        return (this.#lcr & LCR_DLAB) !== 0 ? this.#divisor & 0xff : this.#readRbr();
      case UART_REGISTER.IER:
        return (this.#lcr & LCR_DLAB) !== 0 ? this.#divisor >> 8 : this.#ier;
      case UART_REGISTER.IIR:
        return this.#readIir();
      case UART_REGISTER.LCR:
        return this.#lcr;
      case UART_REGISTER.MCR:
        return this.#mcr;
      case UART_REGISTER.LSR:
        return this.#readLsr();
      case UART_REGISTER.MSR: {
        const value = this.#modemStatus() | this.#deltas;
        this.#deltas = 0;
        this.#updatePin();
        return value;
      }
      default:
        return this.#scratch;
    }
  }

  write(offset: number, value: number): void {
    const v = value & 0xff;
    switch (offset & 7) {
      case UART_REGISTER.DATA:
        if ((this.#lcr & LCR_DLAB) !== 0) this.#divisor = (this.#divisor & 0xff00) | v;
        else this.#transmit(v);
        break;
      case UART_REGISTER.IER:
        if ((this.#lcr & LCR_DLAB) !== 0) this.#divisor = (this.#divisor & 0x00ff) | (v << 8);
        else this.#writeIer(v & 0x0f);
        break;
      case UART_REGISTER.FCR:
        this.#writeFcr(v);
        break;
      case UART_REGISTER.LCR:
        this.#lcr = v;
        break;
      case UART_REGISTER.MCR: {
        const before = this.#modemStatus();
        this.#mcr = v & 0x1f;
        this.#modemChanged(before);
        break;
      }
      case UART_REGISTER.SCRATCH:
        this.#scratch = v;
        break;
      default:
        // LSR is for factory tests, MSR is read-only.
        break;
    }
  }

  /** A character of the line, cut to the programmed length. */
  receive(value: number): void {
    this.arrive(value & (0xff >> (3 - (this.#lcr & 3))));
  }
  /** A character reaches the receiver; line errors (LSR bits) in bits 8..15. */
  arrive(entry: number): void {
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
  /** Four character times have passed over unread characters. */
  timeOut(): void {
    if (!this.#fifoMode || this.#fifo.length === 0) return;
    this.#timedOut = true;
    this.#updatePin();
  }

  saveState(): UartChipState {
    return {
      fifo: [...this.#fifo],
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
  loadState(s: UartChipState): void {
    this.#fifo = [...s.fifo];
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
    this.#armTimeout();
    this.#updatePin();
    this.#wires.moved();
  }

  get #fifoMode(): boolean {
    return (this.#fcr & FCR_ENABLE) !== 0;
  }

  get #loop(): boolean {
    return (this.#mcr & MCR_LOOP) !== 0;
  }

  #readRbr(): number {
    const entry = this.#fifo.shift();
    if (entry !== undefined) this.#rbr = entry & 0xff;
    this.#lineErrors = (this.#fifo[0] ?? 0) >> 8;
    this.#timedOut = false;
    this.#armTimeout();
    this.#updatePin();
    this.#wires.moved();
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
      this.#wires.unread(false);
    }
    this.#updatePin();
    this.#wires.moved();
  }

  #transmit(value: number): void {
    const data = value & (0xff >> (3 - (this.#lcr & 3)));
    this.#threPending = false;
    this.#updatePin();
    if (this.#loop) this.arrive((this.#lcr & LCR_BREAK) !== 0 ? (LSR_BI | LSR_FE) << 8 : data);
    else if ((this.#lcr & LCR_BREAK) === 0) this.#wires.transmit(data);
    this.#threPending = true;
    this.#updatePin();
  }

  #armTimeout(): void {
    this.#wires.unread(this.#fifoMode && this.#fifo.length > 0);
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
    this.#wires.interrupt(this.#cause() !== IIR_NONE && (this.#mcr & (MCR_OUT2 | MCR_LOOP)) === MCR_OUT2);
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
    this.#wires.moved();
  }
}

function modemBits(lines: ModemLines): number {
  return (lines.cts ? MSR_CTS : 0) | (lines.dsr ? MSR_DSR : 0) | (lines.ri ? MSR_RI : 0) | (lines.dcd ? MSR_DCD : 0);
}
