import { MAX_MEMORY_BYTES, MIN_MEMORY_BYTES } from "../../node/index.ts";
import type { ClockKind } from "../../node/index.ts";
import { UsageError } from "../errors.ts";

export interface EngineRequest {
  readonly kind: "soft";
  readonly jit: boolean;
}

export function parseCpus(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const cpus = /^[1-9]\d?$/.test(text) ? Number(text) : 0;
  if (cpus < 1 || cpus > 16) throw new UsageError(`--cpus "${text}": use 1 to 16`);
  return cpus;
}

const UNITS: Readonly<Record<string, number>> = { "": 2 ** 20, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };
const MIB = 2 ** 20;

export function parseSize(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const match = /^(\d+(?:\.\d{1,3})?)([kmgtp]?)(?:i?b)?$/i.exec(value);
  if (match === null) throw new UsageError(`--mem "${value}": use a size such as 64M or 1G`);
  const bytes = Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? 0);
  if (bytes > MAX_MEMORY_BYTES) throw new UsageError(`--mem "${value}": at most ${MAX_MEMORY_BYTES / MIB}M`);
  if (!Number.isInteger(bytes / MIB)) throw new UsageError(`--mem "${value}": must be a whole number of megabytes`);
  if (bytes < MIN_MEMORY_BYTES) throw new UsageError(`--mem "${value}": at least ${MIN_MEMORY_BYTES / MIB}M`);
  return bytes;
}

export function parseEngine(value: string | undefined): EngineRequest {
  const [kind = "auto", ...settings] = (value ?? "auto").split(",");
  if (kind === "kvm") throw new UsageError("not yet: --engine kvm; use soft");
  if (kind !== "soft" && kind !== "auto") throw new UsageError(`--engine "${value}": use soft or auto`);
  let jit = false;
  for (const setting of settings) {
    if (setting === "jit=on") jit = true;
    else if (setting === "jit=off") jit = false;
    else throw new UsageError(`--engine "${value}": unknown setting "${setting}"; use jit=on or jit=off`);
  }
  return { kind: "soft", jit };
}

export function parsePort(value: string): number {
  const port = /^(0x[0-9a-f]{1,4}|[0-9a-f]{1,4}h|\d{1,5})$/i.test(value) ? Number(value.replace(/^(.*)h$/i, "0x$1")) : Number.NaN;
  if (!(port <= 0xfffc)) throw new UsageError(`--isa-debug-exit "${value}": use a port such as 0xf4 or 0x501`);
  return port;
}

export function parseClock(value: string): { readonly clock: ClockKind; readonly nsPerInstruction: number | undefined } {
  const match = /^(host|virtual)(?:,ns=(\d{1,4}))?$/.exec(value);
  if (match === null) throw new UsageError(`--clock "${value}": use host, virtual, or virtual,ns=N with the nanoseconds an instruction takes`);
  const clock = match[1] === "host" ? "host" : "virtual";
  const ns = match[2] === undefined ? undefined : Number(match[2]);
  if (ns !== undefined && clock === "host") throw new UsageError("--clock host has no ns=N; time passes as on the wall");
  if (ns !== undefined && (ns < 1 || ns > 1000)) throw new UsageError(`--clock "${value}": ns is outside 1..1000`);
  return { clock, nsPerInstruction: ns };
}

export function parseRtc(value: string | undefined, clock: ClockKind): number | undefined {
  if (value === undefined) return clock === "virtual" ? undefined : localAsUtc(new Date());
  if (value === "utc") return Date.now();
  if (value === "local") return localAsUtc(new Date());
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?$/.exec(value);
  if (match !== null) {
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map((part) => Number(part ?? 0));
    const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
    if (date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60) return date.getTime();
  }
  throw new UsageError(`--rtc "${value}": use utc, local, or a time such as 2026-01-31T12:00:00`);
}

/** PC operating systems expect local time in the RTC; the machine takes UTC fields as they stand. */
function localAsUtc(now: Date): number {
  return now.getTime() - now.getTimezoneOffset() * 60_000;
}
