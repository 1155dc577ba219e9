import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";

/** The command block's registers by offset; some are another one when written (ATA/ATAPI-6 §7). */
export const TASK_FILE = { DATA: 0, ERROR: 1, FEATURES: 1, COUNT: 2, LBA_LOW: 3, LBA_MID: 4, LBA_HIGH: 5, DEVICE: 6, STATUS: 7, COMMAND: 7 } as const;

/** Status register bits (ATA/ATAPI-6, T13/1410D §7.15). */
export const ST = { BSY: 0x80, DRDY: 0x40, DF: 0x20, DSC: 0x10, DRQ: 0x08, ERR: 0x01 } as const;
/** Error register bits (§7.9). */
export const ER = { UNC: 0x40, MC: 0x20, IDNF: 0x10, ABRT: 0x04 } as const;

/** Data moves through one buffer of this size: 256 sectors. */
export const BUFFER_BYTES = 131072;

/** What a drive tells its channel. */
export interface IdeHost {
  /** INTRQ of the drive changed. */
  interruptChanged(): void;
  /** The drive wants its DMA transfer run. */
  dmaRequested(): void;
}

export interface IdeDeviceOptions {
  readonly clock: Clock;
  /** Nanoseconds from a command's write to its first effect; 0 for at once. Default 4000. */
  readonly commandDelayNs?: number;
}

const NO_COMMAND = -1;

/** The registers and buffer of a drive, as saved. Registers: error, feature, count, low, mid, high, device, and the older values. */
export const IDE_DEVICE_STATE = shape.record({
  v: shape.oneOf(1),
  registers: shape.list(shape.byte, 12),
  status: shape.byte,
  interrupt: shape.flag,
  pending: shape.int(NO_COMMAND, 0xffff),
  pendingNs: shape.count,
  direction: shape.int(0, 2),
  position: shape.int(0, BUFFER_BYTES),
  blockEnd: shape.int(0, BUFFER_BYTES),
  dataEnd: shape.int(0, BUFFER_BYTES),
  dma: shape.flag,
  buffer: shape.bytes(BUFFER_BYTES, 0),
});
export type IdeDeviceStateV1 = Shaped<typeof IDE_DEVICE_STATE>;

/**
 * What ATA and ATAPI drives share: the task file, BSY timing, the PIO block engine over one buffer, and the window through
 * which the bus master moves DMA data. Derived classes execute commands.
 */
export abstract class IdeDevice {
  status = 0;
  /** INTRQ before nIEN. */
  interrupt = false;
  /** A DMA command waits for the bus master. */
  dmaPending = false;
  /** 1: the host reads; 2: the host writes; 0: no data phase. */
  direction = 0;

  protected error = 0;
  protected feature = 0;
  protected count = 0;
  protected lbaLow = 0;
  protected lbaMid = 0;
  protected lbaHigh = 0;
  protected select = 0;
  /** "Previous content" of feature, count, low, mid, high: the high-order bytes of 48-bit commands. */
  protected readonly hob = new Uint8Array(5);
  protected readonly buffer = new Uint8Array(BUFFER_BYTES);
  protected position = 0;
  /** End of the current DRQ block, and of the data in the buffer. */
  protected blockEnd = 0;
  protected dataEnd = 0;
  protected readonly clock: Clock;
  /** 0 master, 1 slave. */
  protected unit = 0;

  #host: IdeHost = { interruptChanged() {}, dmaRequested() {} };
  readonly #timer: Timer;
  readonly #delayNs: number;
  #pending = NO_COMMAND;

  constructor(options: IdeDeviceOptions) {
    this.clock = options.clock;
    this.#delayNs = options.commandDelayNs ?? 4000;
    this.#timer = options.clock.createTimer("ide", () => this.#run());
  }

  /** Set by the channel. */
  connect(host: IdeHost, unit: number): void {
    this.#host = host;
    this.unit = unit;
    this.powerOn();
  }

  /** Executes a command whose BSY time is over (a command register value, or a code of the class's own from 100h). */
  protected abstract execute(command: number): void;
  /** The host has read the DRQ block. */
  protected abstract blockRead(): void;
  /** The host has written the DRQ block. */
  protected abstract blockWritten(): void;
  /** The DMA buffer is empty (in) or full (out). */
  protected abstract dmaBufferDone(): void;
  /** Signature, status and error after power-on, SRST, DEVICE RESET and diagnostics. */
  protected abstract setSignature(): void;
  /** Hardware reset: volatile settings back to their defaults too. */
  protected abstract powerOn(): void;
  /** True: DEVICE RESET (08h) is for this drive. */
  protected abstract readonly takesDeviceReset: boolean;

  /** Error to device as the host reads them; `highOrder` is the HOB bit of device control. */
  readRegister(index: number, highOrder: boolean): number {
    switch (index) {
      case TASK_FILE.ERROR:
        return highOrder ? (this.hob[0] ?? 0) : this.error;
      case TASK_FILE.COUNT:
        return highOrder ? (this.hob[1] ?? 0) : this.count;
      case TASK_FILE.LBA_LOW:
        return highOrder ? (this.hob[2] ?? 0) : this.lbaLow;
      case TASK_FILE.LBA_MID:
        return highOrder ? (this.hob[3] ?? 0) : this.lbaMid;
      case TASK_FILE.LBA_HIGH:
        return highOrder ? (this.hob[4] ?? 0) : this.lbaHigh;
      default:
        return this.select;
    }
  }

  /** Features to device as the host writes them; not taken while a command runs. */
  writeRegister(index: number, value: number): void {
    if ((this.status & (ST.BSY | ST.DRQ)) !== 0 && index !== TASK_FILE.DEVICE) return;
    switch (index) {
      case TASK_FILE.FEATURES:
        this.hob[0] = this.feature;
        this.feature = value;
        return;
      case TASK_FILE.COUNT:
        this.hob[1] = this.count;
        this.count = value;
        return;
      case TASK_FILE.LBA_LOW:
        this.hob[2] = this.lbaLow;
        this.lbaLow = value;
        return;
      case TASK_FILE.LBA_MID:
        this.hob[3] = this.lbaMid;
        this.lbaMid = value;
        return;
      case TASK_FILE.LBA_HIGH:
        this.hob[4] = this.lbaHigh;
        this.lbaHigh = value;
        return;
      default:
        this.select = value | 0xa0;
    }
  }

  writeCommand(command: number): void {
    if (command === 0x08 && this.takesDeviceReset) {
      this.#stop();
      this.setSignature();
      return;
    }
    if ((this.status & ST.BSY) !== 0) return;
    this.#stop();
    this.error = 0;
    this.later(command);
  }

  /** Goes busy and calls `execute(code)` after the command time. */
  protected later(code: number): void {
    this.#pending = code;
    this.status = (this.status & ~(ST.DRQ | ST.ERR | ST.DF)) | ST.BSY;
    if (this.#delayNs === 0) this.#run();
    else this.#timer.arm(this.clock.nowNs() + this.#delayNs);
  }

  #run(): void {
    const code = this.#pending;
    this.#pending = NO_COMMAND;
    if (code === NO_COMMAND) return;
    this.status &= ~ST.BSY;
    this.execute(code);
  }

  /** Ends whatever was going on, without a result. */
  #stop(): void {
    this.#timer.cancel();
    this.#pending = NO_COMMAND;
    this.direction = 0;
    this.dmaPending = false;
    this.setInterrupt(false);
  }

  /** SRST in device control: held, then released. */
  softReset(held: boolean): void {
    this.#stop();
    if (held) this.status = ST.BSY;
    else this.setSignature();
  }

  /** RESET- on the cable. */
  hardReset(): void {
    this.#stop();
    this.powerOn();
  }

  setInterrupt(level: boolean): void {
    if (level === this.interrupt) return;
    this.interrupt = level;
    this.#host.interruptChanged();
  }

  /** Opens a DRQ block from `position` to `end`. */
  protected openBlock(direction: 1 | 2, end: number, interrupt: boolean): void {
    this.direction = direction;
    this.blockEnd = end;
    this.status = ST.DRDY | ST.DSC | ST.DRQ;
    if (interrupt) this.setInterrupt(true);
  }

  /** Ends a command with its status and the interrupt. */
  protected complete(status: number, interrupt = true): void {
    this.direction = 0;
    this.dmaPending = false;
    this.status = status;
    if (interrupt) this.setInterrupt(true);
  }

  /** The drive is ready for the bus master. */
  protected requestDma(direction: 1 | 2): void {
    this.direction = direction;
    this.dmaPending = true;
    this.status = ST.DRDY | ST.DSC | ST.DRQ;
    this.#host.dmaRequested();
  }

  /**
   * The host uses the data register without having waited for DRQ: a drive opens a write's block within 400 ns of the command, sooner than our
   * command time lets a fast guest see, and drivers rely on it. What is busy here is only waiting, so it can be done now.
   */
  #hurry(): void {
    if (this.#pending === NO_COMMAND) return;
    this.#timer.cancel();
    this.#run();
  }

  /** The data register. */
  readData(size: 1 | 2 | 4): number {
    this.#hurry();
    const p = this.position;
    if (this.direction !== 1 || this.dmaPending || p >= this.blockEnd) return 0;
    const b = this.buffer;
    let value: number;
    if (size === 4 && p + 4 <= this.blockEnd) {
      value = ((b[p] ?? 0) | ((b[p + 1] ?? 0) << 8) | ((b[p + 2] ?? 0) << 16) | ((b[p + 3] ?? 0) << 24)) >>> 0;
      this.position = p + 4;
    } else if (size === 1) {
      value = b[p] ?? 0;
      this.position = p + 1;
    } else {
      value = (b[p] ?? 0) | ((b[p + 1] ?? 0) << 8);
      this.position = p + 2;
    }
    if (this.position >= this.blockEnd) this.blockRead();
    return value;
  }

  writeData(size: 1 | 2 | 4, value: number): void {
    this.#hurry();
    const p = this.position;
    if (this.direction !== 2 || this.dmaPending || p >= this.blockEnd) return;
    const b = this.buffer;
    b[p] = value;
    if (size >= 2) b[p + 1] = value >>> 8;
    if (size === 4) {
      b[p + 2] = value >>> 16;
      b[p + 3] = value >>> 24;
    }
    this.position = p + size;
    if (this.position >= this.blockEnd) this.blockWritten();
  }

  /** At most `max` bytes of the buffer the bus master may read from (direction 1) or fill (2). Empty: nothing to move. */
  dmaWindow(max: number): Uint8Array {
    if (!this.dmaPending) return this.buffer.subarray(0, 0);
    return this.buffer.subarray(this.position, Math.min(this.dataEnd, this.position + max));
  }

  /** The bus master moved `bytes` of the window. */
  dmaAdvance(bytes: number): void {
    this.position += bytes;
    if (this.position >= this.dataEnd && this.dmaPending) this.dmaBufferDone();
  }

  protected saveDevice(): IdeDeviceStateV1 {
    const live = this.direction === 0 ? 0 : Math.max(this.dataEnd, this.blockEnd);
    return {
      v: 1,
      registers: [this.error, this.feature, this.count, this.lbaLow, this.lbaMid, this.lbaHigh, this.select, ...this.hob],
      status: this.status,
      interrupt: this.interrupt,
      pending: this.#pending,
      pendingNs: Math.max(0, (this.#timer.deadlineNs ?? 0) - this.clock.nowNs()),
      direction: this.direction,
      position: this.position,
      blockEnd: this.blockEnd,
      dataEnd: this.dataEnd,
      dma: this.dmaPending,
      buffer: this.buffer.slice(0, live),
    };
  }

  protected loadDevice(s: IdeDeviceStateV1): void {
    this.#stop();
    const r = s.registers;
    this.error = r[0] ?? 0;
    this.feature = r[1] ?? 0;
    this.count = r[2] ?? 0;
    this.lbaLow = r[3] ?? 0;
    this.lbaMid = r[4] ?? 0;
    this.lbaHigh = r[5] ?? 0;
    this.select = r[6] ?? 0;
    for (let i = 0; i < 5; i++) this.hob[i] = r[7 + i] ?? 0;
    this.status = s.status;
    this.direction = s.direction;
    this.position = s.position;
    this.blockEnd = s.blockEnd;
    this.dataEnd = s.dataEnd;
    this.dmaPending = s.dma;
    this.buffer.set(s.buffer.subarray(0, BUFFER_BYTES));
    this.#pending = s.pending;
    if (s.pending !== NO_COMMAND) this.#timer.arm(this.clock.nowNs() + s.pendingNs);
    this.setInterrupt(s.interrupt);
  }
}
