import { ascii, viewOf } from "./be.ts";

/** A file that people take for a disk image and that is none. */
export interface NotADisk {
  /** Behind "is": "a ZIP archive". */
  readonly what: string;
  /** How to get at the disk, with FILE for the file's name. */
  readonly remedy: string;
  /** Compression that can be undone while the file is opened. */
  readonly packed?: "gzip" | "xz" | "zstd";
}

/** What the first bytes of a file must be. */
interface Signature extends NotADisk {
  readonly bytes: string;
}

const UNPACK = "unpack it";
const CONVERT = "convert it: qemu-img convert FILE disk.img";
const FLOPPY = "convert it with SAMdisk or HxCFE to a plain sector image";

/** By magic number, as in the formats' own specifications; a character a byte. */
const SIGNATURES: readonly Signature[] = [
  { bytes: "\x1f\x8b\x08", what: "compressed with gzip", remedy: `${UNPACK}: gunzip -k FILE`, packed: "gzip" },
  { bytes: "\xfd7zXZ\0", what: "compressed with xz", remedy: `${UNPACK}: unxz -k FILE`, packed: "xz" },
  { bytes: "\x28\xb5\x2f\xfd", what: "compressed with Zstandard", remedy: `${UNPACK}: unzstd FILE`, packed: "zstd" },
  { bytes: "BZh", what: "compressed with bzip2", remedy: `${UNPACK}: bunzip2 -k FILE` },
  { bytes: "\x04\x22\x4d\x18", what: "compressed with LZ4", remedy: `${UNPACK}: unlz4 FILE` },
  { bytes: "LZIP", what: "compressed with lzip", remedy: `${UNPACK}: lzip -dk FILE` },
  { bytes: "\x89LZO\0\r\n\x1a\n", what: "compressed with lzop", remedy: `${UNPACK}: lzop -d FILE` },
  { bytes: "\x1f\x9d", what: "compressed with compress", remedy: `${UNPACK}: uncompress -k FILE` },
  { bytes: "PK\x03\x04", what: "a ZIP archive", remedy: `${UNPACK}: unzip FILE` },
  { bytes: "PK\x05\x06", what: "an empty ZIP archive", remedy: "get the right file" },
  { bytes: "7z\xbc\xaf\x27\x1c", what: "a 7-Zip archive", remedy: `${UNPACK}: 7z x FILE` },
  { bytes: "Rar!\x1a\x07", what: "a RAR archive", remedy: `${UNPACK}: unrar x FILE` },
  { bytes: "MSCF\0\0\0\0", what: "a Cabinet archive", remedy: `${UNPACK}: cabextract FILE` },
  { bytes: "!<arch>\n", what: "an ar archive (a Debian package?)", remedy: `${UNPACK}: dpkg-deb -x FILE DIRECTORY` },
  { bytes: "\xed\xab\xee\xdb", what: "an RPM package", remedy: `${UNPACK}: rpm2cpio FILE | cpio -idm` },
  { bytes: "070701", what: "a cpio archive", remedy: "an initrd goes with its kernel: whyve run --kernel KERNEL --initrd FILE" },
  { bytes: "070702", what: "a cpio archive", remedy: "an initrd goes with its kernel: whyve run --kernel KERNEL --initrd FILE" },
  { bytes: "070707", what: "a cpio archive", remedy: "an initrd goes with its kernel: whyve run --kernel KERNEL --initrd FILE" },
  { bytes: "\x7fELF", what: "an ELF program", remedy: "a kernel is started with whyve run --kernel FILE" },
  { bytes: "version https://git-lfs.github.com/spec/", what: "a Git LFS pointer, not the file itself", remedy: "fetch it: git lfs pull" },
  { bytes: "LUKS\xba\xbe", what: "an encrypted LUKS volume", remedy: "open it (cryptsetup open FILE NAME) and give /dev/mapper/NAME" },
  { bytes: "QED\0", what: "a QED image", remedy: CONVERT },
  { bytes: "WithoutFreeSpace", what: "a Parallels image", remedy: CONVERT },
  { bytes: "WithouFreSpacExt", what: "a Parallels image", remedy: CONVERT },
  { bytes: "COWD", what: "a VMDK image of an ESX host", remedy: CONVERT },
  { bytes: "Bochs Virtual HD Image", what: "a Bochs growing image", remedy: "convert it: bximage" },
  { bytes: "\x3a\xff\x26\xed", what: "an Android sparse image", remedy: "convert it: simg2img FILE disk.img" },
  { bytes: "EVF\x09\x0d\x0a\xff\0", what: "an EnCase (E01) image", remedy: "convert it: ewfexport FILE" },
  { bytes: "MSWIM\0\0\0", what: "a Windows image (WIM)", remedy: "its files go on a disk: wimapply" },
  {
    bytes: "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0",
    what: "a CD image of raw sectors (BIN, MDF)",
    remedy: "convert it to an ISO: bchunk FILE FILE.cue disc",
  },
  { bytes: "IMD ", what: "an ImageDisk floppy", remedy: FLOPPY },
  { bytes: "HXCPICFE", what: "an HFE floppy", remedy: FLOPPY },
  { bytes: "SQLite format 3\0", what: "an SQLite database", remedy: "get the right file" },
  { bytes: "%PDF-", what: "a PDF document", remedy: "get the right file" },
  { bytes: "\x89PNG\r\n\x1a\n", what: "a PNG picture", remedy: "get the right file" },
  { bytes: "\xff\xd8\xff", what: "a JPEG picture", remedy: "get the right file" },
];

/** Bytes of the start that are looked at. */
export const START_BYTES = 1024;

/** A boot sector may begin with any two or three bytes: with its signature at the end it is one. */
const SURE_BYTES = 4;

/**
 * What a file is that is no disk, by its first `START_BYTES` bytes and its last 512; undefined: it may be one. A boot signature is worth more than a
 * short magic number, and than what programs and archives look like: there are boot sectors that are programs, too.
 */
export function recognise(start: Uint8Array, end: Uint8Array | undefined): NotADisk | undefined {
  const isBootable = start[510] === 0x55 && start[511] === 0xaa;
  const found = SIGNATURES.find(({ bytes }) => ascii(start, 0, bytes.length) === bytes && !(isBootable && bytes.length < SURE_BYTES));
  if (found !== undefined) return found;
  // A DMG says so at its end.
  if (end !== undefined && ascii(end, 0, 4) === "koly") return { what: "a DMG image", remedy: "convert it: qemu-img convert -f dmg FILE disk.img" };
  const document = recogniseText(start);
  if (document !== undefined) return document;
  if (ascii(start, 0, 2) === "MZ") return recogniseProgram(start, isBootable);
  if (!isBootable && ascii(start, 257, 5) === "ustar") return { what: "a tar archive", remedy: `${UNPACK}: tar xf FILE` };
  return undefined;
}

/** HTML, XML and JSON: what a server sends instead of the file. */
function recogniseText(start: Uint8Array): NotADisk | undefined {
  const text = ascii(start, 0, start.length)
    .replace(/^\xef\xbb\xbf/, "")
    .trimStart();
  const again = "download the file itself: curl -LO URL";
  if (/^(?:<!doctype html|<html|<head)/i.test(text)) return { what: "a web page", remedy: again };
  if (/^<\?xml/i.test(text)) return { what: "an XML document", remedy: again };
  // oxlint-disable-next-line no-control-regex -- what text has not
  if (/^(?:\{\s*["}]|\[\s*[[{"\]])/.test(text) && !/[\0-\x08\x0e-\x1f]/.test(text)) return { what: "a JSON document", remedy: again };
  return undefined;
}

/** MZ: a Linux kernel with an EFI stub says so at 202h; a PE or DOS program that is no boot sector as well. */
function recogniseProgram(start: Uint8Array, isBootable: boolean): NotADisk | undefined {
  if (ascii(start, 0x202, 4) === "HdrS") return { what: "a Linux kernel", remedy: "start it: whyve run --kernel FILE" };
  if (isBootable) return undefined;
  const pe = viewOf(start).getUint32(0x3c, true);
  if (pe + 4 <= start.length && ascii(start, pe, 4) === "PE\0\0")
    return { what: "a Windows or EFI program (PE)", remedy: "programs go on a disk with a system that runs them" };
  return { what: "a DOS program (MZ)", remedy: "programs go on a disk with a system that runs them (mcopy -i disk.img FILE ::)" };
}
