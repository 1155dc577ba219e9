import { shape } from "../../../base/index.ts";
import type { Shaped } from "../../../base/index.ts";
import type { ConsoleBackend } from "../../../backends/api/index.ts";
import type { VirtioChain, VirtQueue } from "../api.ts";

/** Input that waits for buffers of the guest, in bytes. */
const INPUT_BYTES = 4096;
const PIECE_BYTES = 4096;

export const CONSOLE_PORT_STATE = shape.record({
  input: shape.list(shape.byte, INPUT_BYTES, 0),
  ready: shape.flag,
  open: shape.flag,
  /** Bytes of the first unanswered output request that were printed. */
  printed: shape.dword,
});
export type ConsolePortStateV1 = Shaped<typeof CONSOLE_PORT_STATE>;

/** One port: bytes to and from a backend through a receive and a transmit queue. */
export class ConsolePort {
  readonly backend: ConsoleBackend;
  /** A console (hvcN) rather than a device file. */
  readonly isConsole: boolean;
  readonly name: string | undefined;
  /** The driver knows the port; a program of the guest has it open. */
  ready = false;
  open = false;
  readonly #input = new Uint8Array(INPUT_BYTES);
  #inputAt = 0;
  #inputBytes = 0;
  /** An output request longer than a batch, and how much of it is printed. */
  #output: VirtioChain | undefined;
  #printed = 0;
  readonly #piece = new Uint8Array(PIECE_BYTES);

  constructor(options: { readonly backend: ConsoleBackend; readonly isConsole: boolean; readonly name: string | undefined }) {
    this.backend = options.backend;
    this.isConsole = options.isConsole;
    this.name = options.name;
  }

  get room(): number {
    return INPUT_BYTES - this.#inputBytes;
  }

  /** A byte from the host; lost when nobody has taken 4096 earlier ones. */
  push(value: number): void {
    if (this.room === 0) return;
    this.#input[(this.#inputAt + this.#inputBytes++) % INPUT_BYTES] = value;
  }

  reset(): void {
    this.ready = false;
    this.open = false;
    this.#inputBytes = 0;
    this.#output = undefined;
    this.#printed = 0;
  }

  /** Hands waiting input to the guest, as far as it has buffers. */
  feed(queue: VirtQueue): void {
    let used = 0;
    while (this.#inputBytes > 0) {
      const chain = queue.pop();
      if (chain === undefined) break;
      let written = 0;
      while (this.#inputBytes > 0) {
        const run = this.#input.subarray(this.#inputAt, Math.min(INPUT_BYTES, this.#inputAt + this.#inputBytes));
        const n = chain.write(written, run);
        written += n;
        this.#inputAt = (this.#inputAt + n) % INPUT_BYTES;
        this.#inputBytes -= n;
        if (n < run.length) break;
      }
      queue.push(chain, written);
      used++;
    }
    if (used > 0) queue.notifyDriver();
  }

  /** Prints up to `budget` bytes (a request counts for at least 16); what is left of it, 0 when it was not enough. */
  print(queue: VirtQueue, budget: number): number {
    let left = budget;
    let used = 0;
    while (left > 0) {
      const chain = this.#output ?? queue.pop();
      if (chain === undefined) break;
      this.#output = chain;
      left -= 16;
      while (left > 0 && this.#printed < chain.readableBytes) {
        const n = chain.read(this.#printed, this.#piece);
        for (let i = 0; i < n; i++) this.backend.writeByte(this.#piece[i] ?? 0);
        this.#printed += n;
        left -= n;
      }
      if (this.#printed < chain.readableBytes) break;
      this.#output = undefined;
      this.#printed = 0;
      queue.push(chain, 0);
      used++;
    }
    if (used > 0) queue.notifyDriver();
    return Math.max(0, left);
  }

  saveState(): ConsolePortStateV1 {
    const input = Array.from({ length: this.#inputBytes }, (_, i) => this.#input[(this.#inputAt + i) % INPUT_BYTES] ?? 0);
    return { input, ready: this.ready, open: this.open, printed: this.#printed };
  }
  loadState(state: ConsolePortStateV1): void {
    this.reset();
    for (const byte of state.input) this.push(byte);
    this.ready = state.ready;
    this.open = state.open;
    // The request itself is the next one that its queue gives.
    this.#printed = state.printed;
  }
}
