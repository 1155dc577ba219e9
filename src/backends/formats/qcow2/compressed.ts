import type { Codec } from "../codec.ts";
import { zstdFrameBytes } from "../codec.ts";
import { encodeCompressed } from "./entry.ts";
import type { L2Entry } from "./entry.ts";
import type { Qcow2Store } from "./store.ts";
import type { Table } from "./tables.ts";

/** Compressed clusters: reading them, and packing new ones one behind the other. */
export class CompressedClusters {
  readonly #store: Qcow2Store;
  readonly #codec: Codec;
  /** The cluster unpacked last, and where it lies: guests read a cluster sector by sector. */
  #unpacked: Uint8Array | undefined;
  #unpackedHost = -1;
  /** Where the next packed cluster may go; 0: nowhere yet. */
  #tail = 0;

  constructor(store: Qcow2Store, codec: Codec) {
    this.#store = store;
    this.#codec = codec;
  }

  forget(): void {
    this.#unpackedHost = -1;
  }

  /** The content of a compressed cluster; undefined when it cannot be read or is damaged. */
  read(e: L2Entry): Uint8Array | undefined {
    if (this.#unpackedHost === e.host) return this.#unpacked;
    const { file, header, clusterBytes } = this.#store;
    if (e.host >= file.size) return undefined;
    const packed = new Uint8Array(Math.min(e.compressedBytes, file.size - e.host));
    if (!file.read(e.host, packed)) return undefined;
    let out: Uint8Array | undefined;
    if (header.compression === "zlib") {
      out = this.#codec.inflateRaw(packed, clusterBytes);
    } else {
      const frame = zstdFrameBytes(packed, clusterBytes);
      out = frame === undefined ? undefined : this.#codec.unzstd(packed.subarray(0, frame), clusterBytes);
    }
    if (out?.length !== clusterBytes) return undefined;
    this.#unpacked = out;
    this.#unpackedHost = e.host;
    return out;
  }

  /** Packed bytes that are worth storing; undefined when packing does not pay (or only Zstandard would do, which is read only). */
  pack(cluster: Uint8Array): Uint8Array | undefined {
    if (this.#store.header.compression !== "zlib") return undefined;
    const packed = this.#codec.deflateRaw(cluster);
    return packed !== undefined && packed.length < cluster.length ? packed : undefined;
  }

  /** Writes packed bytes and points entry `index` to them. */
  store(packed: Uint8Array, table: Table, index: number): boolean {
    const store = this.#store;
    const cb = store.clusterBytes;
    const left = this.#tail % cb === 0 ? 0 : cb - (this.#tail % cb);
    let host = this.#tail;
    if (left === 0 || !this.#share(Math.floor(this.#tail / cb))) {
      const got = store.allocate(1);
      if (got === undefined) return false;
      host = got.offset;
    } else if (left < packed.length) {
      // It runs over into the next cluster, if that is free; else all of it goes elsewhere.
      const got = store.allocate(1);
      if (got === undefined) return false;
      if (got.offset !== this.#tail + left) {
        store.refcounts?.adjust(Math.floor(this.#tail / cb), -1);
        host = got.offset;
      }
    }
    if (!store.file.write(host, packed)) return false;
    const end = Math.ceil((host + packed.length) / cb) * cb;
    if (store.file.size < end && !store.file.resize(end)) return false;
    encodeCompressed(store.header, table.view, index, host, packed.length);
    this.#tail = host + packed.length;
    this.forget();
    return true;
  }

  /** One more user for a cluster that is partly filled. */
  #share(cluster: number): boolean {
    const counts = this.#store.refcounts;
    const now = counts?.get(cluster);
    // The cluster may have been given up meanwhile.
    return counts !== undefined && now !== undefined && now > 0 && now < counts.maxCount && counts.set(cluster, now + 1);
  }
}
