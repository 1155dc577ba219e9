import { VmmError } from "../../base/index.ts";
import { OverlayBlockBackend } from "../../backends/api/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import type { DriveConfig } from "../config.ts";
import type { Drive } from "../board/drives.ts";
import type { SavedDriveV1 } from "./state.ts";

/** The drives with what is in them now. `configs` are in the order of `drives`. */
export function saveDrives(configs: readonly DriveConfig[], drives: readonly Drive[]): readonly SavedDriveV1[] {
  return configs.map((config, i) => {
    const drive = drives[i];
    const image = drive?.backend;
    return {
      kind: config.kind,
      bus: config.bus,
      geometry: drive?.geometry ?? { cylinders: 0, heads: 0, sectors: 0 },
      medium: image === undefined ? undefined : saveMedium(image, image === config.image ? config.source : undefined),
    };
  });
}

function saveMedium(image: BlockBackend, source: DriveConfig["source"]): NonNullable<SavedDriveV1["medium"]> {
  if (!image.flush()) throw new VmmError("SNAPSHOT_DISK", `${image.name}: cannot be flushed; nothing is saved`);
  return {
    path: source?.path ?? image.name,
    format: source?.format,
    sizeBytes: image.sizeBytes,
    sectorBytes: image.sectorBytes,
    readOnly: image.readOnly,
    overlay: image instanceof OverlayBlockBackend,
    identity: image.identity?.(),
    content: image.saveState?.(),
  };
}

/** Refuses a medium that is not the one the guest knows: writing on with a foreign disk would destroy it. */
export function checkMedium(snapshot: string, saved: NonNullable<SavedDriveV1["medium"]>, image: BlockBackend): void {
  if (image.sizeBytes !== saved.sizeBytes)
    throw new VmmError(
      "SNAPSHOT_DISK",
      `${image.name}: has ${image.sizeBytes} bytes, but ${snapshot} was saved with a disk of ${saved.sizeBytes} bytes`,
    );
  const identity = image.identity?.();
  if (saved.identity === undefined || identity === saved.identity) return;
  throw new VmmError(
    "SNAPSHOT_DISK",
    `${image.name}: has changed since ${snapshot} was saved (was: ${saved.identity}; is: ${identity ?? "unknown"}); a snapshot goes on only with the same disk`,
  );
}

/** Puts back what the media held in memory, and the geometries under which the BIOS knows them. */
export function loadDrives(saved: readonly SavedDriveV1[], drives: readonly Drive[]): void {
  for (const [i, drive] of drives.entries()) {
    const record = saved[i];
    if (record === undefined) continue;
    drive.geometry = record.geometry;
    if (record.medium?.content !== undefined) drive.backend?.loadState?.(record.medium.content, `machine.drives[${i}].medium.content`);
  }
}
