import { VmmError } from "../../../base/index.ts";
import { because } from "../byte-file.ts";
import { putBe64, viewOf } from "../be.ts";
import { l1EntriesFor } from "./header.ts";
import { MAX_DISK_BYTES } from "../read-part.ts";
import type { Qcow2Header } from "./header.ts";
import type { Qcow2Store } from "./store.ts";

/** Changes the virtual size: what is cut off is released before the header says so; a longer L1 table is written before the header points to it. */
export function resizeImage(
  store: Qcow2Store,
  sizeBytes: number,
  disk: { clear(offset: number, length: number): boolean; discard(offset: number, length: number): boolean },
): void {
  const { name } = store.file;
  const failed = (): VmmError => new VmmError("IMAGE_IO", `${name}: cannot be resized${because(store.file)}`);
  if (store.refcounts === undefined) throw new VmmError("IMAGE_READ_ONLY", `${name}: is open for reading only`);
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % 512 !== 0 || sizeBytes > MAX_DISK_BYTES)
    throw new VmmError("IMAGE_SIZE", `${name}: ${sizeBytes} is no possible disk size (a multiple of 512, at most ${MAX_DISK_BYTES})`);
  const old = store.header;
  if (sizeBytes === old.sizeBytes) return;
  if (old.snapshotCount > 0 && (sizeBytes < old.sizeBytes || old.version < 3))
    throw new VmmError("IMAGE_UNSUPPORTED", `${name}: has internal snapshots and cannot be ${sizeBytes < old.sizeBytes ? "shrunk" : "resized"}`);
  if (sizeBytes < old.sizeBytes && !(disk.discard(sizeBytes, old.sizeBytes - sizeBytes) && store.settle())) throw failed();
  const entries = l1EntriesFor(sizeBytes, old.clusterBits, old.extendedL2);
  let header: Qcow2Header = { ...store.header, sizeBytes };
  if (entries > old.l1Entries) {
    if (entries * 8 > 32 * 1024 * 1024)
      throw new VmmError("IMAGE_SIZE", `${name}: ${sizeBytes} bytes is too large for clusters of ${store.clusterBytes} bytes`);
    const clusters = Math.ceil((entries * 8) / store.clusterBytes);
    const offset = store.refcounts.allocate(clusters);
    if (offset === undefined || !store.settle()) throw failed();
    const l1 = store.copyL1(entries);
    const pointer = new Uint8Array(12);
    viewOf(pointer).setUint32(0, entries);
    putBe64(viewOf(pointer), 4, offset);
    const end = offset + clusters * store.clusterBytes;
    const grown = store.file.size >= end || store.file.resize(end);
    // Header bytes 36..47: entries and place of the table, in one sector.
    if (!grown || !store.file.write(offset, l1) || !store.file.flush() || !store.patchHeader(36, pointer)) throw failed();
    store.refcounts.protect(offset, clusters);
    store.release(old.l1Offset, Math.ceil((old.l1Entries * 8) / store.clusterBytes));
    header = { ...header, l1Entries: entries, l1Offset: offset };
    store.replaceL1(header, l1);
  }
  if (!store.patchHeader64(24, sizeBytes)) throw failed();
  store.replaceL1(header, store.copyL1(header.l1Entries));
  if (!store.settle()) throw failed();
}
