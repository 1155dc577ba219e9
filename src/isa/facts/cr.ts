/** Control register bits, unsigned. SDM vol. 3A §2.5; EFER §2.2.1. */
export const CR0 = {
  PE: 1,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: 0x80000000,
} as const;

/** SDM vol. 3A §2.5. */
export const CR4 = {
  VME: 1,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
  LA57: 1 << 12,
  VMXE: 1 << 13,
  SMXE: 1 << 14,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  OSXSAVE: 1 << 18,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
  PKE: 1 << 22,
  CET: 1 << 23,
} as const;

/** SDM vol. 3A §2.2.1; SVME and FFXSR: AMD APM vol. 2 §3.1.7. */
export const EFER = { SCE: 1, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11, SVME: 1 << 12, FFXSR: 1 << 14 } as const;

/** XCR0 state components. SDM vol. 1 §13.1. */
export const XCR0 = { X87: 1, SSE: 2, AVX: 4 } as const;

/** DR6 and DR7. SDM vol. 3B §17.2. */
export const DR6 = { B0: 1, B1: 2, B2: 4, B3: 8, BD: 1 << 13, BS: 1 << 14, BT: 1 << 15, RTM: 1 << 16, RESET: 0xffff0ff0 } as const;
/** SDM vol. 3B §17.2.4. */
export const DR7 = { LE: 1 << 8, GE: 1 << 9, GD: 1 << 13, RESET: 0x400 } as const;
