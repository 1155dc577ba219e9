#!/usr/bin/env node
import { EXIT } from "./errors.ts";

const USAGE = `whyve: an x86 PC hypervisor with a built-in BIOS

  whyve run disk.img            boot a disk, floppy or CD image (whyve run --help)
  whyve demo                    boot the built-in demonstration disk
  whyve image info|create|convert|check|resize ...  disk images (whyve image --help)
  whyve dos PROG.EXE            run a DOS program                         (not yet)
  whyve ctl [NAME COMMAND]      list and control running machines (whyve ctl --help)
  whyve bhyve | bhyveload | bhyvectl ...   the bhyve tools' own grammar   (not yet)
  whyve completion bash|zsh|fish   completion for your shell              (whyve completion --help)
  whyve --version, whyve --help

Exit codes: 0 powered off or --until matched, 1 usage, 2 guest crashed, 3 --timeout passed, 4 internal error.
`;

const HAVE_HELP: readonly string[] = ["run", "demo", "image", "ctl", "completion"];

const NOT_YET: Readonly<Record<string, string>> = {
  dos: "running DOS programs directly; boot a DOS floppy with whyve run instead",
  bhyve: "bhyve's command line; use whyve run",
  bhyveload: "bhyveload's command line; use whyve run",
  bhyvectl: "bhyvectl's command line",
};

/** Says one line on standard error. */
function complain(message: string): void {
  process.stderr.write(`whyve: ${message}\n`);
}

/** File names may hold anything; a mistake is one line all the same. */
function oneLine(message: string): string {
  return Array.from(message, (c) => (c < " " || c === "\x7f" ? `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}` : c)).join("");
}

async function main(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  if (command === "run" || command === "demo") {
    const { runCommand } = await import("./run.ts");
    return runCommand(command, rest);
  }
  if (command === "ctl") {
    const { ctlCommand } = await import("./ctl/client.ts");
    return ctlCommand(rest);
  }
  if (command === "image") {
    const { imageCommand } = await import("./image/image.ts");
    return imageCommand(rest);
  }
  if (command === "completion") {
    const { completionCommand } = await import("./reference/completion.ts");
    process.stdout.write(completionCommand(rest));
    return EXIT.OK;
  }
  if (command === "version" || command === "--version" || command === "-V" || command === "-v") {
    const { version } = await import("./version.ts");
    process.stdout.write(`whyve ${version()}\n`);
    return EXIT.OK;
  }
  if (command === "help" && rest[0] !== undefined && HAVE_HELP.includes(rest[0])) return main([rest[0], "--help"]);
  if (command === undefined || command === "help" || command === "--help" || command === "-h") {
    (command === undefined ? process.stderr : process.stdout).write(USAGE);
    return command === undefined ? EXIT.USAGE : EXIT.OK;
  }
  const later = Object.hasOwn(NOT_YET, command) ? NOT_YET[command] : undefined;
  if (later !== undefined) {
    complain(`not yet: ${command} (${later})`);
    return EXIT.USAGE;
  }
  complain(await unknownCommand(command));
  return EXIT.USAGE;
}

async function unknownCommand(command: string): Promise<string> {
  const { closest } = await import("../base/index.ts");
  const known = ["run", "demo", "image", "ctl", "completion", "help", "version", "--help", "--version", ...Object.keys(NOT_YET)];
  const best = closest(command, known);
  if (best !== undefined) return `unknown command "${command}" (did you mean whyve ${best}?)`;
  // `whyve --mem 64M disk.img`: the flags are run's.
  const { RUN_OPTIONS } = await import("./options/run-table.ts");
  const flag = /^--([^=]+)/.exec(command)?.[1] ?? "";
  if (Object.hasOwn(RUN_OPTIONS, flag)) return `--${flag} is an option of whyve run: whyve run ${command} ...`;
  return `unknown command "${command}"; to boot a disk image: whyve run FILE (see whyve --help)`;
}

/** Runs the command line; a mistake is one line on standard error. */
async function run(): Promise<void> {
  // An event loop that runs dry would end this program as if all were well.
  process.once("beforeExit", () => {
    complain("internal error, please report: nothing is left to wait for");
    process.exit(EXIT.INTERNAL);
  });
  let lost: Error | undefined;
  // Without a listener a full disk behind standard output would look like a mistake of ours. A reader that goes away is none.
  process.stdout.on("error", (error) => {
    if (!("code" in error && error.code === "EPIPE")) lost ??= error;
  });
  // Nobody is left who could be told.
  process.stderr.on("error", () => {});
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    const known = error instanceof Error && (error.name === "UsageError" || error.name === "VmmError");
    if (known) complain(oneLine(error.message));
    else complain(`internal error, please report: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    process.exitCode = known ? EXIT.USAGE : EXIT.INTERNAL;
  }
  // A stream tells of its error in a turn of its own.
  await new Promise((resolve) => setImmediate(resolve));
  if (lost !== undefined) {
    const { hostReason } = await import("../backends/node/index.ts");
    complain(`standard output: cannot be written (${hostReason(lost)})`);
    if (process.exitCode === EXIT.OK) process.exitCode = EXIT.USAGE;
  }
  if (process.exitCode === EXIT.HANGUP && process.stdin.isTTY) {
    // Node 20 aborts at its end when it cannot set a terminal that is gone. Everything is put away: the signal may do what it came for.
    process.removeAllListeners("SIGHUP");
    process.kill(process.pid, "SIGHUP");
  }
  // Standard input may still be open: nothing is left to do.
  process.exit();
}

// No top-level await: the bundle of this program is a script (tools/bundle-cli.mjs).
void run();
