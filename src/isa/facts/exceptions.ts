/** Exception vectors. SDM vol. 3A table 6-1. */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  /** Coprocessor segment overrun: not since the 387. */
  CSO: 9,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
  VE: 20,
  CP: 21,
} as const;

const NAMES = [
  "#DE",
  "#DB",
  "NMI",
  "#BP",
  "#OF",
  "#BR",
  "#UD",
  "#NM",
  "#DF",
  "CSO",
  "#TS",
  "#NP",
  "#SS",
  "#GP",
  "#PF",
  "",
  "#MF",
  "#AC",
  "#MC",
  "#XM",
  "#VE",
  "#CP",
];

/** "#GP", "#PF", … or "vector N". */
export function exceptionName(vector: number): string {
  const name = NAMES[vector] ?? "";
  return name === "" ? `vector ${vector}` : name;
}

/** DF TS NP SS GP PF AC CP. */
const ERROR_CODE_MASK = (1 << 8) | (1 << 10) | (1 << 11) | (1 << 12) | (1 << 13) | (1 << 14) | (1 << 17) | (1 << 21);
/** Whether the exception pushes an error code in protected mode. */
export function pushesErrorCode(vector: number): boolean {
  return vector < 32 && ((ERROR_CODE_MASK >>> vector) & 1) === 1;
}

/** Classes of SDM vol. 3A table 6-4. */
export type ExceptionClass = "benign" | "contributory" | "page-fault" | "double-fault";
/** The class of a vector, 0..255. */
export function exceptionClass(vector: number): ExceptionClass {
  switch (vector) {
    case VECTOR.DE:
    case VECTOR.TS:
    case VECTOR.NP:
    case VECTOR.SS:
    case VECTOR.GP:
    case VECTOR.CP:
      return "contributory";
    case VECTOR.PF:
    case VECTOR.VE:
      return "page-fault";
    case VECTOR.DF:
      return "double-fault";
    default:
      return "benign";
  }
}

/** What a fault during the delivery of another becomes. SDM vol. 3A table 6-5. */
export function combineFaults(first: number, second: number): "serial" | "double-fault" | "triple-fault" {
  const a = exceptionClass(first);
  const b = exceptionClass(second);
  if (b === "benign") return "serial";
  if (a === "double-fault") return "triple-fault";
  if (a === "contributory") return b === "contributory" ? "double-fault" : "serial";
  if (a === "page-fault") return "double-fault";
  return "serial";
}

/** Page-fault error code bits. SDM vol. 3A §4.7. */
export const PFEC = { P: 1, W: 2, U: 4, RSVD: 8, I: 16, PK: 32 } as const;
/** Selector error code bits. SDM vol. 3A §6.13. */
export const SELECTOR_ERROR = { EXT: 1, IDT: 2, TI: 4 } as const;
