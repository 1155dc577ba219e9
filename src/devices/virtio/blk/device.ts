import { shape } from "../../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../../base/index.ts";
import type { BlockBackend } from "../../../backends/api/index.ts";
import type { VirtioChain, VirtioHost, VirtioModel } from "../api.ts";
import {
  BLK,
  blkConfig,
  CONFIG_BYTES,
  DISCARD_SECTORS,
  DISCARD_SEGMENTS,
  QUEUE_SIZE,
  SEG_MAX,
  SIZE_MAX,
  WRITEBACK,
  ZERO_SECTORS,
  ZERO_SEGMENTS,
} from "./config.ts";

const TYPE = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8, DISCARD: 11, WRITE_ZEROES: 13 } as const;
const OK = 0;
const IOERR = 1;
const UNSUPPORTED = 2;
const SECTOR = 512;
const ID_BYTES = 20;
const HEADER_BYTES = 16;
const MAX_REQUEST_BYTES = SEG_MAX * SIZE_MAX;

/** Data moves in pieces of this size. */
const PIECE_BYTES = 256 * 1024;
/** Work done inside one notification before the guest gets on; the rest is done a moment later. */
const BATCH_REQUESTS = 32;
const BATCH_BYTES = 2 * 1024 * 1024;
/** How much guest time later. */
const PAUSE_NS = 10_000;
/** A disk that has nothing better writes zeros from here. */
const ZEROES = new Uint8Array(64 * 1024);

export interface VirtioBlkOptions {
  readonly clock: Clock;
  readonly backend: BlockBackend;
  /** Up to 20 characters; what `/sys/block/vda/serial` shows. */
  readonly serial: string;
}

export const VIRTIO_BLK_STATE = shape.record({
  v: shape.oneOf(1),
  writeback: shape.int(0, 1),
  /** When the next batch of waiting requests starts; -1: none waits. */
  resumeNs: shape.moment,
});
export type VirtioBlkStateV1 = Shaped<typeof VIRTIO_BLK_STATE>;

/** A disk (VIRTIO 1.2 §5.2). One queue; requests are done in order, each whole, so none is in flight between two events. */
export class VirtioBlk implements VirtioModel {
  readonly name = "virtio-blk";
  readonly deviceType = 2;
  readonly classCode = 0x010000;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE];
  readonly configBytes = CONFIG_BYTES;
  readonly #backend: BlockBackend;
  readonly #serial: string;
  readonly #config: Uint8Array;
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  readonly #status = new Uint8Array(1);
  #piece = new Uint8Array(4096);
  #host: VirtioHost | undefined;

  constructor(options: VirtioBlkOptions) {
    this.#backend = options.backend;
    this.#serial = options.serial;
    this.#clock = options.clock;
    this.#config = blkConfig(options.backend);
    this.#timer = options.clock.createTimer("virtio-blk", () => this.#run());
    const common = BLK.SIZE_MAX | BLK.SEG_MAX | BLK.GEOMETRY | BLK.BLK_SIZE | BLK.FLUSH | BLK.TOPOLOGY | BLK.CONFIG_WCE;
    this.features = common | (options.backend.readOnly ? BLK.RO : BLK.WRITE_ZEROES | (options.backend.discard === undefined ? 0n : BLK.DISCARD));
  }

  connect(host: VirtioHost): void {
    this.#host = host;
  }
  activate(): void {}
  notified(): void {
    this.#run();
  }
  reset(): void {
    this.#timer.cancel();
    this.#config[WRITEBACK] = 1;
  }

  readConfig(offset: number): number {
    return this.#config[offset] ?? 0;
  }
  writeConfig(offset: number, value: number): void {
    if (offset !== WRITEBACK || ((this.#host?.features ?? 0n) & BLK.CONFIG_WCE) === 0n) return;
    // Going to write-through promises that what was written is safe.
    if ((value & 1) === 0 && this.#config[WRITEBACK] === 1) this.#backend.flush();
    this.#config[WRITEBACK] = value & 1;
  }

  saveState(): VirtioBlkStateV1 {
    return { v: 1, writeback: this.#config[WRITEBACK] ?? 1, resumeNs: this.#timer.deadlineNs ?? -1 };
  }
  loadState(record: unknown, at: string): void {
    const state = VIRTIO_BLK_STATE(record, at);
    this.#config[WRITEBACK] = state.writeback & 1;
    this.#timer.cancel();
    if (state.resumeNs >= 0) this.#timer.arm(state.resumeNs);
  }

  /** Serves requests, at most a batch of them. */
  #run(): void {
    const queue = this.#host?.queue(0);
    if (queue === undefined || this.#timer.deadlineNs !== undefined) return;
    let bytes = 0;
    let requests = 0;
    for (;;) {
      if (requests >= BATCH_REQUESTS || bytes >= BATCH_BYTES) {
        this.#timer.arm(this.#clock.nowNs() + PAUSE_NS);
        break;
      }
      const chain = queue.pop();
      if (chain === undefined) break;
      queue.push(chain, this.#serve(chain));
      requests++;
      bytes += chain.readableBytes + chain.writableBytes;
    }
    if (requests > 0) queue.notifyDriver();
  }

  /** Does one request; returns the bytes written to the driver's buffers. */
  #serve(chain: VirtioChain): number {
    // Without a place for the status nothing can be said.
    if (chain.writableBytes === 0) return 0;
    const dataBytes = chain.writableBytes - 1;
    let status = IOERR;
    let written = 0;
    if (chain.read(0, this.#header) === HEADER_BYTES) {
      const type = this.#view.getUint32(0, true);
      const sector = this.#view.getUint32(8, true) + this.#view.getUint32(12, true) * 2 ** 32;
      switch (type) {
        case TYPE.IN:
          status = this.#move(chain, sector, dataBytes, false);
          if (status === OK) written = dataBytes;
          break;
        case TYPE.OUT:
          status = this.#move(chain, sector, chain.readableBytes - HEADER_BYTES, true);
          break;
        case TYPE.FLUSH:
          status = this.#backend.flush() ? OK : IOERR;
          break;
        case TYPE.GET_ID:
          written = chain.write(0, this.#id(Math.min(ID_BYTES, dataBytes)));
          status = OK;
          break;
        case TYPE.DISCARD:
        case TYPE.WRITE_ZEROES:
          status = this.#erase(chain, type === TYPE.DISCARD);
          break;
        default:
          status = UNSUPPORTED;
      }
    }
    this.#status[0] = status;
    chain.write(dataBytes, this.#status);
    return written + 1;
  }

  #id(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#serial.charCodeAt(i) & 0x7f;
    return bytes;
  }

  #inDisk(sector: number, bytes: number): boolean {
    return bytes % SECTOR === 0 && sector * SECTOR + bytes <= Math.floor(this.#backend.sizeBytes / SECTOR) * SECTOR;
  }

  /** Every write is made durable at once: the driver asked for write-through, or cannot flush. */
  get #writeThrough(): boolean {
    const features = this.#host?.features ?? 0n;
    return (features & BLK.CONFIG_WCE) !== 0n ? this.#config[WRITEBACK] === 0 : (features & BLK.FLUSH) === 0n;
  }

  #move(chain: VirtioChain, sector: number, bytes: number, toDisk: boolean): number {
    if (bytes > MAX_REQUEST_BYTES || !this.#inDisk(sector, bytes) || (toDisk && this.#backend.readOnly)) return IOERR;
    const start = sector * SECTOR;
    const wanted = Math.min(bytes, PIECE_BYTES);
    if (this.#piece.length < wanted) this.#piece = new Uint8Array(wanted > 65536 ? PIECE_BYTES : 65536);
    for (let at = 0; at < bytes; at += PIECE_BYTES) {
      const piece = this.#piece.subarray(0, Math.min(PIECE_BYTES, bytes - at));
      if (toDisk) {
        chain.read(HEADER_BYTES + at, piece);
        if (!this.#backend.write(start + at, piece)) return IOERR;
      } else {
        if (!this.#backend.read(start + at, piece)) return IOERR;
        chain.write(at, piece);
      }
    }
    return toDisk && this.#writeThrough && !this.#backend.flush() ? IOERR : OK;
  }

  /** Discard and write zeroes: up to so many ranges of sector, count, flags (bit 0: may unmap). §5.2.6. */
  #erase(chain: VirtioChain, discard: boolean): number {
    const backend = this.#backend;
    if (backend.readOnly || (discard && backend.discard === undefined)) return backend.readOnly ? IOERR : UNSUPPORTED;
    const count = (chain.readableBytes - HEADER_BYTES) / 16;
    if (!Number.isInteger(count) || count < 1 || count > (discard ? DISCARD_SEGMENTS : ZERO_SEGMENTS)) return IOERR;
    const ranges = new Uint8Array(16 * count);
    chain.read(HEADER_BYTES, ranges);
    const v = new DataView(ranges.buffer);
    for (let i = 0; i < count; i++) {
      const sector = v.getUint32(16 * i, true) + v.getUint32(16 * i + 4, true) * 2 ** 32;
      const sectors = v.getUint32(16 * i + 8, true);
      const flags = v.getUint32(16 * i + 12, true);
      if ((flags & ~1) !== 0 || (discard && flags !== 0)) return UNSUPPORTED;
      if (sectors > (discard ? DISCARD_SECTORS : ZERO_SECTORS) || !this.#inDisk(sector, sectors * SECTOR)) return IOERR;
      if (sectors === 0) continue;
      const done = discard ? backend.discard?.(sector * SECTOR, sectors * SECTOR) : this.#zero(sector * SECTOR, sectors * SECTOR);
      if (done !== true) return IOERR;
    }
    return this.#writeThrough && !backend.flush() ? IOERR : OK;
  }

  #zero(start: number, bytes: number): boolean {
    const backend = this.#backend;
    if (backend.writeZeroes !== undefined) return backend.writeZeroes(start, bytes);
    for (let at = 0; at < bytes; at += ZEROES.length) {
      if (!backend.write(start + at, ZEROES.subarray(0, Math.min(ZEROES.length, bytes - at)))) return false;
    }
    return true;
  }
}
