import type { ByteFile } from "./byte-file.ts";
import type { CheckResult, DiskImage, Extent, ImageFacts } from "./disk-image.ts";
import type { ImageFormat } from "./image-format.ts";

/** A disk whose bytes lie in the file in order, from its start. A kind adds what stands behind them. */
export abstract class FlatImage implements DiskImage {
  abstract readonly format: ImageFormat;
  readonly name: string;
  readonly sectorBytes: 512 | 2048;
  readonly readOnly: boolean;
  protected readonly file: ByteFile;

  constructor(file: ByteFile, sectorBytes: 512 | 2048) {
    this.file = file;
    this.name = file.name;
    this.readOnly = file.readOnly;
    this.sectorBytes = sectorBytes;
  }

  abstract get sizeBytes(): number;
  abstract facts(): ImageFacts;
  abstract resize(sizeBytes: number): void;

  read(offset: number, into: Uint8Array): boolean {
    return offset >= 0 && offset + into.length <= this.sizeBytes && this.file.read(offset, into);
  }
  write(offset: number, from: Uint8Array): boolean {
    return !this.readOnly && offset >= 0 && offset + from.length <= this.sizeBytes && this.file.write(offset, from);
  }
  flush(): boolean {
    return this.readOnly || this.file.flush();
  }
  identity(): string {
    return this.file.stamp?.() ?? "";
  }
  close(): void {
    this.flush();
    this.file.close();
  }
  extent(_offset: number, most: number): Extent {
    return { bytes: most, zero: false };
  }
  /** There are no structures that could disagree, and no clusters. */
  check(): CheckResult {
    return { errors: [], errorCount: 0, leakedClusters: 0, allocatedClusters: 0, totalClusters: 0 };
  }
}
