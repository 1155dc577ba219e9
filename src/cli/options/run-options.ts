import { existsSync } from "node:fs";
import { isBootDevice, MAX_MEMORY_BYTES, MIN_MEMORY_BYTES } from "../../node/index.ts";
import type { BootDevice, ClockKind, KernelBoot, NetRequest, TrapStyle } from "../../node/index.ts";
import { IMAGE_FORMATS } from "../../backends/formats/image-format.ts";
import type { ImageFormat } from "../../backends/formats/index.ts";
import type { SocketPlace } from "../../backends/node/index.ts";
import { boundedRegExp } from "../bounded-regexp.ts";
import { UsageError } from "../errors.ts";
import { parseNet } from "./net-options.ts";
import { parseImageArgument } from "./image-argument.ts";
import type { ImageSettings } from "./image-argument.ts";
import { parseOptions, suggestion } from "./options.ts";
import type { OptionTable, ParsedOptions } from "./options.ts";
import { pictureFile } from "./picture-file.ts";
import { parseShares } from "./share-option.ts";
import type { ShareRequest } from "./share-option.ts";
import { typedText } from "./typed-text.ts";
import { parseTrace } from "./trace-options.ts";
import type { TraceRequest } from "./trace-options.ts";

/** Flags of `whyve run`. Stable: bhyve's own grammar lives under `whyve bhyve`. */
export const RUN_OPTIONS = {
  hd: {
    value: "FILE[,bus=virtio|ide][,format=FORMAT]",
    multiple: true,
    group: "Media",
    help: "hard disk image (repeatable: 80h, 81h, ...); four drives fit\non ide (default), 16 on virtio; the BIOS boots from both;\nthe format is detected unless stated",
  },
  fd: { value: "FILE[,format=...]", multiple: true, group: "Media", help: "floppy image (repeatable: A:, B:)" },
  cd: { value: "FILE[,format=...]", multiple: true, group: "Media", help: "CD image (ISO 9660)" },
  format: {
    value: "FORMAT",
    group: "Media",
    help: `format of images that state none: raw, qcow2, vhd, vmdk, vdi or vhdx\n(default: detected; vmdk, vdi, vhdx and gz, xz, zst files are only read)`,
  },
  boot: { value: "hd|fd|cd", group: "Media", help: "first boot device, or an order: cd,hd; hd1: the second hard disk (they\ncount from 0)" },
  "snapshot-disk": { group: "Media", help: "keep the guest's writes in memory, never in the image" },
  "read-only": { group: "Media", help: "write-protect every image" },

  mem: { value: "SIZE", group: "Machine", help: "guest memory, for example 64M or 1G (default 256M)" },
  cpus: { value: "N", group: "Machine", help: "number of CPUs, 1 to 16 (default 1)" },
  engine: { value: "soft|auto[,jit=on|off]", group: "Machine", help: "CPU engine (auto: soft); jit: with the translator (kvm: not yet)" },
  clock: {
    value: "host|virtual[,ns=N]",
    group: "Machine",
    help: "host: time passes as on the wall (default)\nvirtual: time is the instruction count (one takes N ns, default 50: a 486),\nidle time is skipped, the same disk and keys give the same run\n(with a person and no script: a minute of it after each key)",
  },
  rtc: {
    value: "TIME",
    group: "Machine",
    help: "clock at power-on: utc, local, or 2026-01-31T12:00:00\n(default: local; under --clock virtual 2026-01-01)",
  },
  "trap-style": { value: "vmcall|port", group: "Machine", help: "how BIOS stubs reach the host (port: for guests that interpret them)" },
  share: {
    value: "DIR[,tag=NAME][,ro]",
    multiple: true,
    group: "Media",
    help: "a directory for the guest: mount -t 9p -o trans=virtio share /mnt\n(tags: share, share2, ...; ro: read-only)",
  },
  rng: { group: "Machine", help: "a virtio entropy source (repeatable bytes under --clock virtual)" },
  "no-reboot": { group: "Machine", help: "a reset by the guest ends the run" },
  name: { value: "NAME", group: "Machine", help: "what messages and whyve ctl call the machine" },
  restore: {
    value: "FILE",
    group: "Machine",
    help: "go on where whyve ctl NAME save FILE was done; disks are looked for\nwhere they were, unless images are given in their order",
  },

  display: {
    value: "terminal|none",
    group: "Screen, keyboard, serial",
    help: "terminal: draw the screen here (default on a terminal; Ctrl-] opens a menu)\nnone: nothing is drawn (web: not yet)",
  },
  serial: {
    value: "stdio|null|file:PATH|unix:PATH|tcp:HOST:PORT",
    multiple: true,
    group: "Screen, keyboard, serial",
    help: "where COM1 goes (repeatable: COM2, ...); unix, tcp: listens there for\none client at a time (socat -,raw,echo=0 UNIX:PATH; nc HOST PORT);\nstdio: Ctrl-] and q end the run, Ctrl-] twice sends it",
  },
  console: {
    value: "stdio|null|file:PATH|unix:PATH|tcp:HOST:PORT",
    multiple: true,
    group: "Screen, keyboard, serial",
    help: "where the virtio console hvc0 goes (repeatable: hvc1, ...)",
  },
  "debug-port": { value: "stdio|file:PATH", group: "Screen, keyboard, serial", help: "where bytes written to port E9h go" },
  "isa-debug-exit": {
    value: "PORT",
    group: "Automation",
    help: "for guests that are tests: OUT to PORT (0xf4, 0x501) ends the run with exit code\n(value << 1) | 1, as QEMU's isa-debug-exit",
  },
  "pc-testdev": { group: "Automation", help: "QEMU's pc-testdev, for kvm-unit-tests and the like" },
  printer: { value: "file:PATH", group: "Screen, keyboard, serial", help: "where LPT1 prints" },

  kernel: { value: "FILE", group: "Direct boot", help: "start this kernel instead of a boot sector: Linux bzImage, multiboot 1 or 2" },
  initrd: {
    value: "FILE",
    multiple: true,
    group: "Direct boot",
    help: "initial ramdisk (several are joined); multiboot: a module, 'FILE ARGUMENTS'",
  },
  append: { value: "TEXT", group: "Direct boot", help: "the kernel's command line" },
  "linux-entry": { value: "16|32|64", group: "Direct boot", help: "Linux boot protocol: real-mode code (default), 32-bit, 64-bit" },

  until: { value: "REGEX", group: "Automation", help: "end with exit code 0 when screen or serial output matches" },
  type: {
    value: "'REGEX=>TEXT'",
    multiple: true,
    group: "Automation",
    help: "when REGEX matches, type TEXT (in order; \\n, \\t, \\e, {F1}, {ctrl-alt-del};\n{{ is a brace; an empty REGEX types at once)",
  },
  "fail-on": { value: "REGEX", multiple: true, group: "Automation", help: "end with exit code 2 when screen or serial output matches" },
  timeout: { value: "SECONDS", group: "Automation", help: "give up after this time: screen text on stderr, exit code 3" },
  screenshot: { value: "FILE.png", group: "Automation", help: "write the screen as PNG at the end" },
  artefacts: {
    value: "DIR",
    group: "Automation",
    help: "when the run fails (exit codes 2 and 3): write screen, picture, serial\noutput, registers and the last BIOS calls into this directory",
  },
  "dump-screen": { group: "Automation", help: "print the text screen at the end" },

  trace: {
    value: "WHAT[=FILE]",
    multiple: true,
    group: "Tracing",
    help: "bios: BIOS calls with results; io: port and device memory accesses;\nexits: VM exits; insn: instructions with changed registers,\ninsn:mode=16,addr=7c00-7dff filters (to stderr without FILE)",
  },

  net: {
    value: "none|user[,...]|tap[,...]",
    group: "Network",
    help: "user: a network of its own with DHCP and DNS, out through this program\n  hostfwd=tcp|udp:[HOSTADDR:]PORT-[GUESTADDR:]PORT (repeatable; HOSTADDR\n  is 127.0.0.1), loopback=on (10.0.2.2 is this computer; off: it cannot be\n  reached), restrict=on (no way out), mac=ADDRESS\ntap: a Linux TAP interface: ifname=tap0, mac=ADDRESS\n(default: none, no network card)",
  },
  help: { short: "h", group: "Help", help: "this page" },
} as const satisfies OptionTable;

export interface MediumRequest {
  /** Undefined: detected from the image. */
  readonly kind: "hard-disk" | "floppy" | "cdrom" | undefined;
  readonly path: string;
  readonly bus?: "ide" | "virtio";
  /** Undefined: detected from the image. */
  readonly format?: ImageFormat;
}

export type SinkRequest = { readonly kind: "stdio" } | { readonly kind: "null" } | { readonly kind: "file"; readonly path: string } | SocketPlace;

export interface TypeRequest {
  /** Undefined: type at once. */
  readonly when: RegExp | undefined;
  readonly text: string;
}

/** A command line of `whyve run`, checked. */
export interface RunRequest {
  readonly media: readonly MediumRequest[];
  readonly boot: readonly BootDevice[] | undefined;
  readonly snapshotDisk: boolean;
  readonly readOnly: boolean;
  readonly memoryBytes: number | undefined;
  readonly cpus: number | undefined;
  readonly engine: EngineRequest;
  readonly clock: ClockKind;
  /** Virtual clock: what an instruction takes. */
  readonly nsPerInstruction: number | undefined;
  readonly rtcMs: number | undefined;
  readonly trapStyle: TrapStyle;
  readonly noReboot: boolean;
  readonly name: string | undefined;
  /** Undefined: terminal when standard output is one. */
  readonly display: "terminal" | "none" | undefined;
  readonly serial: readonly SinkRequest[];
  /** Virtio consoles, hvc0 first. */
  readonly consoles: readonly SinkRequest[];
  readonly rng: boolean;
  readonly isaDebugExit: number | undefined;
  readonly pcTestdev: boolean;
  readonly shares: readonly ShareRequest[];
  readonly debugPort: SinkRequest | undefined;
  readonly printer: SinkRequest | undefined;
  readonly until: RegExp | undefined;
  /** Any of them ends the run as a failure. */
  readonly failOn: readonly RegExp[];
  readonly type: readonly TypeRequest[];
  readonly timeoutMs: number | undefined;
  readonly screenshot: string | undefined;
  /** Where files about a failed run go. */
  readonly artefacts: string | undefined;
  readonly dumpScreen: boolean;
  readonly trace: readonly TraceRequest[];
  /** Undefined: no network card. */
  readonly net: NetRequest | undefined;
  readonly kernel: KernelBoot | undefined;
  /** A snapshot to go on from. */
  readonly restore: string | undefined;
  /** `clock` was given; a snapshot brings its own otherwise. */
  readonly clockStated: boolean;
}

export interface EngineRequest {
  readonly kind: "soft";
  readonly jit: boolean;
}

/** Checks a command line of `whyve run`; throws `UsageError`. "help" when the help page was asked for. */
export function parseRun(argv: readonly string[], options: { readonly needMedia: boolean } = { needMedia: true }): RunRequest | "help" {
  const given = parseOptions(RUN_OPTIONS, argv);
  if (given.has("help")) return "help";
  const media = parseMedia(given);
  const kernel = parseKernel(given);
  const restore = given.value("restore");
  for (const flag of ["restore", "screenshot", "artefacts"]) if (given.value(flag) === "") throw new UsageError(`--${flag}: the file name is empty`);
  if (restore !== undefined) refuseBesideRestore(given);
  if (options.needMedia && media.length === 0 && kernel === undefined && restore === undefined)
    throw new UsageError("no disk image given: whyve run disk.img (see whyve run --help, or try whyve demo)");
  if (!options.needMedia && given.positionals.length > 0) throw new UsageError(`unexpected argument "${given.positionals[0]}"`);
  const { clock, nsPerInstruction } = parseClock(given.value("clock") ?? "host");
  const serial = given.values("serial").map((v) => parseSink("--serial", v));
  if (serial.length > 4) throw new UsageError("--serial is given more than four times; a PC has four serial ports");
  const consoles = given.values("console").map((v) => parseSink("--console", v));
  if (consoles.length > 16) throw new UsageError("--console is given more than 16 times");
  const stdioUsers = [...serial, ...consoles, ...given.values("debug-port").map((v) => parseSink("--debug-port", v))].filter(
    (s) => s.kind === "stdio",
  ).length;
  if (stdioUsers > 1) throw new UsageError("only one of --serial, --console and --debug-port can have stdio");
  const display = oneOf(given, "display", ["terminal", "none", "web"] as const);
  if (display === "web") throw new UsageError("not yet: --display web; use terminal or none");
  const name = given.value("name");
  if (name !== undefined && !/^\w[\w.-]{0,63}$/.test(name))
    throw new UsageError(`--name "${name}": use up to 64 letters, digits, dots, dashes, underscores, a letter or digit first`);
  if (name === "list") throw new UsageError('--name "list": whyve ctl list is a command; use another name');
  return {
    media,
    boot: parseBoot(given.value("boot")),
    snapshotDisk: given.has("snapshot-disk"),
    readOnly: given.has("read-only"),
    memoryBytes: parseSize(given.value("mem")),
    cpus: parseCpus(given.value("cpus")),
    engine: parseEngine(given.value("engine")),
    clock,
    nsPerInstruction,
    rtcMs: parseRtc(given.value("rtc"), clock),
    trapStyle: oneOf(given, "trap-style", ["vmcall", "port"] as const) ?? "vmcall",
    noReboot: given.has("no-reboot"),
    name,
    display,
    serial,
    consoles,
    rng: given.has("rng"),
    isaDebugExit: optional(given.value("isa-debug-exit"), parsePort),
    pcTestdev: given.has("pc-testdev"),
    shares: parseShares(given.values("share")),
    debugPort: optional(given.value("debug-port"), (v) => parseSink("--debug-port", v)),
    printer: optional(given.value("printer"), (v) => parseSink("--printer", v)),
    until: optional(given.value("until"), (v) => parseRegex("--until", v)),
    failOn: given.values("fail-on").map((v) => parseRegex("--fail-on", v)),
    type: given.values("type").map(parseType),
    timeoutMs: optional(given.value("timeout"), parseTimeout),
    screenshot: optional(given.value("screenshot"), (v) => pictureFile("--screenshot", v)),
    artefacts: given.value("artefacts"),
    dumpScreen: given.has("dump-screen"),
    trace: given.values("trace").map(parseTrace),
    net: optional(given.value("net"), parseNet),
    kernel,
    restore,
    clockStated: given.has("clock"),
  };
}

/** What a snapshot has decided already. */
function refuseBesideRestore(given: ParsedOptions): void {
  for (const name of [
    "mem",
    "cpus",
    "boot",
    "rtc",
    "trap-style",
    "kernel",
    "initrd",
    "append",
    "linux-entry",
    "rng",
    "isa-debug-exit",
    "pc-testdev",
    "snapshot-disk",
    "read-only",
  ])
    if (given.has(name)) throw new UsageError(`--${name} cannot be changed by --restore: it is part of the snapshot`);
}

function parseCpus(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const cpus = /^[1-9]\d?$/.test(text) ? Number(text) : 0;
  if (cpus < 1 || cpus > 16) throw new UsageError(`--cpus "${text}": use 1 to 16`);
  return cpus;
}

function parseKernel(given: ParsedOptions): KernelBoot | undefined {
  const kernel = given.value("kernel");
  if (kernel === undefined) {
    const stray = ["initrd", "append", "linux-entry"].find((name) => given.has(name));
    if (stray !== undefined) throw new UsageError(`--${stray} needs --kernel FILE`);
    return undefined;
  }
  if (kernel === "") throw new UsageError("--kernel: the file name is empty");
  const entry = oneOf(given, "linux-entry", ["16", "32", "64"] as const);
  const append = given.value("append");
  return {
    kernel,
    initrd: given.values("initrd"),
    ...(append === undefined ? {} : { append }),
    ...(entry === undefined ? {} : { linuxEntry: entry === "16" ? 16 : entry === "32" ? 32 : 64 }),
  };
}

function optional<T>(value: string | undefined, parse: (value: string) => T): T | undefined {
  return value === undefined ? undefined : parse(value);
}

const MEDIA_FLAGS: Readonly<Record<string, MediumRequest["kind"]>> = { hd: "hard-disk", fd: "floppy", cd: "cdrom" };

const FD_SETTINGS = { format: IMAGE_FORMATS } as const satisfies ImageSettings;
const HD_SETTINGS = { bus: ["virtio", "ide"], format: IMAGE_FORMATS } as const satisfies ImageSettings;

function parseMedia(given: ParsedOptions): readonly MediumRequest[] {
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

function oneOf<T extends string>(given: ParsedOptions, name: string, allowed: readonly T[]): T | undefined {
  const value = given.value(name);
  if (value === undefined) return undefined;
  const found = allowed.find((a) => a === value);
  if (found === undefined) throw new UsageError(`--${name} "${value}": use ${allowed.filter((a) => a !== "web").join(", ")}`);
  return found;
}

function parseBoot(value: string | undefined): readonly BootDevice[] | undefined {
  if (value === undefined) return undefined;
  const order: BootDevice[] = [];
  for (const part of value.split(",")) {
    if (!isBootDevice(part)) throw new UsageError(`--boot "${value}": use hd, fd, cd, one drive such as hd1, or an order such as cd,hd`);
    if (order.includes(part)) throw new UsageError(`--boot "${value}": ${part} is named twice`);
    order.push(part);
  }
  return order;
}

const UNITS: Readonly<Record<string, number>> = { "": 2 ** 20, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };
const MIB = 2 ** 20;

function parseSize(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const match = /^(\d+(?:\.\d{1,3})?)([kmgtp]?)(?:i?b)?$/i.exec(value);
  if (match === null) throw new UsageError(`--mem "${value}": use a size such as 64M or 1G`);
  const bytes = Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? 0);
  if (bytes > MAX_MEMORY_BYTES) throw new UsageError(`--mem "${value}": at most ${MAX_MEMORY_BYTES / MIB}M`);
  if (!Number.isInteger(bytes / MIB)) throw new UsageError(`--mem "${value}": must be a whole number of megabytes`);
  if (bytes < MIN_MEMORY_BYTES) throw new UsageError(`--mem "${value}": at least ${MIN_MEMORY_BYTES / MIB}M`);
  return bytes;
}

function parseEngine(value: string | undefined): EngineRequest {
  const [kind = "auto", ...settings] = (value ?? "auto").split(",");
  if (kind === "kvm") throw new UsageError("not yet: --engine kvm; use soft");
  if (kind !== "soft" && kind !== "auto") throw new UsageError(`--engine "${value}": use soft or auto`);
  let jit = false;
  for (const setting of settings) {
    if (setting === "jit=on") jit = true;
    else if (setting === "jit=off") jit = false;
    else throw new UsageError(`--engine "${value}": unknown setting "${setting}"; use jit=on or jit=off`);
  }
  return { kind: "soft", jit };
}

function parsePort(value: string): number {
  const port = /^(0x[0-9a-f]{1,4}|[0-9a-f]{1,4}h|\d{1,5})$/i.test(value) ? Number(value.replace(/^(.*)h$/i, "0x$1")) : Number.NaN;
  if (!(port <= 0xfffc)) throw new UsageError(`--isa-debug-exit "${value}": use a port such as 0xf4 or 0x501`);
  return port;
}

function parseClock(value: string): { readonly clock: ClockKind; readonly nsPerInstruction: number | undefined } {
  const match = /^(host|virtual)(?:,ns=(\d{1,4}))?$/.exec(value);
  if (match === null) throw new UsageError(`--clock "${value}": use host, virtual, or virtual,ns=N with the nanoseconds an instruction takes`);
  const clock = match[1] === "host" ? "host" : "virtual";
  const ns = match[2] === undefined ? undefined : Number(match[2]);
  if (ns !== undefined && clock === "host") throw new UsageError("--clock host has no ns=N; time passes as on the wall");
  if (ns !== undefined && (ns < 1 || ns > 1000)) throw new UsageError(`--clock "${value}": ns is outside 1..1000`);
  return { clock, nsPerInstruction: ns };
}

function parseRtc(value: string | undefined, clock: ClockKind): number | undefined {
  if (value === undefined) return clock === "virtual" ? undefined : localAsUtc(new Date());
  if (value === "utc") return Date.now();
  if (value === "local") return localAsUtc(new Date());
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?$/.exec(value);
  if (match !== null) {
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map((part) => Number(part ?? 0));
    const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
    if (date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60) return date.getTime();
  }
  throw new UsageError(`--rtc "${value}": use utc, local, or a time such as 2026-01-31T12:00:00`);
}

/** PC operating systems expect local time in the RTC; the machine takes UTC fields as they stand. */
function localAsUtc(now: Date): number {
  return now.getTime() - now.getTimezoneOffset() * 60_000;
}

function parseSink(flag: string, value: string): SinkRequest {
  if (value === "stdio" && flag !== "--printer") return { kind: "stdio" };
  if (value === "null" || value === "none") return { kind: "null" };
  const twoWay = flag === "--serial" || flag === "--console";
  if (value === "pty")
    throw new UsageError(
      `${flag} pty: Node has no pseudo-terminals; use ${twoWay ? "unix:PATH with socat PTY,link=NAME UNIX:PATH" : "stdio or file:PATH"}`,
    );
  if (value.startsWith("file:") && value.length > 5) return { kind: "file", path: value.slice(5) };
  if (twoWay && value.startsWith("unix:") && value.length > 5) return { kind: "unix", path: value.slice(5) };
  if (twoWay && value.startsWith("tcp:")) return parseTcp(flag, value);
  throw new UsageError(`${flag} "${value}": use stdio, null or file:PATH${twoWay ? ", unix:PATH or tcp:HOST:PORT" : ""}`);
}

/** `tcp:HOST:PORT`, `tcp:[::1]:PORT`, `tcp::PORT` (this computer alone). */
function parseTcp(flag: string, value: string): SocketPlace {
  const [, v6, host = v6, port = ""] = /^tcp:(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(value) ?? [];
  if (host === undefined || Number(port) > 65535)
    throw new UsageError(`${flag} "${value}": use tcp:HOST:PORT, for example tcp:127.0.0.1:4555 (port 0: any that is free)`);
  return { kind: "tcp", host: host === "" ? "127.0.0.1" : host, port: Number(port) };
}

/** `text` or `/text/i`. Lines count for ^ and $. */
export function parseRegex(flag: string, value: string): RegExp {
  const slashed = /^\/(.+)\/([ims]*)$/s.exec(value);
  const source = slashed?.[1] ?? value;
  const flags = new Set(["m"].concat((slashed?.[2] ?? "").split("")));
  if (source === "") throw new UsageError(`${flag}: the pattern is empty`);
  try {
    return boundedRegExp(flag, source, [...flags].join(""));
  } catch (error) {
    const why = error instanceof Error ? (error.message.split(": ").at(-1) ?? "") : String(error);
    const hint = source.includes("(?") ? "; flags stand behind slashes: /text/is" : "";
    throw new UsageError(`${flag} "${value}": not a regular expression as JavaScript has them (${why})${hint}`);
  }
}

function parseType(value: string): TypeRequest {
  const arrow = value.indexOf("=>");
  if (arrow < 0) throw new UsageError(`--type "${value}": use 'REGEX=>TEXT', for example --type 'login:=>root\\n'`);
  const pattern = value.slice(0, arrow);
  const text = typedText("--type", value.slice(arrow + 2));
  return { when: pattern === "" ? undefined : parseRegex("--type", pattern), text };
}

function parseTimeout(value: string): number {
  if (!/^(\d+(\.\d*)?|\.\d+)(e\d+)?s?$/.test(value)) throw new UsageError(`--timeout "${value}": use a number of seconds`);
  const ms = Number(value.replace(/s$/, "")) * 1000;
  if (!(ms > 0) || ms > 2 ** 31 - 1) throw new UsageError(`--timeout "${value}": use a number of seconds between 0 and 2147483`);
  return ms;
}
