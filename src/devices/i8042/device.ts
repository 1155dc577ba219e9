import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { BusDevice, IrqPin } from "../../bus/index.ts";
import type { Ps2Device } from "../common/ps2.ts";
import { SET2_TO_SET1 } from "../common/scan-translation.ts";
import {
  CB_AUX_IRQ,
  CB_AUX_OFF,
  CB_KEYBOARD_IRQ,
  CB_KEYBOARD_OFF,
  CB_SYSTEM,
  CB_TRANSLATE,
  OUT_A20,
  OUT_AUX_IRQ,
  OUT_KEYBOARD_IRQ,
  OUT_RESET,
  STATUS_AUX_OBF,
  STATUS_COMMAND,
  STATUS_OBF,
  STATUS_SYSTEM,
  STATUS_UNLOCKED,
} from "./registers.ts";

export interface I8042Options {
  readonly clock: Clock;
  /** IRQ1: the output buffer holds a byte of the keyboard or of the controller. */
  readonly keyboardPin: IrqPin;
  /** IRQ12: the output buffer holds a byte of the mouse. */
  readonly auxPin: IrqPin;
  readonly keyboard?: Ps2Device;
  readonly aux?: Ps2Device;
  /** The A20 gate of the output port. Called on a change. */
  readonly a20: (enabled: boolean) => void;
  /** Output port bit 0 went low: CPU reset. */
  readonly reset: () => void;
  /** A20 at power-on (default true). */
  readonly a20Enabled?: boolean;
}

/** One byte takes 11 bit times on a PS/2 wire of 10 to 16.7 kHz; a TSR may read 60h again within that time and see the same byte. */
const WIRE_NS = 700_000;
/** The controller's own answers: a few dozen of its instructions. */
const CONTROLLER_NS = 20_000;
/** After POST: both IRQ lines as the BIOS leaves them, translation on, system flag set, mouse off. */
const POST_COMMAND_BYTE = CB_KEYBOARD_IRQ | CB_SYSTEM | CB_AUX_OFF | CB_TRANSLATE;
/** Test inputs and input port: keyboard not locked, manufacturing jumper out, both data and clock lines high. */
const INPUT_PORT = 0xa3;
const MAX_REPLIES = 64;
/** Marks a reply as one that shows in the mouse's buffer. */
const AUX = 0x100;

export const I8042_STATE = shape.record({
  v: shape.oneOf(1),
  ram: shape.bytes(32),
  output: shape.byte,
  outputFull: shape.flag,
  outputAux: shape.flag,
  outputPort: shape.byte,
  lastWasCommand: shape.flag,
  expect: shape.byte,
  statusHigh: shape.int(-1, 0xff),
  breakPrefix: shape.flag,
  systemFlag: shape.flag,
  replies: shape.list(shape.int(0, AUX | 0xff), MAX_REPLIES, 0),
});
export type I8042StateV1 = Shaped<typeof I8042_STATE>;

/** The PS/2 keyboard controller: `data` is port 60h, `command` port 64h. */
export class I8042 {
  readonly data: BusDevice;
  readonly command: BusDevice;
  readonly #keyboardPin: IrqPin;
  readonly #auxPin: IrqPin;
  readonly #keyboard: Ps2Device | undefined;
  readonly #aux: Ps2Device | undefined;
  readonly #a20: (enabled: boolean) => void;
  readonly #reset: () => void;
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #ram = new Uint8Array(32);
  /** The controller's own bytes, before those of the devices. Bit 8: AUX. */
  #replies: number[] = [];
  #output = 0;
  #outputFull = false;
  #outputAux = false;
  #outputPort: number;
  #lastWasCommand = false;
  /** The command whose data byte comes next at port 60h, or 0. */
  #expect = 0;
  /** Upper status nibble while a C1h/C2h poll runs, or -1. */
  #statusHigh = -1;
  /** The keyboard's F0h was swallowed: the next code is a break. */
  #breakPrefix = false;
  #systemFlag = true;

  constructor(options: I8042Options) {
    this.#clock = options.clock;
    this.#keyboardPin = options.keyboardPin;
    this.#auxPin = options.auxPin;
    this.#keyboard = options.keyboard;
    this.#aux = options.aux;
    this.#a20 = options.a20;
    this.#reset = options.reset;
    this.#outputPort = 0xcc | OUT_RESET | (options.a20Enabled === false ? 0 : OUT_A20);
    this.#ram[0] = POST_COMMAND_BYTE;
    this.#timer = options.clock.createTimer("i8042", () => this.#deliver());
    if (this.#keyboard !== undefined) this.#keyboard.onOutput = () => this.#pull();
    if (this.#aux !== undefined) this.#aux.onOutput = () => this.#pull();
    this.data = { name: "i8042-data", read: () => this.#readData(), write: (_offset, _size, value) => this.#writeData(value & 0xff) };
    this.command = { name: "i8042-command", read: () => this.#status(), write: (_offset, _size, value) => this.#writeCommand(value & 0xff) };
  }

  /** The A20 bit of the output port. */
  get a20(): boolean {
    return (this.#outputPort & OUT_A20) !== 0;
  }

  /** Follows an A20 change made elsewhere (port 92h, INT 15h) in machines whose gates are one latch. No callback. */
  setA20(enabled: boolean): void {
    this.#outputPort = enabled ? this.#outputPort | OUT_A20 : this.#outputPort & ~OUT_A20;
  }

  get commandByte(): number {
    return this.#ram[0] ?? 0;
  }

  saveState(): I8042StateV1 {
    return {
      v: 1,
      ram: this.#ram.slice(),
      output: this.#output,
      outputFull: this.#outputFull,
      outputAux: this.#outputAux,
      outputPort: this.#outputPort,
      lastWasCommand: this.#lastWasCommand,
      expect: this.#expect,
      statusHigh: this.#statusHigh,
      breakPrefix: this.#breakPrefix,
      systemFlag: this.#systemFlag,
      replies: [...this.#replies],
    };
  }

  loadState(s: I8042StateV1): void {
    this.#ram.set(s.ram.subarray(0, 32));
    this.#output = s.output;
    this.#outputFull = s.outputFull;
    this.#outputAux = s.outputAux;
    this.#outputPort = s.outputPort;
    this.#lastWasCommand = s.lastWasCommand;
    this.#expect = s.expect;
    this.#statusHigh = s.statusHigh;
    this.#breakPrefix = s.breakPrefix;
    this.#systemFlag = s.systemFlag;
    this.#replies = s.replies.slice(0, MAX_REPLIES);
    this.#updatePins();
    this.#timer.cancel();
    this.#pull();
  }

  #status(): number {
    const low = (this.#outputFull ? STATUS_OBF : 0) | (this.#systemFlag ? STATUS_SYSTEM : 0) | (this.#lastWasCommand ? STATUS_COMMAND : 0);
    if (this.#statusHigh >= 0) return low | this.#statusHigh;
    return low | STATUS_UNLOCKED | (this.#outputFull && this.#outputAux ? STATUS_AUX_OBF : 0);
  }

  #readData(): number {
    if (this.#outputFull) {
      this.#outputFull = false;
      this.#updatePins();
      this.#pull();
    }
    return this.#output;
  }

  #writeData(value: number): void {
    this.#lastWasCommand = false;
    const expect = this.#expect;
    this.#expect = 0;
    if (expect >= 0x60 && expect <= 0x7f) {
      this.#writeRam(expect & 31, value);
      return;
    }
    switch (expect) {
      case 0xa5:
        // The password ends with a zero; there is none to keep.
        if (value !== 0) this.#expect = 0xa5;
        break;
      case 0xd1:
        this.#writeOutputPort(value);
        break;
      case 0xd2:
        this.#reply(value);
        break;
      case 0xd3:
        this.#reply(value | AUX);
        break;
      case 0xd4:
        this.#setCommandByte(this.commandByte & ~CB_AUX_OFF);
        if (this.#aux !== undefined) this.#aux.receive(value);
        // Nothing on the wire: the controller reports a time-out.
        else this.#reply(0xfe | AUX);
        break;
      default:
        // A byte for the keyboard also turns its interface on.
        this.#setCommandByte(this.commandByte & ~CB_KEYBOARD_OFF);
        if (this.#keyboard !== undefined) this.#keyboard.receive(value);
        else this.#reply(0xfe);
        break;
    }
  }

  #writeCommand(value: number): void {
    this.#lastWasCommand = true;
    this.#expect = 0;
    this.#statusHigh = -1;
    if (value >= 0x20 && value <= 0x3f) {
      this.#reply(this.#ram[value & 31] ?? 0);
      return;
    }
    if (value >= 0xf0) {
      // Pulses the output port bits that are 0 in the low nibble; only the reset line is of consequence.
      if ((value & OUT_RESET) === 0) this.#reset();
      return;
    }
    if ((value >= 0x60 && value <= 0x7f) || value === 0xa5 || (value >= 0xd1 && value <= 0xd4)) {
      this.#expect = value;
      return;
    }
    this.#execute(value);
  }

  #execute(value: number): void {
    switch (value) {
      case 0xa4:
        // No password installed.
        this.#reply(0xf1);
        break;
      case 0xa7:
        this.#setCommandByte(this.commandByte | CB_AUX_OFF);
        break;
      case 0xa8:
        this.#setCommandByte(this.commandByte & ~CB_AUX_OFF);
        break;
      case 0xa9:
      case 0xab:
        // Interface tests: clock and data lines are not stuck.
        this.#reply(0x00);
        break;
      case 0xaa:
        this.#systemFlag = true;
        this.#reply(0x55);
        break;
      case 0xac:
        for (let i = 0; i < 16; i++) this.#reply(this.#ram[i] ?? 0);
        this.#reply(INPUT_PORT);
        this.#reply(this.#readOutputPort());
        this.#reply(0);
        break;
      case 0xad:
        this.#setCommandByte(this.commandByte | CB_KEYBOARD_OFF);
        break;
      case 0xae:
        this.#setCommandByte(this.commandByte & ~CB_KEYBOARD_OFF);
        break;
      case 0xc0:
        this.#reply(INPUT_PORT);
        break;
      case 0xc1:
        this.#statusHigh = (INPUT_PORT & 0x0f) << 4;
        break;
      case 0xc2:
        this.#statusHigh = INPUT_PORT & 0xf0;
        break;
      case 0xd0:
        this.#reply(this.#readOutputPort());
        break;
      case 0xdd:
        this.#writeOutputPort(this.#outputPort & ~OUT_A20);
        break;
      case 0xdf:
        this.#writeOutputPort(this.#outputPort | OUT_A20);
        break;
      case 0xe0:
        // T0 (keyboard clock) and T1 (mouse clock) idle high while their interfaces are on.
        this.#reply(((this.commandByte & CB_KEYBOARD_OFF) === 0 ? 1 : 0) | ((this.commandByte & CB_AUX_OFF) === 0 ? 2 : 0));
        break;
      default:
        break;
    }
  }

  #writeRam(index: number, value: number): void {
    if (index === 0) {
      this.#systemFlag = (value & CB_SYSTEM) !== 0;
      this.#setCommandByte(value);
    } else {
      this.#ram[index] = value;
    }
  }

  #setCommandByte(value: number): void {
    this.#ram[0] = value;
    this.#updatePins();
    this.#pull();
  }

  #readOutputPort(): number {
    return this.#outputPort | (this.#outputFull ? (this.#outputAux ? OUT_AUX_IRQ : OUT_KEYBOARD_IRQ) : 0);
  }

  #writeOutputPort(value: number): void {
    const changed = (value ^ this.#outputPort) & OUT_A20;
    this.#outputPort = value & ~(OUT_KEYBOARD_IRQ | OUT_AUX_IRQ);
    if (changed !== 0) this.#a20((value & OUT_A20) !== 0);
    if ((value & OUT_RESET) === 0) {
      this.#outputPort |= OUT_RESET;
      this.#reset();
    }
  }

  #reply(value: number): void {
    if (this.#replies.length < MAX_REPLIES) this.#replies.push(value);
    this.#pull();
  }

  /** Fetches the next byte after its delay, when the output buffer is free. */
  #pull(): void {
    if (this.#outputFull) return;
    if (this.#replies.length > 0) this.#armWithin(CONTROLLER_NS);
    else if (this.#deviceReady() !== undefined) this.#armWithin(WIRE_NS);
  }

  #armWithin(ns: number): void {
    const deadline = this.#clock.nowNs() + ns;
    const pending = this.#timer.deadlineNs;
    if (pending === undefined || pending > deadline) this.#timer.arm(deadline);
  }

  #deviceReady(): Ps2Device | undefined {
    const cb = this.commandByte;
    if ((cb & CB_KEYBOARD_OFF) === 0 && this.#keyboard?.hasOutput() === true) return this.#keyboard;
    if ((cb & CB_AUX_OFF) === 0 && this.#aux?.hasOutput() === true) return this.#aux;
    return undefined;
  }

  #deliver(): void {
    if (this.#outputFull) return;
    const reply = this.#replies.shift();
    if (reply !== undefined) {
      this.#fill(reply & 0xff, (reply & AUX) !== 0);
      return;
    }
    const device = this.#deviceReady();
    if (device === undefined) return;
    const value = device.takeOutput() & 0xff;
    if (device === this.#aux) {
      this.#fill(value, true);
    } else if ((this.commandByte & CB_TRANSLATE) === 0) {
      this.#breakPrefix = false;
      this.#fill(value, false);
    } else if (value === 0xf0) {
      this.#breakPrefix = true;
      this.#pull();
    } else {
      const code = SET2_TO_SET1[value] ?? 0;
      const release = this.#breakPrefix;
      this.#breakPrefix = false;
      this.#fill(release ? code | 0x80 : code, false);
    }
  }

  #fill(value: number, aux: boolean): void {
    this.#output = value;
    this.#outputFull = true;
    this.#outputAux = aux;
    this.#updatePins();
  }

  #updatePins(): void {
    const cb = this.commandByte;
    this.#keyboardPin.set(this.#outputFull && !this.#outputAux && (cb & CB_KEYBOARD_IRQ) !== 0);
    this.#auxPin.set(this.#outputFull && this.#outputAux && (cb & CB_AUX_IRQ) !== 0);
  }
}
