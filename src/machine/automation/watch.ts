import { VmmError } from "../../base/index.ts";
import type { Clock, Timer } from "../../base/index.ts";
import type { Host } from "../run/host.ts";

/** Where a pattern is looked for. */
export interface WatchSource {
  readonly name: string;
  /** `all`: everything not matched before; else what is enough for a repeated look. */
  text(all: boolean): string;
  /** A match left so many characters after it. */
  consume(charactersAfterMatch: number): void;
}

/** A piece of text or a regular expression. */
export type Pattern = string | RegExp;

interface Watch {
  readonly sources: readonly WatchSource[];
  readonly pattern: Pattern;
  readonly resolve: (match: WatchMatch) => void;
  readonly reject: (error: unknown) => void;
  readonly describe: () => string;
  readonly limit: { readonly cancel: () => void } | undefined;
}

/** What a wait found, and where. */
export interface WatchMatch {
  /** The matching text and groups, as RegExp.exec gives them; for a string pattern just the string. */
  readonly match: readonly string[];
  /** The name of the source that matched. */
  readonly source: string;
}

/** The screen is looked at this often, in guest time: at fixed instants, so that a run repeats exactly. */
const LOOK_NS = 10_000_000;
const DEFAULT_TIMEOUT_MS = 30_000;
/** Timers of the host end at once beyond this: longer waits are for ever. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Runs pending `waitFor`s against the screen and serial lines while there are any. */
export class WatchList {
  readonly #clock: Clock;
  readonly #host: Pick<Host, "after">;
  readonly #timer: Timer;
  readonly #onMatch: () => void;
  #watches: Watch[] = [];
  #over: string | undefined;

  /** `onMatch` runs before the awaiting code does: it holds the guest until that code had its turn. */
  constructor(clock: Clock, host: Pick<Host, "after">, onMatch: () => void) {
    this.#clock = clock;
    this.#host = host;
    this.#onMatch = onMatch;
    this.#timer = clock.createTimer("watch", () => this.#look());
  }

  /** `timeoutMs` is host time; 0 waits for ever. `describe` makes the screen part of the error message. */
  waitFor(sources: readonly WatchSource[], pattern: Pattern, timeoutMs: number | undefined, describe: () => string): Promise<WatchMatch> {
    const limit = timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const wrong = problemOf(pattern, limit);
    if (wrong !== undefined) return Promise.reject(new VmmError("WAIT_OPTIONS", wrong));
    let now: Found | undefined;
    try {
      now = find(sources, pattern, true);
    } catch (error) {
      return Promise.reject(error);
    }
    if (now !== undefined) {
      now.consume();
      return Promise.resolve(now.result);
    }
    if (this.#over !== undefined) return Promise.reject(endedError(pattern, this.#over, describe()));
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#watches = this.#watches.filter((w) => w !== watch);
        reject(new VmmError("WAIT_TIMEOUT", `${show(pattern)} did not appear within ${limit / 1000} s${describe()}`));
      };
      const forEver = limit === 0 || limit > MAX_TIMEOUT_MS;
      const watch: Watch = { sources, pattern, resolve, reject, describe, limit: forEver ? undefined : this.#host.after(limit, giveUp) };
      this.#watches.push(watch);
      if (this.#timer.deadlineNs === undefined) this.#timer.arm(this.#clock.nowNs() + LOOK_NS);
    });
  }

  /** The machine is at its end: a last look, then everything still waiting fails. */
  end(why: string): void {
    this.#over = why;
    this.#timer.cancel();
    this.#check();
    for (const watch of this.#watches.splice(0)) {
      watch.limit?.cancel();
      watch.reject(endedError(watch.pattern, why, watch.describe()));
    }
  }

  /** Looks at the next opportunity instead of the next regular instant. */
  lookSoon(): void {
    if (this.#watches.length > 0) this.#timer.arm(this.#clock.nowNs());
  }

  #look(): void {
    if (this.#check()) this.#onMatch();
    if (this.#watches.length > 0) this.#timer.arm(this.#clock.nowNs() + LOOK_NS);
  }

  #check(): boolean {
    const consumers: (() => void)[] = [];
    this.#watches = this.#watches.filter((watch) => {
      let found: Found | undefined;
      try {
        found = find(watch.sources, watch.pattern, false);
      } catch (error) {
        // A pattern with an `exec` of its own may give up; that ends its wait, not the machine.
        watch.limit?.cancel();
        watch.reject(error);
        return false;
      }
      if (found === undefined) return true;
      consumers.push(found.consume);
      watch.limit?.cancel();
      watch.resolve(found.result);
      return false;
    });
    for (const consume of consumers) consume();
    return consumers.length > 0;
  }
}

interface Found {
  readonly result: WatchMatch;
  readonly consume: () => void;
}

function find(sources: readonly WatchSource[], pattern: Pattern, all: boolean): Found | undefined {
  for (const source of sources) {
    const text = source.text(all);
    const match = typeof pattern === "string" ? findText(text, pattern) : findRegex(text, pattern);
    if (match === undefined) continue;
    return { result: { match: match.groups, source: source.name }, consume: () => source.consume(text.length - match.end) };
  }
  return undefined;
}

function findText(text: string, pattern: string): { readonly groups: readonly string[]; readonly end: number } | undefined {
  const at = text.indexOf(pattern);
  return at < 0 ? undefined : { groups: [pattern], end: at + pattern.length };
}

function findRegex(text: string, pattern: RegExp): { readonly groups: readonly string[]; readonly end: number } | undefined {
  pattern.lastIndex = 0;
  const match = pattern.exec(text);
  return match === null ? undefined : { groups: [...match], end: match.index + match[0].length };
}

/** JavaScript callers have no compiler that looks at what they pass. */
function problemOf(pattern: Pattern, limit: number): string | undefined {
  const wanted: unknown = pattern;
  if (typeof wanted !== "string" && !(wanted instanceof RegExp)) return `wait for a string or a RegExp, not ${String(wanted)}`;
  return limit >= 0 ? undefined : `timeoutMs ${limit}: use milliseconds, or 0 to wait for ever`;
}

const show = (pattern: Pattern): string => (typeof pattern === "string" ? JSON.stringify(pattern) : String(pattern));

function endedError(pattern: Pattern, why: string, screen: string): VmmError {
  return new VmmError("MACHINE_ENDED", `${show(pattern)} did not appear: ${why}${screen}`);
}
