import { VmmError } from "../../../base/index.ts";
import { ascii, be64, putBe64, viewOf } from "../be.ts";

/** Microsoft, "Virtual Hard Disk Image Format Specification" 1.0 (2006). */
export const FOOTER_BYTES = 512;
export const VHD_TYPE = { FIXED: 2, DYNAMIC: 3, DIFFERENCING: 4 } as const;
/** What a VHD can hold: BAT entries are 32-bit sector numbers; 2040 GB is the limit that all programs keep. */
export const MAX_VHD_BYTES = 2040 * 1024 ** 3;
/** Seconds from 1970 to 2000-01-01 00:00:00 UTC, the origin of VHD time. */
const EPOCH_2000 = 946_684_800;

export interface VhdFooter {
  readonly type: 2 | 3 | 4;
  /** Offset of the dynamic header; undefined for a fixed disk. */
  readonly headerOffset: number | undefined;
  /** The size that counts for this image's creator. */
  readonly sizeBytes: number;
  readonly uuid: Uint8Array;
  readonly creator: string;
  readonly timestamp: number;
}

/** One's complement of the sum of all bytes but the checksum's own. */
export function checksum(bytes: Uint8Array, at: number): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) if (i < at || i >= at + 4) sum += bytes[i] ?? 0;
  return ~sum >>> 0;
}

/** True when the 512 bytes are a footer whose checksum holds. */
export function isFooter(bytes: Uint8Array): boolean {
  return bytes.length === FOOTER_BYTES && ascii(bytes, 0, 8) === "conectix" && viewOf(bytes).getUint32(64) === checksum(bytes, 64);
}

/** Reads a footer that `isFooter` accepted. */
export function parseFooter(bytes: Uint8Array, name: string): VhdFooter {
  const view = viewOf(bytes);
  const type = view.getUint32(60);
  if (type !== VHD_TYPE.FIXED && type !== VHD_TYPE.DYNAMIC && type !== VHD_TYPE.DIFFERENCING)
    throw new VmmError("IMAGE_UNSUPPORTED", `${name}: VHD of type ${type} is not supported (2 fixed, 3 dynamic, 4 differencing are)`);
  if (view.getUint32(12) >>> 16 !== 1) throw new VmmError("IMAGE_UNSUPPORTED", `${name}: VHD version ${view.getUint32(12) >>> 16} is not supported`);
  const creator = ascii(bytes, 28, 4);
  const geometry = view.getUint16(56) * view.getUint8(58) * view.getUint8(59) * 512;
  const full = view.getUint16(56) === 65535 && view.getUint8(58) === 16 && view.getUint8(59) === 255;
  const current = be64(view, 48);
  // Virtual PC and programs that follow it go by the geometry, all others by the size field.
  const byGeometry = (creator === "vpc " || creator === "qemu") && !full && geometry > 0;
  const sizeBytes = byGeometry ? geometry : current;
  if (sizeBytes > MAX_VHD_BYTES || sizeBytes % 512 !== 0)
    throw new VmmError("IMAGE_FORMAT", `${name}: damaged VHD footer: ${sizeBytes} is no possible size`);
  return {
    type,
    headerOffset: type === VHD_TYPE.FIXED ? undefined : be64(view, 16),
    sizeBytes,
    uuid: bytes.slice(68, 84),
    creator,
    timestamp: view.getUint32(24),
  };
}

/** Cylinders, heads, sectors for a size: the specification's appendix. */
export function vhdGeometry(sizeBytes: number): { readonly cylinders: number; readonly heads: number; readonly sectors: number } {
  const total = Math.min(Math.floor(sizeBytes / 512), 65535 * 16 * 255);
  if (total >= 65535 * 16 * 63) return { cylinders: Math.floor(total / (16 * 255)), heads: 16, sectors: 255 };
  let sectors = 17;
  let cylinderHeads = Math.floor(total / sectors);
  let heads = Math.max(4, Math.floor((cylinderHeads + 1023) / 1024));
  if (cylinderHeads >= heads * 1024 || heads > 16) {
    sectors = 31;
    heads = 16;
    cylinderHeads = Math.floor(total / sectors);
  }
  if (cylinderHeads >= heads * 1024) {
    sectors = 63;
    heads = 16;
    cylinderHeads = Math.floor(total / sectors);
  }
  return { cylinders: Math.floor(cylinderHeads / heads), heads, sectors };
}

export interface NewFooter {
  readonly type: 2 | 3 | 4;
  readonly sizeBytes: number;
  readonly uuid: Uint8Array;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}

export function makeFooter(f: NewFooter): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  const view = viewOf(bytes);
  bytes.set(latin("conectix"), 0);
  view.setUint32(8, 2); // reserved, always set
  view.setUint32(12, 0x00010000);
  if (f.type === VHD_TYPE.FIXED) bytes.fill(0xff, 16, 24);
  else putBe64(view, 16, FOOTER_BYTES);
  view.setUint32(24, vhdTime(f.timeMs));
  // Readers decide by the creator whether geometry or size counts; "win " says size.
  bytes.set(latin("win "), 28);
  view.setUint32(32, 0x000a0000);
  bytes.set(latin("Wi2k"), 36);
  bytes.set(f.uuid, 68);
  return resizeFooter(bytes, f.sizeBytes, true);
}

/** The footer with another size; `original`: that is the size at creation, too. */
export function resizeFooter(footer: Uint8Array, sizeBytes: number, original = false): Uint8Array {
  const bytes = footer.slice();
  const view = viewOf(bytes);
  const g = vhdGeometry(sizeBytes);
  if (original) putBe64(view, 40, sizeBytes);
  putBe64(view, 48, sizeBytes);
  view.setUint16(56, g.cylinders);
  view.setUint8(58, g.heads);
  view.setUint8(59, g.sectors);
  if (original) view.setUint32(60, view.getUint32(16) === 0xffffffff ? VHD_TYPE.FIXED : VHD_TYPE.DYNAMIC);
  view.setUint32(64, checksum(bytes, 64));
  return bytes;
}

/** The footer with another disk type. */
export function retypeFooter(footer: Uint8Array, type: 2 | 3 | 4): Uint8Array {
  const bytes = footer.slice();
  viewOf(bytes).setUint32(60, type);
  viewOf(bytes).setUint32(64, checksum(bytes, 64));
  return bytes;
}

export function vhdTime(timeMs: number): number {
  return Math.max(0, Math.floor(timeMs / 1000) - EPOCH_2000) >>> 0;
}

export function latin(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0) & 255);
}
