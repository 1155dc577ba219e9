import * as path from "node:path";
import { UsageError } from "../errors.ts";

const OTHER_PICTURES: readonly string[] = [
  ".jpg",
  ".jpeg",
  ".jpe",
  ".gif",
  ".bmp",
  ".webp",
  ".avif",
  ".tif",
  ".tiff",
  ".ppm",
  ".pnm",
  ".svg",
  ".pdf",
];

/** The file that a screenshot goes to. PNG is what is written, so a name that promises another format is refused. */
export function pictureFile(flag: string, file: string): string {
  const extension = path.extname(file).toLowerCase();
  if (OTHER_PICTURES.includes(extension))
    throw new UsageError(`${flag} ${file}: screenshots are PNG; use ${path.basename(file, path.extname(file))}.png`);
  return file;
}
