import type { Clock, Timer } from "../../base/index.ts";
import type { DmaChannel } from "../../bus/index.ts";
import { FloppyDrive } from "./drive.ts";
import { Execution } from "./execution.ts";
import { decodeCommand, DOR, MSR, REGISTER, ST0, ST3, statusA, stepMilliseconds } from "./registers.ts";
import type { CommandKind, DataOperation } from "./registers.ts";
import { SeekUnit } from "./seek.ts";
import { armLeft, leftNs } from "./state.ts";
import type { Fdc82077StateV1, Phase } from "./state.ts";
import { decodeReadId, decodeTransfer } from "./transfer.ts";

/** What the controller is soldered to. */
export interface FdcWires {
  readonly clock: Clock;
  /** INT, before the DOR's gate has its say. */
  readonly interrupt: (level: boolean) => void;
  readonly dma: DmaChannel;
  readonly drives: readonly FloppyDrive[];
  /** Factor on seek and rotation times; 1 is a real 300 rpm drive. */
  readonly timeScale: number;
}

const REVOLUTION_NS = 200_000_000;
const RESET_NS = 20_000;

/**
 * The 82077AA floppy disk controller: its registers, the FIFO's phases and the commands that touch no disk (`execution.ts` moves the data,
 * `seek.ts` the heads). Everything mechanical happens in clock time: steps by SPECIFY's rate, sectors as they pass the head. Source: Intel 82077AA
 * data sheet (290166-007).
 */
export class FdcController {
  readonly #wires: FdcWires;
  readonly #clock: Clock;
  readonly #drives: readonly FloppyDrive[];
  readonly #execution: Execution;
  readonly #resetTimer: Timer;
  readonly #seeks: SeekUnit;

  #dor = 0x0c;
  #tdr = 0;
  #rate = 2;
  #precompensation = 0;
  #phase: Phase = "idle";
  #command: number[] = [];
  #result: number[] = [];
  #interrupt = false;

  // SPECIFY, CONFIGURE, PERPENDICULAR, LOCK.
  #srtHut = 0;
  #hltNd = 0;
  #configure = 0x20;
  #pretrack = 0;
  #perpendicular = 0;
  #locked = false;
  #lastSc = 0;

  constructor(wires: FdcWires) {
    const { clock, dma, drives, timeScale } = wires;
    this.#wires = wires;
    this.#clock = clock;
    this.#drives = drives;
    this.#execution = new Execution({
      clock,
      dma,
      revolutionNs: REVOLUTION_NS * timeScale,
      rate: () => this.#rate,
      nonDma: () => this.#nonDma,
      drive: (unit) => this.#drive(unit),
      setInterrupt: (level) => this.#setInterrupt(level),
      ended: (result) => this.#finish(result, true),
    });
    this.#resetTimer = clock.createTimer("fdc-reset", () => this.#resetDone());
    this.#seeks = new SeekUnit(clock, drives, () => this.#setInterrupt(true));
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
    this.#execution.abort();
    this.#resetTimer.cancel();
    this.#seeks.reset();
    this.#phase = "idle";
    this.#command = [];
    this.#result = [];
    this.#perpendicular &= 0x3c;
    if (!this.#locked) {
      this.#configure = 0x20;
      this.#pretrack = 0;
    }
    this.#wires.dma.setRequest(false);
    this.#setInterrupt(false);
  }

  /** Reset released: with polling on, each drive's ready change wants a SENSE INTERRUPT STATUS. */
  #resetDone(): void {
    if ((this.#configure & 0x10) !== 0) return;
    this.#seeks.pollAll();
    this.#setInterrupt(true);
  }

  #drive(unit: number): FloppyDrive {
    return this.#drives[unit & 3] ?? new FloppyDrive(false, undefined);
  }

  #setInterrupt(level: boolean): void {
    this.#interrupt = level;
    this.#wires.interrupt(level && (this.#dor & DOR.DMA_GATE) !== 0);
  }

  read(register: number): number {
    switch (register) {
      case REGISTER.STATUS_A: {
        const drive = this.#drive(this.#dor);
        return statusA(this.#interrupt, this.#drive(1).installed, drive.cylinder === 0, drive.medium?.backend.readOnly === true);
      }
      case REGISTER.STATUS_B:
        // Drive select 0 and motors as they are.
        return 0xc0 | ((this.#dor & 1) << 5) | ((this.#dor >>> 4) & 3);
      case REGISTER.DOR:
        return this.#dor;
      case REGISTER.TDR:
        return this.#tdr;
      case REGISTER.MSR:
        return this.#mainStatus();
      case REGISTER.FIFO:
        return this.#readFifo();
      case REGISTER.DIR:
        return this.#changeLine();
      default:
        return 0xff;
    }
  }

  write(register: number, value: number): void {
    switch (register) {
      case REGISTER.DOR:
        return this.#writeOutput(value);
      case REGISTER.TDR:
        this.#tdr = value & 3;
        return;
      case REGISTER.DSR:
        this.#rate = value & 3;
        this.#precompensation = (value >>> 2) & 7;
        if ((value & 0x80) !== 0 && (this.#dor & DOR.NOT_RESET) !== 0) {
          this.#softReset();
          this.#resetTimer.arm(this.#clock.nowNs() + RESET_NS);
        }
        return;
      case REGISTER.FIFO:
        return this.#writeFifo(value);
      case REGISTER.CCR:
        this.#rate = value & 3;
        return;
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
  #changeLine(): number {
    const unit = this.#dor & 3;
    const drive = this.#drive(unit);
    const motor = (this.#dor & (0x10 << unit)) !== 0;
    return motor && drive.installed && (drive.changed || drive.medium === undefined) ? 0x80 : 0;
  }

  #mainStatus(): number {
    if ((this.#dor & DOR.NOT_RESET) === 0) return 0;
    let status = this.#seeks.busy;
    const { hostTurn } = this.#execution;
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
        if (hostTurn !== 0) status |= MSR.RQM | (hostTurn === 1 ? MSR.DIO : 0);
        return status;
    }
  }

  get #nonDma(): boolean {
    return (this.#hltNd & 1) !== 0;
  }

  #readFifo(): number {
    if (this.#phase === "result") {
      // The first byte read takes the interrupt away.
      this.#setInterrupt(this.#seeks.waits);
      const value = this.#result.shift() ?? 0;
      if (this.#result.length === 0) this.#phase = "idle";
      return value;
    }
    if (this.#phase === "execute" && this.#execution.hostTurn === 1) return this.#execution.readFifo();
    return 0;
  }

  #writeFifo(value: number): void {
    if ((this.#dor & DOR.NOT_RESET) === 0) return;
    if (this.#phase === "execute" && this.#execution.hostTurn === 2) return this.#execution.writeFifo(value);
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
    this.#execution.forget();
    this.#wires.dma.setRequest(false);
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
        return this.#startSeek(unit, "track-0");
      case "seek":
        return this.#startSeek(unit, p2);
      case "relative-seek": {
        const towardsHub = ((c[0] ?? 0) & 0x40) !== 0;
        return this.#startSeek(unit, this.#drive(unit).cylinder + (towardsHub ? p2 : -p2));
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
        this.#phase = "execute";
        return this.#execution.startReadId(decodeReadId(c));
      default:
        return this.#startTransfer(kind);
    }
  }

  #senseInterrupt(): void {
    const next = this.#seeks.sense();
    if (next === undefined) return this.#finish([ST0.INVALID], false);
    this.#setInterrupt(this.#seeks.waits);
    this.#finish([...next], false);
  }

  #stepNs(): number {
    return stepMilliseconds(this.#srtHut, this.#rate) * 1e6 * this.#wires.timeScale;
  }

  #startSeek(unit: number, target: number | "track-0"): void {
    this.#finish([], false);
    this.#seeks.start(unit, target, this.#stepNs());
  }

  #startTransfer(operation: DataOperation): void {
    const drive = this.#drive(this.#command[1] ?? 0);
    const t = decodeTransfer(operation, this.#command, drive.cylinder);
    if (operation !== "format") this.#lastSc = t.eot;
    this.#phase = "execute";
    let delayNs = 0;
    // Implied seek.
    if ((this.#configure & 0x40) !== 0 && operation !== "format" && t.c !== drive.cylinder) {
      delayNs = Math.min(255, Math.abs(t.c - drive.cylinder)) * this.#stepNs();
      drive.stepTo(t.c);
    }
    // Head load time: (HLT) 2 ms steps at 500 kbit/s.
    delayNs += (this.#hltNd >>> 1) * 2e6 * this.#wires.timeScale;
    this.#execution.start(t, delayNs);
  }

  saveState(): Fdc82077StateV1 {
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
      ...this.#execution.saveState(),
      ...this.#seeks.saveState(),
      interrupt: this.#interrupt,
      resetNs: leftNs(this.#resetTimer, this.#clock),
      drives: this.#drives.map((d) => d.saveState()),
    };
  }

  /** Media are the machine's business: put them in before. */
  loadState(s: Fdc82077StateV1): void {
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
    this.#seeks.loadState(s);
    this.#execution.loadState(s);
    armLeft(this.#resetTimer, this.#clock, s.resetNs);
    for (const [unit, d] of s.drives.entries()) this.#drives[unit]?.loadState(d);
    this.#setInterrupt(s.interrupt);
  }
}
