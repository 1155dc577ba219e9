import { kinds } from "../../base/index.ts";
import type { Kind, OptionTable } from "../../base/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import { IMAGE_FORMATS } from "../../backends/formats/image-format.ts";
import type { HostForward } from "../../backends/net-user/index.ts";
import type { KernelFile, KernelModule } from "../../loaders/index.ts";
import type { BootOptions, ShareSource } from "../boot.ts";
import type { NetConfig, NetRequest } from "../net.ts";
import { parseBootDevice } from "../boot-device.ts";
import type { DriveConfig, MachineOptions } from "../config.ts";
import type { KernelBoot } from "../kernel.ts";
import type { ImageSource } from "../media.ts";
import type { TypeOptions, VirtualMachineOptions, WaitOptions } from "../automation/options.ts";

const { anything, bytes, callback, choice, either, fields, finite, flag, integer, isRecord, kind, list, optional, text, withMethods } = kinds;

const has = (value: unknown, name: string): boolean => isRecord(value) && value[name] !== undefined;

const BUS = choice(["ide", "virtio"]);
const MEDIUM_KIND = choice(["hard-disk", "floppy", "cdrom"]);
const FORMAT = choice(IMAGE_FORMATS);
const BLOCK_BACKEND = withMethods("a BlockBackend", "read", "write", "flush", "close" satisfies keyof BlockBackend);
const CONSOLE = withMethods("a ConsoleBackend", "writeByte");
const NAME = kind("a file name", (v) => typeof v === "string" && v !== "");

type PathImage = Extract<ImageSource, { readonly path: string }>;
type BackendImage = Extract<ImageSource, { readonly backend: BlockBackend }>;
const PATH_IMAGE: OptionTable<PathImage> = { kind: MEDIUM_KIND, path: NAME, bus: BUS, format: FORMAT };
const BACKEND_IMAGE: OptionTable<BackendImage> = { kind: MEDIUM_KIND, backend: BLOCK_BACKEND, bus: BUS };

const MEDIUM_SAYS = "a file name, { path } or { backend }";
const MEDIUM: Kind = either(
  MEDIUM_SAYS,
  (v) => {
    if (typeof v === "string") return NAME;
    if (!isRecord(v)) return undefined;
    return has(v, "backend") ? fields(MEDIUM_SAYS, BACKEND_IMAGE, ["backend"]) : fields(MEDIUM_SAYS, PATH_IMAGE, ["path"]);
  },
  "CONFIG_DRIVES",
);

const DRIVE: OptionTable<DriveConfig> = { kind: MEDIUM_KIND, image: optional(BLOCK_BACKEND), bus: BUS, source: anything };

const KERNEL_FILE: OptionTable<KernelFile> = { name: text(), bytes };
const KERNEL_MODULE: OptionTable<KernelModule> = { name: text(), bytes, commandLine: text() };
const FILE_SAYS = "a file name or { name, bytes }";
const KERNEL: OptionTable<KernelBoot> = {
  kernel: either(FILE_SAYS, (v) => (typeof v === "string" ? NAME : fields(FILE_SAYS, KERNEL_FILE, ["name", "bytes"]))),
  initrd: list(
    `an array such as ["initrd.gz"]`,
    either(FILE_SAYS, (v) => (typeof v === "string" ? NAME : fields(FILE_SAYS, KERNEL_MODULE, ["name", "bytes"]))),
  ),
  append: text(),
  linuxEntry: choice([16, 32, 64]),
};

type UserNet = Extract<NetRequest, { readonly kind: "user" }>;
type TapNet = Extract<NetRequest, { readonly kind: "tap" }>;
const PORT = integer(1, 65535, "a port from 1 to 65535");
const FORWARD: OptionTable<HostForward> = {
  protocol: choice(["tcp", "udp"]),
  hostAddress: text("an address of this computer"),
  hostPort: integer(0, 65535, "a port, or 0 for any that is free"),
  guestIp: integer(0, 2 ** 32 - 1, "an IPv4 address as a number"),
  guestPort: PORT,
};
const MAC = text('six pairs of hex digits such as "52:54:00:12:34:56"');
const USER_NET: OptionTable<UserNet> = {
  kind: anything,
  mac: MAC,
  forwards: list(
    "an array of forwards",
    fields("{ protocol, hostAddress, hostPort, guestIp, guestPort }", FORWARD, ["protocol", "hostAddress", "hostPort", "guestIp", "guestPort"]),
  ),
  loopback: flag,
  restrict: flag,
};
const TAP_NET: OptionTable<TapNet> = { kind: anything, ifname: text(), mac: MAC };
const OWN_NET: OptionTable<NetConfig> = { backend: withMethods("a NetBackend", "send", "ready", "close"), mac: bytes };
const NET_SAYS = '{ kind: "user" }, { kind: "tap" } or { backend, mac }';
const NET: Kind = either(
  NET_SAYS,
  (v) => {
    if (!isRecord(v)) return undefined;
    if (v["kind"] === undefined) return fields(NET_SAYS, OWN_NET, ["backend", "mac"]);
    return v["kind"] === "user" ? fields(NET_SAYS, USER_NET) : v["kind"] === "tap" ? fields(NET_SAYS, TAP_NET) : undefined;
  },
  "CONFIG_NET",
);

type PathShare = Extract<ShareSource, { readonly path: string }>;
type TreeShare = Exclude<ShareSource, PathShare>;
const PATH_SHARE: OptionTable<PathShare> = { tag: text(), path: NAME, readOnly: flag };
const TREE_SHARE: OptionTable<TreeShare> = { tag: text(), tree: withMethods("a FileTree", "close") };
const SHARE_SAYS = "{ tag, path } or { tag, tree }";
const SHARE = either(SHARE_SAYS, (v) => (has(v, "tree") ? fields(SHARE_SAYS, TREE_SHARE, ["tag"]) : fields(SHARE_SAYS, PATH_SHARE, ["tag", "path"])));

const MILLISECONDS = kind("milliseconds, or 0 to wait for ever", (v) => typeof v === "number" && v >= 0, "WAIT_OPTIONS");
const RUN: OptionTable<VirtualMachineOptions> = {
  stopOnReset: flag,
  tripleFault: choice(["stop", "reset"], "CONFIG_TRIPLE_FAULT"),
  stayWhenHalted: flag,
  waitTimeoutMs: MILLISECONDS,
  keepBiosCalls: integer(0, 100_000),
};

/** What a machine is, apart from where its parts come from. */
const PARTS = {
  name: text(),
  memoryBytes: finite("a number of bytes such as 67108864", "CONFIG_MEMORY"),
  cpus: finite("a whole number from 1 to 16", "CONFIG_CPUS"),
  boot: list(
    'an array such as ["cd", "hd"]',
    kind("hd, fd, cd, or one drive such as hd1", (v) => typeof v === "string" && parseBootDevice(v) !== undefined),
    "CONFIG_BOOT",
  ),
  clock: choice(["host", "virtual"], "CONFIG_CLOCK"),
  nsPerInstruction: finite("a whole number of nanoseconds", "CONFIG_CLOCK"),
  idleSkipMs: kind("milliseconds, or Infinity", (v) => typeof v === "number", "CONFIG_CLOCK"),
  rtcMs: kind("milliseconds since 1970", (v) => typeof v === "number", "CONFIG_RTC"),
  trapStyle: choice(["vmcall", "port"], "CONFIG_TRAP_STYLE"),
  serial: list("an array of ConsoleBackends", optional(CONSOLE), "CONFIG_SERIAL"),
  consoles: list("an array of ConsoleBackends", optional(CONSOLE), "CONFIG_SERIAL"),
  rng: flag,
  debugPort: withMethods("an object with writeByte()", "writeByte"),
  isaDebugExit: finite("a port such as 0xf4", "CONFIG_TESTDEV"),
  pcTestdev: flag,
  printer: withMethods("an object with writeByte()", "writeByte"),
} as const;

export const MACHINE_OPTIONS: OptionTable<MachineOptions> = {
  ...PARTS,
  drives: list("an array of drives", fields("{ kind, image }", DRIVE, ["kind"]), "CONFIG_DRIVES"),
  shares: list("an array of { tag, tree }", fields("{ tag, tree }", TREE_SHARE, ["tag", "tree"]), "CONFIG_SHARES"),
  net: fields("{ backend, mac }", OWN_NET, ["backend", "mac"]),
  kernel: anything,
};

export const BOOT_OPTIONS: OptionTable<BootOptions> = {
  ...PARTS,
  ...RUN,
  disk: MEDIUM,
  images: list(`an array such as ["disk.img"]`, MEDIUM, "CONFIG_DRIVES"),
  kernel: fields('{ kernel: "vmlinuz", initrd, append }', KERNEL, ["kernel"]),
  net: NET,
  snapshot: flag,
  readOnly: flag,
  shares: list("an array of { tag, path }", SHARE, "CONFIG_SHARES"),
  engine: either(
    "soft, soft,jit=on or a CpuEngine",
    (v) => (typeof v === "string" ? choice(["soft", "soft,jit=on"]) : withMethods("a CpuEngine", "createVm")),
    "CONFIG_ENGINE",
  ),
  restore: kind("a file name or the bytes of a snapshot", (v) => typeof v === "string" || v instanceof Uint8Array),
  start: flag,
  warn: callback,
  platform: withMethods("a Platform", "openImage", "readFile", "now"),
};

export const RUN_OPTIONS = RUN;

/** Where output is looked for. */
export const PATTERN = kind("a string or a RegExp", (v) => typeof v === "string" || v instanceof RegExp, "WAIT_OPTIONS");
export const WAIT_OPTIONS: OptionTable<WaitOptions> = { timeoutMs: MILLISECONDS, rejectOn: PATTERN, consume: flag };
export const TYPE_OPTIONS: OptionTable<TypeOptions> = { literal: flag };
