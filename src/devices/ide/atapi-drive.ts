import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import { ATA, FEATURE } from "./ata-commands.ts";
import { BUFFER_BYTES, ER, IDE_DEVICE_STATE, IdeDevice, ST } from "./device.ts";
import type { IdeDeviceOptions } from "./device.ts";
import { identifyPacketDevice } from "./identify.ts";
import * as mmc from "./mmc.ts";
import { MEDIUM_COMMANDS, NO_ATTENTION, PACKET, SENSE } from "./packet-commands.ts";
import type { Sense } from "./packet-commands.ts";
import { RAW_SECTOR, sealRawSector } from "./raw-sector.ts";

export interface AtapiDriveOptions extends IdeDeviceOptions {
  readonly medium?: BlockBackend | undefined;
  readonly model?: string;
  readonly serial?: string;
  /** The guest ejected the medium (START STOP UNIT); the drive is empty already. */
  readonly onEject?: () => void;
}

type Phase = "idle" | "packet" | "data-in" | "data-out";

const PACKET_BYTES = 12;
const BLOCK = 2048;
/** Code for `execute`: the packet's 12 bytes have arrived. */
const RUN_PACKET = 0x100;

/** Interrupt reason bits in the count register (ATA/ATAPI-6 §7.12). */
const REASON_COMMAND = 1;
const REASON_IN = 2;
const REASON_DONE = 3;

/** SET FEATURES that change nothing here. */
const ACCEPTED_FEATURES: ReadonlySet<number> = new Set([
  FEATURE.KEEP_OVER_RESET,
  FEATURE.DEFAULTS_AT_RESET,
  FEATURE.ADVANCED_POWER_ON,
  FEATURE.ADVANCED_POWER_OFF,
  FEATURE.RELEASE_INTERRUPT_ON,
  FEATURE.RELEASE_INTERRUPT_OFF,
]);

export const ATAPI_DRIVE_STATE = shape.record({
  v: shape.oneOf(1),
  kind: shape.oneOf("atapi"),
  device: IDE_DEVICE_STATE,
  phase: shape.oneOf("idle", "packet", "data-in", "data-out"),
  packet: shape.list(shape.byte, PACKET_BYTES),
  sense: shape.triple(shape.byte, shape.byte, shape.byte),
  lba: shape.dword,
  blocksLeft: shape.dword,
  blockBytes: shape.oneOf(BLOCK, RAW_SECTOR),
  dma: shape.flag,
  byteLimit: shape.int(0, 0x10000),
  attention: shape.flag,
  mediaEvent: shape.byte,
  locked: shape.flag,
  trayOpen: shape.flag,
  transferMode: shape.byte,
});
export type AtapiDriveStateV1 = Shaped<typeof ATAPI_DRIVE_STATE>;

/** An ATAPI CD/DVD-ROM drive. */
export class AtapiDrive extends IdeDevice {
  protected override readonly takesDeviceReset = true;
  readonly #model: string;
  readonly #serial: string;
  readonly #onEject: () => void;
  #medium: BlockBackend | undefined;
  #phase: Phase = "idle";
  readonly #packet = new Uint8Array(PACKET_BYTES);
  #sense: Sense = SENSE.NONE;
  /** A medium came in that the host has not been told of. */
  #attention = false;
  /** For GET EVENT STATUS: 0 none, 2 new medium, 3 removed. */
  #mediaEvent = 0;
  #locked = false;
  #trayOpen = false;
  #transferMode = 0x0c;

  // A read under way.
  #lba = 0;
  #blocksLeft = 0;
  #blockBytes: typeof BLOCK | typeof RAW_SECTOR = BLOCK;
  #dma = false;
  #byteLimit = 0xfffe;

  constructor(options: AtapiDriveOptions) {
    super(options);
    this.#model = options.model ?? "WHYVE DVD-ROM";
    this.#serial = options.serial ?? "WHYVE00002";
    this.#onEject = options.onEject ?? (() => {});
    this.#medium = options.medium;
  }

  get medium(): BlockBackend | undefined {
    return this.#medium;
  }

  /** Changes the medium, or takes it out. The guest learns of it by a unit attention. */
  insert(medium: BlockBackend | undefined): void {
    this.#medium = medium;
    this.#attention = medium !== undefined;
    this.#mediaEvent = medium === undefined ? 3 : 2;
    this.#trayOpen = false;
  }

  get #blocks(): number {
    return this.#medium === undefined ? 0 : Math.floor(this.#medium.sizeBytes / BLOCK);
  }

  protected override powerOn(): void {
    this.#locked = false;
    this.#transferMode = 0x0c;
    this.setSignature();
  }

  protected override setSignature(): void {
    this.error = 1;
    this.count = 1;
    this.lbaLow = 1;
    this.lbaMid = 0x14;
    this.lbaHigh = 0xeb;
    this.select = 0xa0;
    // A packet device shows no DRDY until its first command.
    this.status = 0;
    this.#phase = "idle";
    this.#sense = SENSE.NONE;
  }

  runDiagnostic(interrupt: boolean): void {
    this.setSignature();
    this.complete(0, interrupt);
  }

  #abort(): void {
    this.error = ER.ABRT;
    this.complete(ST.DRDY | ST.DSC | ST.ERR);
  }

  protected override execute(command: number): void {
    switch (command) {
      case RUN_PACKET:
        return this.#runPacket();
      case ATA.PACKET:
        this.#phase = "packet";
        this.#dma = (this.feature & 1) !== 0;
        this.#byteLimit = this.lbaMid | (this.lbaHigh << 8);
        this.count = REASON_COMMAND;
        this.position = 0;
        this.dataEnd = PACKET_BYTES;
        return this.openBlock(2, PACKET_BYTES, false);
      case ATA.IDENTIFY_PACKET: {
        const id = { model: this.#model, serial: this.#serial, firmware: "1.0", transferMode: this.#transferMode, unit: this.unit };
        this.buffer.set(identifyPacketDevice(id));
        this.position = 0;
        this.dataEnd = 512;
        this.#phase = "idle";
        return this.openBlock(1, 512, true);
      }
      case ATA.DIAGNOSTIC:
        return this.runDiagnostic(true);
      case ATA.SET_FEATURES:
        if (this.feature === FEATURE.TRANSFER_MODE) this.#transferMode = this.count;
        else if (!ACCEPTED_FEATURES.has(this.feature)) return this.#abort();
        return this.complete(ST.DRDY | ST.DSC);
      case ATA.STANDBY_IMMEDIATE:
      case ATA.IDLE_IMMEDIATE:
      case ATA.STANDBY:
      case ATA.IDLE:
      case ATA.SLEEP:
      case ATA.FLUSH_CACHE:
        return this.complete(ST.DRDY | ST.DSC);
      case ATA.CHECK_POWER:
        this.count = 0xff;
        return this.complete(ST.DRDY | ST.DSC);
      case ATA.IDENTIFY:
      case ATA.READ_SECTORS:
      case ATA.READ_SECTORS_NO_RETRY:
        // Refused, with the signature by which hosts recognise a packet device.
        this.setSignature();
        return this.#abort();
      default:
        return this.#abort();
    }
  }

  protected override blockWritten(): void {
    if (this.#phase === "packet") {
      this.#packet.set(this.buffer.subarray(0, PACKET_BYTES));
      this.direction = 0;
      return this.later(RUN_PACKET);
    }
    // Mode parameters: nothing in our pages can be changed.
    this.#finish();
  }

  protected override blockRead(): void {
    if (this.#phase !== "data-in") return this.complete(ST.DRDY | ST.DSC, false);
    this.#continueIn();
  }

  protected override dmaBufferDone(): void {
    if (this.#blocksLeft > 0) this.#loadBlocks();
    else this.#finish();
  }

  #finish(): void {
    this.#phase = "idle";
    this.#sense = SENSE.NONE;
    this.count = REASON_DONE;
    this.complete(ST.DRDY | ST.DSC);
  }

  #fail(sense: Sense): void {
    this.#phase = "idle";
    this.#blocksLeft = 0;
    this.#sense = sense;
    this.error = (sense[0] << 4) | ER.ABRT;
    this.count = REASON_DONE;
    this.complete(ST.DRDY | ST.DSC | ST.ERR);
  }

  /** Sends the first `allocation` bytes of an answer. */
  #reply(bytes: Uint8Array | undefined, allocation: number): void {
    if (bytes === undefined) return this.#fail(SENSE.BAD_FIELD);
    const n = Math.min(bytes.length, allocation);
    if (n === 0) return this.#finish();
    this.buffer.set(bytes.subarray(0, n));
    this.#blocksLeft = 0;
    this.position = 0;
    this.dataEnd = n;
    this.#startIn();
  }

  #startIn(): void {
    this.#phase = "data-in";
    if (this.#dma) this.requestDma(1);
    else this.#continueIn();
  }

  /** The next PIO block: at most the host's byte count, never past the buffer. */
  #continueIn(): void {
    if (this.position >= this.dataEnd) {
      if (this.#blocksLeft === 0) return this.#finish();
      if (!this.#loadBlocks()) return;
    }
    // 0 and FFFFh mean FFFEh; an odd limit only fits a last block (ATA/ATAPI-6 §8.23).
    const limit = this.#byteLimit === 0 || this.#byteLimit === 0xffff ? 0xfffe : this.#byteLimit;
    const left = this.dataEnd - this.position;
    const n = left <= limit ? left : Math.max(2, limit & ~1);
    this.lbaMid = n & 0xff;
    this.lbaHigh = n >>> 8;
    this.count = REASON_IN;
    this.openBlock(1, this.position + n, true);
  }

  /** Fills the buffer with blocks of the read. False when the command ended with an error. */
  #loadBlocks(): boolean {
    const n = Math.min(this.#blocksLeft, Math.floor(BUFFER_BYTES / this.#blockBytes));
    const medium = this.#medium;
    if (medium === undefined) {
      this.#fail(SENSE.NO_MEDIUM);
      return false;
    }
    if (this.#blockBytes === BLOCK) {
      if (!medium.read(this.#lba * BLOCK, this.buffer.subarray(0, n * BLOCK))) {
        this.#fail(SENSE.MEDIUM_ERROR);
        return false;
      }
    } else {
      for (let i = 0; i < n; i++) {
        const sector = this.buffer.subarray(i * RAW_SECTOR, (i + 1) * RAW_SECTOR);
        if (!medium.read((this.#lba + i) * BLOCK, sector.subarray(16, 16 + BLOCK))) {
          this.#fail(SENSE.MEDIUM_ERROR);
          return false;
        }
        sealRawSector(sector, this.#lba + i);
      }
    }
    this.#lba += n;
    this.#blocksLeft -= n;
    this.position = 0;
    this.dataEnd = n * this.#blockBytes;
    return true;
  }

  #read(lba: number, count: number, blockBytes: typeof BLOCK | typeof RAW_SECTOR): void {
    if (lba + count > this.#blocks) return this.#fail(SENSE.OUT_OF_RANGE);
    if (count === 0) return this.#finish();
    this.#lba = lba;
    this.#blocksLeft = count;
    this.#blockBytes = blockBytes;
    if (this.#loadBlocks()) this.#startIn();
  }

  #u16(at: number): number {
    return ((this.#packet[at] ?? 0) << 8) | (this.#packet[at + 1] ?? 0);
  }
  #u24(at: number): number {
    return ((this.#packet[at] ?? 0) << 16) | this.#u16(at + 1);
  }
  #u32(at: number): number {
    return this.#u16(at) * 65536 + this.#u16(at + 2);
  }

  #runPacket(): void {
    const p = this.#packet;
    const op = p[0] ?? 0;
    if (this.#attention && !NO_ATTENTION.has(op)) {
      this.#attention = false;
      return this.#fail(SENSE.MEDIUM_CHANGED);
    }
    const hasMedium = this.#medium !== undefined;
    switch (op) {
      case PACKET.REQUEST_SENSE: {
        const [key, code, qualifier] = this.#attention && this.#sense[0] === 0 ? SENSE.MEDIUM_CHANGED : this.#sense;
        if (this.#sense[0] === 0) this.#attention = false;
        return this.#reply(new mmc.Reply(18).u8(0, 0x70).u8(2, key).u8(7, 10).u8(12, code).u8(13, qualifier).bytes, p[4] ?? 0);
      }
      case PACKET.INQUIRY:
        // Vital product data pages do not exist here.
        return (p[1] ?? 0) & 1 ? this.#fail(SENSE.BAD_FIELD) : this.#reply(mmc.inquiry(this.#model), p[4] ?? 0);
      case PACKET.START_STOP:
        return this.#startStop();
      case PACKET.PREVENT_REMOVAL:
        this.#locked = ((p[4] ?? 0) & 1) !== 0;
        return this.#finish();
      case PACKET.GET_CONFIGURATION:
        return this.#reply(mmc.configuration(this.#blocks, (p[1] ?? 0) & 3, this.#u16(2)), this.#u16(7));
      case PACKET.GET_EVENT_STATUS: {
        if (((p[1] ?? 0) & 1) === 0) return this.#fail(SENSE.BAD_FIELD);
        const event = this.#mediaEvent;
        if (((p[4] ?? 0) & 0x10) !== 0) this.#mediaEvent = 0;
        return this.#reply(mmc.eventStatus(p[4] ?? 0, event, hasMedium, this.#trayOpen), this.#u16(7));
      }
      case PACKET.MODE_SENSE: {
        const control = (p[2] ?? 0) >>> 6;
        if (control === 3) return this.#fail(SENSE.NO_SAVED_VALUES);
        return this.#reply(mmc.modeSense((p[2] ?? 0) & 0x3f, control, hasMedium, this.#locked), this.#u16(7));
      }
      case PACKET.MODE_SELECT:
        return this.#modeSelect(this.#u16(7));
      case PACKET.SET_CD_SPEED:
      case PACKET.STOP_PLAY:
        return this.#finish();
      case PACKET.MECHANISM_STATUS:
        return this.#reply(mmc.mechanismStatus(), this.#u16(8));
      default:
        if (!hasMedium && MEDIUM_COMMANDS.has(op)) return this.#fail(SENSE.NO_MEDIUM);
        return this.#runMediumPacket(op);
    }
  }

  /** Commands that need a medium. */
  #runMediumPacket(op: number): void {
    const p = this.#packet;
    const asMsf = ((p[1] ?? 0) & 2) !== 0;
    switch (op) {
      case PACKET.TEST_UNIT_READY:
      case PACKET.SYNCHRONIZE_CACHE:
        return this.#finish();
      case PACKET.READ_CAPACITY:
        return this.#reply(new mmc.Reply(8).u32(0, this.#blocks - 1).u32(4, BLOCK).bytes, 8);
      case PACKET.READ_10:
        return this.#read(this.#u32(2), this.#u16(7), BLOCK);
      case PACKET.READ_12:
        return this.#read(this.#u32(2), this.#u32(6), BLOCK);
      case PACKET.SEEK:
        return this.#u32(2) < this.#blocks ? this.#finish() : this.#fail(SENSE.OUT_OF_RANGE);
      case PACKET.VERIFY:
        return this.#u32(2) + this.#u16(7) <= this.#blocks ? this.#finish() : this.#fail(SENSE.OUT_OF_RANGE);
      case PACKET.READ_SUB_CHANNEL:
        return this.#reply(mmc.subChannel(((p[2] ?? 0) & 0x40) !== 0, p[3] ?? 0), this.#u16(7));
      case PACKET.READ_TOC: {
        const format = (p[2] ?? 0) & 15 || (p[9] ?? 0) >>> 6;
        const bytes =
          format === 0
            ? mmc.toc(this.#blocks, p[6] ?? 0, asMsf)
            : format === 1
              ? mmc.sessionInfo(asMsf)
              : format === 2
                ? mmc.fullToc(this.#blocks)
                : undefined;
        return this.#reply(bytes, this.#u16(7));
      }
      case PACKET.READ_HEADER:
        return this.#u32(2) < this.#blocks
          ? this.#reply(new mmc.Reply(8).u8(0, 1).u32(4, this.#u32(2)).bytes, this.#u16(7))
          : this.#fail(SENSE.OUT_OF_RANGE);
      case PACKET.PLAY_AUDIO_10:
      case PACKET.PLAY_AUDIO_MSF:
      case PACKET.PLAY_AUDIO_12:
        return this.#fail(SENSE.ILLEGAL_MODE); // audio play of a data track
      case PACKET.PAUSE_RESUME:
        return this.#fail(SENSE.COMMAND_SEQUENCE); // nothing plays
      case PACKET.READ_DISC_INFORMATION:
        return this.#reply(mmc.discInformation(), this.#u16(7));
      case PACKET.READ_TRACK_INFORMATION:
        return this.#reply(mmc.trackInformation(this.#blocks), this.#u16(7));
      case PACKET.READ_DVD_STRUCTURE:
        if (mmc.profileOf(this.#blocks) !== 0x10) return this.#fail(SENSE.WRONG_MEDIUM);
        return this.#reply((p[7] ?? 0) === 0 ? mmc.dvdPhysicalFormat(this.#blocks) : undefined, this.#u16(8));
      case PACKET.READ_CD_MSF: {
        const frame = (at: number): number => ((p[at] ?? 0) * 60 + (p[at + 1] ?? 0)) * 75 + (p[at + 2] ?? 0) - 150;
        const start = frame(3);
        return start < 0 || frame(6) < start ? this.#fail(SENSE.BAD_FIELD) : this.#readCd(start, frame(6) - start);
      }
      case PACKET.READ_CD:
        return this.#readCd(this.#u32(2), this.#u24(6));
      default:
        return this.#fail(SENSE.BAD_OPCODE);
    }
  }

  /** READ CD: byte 9 says which parts; user data alone or the whole sector. */
  #readCd(lba: number, count: number): void {
    const type = ((this.#packet[1] ?? 0) >>> 2) & 7;
    // Any type, mode 1 (2): data is what we have. CD-DA and mode 2 do not match.
    if (type !== 0 && type !== 2) return this.#fail(SENSE.ILLEGAL_MODE);
    const parts = (this.#packet[9] ?? 0) & 0xf8;
    if (((this.#packet[10] ?? 0) & 7) !== 0) return this.#fail(SENSE.BAD_FIELD);
    if (parts === 0 || count === 0) return lba + count <= this.#blocks ? this.#finish() : this.#fail(SENSE.OUT_OF_RANGE);
    if (parts === 0x10) return this.#read(lba, count, BLOCK);
    if (parts === 0xf8) return this.#read(lba, count, RAW_SECTOR);
    this.#fail(SENSE.BAD_FIELD);
  }

  #startStop(): void {
    const bits = (this.#packet[4] ?? 0) & 3;
    if (bits === 2) {
      if (this.#locked) return this.#fail(SENSE.REMOVAL_PREVENTED);
      const had = this.#medium !== undefined;
      this.#medium = undefined;
      this.#attention = false;
      this.#trayOpen = true;
      if (had) {
        this.#mediaEvent = 3;
        this.#onEject();
      }
    } else if (bits === 3) {
      this.#trayOpen = false;
    }
    this.#finish();
  }

  /** MODE SELECT(10): takes the parameters and ignores them. */
  #modeSelect(bytes: number): void {
    if (bytes === 0) return this.#finish();
    if (bytes > BUFFER_BYTES || this.#dma) return this.#fail(SENSE.BAD_FIELD);
    this.#phase = "data-out";
    this.position = 0;
    this.dataEnd = bytes;
    this.lbaMid = bytes & 0xff;
    this.lbaHigh = bytes >>> 8;
    this.count = 0;
    this.openBlock(2, bytes, true);
  }

  saveState(): AtapiDriveStateV1 {
    return {
      v: 1,
      kind: "atapi",
      device: this.saveDevice(),
      phase: this.#phase,
      packet: Array.from(this.#packet),
      sense: this.#sense,
      lba: this.#lba,
      blocksLeft: this.#blocksLeft,
      blockBytes: this.#blockBytes,
      dma: this.#dma,
      byteLimit: this.#byteLimit,
      attention: this.#attention,
      mediaEvent: this.#mediaEvent,
      locked: this.#locked,
      trayOpen: this.#trayOpen,
      transferMode: this.#transferMode,
    };
  }

  /** The medium is the machine's business: put it in before. */
  loadState(s: AtapiDriveStateV1): void {
    this.#phase = s.phase;
    this.#packet.set(s.packet.slice(0, PACKET_BYTES));
    this.#sense = s.sense;
    this.#lba = s.lba;
    this.#blocksLeft = s.blocksLeft;
    this.#blockBytes = s.blockBytes;
    this.#dma = s.dma;
    this.#byteLimit = s.byteLimit;
    this.#attention = s.attention;
    this.#mediaEvent = s.mediaEvent;
    this.#locked = s.locked;
    this.#trayOpen = s.trayOpen;
    this.#transferMode = s.transferMode;
    this.loadDevice(s.device);
  }
}
