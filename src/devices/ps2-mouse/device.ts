import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { Ps2Device } from "../common/ps2.ts";

export interface Ps2MouseOptions {
  readonly clock: Clock;
  /** False: a plain two- or three-button mouse that does not answer the wheel's knock (default true). */
  readonly wheel?: boolean;
}

/** What the host may send. */
const COMMAND = {
  SCALING_1: 0xe6,
  SCALING_2: 0xe7,
  SET_RESOLUTION: 0xe8,
  STATUS: 0xe9,
  STREAM: 0xea,
  READ: 0xeb,
  END_WRAP: 0xec,
  WRAP: 0xee,
  REMOTE: 0xf0,
  IDENTIFY: 0xf2,
  SET_RATE: 0xf3,
  ENABLE: 0xf4,
  DISABLE: 0xf5,
  DEFAULTS: 0xf6,
  RESEND: 0xfe,
  RESET: 0xff,
} as const;

const ACK = 0xfa;
/** The self test passed. */
const PASSED = 0xaa;
const RESEND = 0xfe;
const NACK = 0xfc;
const MAX_OUTPUT = 32;
/** Movement that the guest does not fetch is kept up to this many counts. */
const MAX_PENDING = 4095;

export const PS2_MOUSE_STATE = shape.record({
  v: shape.oneOf(1),
  output: shape.list(shape.byte, MAX_OUTPUT, 0),
  enabled: shape.flag,
  remote: shape.flag,
  wrap: shape.flag,
  scaling2: shape.flag,
  resolution: shape.byte,
  rate: shape.byte,
  id: shape.byte,
  knock: shape.list(shape.byte, 3),
  expect: shape.byte,
  buttons: shape.byte,
  sentButtons: shape.byte,
  dx: shape.int(-MAX_PENDING, MAX_PENDING),
  dy: shape.int(-MAX_PENDING, MAX_PENDING),
  dz: shape.int(-MAX_PENDING, MAX_PENDING),
  lastReply: shape.list(shape.byte, 8, 0),
  /** The last byte was refused; absent in older snapshots. */
  refused: shape.maybe(shape.flag),
});
export type Ps2MouseStateV1 = Shaped<typeof PS2_MOUSE_STATE>;

/**
 * A PS/2 mouse: standard, IntelliMouse (wheel, ID 3) after the sample rates 200-100-80, Explorer (5 buttons, ID 4) after 200-200-80.
 * Source: IBM PS/2 mouse technical reference; Microsoft "Mouse Devices, Five-Button Wheel Mouse".
 */
export class Ps2Mouse implements Ps2Device {
  readonly name = "ps2-mouse";
  onOutput: (() => void) | undefined;
  readonly #clock: Clock;
  readonly #wheel: boolean;
  readonly #sample: Timer;
  #output: number[] = [];
  #enabled = false;
  #remote = false;
  #wrap = false;
  #scaling2 = false;
  #resolution = 2;
  #rate = 100;
  #id = 0;
  /** The last three sample rates. */
  #knock: number[] = [0, 0, 0];
  #expect = 0;
  #buttons = 0;
  #sentButtons = 0;
  #dx = 0;
  #dy = 0;
  #dz = 0;
  #lastReply: number[] = [];
  /** The last byte was refused with FEh: a second one in a row is an error (FCh). */
  #refused = false;

  constructor(options: Ps2MouseOptions) {
    this.#clock = options.clock;
    this.#wheel = options.wheel ?? true;
    this.#sample = options.clock.createTimer("ps2-mouse", () => this.#onSample());
  }

  /** Movement in counts as a screen sees it: `dx` to the right, `dy` down, `dz` wheel towards the user. */
  move(dx: number, dy: number, dz = 0): void {
    this.#dx = clamp((this.#dx + dx) | 0, MAX_PENDING);
    this.#dy = clamp((this.#dy - dy) | 0, MAX_PENDING);
    this.#dz = clamp((this.#dz + dz) | 0, 127);
    this.#changed();
  }

  /** Buttons held now: bit 0 left, 1 right, 2 middle, 3 back, 4 forward. */
  buttons(mask: number): void {
    this.#buttons = mask & 0x1f;
    this.#changed();
  }

  /** True when the guest takes packets by itself (stream mode, reporting on). */
  get reporting(): boolean {
    return this.#enabled && !this.#remote && !this.#wrap;
  }

  /** 0 standard, 3 wheel, 4 five buttons. */
  get id(): number {
    return this.#id;
  }

  hasOutput(): boolean {
    return this.#output.length > 0;
  }

  takeOutput(): number {
    const value = this.#output.shift() ?? 0;
    if (this.#output.length === 0) this.#changed();
    return value;
  }

  receive(value: number): void {
    if (this.#wrap && value !== COMMAND.END_WRAP && value !== COMMAND.RESET) {
      this.#send([value]);
      return;
    }
    const expect = this.#expect;
    const refused = this.#refused;
    this.#expect = 0;
    this.#refused = false;
    if (expect !== 0 && value < COMMAND.SCALING_1) this.#argument(expect, value, refused);
    else this.#command(value, refused);
  }

  saveState(): Ps2MouseStateV1 {
    return {
      v: 1,
      output: [...this.#output],
      enabled: this.#enabled,
      remote: this.#remote,
      wrap: this.#wrap,
      scaling2: this.#scaling2,
      resolution: this.#resolution,
      rate: this.#rate,
      id: this.#id,
      knock: [...this.#knock],
      expect: this.#expect,
      buttons: this.#buttons,
      sentButtons: this.#sentButtons,
      dx: this.#dx,
      dy: this.#dy,
      dz: this.#dz,
      lastReply: [...this.#lastReply],
      refused: this.#refused,
    };
  }

  loadState(s: Ps2MouseStateV1): void {
    this.#output = s.output.slice(0, MAX_OUTPUT);
    this.#enabled = s.enabled;
    this.#remote = s.remote;
    this.#wrap = s.wrap;
    this.#scaling2 = s.scaling2;
    this.#resolution = s.resolution;
    this.#rate = s.rate;
    this.#id = s.id;
    this.#knock = s.knock.slice(0, 3);
    this.#expect = s.expect;
    this.#buttons = s.buttons;
    this.#sentButtons = s.sentButtons;
    this.#dx = s.dx;
    this.#dy = s.dy;
    this.#dz = s.dz;
    this.#lastReply = s.lastReply.slice(0, 8);
    this.#refused = s.refused ?? false;
    this.#sample.cancel();
    if (this.hasOutput() && this.onOutput !== undefined) this.onOutput();
    this.#changed();
  }

  #command(value: number, refused: boolean): void {
    // Any command drops what was not sent yet, movement included.
    this.#output = [];
    switch (value) {
      case COMMAND.SCALING_1:
      case COMMAND.SCALING_2:
        this.#scaling2 = value === COMMAND.SCALING_2;
        this.#answer([ACK]);
        break;
      case COMMAND.SET_RESOLUTION:
      case COMMAND.SET_RATE:
        this.#expect = value;
        this.#answer([ACK]);
        break;
      case COMMAND.STATUS:
        this.#answer([ACK, this.#status(), this.#resolution, this.#rate]);
        break;
      case COMMAND.READ:
        this.#answer([ACK, ...this.#packet(false)]);
        break;
      case COMMAND.STREAM:
      case COMMAND.REMOTE:
        this.#remote = value === COMMAND.REMOTE;
        this.#startAfresh();
        break;
      case COMMAND.WRAP:
      case COMMAND.END_WRAP:
        this.#wrap = value === COMMAND.WRAP;
        this.#startAfresh();
        break;
      case COMMAND.ENABLE:
      case COMMAND.DISABLE:
        this.#enabled = value === COMMAND.ENABLE;
        this.#startAfresh();
        break;
      case COMMAND.IDENTIFY:
        this.#answer([ACK, this.#id]);
        break;
      case COMMAND.DEFAULTS:
        this.#defaults();
        this.#answer([ACK]);
        break;
      case COMMAND.RESEND:
        this.#send(this.#lastReply);
        break;
      case COMMAND.RESET:
        this.#defaults();
        this.#id = 0;
        this.#knock = [0, 0, 0];
        this.#wrap = false;
        this.#answer([ACK, PASSED, this.#id]);
        break;
      default:
        this.#refuse(refused);
        break;
    }
  }

  /** A change of mode: movement counts from here on. */
  #startAfresh(): void {
    this.#clearMovement();
    this.#answer([ACK]);
  }

  #argument(command: number, value: number, refused: boolean): void {
    this.#output = [];
    if (value === 0 ? command === COMMAND.SET_RATE : command === COMMAND.SET_RESOLUTION && value > 3) {
      // The host may send the argument once more.
      if (!refused) this.#expect = command;
      this.#refuse(refused);
      return;
    }
    if (command === COMMAND.SET_RESOLUTION) {
      this.#resolution = value;
    } else {
      this.#rate = value;
      this.#knock = [this.#knock[1] ?? 0, this.#knock[2] ?? 0, value];
      if (this.#wheel && this.#knock[0] === 200 && this.#knock[2] === 80) {
        if (this.#knock[1] === 100) this.#id = 3;
        else if (this.#knock[1] === 200) this.#id = 4;
      }
    }
    this.#answer([ACK]);
  }

  /** An invalid byte: FEh asks for it again, the second one in a row is answered FCh. */
  #refuse(again: boolean): void {
    this.#refused = !again;
    this.#answer([again ? NACK : RESEND]);
  }

  #defaults(): void {
    this.#rate = 100;
    this.#resolution = 2;
    this.#scaling2 = false;
    this.#remote = false;
    this.#enabled = false;
    this.#clearMovement();
  }

  #clearMovement(): void {
    this.#dx = 0;
    this.#dy = 0;
    this.#dz = 0;
    this.#sentButtons = this.#buttons;
  }

  #status(): number {
    const b = this.#buttons;
    const swapped = ((b & 1) << 2) | (((b >> 2) & 1) << 1) | ((b >> 1) & 1);
    return (this.#remote ? 0x40 : 0) | (this.#enabled ? 0x20 : 0) | (this.#scaling2 ? 0x10 : 0) | swapped;
  }

  /** Takes the movement into one packet; what does not fit stays for the next. 2:1 scaling is for stream mode only. */
  #packet(stream: boolean): number[] {
    const dx = clamp(this.#dx, 255);
    const dy = clamp(this.#dy, 255);
    const dz = clamp(this.#dz, this.#id === 4 ? 7 : 127);
    this.#dx -= dx;
    this.#dy -= dy;
    this.#dz = this.#id === 0 ? 0 : this.#dz - dz;
    this.#sentButtons = this.#buttons;
    const x = stream && this.#scaling2 ? scale2(dx) : dx;
    const y = stream && this.#scaling2 ? scale2(dy) : dy;
    const overflow = (Math.abs(x) > 255 ? 0x40 : 0) | (Math.abs(y) > 255 ? 0x80 : 0);
    const first = 0x08 | (this.#buttons & 7) | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0) | overflow;
    const packet = [first, clamp(x, 255) & 0xff, clamp(y, 255) & 0xff];
    if (this.#id === 3) packet.push(dz & 0xff);
    else if (this.#id === 4) packet.push((dz & 0x0f) | ((this.#buttons & 0x18) << 1));
    return packet;
  }

  #dirty(): boolean {
    const mask = this.#id === 4 ? 0x1f : 0x07;
    const wheel = this.#id !== 0 && this.#dz !== 0;
    return this.#dx !== 0 || this.#dy !== 0 || wheel || ((this.#buttons ^ this.#sentButtons) & mask) !== 0;
  }

  /** In stream mode a packet goes out when the last one is gone and the sample period has passed. */
  #changed(): void {
    if (!this.reporting || !this.#dirty() || this.#output.length > 0 || this.#sample.deadlineNs !== undefined) return;
    this.#sendPacket();
  }

  #onSample(): void {
    this.#changed();
  }

  #sendPacket(): void {
    this.#sample.arm(this.#clock.nowNs() + Math.floor(1_000_000_000 / Math.max(10, this.#rate)));
    const packet = this.#packet(true);
    this.#lastReply = packet;
    this.#send(packet);
  }

  #answer(bytes: readonly number[]): void {
    this.#lastReply = [...bytes];
    this.#send(bytes);
  }

  #send(bytes: readonly number[]): void {
    for (const b of bytes) if (this.#output.length < MAX_OUTPUT) this.#output.push(b);
    if (this.onOutput !== undefined) this.onOutput();
  }
}

function clamp(value: number, limit: number): number {
  return value > limit ? limit : value < -limit ? -limit : value;
}

/** 2:1 scaling of the reference: 1, 1, 3, 6, 9, then twice the count. */
function scale2(value: number): number {
  const n = Math.abs(value);
  const scaled = n > 5 ? 2 * n : ([0, 1, 1, 3, 6, 9][n] ?? 0);
  return value < 0 ? -scaled : scaled;
}
