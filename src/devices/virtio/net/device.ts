import { shape } from "../../../base/index.ts";
import type { Shaped } from "../../../base/index.ts";
import type { FrameOffload, NetBackend } from "../../../backends/api/index.ts";
import { NO_OFFLOADS } from "../../../backends/api/index.ts";
import type { VirtioChain, VirtioHost, VirtioModel, VirtQueue } from "../api.ts";
import { CONTROL_ERROR, MAX_COMMAND, runCommand } from "./control.ts";
import { NET_FILTER_STATE, NetFilter } from "./filter.ts";
import { NET_F, LONG_HEADER, VERSION_1, headerBytes, parseHeader, writeHeader } from "./header.ts";

export interface VirtioNetOptions {
  /** "net0": for messages. */
  readonly name?: string;
  /** The other end of the cable. Its `onReceive` is taken over. */
  readonly backend: NetBackend;
  /** Six bytes, not a group address. */
  readonly mac: Uint8Array;
  /** Told to the driver when given: 68..65535. */
  readonly mtu?: number;
  /** Told of each frame that reached the guest's memory: they come while a machine sleeps. */
  readonly onDelivered?: () => void;
}

const RX = 0;
const TX = 1;
const CONTROL = 2;
const LINK_UP = 1;
const ANNOUNCE = 2;
/** An IP packet of 64 KiB in an Ethernet frame with a VLAN tag, and a little more. */
const MAX_FRAME = 65536 + 64;
const MIN_FRAME = 14;
/** Offloads that the driver may switch while it runs. */
const SWITCHABLE = NET_F.GUEST_CSUM | NET_F.GUEST_TSO4;
/** In Mbit/s, with full duplex: drivers only show it. */
const SPEED = 10_000;

export const VIRTIO_NET_STATE = shape.record({
  v: shape.oneOf(1),
  linkUp: shape.flag,
  announce: shape.flag,
  active: shape.flag,
  guestOffloads: shape.count,
  filter: NET_FILTER_STATE,
});
export type VirtioNetStateV1 = Shaped<typeof VIRTIO_NET_STATE>;

/**
 * A virtio network card (VIRTIO 1.2 §5.1): one pair of queues and a control queue. Checksums and the cutting of large TCP frames are left
 * to the backend in both directions when it and the driver agree, so a bulk transfer is a few frames of 64 KiB.
 */
export class VirtioNet implements VirtioModel {
  readonly name: string;
  readonly deviceType = 1;
  readonly classCode = 0x020000;
  readonly features: bigint;
  readonly queueSizes = [256, 256, 64] as const;
  readonly configBytes = 17;
  readonly #backend: NetBackend;
  readonly #mac: Uint8Array;
  readonly #mtu: number;
  readonly #onDelivered: (() => void) | undefined;
  readonly #filter = new NetFilter();
  readonly #frame = new Uint8Array(MAX_FRAME);
  readonly #header = new Uint8Array(LONG_HEADER);
  readonly #headerView = new DataView(this.#header.buffer);
  readonly #offload = { csumStart: 0, csumOffset: 0, gsoSize: 0, headerBytes: 0 };
  /** Buffers gathered for one frame. */
  readonly #gathered: VirtioChain[] = [];
  #host: VirtioHost | undefined;
  #active = false;
  #headerBytes = 10;
  #mergeable = false;
  /** Negotiated feature bits that only the receiving side needs. */
  #guestOffloads = 0n;
  #linkUp = true;
  #announce = false;
  /** A frame found no buffers: the backend waits for more. */
  #starved = false;
  /** Frames sent, taken, and those that the guest or its driver spoilt. */
  readonly counters = { sent: 0, received: 0, filtered: 0, badHeaders: 0, tooLong: 0 };

  constructor(options: VirtioNetOptions) {
    this.name = options.name ?? "virtio-net";
    this.#backend = options.backend;
    this.#mac = options.mac.slice(0, 6);
    this.#mtu = options.mtu ?? 0;
    this.#onDelivered = options.onDelivered;
    const { MTU, CSUM, HOST_TSO4, GUEST_CSUM, GUEST_TSO4, CTRL_GUEST_OFFLOADS, MAC, MRG_RXBUF, STATUS } = NET_F;
    const { CTRL_VQ, CTRL_RX, CTRL_VLAN, CTRL_RX_EXTRA, GUEST_ANNOUNCE, CTRL_MAC_ADDR, SPEED_DUPLEX } = NET_F;
    const { checksum, tso4 } = this.#backend.offloads ?? NO_OFFLOADS;
    const receives = this.#backend.setGuestOffloads !== undefined;
    this.features =
      (checksum ? CSUM : 0n) |
      (checksum && tso4 ? HOST_TSO4 : 0n) |
      (receives ? GUEST_CSUM | GUEST_TSO4 | CTRL_GUEST_OFFLOADS : 0n) |
      (this.#mtu === 0 ? 0n : MTU) |
      MAC |
      MRG_RXBUF |
      STATUS |
      CTRL_VQ |
      CTRL_RX |
      CTRL_VLAN |
      CTRL_RX_EXTRA |
      GUEST_ANNOUNCE |
      CTRL_MAC_ADDR |
      SPEED_DUPLEX;
    this.#filter.reset(this.#mac);
    this.#backend.onReceive = (frame, offload) => this.#receive(frame, offload);
    // The backend may have served an earlier card.
    this.#backend.setGuestOffloads?.(NO_OFFLOADS);
  }

  connect(host: VirtioHost): void {
    this.#host = host;
  }

  /** The cable is plugged in or pulled out. */
  setLink(up: boolean): void {
    if (this.#linkUp === up) return;
    this.#linkUp = up;
    this.#host?.configChanged();
  }

  /** Asks the driver to make itself known to the network, as after a move (§5.1.6.5.4). */
  announce(): void {
    if (this.#host === undefined || !this.#active || (this.#host.features & NET_F.GUEST_ANNOUNCE) === 0n) return;
    this.#announce = true;
    this.#host.configChanged();
  }

  readConfig(offset: number): number {
    if (offset < 6) return this.#filter.mac[offset] ?? 0;
    switch (offset) {
      case 6:
        return (this.#linkUp ? LINK_UP : 0) | (this.#announce ? ANNOUNCE : 0);
      // One pair of queues.
      case 8:
        return 1;
      case 10:
        return this.#mtu & 0xff;
      case 11:
        return this.#mtu >>> 8;
      case 12:
        return SPEED & 0xff;
      case 13:
        return SPEED >>> 8;
      case 16:
        return 1;
      default:
        return 0;
    }
  }

  writeConfig(offset: number, value: number): void {
    // Drivers of virtio 0.9 write their address here; modern ones use the control queue (§5.1.4.1).
    if (offset < 6 && ((this.#host?.features ?? 0n) & VERSION_1) === 0n) this.#filter.mac[offset] = value;
  }

  activate(): void {
    const features = this.#host?.features ?? 0n;
    this.#active = true;
    this.#guestOffloads = features & SWITCHABLE;
    if ((features & NET_F.CTRL_VLAN) !== 0n) this.#filter.filterVlans();
    this.#configure(features);
    this.#backend.ready();
  }

  #configure(features: bigint): void {
    this.#headerBytes = headerBytes(features);
    this.#mergeable = (features & NET_F.MRG_RXBUF) !== 0n;
    const checksum = (this.#guestOffloads & NET_F.GUEST_CSUM) !== 0n;
    this.#backend.setGuestOffloads?.({ checksum, tso4: checksum && (this.#guestOffloads & NET_F.GUEST_TSO4) !== 0n });
  }

  reset(): void {
    this.#active = false;
    this.#announce = false;
    this.#starved = false;
    this.#guestOffloads = 0n;
    this.#filter.reset(this.#mac);
    this.#backend.setGuestOffloads?.(NO_OFFLOADS);
  }

  notified(index: number): void {
    const queue = this.#host?.queue(index);
    if (queue === undefined || !this.#active) return;
    if (index === TX) this.#transmit(queue);
    else if (index === CONTROL) this.#control(queue);
    else if (index === RX && this.#starved) {
      this.#starved = false;
      this.#backend.ready();
    }
  }

  /** Sends what the ring holds: at most its size, since nobody adds while we are here. */
  #transmit(queue: VirtQueue): void {
    const features = this.#host?.features ?? 0n;
    let done = 0;
    for (let left: number = this.queueSizes[TX]; left > 0; left--) {
      const chain = queue.pop();
      if (chain === undefined) break;
      this.#sendOne(chain, features);
      queue.push(chain, 0);
      done++;
    }
    if (done === 0) return;
    this.#backend.flush?.();
    queue.notifyDriver();
  }

  #sendOne(chain: VirtioChain, features: bigint): void {
    const bytes = chain.readableBytes - this.#headerBytes;
    if (bytes < MIN_FRAME || bytes > MAX_FRAME) {
      this.counters.tooLong++;
      return;
    }
    if (!this.#linkUp) return;
    chain.read(0, this.#header.subarray(0, this.#headerBytes));
    const kind = parseHeader(this.#headerView, bytes, features, this.#offload);
    if (kind === "bad") {
      this.counters.badHeaders++;
      return;
    }
    const frame = this.#frame.subarray(0, bytes);
    if (chain.read(this.#headerBytes, frame) !== bytes) return;
    this.counters.sent++;
    if (kind === "plain") this.#backend.send(frame);
    else this.#backend.send(frame, this.#offload);
  }

  /** A frame of the wire. True: taken, or dropped as a card drops what it cannot use. */
  #receive(frame: Uint8Array, offload: FrameOffload | undefined): boolean {
    const queue = this.#host?.queue(RX);
    if (queue === undefined || !this.#active || !queue.ready || !this.#linkUp) return true;
    if (frame.length < MIN_FRAME || frame.length > MAX_FRAME) return true;
    if (!this.#filter.accepts(frame)) {
      this.counters.filtered++;
      return true;
    }
    // Left over from before the driver changed its mind.
    if (offload !== undefined && (this.#guestOffloads & (offload.gsoSize === 0 ? NET_F.GUEST_CSUM : NET_F.GUEST_TSO4)) === 0n) return true;
    const needed = this.#headerBytes + frame.length;
    const gathered = this.#gathered;
    let room = 0;
    while (room < needed && (gathered.length === 0 || this.#mergeable)) {
      const chain = queue.pop();
      if (chain === undefined) return this.#starve(queue);
      gathered.push(chain);
      room += chain.writableBytes;
    }
    if (room < needed) {
      // Without merging a frame must fit one buffer; the driver gave too small ones.
      this.#giveBack(queue);
      this.counters.tooLong++;
      return true;
    }
    this.#fill(queue, frame, offload);
    return true;
  }

  #fill(queue: VirtQueue, frame: Uint8Array, offload: FrameOffload | undefined): void {
    const gathered = this.#gathered;
    writeHeader(this.#headerView, offload);
    if (this.#headerBytes === LONG_HEADER) this.#headerView.setUint16(10, gathered.length, true);
    const header = this.#header.subarray(0, this.#headerBytes);
    const total = header.length + frame.length;
    let done = 0;
    for (const chain of gathered) {
      const bytes = Math.min(chain.writableBytes, total - done);
      // The header may lie across buffers that are too small for it.
      const ofHeader = Math.max(0, Math.min(bytes, header.length - done));
      if (ofHeader > 0) chain.write(0, header.subarray(done, done + ofHeader));
      const from = done + ofHeader - header.length;
      if (bytes > ofHeader) chain.write(ofHeader, frame.subarray(from, from + bytes - ofHeader));
      queue.push(chain, bytes);
      done += bytes;
    }
    gathered.length = 0;
    this.counters.received++;
    queue.notifyDriver();
    this.#onDelivered?.();
  }

  #starve(queue: VirtQueue): false {
    this.#giveBack(queue);
    this.#starved = true;
    return false;
  }

  #giveBack(queue: VirtQueue): void {
    for (let chain = this.#gathered.pop(); chain !== undefined; chain = this.#gathered.pop()) queue.unpop(chain);
  }

  #control(queue: VirtQueue): void {
    let done = 0;
    for (let left: number = this.queueSizes[CONTROL]; left > 0; left--) {
      const chain = queue.pop();
      if (chain === undefined) break;
      let status = CONTROL_ERROR;
      if (chain.readableBytes <= MAX_COMMAND) {
        const command = new Uint8Array(chain.readableBytes);
        chain.read(0, command);
        status = runCommand(command, {
          filter: this.#filter,
          announced: () => {
            this.#announce = false;
          },
          setGuestOffloads: (bits) => this.#setGuestOffloads(bits),
        });
      }
      queue.push(chain, chain.write(0, Uint8Array.of(status)));
      done++;
    }
    if (done > 0) queue.notifyDriver();
  }

  #setGuestOffloads(bits: bigint): boolean {
    const features = this.#host?.features ?? 0n;
    if ((bits & ~(features & SWITCHABLE)) !== 0n) return false;
    this.#guestOffloads = bits;
    this.#configure(features);
    return true;
  }

  saveState(): VirtioNetStateV1 {
    return {
      v: 1,
      linkUp: this.#linkUp,
      announce: this.#announce,
      active: this.#active,
      guestOffloads: Number(this.#guestOffloads),
      filter: this.#filter.saveState(),
    };
  }

  /** After the transport's own state, which has the negotiated features. */
  loadState(record: unknown, at: string): void {
    const state = VIRTIO_NET_STATE(record, at);
    this.#linkUp = state.linkUp;
    this.#announce = state.announce;
    this.#active = state.active;
    this.#guestOffloads = BigInt(state.guestOffloads);
    this.#filter.loadState(state.filter);
    this.#configure(this.#host?.features ?? 0n);
    // A frame may have been refused before the state was saved.
    this.#starved = true;
  }
}
