import { parseArgs } from "node:util";
import { closest } from "../../base/index.ts";
import { UsageError } from "../errors.ts";

/** One flag of a command. From this table come parsing, the error messages and `--help`. */
export interface OptionSpec {
  /** Name of the value in the help; undefined: a switch without value. */
  readonly value?: string;
  readonly multiple?: true;
  /** One letter: `-O` beside `--output-format`. */
  readonly short?: string;
  readonly help: string;
  /** Heading under which the help lists it. */
  readonly group: string;
}

export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** What was given. `order` keeps flags with values in the order of the command line. */
export interface ParsedOptions {
  readonly positionals: readonly string[];
  readonly order: readonly { readonly name: string; readonly value: string }[];
  has(name: string): boolean;
  /** The last value given. */
  value(name: string): string | undefined;
  values(name: string): readonly string[];
}

/** Parses strictly: unknown flags, missing values and values given to switches are errors that say what to do. */
export function parseOptions(table: OptionTable, argv: readonly string[]): ParsedOptions {
  const options: Record<string, { type: "string" | "boolean"; multiple?: boolean; short?: string }> = {};
  for (const [name, spec] of Object.entries(table)) {
    const type = spec.value === undefined ? "boolean" : "string";
    options[name] = { type, multiple: true, ...(spec.short === undefined ? {} : { short: spec.short }) };
  }
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  const positionals: string[] = [];
  const order: { name: string; value: string }[] = [];
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const spec = table[token.name];
    if (spec === undefined) throw new UsageError(`unknown option ${token.rawName}${suggestion(token.name, Object.keys(table))}`);
    if (spec.value === undefined && token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
    if (spec.value !== undefined && token.value === undefined) throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${spec.value}`);
    if (token.inlineValue === false && isFlag(table, token.value))
      throw new UsageError(`${token.rawName} needs a value before ${token.value} (a value that looks like this: ${token.rawName}=${token.value})`);
    const list = values.get(token.name) ?? [];
    if (list.length > 0 && spec.multiple !== true && spec.value !== undefined) throw new UsageError(`${token.rawName} is given twice`);
    list.push(token.value ?? "");
    values.set(token.name, list);
    order.push({ name: token.name, value: token.value ?? "" });
  }
  return {
    positionals,
    order,
    has: (name) => values.has(name),
    value: (name) => values.get(name)?.at(-1),
    values: (name) => values.get(name) ?? [],
  };
}

/** `--cd` behind `--hd` is the next flag, not a file of that name. */
function isFlag(table: OptionTable, word: string): boolean {
  const name = /^--([^=]+)/.exec(word)?.[1];
  return name !== undefined && Object.hasOwn(table, name);
}

/** ` (did you mean --x?)` when a known name is close, else where to look. */
export function suggestion(wrong: string, known: readonly string[], prefix = "--"): string {
  const best = closest(wrong, known);
  return best === undefined ? " (see --help)" : ` (did you mean ${prefix}${best}?)`;
}

/** The same for commands, which are few enough to be named when none is close. */
export function commandSuggestion(wrong: string, known: readonly string[], prefix: string): string {
  const best = closest(wrong, known);
  return best === undefined ? `; use ${known.slice(0, -1).join(", ")} or ${known.at(-1)}` : ` (did you mean ${prefix}${best}?)`;
}

/** Options under the headings that help lists them under, in order. */
export function groupOptions(table: OptionTable): ReadonlyMap<string, readonly (readonly [string, OptionSpec])[]> {
  const groups = new Map<string, (readonly [string, OptionSpec])[]>();
  for (const entry of Object.entries(table)) {
    const list = groups.get(entry[1].group) ?? [];
    list.push(entry);
    groups.set(entry[1].group, list);
  }
  return groups;
}

/** The option part of a help page. */
export function describeOptions(table: OptionTable): string {
  const describe = ([name, spec]: readonly [string, OptionSpec]): readonly string[] => {
    const left = `  ${spec.short === undefined ? "" : `-${spec.short}, `}--${name}${spec.value === undefined ? "" : ` ${spec.value}`}`;
    const [first = "", ...rest] = spec.help.split("\n");
    const lines = left.length < 26 ? [left.padEnd(26) + first] : [left, " ".repeat(26) + first];
    return [...lines, ...rest.map((line) => " ".repeat(26) + line)];
  };
  return [...groupOptions(table)].map(([heading, entries]) => `${heading}:\n${entries.flatMap(describe).join("\n")}`).join("\n\n");
}
