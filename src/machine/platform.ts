import type { BlockBackend, FileTree, NetBackend } from "../backends/api/index.ts";
import type { ImageFormat } from "../backends/formats/index.ts";
import type { HostForward } from "../backends/net-user/index.ts";
import type { Host } from "./run/host.ts";
import type { Packer } from "./snapshot/container.ts";

/** How an image is opened. */
export interface ImageRequest {
  /** Without write access; others may use it at the same time. */
  readonly readOnly: boolean;
  /** True: it is only looked at, and closed again. */
  readonly peek?: boolean;
  /** Undefined: by the content. */
  readonly format?: ImageFormat;
  /** Receives one line for each thing worth knowing though the image opens. */
  readonly warn?: (message: string) => void;
}

/** Where a network card's cable leads when it is this platform that makes the other end. */
export type CableRequest =
  | { readonly kind: "user"; readonly loopback: boolean; readonly restrict: boolean; readonly forwards: readonly HostForward[] }
  | { readonly kind: "tap"; readonly ifname: string };

/** A file's bytes, or why there are none: words to put behind its name. */
export type FileContent = Uint8Array | { readonly missing: boolean; readonly why: string };

/**
 * What a machine is made of outside itself: names become files, directories and networks, time passes, something compresses. Node's comes with the
 * package's door, a browser's or a program's own is handed to `boot()`. Failures are `VmmError`s of one line: what, where, what to do.
 */
export interface Platform extends Host {
  /** `path` as it can be found from anywhere: snapshots remember it. */
  absolutePath(path: string): string;
  /** An image by its name. The caller closes it. */
  openImage(path: string, request: ImageRequest): Promise<BlockBackend>;
  /** A directory for the guest. The caller closes it. */
  openDirectory(path: string, readOnly: boolean): Promise<FileTree>;
  /** The caller closes it. */
  openNetwork(request: CableRequest): Promise<NetBackend>;
  /** A whole file of at most `maxBytes` bytes: a kernel, a snapshot. What never ends (a device, a pipe) is refused. */
  readFile(path: string, maxBytes: number): Promise<FileContent>;
  /** Undoes gzip; rejects what is damaged or larger than `maxBytes`. */
  gunzip(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array>;
  /** Compression of snapshots. */
  readonly packer: Packer;
}
