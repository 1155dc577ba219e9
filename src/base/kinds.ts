import { closest } from "./closest.ts";
import type { ErrorCode } from "./error-codes.ts";
import { VmmError } from "./errors.ts";

/** What a value may be. `where` is its name in messages: "images[0].bus". */
export interface Kind {
  /** What is right, as words behind "use". */
  readonly says: string;
  /** What is wrong, in words; undefined: nothing. */
  problem(value: unknown, where: string): string | undefined;
  /** The code of the error, when it is not the call's. */
  readonly code?: ErrorCode;
}

/** A kind for every option of an interface: one that has none does not compile. */
export type OptionTable<T> = { readonly [K in keyof T]-?: Kind };

/** The arguments of a call, in order: name, kind, value. */
export type Argument = readonly [name: string, kind: Kind, value: unknown];

/**
 * What the types say, for callers without them: throws one line that names the call, the option and what is right, instead of an error from far
 * inside, or none at all.
 */
export function checkOptions<T>(call: string, table: OptionTable<T>, options: unknown, code: ErrorCode, example = "{}"): void {
  if (!isRecord(options)) throw new VmmError(code, `${call} takes an object such as ${example}, not ${show(options)}`);
  const found = firstProblem(table, options, "");
  if (found === undefined) return;
  const [problem, kind] = found;
  throw new VmmError(kind?.code ?? code, `${call}: ${problem}`);
}

/** The same for arguments that have no names at the caller's. */
export function checkArguments(call: string, ...args: readonly Argument[]): void {
  for (const [name, kind, value] of args) {
    const problem = kind.problem(value, name);
    if (problem !== undefined) throw new VmmError(kind.code ?? "API_ARGUMENT", `${call}: ${problem}`);
  }
}

function firstProblem(table: Readonly<Record<string, Kind>>, options: object, where: string): readonly [string, Kind | undefined] | undefined {
  for (const [name, value] of Object.entries(options)) {
    const full = where === "" ? name : `${where}.${name}`;
    const kind = Object.hasOwn(table, name) ? table[name] : undefined;
    if (kind === undefined) return [`there is no option "${full}"${instead(name, Object.keys(table))}`, undefined];
    const problem = value === undefined ? undefined : kind.problem(value, full);
    if (problem !== undefined) return [problem, kind];
  }
  return undefined;
}

/** Few names are all said. */
const FEW = 6;

function instead(wrong: string, known: readonly string[]): string {
  const best = closest(wrong, known);
  if (best !== undefined) return ` (did you mean ${best}?)`;
  return known.length > FEW ? "" : `; there ${known.length === 1 ? "is" : "are"} ${known.join(", ")}`;
}

/** A kind by a test. */
export function kind(says: string, accepts: (value: unknown) => boolean, code?: ErrorCode): Kind {
  return {
    says,
    problem: (value, where) => (accepts(value) ? undefined : `${where} is ${show(value)}; use ${says}`),
    ...(code !== undefined && { code }),
  };
}

export const text = (says = "a string", code?: ErrorCode): Kind => kind(says, (v) => typeof v === "string", code);
export const flag = kind("true or false", (v) => typeof v === "boolean");
export const anything: Kind = { says: "anything", problem: () => undefined };
/** A whole number from `least` to `most`. */
export const integer = (least: number, most: number, says = `a whole number from ${least} to ${most}`, code?: ErrorCode): Kind =>
  kind(says, (v) => typeof v === "number" && Number.isSafeInteger(v) && v >= least && v <= most, code);
export const finite = (says: string, code?: ErrorCode): Kind => kind(says, (v) => typeof v === "number" && Number.isFinite(v), code);
export const bytes = kind("a Uint8Array", (v) => v instanceof Uint8Array);
/** One of a few words. */
export const choice = (words: readonly (string | number)[], code?: ErrorCode): Kind =>
  kind(`${words.slice(0, -1).map(quoted).join(", ")} or ${quoted(words.at(-1))}`, (v) => words.some((word) => word === v), code);
/** An object of the caller's with these methods. */
export const withMethods = (says: string, ...names: readonly string[]): Kind =>
  kind(says, (v) => typeof v === "object" && v !== null && names.every((name) => typeof Reflect.get(v, name) === "function"));
export const callback = kind("a function", (v) => typeof v === "function");

/** A list whose entries are all of a kind. */
export function list(says: string, entry: Kind, code?: ErrorCode): Kind {
  return {
    says,
    ...(code !== undefined && { code }),
    problem(value, where) {
      if (!Array.isArray(value)) return `${where} is ${show(value)}; use ${says}`;
      for (const [i, one] of value.entries()) {
        const problem = entry.problem(one, `${where}[${i}]`);
        if (problem !== undefined) return problem;
      }
      return undefined;
    },
  };
}

/** An object with options of its own; those of `required` must be there. */
export function fields<T>(says: string, table: OptionTable<T>, required: readonly (keyof T & string)[] = []): Kind {
  return {
    says,
    problem(value, where) {
      if (!isRecord(value)) return `${where} is ${show(value)}; use ${says}`;
      const missing = required.find((name) => value[name] === undefined);
      if (missing !== undefined) return `${where} has no "${missing}"; use ${says}`;
      return firstProblem(table, value, where)?.[0];
    },
  };
}

/** One of several kinds, chosen by looking at the value; undefined: none of them. */
export function either(says: string, choose: (value: unknown) => Kind | undefined, code?: ErrorCode): Kind {
  return {
    says,
    ...(code !== undefined && { code }),
    problem(value, where) {
      const chosen = choose(value);
      return chosen === undefined ? `${where} is ${show(value)}; use ${says}` : chosen.problem(value, where);
    },
  };
}

export function optional(inner: Kind): Kind {
  return { ...inner, problem: (value, where) => (value === undefined ? undefined : inner.problem(value, where)) };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const quoted = (word: unknown): string => (typeof word === "string" ? JSON.stringify(word) : String(word));

/** A value in a few words. */
function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "symbol") return "a symbol";
  if (typeof value !== "object" || value === null) return String(value);
  return Array.isArray(value) ? "an array" : "an object";
}
