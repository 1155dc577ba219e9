import type { Clock, Timer } from "../../base/index.ts";
import type { DmaChannel } from "../../bus/index.ts";
import type { FloppyDrive } from "./drive.ts";
import { ST0, ST1, ST2 } from "./registers.ts";
import { armLeft, LARGEST_SECTOR, leftNs } from "./state.ts";
import type { Fdc82077StateV1, HostTurn } from "./state.ts";
import { advance, compare, isReadId, isScan, scanMet } from "./transfer.ts";
import type { Transfer } from "./transfer.ts";

/** What the execution phase needs of its controller. */
export interface ExecutionHost {
  readonly clock: Clock;
  readonly dma: DmaChannel;
  /** One turn of a disk. */
  readonly revolutionNs: number;
  /** Data rate 0..3; software may change it under way. */
  rate(): number;
  /** Data goes through the FIFO, not the DMA channel (SPECIFY's ND). */
  nonDma(): boolean;
  drive(unit: number): FloppyDrive;
  setInterrupt(level: boolean): void;
  /** The command is over: ST0, ST1, ST2, C, H, R, N for the result phase. */
  ended(result: number[]): void;
}

/** The largest sector, N = 7. */

/**
 * The execution phase of READ, WRITE, SCAN, VERIFY, FORMAT TRACK, READ TRACK and READ ID: sector by sector as they come under the head, between
 * the disk and the DMA channel or the FIFO.
 */
export class Execution {
  readonly #host: ExecutionHost;
  readonly #timer: Timer;
  #transfer: Transfer | undefined;
  readonly #buffer = new Uint8Array(LARGEST_SECTOR);
  #position = 0;
  #bufferBytes = 0;
  #hostTurn: HostTurn = 0;

  constructor(host: ExecutionHost) {
    this.#host = host;
    this.#timer = host.clock.createTimer("fdc-execute", () => this.#step());
  }

  get hostTurn(): HostTurn {
    return this.#hostTurn;
  }

  /** Starts READ ID: what passes the head next. */
  startReadId(t: Transfer): void {
    this.#transfer = t;
    this.#timer.arm(this.#host.clock.nowNs() + Math.ceil(this.#host.revolutionNs / 18));
  }

  /** Starts a command that moves data; the head is ready `delayNs` from now. */
  start(t: Transfer, delayNs: number): void {
    const { clock, revolutionNs } = this.#host;
    const drive = this.#host.drive(t.unit);
    this.#transfer = t;
    if (!this.#host.nonDma()) this.#host.dma.setRequest(true);
    // FORMAT TRACK and READ TRACK begin at the index hole.
    const index = t.operation === "format" || t.operation === "read-track" ? 0 : drive.find(t.head, t.r);
    this.#timer.arm(clock.nowNs() + Math.ceil(delayNs) + drive.sectorDelayNs(t.head, index, clock.nowNs(), revolutionNs));
  }

  /** A reset ends the command without a result. */
  abort(): void {
    this.#timer.cancel();
    this.forget();
  }

  /** The controller has gone to the result phase. */
  forget(): void {
    this.#transfer = undefined;
    this.#hostTurn = 0;
  }

  /** The host reads the FIFO on its turn. */
  readFifo(): number {
    const value = this.#buffer[this.#position++] ?? 0;
    if (this.#position >= this.#bufferBytes) this.#hostDone();
    return value;
  }

  /** The host writes the FIFO on its turn. */
  writeFifo(value: number): void {
    this.#buffer[this.#position++] = value;
    if (this.#position >= this.#bufferBytes) this.#hostDone();
  }

  #end(t: Transfer, code: number, st1: number, st2: number): void {
    const st0 = code | (t.head << 2) | t.unit;
    this.#host.ended([st0, t.st1 | st1, t.st2 | st2, t.c, t.h, t.r, t.n]);
  }

  /** The next sector has come under the head. */
  #step(): void {
    const t = this.#transfer;
    if (t === undefined) return;
    const drive = this.#host.drive(t.unit);
    if (isReadId(t)) return this.#readId(t, drive);
    const writes = t.operation === "write" || t.operation === "write-deleted" || t.operation === "format";
    if (!t.mfm || !drive.isReadable(t.head, this.#host.rate())) return this.#end(t, ST0.ABNORMAL, ST1.MA, 0);
    if (writes && drive.medium?.backend.readOnly === true) return this.#end(t, ST0.ABNORMAL, ST1.NW, 0);
    if (t.operation === "format") {
      if (t.left === 0) return this.#end(t, 0, 0, 0);
      return this.#fromHost(t, 4);
    }
    if (t.operation === "read-track") return this.#readTrackUnit(t, drive);
    if (t.c !== drive.cylinder) return this.#end(t, ST0.ABNORMAL, ST1.ND, ST2.WC);
    const index = drive.find(t.head, t.r);
    if (t.h !== t.head || index < 0 || t.n !== drive.sizeCodeAt(t.head, index)) return this.#end(t, ST0.ABNORMAL, ST1.ND, 0);
    const bytes = 128 << t.n;
    if (writes) return this.#fromHost(t, bytes);
    const deleted = drive.isDeleted(t.head, index);
    const wrongMark = t.operation === "read-deleted" ? !deleted : deleted;
    if (wrongMark) {
      t.st2 |= ST2.CM;
      if (t.skip) return this.#afterUnit(t, false);
    }
    if (!drive.read(t.head, index, this.#buffer.subarray(0, bytes))) return this.#end(t, ST0.ABNORMAL, ST1.DE, ST2.DD);
    switch (t.operation) {
      case "verify":
        return this.#afterUnit(t, false);
      case "scan-equal":
      case "scan-low":
      case "scan-high":
        return this.#fromHost(t, bytes);
      default:
        return this.#toHost(t, bytes);
    }
  }

  #readId(t: Transfer, drive: FloppyDrive): void {
    const { clock, revolutionNs } = this.#host;
    if (!t.mfm || drive.sectorCount(t.head) === 0 || !drive.isReadable(t.head, this.#host.rate())) return this.#end(t, ST0.ABNORMAL, ST1.MA, 0);
    const index = drive.placeUnderHead(t.head, clock.nowNs(), revolutionNs);
    t.c = drive.cylinder;
    t.h = t.head;
    t.r = drive.idAt(t.head, index);
    t.n = drive.sizeCodeAt(t.head, index);
    this.#end(t, 0, 0, 0);
  }

  /** READ TRACK: sectors as they come, as many bytes of each as the command's N says; what does not fit only shows in ST1. `t.r` counts places. */
  #readTrackUnit(t: Transfer, drive: FloppyDrive): void {
    const index = t.r - 1;
    if (t.left === 0) return this.#end(t, ST0.ABNORMAL, ST1.EN, 0);
    if (index >= drive.sectorCount(t.head)) return this.#end(t, ST0.ABNORMAL, ST1.ND, 0);
    const n = drive.sizeCodeAt(t.head, index);
    if (t.c !== drive.cylinder || t.h !== t.head || t.n !== n) t.st1 |= ST1.ND;
    const bytes = 128 << (t.n & 7);
    const sector = this.#buffer.subarray(0, 128 << n);
    if (!drive.read(t.head, index, sector)) return this.#end(t, ST0.ABNORMAL, ST1.DE, ST2.DD);
    if (bytes > sector.length) {
      this.#buffer.fill(0, sector.length, bytes);
      t.st1 |= ST1.DE;
      t.st2 |= ST2.DD;
    }
    this.#toHost(t, bytes);
  }

  /** Non-DMA mode: the FIFO is the host's until it has moved the buffer. */
  #giveTurn(turn: HostTurn): void {
    this.#hostTurn = turn;
    this.#host.setInterrupt(true);
  }

  #toHost(t: Transfer, bytes: number): void {
    const { dma } = this.#host;
    this.#position = 0;
    this.#bufferBytes = bytes;
    if (this.#host.nonDma()) return this.#giveTurn(1);
    const moved = dma.transferToMemory(this.#buffer.subarray(0, bytes));
    if (moved < bytes && !dma.terminalCount) return this.#end(t, ST0.ABNORMAL, ST1.OR, 0);
    this.#afterUnit(t, dma.terminalCount);
  }

  #fromHost(t: Transfer, bytes: number): void {
    const { dma } = this.#host;
    this.#position = 0;
    this.#bufferBytes = bytes;
    if (this.#host.nonDma()) return this.#giveTurn(2);
    const into = new Uint8Array(bytes);
    const moved = dma.transferFromMemory(into);
    if (moved < bytes && (moved === 0 || !dma.terminalCount)) return this.#end(t, ST0.ABNORMAL, ST1.OR, 0);
    // After terminal count the controller writes zeros to the end of the sector.
    this.#consume(t, into, dma.terminalCount);
  }

  /** The host has read or filled the buffer (non-DMA mode). */
  #hostDone(): void {
    const t = this.#transfer;
    const turn = this.#hostTurn;
    this.#hostTurn = 0;
    this.#host.setInterrupt(false);
    if (t === undefined) return;
    if (turn === 1) this.#afterUnit(t, false);
    else this.#consume(t, this.#buffer.slice(0, this.#bufferBytes), false);
  }

  /** Uses the host's data: a sector to write or compare, or a sector's ID to format. */
  #consume(t: Transfer, data: Uint8Array, terminal: boolean): void {
    const drive = this.#host.drive(t.unit);
    if (t.operation === "format") {
      const [c, h, r, n] = data;
      t.c = c ?? 0;
      t.h = h ?? 0;
      t.r = r ?? 0;
      // IDs that the image has no place for vanish: later reads do not find them.
      const index = drive.find(t.head, t.r);
      const fits = c === drive.cylinder && h === t.head && index >= 0 && n === drive.sizeCodeAt(t.head, index);
      if (fits && !drive.write(t.head, index, new Uint8Array(128 << (n & 7)).fill(t.fill), false)) return this.#end(t, ST0.ABNORMAL, ST1.DE, 0);
      return this.#afterUnit(t, false);
    }
    const index = drive.find(t.head, t.r);
    // The disk may have been changed meanwhile.
    if (index < 0 || data.length !== 128 << drive.sizeCodeAt(t.head, index)) return this.#end(t, ST0.ABNORMAL, ST1.ND, 0);
    if (t.operation === "write" || t.operation === "write-deleted") {
      const stored = drive.write(t.head, index, data, t.operation === "write-deleted");
      if (!stored) return this.#end(t, ST0.ABNORMAL, ST1.DE, 0);
      return this.#afterUnit(t, terminal);
    }
    const disk = new Uint8Array(data.length);
    if (!drive.read(t.head, index, disk)) return this.#end(t, ST0.ABNORMAL, ST1.DE, ST2.DD);
    const order = compare(disk, data);
    t.st2 &= ~ST2.SN;
    if (scanMet(t.operation, order)) return this.#end(t, 0, 0, order === 0 ? ST2.SH : 0);
    t.st2 |= ST2.SN;
    this.#afterUnit(t, terminal);
  }

  /** One sector is done: advance C H R, then end or wait for the next. */
  #afterUnit(t: Transfer, terminal: boolean): void {
    if (t.left > 0) t.left--;
    if (t.operation === "format") {
      if (t.left === 0) return this.#end(t, 0, 0, 0);
      return this.#wait(t);
    }
    if (t.operation === "read-track") {
      t.r++;
      if (terminal) return this.#end(t, 0, 0, 0);
      return this.#wait(t);
    }
    const stop = (t.st2 & ST2.CM) !== 0 && !t.skip;
    const over = advance(t);
    if (terminal || stop || t.left === 0) return this.#end(t, 0, 0, 0);
    if (over) {
      // Without terminal count, only verify and scan end well at the end of the cylinder.
      const good = isScan(t.operation) || (t.operation === "verify" && t.left < 0);
      return good ? this.#end(t, 0, 0, 0) : this.#end(t, ST0.ABNORMAL, ST1.EN, 0);
    }
    this.#wait(t);
  }

  /** Until the next sector: for format and READ TRACK the next place, else the one with ID `t.r`. */
  #wait(t: Transfer): void {
    const { clock, revolutionNs } = this.#host;
    const drive = this.#host.drive(t.unit);
    const now = clock.nowNs();
    const inOrder = t.operation === "format" || t.operation === "read-track";
    const index = inOrder ? Math.max(0, t.r - 1) : drive.find(t.head, t.r);
    // Consecutive sectors follow each other; the head is where the last one ended.
    const follows = inOrder || (index > 0 && drive.medium?.layout === undefined);
    const delay = follows ? drive.sectorNs(t.head, index, revolutionNs) : drive.sectorDelayNs(t.head, index, now, revolutionNs);
    this.#timer.arm(now + delay);
  }

  saveState(): Pick<Fdc82077StateV1, "transfer" | "buffer" | "bufferPosition" | "bufferBytes" | "hostTurn" | "executeNs"> {
    return {
      transfer: this.#transfer === undefined ? undefined : { ...this.#transfer },
      buffer: Array.from(this.#buffer.subarray(0, this.#bufferBytes)),
      bufferPosition: this.#position,
      bufferBytes: this.#bufferBytes,
      hostTurn: this.#hostTurn,
      executeNs: leftNs(this.#timer, this.#host.clock),
    };
  }

  loadState(s: Fdc82077StateV1): void {
    this.#transfer = s.phase !== "execute" || s.transfer === undefined ? undefined : { ...s.transfer };
    this.#buffer.set(s.buffer.slice(0, LARGEST_SECTOR));
    this.#position = s.bufferPosition;
    this.#bufferBytes = Math.min(LARGEST_SECTOR, s.bufferBytes);
    this.#hostTurn = s.hostTurn;
    armLeft(this.#timer, this.#host.clock, s.executeNs);
  }
}
