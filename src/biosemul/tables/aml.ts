/** A small emitter of ACPI Machine Language. Source: ACPI Specification 5.0, chapter 20. Every function gives encoded bytes. */
export type Aml = readonly number[];

/** Joins pieces; a table is built at every power-on, so by whole arrays. */
const flat = (parts: readonly Aml[]): number[] => new Array<number>().concat(...parts);

/** PkgLength for `size` bytes that follow it. */
function packageLength(size: number): number[] {
  if (size + 1 < 0x40) return [size + 1];
  for (let extra = 1; extra <= 3; extra++) {
    const total = size + 1 + extra;
    if (total < 1 << (4 + 8 * extra)) {
      const out = [(extra << 6) | (total & 0x0f)];
      for (let i = 0; i < extra; i++) out.push((total >>> (4 + 8 * i)) & 0xff);
      return out;
    }
  }
  throw new Error("AML package too long");
}
function sized(opcode: readonly number[], body: readonly number[]): number[] {
  return flat([opcode, packageLength(body.length), body]);
}

/** A name: four characters a segment, dots between, an optional leading backslash. */
export function name(path: string): number[] {
  const rooted = path.startsWith("\\");
  const segments = (rooted ? path.slice(1) : path).split(".").filter((s) => s.length > 0);
  const out: number[] = rooted ? [0x5c] : [];
  if (segments.length === 0) out.push(0);
  else if (segments.length === 2) out.push(0x2e);
  else if (segments.length > 2) out.push(0x2f, segments.length);
  for (const segment of segments) for (let i = 0; i < 4; i++) out.push(i < segment.length ? segment.charCodeAt(i) : 0x5f);
  return out;
}

export function integer(value: number): number[] {
  if (value === 0) return [0x00];
  if (value === 1) return [0x01];
  if (value < 0x100) return [0x0a, value];
  if (value < 0x10000) return [0x0b, value & 0xff, value >>> 8];
  return [0x0c, value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

/** EISAID("PNP0A03"). */
export function eisaId(id: string): number[] {
  const letter = (i: number): number => id.charCodeAt(i) - 0x40;
  const hex = (i: number): number => Number.parseInt(id.charAt(i), 16);
  const high = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  return [0x0c, high >>> 8, high & 0xff, (hex(3) << 4) | hex(4), (hex(5) << 4) | hex(6)];
}

export const defName = (path: string, value: Aml): number[] => flat([[0x08], name(path), value]);
export const scope = (path: string, ...body: readonly Aml[]): number[] => sized([0x10], flat([name(path), ...body]));
export const device = (path: string, ...body: readonly Aml[]): number[] => sized([0x5b, 0x82], flat([name(path), ...body]));
/** A processor without a P_BLK: no C2 and C3. `id` as in the MADT. */
export const processor = (path: string, id: number): number[] => sized([0x5b, 0x83], [...name(path), id, 0, 0, 0, 0, 0]);
export const method = (path: string, args: number, ...body: readonly Aml[]): number[] => sized([0x14], flat([name(path), [args], ...body]));
/** One that makes named objects: calls take turns. */
export const serialMethod = (path: string, args: number, ...body: readonly Aml[]): number[] => method(path, args | 8, ...body);
export const packageOf = (...items: readonly Aml[]): number[] => sized([0x12], flat([[items.length], ...items]));
export const buffer = (bytes: Aml): number[] => sized([0x11], [...integer(bytes.length), ...bytes]);
export const store = (from: Aml, to: Aml): number[] => [0x70, ...from, ...to];
export const ARG0: Aml = [0x68];
export const LOCAL0: Aml = [0x60];
/** `If (condition) { body }`. */
export const when = (condition: Aml, ...body: readonly Aml[]): number[] => sized([0xa0], flat([condition, ...body]));
export const giveBack = (value: Aml): number[] => [0xa4, ...value];
/** A result that goes nowhere but into the expression around it. */
const NOWHERE: Aml = [0x00];
export const and = (a: Aml, b: Aml, target = NOWHERE): number[] => [0x7b, ...a, ...b, ...target];
export const or = (a: Aml, b: Aml, target = NOWHERE): number[] => [0x7d, ...a, ...b, ...target];
export const not = (a: Aml): number[] => [0x92, ...a];
export const subtract = (a: Aml, b: Aml, target = NOWHERE): number[] => [0x74, ...a, ...b, ...target];
export const shiftLeft = (a: Aml, count: Aml, target = NOWHERE): number[] => [0x79, ...a, ...count, ...target];
/** The number of the lowest set bit, from 1; 0 for none. */
export const findSetRightBit = (a: Aml, target: Aml): number[] => [0x82, ...a, ...target];
/** A name for the 16 bits at byte `index` of a buffer. */
export const wordField = (source: Aml, index: number, path: string): number[] => [0x8b, ...source, ...integer(index), ...name(path)];
/** A part of the function's own PCI configuration space. */
export const pciRegion = (path: string, offset: number, length: number): number[] => [
  0x5b,
  0x80,
  ...name(path),
  0x02,
  ...integer(offset),
  ...integer(length),
];
/** Byte-wide fields of a region, one after the other. */
export const byteFields = (region: string, ...names: readonly string[]): number[] =>
  sized([0x5b, 0x81], [...name(region), 0x01, ...names.flatMap((n) => [...name(n), 8])]);

/** Resource descriptors; the end tag is added by `resources`. */
export const resources = (...items: readonly Aml[]): number[] => buffer([...flat(items), 0x79, 0x00]);
export const io = (base: number, length: number): number[] => [0x47, 0x01, base & 0xff, base >>> 8, base & 0xff, base >>> 8, 1, length];
/** A level-triggered, active-low, shared one: any of `mask`. */
export const sharedIrq = (mask: number): number[] => [0x23, mask & 0xff, mask >>> 8, 0x18];
export const irq = (n: number): number[] => [0x22, (1 << n) & 0xff, (1 << n) >>> 8];
export const dma = (channel: number): number[] => [0x2a, 1 << channel, 0x00];
const words = (...values: readonly number[]): number[] => values.flatMap((v) => [v & 0xff, (v >>> 8) & 0xff]);
const dwords = (...values: readonly number[]): number[] => values.flatMap((v) => [v & 0xff, (v >>> 8) & 0xff, (v >>> 16) & 0xff, v >>> 24]);
/** Min and max fixed, positive decode, resource producer. */
export const busRange = (first: number, last: number): number[] => [
  0x88,
  0x0d,
  0x00,
  0x02,
  0x0c,
  0x00,
  ...words(0, first, last, 0, last - first + 1),
];
export const ioRange = (first: number, last: number): number[] => [0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03, ...words(0, first, last, 0, last - first + 1)];
/** `cacheable` as for the VGA window. */
export const memoryRange = (first: number, last: number, cacheable = false): number[] => [
  0x87,
  0x17,
  0x00,
  0x00,
  0x0c,
  cacheable ? 0x03 : 0x01,
  ...dwords(0, first, last, 0, last - first + 1),
];
/** Memory32Fixed, read-write. */
export const fixedMemory = (base: number, length: number): number[] => [0x86, 0x09, 0x00, 0x01, ...dwords(base, length)];
/** Extended Interrupt of a consumer, level-triggered, active-low, shared: reaches I/O APIC inputs above 15. */
export const interrupts = (...gsis: readonly number[]): number[] => [0x89, 2 + 4 * gsis.length, 0x00, 0x0d, gsis.length, ...dwords(...gsis)];
