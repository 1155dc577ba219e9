import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CR0, CR4, EFER, PAGE_ACCESS, PFEC, PageWalker } from "./index.ts";

/** One way through the tables: an entry a level, from the root down, and the registers it is walked with. */
interface Case {
  readonly mode: "32-bit" | "pae" | "4-level";
  readonly la: number;
  readonly entries: readonly bigint[];
  readonly access: number;
  readonly pse: boolean;
  readonly pge: boolean;
  readonly wp: boolean;
  readonly nxe: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly gbPages: boolean;
}
interface Outcome {
  readonly gpa: bigint;
  readonly error: number;
  readonly global: boolean;
  /** Entries afterwards. */
  readonly entries: readonly bigint[];
}

const SHIFTS = { "32-bit": [22n, 12n], pae: [21n, 12n], "4-level": [39n, 30n, 21n, 12n] } as const;
const bit = (value: bigint, n: number): boolean => ((value >> BigInt(n)) & 1n) === 1n;

/** Bits of an entry that must be zero, as the tables of SDM vol. 3A chapter 4 have them. */
function reservedBits(c: Case, shift: bigint, leaf: boolean): bigint {
  if (c.mode === "32-bit") return leaf && shift === 22n ? 1n << 21n : 0n;
  let bits = 0xfffn << 40n;
  if (!c.nxe) bits |= 1n << 63n;
  if (c.mode === "pae") bits |= 0x7ffn << 52n;
  if (leaf && shift > 12n) bits |= ((1n << shift) - 1n) & ~0x1fffn;
  return bits;
}

/** The manual's rules over bigints, a step a sentence. */
function model(c: Case): Outcome {
  const shifts = SHIFTS[c.mode];
  const write = (c.access & PAGE_ACCESS.WRITE) !== 0;
  const user = (c.access & PAGE_ACCESS.USER) !== 0;
  const fetch = (c.access & PAGE_ACCESS.FETCH) !== 0;
  const pae = c.mode !== "32-bit";
  const fault = (bits: number): Outcome => {
    const executeBit = fetch && ((pae && c.nxe) || c.smep) ? PFEC.I : 0;
    return { gpa: -1n, error: bits | (write ? PFEC.W : 0) | (user ? PFEC.U : 0) | executeBit, global: false, entries: c.entries };
  };
  const used: bigint[] = [];
  for (const [i, shift] of shifts.entries()) {
    const entry = c.entries[i] ?? 0n;
    used.push(entry);
    if (!bit(entry, 0)) return fault(0);
    const sized = bit(entry, 7) && shift > 12n && (pae || c.pse);
    if (sized && (shift === 39n || (shift === 30n && !c.gbPages))) return fault(PFEC.P | PFEC.RSVD);
    const leaf = sized || shift === 12n;
    if ((entry & reservedBits(c, shift, leaf)) !== 0n) return fault(PFEC.P | PFEC.RSVD);
    if (!leaf) continue;
    const userPage = used.every((e) => bit(e, 2));
    const writable = used.every((e) => bit(e, 1));
    const noExecute = pae && used.some((e) => bit(e, 63));
    const smapCloses = c.smap && !user && !fetch && userPage && (c.access & PAGE_ACCESS.AC) === 0;
    const denied =
      (user && !userPage) || (write && !writable && (user || c.wp)) || (fetch && (noExecute || (c.smep && !user && userPage))) || smapCloses;
    if (denied) return fault(PFEC.P);
    const low = (1n << shift) - 1n;
    const frame = pae ? entry & 0xff_ffff_f000n : shift === 22n ? (entry & 0xffc0_0000n) | (((entry >> 13n) & 0xffn) << 32n) : entry & 0xffff_f000n;
    const entries = c.entries.map((e, n) => (n < i ? e | 0x20n : n === i ? e | 0x20n | (write ? 0x40n : 0n) : e));
    return { gpa: (frame & ~low) | (BigInt(c.la) & low), error: 0, global: bit(entry, 8) && c.pge, entries };
  }
  throw new Error("no leaf");
}

/** Tables with the case's entries on the way of its address. Each table has a page of its own, as the entry before it says. */
function walked(c: Case, options: { readonly writes: boolean }): Outcome & { readonly tables: ReadonlyMap<number, number> } {
  const memory = new Map<number, number>();
  const bytes = c.mode === "32-bit" ? 4 : 8;
  const la = BigInt(c.la);
  const places: number[] = [];
  let table = 0x5000n;
  for (const [i, shift] of SHIFTS[c.mode].entries()) {
    const index = (la >> shift) & (bytes === 4 ? 0x3ffn : 0x1ffn);
    const at = Number(table + index * BigInt(bytes));
    const entry = c.entries[i] ?? 0n;
    places.push(at);
    memory.set(at, Number(entry & 0xffffffffn));
    if (bytes === 8) memory.set(at + 4, Number(entry >> 32n));
    table = bytes === 4 ? entry & 0xffff_f000n : entry & 0xff_ffff_f000n;
  }
  const read32 = (gpa: number): number => memory.get(gpa) ?? 0;
  const write32 = (gpa: number, value: number): void => void memory.set(gpa, value >>> 0);
  const walker = new PageWalker(options.writes ? { read32, write32 } : { read32 }, c.gbPages);
  const cr0 = CR0.PG + CR0.PE + (c.wp ? CR0.WP : 0);
  const cr4 = (c.mode === "32-bit" ? 0 : CR4.PAE) | (c.pse ? CR4.PSE : 0) | (c.pge ? CR4.PGE : 0) | (c.smep ? CR4.SMEP : 0) | (c.smap ? CR4.SMAP : 0);
  const efer = (c.mode === "4-level" ? EFER.LMA | EFER.LME : 0) | (c.nxe ? EFER.NXE : 0);
  walker.load(cr0, 0x5000, 0, cr4, efer, [0x5001n, 0x5001n, 0x5001n, 0x5001n]);
  const gpa = walker.walk(c.la, c.access);
  const entries = places.map((at, i) => {
    const whole = bytes === 8 ? (BigInt(read32(at + 4)) << 32n) | BigInt(read32(at)) : BigInt(read32(at));
    return i < c.entries.length ? whole : 0n;
  });
  return { gpa: BigInt(gpa), error: gpa < 0 ? walker.errorCode : 0, global: walker.global, entries, tables: memory };
}

/** Mostly sound entries: present, some right, now and then a bit that must not be there. Every table lies on a page of its own. */
const entry = (mode: Case["mode"], level: number): fc.Arbitrary<bigint> =>
  fc
    .record({
      present: fc.integer({ min: 0, max: 9 }).map((n) => (n === 0 ? 0n : 1n)),
      low: fc.bigInt({ min: 0n, max: 0x3fn }).map((n) => n << 1n),
      size: fc.integer({ min: 0, max: 2 }).map((n) => (n === 0 ? 0x80n : 0n)),
      global: fc.bigInt({ min: 0n, max: 1n }).map((n) => n << 8n),
      inPage: fc.constantFrom(0n, 0n, 0n, 0x1000n, 0x2000n, 0x10000n, 0x20_0000n),
      high: fc.constantFrom(0n, 0n, 0n, 0x12n << 32n, 1n << 40n, 1n << 51n, 1n << 52n, 1n << 62n, 1n << 63n),
    })
    .map(({ present, low, size, global, inPage, high }) => {
      const frame = BigInt(level + 1) * 0x4000_0000n;
      const value = present | low | size | global | inPage | (frame & 0xffff_ffffn) | (mode === "32-bit" ? 0n : high | (frame & ~0xffff_ffffn));
      return mode === "32-bit" ? value & 0xffff_ffffn : value;
    });

const someCase: fc.Arbitrary<Case> = fc.constantFrom<Case["mode"]>("32-bit", "pae", "4-level").chain((mode) =>
  fc.record({
    mode: fc.constant(mode),
    la: mode === "4-level" ? fc.integer({ min: -0x8000_0000_0000, max: 0x7fff_ffff_ffff }) : fc.integer({ min: 0, max: 0xffff_ffff }),
    entries: fc.tuple(...SHIFTS[mode].map((_, level) => entry(mode, level))),
    access: fc.integer({ min: 0, max: 15 }),
    pse: fc.boolean(),
    pge: fc.boolean(),
    wp: fc.boolean(),
    nxe: fc.boolean(),
    smep: fc.boolean(),
    smap: fc.boolean(),
    gbPages: fc.boolean(),
  }),
);

describe("the page walker", () => {
  it("does what the manual says for every entry, right and mode", () => {
    let found = 0;
    fc.assert(
      fc.property(someCase, (c) => {
        const { tables: _, ...result } = walked(c, { writes: true });
        const expected = model(c);
        if (expected.gpa >= 0n) found++;
        expect(result).toEqual(expected);
      }),
      { numRuns: 4000 },
    );
    expect(found).toBeGreaterThan(200);
  });

  it("leaves the tables alone for those who only look, and finds the same", () => {
    fc.assert(
      fc.property(someCase, (c) => {
        const looked = walked(c, { writes: false });
        expect([looked.gpa, looked.error]).toEqual([model(c).gpa, model(c).error]);
        expect(looked.entries).toEqual(c.entries);
      }),
      { numRuns: 1000 },
    );
  });

  it("gives linear addresses back without paging", () => {
    const walker = new PageWalker({ read32: () => 0 });
    walker.load(CR0.PE, 0, 0, CR4.PAE, 0);
    expect(walker.walk(0xfedc_ba98, PAGE_ACCESS.WRITE | PAGE_ACCESS.USER)).toBe(0xfedc_ba98);
  });

  it("reads page-directory pointers from memory where nobody loaded them", () => {
    const memory = new Map([
      [0x1078, 0x2001],
      [0x107c, 0x3],
      [0x3_0000_2000, 0x83],
    ]);
    const walker = new PageWalker({ read32: (gpa) => memory.get(gpa) ?? 0 });
    walker.load(CR0.PG + CR0.PE, 0x1060, 0, CR4.PAE, 0);
    expect(walker.walk(0xc000_1234, 0)).toBe(0x1234);
    expect(walker.walk(0x1234, 0)).toBe(-1);
  });
});
