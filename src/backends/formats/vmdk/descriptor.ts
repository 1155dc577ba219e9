import { utf8Text, VmmError } from "../../../base/index.ts";

/** VMware, "Virtual Disk Format 5.0": the text that says what a disk is made of. */
export interface VmdkDescriptor {
  readonly createType: string;
  readonly extents: readonly VmdkExtent[];
}

export interface VmdkExtent {
  readonly kind: "flat" | "sparse" | "zero";
  readonly sectors: number;
  /** A plain name in the descriptor's directory; undefined for zeros. */
  readonly file: string | undefined;
  /** Where a flat extent begins in its file, in sectors. */
  readonly startSector: number;
}

/** A descriptor is a page of text. */
export const MAX_DESCRIPTOR_BYTES = 256 * 1024;
/** Files of 2 GB: a disk of 2 TB. Each is open while the disk is. */
const MAX_EXTENTS = 1024;
const NO_PARENT = "ffffffff";
const EXTENT = /^(RW|RDONLY|NOACCESS)\s+(\d{1,15})\s+([A-Z0-9]+)(?:\s+"([^"]*)"(?:\s+(\d{1,15}))?)?\s*$/;

/** Reads a descriptor; refuses what is not supported by name, and extents that are not beside it. */
export function parseDescriptor(bytes: Uint8Array, name: string): VmdkDescriptor {
  const text = utf8Text(bytes).replace(/\0[\s\S]*$/, "");
  const settings = new Map<string, string>();
  const extents: VmdkExtent[] = [];
  for (const line of text.split(/\r?\n/)) {
    const extent = EXTENT.exec(line);
    if (extent !== null) {
      if (extents.length === MAX_EXTENTS) throw new VmmError("IMAGE_FORMAT", `${name}: damaged VMDK descriptor: more than ${MAX_EXTENTS} extents`);
      extents.push(parseExtent(extent, name));
      continue;
    }
    const setting = /^\s*([A-Za-z]\w*)\s*=\s*"?([^"]*?)"?\s*$/.exec(line);
    if (setting !== null) settings.set((setting[1] ?? "").toLowerCase(), setting[2] ?? "");
  }
  if ((settings.get("parentcid") ?? NO_PARENT).toLowerCase() !== NO_PARENT)
    throw new VmmError("IMAGE_UNSUPPORTED", `${name}: is a snapshot's delta VMDK; make it whole with qemu-img convert or vmkfstools -i`);
  return { createType: settings.get("createtype") ?? "", extents };
}

function parseExtent([, access = "", sectors = "", type = "", file, start = "0"]: RegExpExecArray, name: string): VmdkExtent {
  const unsupported = (what: string): VmmError =>
    new VmmError("IMAGE_UNSUPPORTED", `${name}: ${what} is not supported; convert it with qemu-img convert`);
  if (access === "NOACCESS") throw unsupported("a VMDK extent without access");
  const size = { sectors: Number(sectors), startSector: Number(start) };
  if (type === "ZERO") return { ...size, kind: "zero", file: undefined };
  if (type !== "FLAT" && type !== "SPARSE") throw unsupported(`a VMDK extent of type ${type}`);
  // Whoever sent the descriptor is not to choose which files of this computer the guest reads.
  if (file === undefined || file === "" || file === "." || file === ".." || /[/\\\0]/.test(file))
    throw new VmmError("IMAGE_FORMAT", `${name}: its extent "${(file ?? "").replace(/[^ -~]/g, "?")}" is not a file beside it`);
  return { ...size, kind: type === "FLAT" ? "flat" : "sparse", file };
}
