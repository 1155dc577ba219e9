import { ascii, viewOf } from "./be.ts";
import type { ImageFormat } from "./image-format.ts";
import { isFooter } from "./vhd/footer.ts";

/**
 * What an image file is, by its magic numbers. `start`: its first 512 bytes, `end`: its last 512 (undefined: not looked at), `fileBytes` its length.
 * "raw": none of the others; it need not be a disk at all (`recognise`).
 */
export function detectFormat(start: Uint8Array, end: Uint8Array | undefined, fileBytes: number): ImageFormat {
  const text = (at: number, length: number): string => (start.length >= at + length ? ascii(start, at, length) : "");
  if (text(0, 4) === "QFI\xfb") return "qcow2";
  if (text(0, 8) === "conectix") return "vhd";
  if (text(0, 4) === "KDMV" || text(0, 21) === "# Disk DescriptorFile") return "vmdk";
  if (text(0, 8) === "vhdxfile") return "vhdx";
  if (start.length >= 68 && viewOf(start).getUint32(64, true) === 0xbeda107f) return "vdi";
  // A fixed VHD is a raw disk with a footer behind it, of a size that fits.
  if (end !== undefined && isFooter(end)) {
    const view = viewOf(end);
    const size = view.getUint32(48) * 2 ** 32 + view.getUint32(52);
    if (view.getUint32(60) === 2 && size > 0 && size <= fileBytes - 512) return "vhd";
  }
  return "raw";
}
