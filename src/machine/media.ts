import { VmmError } from "../base/index.ts";
import type { BlockBackend } from "../backends/api/index.ts";
import { detectImage, OverlayBlockBackend, PaddedBackend } from "../backends/api/index.ts";
import type { ImageFormat } from "../backends/formats/index.ts";
import type { BootOptions } from "./boot.ts";
import type { DriveConfig } from "./config.ts";
import { checkMedium } from "./snapshot/media.ts";
import { savedSource } from "./snapshot/restore.ts";
import type { Restoring } from "./snapshot/restore.ts";

/** A medium: a file name (its kind is detected), or with the kind of drive stated, or an image that is already open. */
export type ImageSource =
  | string
  | { readonly kind?: DriveConfig["kind"]; readonly path: string; readonly bus?: DriveConfig["bus"]; readonly format?: ImageFormat }
  | { readonly kind?: DriveConfig["kind"]; readonly backend: BlockBackend; readonly bus?: DriveConfig["bus"] };

/** The media that were asked for, each in a drive. */
export async function openDrives(options: BootOptions): Promise<readonly DriveConfig[]> {
  const sources = [...(options.disk === undefined ? [] : [options.disk]), ...(options.images ?? [])];
  if (sources.length === 0 && options.kernel === undefined) throw new VmmError("CONFIG_DRIVES", "no disk image given");
  const drives: DriveConfig[] = [];
  try {
    for (const source of sources) drives.push(await openDrive(source, options));
    return drives;
  } catch (error) {
    for (const drive of drives) drive.image?.close();
    throw error;
  }
}

async function openDrive(source: ImageSource, options: BootOptions): Promise<DriveConfig> {
  const asked = typeof source === "string" ? undefined : source.kind;
  const file =
    typeof source === "string"
      ? await openFile(source, asked, undefined, options)
      : "path" in source
        ? await openFile(source.path, asked, source.format, options)
        : source.backend;
  const drive = driveFor(file, asked, options.snapshot ?? false);
  if (typeof source === "string") return { ...drive, source: { path: options.platform.absolutePath(source) } };
  const wired = source.bus === undefined ? drive : { ...drive, bus: source.bus };
  if (!("path" in source)) return wired;
  return {
    ...wired,
    source: { path: options.platform.absolutePath(source.path), ...(source.format === undefined ? {} : { format: source.format }) },
  };
}

/** The drives of a snapshot with the media that were in them. */
export async function reopenDrives(restoring: Restoring, options: BootOptions): Promise<readonly DriveConfig[]> {
  const given = [...(options.disk === undefined ? [] : [options.disk]), ...(options.images ?? [])];
  const drives: DriveConfig[] = [];
  try {
    for (const saved of restoring.state.drives) {
      const { medium } = saved;
      const source = savedSource(saved, medium === undefined ? undefined : given.shift());
      if (source === undefined || medium === undefined) {
        drives.push({ kind: saved.kind, image: undefined });
        continue;
      }
      const drive = await reopenDrive(restoring.name, source, { ...options, snapshot: medium.overlay, readOnly: medium.readOnly });
      drives.push(drive);
      if (drive.image !== undefined) checkMedium(restoring.name, medium, drive.image);
    }
    if (given.length > 0) throw new VmmError("SNAPSHOT_DISK", `${restoring.name}: was saved with fewer images than are given now`);
    return drives;
  } catch (error) {
    for (const drive of drives) drive.image?.close();
    throw error;
  }
}

async function reopenDrive(snapshot: string, source: ImageSource, options: BootOptions): Promise<DriveConfig> {
  try {
    return await openDrive(source, options);
  } catch (cause) {
    if (!(cause instanceof VmmError) || cause.code !== "IMAGE_NOT_FOUND") throw cause;
    throw new VmmError(
      "SNAPSHOT_DISK",
      `${cause.message}, and ${snapshot} was saved with it; give all its images again, in their order, from where they are now`,
      { cause },
    );
  }
}

/** A CD is opened read-only: what is inside decides whether it needs the write lock. */
async function openFile(
  path: string,
  kind: DriveConfig["kind"] | undefined,
  format: ImageFormat | undefined,
  { platform, warn, readOnly = false, snapshot = false }: Pick<BootOptions, "platform" | "readOnly" | "snapshot" | "warn">,
): Promise<BlockBackend> {
  const stated = { ...(format !== undefined && { format }) };
  const open = (readOnly: boolean): Promise<BlockBackend> => platform.openImage(path, { readOnly, ...stated, ...(warn !== undefined && { warn }) });
  if (readOnly || snapshot || kind !== undefined) return await open(readOnly || snapshot || kind === "cdrom");
  const probe = await platform.openImage(path, { readOnly: true, peek: true, ...stated });
  const isCd = detectImage(probe).kind === "cdrom";
  probe.close();
  return await open(isCd);
}

/** A file as a removable drive's medium, under the rules that the machine's other media are under. */
export async function openMedium(
  kind: "floppy" | "cdrom",
  path: string,
  options: Pick<BootOptions, "platform" | "readOnly" | "snapshot" | "warn">,
): Promise<BlockBackend> {
  const file = await openFile(options.platform.absolutePath(path), kind, undefined, options);
  const { image } = driveFor(file, kind, options.snapshot ?? false);
  return image ?? file;
}

/** Puts an image into the drive it belongs to, padded to a whole medium, under an overlay when asked. */
export function driveFor(image: BlockBackend, asked: DriveConfig["kind"] | undefined, snapshot: boolean): DriveConfig {
  const info = detectImage(image, asked);
  let medium = image;
  if (info.kind !== "hard-disk" && info.mediumBytes > image.sizeBytes) medium = new PaddedBackend(medium, info.mediumBytes);
  if (snapshot && info.kind !== "cdrom") medium = new OverlayBlockBackend(medium);
  return { kind: info.kind, image: medium };
}
