import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { KeyPort } from "../board/sockets.ts";
import { isKeyName } from "../../devices/index.ts";
import type { KeyChord, KeyName } from "./keys.ts";

interface Stroke {
  readonly key: KeyName;
  readonly down: boolean;
  readonly last: (() => void) | undefined;
}

export const TYPIST_STATE = shape.record({
  v: shape.oneOf(1),
  /** Keys that are not typed yet: name, and whether it goes down. */
  strokes: shape.list(shape.pair(shape.that(isKeyName, "a key's name"), shape.flag), 2 ** 24, 0),
  waitingSince: shape.count,
  staleRing: shape.whole,
});
export type TypistStateV1 = Shaped<typeof TYPIST_STATE>;

/** Time between two key events, ns of guest time: a fast typist, and slow enough for a guest that polls. */
const GAP_NS = 8_000_000;
/** A guest that reads no keyboard for this long gets the next key all the same. */
const STALL_NS = 2_000_000_000;
/** The BIOS ring holds 15 keys; some are left to a person. */
const RING_LIMIT = 8;

/** Types queued keys as fast as the guest takes them, timed by the guest's clock so that a run repeats exactly. */
export class Typist {
  readonly #clock: Clock;
  readonly #port: KeyPort;
  readonly #onTyped: () => void;
  readonly #timer: Timer;
  readonly #queue: Stroke[] = [];
  #waitingSince = 0;
  /** Ring fill that did not change for a stall's length: stale data of a BIOS that nobody uses any more. */
  #staleRing = -1;
  #ended = false;
  #unsentPresses = 0;

  /** `onTyped` runs before the awaiting code does: it holds the guest until that code had its turn. */
  constructor(clock: Clock, port: KeyPort, onTyped: () => void) {
    this.#clock = clock;
    this.#port = port;
    this.#onTyped = onTyped;
    this.#timer = clock.createTimer("typist", () => this.#step());
  }

  /** Queues chords; resolves when the guest was sent the last one, or is no more. */
  type(chords: readonly KeyChord[]): Promise<void> {
    if (this.#ended) for (const chord of chords) this.#unsentPresses += chord.length;
    if (chords.length === 0 || this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      chords.forEach((chord, i) => this.#queueChord(chord, i === chords.length - 1 ? resolve : undefined));
      if (this.#timer.deadlineNs === undefined) {
        this.#waitingSince = this.#clock.nowNs();
        this.#timer.arm(this.#clock.nowNs() + 1);
      }
    });
  }

  /** Keys that were to go down when the machine had ended already; one that was only not let go yet does not count. */
  get unsentPresses(): number {
    return this.#unsentPresses;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  /** Drops what is not typed yet (a reset of the machine). */
  clear(): void {
    this.#timer.cancel();
    for (const stroke of this.#queue.splice(0)) stroke.last?.();
  }

  /** The machine ended: nobody takes keys any more, and nobody may wait for that (the Enter of a "poweroff" is never released). */
  end(): void {
    this.#ended = true;
    this.#unsentPresses = this.#queue.filter((s) => s.down).length;
    this.clear();
  }

  saveState(): TypistStateV1 {
    return { v: 1, strokes: this.#queue.map((s) => [s.key, s.down]), waitingSince: this.#waitingSince, staleRing: this.#staleRing };
  }
  /** The timer is the owner's to arm. */
  loadState(s: TypistStateV1): void {
    this.#queue.splice(0, this.#queue.length, ...s.strokes.map(([key, down]) => ({ key, down, last: undefined })));
    this.#waitingSince = s.waitingSince;
    this.#staleRing = s.staleRing;
  }

  #queueChord(chord: KeyChord, last: (() => void) | undefined): void {
    // Alt and keypad digits: the digits are typed one after the other under a held Alt.
    const sequential = chord.length > 2 && chord.slice(1).every((name) => /^Numpad\d$/.test(name));
    const down = (name: KeyName): void => void this.#queue.push({ key: name, down: true, last: undefined });
    const up = (name: KeyName, done?: () => void): void => void this.#queue.push({ key: name, down: false, last: done });
    const [first, ...rest] = chord;
    if (first === undefined) return;
    if (sequential) {
      down(first);
      for (const name of rest) {
        down(name);
        up(name);
      }
      up(first, last);
      return;
    }
    for (const name of chord) down(name);
    for (const name of [...chord].reverse()) up(name, name === first ? last : undefined);
  }

  #step(): void {
    const now = this.#clock.nowNs();
    const stroke = this.#queue[0];
    if (stroke === undefined) return;
    if (!this.#ready(now, stroke)) {
      this.#timer.arm(now + GAP_NS);
      return;
    }
    this.#queue.shift();
    this.#port.key(stroke.key, stroke.down);
    this.#waitingSince = now;
    if (stroke.last !== undefined) {
      this.#onTyped();
      stroke.last();
    }
    if (this.#queue.length > 0) this.#timer.arm(now + GAP_NS);
  }

  #ready(now: number, stroke: Stroke): boolean {
    const stalled = now - this.#waitingSince >= STALL_NS;
    if (!this.#port.ready()) return stalled;
    if (!stroke.down) return true;
    const waiting = this.#port.waitingKeys();
    if (waiting !== this.#staleRing) this.#staleRing = -1;
    if (waiting < RING_LIMIT || this.#staleRing >= 0) return true;
    if (stalled) this.#staleRing = waiting;
    return stalled;
  }
}
