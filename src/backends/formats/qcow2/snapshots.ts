import { utf8Text } from "../../../base/index.ts";
import { be64, viewOf } from "../be.ts";
import type { ByteFile } from "../byte-file.ts";
import type { ImageFacts } from "../disk-image.ts";
import { BITMAPS_EXTENSION, INCOMPATIBLE } from "./header.ts";
import type { Qcow2Header } from "./header.ts";
import type { Qcow2Store } from "./store.ts";

/** An internal snapshot, as far as anything here needs it. */
export interface Snapshot {
  readonly id: string;
  readonly name: string;
  readonly l1Offset: number;
  readonly l1Entries: number;
  readonly virtualBytes: number;
  readonly seconds: number;
}

const MAX_TABLE_BYTES = 16 * 1024 * 1024;

/** The snapshot table and its length in bytes; undefined when it is damaged or cannot be read. */
export function readSnapshots(file: ByteFile, header: Qcow2Header): { readonly list: readonly Snapshot[]; readonly bytes: number } | undefined {
  const list: Snapshot[] = [];
  if (header.snapshotCount === 0) return { list, bytes: 0 };
  const room = Math.min(MAX_TABLE_BYTES, file.size - header.snapshotsOffset);
  if (room < 40) return undefined;
  const bytes = new Uint8Array(room);
  if (!file.read(header.snapshotsOffset, bytes)) return undefined;
  const view = viewOf(bytes);
  let at = 0;
  for (let i = 0; i < header.snapshotCount; i++) {
    if (at + 40 > room) return undefined;
    const idBytes = view.getUint16(at + 12);
    const nameBytes = view.getUint16(at + 14);
    const extraBytes = view.getUint32(at + 36);
    const strings = at + 40 + extraBytes;
    if (extraBytes > 1024 || strings + idBytes + nameBytes > room) return undefined;
    const l1Entries = view.getUint32(at + 8);
    if (l1Entries * 8 > 32 * 1024 * 1024) return undefined;
    list.push({
      l1Offset: be64(view, at),
      l1Entries,
      seconds: view.getUint32(at + 16),
      virtualBytes: extraBytes >= 16 ? be64(view, at + 48) : header.sizeBytes,
      id: utf8Text(bytes.subarray(strings, strings + idBytes)),
      name: utf8Text(bytes.subarray(strings + idBytes, strings + idBytes + nameBytes)),
    });
    at = Math.ceil((strings + idBytes + nameBytes) / 8) * 8;
  }
  return { list, bytes: Math.min(at, room) };
}

/** Bitmaps extension: where the directory is. qcow2 specification, "Bitmaps extension". */
export function bitmapDirectory(header: Qcow2Header): { readonly count: number; readonly offset: number; readonly bytes: number } | undefined {
  const data = header.extensions.find((e) => e.type === BITMAPS_EXTENSION)?.data;
  if (data === undefined || data.length < 24) return undefined;
  const view = viewOf(data);
  return { count: view.getUint32(0), bytes: be64(view, 8), offset: be64(view, 16) };
}

/** What `whyve image info` tells about an image. */
export function imageFacts(store: Qcow2Store): ImageFacts {
  const h = store.header;
  const has = (bits: bigint, bit: number): boolean => ((bits >> BigInt(bit)) & 1n) === 1n;
  const flags: string[] = [];
  if (has(h.incompatible, INCOMPATIBLE.DIRTY)) flags.push("dirty");
  if (has(h.incompatible, INCOMPATIBLE.CORRUPT)) flags.push("corrupt");
  if (has(h.compatible, 0)) flags.push("lazy refcounts");
  if (h.extendedL2) flags.push("extended L2");
  if (bitmapDirectory(h) !== undefined) flags.push("bitmaps");
  const snapshots = readSnapshots(store.file, h)?.list ?? [];
  return {
    file: store.file.name,
    format: "qcow2",
    virtualBytes: h.sizeBytes,
    fileBytes: store.file.size,
    variant: `version ${h.version}, ${2 ** h.refcountOrder}-bit reference counts`,
    clusterBytes: store.clusterBytes,
    compression: h.compression,
    ...(h.backingFile === undefined ? {} : { backingFile: h.backingFile }),
    ...(h.backingFormat === undefined ? {} : { backingFormat: h.backingFormat }),
    ...(snapshots.length === 0
      ? {}
      : {
          snapshots: snapshots.map((s) => ({
            id: s.id,
            name: s.name,
            virtualBytes: s.virtualBytes,
            time: new Date(s.seconds * 1000).toISOString(),
          })),
        }),
    ...(flags.length === 0 ? {} : { flags }),
  };
}
