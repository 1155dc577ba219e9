import { checkOptions, VmmError } from "../base/index.ts";
import type { NetConfig } from "./net.ts";
import type { BlockBackend, ByteSink, ConsoleBackend, FileTree } from "../backends/api/index.ts";
import type { ImageFormat } from "../backends/formats/index.ts";
import type { TrapStyle } from "../biosemul/index.ts";
import type { KernelRequest } from "../loaders/index.ts";
import { parseBootDevice } from "./boot-device.ts";
import type { BootClass, BootDevice } from "./boot-device.ts";
import { MACHINE_OPTIONS } from "./options/tables.ts";

/** One medium and how it is attached. `image` is owned by the machine: closed when the machine is disposed of. */
export interface DriveConfig {
  readonly kind: "hard-disk" | "floppy" | "cdrom";
  /** Undefined: a drive with no medium in it. */
  readonly image: BlockBackend | undefined;
  /** What the guest's drivers see: an IDE device (default), or a virtio block device on PCI. The BIOS boots from both. */
  readonly bus?: "ide" | "virtio";
  /** Where the image came from, for snapshots: an absolute path, and the format when it was stated. */
  readonly source?: { readonly path: string; readonly format?: ImageFormat };
}

/** Guest time as the count of instructions, or as on the host's wall. */
export type ClockKind = "virtual" | "host";
export type { TrapStyle };

/**
 * Everything that defines a PC, versioned so that saved configurations stay readable. `machineConfig` fills in defaults
 * and checks every value; nothing below it does.
 */
export interface MachineConfig {
  readonly v: 1;
  /** What messages and listings call the machine. */
  readonly name: string;
  /** Guest memory in bytes, a multiple of 1 MiB. */
  readonly memoryBytes: number;
  /** 1..16. They take turns in one thread. */
  readonly cpus: number;
  /** In the order given: the first hard disk is 80h, the first floppy drive A:. */
  readonly drives: readonly DriveConfig[];
  readonly boot: readonly BootDevice[];
  readonly clock: ClockKind;
  /** Virtual clock only: what one guest instruction takes, in whole nanoseconds. */
  readonly nsPerInstruction: number;
  /** Time of day at power-on, milliseconds since 1970 (UTC); the guest's RTC shows it as it stands. */
  readonly rtcMs: number;
  /** How BIOS stubs reach the host: the VMCALL instruction, or OUT to a port (for guests that interpret BIOS code). */
  readonly trapStyle: TrapStyle;
  /** Up to four serial lines, COM1 first; undefined entries are present but not connected. */
  readonly serial: readonly (ConsoleBackend | undefined)[];
  /** Virtio consoles, hvc0 first; undefined entries are present but not connected. Empty: no such device. */
  readonly consoles: readonly (ConsoleBackend | undefined)[];
  /** A virtio entropy source. Under the virtual clock its bytes repeat from run to run. */
  readonly rng: boolean;
  /** Directories of the host that the guest mounts by their tags (9P over virtio). Owned by the machine. */
  readonly shares: readonly { readonly tag: string; readonly tree: FileTree }[];
  /** A virtio network card; undefined: none. What comes by it makes a run differ from the next, under the virtual clock too. */
  readonly net: NetConfig | undefined;
  /** Receives bytes written to port E9h. */
  readonly debugPort: ByteSink | undefined;
  /**
   * Under the virtual clock: how much idle time, in ms, is skipped without input from outside; what a guest idles longer passes as on the wall.
   * For machines that somebody watches, who would find a blanked screen after a minute. Infinity by default; nothing is skipped with a network.
   */
  readonly idleSkipMs: number;
  /** Where a port ends the machine with an exit code, as QEMU's `isa-debug-exit`; undefined: nowhere. */
  readonly isaDebugExit: number | undefined;
  /** QEMU's `pc-testdev`, for guests that are test suites. */
  readonly pcTestdev: boolean;
  /** Receives what the guest prints on LPT1. */
  readonly printer: ByteSink | undefined;
  /** Started after POST instead of a boot sector. */
  readonly kernel: KernelRequest | undefined;
}

/** What the caller of `machineConfig` may leave out. */
export type MachineOptions = Partial<Omit<MachineConfig, "v">>;

const MIB = 1024 * 1024;
/** Below 1 MiB there would be no room for the ROM's copy. */
export const MIN_MEMORY_BYTES = 1 * MIB;
/** RAM lives in one 32-bit WebAssembly memory together with video memory and the CPU's own state. */
export const MAX_MEMORY_BYTES = 3072 * MIB;

export const MAX_CPUS = 16;

/** The drives a PC has room for: two floppy drives, two IDE channels with two devices each. */
const MAX_FLOPPIES = 2;
const MAX_IDE = 4;
const MAX_VIRTIO_DISKS = 16;

/** What is not said: 256 MiB, one CPU, the wall's time, no drive. */
export const DEFAULT_CONFIG: MachineConfig = {
  v: 1,
  name: "whyve",
  memoryBytes: 256 * MIB,
  cpus: 1,
  drives: [],
  boot: ["hd", "cd", "fd"],
  clock: "host",
  nsPerInstruction: 50,
  idleSkipMs: Number.POSITIVE_INFINITY,
  // 2026-01-01 00:00:00: under the virtual clock every run starts at the same moment.
  rtcMs: Date.UTC(2026, 0, 1),
  trapStyle: "vmcall",
  serial: [],
  consoles: [],
  rng: false,
  net: undefined,
  shares: [],
  debugPort: undefined,
  isaDebugExit: undefined,
  pcTestdev: false,
  printer: undefined,
  kernel: undefined,
};

/** Fills in defaults and validates; throws `CONFIG_*` errors with one clear line. */
export function machineConfig(options: MachineOptions): MachineConfig {
  checkOptions("machineConfig()", MACHINE_OPTIONS, options, "CONFIG_OPTIONS");
  const drives = options.drives ?? DEFAULT_CONFIG.drives;
  const clock = options.clock ?? DEFAULT_CONFIG.clock;
  const config = filledIn(options, drives, clock);
  checkSizes(config);
  checkDrives(drives);
  checkBoot(config.boot);
  refuseAbsentBootDevices(options.boot, drives, options.kernel !== undefined);
  checkTime(config);
  checkLines(config);
  return config;
}

function filledIn(options: MachineOptions, drives: readonly DriveConfig[], clock: ClockKind): MachineConfig {
  return {
    v: 1,
    name: options.name ?? DEFAULT_CONFIG.name,
    memoryBytes: options.memoryBytes ?? DEFAULT_CONFIG.memoryBytes,
    cpus: options.cpus ?? DEFAULT_CONFIG.cpus,
    drives,
    boot: options.boot ?? defaultBootOrder(drives),
    clock,
    nsPerInstruction: options.nsPerInstruction ?? DEFAULT_CONFIG.nsPerInstruction,
    idleSkipMs: options.idleSkipMs ?? DEFAULT_CONFIG.idleSkipMs,
    rtcMs: options.rtcMs ?? (clock === "virtual" ? DEFAULT_CONFIG.rtcMs : Date.now()),
    trapStyle: options.trapStyle ?? DEFAULT_CONFIG.trapStyle,
    serial: options.serial ?? DEFAULT_CONFIG.serial,
    consoles: options.consoles ?? DEFAULT_CONFIG.consoles,
    rng: options.rng ?? DEFAULT_CONFIG.rng,
    net: options.net,
    shares: options.shares ?? DEFAULT_CONFIG.shares,
    debugPort: options.debugPort,
    isaDebugExit: options.isaDebugExit,
    pcTestdev: options.pcTestdev ?? DEFAULT_CONFIG.pcTestdev,
    printer: options.printer,
    kernel: options.kernel,
  };
}

function checkSizes({ memoryBytes, cpus }: MachineConfig): void {
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes % MIB !== 0) {
    throw new VmmError("CONFIG_MEMORY", `memory size ${memoryBytes} is not a whole number of MiB`);
  }
  if (memoryBytes < MIN_MEMORY_BYTES || memoryBytes > MAX_MEMORY_BYTES) {
    throw new VmmError("CONFIG_MEMORY", `memory size ${memoryBytes / MIB}M is outside ${MIN_MEMORY_BYTES / MIB}M..${MAX_MEMORY_BYTES / MIB}M`);
  }
  if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS) throw new VmmError("CONFIG_CPUS", `${cpus} CPUs; a machine has 1 to ${MAX_CPUS}`);
}

function checkDrives(drives: readonly DriveConfig[]): void {
  const floppies = drives.filter((d) => d.kind === "floppy").length;
  const virtio = drives.filter((d) => d.bus === "virtio");
  const other = virtio.find((d) => d.kind !== "hard-disk" || d.image === undefined);
  if (other !== undefined)
    throw new VmmError("CONFIG_DRIVES", `a ${other.kind === "cdrom" ? "CD drive" : other.kind} cannot be on virtio: hard disks only`);
  if (virtio.length > MAX_VIRTIO_DISKS) throw new VmmError("CONFIG_DRIVES", `${virtio.length} virtio disks, there is room for ${MAX_VIRTIO_DISKS}`);
  const ide = drives.length - floppies - virtio.length;
  if (floppies > MAX_FLOPPIES) throw new VmmError("CONFIG_DRIVES", `${floppies} floppy drives, a PC has room for ${MAX_FLOPPIES}`);
  if (ide > MAX_IDE) throw new VmmError("CONFIG_DRIVES", `${ide} hard disks and CD drives, the two IDE channels have room for ${MAX_IDE}`);
}

function checkBoot(boot: readonly BootDevice[]): void {
  if (boot.length === 0) throw new VmmError("CONFIG_BOOT", "the boot order is empty");
  if (new Set(boot).size !== boot.length) throw new VmmError("CONFIG_BOOT", `boot order ${boot.join(",")} names a device twice`);
}

function checkTime({ nsPerInstruction, idleSkipMs, rtcMs }: MachineConfig): void {
  if (!Number.isSafeInteger(nsPerInstruction) || nsPerInstruction < 1 || nsPerInstruction > 1000) {
    throw new VmmError("CONFIG_CLOCK", `${nsPerInstruction} ns per instruction is outside 1..1000`);
  }
  if (!(idleSkipMs >= 0)) throw new VmmError("CONFIG_CLOCK", `idleSkipMs ${idleSkipMs}: use milliseconds, 0 or more`);
  if (Number.isNaN(new Date(rtcMs).getTime())) throw new VmmError("CONFIG_RTC", "the start time is not a date");
}

function checkLines({ isaDebugExit, shares, consoles, serial }: MachineConfig): void {
  if (isaDebugExit !== undefined && !(Number.isInteger(isaDebugExit) && isaDebugExit >= 0 && isaDebugExit <= 0xfffc))
    throw new VmmError("CONFIG_TESTDEV", `isaDebugExit ${isaDebugExit} is not a port: use 0 to 0xfffc, such as 0xf4 or 0x501`);
  if (shares.length > 4) throw new VmmError("CONFIG_SHARES", `${shares.length} shared directories, there is room for 4`);
  if (consoles.length > 16) throw new VmmError("CONFIG_SERIAL", `${consoles.length} virtio consoles, the device has room for 16`);
  if (serial.length > 4) throw new VmmError("CONFIG_SERIAL", `${serial.length} serial lines, a PC has four`);
}

const KIND_WORDS = { "hard-disk": "hard disk", floppy: "floppy", cdrom: "CD" } as const satisfies Record<DriveConfig["kind"], string>;

/** An order of which nothing is there can start nothing; one of which something is there may be said once for several machines. */
function refuseAbsentBootDevices(boot: MachineOptions["boot"], drives: readonly DriveConfig[], direct: boolean): void {
  if (boot === undefined || direct || drives.length === 0) return;
  const wanted = boot.flatMap((device) => parseBootDevice(device) ?? []);
  const count = (kind: DriveConfig["kind"]): number => drives.filter((d) => d.kind === kind).length;
  if (wanted.length === 0 || wanted.some(({ kind, unit = 0 }) => unit < count(kind))) return;
  const words = wanted.map(({ kind, unit = 0 }) => (unit === 0 ? KIND_WORDS[kind] : `${KIND_WORDS[kind]} ${unit} (they count from 0)`));
  throw new VmmError("CONFIG_BOOT", `boot order ${boot.join(",")}: no ${words.join(" or ")} is given`);
}

/** Without a stated order, the kind of the first medium named goes first: `whyve run disk.img cd.iso` boots the disk. */
function defaultBootOrder(drives: readonly DriveConfig[]): readonly BootDevice[] {
  const order: BootDevice[] = [];
  for (const drive of drives) {
    const device = BOOT_OF[drive.kind];
    if (drive.image !== undefined && !order.includes(device)) order.push(device);
  }
  for (const device of DEFAULT_CONFIG.boot) if (!order.includes(device)) order.push(device);
  return order;
}

const BOOT_OF = { "hard-disk": "hd", floppy: "fd", cdrom: "cd" } as const satisfies Record<DriveConfig["kind"], BootClass>;
