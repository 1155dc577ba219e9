import { boundedRegExp } from "../bounded-regexp.ts";
import { UsageError } from "../errors.ts";
import { typedText } from "./typed-text.ts";

export interface TypeRequest {
  /** Undefined: type at once. */
  readonly when: RegExp | undefined;
  readonly text: string;
}

/** Characters of a pattern that a message shows. */
const LONG = 80;

/** `text` or `/text/i`. Lines count for ^ and $. */
export function parseRegex(flag: string, value: string): RegExp {
  const slashed = /^\/(.+)\/([ims]*)$/s.exec(value);
  const source = slashed?.[1] ?? value;
  const flags = new Set(["m"].concat((slashed?.[2] ?? "").split("")));
  if (source === "") throw new UsageError(`${flag}: the pattern is empty`);
  try {
    // V8 compiles at the first look, and only then says that a pattern is too large.
    new RegExp(source, [...flags].join("")).exec("");
    return boundedRegExp(flag, source, [...flags].join(""));
  } catch (error) {
    const why = error instanceof Error ? (error.message.split(": ").at(-1) ?? "") : String(error);
    const hint = source.includes("(?") ? "; flags stand behind slashes: /text/is" : "";
    const shown = value.length > LONG ? `${value.slice(0, LONG)}...` : value;
    throw new UsageError(`${flag} "${shown}": not a regular expression as JavaScript has them (${why})${hint}`);
  }
}

export function parseType(value: string): TypeRequest {
  const arrow = value.indexOf("=>");
  if (arrow < 0) throw new UsageError(`--type "${value}": use 'REGEX=>TEXT', for example --type 'login:=>root\\n'`);
  const pattern = value.slice(0, arrow);
  const text = typedText("--type", value.slice(arrow + 2));
  return { when: pattern === "" ? undefined : parseRegex("--type", pattern), text };
}

export function parseTimeout(value: string): number {
  if (!/^(\d+(\.\d*)?|\.\d+)(e\d+)?s?$/.test(value)) throw new UsageError(`--timeout "${value}": use a number of seconds`);
  const ms = Number(value.replace(/s$/, "")) * 1000;
  if (!(ms > 0) || ms > 2 ** 31 - 1) throw new UsageError(`--timeout "${value}": use a number of seconds between 0 and 2147483`);
  return ms;
}
