import { describeOptions } from "./options.ts";
import { RUN_OPTIONS } from "./run-table.ts";

/** Command lines of `whyve run`, each with what it does. */
export const RUN_EXAMPLES = [
  ["whyve run freedos.img", "draw the screen here; Ctrl-] opens a menu"],
  ["whyve run --cd install.iso --hd disk.img --mem 512M --boot cd", ""],
  ["whyve run disk.img --snapshot-disk --display none --serial stdio", ""],
  ["whyve run dos.img --clock virtual --type 'A:\\\\>=>ver\\n' --until 'FreeDOS' --timeout 60 --dump-screen", ""],
  ["whyve run boot.img --trace bios --timeout 5", ""],
  ["whyve run disk.img --name web --display none", "then: whyve ctl web status"],
  ["whyve run debian.img --net user,hostfwd=tcp:2222-22", "then: ssh -p 2222 127.0.0.1"],
] as const;

/** Exit codes of `whyve run` and `whyve demo`. */
export const RUN_EXIT_CODES = [
  ["0", "the guest powered off, halted for good, or --until matched"],
  ["1", "usage or configuration error"],
  ["2", "the guest crashed, --fail-on matched, or it ended before --until and --type were served"],
  ["3", "--timeout passed"],
  ["4", "internal error"],
  ["130", "interrupted"],
  ["1 to 255", "with --isa-debug-exit: the guest's own, odd ones"],
] as const;

/** `whyve run --help`, `whyve demo --help`. */
export function runHelp(command: "run" | "demo"): string {
  const usage =
    command === "demo"
      ? "whyve demo [options]\n\nBoots the built-in demonstration disk; when not on a terminal it ends by itself and leaves its last page."
      : "whyve run [options] [IMAGE ...]\n\nBoots disk images; floppy, hard disk and CD are told apart by their content.";
  const examples = RUN_EXAMPLES.map(([line, what]) => `  ${what === "" ? line : `${line.padEnd(46)} ${what}`}`).join("\n");
  const codes = RUN_EXIT_CODES.map(([code, what]) => `  ${code.padEnd(9)} ${what}`).join("\n");
  return `${usage}\n\n${describeOptions(RUN_OPTIONS)}\n\nExamples:\n${examples}\n\nExit codes:\n${codes}\n`;
}
