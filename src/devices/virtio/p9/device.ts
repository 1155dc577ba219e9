import { shape } from "../../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../../base/index.ts";
import type { FileTree } from "../../../backends/api/index.ts";
import type { VirtioHost, VirtioModel } from "../api.ts";
import { P9_SERVER_STATE, P9Server } from "./server.ts";

const F_MOUNT_TAG = 1n << 0n;
const QUEUE_SIZE = 128;
/** Work done inside one notification. */
const BATCH_MESSAGES = 32;
const BATCH_BYTES = 2 * 1024 * 1024;
const PAUSE_NS = 10_000;

export const VIRTIO_P9_STATE = shape.record({
  v: shape.oneOf(1),
  resumeNs: shape.moment,
  server: P9_SERVER_STATE,
});
export type VirtioP9StateV1 = Shaped<typeof VIRTIO_P9_STATE>;

/** A shared directory (VIRTIO 1.2 §5.10, Linux's "9p over virtio"): each request carries a 9P message and room for its answer. */
export class VirtioP9 implements VirtioModel {
  readonly name = "virtio-9p";
  readonly deviceType = 9;
  readonly classCode = 0x000200;
  readonly features = F_MOUNT_TAG;
  readonly queueSizes = [QUEUE_SIZE];
  readonly configBytes: number;
  readonly #config: Uint8Array;
  readonly #server: P9Server;
  readonly #clock: Clock;
  readonly #timer: Timer;
  #request = new Uint8Array(8192);
  #host: VirtioHost | undefined;

  /** `tag`: what `mount -t 9p TAG DIR` names; 1 to 31 ASCII characters. */
  constructor(options: { readonly clock: Clock; readonly tree: FileTree; readonly tag: string }) {
    const tag = options.tag.slice(0, 255);
    this.configBytes = 2 + tag.length;
    this.#config = Uint8Array.from([tag.length, 0, ...Array.from(tag, (c) => c.charCodeAt(0) & 0xff)]);
    this.#server = new P9Server(options.tree);
    this.#clock = options.clock;
    this.#timer = options.clock.createTimer("virtio-9p", () => this.notified());
  }

  connect(host: VirtioHost): void {
    this.#host = host;
  }
  activate(): void {}
  readConfig(offset: number): number {
    return this.#config[offset] ?? 0;
  }
  writeConfig(): void {}
  reset(): void {
    this.#timer.cancel();
    this.#server.reset();
  }

  notified(): void {
    const queue = this.#host?.queue(0);
    if (queue === undefined || this.#timer.deadlineNs !== undefined) return;
    let served = 0;
    let bytes = 0;
    for (;;) {
      if (served >= BATCH_MESSAGES || bytes >= BATCH_BYTES) {
        this.#timer.arm(this.#clock.nowNs() + PAUSE_NS);
        break;
      }
      const chain = queue.pop();
      if (chain === undefined) break;
      const length = Math.min(chain.readableBytes, this.#server.messageBytes);
      if (this.#request.length < length) this.#request = new Uint8Array(length);
      const request = this.#request.subarray(0, length);
      chain.read(0, request);
      const answer = this.#server.answer(request, chain.writableBytes);
      queue.push(chain, chain.write(0, answer));
      served++;
      bytes += length + answer.length;
    }
    if (served > 0) queue.notifyDriver();
  }

  saveState(): VirtioP9StateV1 {
    return { v: 1, resumeNs: this.#timer.deadlineNs ?? -1, server: this.#server.saveState() };
  }
  loadState(record: unknown, at: string): void {
    const state = VIRTIO_P9_STATE(record, at);
    this.#timer.cancel();
    if (state.resumeNs >= 0) this.#timer.arm(state.resumeNs);
    this.#server.loadState(state.server);
  }
}
