import { utf8Bytes, utf8Text, VmmError } from "../../base/index.ts";

/** Compression, given by the platform. Both directions work on independent pieces, in parallel where the host can. */
export interface Packer {
  /** A zlib stream with its checksum. */
  pack(bytes: Uint8Array): Promise<Uint8Array>;
  /** Back; rejects when damaged or not of `bytes` bytes. */
  unpack(packed: Uint8Array, bytes: number): Promise<Uint8Array>;
}

const MAGIC = "whyve snapshot\r\n";
/** Of the file's layout and of every record in it. */
export const SNAPSHOT_VERSION = 2;
const HEADER_BYTES = 32;
const PAGE_BYTES = 4096;
/** Memory is packed in pieces of this size. */
const PIECE_BYTES = 1024 * 1024;
/** Records larger than this are no records of ours. */
const MAX_RECORD_BYTES = 512 * 1024 * 1024;
/** Pieces in work at a time: bounds the memory for copies. */
const AT_ONCE = 4;

/** A piece of guest memory: RAM, video memory, ROM. */
export interface SnapshotRegion {
  readonly name: string;
  readonly bytes: Uint8Array;
}

interface RegionRecord {
  readonly name: string;
  readonly sizeBytes: number;
  /** One bit a page, least significant first: it holds something. */
  readonly pages: Uint8Array;
  /** Packed lengths of the pieces. */
  readonly pieces: readonly number[];
}

/**
 * Writes a snapshot: a header (magic, version, lengths), the record as packed JSON with its byte arrays behind it, then every page of memory that is
 * not zero, packed in pieces.
 */
export async function encodeSnapshot(record: unknown, regions: readonly SnapshotRegion[], packer: Packer): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const regionRecords: RegionRecord[] = [];
  for (const { name, bytes } of regions) {
    const pages = new Uint8Array(Math.ceil(bytes.length / PAGE_BYTES / 8));
    const pieces: number[] = [];
    let busy: Promise<Uint8Array>[] = [];
    const drain = async (): Promise<void> => {
      for (const packed of await Promise.all(busy)) {
        pieces.push(packed.length);
        parts.push(packed);
      }
      busy = [];
    };
    let piece = new Uint8Array(PIECE_BYTES);
    let used = 0;
    for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
      const page = bytes.subarray(at, at + PAGE_BYTES);
      if (isZeroPage(page)) continue;
      const number = at / PAGE_BYTES;
      pages[number >> 3] = (pages[number >> 3] ?? 0) | (1 << (number & 7));
      piece.set(page, used);
      used += PAGE_BYTES;
      if (used < PIECE_BYTES) continue;
      busy.push(packer.pack(piece));
      if (busy.length === AT_ONCE) await drain();
      piece = new Uint8Array(PIECE_BYTES);
      used = 0;
    }
    if (used > 0) busy.push(packer.pack(piece.subarray(0, used)));
    await drain();
    regionRecords.push({ name, sizeBytes: bytes.length, pages, pieces });
  }
  const blobs: Blobs = { parts: [], bytes: 0 };
  const json = utf8Bytes(JSON.stringify(toPlain({ record, regions: regionRecords }, blobs)));
  const plainBytes = json.length + blobs.bytes;
  if (plainBytes > MAX_RECORD_BYTES)
    throw new VmmError(
      "SNAPSHOT_TOO_LARGE",
      `${Math.round(plainBytes / 2 ** 20)} MiB of disk writes are held in memory; a snapshot has room for ${MAX_RECORD_BYTES / 2 ** 20}`,
    );
  const plain = join([json, ...blobs.parts], plainBytes);
  const packedRecord = await packer.pack(plain);
  const header = new Uint8Array(HEADER_BYTES);
  header.set(utf8Bytes(MAGIC));
  const view = new DataView(header.buffer);
  view.setUint32(16, SNAPSHOT_VERSION, true);
  view.setUint32(20, packedRecord.length, true);
  view.setUint32(24, json.length, true);
  view.setUint32(28, plain.length, true);
  return join(
    [header, packedRecord, ...parts],
    parts.reduce((sum, p) => sum + p.length, HEADER_BYTES + packedRecord.length),
  );
}

/** A snapshot whose record was read; memory comes when there is a machine to take it. */
export interface OpenSnapshot {
  readonly record: unknown;
  /** Fills the regions; what the snapshot does not mention becomes zero. */
  loadRegions(regions: readonly SnapshotRegion[]): Promise<void>;
}

/** Reads a snapshot. Throws `SNAPSHOT_FORMAT` or `SNAPSHOT_VERSION` with one line; `name` is what messages call it. */
export async function decodeSnapshot(file: Uint8Array, name: string, packer: Packer): Promise<OpenSnapshot> {
  const damaged = (cause?: unknown): VmmError => new VmmError("SNAPSHOT_FORMAT", `${name}: the snapshot is damaged or cut off`, { cause });
  const head = utf8Text(file.subarray(0, 16));
  if (head !== MAGIC || file.length < HEADER_BYTES) throw new VmmError("SNAPSHOT_FORMAT", `${name}: is not a snapshot of whyve`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const version = view.getUint32(16, true);
  if (version !== SNAPSHOT_VERSION)
    throw new VmmError("SNAPSHOT_VERSION", `${name}: was saved by another version of whyve (format ${version}, this one reads ${SNAPSHOT_VERSION})`);
  const packedBytes = view.getUint32(20, true);
  const jsonBytes = view.getUint32(24, true);
  const plainBytes = view.getUint32(28, true);
  if (plainBytes > MAX_RECORD_BYTES || jsonBytes > plainBytes || HEADER_BYTES + packedBytes > file.length) throw damaged();
  let record: unknown;
  let regionRecords: readonly RegionRecord[];
  try {
    const plain = await packer.unpack(file.subarray(HEADER_BYTES, HEADER_BYTES + packedBytes), plainBytes);
    const whole: unknown = fromPlain(JSON.parse(utf8Text(plain.subarray(0, jsonBytes))), plain.subarray(jsonBytes));
    record = member(whole, "record");
    regionRecords = regionList(member(whole, "regions"));
  } catch (cause) {
    throw damaged(cause);
  }
  return {
    record,
    async loadRegions(regions) {
      let at = HEADER_BYTES + packedBytes;
      for (const saved of regionRecords) {
        const into = regions.find((r) => r.name === saved.name);
        if (into === undefined || into.bytes.length !== saved.sizeBytes)
          throw new VmmError("SNAPSHOT_MACHINE", `${name}: the machine has no ${saved.name} of ${saved.sizeBytes} bytes`);
        at = await loadRegion(file, at, saved, into.bytes, packer).catch((cause: unknown) => {
          throw damaged(cause);
        });
      }
    },
  };
}

async function loadRegion(file: Uint8Array, start: number, saved: RegionRecord, into: Uint8Array, packer: Packer): Promise<number> {
  // Which page goes where: the n-th page of the stream.
  const places: number[] = [];
  for (let page = 0; page * PAGE_BYTES < into.length; page++) {
    if (((saved.pages[page >> 3] ?? 0) & (1 << (page & 7))) !== 0) places.push(page * PAGE_BYTES);
    else {
      const absent = into.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      if (!isZeroPage(absent)) absent.fill(0);
    }
  }
  const perPiece = PIECE_BYTES / PAGE_BYTES;
  if (saved.pieces.length !== Math.ceil(places.length / perPiece)) throw new Error("pieces and pages disagree");
  // Before any piece is in work: a promise that nobody waits for must not fail.
  const total = saved.pieces.reduce((sum, length) => sum + length, 0);
  if (!(start + total <= file.length)) throw new Error("cut off");
  let at = start;
  for (let first = 0; first < saved.pieces.length; first += AT_ONCE) {
    const group = saved.pieces.slice(first, first + AT_ONCE).map((length, i) => {
      const packed = file.subarray(at, at + length);
      at += length;
      const targets = places.slice((first + i) * perPiece, (first + i + 1) * perPiece);
      return packer.unpack(packed, targets.length * PAGE_BYTES).then((bytes) => {
        for (const [k, place] of targets.entries())
          into.set(bytes.subarray(k * PAGE_BYTES, (k + 1) * PAGE_BYTES).subarray(0, into.length - place), place);
      });
    });
    await Promise.all(group);
  }
  return at;
}

function isZeroPage(page: Uint8Array): boolean {
  const words = new Int32Array(page.buffer, page.byteOffset, page.length >> 2);
  for (let i = 0; i < words.length; i++) if (words[i] !== 0) return false;
  return true;
}

function join(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

interface Blobs {
  readonly parts: Uint8Array[];
  bytes: number;
}

/** Records as JSON: byte arrays become references into the bytes behind it; what JSON has no word for is spelt out. */
function toPlain(value: unknown, blobs: Blobs): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : { $number: String(value) };
    case "undefined":
      return { $undefined: true };
    case "bigint":
      return { $bigint: value.toString() };
    case "object":
      break;
    default:
      throw new Error(`a snapshot record holds a ${typeof value}`);
  }
  if (value === null) return null;
  if (value instanceof Uint8Array) {
    const start = blobs.bytes;
    blobs.parts.push(value);
    blobs.bytes += value.length;
    return { $bytes: [start, value.length] };
  }
  if (Array.isArray(value)) return value.map((item: unknown) => toPlain(item, blobs));
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new Error(`a snapshot record holds a ${value.constructor.name}`);
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) if (item !== undefined) out[key] = toPlain(item, blobs);
  return out;
}

function fromPlain(value: unknown, blobs: Uint8Array): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => fromPlain(item, blobs));
  if (typeof value !== "object" || value === null) return value;
  if ("$bytes" in value && Array.isArray(value.$bytes)) {
    const [start, length] = value.$bytes.map(Number);
    if (start === undefined || length === undefined || !(start >= 0) || start + length > blobs.length) throw new Error("bytes outside the record");
    return blobs.slice(start, start + length);
  }
  if ("$number" in value) return Number(value.$number);
  if ("$undefined" in value) return undefined;
  if ("$bigint" in value) return BigInt(String(value.$bigint));
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) if (key !== "__proto__") out[key] = fromPlain(item, blobs);
  return out;
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}

function regionList(value: unknown): readonly RegionRecord[] {
  if (!Array.isArray(value)) throw new Error("no regions");
  return value.map((item: unknown) => {
    const name = member(item, "name");
    const sizeBytes = member(item, "sizeBytes");
    const pages = member(item, "pages");
    const pieces = member(item, "pieces");
    if (typeof name !== "string" || typeof sizeBytes !== "number" || !(pages instanceof Uint8Array) || !Array.isArray(pieces))
      throw new Error("a region is damaged");
    return { name, sizeBytes, pages, pieces: pieces.map((p: unknown) => (typeof p === "number" && p >= 0 ? p : Number.NaN)) };
  });
}
