import { setFlagsFromString } from "node:v8";
import { createContext, Script } from "node:vm";
import type { Context } from "node:vm";
import { UsageError } from "./errors.ts";

/** A look at the screen that takes longer will not end: nested repetition tries every way to divide the text. */
const LIMIT_MS = 2000;
/** Without any of these a pattern cannot backtrack. */
const REPEATS = /[*+?{]/;
/**
 * V8 goes on with its automaton, in linear time and with the same matches, when a pattern has backtracked 50,000 times; it cannot for look-around and
 * back references. The versions of V8 that are known to have the flag: others would complain of it on standard error.
 */
const LINEAR = "--enable-experimental-regexp-engine-on-excessive-backtracks";
const LINEAR_IN = [11, 12, 13];

const SCRIPT = "look()";
let shared: { readonly context: Context & { look?: () => void }; readonly script: Script } | undefined;

function prepare(): NonNullable<typeof shared> {
  if (LINEAR_IN.includes(Number.parseInt(process.versions.v8, 10))) setFlagsFromString(LINEAR);
  return { context: createContext({}), script: new Script(SCRIPT) };
}

/**
 * A pattern from the command line. JavaScript's engine backtracks, and while it does nothing else happens here: no time-out, no Ctrl-C. Most such patterns
 * are matched in linear time all the same (above); a look of another one is given up after two seconds, which ends the run with a line that says which it was.
 */
class BoundedRegExp extends RegExp {
  readonly #flag: string;
  constructor(flag: string, source: string, flags: string) {
    super(source, flags);
    this.#flag = flag;
  }
  override exec(text: string): RegExpExecArray | null {
    shared ??= prepare();
    let found: RegExpExecArray | null = null;
    shared.context.look = () => void (found = super.exec(text));
    try {
      shared.script.runInContext(shared.context, { timeout: LIMIT_MS });
    } catch (error) {
      // An error of the other context: no instance of our `Error`.
      if (!(typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT")) throw error;
      throw new UsageError(
        `${this.#flag} "${this.source}": no answer within ${LIMIT_MS / 1000} s on ${text.length} characters; repetition inside repetition, such as (a+)+, takes for ever beside look-around and back references: write it without`,
      );
    }
    return found;
  }
}

/** A regular expression that cannot hang this program. Throws `SyntaxError`. */
export function boundedRegExp(flag: string, source: string, flags: string): RegExp {
  return REPEATS.test(source) ? new BoundedRegExp(flag, source, flags) : new RegExp(source, flags);
}
