import { utf8Bytes, utf8Text, VmmError } from "../../../base/index.ts";
import { ascii, be64, putBe64, viewOf } from "../be.ts";
import { checksum, latin } from "./footer.ts";

export const HEADER_BYTES = 1024;
/** Platform codes of parent locators. */
const PLATFORM = { W2RU: 0x57327275, W2KU: 0x57326b75, MACX: 0x4d616358 } as const;
const MAX_LOCATOR_BYTES = 65536;

export interface VhdHeader {
  readonly tableOffset: number;
  readonly entries: number;
  readonly blockBytes: number;
  readonly parentUuid: Uint8Array;
  readonly parentName: string;
  readonly locators: readonly { readonly platform: number; readonly bytes: number; readonly offset: number }[];
}

/** Reads and checks a dynamic disk header. */
export function parseVhdHeader(bytes: Uint8Array, sizeBytes: number, fileBytes: number, name: string): VhdHeader {
  const bad = (why: string): VmmError => new VmmError("IMAGE_FORMAT", `${name}: damaged VHD header: ${why}`);
  const view = viewOf(bytes);
  if (ascii(bytes, 0, 8) !== "cxsparse") throw bad("no cxsparse");
  if (view.getUint32(36) !== checksum(bytes, 36)) throw bad("wrong checksum");
  const tableOffset = be64(view, 16);
  const entries = view.getUint32(28);
  const blockBytes = view.getUint32(32);
  if (blockBytes < 512 || blockBytes > 2 ** 28 || (blockBytes & (blockBytes - 1)) !== 0) throw bad(`block size ${blockBytes}`);
  if (tableOffset % 512 !== 0 || tableOffset + entries * 4 > fileBytes) throw bad("the block table is outside the file");
  if (entries * blockBytes < sizeBytes) throw bad("the block table is too small for the disk");
  const locators = [];
  for (let i = 0; i < 8; i++) {
    const at = 576 + 24 * i;
    const platform = view.getUint32(at);
    const length = view.getUint32(at + 8);
    const offset = be64(view, at + 16);
    if (platform !== 0 && length > 0 && length <= MAX_LOCATOR_BYTES && offset + length <= fileBytes)
      locators.push({ platform, bytes: length, offset });
  }
  return {
    tableOffset,
    entries,
    blockBytes,
    parentUuid: bytes.slice(40, 56),
    parentName: utf16(bytes.subarray(64, 576), false).replace(/\0.*$/s, ""),
    locators,
  };
}

export interface NewVhdHeader {
  readonly tableOffset: number;
  readonly entries: number;
  readonly blockBytes: number;
  readonly parent?: {
    readonly uuid: Uint8Array;
    readonly timestamp: number;
    readonly name: string;
    readonly locators: readonly { readonly platform: number; readonly offset: number; readonly bytes: number; readonly room: number }[];
  };
}

export function makeVhdHeader(h: NewVhdHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(latin("cxsparse"), 0);
  bytes.fill(0xff, 8, 16);
  putBe64(view, 16, h.tableOffset);
  view.setUint32(24, 0x00010000);
  view.setUint32(28, h.entries);
  view.setUint32(32, h.blockBytes);
  if (h.parent !== undefined) {
    bytes.set(h.parent.uuid, 40);
    view.setUint32(56, h.parent.timestamp);
    for (let i = 0; i < Math.min(255, h.parent.name.length); i++) view.setUint16(64 + 2 * i, h.parent.name.charCodeAt(i));
    for (const [i, locator] of h.parent.locators.entries()) {
      const at = 576 + 24 * i;
      view.setUint32(at, locator.platform);
      // The specification counts sectors here; Virtual PC and everybody after it count bytes.
      view.setUint32(at + 4, locator.room);
      view.setUint32(at + 8, locator.bytes);
      putBe64(view, at + 16, locator.offset);
    }
  }
  view.setUint32(36, checksum(bytes, 36));
  return bytes;
}

/** The header with the table in another place. */
export function moveTable(header: Uint8Array, tableOffset: number, entries: number): Uint8Array {
  const bytes = header.slice();
  putBe64(viewOf(bytes), 16, tableOffset);
  viewOf(bytes).setUint32(28, entries);
  viewOf(bytes).setUint32(36, checksum(bytes, 36));
  return bytes;
}

/** A parent's name as locators give it, with slashes; undefined for platforms whose names mean nothing here. */
export function locatorPath(platform: number, data: Uint8Array): string | undefined {
  if (platform === PLATFORM.W2RU || platform === PLATFORM.W2KU) return utf16(data, true).replace(/\0.*$/s, "").replaceAll("\\", "/");
  if (platform === PLATFORM.MACX) {
    const url = utf8Text(data).replace(/\0.*$/s, "");
    if (!url.startsWith("file://")) return undefined;
    try {
      return decodeURIComponent(url.slice(7).replace(/^localhost/, ""));
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/** Locators for a parent: relative and absolute Windows form (what other programs look for), and the file URL. */
export function makeLocators(relative: string, absolute: string): { readonly platform: number; readonly data: Uint8Array }[] {
  const windows = (path: string): Uint8Array => {
    const text = path.replaceAll("/", "\\");
    const bytes = new Uint8Array(text.length * 2);
    for (let i = 0; i < text.length; i++) viewOf(bytes).setUint16(2 * i, text.charCodeAt(i), true);
    return bytes;
  };
  const near = relative.startsWith(".") || relative.startsWith("/") ? relative : `./${relative}`;
  return [
    { platform: PLATFORM.W2RU, data: windows(near) },
    { platform: PLATFORM.W2KU, data: windows(absolute) },
    { platform: PLATFORM.MACX, data: utf8Bytes(`file://${encodeURI(absolute)}`) },
  ];
}

function utf16(bytes: Uint8Array, littleEndian: boolean): string {
  const view = viewOf(bytes);
  let out = "";
  for (let i = 0; i + 1 < bytes.length; i += 2) out += String.fromCharCode(view.getUint16(i, littleEndian));
  return out;
}
