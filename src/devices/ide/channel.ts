import { shape } from "../../base/index.ts";
import type { Clock, Shaped } from "../../base/index.ts";
import type { BusDevice, DmaView, IrqPin } from "../../bus/index.ts";
import { readBytes, writeBytes } from "../common/byte-access.ts";
import { ABSENT_DRIVE_STATE, AbsentDrive } from "./absent.ts";
import { ATA } from "./ata-commands.ts";
import { ATA_DISK_STATE, AtaDisk } from "./ata-disk.ts";
import { ATAPI_DRIVE_STATE, AtapiDrive } from "./atapi-drive.ts";
import { BUS_MASTER_STATE, BusMaster } from "./bus-master.ts";
import { ST, TASK_FILE } from "./device.ts";

/** What may hang on the cable. */
export type IdeDrive = AtaDisk | AtapiDrive;

export interface IdeChannelOptions {
  readonly name: string;
  readonly irq: IrqPin;
  readonly clock: Clock;
  readonly dma: DmaView;
  readonly master?: IdeDrive | undefined;
  readonly slave?: IdeDrive | undefined;
  /** Nanoseconds from "both ready" to the end of a DMA transfer; 0: at once. Default 4000. */
  readonly dmaDelayNs?: number;
}

export const IDE_CHANNEL_STATE = shape.record({
  v: shape.oneOf(1),
  select: shape.byte,
  control: shape.byte,
  drives: shape.list(shape.maybe(shape.tagged("kind", { ata: ATA_DISK_STATE, atapi: ATAPI_DRIVE_STATE })), 2),
  busMaster: BUS_MASTER_STATE,
  /** Missing in older snapshots. */
  absent: shape.maybe(ABSENT_DRIVE_STATE),
});
export type IdeChannelStateV1 = Shaped<typeof IDE_CHANNEL_STATE>;

const NIEN = 0x02;
const SRST = 0x04;
const HOB = 0x80;

/**
 * One IDE cable: `commandBlock` (8 ports, 1F0h or 170h), `controlBlock` (1 port, 3F6h or 376h; 3F7h belongs to the floppy
 * controller) and the channel's half of the bus master. With one drive, the other place is an `AbsentDrive`; with none, the bus floats high.
 */
export class IdeChannel {
  readonly commandBlock: BusDevice;
  readonly controlBlock: BusDevice;
  readonly busMaster: BusMaster;
  readonly #drives: readonly (IdeDrive | undefined)[];
  readonly #absent = new AbsentDrive();
  readonly #irq: IrqPin;
  #select = 0;
  #selected: IdeDrive | undefined;
  #control = 0;
  #level = false;

  constructor(options: IdeChannelOptions) {
    this.#irq = options.irq;
    this.#drives = [options.master, options.slave];
    this.#selected = options.master;
    this.busMaster = new BusMaster({
      dma: options.dma,
      clock: options.clock,
      delayNs: options.dmaDelayNs ?? 4000,
      selected: () => this.#selected,
    });
    const host = { interruptChanged: () => this.#updateIrq(), dmaRequested: () => this.busMaster.schedule() };
    for (const [unit, drive] of this.#drives.entries()) drive?.connect(host, unit);
    this.commandBlock = {
      name: `${options.name}-command`,
      read: (offset, size) => {
        if (offset === TASK_FILE.DATA) return this.#selected === undefined ? this.#floating(size) : this.#selected.readData(size);
        return readBytes(offset, size, (at) => this.#readRegister(at));
      },
      write: (offset, size, value) => {
        if (offset === TASK_FILE.DATA) {
          this.#selected?.writeData(size, value);
          return;
        }
        writeBytes(offset, size, value, (at, byte) => this.#writeRegister(at, byte));
      },
    };
    this.controlBlock = {
      name: `${options.name}-control`,
      read: () => this.#readStatus(),
      write: (offset, _size, value) => {
        if (offset === 0) this.#writeControl(value & 0xff);
      },
    };
  }

  /** The drive in a place, 0 master or 1 slave. */
  drive(unit: number): IdeDrive | undefined {
    return this.#drives[unit];
  }

  /** RESET-: as at power-on. */
  reset(): void {
    this.#control = 0;
    this.#choose(0);
    this.busMaster.reset();
    this.#absent.reset();
    for (const drive of this.#drives) drive?.hardReset();
    this.#updateIrq();
  }

  saveState(): IdeChannelStateV1 {
    return {
      v: 1,
      select: this.#select,
      control: this.#control,
      drives: this.#drives.map((d) => d?.saveState()),
      busMaster: this.busMaster.saveState(),
      absent: this.#absent.saveState(),
    };
  }

  loadState(s: IdeChannelStateV1): void {
    this.#control = s.control;
    this.#choose(s.select);
    this.busMaster.loadState(s.busMaster);
    this.#absent.loadState(s.absent);
    for (const [unit, state] of s.drives.entries()) {
      const drive = this.#drives[unit];
      if (drive instanceof AtaDisk && state?.kind === "ata") drive.loadState(state);
      if (drive instanceof AtapiDrive && state?.kind === "atapi") drive.loadState(state);
    }
    this.#updateIrq();
    // The wire going up has set the bus master's interrupt bit, which the guest may have cleared before.
    this.busMaster.loadState(s.busMaster);
  }

  #choose(device: number): void {
    this.#select = device;
    this.#selected = this.#drives[(device >>> 4) & 1];
  }

  #updateIrq(): void {
    const level = this.#selected?.interrupt === true && (this.#control & NIEN) === 0;
    if (level === this.#level) return;
    this.#level = level;
    if (level) this.busMaster.interruptRaised();
    this.#irq.set(level);
  }

  get #empty(): boolean {
    return this.#drives[0] === undefined && this.#drives[1] === undefined;
  }
  /** Data lines with nobody driving them: pulled up on an empty cable, else what the present drive leaves (zero). */
  #floating(size: number): number {
    return this.#empty ? (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff) : 0;
  }

  #readStatus(): number {
    return this.#selected?.status ?? (this.#empty ? 0xff : this.#absent.status);
  }

  #readRegister(index: number): number {
    if (index > TASK_FILE.STATUS) return 0xff;
    const drive = this.#selected;
    if (index === TASK_FILE.STATUS) {
      const status = this.#readStatus();
      drive?.setInterrupt(false);
      return status;
    }
    if (this.#empty) return 0xff;
    if (index === TASK_FILE.DEVICE) return ((drive?.readRegister(index, false) ?? this.#select) & 0x4f) | (this.#select & 0x10) | 0xa0;
    return drive === undefined ? this.#absent.readRegister(index) : drive.readRegister(index, (this.#control & HOB) !== 0);
  }

  #writeRegister(index: number, value: number): void {
    if (index > TASK_FILE.COMMAND) return;
    this.#control &= ~HOB;
    if (index === TASK_FILE.COMMAND) return this.#writeCommand(value);
    // Both drives latch the registers; each ignores them while busy.
    for (const drive of this.#drives) (drive ?? this.#absent).writeRegister(index, value);
    if (index === TASK_FILE.DEVICE) {
      this.#choose(value);
      this.#updateIrq();
    }
  }

  #writeCommand(command: number): void {
    if (command !== ATA.DIAGNOSTIC) {
      this.#selected?.writeCommand(command);
      return;
    }
    // EXECUTE DEVICE DIAGNOSTIC is for both, whoever is selected; device 0 then is.
    const [first, second] = this.#drives;
    if ((((first?.status ?? 0) | (second?.status ?? 0)) & ST.BSY) !== 0) return;
    this.#absent.reset();
    second?.runDiagnostic(false);
    this.#choose(0);
    if (first !== undefined) first.writeCommand(command);
    this.#updateIrq();
  }

  #writeControl(value: number): void {
    const before = this.#control;
    this.#control = value;
    if (((before ^ value) & SRST) !== 0) {
      const held = (value & SRST) !== 0;
      this.#absent.reset();
      for (const drive of this.#drives) drive?.softReset(held);
      if (!held) this.#choose(0);
    }
    this.#updateIrq();
  }
}
