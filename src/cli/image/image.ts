import * as fs from "node:fs";
import * as path from "node:path";
import { VmmError } from "../../base/index.ts";
import { IMAGE_FORMATS, isWritten, WRITTEN_FORMATS } from "../../backends/formats/image-format.ts";
import type { WrittenFormat } from "../../backends/formats/image-format.ts";
import type { DiskImage, ImageFormat } from "../../backends/formats/index.ts";
import { createFile, lockShared, openDiskImage, openPackedDiskImage } from "../../backends/node/index.ts";
import { EXIT, UsageError } from "../errors.ts";
import { commandSuggestion, describeOptions, parseOptions } from "../options/options.ts";
import type { OptionTable, ParsedOptions } from "../options/options.ts";
import { checkTarget, convertImage, formatFile } from "./convert.ts";
import { Interrupted } from "./progress.ts";
import { describeSize, parseSize } from "./size.ts";

const either = (words: readonly string[]): string => `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

const INPUT_FORMAT = {
  value: "FORMAT",
  short: "f",
  group: "Options",
  help: `format of the image: ${either(IMAGE_FORMATS)}\n(default: detected)`,
} as const;
const FORCE = { group: "Options", help: "replace a file that exists" } as const;
const CLUSTER = { value: "SIZE", group: "Options", help: "qcow2 cluster size, 512 to 2M (default 64K)" } as const;
const FIXED = { group: "Options", help: "VHD of fixed size (default: dynamic)" } as const;
const HELP = { short: "h", group: "Options", help: "this page" } as const;

interface Command {
  readonly usage: string;
  readonly about: string;
  readonly options: OptionTable;
  readonly run: (given: ParsedOptions) => number | Promise<number>;
}

export const IMAGE_COMMANDS: Readonly<Record<string, Command>> = {
  info: {
    usage: "info FILE [--json]",
    about: "Says what an image is: format, sizes, backing file, snapshots.",
    options: { format: INPUT_FORMAT, json: { group: "Options", help: "print JSON" }, help: HELP },
    run: info,
  },
  create: {
    usage: "create [-f FORMAT] [-b BACKING] FILE [SIZE]",
    about: "Makes an empty image; with -b one that stores only what differs from BACKING.",
    options: {
      format: { value: "FORMAT", short: "f", group: "Options", help: "raw, qcow2 or vhd (default: by the file's name, else raw)" },
      backing: { value: "FILE", short: "b", group: "Options", help: "backing file (qcow2); SIZE may be left out then" },
      "backing-format": { value: "FORMAT", short: "F", group: "Options", help: "its format (default: detected, and written down)" },
      "cluster-size": CLUSTER,
      fixed: FIXED,
      force: FORCE,
      help: HELP,
    },
    run: create,
  },
  convert: {
    usage: "convert [-O FORMAT] SOURCE TARGET",
    about: "Copies a disk into a new image of another format; zeros take no room.",
    options: {
      format: INPUT_FORMAT,
      "output-format": { value: "FORMAT", short: "O", group: "Options", help: "raw, qcow2 or vhd (default: by the target's name, else raw)" },
      compress: { short: "c", group: "Options", help: "compress clusters (qcow2)" },
      "cluster-size": CLUSTER,
      fixed: FIXED,
      force: FORCE,
      help: HELP,
    },
    run: convert,
  },
  check: {
    usage: "check FILE [--repair]",
    about: "Looks for contradictions inside an image.\nExit codes: 0 clean, 1 usage, 2 damaged, 3 room is wasted but no data is in danger.",
    options: { format: INPUT_FORMAT, repair: { short: "r", group: "Options", help: "correct the reference counts (qcow2)" }, help: HELP },
    run: check,
  },
  resize: {
    usage: "resize FILE SIZE|+SIZE|-SIZE [--shrink]",
    about: "Changes the size of the disk; partitions and file systems in it stay as they are.",
    options: { format: INPUT_FORMAT, shrink: { group: "Options", help: "allow a smaller size: what lies behind it is lost" }, help: HELP },
    run: resize,
  },
};

const EXAMPLES = `Examples:
  whyve image info disk.qcow2
  whyve image create -f qcow2 disk.qcow2 20G
  whyve image create -f qcow2 -b golden.qcow2 test1.qcow2
  whyve image convert -O qcow2 --compress disk.img disk.qcow2
  whyve image convert disk.vmdk disk.qcow2
  whyve image check disk.qcow2
  whyve image resize disk.qcow2 +5G
`;

function overview(): string {
  const lines = Object.values(IMAGE_COMMANDS).map((c) => `  whyve image ${c.usage}`);
  return `whyve image: disk images in the formats raw, qcow2 and vhd; vmdk, vdi and vhdx are read\n\n${lines.join("\n")}\n\n${EXAMPLES}\nwhyve image COMMAND --help says more.\n`;
}

/** `whyve image ...`. Returns the exit code. */
export async function imageCommand(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    (name === undefined ? process.stderr : process.stdout).write(overview());
    return name === undefined ? EXIT.USAGE : EXIT.OK;
  }
  const command = Object.hasOwn(IMAGE_COMMANDS, name) ? IMAGE_COMMANDS[name] : undefined;
  if (command === undefined)
    throw new UsageError(`unknown command "image ${name}"${commandSuggestion(name, Object.keys(IMAGE_COMMANDS), "whyve image ")}`);
  // "-5G" of resize is no option.
  const protect = rest.map((word) => (name === "resize" && /^-\d/.test(word) ? `\0${word}` : word));
  const given = parseOptions(command.options, protect);
  if (given.has("help")) {
    process.stdout.write(`whyve image ${command.usage}\n\n${command.about}\n\n${describeOptions(command.options)}\n\n${EXAMPLES}`);
    return EXIT.OK;
  }
  try {
    return await command.run(given);
  } catch (error) {
    if (error instanceof Interrupted) {
      warn(`${error.message}; nothing is left behind`);
      return error.exitCode;
    }
    throw error;
  }
}

function formatOf(given: ParsedOptions, option: string): ImageFormat | undefined {
  const text = given.value(option);
  if (text === undefined) return undefined;
  const found = IMAGE_FORMATS.find((f) => f === (text === "vpc" ? "vhd" : text));
  if (found === undefined) throw new UsageError(`format "${text}": use ${either(IMAGE_FORMATS)}`);
  return found;
}

function stated(given: ParsedOptions): { readonly format?: ImageFormat } {
  const format = formatOf(given, "format");
  return format === undefined ? {} : { format };
}

/** Exactly `names.length` arguments, or as many as `least`. */
function words(given: ParsedOptions, names: readonly string[], least = names.length): readonly string[] {
  const { positionals } = given;
  const missing = names[positionals.length];
  if (positionals.length < least && missing !== undefined) throw new UsageError(`${missing} is missing (see --help)`);
  const extra = positionals[names.length];
  if (extra !== undefined) throw new UsageError(`unexpected argument "${extra}"`);
  return positionals;
}

function warn(message: string): void {
  process.stderr.write(`whyve: ${message}\n`);
}

async function info(given: ParsedOptions): Promise<number> {
  const [file = ""] = words(given, ["FILE"]);
  let problem: VmmError | undefined;
  const image = await openPackedDiskImage(file, { readOnly: true, onBackingProblem: (error) => (problem = error), ...stated(given) });
  const facts = {
    ...image.facts(),
    ...(problem === undefined ? {} : { backingProblem: problem.message }),
    diskBytes: fs.statSync(file).blocks * 512,
  };
  image.close();
  if (given.has("json")) {
    process.stdout.write(`${JSON.stringify(facts, undefined, 2)}\n`);
    return EXIT.OK;
  }
  const lines: (readonly [string, string | undefined])[] = [
    ["image", facts.file],
    ["format", facts.variant === undefined ? facts.format : `${facts.format}, ${facts.variant}`],
    ["virtual size", describeSize(facts.virtualBytes)],
    ["file size", describeSize(facts.fileBytes)],
    ["on the disk", describeSize(facts.diskBytes)],
    [
      facts.format === "qcow2" ? "cluster size" : facts.format === "vmdk" ? "grain size" : "block size",
      facts.clusterBytes === undefined ? undefined : describeSize(facts.clusterBytes),
    ],
    ["compression", facts.compression],
    ["backing file", facts.backingFile === undefined ? undefined : `${facts.backingFile} (${facts.backingFormat ?? "format not stated"})`],
    ["backing state", problem === undefined ? undefined : backingState(problem)],
    ["flags", facts.flags?.join(", ")],
  ];
  for (const [name, value] of lines) if (value !== undefined) process.stdout.write(`${`${name}:`.padEnd(15)}${printable(value)}\n`);
  for (const s of facts.snapshots ?? []) process.stdout.write(`${"snapshot:".padEnd(15)}${printable(`${s.id} ${s.name} (${s.time})`)}\n`);
  return EXIT.OK;
}

/** `run` refuses what has such a state; what the image is can be said all the same. */
function backingState(problem: VmmError): string {
  return problem.code === "IMAGE_NOT_FOUND" ? "missing" : `cannot be used: ${problem.message}`;
}

/** Names inside an image are somebody else's: no control characters reach the terminal. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

/** Formats of others by the ends of their names: a raw file under such a name would puzzle whoever opens it next. */
const UNWRITTEN: Readonly<Record<string, string>> = {
  ".vmdk": "VMDK",
  ".vdi": "VDI",
  ".vhdx": "VHDX",
  ".qed": "QED",
  ".hdd": "Parallels",
  ".dmg": "DMG",
  ".vpc": "VHD (.vhd)",
  ".qcow": "qcow version 1",
  ".gz": "compressed",
  ".xz": "compressed",
  ".zst": "compressed",
  ".bz2": "compressed",
};

function targetFormat(given: ParsedOptions, option: string, file: string): WrittenFormat {
  const asked = formatOf(given, option);
  if (asked !== undefined && !isWritten(asked)) throw new UsageError(`format "${asked}": is read here, not written; use ${either(WRITTEN_FORMATS)}`);
  if (asked !== undefined) return asked;
  const extension = path.extname(file).toLowerCase();
  const foreign = UNWRITTEN[extension];
  if (foreign !== undefined)
    throw new UsageError(
      `${file}: ${foreign} images are not written; use a name such as ${path.basename(file, extension)}.qcow2, or say ${option === "format" ? "-f" : "-O"} raw`,
    );
  return extension === ".qcow2" ? "qcow2" : extension === ".vhd" ? "vhd" : "raw";
}

function details(given: ParsedOptions, format: WrittenFormat): { readonly clusterBytes: number | undefined; readonly fixed: boolean } {
  const cluster = given.value("cluster-size");
  if (cluster !== undefined && format !== "qcow2") throw new UsageError("--cluster-size is for qcow2");
  if (given.has("fixed") && format !== "vhd") throw new UsageError("--fixed is for vhd");
  return { clusterBytes: cluster === undefined ? undefined : parseSize("--cluster-size", cluster), fixed: given.has("fixed") };
}

function create(given: ParsedOptions): number {
  const [file = "", size] = words(given, ["FILE", "SIZE"], given.has("backing") ? 1 : 2);
  const format = targetFormat(given, "format", file);
  const backingName = given.value("backing");
  if (size !== undefined) parseSize("SIZE", size);
  const { path: target, lock } = checkTarget(file, given.has("force"));
  try {
    const backing = backingName === undefined ? undefined : describeBacking(given, file, target, backingName, format);
    if (backingName === undefined && given.has("backing-format")) throw new UsageError("-F needs -b");
    const sizeBytes = size === undefined ? (backing?.sizeBytes ?? 0) : parseSize("SIZE", size);
    const made = createFile(target);
    try {
      formatFile(made, { format, sizeBytes, ...details(given, format), ...(backing === undefined ? {} : { backing }) });
    } catch (error) {
      made.abandon();
      throw error;
    }
    made.finish();
  } finally {
    lock?.release();
  }
  return EXIT.OK;
}

/** The backing file of a new image, as its header is to name it. */
function describeBacking(given: ParsedOptions, file: string, target: string, backingName: string, format: ImageFormat): Backing {
  if (format !== "qcow2") throw new UsageError("-b: only qcow2 images have a backing file here; add -f qcow2");
  const backingFormat = formatOf(given, "backing-format");
  if (path.resolve(backingName) === path.resolve(target)) throw new UsageError(`${file}: cannot be its own backing file`);
  const image = openDiskImage(backingName, { readOnly: true, ...(backingFormat === undefined ? {} : { format: backingFormat }) });
  // In the header the name starts from the new image's directory; an absolute name stays one.
  const name = path.isAbsolute(backingName)
    ? backingName
    : path.relative(fs.realpathSync(path.dirname(path.resolve(target))), path.resolve(backingName));
  const found = { file: name, format: image.format, sizeBytes: image.sizeBytes };
  image.close();
  return found;
}

interface Backing {
  readonly file: string;
  readonly format: ImageFormat;
  readonly sizeBytes: number;
}

async function convert(given: ParsedOptions): Promise<number> {
  const [from = "", to = ""] = words(given, ["SOURCE", "TARGET"]);
  const format = targetFormat(given, "output-format", to);
  if (given.has("compress") && format !== "qcow2") throw new UsageError("--compress is for qcow2; add -O qcow2");
  const more = details(given, format);
  const { path: target, lock: targetLock } = checkTarget(to, given.has("force"));
  let source: DiskImage | undefined;
  try {
    source = await openPackedDiskImage(from, { readOnly: true, warn, ...stated(given) });
    // Nobody may write the source meanwhile: the copy would be of no moment.
    const lock = targetLock !== undefined && fs.realpathSync(from) === target ? undefined : lockShared(from);
    try {
      await convertImage(source, target, { format, sizeBytes: source.sizeBytes, ...more }, given.has("compress"));
    } finally {
      lock?.release();
    }
  } finally {
    source?.close();
    targetLock?.release();
  }
  return EXIT.OK;
}

async function check(given: ParsedOptions): Promise<number> {
  const [file = ""] = words(given, ["FILE"]);
  const repair = given.has("repair");
  const image = await openPackedDiskImage(file, { readOnly: !repair, warn, ...stated(given) });
  const lock = repair ? undefined : lockShared(file);
  try {
    let result = image.check();
    if (repair && !isWritten(image.format)) throw new UsageError(`${file}: ${image.format} images are read here, not written`);
    if (repair && (result.errorCount > 0 || result.leakedClusters > 0)) {
      if (image.repair === undefined) throw new VmmError("IMAGE_UNSUPPORTED", `${file}: there is nothing to repair in this format`);
      if (!image.repair()) throw new VmmError("IMAGE_CORRUPT", `${file}: cannot be repaired; qemu-img check -r all may know more`);
      const left = image.check();
      warn(`${file}: repaired ${result.errorCount - left.errorCount} errors and ${result.leakedClusters - left.leakedClusters} leaked clusters`);
      result = left;
    }
    for (const error of result.errors) process.stdout.write(`${printable(error)}\n`);
    const { errorCount, leakedClusters, allocatedClusters, totalClusters } = result;
    if (errorCount > 0)
      process.stdout.write(`${printable(file)}: ${errorCount} errors${leakedClusters > 0 ? `, ${leakedClusters} leaked clusters` : ""}\n`);
    else if (leakedClusters > 0)
      process.stdout.write(`${printable(file)}: ${leakedClusters} leaked clusters; no data is in danger (--repair frees them)\n`);
    else if (totalClusters === 0)
      process.stdout.write(`${printable(file)}: nothing to check: a ${image.facts().variant ?? "raw"} image has no tables\n`);
    else process.stdout.write(`${printable(file)}: no errors; ${allocatedClusters} of ${totalClusters} clusters are allocated\n`);
    return errorCount > 0 ? 2 : leakedClusters > 0 ? 3 : EXIT.OK;
  } finally {
    lock?.release();
    image.close();
  }
}

function resize(given: ParsedOptions): number {
  const [file = "", text = ""] = words(given, ["FILE", "SIZE"]);
  const [, sign = "", number = ""] = /^\0?([+-]?)(.*)$/s.exec(text) ?? [];
  const bytes = parseSize("SIZE", number);
  const image = openDiskImage(file, { warn, ...stated(given) });
  try {
    if (image.readOnly) throw new VmmError("IMAGE_READ_ONLY", `${file}: no permission to write`);
    const size = sign === "+" ? image.sizeBytes + bytes : sign === "-" ? image.sizeBytes - bytes : bytes;
    if (size <= 0) throw new UsageError(`${file}: the disk has only ${image.sizeBytes} bytes`);
    if (size < image.sizeBytes && !given.has("shrink"))
      throw new UsageError(`${file}: ${size} bytes is less than the ${image.sizeBytes} it has; --shrink allows that, and loses what lies behind`);
    image.resize(size);
  } finally {
    image.close();
  }
  return EXIT.OK;
}
