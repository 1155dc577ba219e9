import { existsSync } from "node:fs";
import { IMAGE_FORMATS } from "../../backends/formats/image-format.ts";
import type { ImageFormat } from "../../backends/formats/index.ts";
import { isBootDevice } from "../../node/index.ts";
import type { BootDevice } from "../../node/index.ts";
import { UsageError } from "../errors.ts";
import { parseImageArgument } from "./image-argument.ts";
import type { ImageSettings } from "./image-argument.ts";
import { suggestion } from "./options.ts";
import type { ParsedOptions } from "./options.ts";

export interface MediumRequest {
  /** Undefined: detected from the image. */
  readonly kind: "hard-disk" | "floppy" | "cdrom" | undefined;
  readonly path: string;
  readonly bus?: "ide" | "virtio";
  /** Undefined: detected from the image. */
  readonly format?: ImageFormat;
}

const MEDIA_FLAGS: Readonly<Record<string, MediumRequest["kind"]>> = { hd: "hard-disk", fd: "floppy", cd: "cdrom" };

const FD_SETTINGS = { format: IMAGE_FORMATS } as const satisfies ImageSettings;
const HD_SETTINGS = { bus: ["virtio", "ide"], format: IMAGE_FORMATS } as const satisfies ImageSettings;

export function parseMedia(given: ParsedOptions): readonly MediumRequest[] {
  const all = imageFormat(given.value("format"));
  const byDefault = all === undefined ? {} : { format: all };
  const media: MediumRequest[] = given.positionals.map((path) => ({ kind: undefined, path, ...byDefault }));
  for (const { name, value } of given.order) {
    if (!Object.hasOwn(MEDIA_FLAGS, name)) continue;
    const { path, settings } = parseImageArgument(`--${name}`, value, name === "hd" ? HD_SETTINGS : FD_SETTINGS);
    refuseUnknownSetting(`--${name}`, path, name === "hd" ? ["bus", "format"] : ["format"]);
    const bus = settings.get("bus");
    const format = IMAGE_FORMATS.find((f) => f === settings.get("format")) ?? all;
    media.push({ kind: MEDIA_FLAGS[name], path, ...(bus === "virtio" || bus === "ide" ? { bus } : {}), ...(format === undefined ? {} : { format }) });
  }
  for (const { path } of media) if (path === "") throw new UsageError("an image's file name is empty");
  return media;
}

function imageFormat(value: string | undefined): ImageFormat | undefined {
  const found = IMAGE_FORMATS.find((f) => f === value);
  if (value !== undefined && found === undefined)
    throw new UsageError(`--format "${value}": use ${IMAGE_FORMATS.slice(0, -1).join(", ")} or ${IMAGE_FORMATS.at(-1)}`);
  return found;
}

/** `disk.img,bs=virtio` where only disk.img exists: not a file that is missing, but a setting that nobody knows. */
function refuseUnknownSetting(flag: string, path: string, known: readonly string[]): void {
  const [, file = "", setting = ""] = /^(.+),([a-z]+)=[^,]*$/s.exec(path) ?? [];
  if (file === "" || existsSync(path) || !existsSync(file)) return;
  throw new UsageError(
    `${flag} "${path}": ${known.includes(setting) ? `${setting} is given twice` : `${flag} has no setting "${setting}"${known.length === 0 ? "" : suggestion(setting, known, "")}`}`,
  );
}

export function parseBoot(value: string | undefined): readonly BootDevice[] | undefined {
  if (value === undefined) return undefined;
  const order: BootDevice[] = [];
  for (const part of value.split(",")) {
    if (!isBootDevice(part)) throw new UsageError(`--boot "${value}": use hd, fd, cd, one drive such as hd1, or an order such as cd,hd`);
    if (order.includes(part)) throw new UsageError(`--boot "${value}": ${part} is named twice`);
    order.push(part);
  }
  return order;
}
