import { detectImage } from "../../backends/api/index.ts";
import type { BlockBackend, DiskGeometry, FloppyLayout } from "../../backends/api/index.ts";
import type { BiosDrive } from "../../biosemul/index.ts";
import type { FloppyMedium } from "../../devices/fdc/index.ts";
import { IRQ, PORT } from "../../isa/index.ts";
import type { DriveConfig } from "../config.ts";

/** A drive of this machine: what the BIOS calls it and where it is wired. Mutable only in its medium. */
export interface Drive extends BiosDrive {
  /** IDE: 0 primary master, 1 primary slave, 2 secondary master, 3 secondary slave. Floppies: the unit. Virtio: -1. */
  readonly position: number;
  /** Of the medium in it: changes with the medium. */
  geometry: DiskGeometry;
  /** Of the floppy in it, when its tracks are not what `geometry` says. */
  layout?: FloppyLayout | undefined;
}

/** The two IDE channels at their standard addresses. */
export const IDE_CHANNELS = [
  { base: PORT.IDE1, control: PORT.IDE1_CTL, irq: IRQ.IDE1 },
  { base: PORT.IDE2, control: PORT.IDE2_CTL, irq: IRQ.IDE2 },
] as const;

/** PCI slots of virtio devices start here, behind bridges and display; disks come first. */
export const FIRST_VIRTIO_SLOT = 3;

/**
 * Assigns units, IDE positions and virtio slots: hard disks from the primary master on, CD drives from the secondary master on while there is
 * room. Units count across buses, so that the first disk named is 80h.
 */
export function assignDrives(configs: readonly DriveConfig[]): readonly Drive[] {
  const counts = { floppy: 0, "hard-disk": 0, cdrom: 0 };
  const taken = new Set<number>();
  const disks = configs.filter((c) => c.kind === "hard-disk" && c.bus !== "virtio").length;
  let slot = FIRST_VIRTIO_SLOT;
  const drives: Drive[] = [];
  for (const config of configs) {
    const unit = counts[config.kind]++;
    if (config.kind === "floppy") {
      drives.push(floppyDrive(unit, config.image));
      continue;
    }
    if (config.bus === "virtio") {
      drives.push(virtioDrive(unit, slot++, config.image));
      continue;
    }
    const order = config.kind === "hard-disk" || disks > 2 ? [0, 1, 2, 3] : [2, 3, 1, 0];
    const position = order.find((p) => !taken.has(p)) ?? 3;
    taken.add(position);
    drives.push(ideDrive(config.kind, unit, position, config.image));
  }
  return drives;
}

function floppyDrive(unit: number, image: BlockBackend | undefined): Drive {
  const info = image === undefined ? undefined : detectImage(image, "floppy");
  return {
    kind: "floppy",
    unit,
    position: unit,
    backend: image,
    geometry: info?.geometry ?? { cylinders: 80, heads: 2, sectors: 18 },
    layout: info?.floppyLayout,
    floppyType: info?.floppyType ?? 4,
  };
}

function ideDrive(kind: "hard-disk" | "cdrom", unit: number, position: number, image: BlockBackend | undefined): Drive {
  const channel = position >> 1;
  const wiring = IDE_CHANNELS[channel === 0 ? 0 : 1];
  const geometry = kind === "cdrom" ? NO_GEOMETRY : hardDiskGeometry(image);
  return { kind, unit, position, backend: image, geometry, floppyType: 0, path: { bus: "ide", channel, device: position & 1, ...wiring } };
}

function virtioDrive(unit: number, slot: number, image: BlockBackend | undefined): Drive {
  return { kind: "hard-disk", unit, position: -1, backend: image, geometry: hardDiskGeometry(image), floppyType: 0, virtio: { slot, fn: 0 } };
}

const NO_GEOMETRY: DiskGeometry = { cylinders: 0, heads: 0, sectors: 0 };
const hardDiskGeometry = (image: BlockBackend | undefined): DiskGeometry =>
  image === undefined ? NO_GEOMETRY : detectImage(image, "hard-disk").geometry;

/** Puts a medium into a removable drive, or takes it out; the drive's own type stays what it was. */
export function insertMedium(drive: Drive, image: BlockBackend | undefined): void {
  drive.backend?.flush();
  drive.backend?.close();
  drive.backend = image;
  if (drive.kind !== "floppy" || image === undefined) return;
  const { geometry, floppyLayout } = detectImage(image, "floppy");
  drive.geometry = geometry;
  drive.layout = floppyLayout;
}

/** A floppy drive's medium as the controller sees it. */
export function floppyMedium(drive: Drive): FloppyMedium | undefined {
  return drive.backend === undefined ? undefined : { backend: drive.backend, ...drive.geometry, layout: drive.layout };
}
