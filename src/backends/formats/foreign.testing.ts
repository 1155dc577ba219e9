import { deflateSync } from "node:zlib";
import { crc32c } from "./vhdx/crc32c.ts";

/** Small images of the formats that are only read, made by hand from their specifications. */

const SECTOR = 512;
const MIB = 1024 * 1024;

interface Words {
  readonly bytes: Uint8Array;
  text(at: number, text: string): void;
  u16(at: number, value: number): void;
  u32(at: number, value: number): void;
  u64(at: number, value: number | bigint): void;
}

function words(length: number): Words {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  return {
    bytes,
    text: (at, text) => bytes.set(Buffer.from(text, "latin1"), at),
    u16: (at, value) => view.setUint16(at, value, true),
    u32: (at, value) => view.setUint32(at, value, true),
    u64: (at, value) => view.setBigUint64(at, BigInt(value), true),
  };
}

/** Which blocks of a disk hold something. */
function blocksOf(disk: Uint8Array, blockBytes: number): (Uint8Array | undefined)[] {
  const out: (Uint8Array | undefined)[] = [];
  for (let at = 0; at < disk.length; at += blockBytes) {
    const block = disk.subarray(at, at + blockBytes);
    out.push(block.some((b) => b !== 0) ? block : undefined);
  }
  return out;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** `padTo`: parts begin at multiples of it. */
function padded(bytes: Uint8Array, padTo: number): Uint8Array {
  return joined(bytes, new Uint8Array((padTo - (bytes.length % padTo)) % padTo));
}

export function makeVdi(disk: Uint8Array, options: { readonly blockBytes?: number; readonly extra?: number } = {}): Uint8Array {
  const { blockBytes = 4096, extra = 0 } = options;
  const blocks = blocksOf(disk, blockBytes);
  const mapBytes = Math.ceil((blocks.length * 4) / SECTOR) * SECTOR;
  const h = words(SECTOR + mapBytes);
  h.text(0, "<<< Oracle VM VirtualBox Disk Image >>>\n");
  h.u32(0x40, 0xbeda107f);
  h.u32(0x44, 0x00010001);
  h.u32(0x48, 0x190);
  h.u32(0x4c, 1);
  h.u32(0x154, SECTOR);
  h.u32(0x158, SECTOR + mapBytes);
  h.u32(0x168, SECTOR);
  h.u64(0x170, disk.length);
  h.u32(0x178, blockBytes);
  h.u32(0x17c, extra);
  h.u32(0x180, blocks.length);
  const data: Uint8Array[] = [];
  blocks.forEach((block, i) => {
    h.u32(SECTOR + i * 4, block === undefined ? 0xffffffff - (i & 1) : data.length);
    if (block !== undefined) data.push(joined(new Uint8Array(extra).fill(0xee), padded(block, blockBytes)));
  });
  return joined(h.bytes, ...data);
}

const DESCRIPTOR = (createType: string, extents: string): string =>
  `# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="${createType}"\n\n# Extent description\n${extents}\n\nddb.adapterType = "ide"\n`;

export function makeVmdkDescriptor(createType: string, extents: readonly string[]): Uint8Array {
  return Buffer.from(DESCRIPTOR(createType, extents.join("\n")), "latin1");
}

/** One file of grains: monolithicSparse, or with `stream` streamOptimized (compressed, its directory at the end). */
export function makeVmdkSparse(
  disk: Uint8Array,
  options: { readonly stream?: boolean; readonly grainSectors?: number; readonly descriptor?: boolean } = {},
): Uint8Array {
  const { stream = false, grainSectors = 16, descriptor = true } = options;
  const grainBytes = grainSectors * SECTOR;
  const grains = blocksOf(disk, grainBytes);
  const tables = Math.ceil(grains.length / 512);
  const text = padded(Buffer.from(DESCRIPTOR(stream ? "streamOptimized" : "monolithicSparse", `RW ${disk.length / SECTOR} SPARSE "x.vmdk"`)), SECTOR);
  const header = (directory: number | bigint): Uint8Array => {
    const h = words(SECTOR);
    h.text(0, "KDMV");
    h.u32(4, stream ? 3 : 1);
    h.u32(8, stream ? 0x30001 : 5);
    h.u64(12, disk.length / SECTOR);
    h.u64(20, grainSectors);
    h.u64(28, descriptor ? 1 : 0);
    h.u64(36, descriptor ? text.length / SECTOR : 0);
    h.u32(44, 512);
    h.u64(56, directory);
    h.text(73, "\n \r\n");
    h.u16(77, stream ? 1 : 0);
    return h.bytes;
  };
  const directoryBytes = Math.ceil((tables * 4) / SECTOR) * SECTOR;
  const directory = words(directoryBytes);
  const table = words(tables * 2048);
  const before = SECTOR + text.length;
  const dataAt = stream ? before : before + directoryBytes + table.bytes.length;
  const data: Uint8Array[] = [];
  let at = dataAt;
  grains.forEach((grain, i) => {
    if (grain === undefined) {
      // With the flag, 1 says zeros as 0 does.
      table.u32(i * 4, stream ? 0 : i & 1);
      return;
    }
    table.u32(i * 4, at / SECTOR);
    const stored = stream ? packGrain(i * grainSectors, grain) : padded(grain, grainBytes);
    data.push(stored);
    at += stored.length;
  });
  const tablesAt = stream ? at : before + directoryBytes;
  for (let i = 0; i < tables; i++) directory.u32(i * 4, (tablesAt + i * 2048) / SECTOR);
  const directoryAt = stream ? tablesAt + table.bytes.length : before;
  if (!stream) return joined(header(directoryAt / SECTOR), text, directory.bytes, table.bytes, ...data);
  const footer = joined(header(directoryAt / SECTOR), new Uint8Array(SECTOR));
  return joined(header(0xffffffffffffffffn), text, ...data, table.bytes, directory.bytes, new Uint8Array(SECTOR), footer);
}

function packGrain(sector: number, grain: Uint8Array): Uint8Array {
  const packed = deflateSync(grain);
  const marker = words(12);
  marker.u64(0, sector);
  marker.u32(8, packed.length);
  return padded(joined(marker.bytes, packed), SECTOR);
}

const GUID_BYTES = (text: string): Uint8Array => {
  const [a = "", b = "", c = "", d = "", e = ""] = text.split("-");
  const hex = (part: string): number[] => Array.from(part.matchAll(/../g), ([pair]) => Number.parseInt(pair, 16));
  return Uint8Array.from([...hex(a).reverse(), ...hex(b).reverse(), ...hex(c).reverse(), ...hex(d), ...hex(e)]);
};

/** Puts the right sums back into headers and region tables. */
export function fixVhdx(bytes: Uint8Array): Uint8Array {
  for (const [at, length] of [
    [64 * 1024, 4096],
    [128 * 1024, 4096],
    [192 * 1024, 65536],
    [256 * 1024, 65536],
  ] as const) {
    if (at + length > bytes.length) continue;
    const part = bytes.subarray(at, at + length);
    new DataView(part.buffer, part.byteOffset).setUint32(4, crc32c(part, 4), true);
  }
  return bytes;
}

export function makeVhdx(
  disk: Uint8Array,
  options: { readonly dirtyLog?: boolean; readonly flags?: number; readonly sectorBytes?: number } = {},
): Uint8Array {
  const blocks = blocksOf(disk, MIB);
  const f = words(3 * MIB);
  f.text(0, "vhdxfile");
  [64, 128].forEach((kib, i) => {
    const at = kib * 1024;
    f.text(at, "head");
    f.u64(at + 8, i + 1);
    if (options.dirtyLog === true && i === 1) f.u64(at + 48, 0x1234);
    f.u16(at + 66, 1);
    f.u32(at + 68, MIB);
    f.u64(at + 72, MIB);
  });
  for (const at of [192 * 1024, 256 * 1024]) {
    f.text(at, "regi");
    f.u32(at + 8, 2);
    f.bytes.set(GUID_BYTES("2dc27766-f623-4200-9d64-115e9bfd4a08"), at + 16);
    f.u64(at + 32, MIB);
    f.u32(at + 40, MIB);
    f.u32(at + 44, 1);
    f.bytes.set(GUID_BYTES("8b7ca206-4790-4b9a-b8fe-575f050f886e"), at + 48);
    f.u64(at + 64, 2 * MIB);
    f.u32(at + 72, MIB);
    f.u32(at + 76, 1);
  }
  f.text(2 * MIB, "metadata");
  f.u16(2 * MIB + 10, 3);
  const item = (i: number, id: string, length: number): number => {
    const at = 2 * MIB + 32 + 32 * i;
    f.bytes.set(GUID_BYTES(id), at);
    f.u32(at + 16, 65536 + 16 * i);
    f.u32(at + 20, length);
    f.u32(at + 24, 4);
    return 2 * MIB + 65536 + 16 * i;
  };
  const parameters = item(0, "caa16737-fa36-4d43-b3b6-33f0aa44e76b", 8);
  f.u32(parameters, MIB);
  f.u32(parameters + 4, options.flags ?? 0);
  f.u64(item(1, "2fa54224-cd1b-4876-b211-5dbed83bf4b8", 8), disk.length);
  f.u32(item(2, "8141bf1d-a96f-4709-ba47-f233a8faab5f", 4), options.sectorBytes ?? 512);
  const data: Uint8Array[] = [];
  blocks.forEach((block, i) => {
    if (block === undefined) f.u64(MIB + i * 8, i & 3);
    else {
      f.u64(MIB + i * 8, BigInt(3 + data.length) * BigInt(MIB) + 6n);
      data.push(padded(block, MIB));
    }
  });
  return joined(fixVhdx(f.bytes), ...data);
}
