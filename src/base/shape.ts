import { VmmError } from "./errors.ts";

/**
 * Reads a value that came from outside (a snapshot's record) as a `T`, or throws `SNAPSHOT_FORMAT` with one line that names the place. What a shape lets
 * through may be loaded: types, ranges and lengths are checked here and nowhere else.
 */
export type Shape<T> = (value: unknown, at: string) => T;
/** What a shape reads. */
export type Shaped<S> = S extends Shape<infer T> ? T : never;

function refuse(value: unknown, at: string, wanted: string): never {
  const is =
    value === undefined
      ? "missing"
      : typeof value === "number"
        ? String(value)
        : Array.isArray(value)
          ? "a list"
          : value === null
            ? "null"
            : `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
  throw new VmmError("SNAPSHOT_FORMAT", `the snapshot is damaged: ${at} is ${is} where ${wanted} belongs`);
}

/** A whole number from `least` to `most`. */
export const int =
  (least: number, most: number): Shape<number> =>
  (value, at) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most
      ? value
      : refuse(value, at, `a whole number from ${least} to ${most}`);

export const byte = int(0, 0xff);
export const word = int(0, 0xffff);
export const dword = int(0, 0xffffffff);
/** A signed 32-bit number, as bit operations leave it, or an unsigned one. */
export const bits32 = int(-0x80000000, 0xffffffff);
/** Ticks, bytes, sectors: whole and not negative. */
export const count = int(0, Number.MAX_SAFE_INTEGER);
/** A moment or a number of ticks; -1 where there is none. */
export const moment = int(-1, Number.MAX_SAFE_INTEGER);
/** Any whole number. */
export const whole = int(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
/** Nanoseconds with a fraction. */
export const real: Shape<number> = (value, at) =>
  typeof value === "number" && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? value : refuse(value, at, "a number");

export const flag: Shape<boolean> = (value, at) => (typeof value === "boolean" ? value : refuse(value, at, "true or false"));

/** A string of at most `most` characters that `pattern` describes. */
export const text =
  (most: number, pattern = /^/): Shape<string> =>
  (value, at) =>
    typeof value === "string" && value.length <= most && pattern.test(value) ? value : refuse(value, at, "other text");

/** An unsigned number of at most `bits` bits in hexadecimal or decimal digits, as a string. */
export const digits = (base: "hex" | "decimal", bits = 64): Shape<string> => {
  const prefix = base === "hex" ? "0x" : "";
  const pattern = base === "hex" ? /^[0-9a-f]{1,32}$/ : /^[0-9]{1,40}$/;
  return (value, at) =>
    typeof value === "string" && pattern.test(value) && BigInt(prefix + value) >> BigInt(bits) === 0n
      ? value
      : refuse(value, at, `a ${bits}-bit number`);
};

/** One of a few words or numbers. */
export const oneOf =
  <const T extends string | number>(...choices: readonly T[]): Shape<T> =>
  (value, at) =>
    choices.find((choice) => choice === value) ?? refuse(value, at, `one of ${choices.join(", ")}`);

/** Bytes: so many, or at most so many. */
export const bytes =
  (most: number, least = most): Shape<Uint8Array> =>
  (value, at) =>
    value instanceof Uint8Array && value.length <= most && value.length >= least
      ? value
      : refuse(value, at, most === least ? `${most} bytes` : `at most ${most} bytes`);

/** A list of one kind: so many, or at most so many. */
export const list =
  <T>(item: Shape<T>, most: number, least = most): Shape<readonly T[]> =>
  (value, at) =>
    Array.isArray(value) && value.length <= most && value.length >= least
      ? value.map((one: unknown, i) => item(one, `${at}[${i}]`))
      : refuse(value, at, most === least ? `a list of ${most}` : `a list of at most ${most}`);

/** Two of different kinds. */
export const pair =
  <A, B>(first: Shape<A>, second: Shape<B>): Shape<readonly [A, B]> =>
  (value, at) =>
    Array.isArray(value) && value.length === 2 ? [first(value[0], `${at}[0]`), second(value[1], `${at}[1]`)] : refuse(value, at, "a pair");

/** Three of different kinds. */
export const triple =
  <A, B, C>(first: Shape<A>, second: Shape<B>, third: Shape<C>): Shape<readonly [A, B, C]> =>
  (value, at) =>
    Array.isArray(value) && value.length === 3
      ? [first(value[0], `${at}[0]`), second(value[1], `${at}[1]`), third(value[2], `${at}[2]`)]
      : refuse(value, at, "three values");

/** What may be missing. */
export const maybe =
  <T>(shape: Shape<T>): Shape<T | undefined> =>
  (value, at) =>
    value === undefined ? undefined : shape(value, at);

/** Read elsewhere, by somebody who knows what it is. */
export const anything: Shape<unknown> = (value) => value;

/** An object with these members; others are ignored. */
export function record<Fields extends Readonly<Record<string, Shape<unknown>>>>(
  fields: Fields,
): Shape<{ readonly [Name in keyof Fields]: Shaped<Fields[Name]> }> {
  const entries = Object.entries(fields);
  return (value, at) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(value, at, "a record");
    const out: Record<string, unknown> = {};
    for (const [name, shape] of entries) out[name] = shape(Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined, `${at}.${name}`);
    // oxlint-disable-next-line no-unsafe-type-assertion -- the loop above reads each member by its own shape
    return out as { readonly [Name in keyof Fields]: Shaped<Fields[Name]> };
  };
}

/** Records that a word in them tells apart. */
export function tagged<Kinds extends Readonly<Record<string, Shape<unknown>>>>(tag: string, kinds: Kinds): Shape<Shaped<Kinds[keyof Kinds]>> {
  const words = Object.keys(kinds);
  return (value, at) => {
    const word = typeof value === "object" && value !== null ? Reflect.get(value, tag) : undefined;
    const shape = words.includes(String(word)) ? kinds[String(word)] : undefined;
    if (shape === undefined) return refuse(word, `${at}.${tag}`, `one of ${words.join(", ")}`);
    // oxlint-disable-next-line no-unsafe-type-assertion -- it is one of the kinds' shapes
    return shape(value, at) as Shaped<Kinds[keyof Kinds]>;
  };
}

/** Text that `guard` accepts. */
export const that =
  <T extends string>(guard: (value: string) => value is T, wanted: string): Shape<T> =>
  (value, at) =>
    typeof value === "string" && guard(value) ? value : refuse(value, at, wanted);

/** An object with any names, at most `most` of them, and one kind of value. */
export const dictionary =
  <T>(item: Shape<T>, most: number): Shape<Readonly<Record<string, T>>> =>
  (value, at) =>
    typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length <= most
      ? Object.fromEntries(Object.entries(value).map(([name, one]: [string, unknown]) => [name, item(one, `${at}.${name}`)]))
      : refuse(value, at, "a record");

/** What may be null. */
export const nullable =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value, at) =>
    value === null ? null : shape(value, at);
