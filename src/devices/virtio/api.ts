/**
 * Between a virtio transport (PCI, modern and transitional) and a device type (block, network, ...). VIRTIO 1.2 §2-§5. The transport owns status,
 * feature negotiation, queues and interrupts; the model owns its configuration space and what requests mean. Everything the guest
 * wrote is hostile: chains are already bounded and checked for loops when a model sees them.
 */

/** A request: device-readable bytes, then device-writable ones, whatever the descriptors were. */
export interface VirtioChain {
  readonly readableBytes: number;
  readonly writableBytes: number;
  /** Copies readable bytes from `offset` into `into`; returns how many there were. */
  read(offset: number, into: Uint8Array): number;
  /** Copies `from` to the writable part at `offset`; returns how many found room. */
  write(offset: number, from: Uint8Array): number;
}

export interface VirtQueue {
  /** The driver has set it up and enabled it. */
  readonly ready: boolean;
  /** The next request, or undefined. A broken ring makes the device need a reset (and gives undefined from then on). */
  pop(): VirtioChain | undefined;
  /** A popped chain given back unused, as the next to pop. Only the last popped one. */
  unpop(chain: VirtioChain): void;
  /** Returns a popped chain to the driver; `writtenBytes` of its writable part hold data. */
  push(chain: VirtioChain, writtenBytes: number): void;
  /** Interrupts the driver if it wants to know about what was pushed. Call once a batch. */
  notifyDriver(): void;
}

/** What the transport gives a model. */
export interface VirtioHost {
  /** Negotiated feature bits; valid from `activate` on. */
  readonly features: bigint;
  queue(index: number): VirtQueue;
  /** The configuration space changed by itself: generation and interrupt. */
  configChanged(): void;
}

export interface VirtioModel {
  readonly name: string;
  /** VIRTIO 1.2 §5: 1 network, 2 block, 3 console, 4 entropy, 9 9P. */
  readonly deviceType: number;
  /** PCI class code, 24 bits. */
  readonly classCode: number;
  /** Device-specific feature bits offered (0..23, 50..); the transport adds its own (RING_INDIRECT_DESC, EVENT_IDX, VERSION_1, ...). */
  readonly features: bigint;
  /** False: these features do not go together (VIRTIO 1.2 §5.*.3.1, "requires"); the driver's FEATURES_OK is refused. */
  acceptsFeatures?(features: bigint): boolean;
  /** Largest size of each queue, powers of two. */
  readonly queueSizes: readonly number[];
  /** Bytes of the device-specific configuration space. */
  readonly configBytes: number;
  readConfig(offset: number): number;
  writeConfig(offset: number, value: number): void;
  /** Plugged into a transport; once. */
  connect(host: VirtioHost): void;
  /** The driver set DRIVER_OK. */
  activate(): void;
  /** The driver put something into queue `index`. Only after `activate`. */
  notified(index: number): void;
  /** Device reset: forget requests; the queues are gone. */
  reset(): void;
  saveState(): unknown;
  /** A record of `saveState`, unchecked; `at` names it in messages. */
  loadState(record: unknown, at: string): void;
}
