import type { BootDevice, ClockKind, KernelBoot, NetRequest, TrapStyle } from "../../node/index.ts";
import { UsageError } from "../errors.ts";
import { parseClock, parseCpus, parseEngine, parsePort, parseRtc, parseSize } from "./machine-options.ts";
import type { EngineRequest } from "./machine-options.ts";
import { parseBoot, parseMedia } from "./media-options.ts";
import type { MediumRequest } from "./media-options.ts";
import { parseNet } from "./net-options.ts";
import { parseOptions } from "./options.ts";
import type { ParsedOptions } from "./options.ts";
import { pictureFile } from "./picture-file.ts";
import { RUN_OPTIONS } from "./run-table.ts";
import { parseRegex, parseTimeout, parseType } from "./script-options.ts";
import type { TypeRequest } from "./script-options.ts";
import { parseShares } from "./share-option.ts";
import type { ShareRequest } from "./share-option.ts";
import { parseSink } from "./sink-options.ts";
import type { SinkRequest } from "./sink-options.ts";
import { parseTrace } from "./trace-options.ts";
import type { TraceRequest } from "./trace-options.ts";

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

function oneOf<T extends string>(given: ParsedOptions, name: string, allowed: readonly T[]): T | undefined {
  const value = given.value(name);
  if (value === undefined) return undefined;
  const found = allowed.find((a) => a === value);
  if (found === undefined) throw new UsageError(`--${name} "${value}": use ${allowed.filter((a) => a !== "web").join(", ")}`);
  return found;
}
