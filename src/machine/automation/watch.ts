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
  readonly rejectOn: Pattern | undefined;
  readonly consume: boolean;
  readonly resolve: (match: WatchMatch) => void;
  readonly reject: (error: unknown) => void;
  /** Makes the error of a wait that failed: the screen is part of it, and who waited. */
  readonly failure: Failure;
  readonly limit: { readonly cancel: () => void } | undefined;
}

/** What a wait found, and where. */
export interface WatchMatch {
  /** The matching text and groups, as RegExp.exec gives them; for a string pattern just the string. */
  readonly match: readonly string[];
  /** The name of the source that matched. */
  readonly source: string;
}

/** What to wait for, and how long. */
export interface WaitRequest {
  readonly sources: readonly WatchSource[];
  readonly pattern: Pattern;
  /** Host time; 0 waits for ever. */
  readonly timeoutMs: number;
  /** Ends the wait as a failure when it shows in one of the sources. */
  readonly rejectOn?: Pattern | undefined;
  /** False: the match is left for other waits. */
  readonly consume?: boolean | undefined;
  /** The screen, for messages. */
  readonly describe: () => string;
}

type Failure = (code: "WAIT_TIMEOUT" | "WAIT_REJECTED" | "MACHINE_ENDED", words: string) => VmmError;

/** The screen is looked at this often, in guest time: at fixed instants, so that a run repeats exactly. */
const LOOK_NS = 10_000_000;
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

  waitFor(request: WaitRequest): Promise<WatchMatch> {
    const { sources, pattern, rejectOn, timeoutMs, consume = true } = request;
    const failure = failureOf(pattern, request.describe);
    let now: Found | undefined;
    try {
      refuse(sources, rejectOn, true, failure);
      now = find(sources, pattern, true);
    } catch (error) {
      return Promise.reject(error);
    }
    if (now !== undefined) {
      if (consume) now.consume();
      return Promise.resolve(now.result);
    }
    if (this.#over !== undefined) return Promise.reject(failure("MACHINE_ENDED", `did not appear: ${this.#over}`));
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#watches = this.#watches.filter((w) => w !== watch);
        reject(failure("WAIT_TIMEOUT", `did not appear within ${timeoutMs / 1000} s`));
      };
      const forEver = timeoutMs === 0 || timeoutMs > MAX_TIMEOUT_MS;
      const limit = forEver ? undefined : this.#host.after(timeoutMs, giveUp);
      const watch: Watch = { sources, pattern, rejectOn, consume, resolve, reject, failure, limit };
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
      watch.reject(watch.failure("MACHINE_ENDED", `did not appear: ${why}`));
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
        refuse(watch.sources, watch.rejectOn, false, watch.failure);
        found = find(watch.sources, watch.pattern, false);
      } catch (error) {
        // A pattern with an `exec` of its own may give up, too; that ends its wait, not the machine.
        watch.limit?.cancel();
        watch.reject(error);
        return false;
      }
      if (found === undefined) return true;
      if (watch.consume) consumers.push(found.consume);
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

const show = (pattern: Pattern): string => (typeof pattern === "string" ? JSON.stringify(pattern) : String(pattern));

/** An error that is made later, in a timer, with the stack of who waited. */
function failureOf(pattern: Pattern, describe: () => string): Failure {
  const callers = (new Error("waiting").stack ?? "").split("\n").slice(1).join("\n");
  return (code, words) => {
    const error = new VmmError(code, `${show(pattern)} ${words}${describe()}`);
    error.stack = `${error.name}: ${error.message}\n${callers}`;
    return error;
  };
}

/** What must not show goes before what should: both may have come between two looks. */
function refuse(sources: readonly WatchSource[], rejectOn: Pattern | undefined, all: boolean, failure: Failure): void {
  const bad = rejectOn === undefined ? undefined : find(sources, rejectOn, all);
  if (bad !== undefined)
    throw failure("WAIT_REJECTED", `is not waited for any longer: ${JSON.stringify(bad.result.match[0] ?? "")} is on ${bad.result.source}`);
}
