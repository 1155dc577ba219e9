import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { ataGeometry } from "../../backends/api/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import { ATA, FEATURE, SMART, TRANSFERS } from "./ata-commands.ts";
import type { TransferCommand } from "./ata-commands.ts";
import { BUFFER_BYTES, ER, IDE_DEVICE_STATE, IdeDevice, ST } from "./device.ts";
import type { IdeDeviceOptions } from "./device.ts";
import { identifyDevice, MAX_MULTIPLE } from "./identify.ts";
import { smartData, smartLog, smartThresholds } from "./smart.ts";

export interface AtaDiskOptions extends IdeDeviceOptions {
  readonly backend: BlockBackend;
  readonly model?: string;
  readonly serial?: string;
}

type Addressing = "chs" | "lba28" | "lba48";

const SECTOR = 512;
const CHUNK_SECTORS = BUFFER_BYTES / SECTOR;

export const ATA_DISK_STATE = shape.record({
  v: shape.oneOf(1),
  kind: shape.oneOf("ata"),
  device: IDE_DEVICE_STATE,
  lba: shape.count,
  left: shape.int(0, 0x10000),
  blockSectors: shape.int(1, CHUNK_SECTORS),
  addressing: shape.oneOf("chs", "lba28", "lba48"),
  overrun: shape.flag,
  fixed: shape.flag,
  heads: shape.int(1, 16),
  sectors: shape.int(1, 255),
  multiple: shape.int(0, MAX_MULTIPLE),
  transferMode: shape.byte,
  flags: shape.list(shape.flag, 5),
  maxSectors: shape.count,
  sectorBuffer: shape.bytes(SECTOR),
});
export type AtaDiskStateV1 = Shaped<typeof ATA_DISK_STATE>;

/** An ATA hard disk over a block backend. */
export class AtaDisk extends IdeDevice {
  protected override readonly takesDeviceReset = false;
  readonly #backend: BlockBackend;
  readonly #model: string;
  readonly #serial: string;
  readonly #nativeSectors: number;
  /** Accessible sectors; less than native after SET MAX. */
  #maxSectors: number;
  #heads = 16;
  #sectors = 63;
  #multiple = MAX_MULTIPLE;
  #transferMode = 0x0c;
  #writeCache = true;
  #lookAhead = true;
  #smart = true;
  #standby = false;
  /** The last command was READ NATIVE MAX, as SET MAX demands. */
  #nativeMaxRead = false;

  // The transfer under way.
  #lba = 0;
  /** Sectors not yet read into, or not yet written from, the buffer. */
  #left = 0;
  #blockSectors = 1;
  #addressing: Addressing = "lba28";
  /** The command asked for more sectors than there are: IDNF follows the last one. */
  #overrun = false;
  /** The data is a command's own 512-byte answer, not sectors. */
  #fixed = false;
  readonly #sectorBuffer = new Uint8Array(SECTOR);

  constructor(options: AtaDiskOptions) {
    super(options);
    this.#backend = options.backend;
    this.#model = options.model ?? "WHYVE HARDDISK";
    this.#serial = options.serial ?? "WHYVE00001";
    this.#nativeSectors = Math.floor(options.backend.sizeBytes / SECTOR);
    this.#maxSectors = this.#nativeSectors;
  }

  protected override powerOn(): void {
    this.#maxSectors = this.#nativeSectors;
    const g = ataGeometry(this.#nativeSectors);
    this.#heads = g.heads;
    this.#sectors = g.sectors;
    this.#multiple = MAX_MULTIPLE;
    this.#transferMode = 0x0c;
    this.#writeCache = true;
    this.#lookAhead = true;
    this.setSignature();
  }

  protected override setSignature(): void {
    this.error = 1;
    this.count = 1;
    this.lbaLow = 1;
    this.lbaMid = 0;
    this.lbaHigh = 0;
    this.select = 0xa0;
    this.status = ST.DRDY | ST.DSC;
    this.#standby = false;
  }

  #ok(): void {
    this.complete(ST.DRDY | ST.DSC);
  }

  #fail(error: number): void {
    this.error = error;
    this.complete(ST.DRDY | ST.DSC | ST.ERR);
  }

  /** Ends a transfer at the sector that cannot be done: its address goes into the registers. */
  #failAt(error: number): void {
    this.#setAddress(this.#lba);
    this.#fail(error);
  }

  #readAddress(ext: boolean): number {
    this.#addressing = ext ? "lba48" : (this.select & 0x40) !== 0 ? "lba28" : "chs";
    const low = this.lbaLow | (this.lbaMid << 8) | (this.lbaHigh << 16);
    if (ext) return low + ((this.hob[2] ?? 0) | ((this.hob[3] ?? 0) << 8) | ((this.hob[4] ?? 0) << 16)) * 0x1000000;
    if (this.#addressing === "lba28") return low + (this.select & 15) * 0x1000000;
    const cylinder = this.lbaMid | (this.lbaHigh << 8);
    const head = this.select & 15;
    if (this.lbaLow === 0 || this.lbaLow > this.#sectors || head >= this.#heads) return -1;
    return (cylinder * this.#heads + head) * this.#sectors + this.lbaLow - 1;
  }

  #setAddress(lba: number): void {
    if (this.#addressing === "chs") {
      const track = Math.floor(lba / this.#sectors);
      const cylinder = Math.floor(track / this.#heads);
      this.lbaLow = (lba % this.#sectors) + 1;
      this.lbaMid = cylinder & 0xff;
      this.lbaHigh = (cylinder >>> 8) & 0xff;
      this.select = (this.select & 0xf0) | (track % this.#heads);
      return;
    }
    this.lbaLow = lba % 256;
    this.lbaMid = Math.floor(lba / 0x100) % 256;
    this.lbaHigh = Math.floor(lba / 0x10000) % 256;
    const top = Math.floor(lba / 0x1000000);
    if (this.#addressing === "lba28") {
      this.select = (this.select & 0xf0) | (top & 15);
    } else {
      this.hob[2] = top % 256;
      this.hob[3] = Math.floor(top / 0x100) % 256;
      this.hob[4] = Math.floor(top / 0x10000) % 256;
    }
  }

  /** Sectors a command asks for: 0 means 256, or 65536 with 48-bit addresses. */
  #readCount(ext: boolean): number {
    if (!ext) return this.count === 0 ? 256 : this.count;
    const n = this.count | ((this.hob[1] ?? 0) << 8);
    return n === 0 ? 65536 : n;
  }

  protected override execute(command: number): void {
    const sawNativeMax = this.#nativeMaxRead;
    this.#nativeMaxRead = false;
    const t = TRANSFERS.get(command);
    if (t !== undefined) return this.#startTransfer(t);
    if (command >= 0x10 && command <= 0x1f) return this.#ok(); // RECALIBRATE
    if (command >= 0x70 && command <= 0x7f) {
      // SEEK
      const lba = this.#readAddress(false);
      return lba < 0 || lba >= this.#maxSectors ? this.#fail(ER.IDNF) : this.#ok();
    }
    switch (command) {
      case ATA.READ_VERIFY:
      case ATA.READ_VERIFY_NO_RETRY:
      case ATA.READ_VERIFY_EXT:
        return this.#verify(command === ATA.READ_VERIFY_EXT);
      case ATA.READ_NATIVE_MAX_EXT:
      case ATA.READ_NATIVE_MAX:
        this.#addressing = command === ATA.READ_NATIVE_MAX_EXT ? "lba48" : "lba28";
        this.#nativeMaxRead = true;
        this.#setAddress(command === ATA.READ_NATIVE_MAX_EXT ? this.#nativeSectors - 1 : Math.min(this.#nativeSectors - 1, 0x0fffffff));
        return this.#ok();
      case ATA.SET_MAX_EXT:
      case ATA.SET_MAX: {
        const lba = this.#readAddress(command === ATA.SET_MAX_EXT);
        if (!sawNativeMax || (command === ATA.SET_MAX && this.feature !== 0) || lba < 0 || lba >= this.#nativeSectors) return this.#fail(ER.ABRT);
        this.#maxSectors = lba + 1;
        return this.#ok();
      }
      case ATA.DIAGNOSTIC:
        return this.runDiagnostic(true);
      case ATA.INITIALIZE_PARAMETERS:
        // The CHS translation for later commands.
        if (this.count === 0) return this.#fail(ER.ABRT);
        this.#sectors = this.count;
        this.#heads = (this.select & 15) + 1;
        return this.#ok();
      case ATA.OLD_STANDBY_IMMEDIATE:
      case ATA.STANDBY_IMMEDIATE:
      case ATA.OLD_STANDBY:
      case ATA.STANDBY:
      case ATA.OLD_SLEEP:
      case ATA.SLEEP:
        this.#standby = true;
        return this.#ok();
      case ATA.OLD_IDLE_IMMEDIATE:
      case ATA.IDLE_IMMEDIATE:
      case ATA.OLD_IDLE:
      case ATA.IDLE:
        this.#standby = false;
        return this.#ok();
      case ATA.OLD_CHECK_POWER:
      case ATA.CHECK_POWER:
        this.count = this.#standby ? 0x00 : 0xff;
        return this.#ok();
      case ATA.SMART:
        return this.#smartCommand();
      case ATA.SET_MULTIPLE: {
        const n = this.count;
        if (n > MAX_MULTIPLE || (n & (n - 1)) !== 0) return this.#fail(ER.ABRT);
        this.#multiple = n;
        return this.#ok();
      }
      case ATA.READ_BUFFER:
        return this.#answer(this.#sectorBuffer);
      case ATA.WRITE_BUFFER:
        this.#fixed = true;
        this.position = 0;
        this.dataEnd = SECTOR;
        return this.openBlock(2, SECTOR, false);
      case ATA.FLUSH_CACHE:
      case ATA.FLUSH_CACHE_EXT:
        return this.#backend.flush() ? this.#ok() : this.#fault();
      case ATA.IDENTIFY:
        return this.#answer(this.#identify());
      case ATA.SET_FEATURES:
        return this.#setFeatures();
      case ATA.SECURITY_FREEZE_LOCK:
        return this.#ok(); // frozen already
      default:
        return this.#fail(ER.ABRT);
    }
  }

  #fault(): void {
    this.error = ER.ABRT;
    this.complete(ST.DRDY | ST.DF | ST.ERR);
  }

  /** EXECUTE DEVICE DIAGNOSTIC; device 0 interrupts for both. */
  runDiagnostic(interrupt: boolean): void {
    this.setSignature();
    this.complete(this.status, interrupt);
  }

  #identify(): Uint8Array {
    return identifyDevice({
      model: this.#model,
      serial: this.#serial,
      firmware: "1.0",
      totalSectors: this.#maxSectors,
      currentHeads: this.#heads,
      currentSectors: this.#sectors,
      multiple: this.#multiple,
      transferMode: this.#transferMode,
      writeCache: this.#writeCache,
      lookAhead: this.#lookAhead,
      smart: this.#smart,
      unit: this.unit,
    });
  }

  #answer(bytes: Uint8Array): void {
    this.#fixed = true;
    this.buffer.set(bytes);
    this.position = 0;
    this.dataEnd = bytes.length;
    this.openBlock(1, bytes.length, true);
  }

  #setFeatures(): void {
    switch (this.feature) {
      case FEATURE.WRITE_CACHE_ON:
      case FEATURE.WRITE_CACHE_OFF:
        this.#writeCache = this.feature === FEATURE.WRITE_CACHE_ON;
        return this.#ok();
      case FEATURE.TRANSFER_MODE: {
        const mode = this.count;
        const known = mode <= 0x01 || (mode >= 0x08 && mode <= 0x0c) || (mode >= 0x20 && mode <= 0x22) || (mode >= 0x40 && mode <= 0x45);
        if (!known) return this.#fail(ER.ABRT);
        this.#transferMode = mode;
        return this.#ok();
      }
      case FEATURE.LOOK_AHEAD_ON:
      case FEATURE.LOOK_AHEAD_OFF:
        this.#lookAhead = this.feature === FEATURE.LOOK_AHEAD_ON;
        return this.#ok();
      case FEATURE.KEEP_OVER_RESET:
      case FEATURE.DEFAULTS_AT_RESET:
      case FEATURE.ECC_BYTES_VENDOR:
      case FEATURE.ECC_BYTES_4:
        return this.#ok();
      default:
        return this.#fail(ER.ABRT);
    }
  }

  #smartCommand(): void {
    if (this.lbaMid !== 0x4f || this.lbaHigh !== 0xc2) return this.#fail(ER.ABRT);
    if (this.feature === SMART.ENABLE) {
      this.#smart = true;
      return this.#ok();
    }
    if (!this.#smart) return this.#fail(ER.ABRT);
    switch (this.feature) {
      case SMART.READ_DATA:
        return this.#answer(smartData(0));
      case SMART.READ_THRESHOLDS:
        return this.#answer(smartThresholds());
      case SMART.AUTOSAVE: // autosave
      case SMART.SAVE: // save attributes
      case SMART.OFFLINE_TEST: // off-line test: done at once, without error
      case SMART.AUTO_OFFLINE:
        return this.#ok();
      case SMART.READ_LOG: {
        const log = smartLog(this.lbaLow);
        return log === undefined || this.count !== 1 ? this.#fail(ER.ABRT) : this.#answer(log);
      }
      case SMART.DISABLE:
        this.#smart = false;
        return this.#ok();
      case SMART.RETURN_STATUS:
        // Mid and high unchanged: no threshold exceeded.
        return this.#ok();
      default:
        return this.#fail(ER.ABRT);
    }
  }

  #verify(ext: boolean): void {
    this.#lba = this.#readAddress(ext);
    const end = this.#lba + this.#readCount(ext);
    if (this.#lba < 0 || this.#lba >= this.#maxSectors) return this.#fail(ER.IDNF);
    if (end > this.#maxSectors) {
      this.#lba = this.#maxSectors;
      return this.#failAt(ER.IDNF);
    }
    this.#ok();
  }

  #startTransfer(t: TransferCommand): void {
    if (t.multiple && this.#multiple === 0) return this.#fail(ER.ABRT);
    const lba = this.#readAddress(t.ext);
    const count = this.#readCount(t.ext);
    if (lba < 0 || lba >= this.#maxSectors) return this.#fail(ER.IDNF);
    if (t.write && this.#backend.readOnly) return this.#fail(ER.ABRT);
    this.#standby = false;
    this.#fixed = false;
    this.#lba = lba;
    this.#left = Math.min(count, this.#maxSectors - lba);
    this.#overrun = this.#left < count;
    this.#blockSectors = t.multiple ? this.#multiple : 1;
    if (t.write) {
      this.#openChunk();
      if (t.dma) this.requestDma(2);
      else this.openBlock(2, this.#nextBlock(), false);
    } else if (this.#loadChunk()) {
      if (t.dma) this.requestDma(1);
      else this.openBlock(1, this.#nextBlock(), true);
    }
  }

  #nextBlock(): number {
    return Math.min(this.position + this.#blockSectors * SECTOR, this.dataEnd);
  }

  /** Reads the next sectors into the buffer. False when the command ended with an error. */
  #loadChunk(): boolean {
    let n = Math.min(this.#left, CHUNK_SECTORS);
    const at = this.#lba * SECTOR;
    if (!this.#backend.read(at, this.buffer.subarray(0, n * SECTOR))) {
      // Find out how far it goes: block by block.
      n = Math.min(this.#left, this.#blockSectors);
      if (!this.#backend.read(at, this.buffer.subarray(0, n * SECTOR))) {
        this.#failAt(ER.UNC);
        return false;
      }
    }
    this.#lba += n;
    this.#left -= n;
    this.position = 0;
    this.dataEnd = n * SECTOR;
    return true;
  }

  /** Makes room in the buffer for the next sectors of a write. */
  #openChunk(): void {
    this.position = 0;
    this.dataEnd = Math.min(this.#left, CHUNK_SECTORS) * SECTOR;
  }

  /** Writes the buffer out. False when the command ended with an error. */
  #storeChunk(): boolean {
    const n = this.dataEnd / SECTOR;
    if (!this.#backend.write(this.#lba * SECTOR, this.buffer.subarray(0, this.dataEnd))) {
      this.#setAddress(this.#lba);
      this.#fault();
      return false;
    }
    this.#lba += n;
    this.#left -= n;
    return true;
  }

  protected override blockRead(): void {
    if (this.#fixed) return this.complete(ST.DRDY | ST.DSC, false);
    if (this.position < this.dataEnd) return this.openBlock(1, this.#nextBlock(), true);
    if (this.#left > 0) {
      if (this.#loadChunk()) this.openBlock(1, this.#nextBlock(), true);
      return;
    }
    this.#ended();
    if (!this.#overrun) this.complete(ST.DRDY | ST.DSC, false);
  }

  protected override blockWritten(): void {
    if (this.#fixed) {
      this.#sectorBuffer.set(this.buffer.subarray(0, SECTOR));
      return this.#ok();
    }
    if (this.position < this.dataEnd) return this.openBlock(2, this.#nextBlock(), true);
    if (!this.#storeChunk()) return;
    if (this.#left > 0) {
      this.#openChunk();
      return this.openBlock(2, this.#nextBlock(), true);
    }
    this.#ended();
    if (!this.#overrun) this.#ok();
  }

  protected override dmaBufferDone(): void {
    if (this.direction === 2 && !this.#storeChunk()) return;
    if (this.#left > 0) {
      if (this.direction === 2) this.#openChunk();
      else this.#loadChunk();
      return;
    }
    this.#ended();
    if (!this.#overrun) this.#ok();
  }

  /** All sectors are moved: the registers hold the address of the last one (ATA-3 §8), or an error that of the one that is not there. */
  #ended(): void {
    if (this.#overrun) return this.#failAt(ER.IDNF);
    this.count = 0;
    this.#setAddress(this.#lba - 1);
  }

  saveState(): AtaDiskStateV1 {
    return {
      v: 1,
      kind: "ata",
      device: this.saveDevice(),
      lba: this.#lba,
      left: this.#left,
      blockSectors: this.#blockSectors,
      addressing: this.#addressing,
      overrun: this.#overrun,
      fixed: this.#fixed,
      heads: this.#heads,
      sectors: this.#sectors,
      multiple: this.#multiple,
      transferMode: this.#transferMode,
      flags: [this.#writeCache, this.#lookAhead, this.#smart, this.#standby, this.#nativeMaxRead],
      maxSectors: this.#maxSectors,
      sectorBuffer: this.#sectorBuffer.slice(),
    };
  }

  loadState(s: AtaDiskStateV1): void {
    this.#lba = s.lba;
    this.#left = s.left;
    this.#blockSectors = s.blockSectors;
    this.#addressing = s.addressing;
    this.#overrun = s.overrun;
    this.#fixed = s.fixed;
    this.#heads = s.heads;
    this.#sectors = s.sectors;
    this.#multiple = s.multiple;
    this.#transferMode = s.transferMode;
    this.#writeCache = s.flags[0] ?? true;
    this.#lookAhead = s.flags[1] ?? true;
    this.#smart = s.flags[2] ?? true;
    this.#standby = s.flags[3] ?? false;
    this.#nativeMaxRead = s.flags[4] ?? false;
    this.#maxSectors = Math.min(s.maxSectors, this.#nativeSectors);
    this.#sectorBuffer.set(s.sectorBuffer);
    this.loadDevice(s.device);
  }
}
