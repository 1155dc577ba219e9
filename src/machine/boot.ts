import { checkOptions, VmmError } from "../base/index.ts";
import type { FileTree } from "../backends/api/index.ts";
import type { CpuEngine } from "../vmm/index.ts";
import { machineConfig } from "./config.ts";
import type { MachineConfig, MachineOptions } from "./config.ts";
import { readKernelBoot } from "./kernel.ts";
import type { KernelBoot } from "./kernel.ts";
import { openDrives, openMedium, reopenDrives } from "./media.ts";
import type { ImageSource } from "./media.ts";
import { openNet } from "./net.ts";
import type { NetConfig, NetRequest } from "./net.ts";
import { Pc } from "./pc.ts";
import type { Platform } from "./platform.ts";
import { openSnapshot, savedOptions } from "./snapshot/restore.ts";
import type { Restoring } from "./snapshot/restore.ts";
import { VirtualMachine } from "./automation/virtual-machine.ts";
import type { VirtualMachineOptions } from "./automation/options.ts";
import { BOOT_OPTIONS, RUN_OPTIONS } from "./options/tables.ts";

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
  /** Who opens what is named here, and lets time pass. */
  readonly platform: Platform;
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
  checkOptions("boot()", BOOT_OPTIONS, options, "CONFIG_OPTIONS", '{ disk: "freedos.img" }');
  const { platform } = options;
  const restoring = options.restore === undefined ? undefined : await openSnapshot(options.restore, platform);
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
      platform: _platform,
      stopOnReset: _stopOnReset,
      tripleFault: _tripleFault,
      stayWhenHalted: _stayWhenHalted,
      waitTimeoutMs: _waitTimeoutMs,
      keepBiosCalls: _keepBiosCalls,
      ...rest
    } = options;
    for (const source of options.shares ?? []) shares.push({ tag: source.tag, tree: await openShare(source, platform) });
    if (wanted !== undefined) net = await openNet(wanted, platform);
    const saved = restoring === undefined ? {} : savedOptions(restoring, options);
    const direct = kernel === undefined ? {} : { kernel: await readKernelBoot(kernel, platform) };
    vm = new VirtualMachine(
      new Pc(
        machineConfig({ ...rest, ...direct, drives, shares, ...(net === undefined ? {} : { net }), ...saved }),
        await loadEngine(engine ?? "soft"),
        platform,
      ),
      platform,
      options,
      (kind, path) => openMedium(kind, path, options),
    );
    tellWhatDoesNotBoot(vm.pc, options.warn);
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
export function createMachine(config: MachineConfig, engine: CpuEngine, platform: Platform, options: VirtualMachineOptions = {}): VirtualMachine {
  checkOptions("createMachine()", RUN_OPTIONS, options, "CONFIG_OPTIONS", '{ tripleFault: "reset" }');
  return new VirtualMachine(new Pc(config, engine, platform), platform, options, (kind, path) => openMedium(kind, path, { platform }));
}

/** A person in front of the screen sees it there; a program and its log do not. */
function tellWhatDoesNotBoot(pc: Pc, warn: BootOptions["warn"]): void {
  pc.onNothingBoots = (failures) => {
    const named = failures.map(
      ({ kind, unit, why }) => `${pc.drives.find((d) => d.kind === kind && d.unit === unit)?.backend?.name ?? kind}: ${why}`,
    );
    warn?.(`nothing to boot (${named.join("; ")}); the guest waits for a boot disk and a key`);
  };
}

async function loadEngine(engine: "soft" | "soft,jit=on" | CpuEngine): Promise<CpuEngine> {
  if (typeof engine !== "string") return engine;
  const { loadSoftEngine } = await import("../engine/soft/index.ts");
  return loadSoftEngine({ jit: engine === "soft,jit=on" });
}

async function openShare(source: ShareSource, platform: Platform): Promise<FileTree> {
  return "tree" in source ? source.tree : await platform.openDirectory(source.path, source.readOnly ?? false);
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
