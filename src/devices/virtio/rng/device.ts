import { shape } from "../../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../../base/index.ts";
import type { VirtioHost, VirtioModel } from "../api.ts";

/** Where random bytes come from: the host's generator, or a seeded one when runs must repeat. */
export interface EntropySource {
  fill(into: Uint8Array): void;
  /** What a seeded source needs to go on from here; absent for a true one. */
  saveState?(): readonly number[];
  loadState?(state: readonly number[]): void;
}

export const VIRTIO_RNG_STATE = shape.record({
  v: shape.oneOf(1),
  resumeNs: shape.moment,
  source: shape.list(shape.dword, 4, 0),
});
export type VirtioRngStateV1 = Shaped<typeof VIRTIO_RNG_STATE>;

/** xoshiro128** by Blackman and Vigna (public domain): for repeatable runs, no secret. */
export class SeededEntropy implements EntropySource {
  readonly #s = new Uint32Array(4);

  /** `seed`: any number; the state is spread from it by splitmix32. */
  constructor(seed: number) {
    let x = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let z = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      this.#s[i] = z ^ (z >>> 15);
    }
  }

  fill(into: Uint8Array): void {
    for (let at = 0; at < into.length; at += 4) {
      const word = this.#next();
      for (let i = 0; i < 4 && at + i < into.length; i++) into[at + i] = (word >>> (8 * i)) & 0xff;
    }
  }

  saveState(): readonly number[] {
    return Array.from(this.#s);
  }
  loadState(state: readonly number[]): void {
    this.#s.set(state.slice(0, 4));
  }

  #next(): number {
    const s = this.#s;
    const [a = 0, b = 0, c = 0, d = 0] = s;
    const rotate = (v: number, n: number): number => (v << n) | (v >>> (32 - n));
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9);
    s[2] = c ^ a;
    s[3] = d ^ b;
    s[1] = b ^ (s[2] ?? 0);
    s[0] = a ^ (s[3] ?? 0);
    s[2] = (s[2] ?? 0) ^ (b << 9);
    s[3] = rotate(s[3] ?? 0, 11);
    return result;
  }
}

/** The most a request gets; drivers ask again. */
const MAX_BYTES = 4096;
const BATCH_REQUESTS = 32;
const PAUSE_NS = 20_000;

/** An entropy source (VIRTIO 1.2 §5.4): one queue of buffers to fill. */
export class VirtioRng implements VirtioModel {
  readonly name = "virtio-rng";
  readonly deviceType = 4;
  readonly classCode = 0x00ff00;
  readonly features = 0n;
  readonly queueSizes = [8];
  readonly configBytes = 0;
  readonly #source: EntropySource;
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #bytes = new Uint8Array(MAX_BYTES);
  #host: VirtioHost | undefined;

  constructor(options: { readonly clock: Clock; readonly source: EntropySource }) {
    this.#source = options.source;
    this.#clock = options.clock;
    this.#timer = options.clock.createTimer("virtio-rng", () => this.notified());
  }

  connect(host: VirtioHost): void {
    this.#host = host;
  }
  activate(): void {}
  readConfig(): number {
    return 0;
  }
  writeConfig(): void {}
  reset(): void {
    this.#timer.cancel();
  }

  notified(): void {
    const queue = this.#host?.queue(0);
    if (queue === undefined || this.#timer.deadlineNs !== undefined) return;
    let served = 0;
    for (; served < BATCH_REQUESTS; served++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      const bytes = this.#bytes.subarray(0, Math.min(MAX_BYTES, chain.writableBytes));
      this.#source.fill(bytes);
      queue.push(chain, chain.write(0, bytes));
    }
    if (served > 0) queue.notifyDriver();
    if (served === BATCH_REQUESTS) this.#timer.arm(this.#clock.nowNs() + PAUSE_NS);
  }

  saveState(): VirtioRngStateV1 {
    return { v: 1, resumeNs: this.#timer.deadlineNs ?? -1, source: this.#source.saveState?.() ?? [] };
  }
  loadState(record: unknown, at: string): void {
    const state = VIRTIO_RNG_STATE(record, at);
    this.#timer.cancel();
    if (state.resumeNs >= 0) this.#timer.arm(state.resumeNs);
    if (state.source.length > 0) this.#source.loadState?.(state.source);
  }
}
