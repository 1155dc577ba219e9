/** Paging-structure entry bits. SDM vol. 3A tables 4-5, 4-6, 4-15 … 4-20. */
export const PTE = {
  P: 1,
  W: 1 << 1,
  U: 1 << 2,
  PWT: 1 << 3,
  PCD: 1 << 4,
  A: 1 << 5,
  D: 1 << 6,
  /** Large page in a PDE or PDPTE; PAT in a PTE. */
  PS: 1 << 7,
  G: 1 << 8,
  /** PAT of a large page. */
  PAT_LARGE: 1 << 12,
} as const;

/** Execute-disable, bit 63, as bit of the upper half. */
export const PTE_NX_HI = 0x80000000;
/** Bytes of the smallest page. */
export const PAGE_SIZE = 4096;

/** Descriptor access-rights bits in VMX layout (SDM vol. 3C table 24-2), which is byte 5 and the high nibble of byte 6. */
export const ACCESS = {
  TYPE: 0xf,
  ACCESSED: 1,
  /** Writable data, or readable code. */
  RW: 1 << 1,
  /** Expand-down data, or conforming code. */
  DC: 1 << 2,
  CODE: 1 << 3,
  S: 1 << 4,
  DPL: 3 << 5,
  P: 1 << 7,
  AVL: 1 << 12,
  L: 1 << 13,
  DB: 1 << 14,
  G: 1 << 15,
  UNUSABLE: 1 << 16,
} as const;

/** System descriptor types. SDM vol. 3A table 3-2. */
export const SYSTEM_TYPE = {
  TSS16_AVAILABLE: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL_GATE16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE16: 6,
  TRAP_GATE16: 7,
  TSS_AVAILABLE: 9,
  TSS_BUSY: 11,
  CALL_GATE: 12,
  INTERRUPT_GATE: 14,
  TRAP_GATE: 15,
} as const;
