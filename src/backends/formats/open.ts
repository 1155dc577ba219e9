import { VmmError } from "../../base/index.ts";
import type { ByteFile } from "./byte-file.ts";
import type { Codec } from "./codec.ts";
import { ascii } from "./be.ts";
import { detectFormat } from "./detect.ts";
import { MappedImage } from "./mapped-image.ts";
import { recognise, START_BYTES } from "./not-a-disk.ts";
import type { NotADisk } from "./not-a-disk.ts";
import { readPart } from "./read-part.ts";
import { openVdi } from "./vdi.ts";
import { openVhdx } from "./vhdx/open.ts";
import { openVmdk } from "./vmdk/open.ts";
import type { DiskImage } from "./disk-image.ts";
import type { ImageFormat } from "./image-format.ts";
import { openQcow2, readQcow2Header } from "./qcow2/open.ts";
import { RawImage } from "./raw.ts";
import { FOOTER_BYTES, isFooter, MAX_VHD_BYTES, parseFooter } from "./vhd/footer.ts";
import type { VhdFooter } from "./vhd/footer.ts";
import { HEADER_BYTES, locatorPath, parseVhdHeader } from "./vhd/header.ts";
import type { VhdHeader } from "./vhd/header.ts";
import { FixedVhd } from "./vhd/fixed.ts";
import { SparseVhd } from "./vhd/sparse.ts";

/** Files below files: opens what an image names as its backing file, read-only. */
export interface Surroundings {
  readonly codec: Codec;
  /** `reference` as it stands in the image `from` (relative to its directory, or absolute). Throws `VmmError`, also when there is no such file. */
  openBacking(reference: string, from: ByteFile): ByteFile;
  /** A regular file of that plain name (no directory in it) beside `from`, read-only. Throws `VmmError`, also when it is a link. */
  openBeside(name: string, from: ByteFile): ByteFile;
  readonly warn: (message: string) => void;
}

export interface OpenOptions {
  /** Undefined: detected from the content. */
  readonly format?: ImageFormat;
  readonly sectorBytes?: 512 | 2048;
  /**
   * For tools that only describe an image: told why its backing file or parent cannot be used, instead of failing. The image has none then: its
   * facts are right, its content is not to be read. Only for files that are read-only.
   */
  readonly onBackingProblem?: (error: VmmError) => void;
}

/** Compression that can be undone while a file is opened. */
export type Packing = NonNullable<NotADisk["packed"]>;

/** Deeper chains of backing files are refused. */
const MAX_CHAIN = 64;

/** Names that qemu-img accepts in images and in `-F`, and what they are here. */
const FORMAT_NAMES: Readonly<Record<string, ImageFormat>> = {
  raw: "raw",
  file: "raw",
  host_device: "raw",
  qcow2: "qcow2",
  vpc: "vhd",
  vhd: "vhd",
  vmdk: "vmdk",
  vdi: "vdi",
  vhdx: "vhdx",
};

/** What a file's content is: an image's format, or something that can be unpacked to one. Throws `IMAGE_NOT_A_DISK` for everything else. */
export function probe(file: ByteFile): { readonly format: ImageFormat } | { readonly packed: Packing } {
  const start = new Uint8Array(START_BYTES);
  const end = new Uint8Array(512);
  const withEnd = file.size >= 1024;
  if (!file.read(0, start) || (withEnd && !file.read(file.size - 512, end))) throw new VmmError("IMAGE_IO", `${file.name}: cannot be read`);
  const format = detectFormat(start.subarray(0, Math.min(512, file.size)), withEnd ? end : undefined, file.size);
  if (format !== "raw" || isIso9660(file)) return { format };
  const found = recognise(start.subarray(0, Math.min(START_BYTES, file.size)), withEnd ? end : undefined);
  if (found === undefined) return { format };
  if (found.packed !== undefined) return { packed: found.packed };
  throw notADisk(file.name, found);
}

/** The format of a file that is an image as it stands. */
export function probeFormat(file: ByteFile): ImageFormat {
  const found = probe(file);
  if ("format" in found) return found.format;
  throw packedError(file.name, found.packed);
}

const UNPACK: Readonly<Record<Packing, string>> = { gzip: "gunzip -k FILE", xz: "unxz -k FILE", zstd: "unzstd FILE" };

/** A compressed image is read as it is, but not written. */
export function packedError(name: string, packing: Packing): VmmError {
  return new VmmError(
    "IMAGE_PACKED",
    `${name}: is compressed with ${packing}; ${REMEDIES} to boot it as it is, or unpack it: ${remedyFor(UNPACK[packing], name)} (${ALL_THE_SAME})`,
  );
}

const ALL_THE_SAME = "--format raw takes it for a disk all the same";

function notADisk(name: string, { what, remedy }: NotADisk): VmmError {
  return new VmmError("IMAGE_NOT_A_DISK", `${name}: is ${what}; ${remedyFor(remedy, name)} (${ALL_THE_SAME})`);
}

/** A remedy with the file's name as a shell takes it. */
function remedyFor(remedy: string, name: string): string {
  return remedy.replaceAll("FILE", () => (/^[\w./+:@%,=-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`));
}

/** The system area of a CD may hold anything: programs, other systems' labels. ECMA-119 §8.1. */
function isIso9660(file: ByteFile): boolean {
  const id = new Uint8Array(6);
  return file.size >= 17 * 2048 && file.read(16 * 2048, id) && ascii(id, 1, 5) === "CD001";
}

/**
 * Opens an image with all its backing files. Owns `file` from the call on: it is closed when opening fails. Every failure is a `VmmError` with one
 * line.
 */
export function openImageFile(file: ByteFile, around: Surroundings, options: OpenOptions = {}): DiskImage {
  return open(file, around, {
    format: options.format,
    sectorBytes: options.sectorBytes ?? 512,
    chain: [],
    trusted: true,
    onBackingProblem: options.onBackingProblem,
  });
}

interface Link {
  readonly format: ImageFormat | undefined;
  readonly sectorBytes: 512 | 2048;
  /** Files above this one. */
  readonly chain: readonly ByteFile[];
  /** The format was stated, or the user named the file: it may name a backing file itself. */
  readonly trusted: boolean;
  /** See `OpenOptions`; only the topmost image has it. */
  readonly onBackingProblem?: ((error: VmmError) => void) | undefined;
}

function open(file: ByteFile, around: Surroundings, link: Link): DiskImage {
  try {
    const format = link.format ?? probeFormat(file);
    if (format === "raw") return new RawImage(file, link.sectorBytes);
    if (format === "qcow2") return openQcow2Chain(file, around, link);
    if (format === "vhd") return openVhd(file, around, link);
    return openForReading(file, format, around, link);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Formats that other programs write. */
function openForReading(file: ByteFile, format: "vmdk" | "vdi" | "vhdx", around: Surroundings, link: Link): DiskImage {
  if (!file.readOnly) throw readOnlyFormat(file.name, format);
  // A descriptor names files: a format that was only guessed below another image does not lead to further ones.
  if (format === "vmdk" && !link.trusted) throw new VmmError("IMAGE_BACKING", `${file.name}: is a VMDK, but the image above does not state that`);
  const map = format === "vmdk" ? openVmdk(file, around) : format === "vdi" ? openVdi(file) : openVhdx(file);
  return new MappedImage(file.name, map, link.sectorBytes);
}

/** Whoever would write must be told before an hour's work is lost. */
function readOnlyFormat(name: string, format: string): VmmError {
  const words = `${format.toUpperCase()} images are read here, not written`;
  return new VmmError("IMAGE_READ_ONLY", `${name}: ${words}; ${REMEDIES}, or convert it: ${remedyFor(`whyve image convert FILE disk.qcow2`, name)}`);
}

/** What makes an image usable that cannot be written. */
const REMEDIES = "add --snapshot-disk (writes stay in memory and are lost at the end) or --read-only";

function openQcow2Chain(file: ByteFile, around: Surroundings, link: Link): DiskImage {
  const header = readQcow2Header(file);
  let backing: DiskImage | undefined;
  const { backingFile } = header;
  if (backingFile !== undefined) backing = orWithout(link, () => openQcow2Backing(file, backingFile, header.backingFormat, around, link));
  try {
    return openQcow2(file, header, { backing, codec: around.codec, sectorBytes: link.sectorBytes, warn: around.warn });
  } catch (error) {
    backing?.close();
    throw error;
  }
}

function openQcow2Backing(file: ByteFile, reference: string, formatName: string | undefined, around: Surroundings, link: Link): DiskImage {
  let format: ImageFormat | undefined;
  if (formatName !== undefined) {
    format = FORMAT_NAMES[formatName];
    if (format === undefined)
      throw new VmmError(
        "IMAGE_UNSUPPORTED",
        `${file.name}: its backing file has format "${formatName.replace(/[^ -~]/g, "?")}", which is not supported`,
      );
  }
  const below = openBelow(reference, file, around, link);
  return open(below, around, { format, sectorBytes: 512, chain: [...link.chain, file], trusted: format !== undefined });
}

/** What lies below, or nothing where that is only to be told. */
function orWithout(link: Link, openIt: () => DiskImage): DiskImage | undefined {
  try {
    return openIt();
  } catch (error) {
    if (link.onBackingProblem === undefined || !(error instanceof VmmError)) throw error;
    link.onBackingProblem(error);
    return undefined;
  }
}

/** Opens a file that an image names; refuses loops, endless chains, and what only a guess of the format would have us follow. */
function openBelow(reference: string, file: ByteFile, around: Surroundings, link: Link): ByteFile {
  if (!link.trusted)
    throw new VmmError(
      "IMAGE_BACKING",
      `${file.name}: names a backing file, but the image above does not state its format; if this is right: qemu-img rebase -u -F FORMAT -b FILE`,
    );
  if (link.chain.length + 1 >= MAX_CHAIN) throw new VmmError("IMAGE_BACKING", `${file.name}: more than ${MAX_CHAIN} backing files`);
  const below = around.openBacking(reference, file);
  if ([...link.chain, file].some((f) => f.id === below.id)) {
    below.close();
    throw new VmmError("IMAGE_BACKING", `${file.name}: its chain of backing files leads back to ${below.name}`);
  }
  return below;
}

function openVhd(file: ByteFile, around: Surroundings, link: Link): DiskImage {
  const { name } = file;
  const first = readPart(file, 0, FOOTER_BYTES);
  const last = file.size >= FOOTER_BYTES ? readPart(file, file.size - FOOTER_BYTES, FOOTER_BYTES) : first;
  // Fixed disks have only the footer at the end; of the others the copy at the start is the one that never moves.
  const footerBytes = isFooter(first) ? first : isFooter(last) ? last : undefined;
  if (footerBytes === undefined) throw new VmmError("IMAGE_FORMAT", `${name}: damaged VHD: no footer with a correct checksum`);
  const footer = parseFooter(footerBytes, name);
  if (footer.headerOffset === undefined) return new FixedVhd(file, footer, footerBytes, link.sectorBytes);
  if (footer.headerOffset % 512 !== 0 || footer.headerOffset + HEADER_BYTES > file.size)
    throw new VmmError("IMAGE_FORMAT", `${name}: damaged VHD footer: the header is outside the file`);
  const header = parseVhdHeader(readPart(file, footer.headerOffset, HEADER_BYTES), footer.sizeBytes, file.size, name);
  if (header.entries * header.blockBytes > 2 * MAX_VHD_BYTES) throw new VmmError("IMAGE_FORMAT", `${name}: damaged VHD header: too many blocks`);
  const table = readPart(file, header.tableOffset, header.entries * 4);
  const parent = footer.type === 4 ? orWithout(link, () => openParent(file, header, around, link)) : undefined;
  return new SparseVhd(file, { footer, footerBytes, header, table, parent, sectorBytes: link.sectorBytes, footerLost: !isFooter(last) });
}

/** The parent of a differencing disk: by its locators, then by its name beside the image; it must have the identity that the image remembers. */
function openParent(file: ByteFile, header: VhdHeader, around: Surroundings, link: Link): DiskImage {
  const names = header.locators.map((l) => locatorPath(l.platform, readPart(file, l.offset, l.bytes)));
  const candidates = [...new Set([...names, header.parentName.replace(/^.*[\\/]/, "")])].filter((n) => n !== undefined && n !== "");
  let why: unknown;
  for (const candidate of candidates) {
    if (candidate === undefined || candidate.includes("\0") || /^[A-Za-z]:/.test(candidate)) continue;
    let below: ByteFile;
    try {
      below = openBelow(candidate, file, around, link);
    } catch (error) {
      if (!(error instanceof VmmError) || error.code !== "IMAGE_NOT_FOUND") throw error;
      why = error;
      continue;
    }
    const found = vhdFooter(below);
    if (found === undefined || found.uuid.some((b, i) => b !== header.parentUuid[i])) {
      below.close();
      throw new VmmError("IMAGE_BACKING", `${file.name}: ${below.name} is not the parent that it was made from (identity differs)`);
    }
    return open(below, around, { format: "vhd", sectorBytes: 512, chain: [...link.chain, file], trusted: true });
  }
  throw new VmmError("IMAGE_BACKING", `${file.name}: its parent "${header.parentName.replace(/[^ -~]/g, "?")}" is not found`, { cause: why });
}

/** The footer of a VHD; undefined when the file is none. */
export function vhdFooter(file: ByteFile): VhdFooter | undefined {
  if (file.size < FOOTER_BYTES) return undefined;
  for (const at of [0, file.size - FOOTER_BYTES]) {
    const bytes = readPart(file, at, FOOTER_BYTES);
    if (isFooter(bytes)) return parseFooter(bytes, file.name);
  }
  return undefined;
}
