import { ascii, viewOf } from "./be.ts";
import { isFooter } from "./vhd/footer.ts";

/** Formats that are recognised and refused by name: booting their bytes as a raw disk would only puzzle. */
export type ForeignFormat = "VMDK" | "VDI" | "VHDX" | "QED" | "Parallels";

/**
 * What an image file is, by its magic numbers. `start`: its first 512 bytes, `end`: its last 512 (undefined: not looked at), `fileBytes` its length.
 */
export function detectFormat(start: Uint8Array, end: Uint8Array | undefined, fileBytes: number): "raw" | "qcow2" | "vhd" | ForeignFormat {
  const text = (at: number, length: number): string => (start.length >= at + length ? ascii(start, at, length) : "");
  if (text(0, 4) === "QFI\xfb") return "qcow2";
  if (text(0, 8) === "conectix") return "vhd";
  if (text(0, 4) === "KDMV" || text(0, 4) === "COWD" || text(0, 21) === "# Disk DescriptorFile") return "VMDK";
  if (text(0, 8) === "vhdxfile") return "VHDX";
  if (text(0, 4) === "QED\0") return "QED";
  if (text(0, 16) === "WithoutFreeSpace" || text(0, 16) === "WithouFreSpacExt") return "Parallels";
  if (start.length >= 68 && viewOf(start).getUint32(64, true) === 0xbeda107f) return "VDI";
  // A fixed VHD is a raw disk with a footer behind it, of a size that fits.
  if (end !== undefined && isFooter(end)) {
    const view = viewOf(end);
    const size = view.getUint32(48) * 2 ** 32 + view.getUint32(52);
    if (view.getUint32(60) === 2 && size > 0 && size <= fileBytes - 512) return "vhd";
  }
  return "raw";
}
