import type { Clock, Timer } from "../../base/index.ts";
import type { BusDevice, DmaChannel, IrqPin } from "../../bus/index.ts";
import { FloppyDrive } from "./drive.ts";
import type { FloppyMedium } from "./drive.ts";
import { byteRegisters } from "./ports.ts";
import { decodeCommand, DOR, MSR, ST0, ST1, ST2, ST3, statusA, stepMilliseconds } from "./registers.ts";
import type { CommandKind, DataOperation } from "./registers.ts";
import { advance, compare, isScan, makeTransfer, scanMet } from "./transfer.ts";
import type { Transfer } from "./transfer.ts";
import type { Fdc82077StateV1, Phase } from "./state.ts";

export interface Fdc82077Options {
  readonly irq: IrqPin;
  /** Channel 2 of the DMA controller. */
  readonly dma: DmaChannel;
  readonly clock: Clock;
  /** Up to four drives; `installed` false: nothing on the cable there. */
  readonly drives: readonly { readonly installed: boolean; readonly medium?: FloppyMedium | undefined }[];
  /** Factor on seek and rotation times; 1 is a real 300 rpm drive, 0.1 (default) ten times faster. */
  readonly timeScale?: number;
}

/** The largest sector, N = 7. */
const LARGEST_SECTOR = 16384;
const REVOLUTION_NS = 200_000_000;
const RESET_NS = 20_000;
const NOT_SEEKING = -1;

/**
 * The 82077AA floppy disk controller. `ports` answers 3F0h-3F5h, `inputPort` 3F7h (3F6h is the IDE's). Everything
 * mechanical happens in clock time: steps by SPECIFY's rate, sectors as they pass the head.
 * Source: Intel 82077AA data sheet (290166-007).
 */
export class Fdc82077 {
  readonly ports: BusDevice;
  readonly inputPort: BusDevice;
  readonly #irq: IrqPin;
  readonly #dma: DmaChannel;
  readonly #clock: Clock;
  readonly #scale: number;
  readonly #revolutionNs: number;
  readonly #drives: readonly FloppyDrive[];
  readonly #executeTimer: Timer;
  readonly #resetTimer: Timer;
  readonly #seekTimers: readonly Timer[];
  readonly #seekTargets = [NOT_SEEKING, NOT_SEEKING, NOT_SEEKING, NOT_SEEKING];

  #dor = 0x0c;
  #tdr = 0;
  #rate = 2;
  #precompensation = 0;
  #phase: Phase = "idle";
  #command: number[] = [];
  #result: number[] = [];
  #transfer: Transfer | undefined;
  readonly #buffer = new Uint8Array(LARGEST_SECTOR);
  #position = 0;
  #bufferBytes = 0;
  /** 1: the host reads the buffer through the FIFO; 2: it fills it. Non-DMA mode only. */
  #hostTurn: 0 | 1 | 2 = 0;
  /** ST0 and cylinder for SENSE INTERRUPT STATUS, oldest first. */
  #senses: (readonly [number, number])[] = [];
  #interrupt = false;

  // SPECIFY, CONFIGURE, PERPENDICULAR, LOCK.
  #srtHut = 0;
  #hltNd = 0;
  #configure = 0x20;
  #pretrack = 0;
  #perpendicular = 0;
  #locked = false;
  #lastSc = 0;

  constructor(options: Fdc82077Options) {
    this.#irq = options.irq;
    this.#dma = options.dma;
    this.#clock = options.clock;
    this.#scale = options.timeScale ?? 0.1;
    this.#revolutionNs = REVOLUTION_NS * this.#scale;
    this.#drives = [0, 1, 2, 3].map((i) => new FloppyDrive(options.drives[i]?.installed ?? false, options.drives[i]?.medium));
    this.#executeTimer = options.clock.createTimer("fdc-execute", () => this.#step());
    this.#resetTimer = options.clock.createTimer("fdc-reset", () => this.#resetDone());
    this.#seekTimers = [0, 1, 2, 3].map((unit) => options.clock.createTimer(`fdc-seek-${unit}`, () => this.#seekDone(unit)));
    this.ports = byteRegisters(
      "fdc",
      (offset) => this.#read(offset),
      (offset, value) => this.#write(offset, value),
    );
    this.inputPort = {
      name: "fdc-dir",
      read: () => this.#readInput(),
      write: (_offset, _size, value) => {
        this.#rate = value & 3;
      },
    };
  }

  /** Changes or removes the disk in a drive; raises its change line. */
  insert(unit: number, medium: FloppyMedium | undefined): void {
    this.#drives[unit & 3]?.insert(medium);
  }

  /** The hardware reset line. */
  reset(): void {
    this.#dor = 0x0c;
    this.#tdr = 0;
    this.#rate = 2;
    this.#precompensation = 0;
    this.#locked = false;
    this.#srtHut = 0;
    this.#hltNd = 0;
    this.#perpendicular = 0;
    this.#softReset();
    this.#setInterrupt(false);
  }

  /** By the DOR's or DSR's reset bit: commands end, LOCK decides what is kept (§5.2.9). */
  #softReset(): void {
    this.#executeTimer.cancel();
    this.#resetTimer.cancel();
    for (const [unit, timer] of this.#seekTimers.entries()) {
      timer.cancel();
      this.#seekTargets[unit] = NOT_SEEKING;
    }
    this.#phase = "idle";
    this.#command = [];
    this.#result = [];
    this.#transfer = undefined;
    this.#hostTurn = 0;
    this.#senses = [];
    this.#perpendicular &= 0x3c;
    if (!this.#locked) {
      this.#configure = 0x20;
      this.#pretrack = 0;
    }
    this.#dma.setRequest(false);
    this.#setInterrupt(false);
  }

  /** Reset released: with polling on, each drive's ready change wants a SENSE INTERRUPT STATUS. */
  #resetDone(): void {
    if ((this.#configure & 0x10) !== 0) return;
    this.#senses = [0, 1, 2, 3].map((unit) => [ST0.POLL | unit, this.#drive(unit).cylinder] as const);
    this.#setInterrupt(true);
  }

  #drive(unit: number): FloppyDrive {
    return this.#drives[unit & 3] ?? new FloppyDrive(false, undefined);
  }

  #setInterrupt(level: boolean): void {
    this.#interrupt = level;
    this.#irq.set(level && (this.#dor & DOR.DMA_GATE) !== 0);
  }

  #read(offset: number): number {
    switch (offset) {
      case 0: {
        const drive = this.#drive(this.#dor);
        return statusA(this.#interrupt, this.#drive(1).installed, drive.cylinder === 0, drive.medium?.backend.readOnly === true);
      }
      case 1:
        // Status register B: drive select 0 and motors as they are.
        return 0xc0 | ((this.#dor & 1) << 5) | ((this.#dor >>> 4) & 3);
      case 2:
        return this.#dor;
      case 3:
        return this.#tdr;
      case 4:
        return this.#mainStatus();
      case 5:
        return this.#readFifo();
      default:
        return 0xff;
    }
  }

  #write(offset: number, value: number): void {
    switch (offset) {
      case 2:
        return this.#writeOutput(value);
      case 3:
        this.#tdr = value & 3;
        return;
      case 4:
        // Data rate select register.
        this.#rate = value & 3;
        this.#precompensation = (value >>> 2) & 7;
        if ((value & 0x80) !== 0 && (this.#dor & DOR.NOT_RESET) !== 0) {
          this.#softReset();
          this.#resetTimer.arm(this.#clock.nowNs() + RESET_NS);
        }
        return;
      case 5:
        return this.#writeFifo(value);
      default:
    }
  }

  #writeOutput(value: number): void {
    const before = this.#dor;
    this.#dor = value;
    if ((value & DOR.NOT_RESET) === 0) this.#softReset();
    else if ((before & DOR.NOT_RESET) === 0) this.#resetTimer.arm(this.#clock.nowNs() + RESET_NS);
    this.#setInterrupt(this.#interrupt);
  }

  /** DIR: bit 7 is the change line of the selected drive, gated by its motor. */
  #readInput(): number {
    const unit = this.#dor & 3;
    const drive = this.#drive(unit);
    const motor = (this.#dor & (0x10 << unit)) !== 0;
    return motor && drive.installed && (drive.changed || drive.medium === undefined) ? 0x80 : 0;
  }

  #mainStatus(): number {
    if ((this.#dor & DOR.NOT_RESET) === 0) return 0;
    let status = 0;
    for (const [unit, target] of this.#seekTargets.entries()) if (target !== NOT_SEEKING) status |= 1 << unit;
    switch (this.#phase) {
      case "idle":
        return status | MSR.RQM;
      case "command":
        return status | MSR.RQM | MSR.BUSY;
      case "result":
        return status | MSR.RQM | MSR.DIO | MSR.BUSY;
      default:
        status |= MSR.BUSY;
        if (this.#nonDma) status |= MSR.NON_DMA;
        if (this.#hostTurn !== 0) status |= MSR.RQM | (this.#hostTurn === 1 ? MSR.DIO : 0);
        return status;
    }
  }

  get #nonDma(): boolean {
    return (this.#hltNd & 1) !== 0;
  }

  #readFifo(): number {
    if (this.#phase === "result") {
      // The first byte read takes the interrupt away.
      this.#setInterrupt(this.#seekWaits);
      const value = this.#result.shift() ?? 0;
      if (this.#result.length === 0) this.#phase = "idle";
      return value;
    }
    if (this.#phase === "execute" && this.#hostTurn === 1) {
      const value = this.#buffer[this.#position++] ?? 0;
      if (this.#position >= this.#bufferBytes) this.#hostDone();
      return value;
    }
    return 0;
  }

  #writeFifo(value: number): void {
    if ((this.#dor & DOR.NOT_RESET) === 0) return;
    if (this.#phase === "execute" && this.#hostTurn === 2) {
      this.#buffer[this.#position++] = value;
      if (this.#position >= this.#bufferBytes) this.#hostDone();
      return;
    }
    if (this.#phase !== "idle" && this.#phase !== "command") return;
    this.#command.push(value);
    this.#phase = "command";
    const row = decodeCommand(this.#command[0] ?? 0);
    if (row === undefined) return this.#finish([ST0.INVALID], false);
    if (this.#command.length >= row.bytes) this.#run(row.kind);
  }

  /** Goes to the result phase. */
  #finish(result: number[], interrupt: boolean): void {
    this.#command = [];
    this.#transfer = undefined;
    this.#hostTurn = 0;
    this.#dma.setRequest(false);
    this.#result = result;
    this.#phase = result.length === 0 ? "idle" : "result";
    if (interrupt) this.#setInterrupt(true);
  }

  #run(kind: CommandKind): void {
    const c = this.#command;
    const p1 = c[1] ?? 0;
    const p2 = c[2] ?? 0;
    const unit = p1 & 3;
    switch (kind) {
      case "specify":
        this.#srtHut = p1;
        this.#hltNd = p2;
        return this.#finish([], false);
      case "sense-drive": {
        const drive = this.#drive(unit);
        const st3 = (p1 & 7) | ST3.READY | ST3.TWO_SIDE | (drive.installed && drive.cylinder === 0 ? ST3.TRACK0 : 0);
        return this.#finish([st3 | (drive.medium?.backend.readOnly === true ? ST3.WP : 0)], false);
      }
      case "recalibrate":
        return this.#startSeek(unit, 0, true);
      case "seek":
        return this.#startSeek(unit, p2, false);
      case "relative-seek": {
        const towardsHub = ((c[0] ?? 0) & 0x40) !== 0;
        return this.#startSeek(unit, this.#drive(unit).cylinder + (towardsHub ? p2 : -p2), false);
      }
      case "sense-interrupt":
        return this.#senseInterrupt();
      case "dumpreg":
        return this.#finish(
          [
            ...this.#drives.map((d) => d.cylinder),
            this.#srtHut,
            this.#hltNd,
            this.#lastSc,
            (this.#locked ? 0x80 : 0) | this.#perpendicular,
            this.#configure,
            this.#pretrack,
          ],
          false,
        );
      case "version":
        return this.#finish([0x90], false);
      case "perpendicular":
        // OW (bit 7) allows the drive bits to change.
        this.#perpendicular = (p1 & 0x80) !== 0 ? p1 & 0x3f : (this.#perpendicular & 0x3c) | (p1 & 3);
        return this.#finish([], false);
      case "configure":
        this.#configure = p2 & 0x7f;
        this.#pretrack = c[3] ?? 0;
        return this.#finish([], false);
      case "lock":
        this.#locked = ((c[0] ?? 0) & 0x80) !== 0;
        return this.#finish([this.#locked ? 0x10 : 0], false);
      case "read-id":
        return this.#startReadId(p1);
      default:
        return this.#startTransfer(kind);
    }
  }

  /** A finished seek waits to be sensed. The four results after a reset share one interrupt. */
  get #seekWaits(): boolean {
    return (this.#senses[0]?.[0] ?? ST0.POLL) < ST0.POLL;
  }

  #senseInterrupt(): void {
    const next = this.#senses.shift();
    if (next === undefined) return this.#finish([ST0.INVALID], false);
    this.#setInterrupt(this.#seekWaits);
    this.#finish([...next], false);
  }

  #stepNs(): number {
    return stepMilliseconds(this.#srtHut, this.#rate) * 1e6 * this.#scale;
  }

  #startSeek(unit: number, target: number, recalibrate: boolean): void {
    const drive = this.#drive(unit);
    const steps = Math.max(1, Math.abs(target - drive.cylinder));
    this.#finish([], false);
    // RECALIBRATE is told apart by its target, one below every cylinder.
    this.#seekTargets[unit] = recalibrate ? 256 : Math.max(0, Math.min(255, target));
    this.#seekTimers[unit]?.arm(this.#clock.nowNs() + Math.min(steps, 80) * this.#stepNs());
  }

  #seekDone(unit: number): void {
    const target = this.#seekTargets[unit] ?? NOT_SEEKING;
    if (target === NOT_SEEKING) return;
    this.#seekTargets[unit] = NOT_SEEKING;
    const drive = this.#drive(unit);
    let st0: number = ST0.SEEK_END | unit;
    if (target === 256) {
      // At most 79 step pulses; no drive never shows track 0.
      drive.stepTo(Math.max(0, drive.cylinder - 79));
      if (!drive.installed || drive.cylinder !== 0) st0 |= ST0.ABNORMAL | ST0.EQUIPMENT;
    } else {
      drive.stepTo(target);
    }
    this.#senses.push([st0, drive.cylinder]);
    if (this.#senses.length > 8) this.#senses.shift();
    this.#setInterrupt(true);
  }

  #startReadId(select: number): void {
    const c = this.#command;
    this.#phase = "execute";
    this.#transfer = makeTransfer("read", select & 3, (select >>> 2) & 1, [0, 0, 0, 2, 0, 0], c[0] ?? 0);
    this.#transfer.left = -2;
    this.#executeTimer.arm(this.#clock.nowNs() + Math.ceil(this.#revolutionNs / 18));
  }

  #readIdDone(t: Transfer): void {
    const drive = this.#drive(t.unit);
    if (!t.mfm || drive.sectorCount(t.head) === 0 || !drive.isReadable(t.head, this.#rate)) return this.#endTransfer(t, ST0.ABNORMAL, ST1.MA, 0);
    const index = drive.placeUnderHead(t.head, this.#clock.nowNs(), this.#revolutionNs);
    t.c = drive.cylinder;
    t.h = t.head;
    t.r = drive.idAt(t.head, index);
    t.n = drive.sizeCodeAt(t.head, index);
    this.#endTransfer(t, 0, 0, 0);
  }

  #startTransfer(operation: DataOperation): void {
    const c = this.#command;
    const opcode = c[0] ?? 0;
    const select = c[1] ?? 0;
    const unit = select & 3;
    const head = (select >>> 2) & 1;
    const drive = this.#drive(unit);
    let t: Transfer;
    if (operation === "format") {
      // N, SC, GPL, D.
      t = { ...makeTransfer(operation, unit, head, [drive.cylinder, head, 0, c[2] ?? 0, 0, 0], opcode), fill: c[5] ?? 0 };
      t.left = c[3] ?? 0;
    } else {
      t = makeTransfer(operation, unit, head, [c[2] ?? 0, c[3] ?? 0, c[4] ?? 0, c[5] ?? 0, c[6] ?? 0, c[8] ?? 0], opcode);
      this.#lastSc = t.eot;
      if (operation === "read-track") {
        t.left = t.eot;
        t.r = 1;
      } else if (operation === "verify" && (select & 0x80) !== 0) {
        t.left = t.last;
      }
    }
    this.#transfer = t;
    this.#phase = "execute";
    let delay = 0;
    // Implied seek.
    if ((this.#configure & 0x40) !== 0 && operation !== "format" && t.c !== drive.cylinder) {
      delay = Math.min(255, Math.abs(t.c - drive.cylinder)) * this.#stepNs();
      drive.stepTo(t.c);
    }
    // Head load time: (HLT) 2 ms steps at 500 kbit/s.
    delay += (this.#hltNd >>> 1) * 2e6 * this.#scale;
    if (!this.#nonDma) this.#dma.setRequest(true);
    // FORMAT TRACK and READ TRACK begin at the index hole.
    const index = operation === "format" || operation === "read-track" ? 0 : drive.find(head, t.r);
    this.#executeTimer.arm(this.#clock.nowNs() + Math.ceil(delay) + drive.sectorDelayNs(head, index, this.#clock.nowNs(), this.#revolutionNs));
  }

  /** ST0..ST2 and C H R N; the interrupt. */
  #endTransfer(t: Transfer, code: number, st1: number, st2: number): void {
    const st0 = code | (t.head << 2) | t.unit;
    this.#finish([st0, t.st1 | st1, t.st2 | st2, t.c, t.h, t.r, t.n], true);
  }

  /** The next sector has come under the head. */
  #step(): void {
    const t = this.#transfer;
    if (t === undefined || this.#phase !== "execute") return;
    if (t.left === -2) return this.#readIdDone(t);
    const drive = this.#drive(t.unit);
    const writes = t.operation === "write" || t.operation === "write-deleted" || t.operation === "format";
    if (!t.mfm || !drive.isReadable(t.head, this.#rate)) return this.#endTransfer(t, ST0.ABNORMAL, ST1.MA, 0);
    if (writes && drive.medium?.backend.readOnly === true) return this.#endTransfer(t, ST0.ABNORMAL, ST1.NW, 0);
    if (t.operation === "format") {
      if (t.left === 0) return this.#endTransfer(t, 0, 0, 0);
      return this.#fromHost(4);
    }
    if (t.operation === "read-track") return this.#readTrackUnit(t, drive);
    if (t.c !== drive.cylinder) return this.#endTransfer(t, ST0.ABNORMAL, ST1.ND, ST2.WC);
    const index = drive.find(t.head, t.r);
    if (t.h !== t.head || index < 0 || t.n !== drive.sizeCodeAt(t.head, index)) return this.#endTransfer(t, ST0.ABNORMAL, ST1.ND, 0);
    const bytes = 128 << t.n;
    if (writes) return this.#fromHost(bytes);
    const deleted = drive.isDeleted(t.head, index);
    const wrongMark = t.operation === "read-deleted" ? !deleted : deleted;
    if (wrongMark) {
      t.st2 |= ST2.CM;
      if (t.skip) return this.#afterUnit(t, false);
    }
    if (!drive.read(t.head, index, this.#buffer.subarray(0, bytes))) return this.#endTransfer(t, ST0.ABNORMAL, ST1.DE, ST2.DD);
    switch (t.operation) {
      case "verify":
        return this.#afterUnit(t, false);
      case "scan-equal":
      case "scan-low":
      case "scan-high":
        return this.#fromHost(bytes);
      default:
        return this.#toHost(bytes);
    }
  }

  /** READ TRACK: sectors as they come, as many bytes of each as the command's N says; what does not fit only shows in ST1. `t.r` counts places. */
  #readTrackUnit(t: Transfer, drive: FloppyDrive): void {
    const index = t.r - 1;
    if (t.left === 0) return this.#endTransfer(t, ST0.ABNORMAL, ST1.EN, 0);
    if (index >= drive.sectorCount(t.head)) return this.#endTransfer(t, ST0.ABNORMAL, ST1.ND, 0);
    const n = drive.sizeCodeAt(t.head, index);
    if (t.c !== drive.cylinder || t.h !== t.head || t.n !== n) t.st1 |= ST1.ND;
    const bytes = 128 << (t.n & 7);
    const sector = this.#buffer.subarray(0, 128 << n);
    if (!drive.read(t.head, index, sector)) return this.#endTransfer(t, ST0.ABNORMAL, ST1.DE, ST2.DD);
    if (bytes > sector.length) {
      this.#buffer.fill(0, sector.length, bytes);
      t.st1 |= ST1.DE;
      t.st2 |= ST2.DD;
    }
    this.#toHost(bytes);
  }

  #toHost(bytes: number): void {
    this.#position = 0;
    this.#bufferBytes = bytes;
    const t = this.#transfer;
    if (t === undefined) return;
    if (this.#nonDma) {
      this.#hostTurn = 1;
      this.#setInterrupt(true);
      return;
    }
    const moved = this.#dma.transferToMemory(this.#buffer.subarray(0, bytes));
    if (moved < bytes && !this.#dma.terminalCount) return this.#endTransfer(t, ST0.ABNORMAL, ST1.OR, 0);
    this.#afterUnit(t, this.#dma.terminalCount);
  }

  #fromHost(bytes: number): void {
    this.#position = 0;
    this.#bufferBytes = bytes;
    const t = this.#transfer;
    if (t === undefined) return;
    if (this.#nonDma) {
      this.#hostTurn = 2;
      this.#setInterrupt(true);
      return;
    }
    const into = new Uint8Array(bytes);
    const moved = this.#dma.transferFromMemory(into);
    if (moved < bytes && (moved === 0 || !this.#dma.terminalCount)) return this.#endTransfer(t, ST0.ABNORMAL, ST1.OR, 0);
    // After terminal count the controller writes zeros to the end of the sector.
    this.#consume(t, into, this.#dma.terminalCount);
  }

  /** The host has read or filled the buffer (non-DMA mode). */
  #hostDone(): void {
    const t = this.#transfer;
    const turn = this.#hostTurn;
    this.#hostTurn = 0;
    this.#setInterrupt(false);
    if (t === undefined) return;
    if (turn === 1) this.#afterUnit(t, false);
    else this.#consume(t, this.#buffer.slice(0, this.#bufferBytes), false);
  }

  /** Uses the host's data: a sector to write or compare, or a sector's ID to format. */
  #consume(t: Transfer, data: Uint8Array, terminal: boolean): void {
    const drive = this.#drive(t.unit);
    if (t.operation === "format") {
      const [c, h, r, n] = data;
      t.c = c ?? 0;
      t.h = h ?? 0;
      t.r = r ?? 0;
      // IDs that the image has no place for vanish: later reads do not find them.
      const index = drive.find(t.head, t.r);
      const fits = c === drive.cylinder && h === t.head && index >= 0 && n === drive.sizeCodeAt(t.head, index);
      if (fits && !drive.write(t.head, index, new Uint8Array(128 << (n & 7)).fill(t.fill), false))
        return this.#endTransfer(t, ST0.ABNORMAL, ST1.DE, 0);
      return this.#afterUnit(t, false);
    }
    const index = drive.find(t.head, t.r);
    // The disk may have been changed meanwhile.
    if (index < 0 || data.length !== 128 << drive.sizeCodeAt(t.head, index)) return this.#endTransfer(t, ST0.ABNORMAL, ST1.ND, 0);
    if (t.operation === "write" || t.operation === "write-deleted") {
      const stored = drive.write(t.head, index, data, t.operation === "write-deleted");
      if (!stored) return this.#endTransfer(t, ST0.ABNORMAL, ST1.DE, 0);
      return this.#afterUnit(t, terminal);
    }
    const disk = new Uint8Array(data.length);
    if (!drive.read(t.head, index, disk)) return this.#endTransfer(t, ST0.ABNORMAL, ST1.DE, ST2.DD);
    const order = compare(disk, data);
    t.st2 &= ~ST2.SN;
    if (scanMet(t.operation, order)) return this.#endTransfer(t, 0, 0, order === 0 ? ST2.SH : 0);
    t.st2 |= ST2.SN;
    this.#afterUnit(t, terminal);
  }

  /** One sector is done: advance C H R, then end or wait for the next. */
  #afterUnit(t: Transfer, terminal: boolean): void {
    if (t.left > 0) t.left--;
    if (t.operation === "format") {
      if (t.left === 0) return this.#endTransfer(t, 0, 0, 0);
      return this.#wait(t);
    }
    if (t.operation === "read-track") {
      t.r++;
      if (terminal) return this.#endTransfer(t, 0, 0, 0);
      return this.#wait(t);
    }
    const stop = (t.st2 & ST2.CM) !== 0 && !t.skip;
    const over = advance(t);
    if (terminal || stop || t.left === 0) return this.#endTransfer(t, 0, 0, 0);
    if (over) {
      // Without terminal count, only verify and scan end well at the end of the cylinder.
      const good = isScan(t.operation) || (t.operation === "verify" && t.left < 0);
      return good ? this.#endTransfer(t, 0, 0, 0) : this.#endTransfer(t, ST0.ABNORMAL, ST1.EN, 0);
    }
    this.#wait(t);
  }

  /** Until the next sector: for format and READ TRACK the next place, else the one with ID `t.r`. */
  #wait(t: Transfer): void {
    const drive = this.#drive(t.unit);
    const now = this.#clock.nowNs();
    const inOrder = t.operation === "format" || t.operation === "read-track";
    const index = inOrder ? Math.max(0, t.r - 1) : drive.find(t.head, t.r);
    // Consecutive sectors follow each other; the head is where the last one ended.
    const follows = inOrder || (index > 0 && drive.medium?.layout === undefined);
    const delay = follows ? drive.sectorNs(t.head, index, this.#revolutionNs) : drive.sectorDelayNs(t.head, index, now, this.#revolutionNs);
    this.#executeTimer.arm(now + delay);
  }

  saveState(): Fdc82077StateV1 {
    const left = (timer: Timer | undefined): number => (timer?.deadlineNs === undefined ? -1 : Math.max(0, timer.deadlineNs - this.#clock.nowNs()));
    return {
      v: 1,
      registers: [
        this.#dor,
        this.#tdr,
        this.#rate,
        this.#precompensation,
        this.#srtHut,
        this.#hltNd,
        this.#configure,
        this.#pretrack,
        this.#perpendicular,
        this.#locked ? 1 : 0,
        this.#lastSc,
      ],
      phase: this.#phase,
      command: [...this.#command],
      result: [...this.#result],
      transfer: this.#transfer === undefined ? undefined : { ...this.#transfer },
      buffer: Array.from(this.#buffer.subarray(0, this.#bufferBytes)),
      bufferPosition: this.#position,
      bufferBytes: this.#bufferBytes,
      hostTurn: this.#hostTurn,
      senses: [...this.#senses],
      interrupt: this.#interrupt,
      seeks: this.#seekTargets.map((target, unit) => ({ target, leftNs: left(this.#seekTimers[unit]) })),
      executeNs: left(this.#executeTimer),
      resetNs: left(this.#resetTimer),
      drives: this.#drives.map((d) => d.saveState()),
    };
  }

  /** Media are the machine's business: put them in before. */
  loadState(s: Fdc82077StateV1): void {
    const arm = (timer: Timer | undefined, leftNs: number): void => {
      timer?.cancel();
      if (leftNs >= 0) timer?.arm(this.#clock.nowNs() + leftNs);
    };
    const r = (i: number): number => s.registers[i] ?? 0;
    this.#dor = r(0);
    this.#tdr = r(1);
    this.#rate = r(2) & 3;
    this.#precompensation = r(3);
    this.#srtHut = r(4);
    this.#hltNd = r(5);
    this.#configure = r(6);
    this.#pretrack = r(7);
    this.#perpendicular = r(8);
    this.#locked = r(9) !== 0;
    this.#lastSc = r(10);
    this.#phase = s.phase;
    this.#command = [...s.command];
    this.#result = [...s.result];
    this.#transfer = s.transfer === undefined ? undefined : { ...s.transfer };
    this.#buffer.set(s.buffer.slice(0, LARGEST_SECTOR));
    this.#position = s.bufferPosition;
    this.#bufferBytes = Math.min(LARGEST_SECTOR, s.bufferBytes);
    this.#hostTurn = s.hostTurn;
    this.#senses = [...s.senses];
    for (const [unit, seek] of s.seeks.entries()) {
      this.#seekTargets[unit] = seek.target;
      arm(this.#seekTimers[unit], seek.leftNs);
    }
    arm(this.#executeTimer, s.executeNs);
    arm(this.#resetTimer, s.resetNs);
    for (const [unit, d] of s.drives.entries()) this.#drives[unit]?.loadState(d);
    this.#setInterrupt(s.interrupt);
  }
}
