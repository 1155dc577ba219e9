/** Memory shared with WebAssembly is laid out here, each field after the last; nobody types an offset. */
export interface FieldSpec {
  readonly sizeBytes: number;
  readonly align: number;
  readonly count: number;
}

export interface Field extends FieldSpec {
  /** In bytes. */
  readonly offset: number;
  /** Its index in a view of 16-, 32- or 64-bit elements. */
  readonly u16: number;
  readonly u32: number;
  readonly u64: number;
}

const spec = (sizeBytes: number, count: number): FieldSpec => ({ sizeBytes, align: sizeBytes, count });
export const u8 = (count = 1): FieldSpec => spec(1, count);
export const u16 = (count = 1): FieldSpec => spec(2, count);
export const u32 = (count = 1): FieldSpec => spec(4, count);
export const u64 = (count = 1): FieldSpec => spec(8, count);
export const u128 = (count = 1): FieldSpec => spec(16, count);

/** Places fields in order from `base`, each naturally aligned; `end` is the first byte after the last field. */
export function layout<T extends Record<string, FieldSpec>>(base: number, fields: T): { readonly [K in keyof T]: Field } & { readonly end: number } {
  const out: Record<string, Field | number> = {};
  let offset = base;
  for (const [name, f] of Object.entries(fields)) {
    offset = (offset + f.align - 1) & ~(f.align - 1);
    out[name] = { ...f, offset, u16: offset >> 1, u32: offset >> 2, u64: offset >> 3 };
    offset += f.sizeBytes * f.count;
  }
  out["end"] = offset;
  // A copy, because adding properties one by one leaves V8 a dictionary: the copy has constant-time fields (2-3x on hot paths).
  // oxlint-disable-next-line no-unsafe-type-assertion -- the loop above builds exactly this record
  return { ...out } as { readonly [K in keyof T]: Field } & { readonly end: number };
}
