import { VmmError } from "../../../base/index.ts";
import type { ByteFile } from "../byte-file.ts";
import type { Codec } from "../codec.ts";
import type { DiskImage } from "../disk-image.ts";
import { repairCounts } from "./check.ts";
import { HEADER_WINDOW_BYTES, INCOMPATIBLE, parseHeader } from "./header.ts";
import type { Qcow2Header } from "./header.ts";
import { Qcow2Image } from "./image.ts";
import { Refcounts } from "./refcounts.ts";
import { Qcow2Store } from "./store.ts";

/** Reads the header alone. */
export function readQcow2Header(file: ByteFile): Qcow2Header {
  let window = new Uint8Array(Math.min(file.size, 65536));
  const io = (): VmmError => new VmmError("IMAGE_IO", `${file.name}: cannot be read`);
  if (!file.read(0, window)) throw io();
  const clusterBits = window.length >= 24 ? new DataView(window.buffer).getUint32(20) : 0;
  if (clusterBits > 16 && clusterBits <= 21) {
    window = new Uint8Array(Math.min(file.size, HEADER_WINDOW_BYTES));
    if (!file.read(0, window)) throw io();
  }
  return parseHeader(window, file.size, file.name);
}

/** Opens the image over its file. Owns both when it returns; on an error the caller closes them. */
export function openQcow2(
  file: ByteFile,
  header: Qcow2Header,
  options: {
    readonly backing: DiskImage | undefined;
    readonly codec: Codec;
    readonly sectorBytes: 512 | 2048;
    readonly warn: (message: string) => void;
  },
): Qcow2Image {
  const { name } = file;
  const has = (bit: number): boolean => ((header.incompatible >> BigInt(bit)) & 1n) === 1n;
  const io = (): VmmError => new VmmError("IMAGE_IO", `${name}: cannot be read`);
  const l1 = new Uint8Array(header.l1Entries * 8);
  if (!file.read(header.l1Offset, l1)) throw io();
  if (has(INCOMPATIBLE.CORRUPT)) {
    if (!file.readOnly)
      throw new VmmError(
        "IMAGE_CORRUPT",
        `${name}: is marked corrupt; repair it (qemu-img check -r all) or open it with --read-only or --snapshot-disk`,
      );
    options.warn(`${name}: is marked corrupt; reads may fail`);
  }
  let refcounts: Refcounts | undefined;
  if (!file.readOnly) {
    const opened = Refcounts.open(file, header);
    if (opened === undefined) throw io();
    if (opened === "bad") throw new VmmError("IMAGE_CORRUPT", `${name}: the refcount table is damaged; repair it with qemu-img check -r all`);
    refcounts = opened;
  }
  const store = new Qcow2Store(file, header, l1, refcounts);
  if (refcounts !== undefined && has(INCOMPATIBLE.DIRTY)) {
    options.warn(`${name}: was not closed properly; its reference counts are rebuilt`);
    const clean: Qcow2Header = { ...header, incompatible: header.incompatible & ~1n };
    if (!repairCounts(store) || !store.patchHeader64(72, Number(clean.incompatible)))
      throw new VmmError("IMAGE_CORRUPT", `${name}: the reference counts cannot be rebuilt; repair it with qemu-img check -r all`);
    store.header = clean;
  }
  return new Qcow2Image(store, options.backing, options.codec, options.sectorBytes);
}
