import { VmmError } from "../base/index.ts";
import type { BlockBackend, FileTree } from "../backends/api/index.ts";
import { detectImage, OverlayBlockBackend, PaddedBackend } from "../backends/api/index.ts";
import type { ImageFormat } from "../backends/formats/index.ts";
import type { CpuEngine } from "../vmm/index.ts";
import { machineConfig } from "./config.ts";
import type { DriveConfig, MachineConfig, MachineOptions } from "./config.ts";
import { readKernelBoot } from "./kernel.ts";
import type { KernelBoot } from "./kernel.ts";
import type { NetConfig } from "./board/net.ts";
import { openNet } from "./net.ts";
import type { NetRequest } from "./net.ts";
import { definePc } from "./pc.ts";
import { checkMedium } from "./snapshot/media.ts";
import { openSnapshot, savedOptions, savedSource } from "./snapshot/restore.ts";
import type { Restoring } from "./snapshot/restore.ts";
import { VirtualMachine } from "./automation/virtual-machine.ts";
import type { VirtualMachineOptions } from "./automation/virtual-machine.ts";

/** A medium: a file name (its kind is detected), or with the kind of drive stated, or an image that is already open. */
export type ImageSource =
  | string
  | { readonly kind?: DriveConfig["kind"]; readonly path: string; readonly bus?: DriveConfig["bus"]; readonly format?: ImageFormat }
  | { readonly kind?: DriveConfig["kind"]; readonly backend: BlockBackend; readonly bus?: DriveConfig["bus"] };

/** A directory for the guest: a name on this host, or a tree of your own. `tag` is what the guest calls it. */
export type ShareSource =
  | { readonly tag: string; readonly path: string; readonly readOnly?: boolean }
  | { readonly tag: string; readonly tree: FileTree };

/** What `boot()` takes: media, a kernel, the machine's configuration; everything has a default. */
export interface BootOptions extends Omit<MachineOptions, "drives" | "net" | "kernel" | "shares">, VirtualMachineOptions {
  /** Boots a kernel file directly, without a boot loader; disks are optional then. */
  readonly kernel?: KernelBoot;
  /** A network card and where its cable leads; none by default. */
  readonly net?: NetRequest | undefined;
  /** One medium, for the simplest case. */
  readonly disk?: ImageSource;
  /** Media in order: the first hard disk is 80h, the first floppy A:. */
  readonly images?: readonly ImageSource[];
  /** Keep the guest's writes in memory; the image files stay as they are and are opened read-only. Default false. */
  readonly snapshot?: boolean;
  /** The guest sees write-protected media. */
  readonly readOnly?: boolean;
  /** Directories of this host that the guest mounts: `mount -t 9p TAG DIR`. */
  readonly shares?: readonly ShareSource[];
  /** `soft`, `soft,jit=on`, or an engine of your own. */
  readonly engine?: "soft" | "soft,jit=on" | CpuEngine;
  /**
   * Goes on where `vm.save()` was called: a file's name, or the bytes. CPUs, memory and devices come from the snapshot; images are opened where
   * they were, unless given. Serial lines, consoles, network and `clock` are this call's.
   */
  readonly restore?: string | Uint8Array;
  /** False: the machine waits for `vm.start()`. Default true. */
  readonly start?: boolean;
  /** Receives one line for each thing worth knowing (an image opened read-only). */
  readonly warn?: (message: string) => void;
}

/**
 * Makes a PC from disk images and lets it run.
 *
 * ```ts
 * await using vm = await boot({ disk: "freedos.img", snapshot: true, clock: "virtual" });
 * await vm.screen.waitFor("A:\\>");
 * await vm.type("ver\n");
 * await vm.screen.waitFor(/FreeDOS kernel/);
 * ```
 */
export async function boot(options: BootOptions): Promise<VirtualMachine> {
  checkOptions(options);
  const restoring = options.restore === undefined ? undefined : await openSnapshot(options.restore);
  const drives = restoring === undefined ? await openDrives(options) : await reopenDrives(restoring, options);
  const shares: { readonly tag: string; readonly tree: FileTree }[] = [];
  let net: NetConfig | undefined;
  let vm: VirtualMachine;
  try {
    const {
      disk: _disk,
      images: _images,
      snapshot: _snapshot,
      readOnly: _readOnly,
      engine,
      start: _start,
      warn: _warn,
      restore: _restore,
      kernel,
      net: wanted,
      shares: _shares,
      ...rest
    } = options;
    for (const source of options.shares ?? []) shares.push({ tag: source.tag, tree: await openShare(source) });
    if (wanted !== undefined) net = await openNet(wanted);
    const saved = restoring === undefined ? {} : savedOptions(restoring, options);
    const direct = kernel === undefined ? {} : { kernel: await readKernelBoot(kernel) };
    vm = new VirtualMachine(
      definePc(
        machineConfig({ ...rest, ...direct, drives, shares, ...(net === undefined ? {} : { net }), ...saved }),
        await loadEngine(engine ?? "soft"),
      ),
      options,
    );
    if (restoring !== undefined) await loadSnapshot(vm, restoring);
  } catch (error) {
    for (const drive of drives) drive.image?.close();
    for (const { tree } of shares) tree.close();
    net?.backend.close();
    throw error;
  }
  if (options.start !== false) vm.start();
  return vm;
}

/** The same from a complete configuration and an engine, synchronously and not started: tests, other hosts. */
export function createMachine(config: MachineConfig, engine: CpuEngine, options: VirtualMachineOptions = {}): VirtualMachine {
  return new VirtualMachine(definePc(config, engine), options);
}

const ENGINES: readonly unknown[] = [undefined, "soft", "soft,jit=on"];
const TRIPLE_FAULTS: readonly unknown[] = [undefined, "reset", "stop"];
/** What the types say, for callers without them: one line instead of an error from far inside. */
function checkOptions(options: unknown): void {
  if (!isRecord(options)) throw new VmmError("CONFIG_OPTIONS", 'boot() takes an object such as { disk: "freedos.img" }');
  const { disk, images, engine, tripleFault } = options;
  if (!ENGINES.includes(engine) && !(isRecord(engine) && typeof engine["createVm"] === "function"))
    throw new VmmError("CONFIG_ENGINE", `engine "${String(engine)}": use soft or soft,jit=on`);
  if (!TRIPLE_FAULTS.includes(tripleFault)) throw new VmmError("CONFIG_TRIPLE_FAULT", `tripleFault "${String(tripleFault)}": use reset or stop`);
  if (images !== undefined && !Array.isArray(images)) throw new VmmError("CONFIG_DRIVES", "images is not an array");
  for (const source of [...(disk === undefined ? [] : [disk]), ...(Array.isArray(images) ? images : [])]) {
    if (typeof source === "string" || (isRecord(source) && (typeof source["path"] === "string" || isRecord(source["backend"])))) continue;
    throw new VmmError("CONFIG_DRIVES", `a medium is ${typeof source}: use a file name, { path } or { backend }`);
  }
}
function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

async function loadEngine(engine: "soft" | "soft,jit=on" | CpuEngine): Promise<CpuEngine> {
  if (typeof engine !== "string") return engine;
  const { loadSoftEngine } = await import("../engine/soft/index.ts");
  return loadSoftEngine({ jit: engine === "soft,jit=on" });
}

async function openShare(source: ShareSource): Promise<FileTree> {
  if ("tree" in source) return source.tree;
  const { DirectoryTree } = await import("../backends/node/index.ts");
  return new DirectoryTree(source.path, { readOnly: source.readOnly ?? false });
}

async function openDrives(options: BootOptions): Promise<readonly DriveConfig[]> {
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
  if (typeof source === "string") return { ...drive, source: { path: await absolute(source) } };
  const wired = source.bus === undefined ? drive : { ...drive, bus: source.bus };
  if (!("path" in source)) return wired;
  return { ...wired, source: { path: await absolute(source.path), ...(source.format === undefined ? {} : { format: source.format }) } };
}

async function absolute(file: string): Promise<string> {
  const path = await import("node:path");
  return path.resolve(file);
}

/** The drives of a snapshot with the media that were in them. */
async function reopenDrives(restoring: Restoring, options: BootOptions): Promise<readonly DriveConfig[]> {
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
      const drive = await openDrive(source, { ...options, snapshot: medium.overlay, readOnly: medium.readOnly });
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

async function loadSnapshot(vm: VirtualMachine, { name, snapshot, state }: Restoring): Promise<void> {
  try {
    await vm.load(snapshot, state);
  } catch (cause) {
    await vm.dispose();
    if (cause instanceof VmmError)
      throw new VmmError(cause.code, cause.message.startsWith(name) ? cause.message : `${name}: ${cause.message}`, { cause });
    throw new VmmError("SNAPSHOT_FORMAT", `${name}: the snapshot is damaged`, { cause });
  }
}

/** Files are opened by the platform's backend, loaded when the first file name is seen. */
async function openFile(
  path: string,
  kind: DriveConfig["kind"] | undefined,
  format: ImageFormat | undefined,
  options: BootOptions,
): Promise<BlockBackend> {
  const { openImage } = await import("../backends/node/index.ts");
  const readOnly = (options.readOnly ?? false) || (options.snapshot ?? false) || kind === "cdrom";
  const stated = format === undefined ? {} : { format };
  const open = (readOnly: boolean): BlockBackend =>
    openImage(path, { readOnly, ...stated, ...(options.warn === undefined ? {} : { warn: options.warn }) });
  if (readOnly || kind !== undefined) return open(readOnly);
  // What is inside decides whether it needs the write lock: nobody writes to a CD.
  const probe = openImage(path, { readOnly: true, ...stated });
  const isCd = detectImage(probe).kind === "cdrom";
  probe.close();
  return open(isCd);
}

/** Puts an image into the drive it belongs to, padded to a whole medium, under an overlay when asked. */
export function driveFor(image: BlockBackend, asked: DriveConfig["kind"] | undefined, snapshot: boolean): DriveConfig {
  const info = detectImage(image, asked);
  let medium = image;
  if (info.kind !== "hard-disk" && info.mediumBytes > image.sizeBytes) medium = new PaddedBackend(medium, info.mediumBytes);
  if (snapshot && info.kind !== "cdrom") medium = new OverlayBlockBackend(medium);
  return { kind: info.kind, image: medium };
}
