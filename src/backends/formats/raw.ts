import { VmmError } from "../../base/index.ts";
import { because } from "./byte-file.ts";
import type { ByteFile } from "./byte-file.ts";
import { detectFormat } from "./detect.ts";
import type { ImageFacts } from "./disk-image.ts";
import { FlatImage } from "./flat-image.ts";

/** A file that is the disk. A length that is no whole number of sectors reads as if padded with zeros. */
export class RawImage extends FlatImage {
  override readonly format = "raw";
  #sizeBytes: number;

  constructor(file: ByteFile, sectorBytes: 512 | 2048) {
    super(file, sectorBytes);
    this.#sizeBytes = Math.ceil(file.size / sectorBytes) * sectorBytes;
  }
  override get sizeBytes(): number {
    return this.#sizeBytes;
  }
  override facts(): ImageFacts {
    return { file: this.name, format: "raw", virtualBytes: this.#sizeBytes, fileBytes: this.file.size };
  }
  override resize(sizeBytes: number): void {
    if (this.readOnly) throw new VmmError("IMAGE_READ_ONLY", `${this.name}: is open for reading only`);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % 512 !== 0)
      throw new VmmError("IMAGE_SIZE", `${this.name}: ${sizeBytes} is no possible disk size (a multiple of 512)`);
    if (!this.file.resize(sizeBytes) || !this.file.flush()) throw new VmmError("IMAGE_IO", `${this.name}: cannot be resized${because(this.file)}`);
    this.#sizeBytes = sizeBytes;
  }
}

/**
 * True when a write to a disk that was *guessed* to be raw would make it look like another format next time: a guest could so name any file of
 * the host as its backing file. Such writes are refused; whoever states format=raw may have them.
 */
export function disguises(offset: number, from: Uint8Array): boolean {
  return offset === 0 && detectFormat(from.subarray(0, 512), undefined, 0) !== "raw";
}
