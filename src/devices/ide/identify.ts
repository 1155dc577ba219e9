import { ataGeometry } from "../../backends/api/index.ts";

/** Words of an IDENTIFY answer, little-endian. */
export class IdentifyWords {
  readonly bytes = new Uint8Array(512);

  set(word: number, value: number): void {
    this.bytes[word * 2] = value & 0xff;
    this.bytes[word * 2 + 1] = (value >>> 8) & 0xff;
  }

  /** ASCII, padded with spaces, bytes swapped in each word as ATA has it. */
  text(word: number, words: number, text: string): void {
    const padded = text.padEnd(words * 2).slice(0, words * 2);
    for (let i = 0; i < words; i++) this.set(word + i, (padded.charCodeAt(2 * i) << 8) | padded.charCodeAt(2 * i + 1));
  }

  /** Word 255: signature A5h and the checksum. */
  seal(): Uint8Array {
    this.bytes[510] = 0xa5;
    let sum = 0;
    for (let i = 0; i < 511; i++) sum += this.bytes[i] ?? 0;
    this.bytes[511] = -sum & 0xff;
    return this.bytes;
  }
}

export interface AtaIdentity {
  readonly model: string;
  readonly serial: string;
  readonly firmware: string;
  readonly totalSectors: number;
  readonly currentHeads: number;
  readonly currentSectors: number;
  /** 0: READ/WRITE MULTIPLE are off. */
  readonly multiple: number;
  /** Transfer mode selected by SET FEATURES 03h. */
  readonly transferMode: number;
  readonly writeCache: boolean;
  readonly lookAhead: boolean;
  readonly smart: boolean;
  readonly unit: number;
}

const MAX_LBA28 = 0x0fffffff;
export const MAX_MULTIPLE = 16;

/** Words 63 and 88: DMA modes 0-2 and Ultra modes 0-5, with the selected one in the high byte. */
function dmaWords(words: IdentifyWords, mode: number): void {
  words.set(63, 0x0007 | ((mode & 0xf8) === 0x20 ? 0x100 << (mode & 7) : 0));
  words.set(88, 0x003f | ((mode & 0xf8) === 0x40 ? 0x100 << (mode & 7) : 0));
}

/** IDENTIFY DEVICE (ATA/ATAPI-6 §8.15). */
export function identifyDevice(d: AtaIdentity): Uint8Array {
  const w = new IdentifyWords();
  const physical = ataGeometry(d.totalSectors);
  const currentCylinders = Math.min(65535, Math.floor(Math.min(d.totalSectors, 16514064) / (d.currentHeads * d.currentSectors)));
  const currentSize = currentCylinders * d.currentHeads * d.currentSectors;
  w.set(0, 0x0040);
  w.set(1, physical.cylinders);
  w.set(3, physical.heads);
  w.set(6, physical.sectors);
  w.text(10, 10, d.serial);
  w.set(20, 3);
  w.set(21, 256);
  w.set(22, 4);
  w.text(23, 4, d.firmware);
  w.text(27, 20, d.model);
  w.set(47, 0x8000 | MAX_MULTIPLE);
  w.set(48, 1);
  w.set(49, 0x0f00);
  w.set(50, 0x4000);
  w.set(51, 0x0200);
  w.set(52, 0x0200);
  w.set(53, 0x0007);
  w.set(54, currentCylinders);
  w.set(55, d.currentHeads);
  w.set(56, d.currentSectors);
  w.set(57, currentSize & 0xffff);
  w.set(58, currentSize >>> 16);
  w.set(59, d.multiple === 0 ? 0 : 0x0100 | d.multiple);
  const lba28 = Math.min(MAX_LBA28, d.totalSectors);
  w.set(60, lba28 & 0xffff);
  w.set(61, lba28 >>> 16);
  dmaWords(w, d.transferMode);
  w.set(64, 0x0003);
  for (let i = 65; i <= 68; i++) w.set(i, 120);
  w.set(80, 0x007e);
  // NOP, READ and WRITE BUFFER, HPA, look-ahead, write cache, power management, security, SMART.
  w.set(82, 0x746b);
  // FLUSH CACHE (EXT), 48-bit addresses.
  w.set(83, 0x7400);
  // SMART error log and self-test.
  w.set(84, 0x4003);
  w.set(85, 0x7408 | (d.smart ? 1 : 0) | (d.writeCache ? 0x20 : 0) | (d.lookAhead ? 0x40 : 0));
  w.set(86, 0x3400);
  w.set(87, 0x4003);
  w.set(93, d.unit === 0 ? 0x600b : 0x6b00);
  w.set(100, d.totalSectors & 0xffff);
  w.set(101, Math.floor(d.totalSectors / 0x10000) & 0xffff);
  w.set(102, Math.floor(d.totalSectors / 0x100000000) & 0xffff);
  // Security is there, disabled and frozen.
  w.set(128, 0x0009);
  return w.seal();
}

/** IDENTIFY PACKET DEVICE (§8.16): a removable CD/DVD drive, 12-byte packets, DRQ within 50 us. */
export function identifyPacketDevice(d: { model: string; serial: string; firmware: string; transferMode: number; unit: number }): Uint8Array {
  const w = new IdentifyWords();
  w.set(0, 0x85c0);
  w.text(10, 10, d.serial);
  w.text(23, 4, d.firmware);
  w.text(27, 20, d.model);
  w.set(48, 1);
  w.set(49, 0x0f00);
  w.set(51, 0x0200);
  w.set(53, 0x0006);
  dmaWords(w, d.transferMode);
  w.set(64, 0x0003);
  for (let i = 65; i <= 68; i++) w.set(i, 120);
  w.set(71, 30);
  w.set(72, 30);
  w.set(80, 0x007e);
  w.set(82, 0x4218);
  w.set(83, 0x4000);
  w.set(84, 0x4000);
  w.set(85, 0x4218);
  w.set(87, 0x4000);
  w.set(93, d.unit === 0 ? 0x600b : 0x6b00);
  return w.seal();
}
