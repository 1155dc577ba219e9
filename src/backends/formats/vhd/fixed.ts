import { VmmError } from "../../../base/index.ts";
import { because } from "../byte-file.ts";
import type { ByteFile } from "../byte-file.ts";
import type { ImageFacts } from "../disk-image.ts";
import { FlatImage } from "../flat-image.ts";
import { FOOTER_BYTES, MAX_VHD_BYTES, resizeFooter } from "./footer.ts";
import type { VhdFooter } from "./footer.ts";

/** A fixed VHD: a raw disk with a footer behind it. */
export class FixedVhd extends FlatImage {
  override readonly format = "vhd";
  #footerBytes: Uint8Array;
  #sizeBytes: number;

  constructor(file: ByteFile, footer: VhdFooter, footerBytes: Uint8Array, sectorBytes: 512 | 2048) {
    super(file, sectorBytes);
    this.#footerBytes = footerBytes;
    this.#sizeBytes = Math.min(footer.sizeBytes, file.size - FOOTER_BYTES);
  }
  override get sizeBytes(): number {
    return Math.floor(this.#sizeBytes / this.sectorBytes) * this.sectorBytes;
  }
  override facts(): ImageFacts {
    return { file: this.name, format: "vhd", virtualBytes: this.#sizeBytes, fileBytes: this.file.size, variant: "fixed" };
  }
  override resize(sizeBytes: number): void {
    if (this.readOnly) throw new VmmError("IMAGE_READ_ONLY", `${this.name}: is open for reading only`);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % 512 !== 0 || sizeBytes > MAX_VHD_BYTES)
      throw new VmmError("IMAGE_SIZE", `${this.name}: ${sizeBytes} is no possible VHD size (a multiple of 512, at most 2040G)`);
    const footer = resizeFooter(this.#footerBytes, sizeBytes);
    // Growing: zeros over the old footer, the new one at the new end.
    const grow = sizeBytes > this.#sizeBytes;
    const { file } = this;
    const ok = grow
      ? file.write(sizeBytes, footer) &&
        file.flush() &&
        file.write(this.#sizeBytes, new Uint8Array(Math.min(FOOTER_BYTES, sizeBytes - this.#sizeBytes)))
      : file.write(sizeBytes, footer) && file.resize(sizeBytes + FOOTER_BYTES);
    if (!ok || !file.flush()) throw new VmmError("IMAGE_IO", `${this.name}: cannot be resized${because(this.file)}`);
    this.#footerBytes = footer;
    this.#sizeBytes = sizeBytes;
  }
}
