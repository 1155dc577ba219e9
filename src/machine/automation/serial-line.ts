import { shape, Utf8Stream } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { ConsoleBackend } from "../../backends/api/index.ts";

/** What is kept of a line's output, in characters; a guest may print for ever. */
const MAX_KEPT = 4 * 1024 * 1024;
/** A look at new output searches at most this much of what was there before. */
const RECENT = 64 * 1024;

export const SERIAL_LINE_STATE = shape.record({
  v: shape.oneOf(1),
  /** What waits to be fed to the guest. */
  input: shape.bytes(MAX_KEPT, 0),
  /** Recent output that nobody has waited for. */
  unread: shape.text(RECENT),
});
export type SerialLineStateV1 = Shaped<typeof SERIAL_LINE_STATE>;

/**
 * One serial line as automation sees it: everything the guest printed, and input fed at the line's own pace. Passes both
 * directions on to the backend that the user asked for.
 */
export class SerialLine implements ConsoleBackend {
  readonly name: string;
  onInput: ((value: number) => void) | undefined;
  readonly #outer: ConsoleBackend | undefined;
  readonly #feeder: Timer;
  readonly #clock: Clock;
  readonly #input: number[] = [];
  readonly #decoder = new Utf8Stream();
  readonly #pending = new Uint8Array(16 * 1024);
  #used = 0;
  #text = "";
  /** Start in `#text` of what no `waitFor` has matched yet. */
  #unread = 0;
  /** True while the receiver has room for a byte; the wiring sets it, since only the UART knows. */
  canReceive: () => boolean = () => true;
  /** Told every byte that the guest prints. */
  readonly listeners = new Set<(value: number) => void>();
  /** Told when much was printed at once, so that watchers look before it scrolls by. */
  onBurst: (() => void) | undefined;

  constructor(clock: Clock, name: string, outer: ConsoleBackend | undefined) {
    this.name = name;
    this.#clock = clock;
    this.#outer = outer;
    this.#feeder = clock.createTimer(`${name}-input`, () => this.#feed());
    if (outer !== undefined) outer.onInput = (value) => this.push(value);
  }

  writeByte(value: number): void {
    this.#pending[this.#used++] = value;
    this.#outer?.writeByte(value);
    if (this.listeners.size > 0) for (const listener of this.listeners) listener(value);
    if (this.#used === this.#pending.length) {
      this.#decode();
      this.onBurst?.();
    }
  }

  /** Everything printed (UTF-8, carriage returns removed), the last 4 Mi characters of it. */
  text(): string {
    this.#decode();
    return this.#text;
  }

  /** What was printed since the last match; without `all` only the recent part, for repeated looks. */
  unread(all: boolean): string {
    this.#decode();
    return this.#text.slice(all ? this.#unread : Math.max(this.#unread, this.#text.length - RECENT));
  }

  /** A match ended so many characters before the end of the text: the next `waitFor` starts after it. */
  consume(charactersAfterMatch: number): void {
    this.#unread = Math.max(this.#unread, this.#text.length - charactersAfterMatch);
  }

  /** Queues one byte for the guest. */
  push(value: number): void {
    this.#input.push(value & 0xff);
    if (this.#feeder.deadlineNs === undefined) this.#feeder.arm(this.#clock.nowNs() + 1);
  }

  /** How many queued bytes the guest has not been given yet. */
  get waitingInput(): number {
    return this.#input.length;
  }

  saveState(): SerialLineStateV1 {
    return { v: 1, input: Uint8Array.from(this.#input), unread: this.unread(false) };
  }
  /** The feeder's timer is the owner's to arm. */
  loadState(s: SerialLineStateV1): void {
    this.#input.splice(0, this.#input.length, ...s.input.subarray(0, RECENT));
    this.#text = s.unread;
    this.#unread = 0;
  }

  #decode(): void {
    if (this.#used === 0) return;
    this.#text += this.#decoder.push(this.#pending.subarray(0, this.#used)).replaceAll("\r", "");
    this.#used = 0;
    if (this.#text.length > MAX_KEPT) {
      const drop = this.#text.length - MAX_KEPT / 2;
      this.#text = this.#text.slice(drop);
      this.#unread = Math.max(0, this.#unread - drop);
    }
  }

  #feed(): void {
    const value = this.canReceive() ? this.#input.shift() : undefined;
    if (value !== undefined) this.onInput?.(value);
    // 115200 baud: a byte takes 87 microseconds.
    if (this.#input.length > 0) this.#feeder.arm(this.#clock.nowNs() + 87_000);
  }
}
