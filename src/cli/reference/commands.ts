import { CTL_COMMANDS } from "../ctl/client.ts";
import { IMAGE_COMMANDS } from "../image/image.ts";
import type { OptionSpec, OptionTable } from "../options/options.ts";
import { RUN_OPTIONS } from "../options/run-table.ts";

/** One command as completion and manual page see it. */
export interface CommandReference {
  /** The words before its options: `run`, `image create`, `ctl NAME save`. */
  readonly words: string;
  readonly about: string;
  readonly options: OptionTable;
}

/** Every command of the program, from the tables that parse them. */
export function commandReference(): readonly CommandReference[] {
  const help = { help: { short: "h", group: "Help", help: "help" } } as const;
  return [
    { words: "run", about: "boot disk images, or a kernel", options: RUN_OPTIONS },
    { words: "demo", about: "boot the built-in demonstration disk", options: RUN_OPTIONS },
    ...Object.entries(IMAGE_COMMANDS).map(([name, { about, options }]) => ({ words: `image ${name}`, about: firstLine(about), options })),
    ...Object.entries(CTL_COMMANDS).map(([name, { options }]) => ({ words: `ctl NAME ${name}`, about: "", options: options ?? {} })),
    { words: "ctl list", about: "list the machines that run under a name", options: CTL_COMMANDS["status"]?.options ?? {} },
    { words: "completion", about: "completion for bash, zsh or fish", options: help },
    { words: "help", about: "the commands", options: {} },
    { words: "version", about: "the version", options: {} },
  ];
}

export const firstLine = (text: string): string => text.split("\n")[0] ?? "";

/** What may stand behind an option: some words, a file, a folder, or anything. */
export function valueKind(spec: OptionSpec): readonly string[] | "file" | "directory" | "any" | "none" {
  if (spec.value === undefined) return "none";
  const words = spec.value.replace(/\[.*$/, "").split("|");
  if (words.every((word) => /^[a-z0-9]+$/.test(word))) return words;
  if (/^DIR/.test(spec.value)) return "directory";
  return /FILE|PATH/.test(spec.value) ? "file" : "any";
}
