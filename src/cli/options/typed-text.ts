import { parseTyped, VmmError } from "../../node/index.ts";
import { UsageError } from "../errors.ts";

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", e: "\x1b", "0": "\0" };

/**
 * Text to type as it stands on a command line, in the language of `vm.type`: a shell has no way to write control characters, so that `\n`, `\t`,
 * `\e`, `\x41` are understood; a backslash before any other sign is that sign. Keys that do not exist are refused here, before anything runs.
 */
export function typedText(flag: string, value: string): string {
  const text = value.replace(/\\(x[0-9a-fA-F]{2}|[\s\S]|$)/gu, (_, code: string) => {
    const known = code.length === 3 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : ESCAPES[code];
    if (known === undefined && /^[A-Za-z0-9]?$/.test(code))
      throw new UsageError(`${flag} "${value}": unknown escape \\${code}; use \\n, \\r, \\t, \\b, \\e, \\0, \\x41, and \\\\ for a backslash`);
    const char = known ?? code;
    return char === "{" ? "{{" : char;
  });
  try {
    parseTyped(text);
  } catch (error) {
    if (error instanceof VmmError) throw new UsageError(`${flag} ${error.message}`);
    throw error;
  }
  return text;
}
