/** The local APIC as the SDM numbers it (vol. 3A, chapter 11): register index = xAPIC offset / 16 = x2APIC MSR - 800h. */
export const REG = {
  ID: 0x02,
  VERSION: 0x03,
  TPR: 0x08,
  APR: 0x09,
  PPR: 0x0a,
  EOI: 0x0b,
  RRD: 0x0c,
  LDR: 0x0d,
  DFR: 0x0e,
  SVR: 0x0f,
  ISR: 0x10,
  TMR: 0x18,
  IRR: 0x20,
  ESR: 0x28,
  ICR_LOW: 0x30,
  ICR_HIGH: 0x31,
  LVT_TIMER: 0x32,
  LVT_ERROR: 0x37,
  TIMER_INITIAL: 0x38,
  TIMER_CURRENT: 0x39,
  TIMER_DIVIDE: 0x3e,
  SELF_IPI: 0x3f,
} as const;

/** Places in the local vector table, from LVT_TIMER up. */
export const LVT = { TIMER: 0, THERMAL: 1, PERF: 2, LINT0: 3, LINT1: 4, ERROR: 5 } as const;
export const LVT_COUNT = 6;

export const LVT_MASKED = 0x10000;
export const LVT_LEVEL = 0x8000;
export const LVT_REMOTE_IRR = 0x4000;
/** Bits of each entry that software may set: vector, delivery mode, polarity, trigger, mask, timer mode. Others are reserved or read-only. */
export const LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff] as const;
/** What may be written without #GP in x2APIC mode: the read-only status bits too. */
export const LVT_ALLOWED = [0x710ff, 0x117ff, 0x117ff, 0x1f7ff, 0x1f7ff, 0x110ff] as const;

/** Delivery modes of LVT, ICR, redirection entries and MSI. */
export const DELIVERY = { FIXED: 0, LOWEST: 1, SMI: 2, NMI: 4, INIT: 5, STARTUP: 6, EXTINT: 7 } as const;

export const SVR_ENABLE = 0x100;
export const SVR_SUPPRESS_EOI = 0x1000;

/** Error status bits. */
export const ESR = { SEND_VECTOR: 0x20, RECEIVE_VECTOR: 0x40, REGISTER: 0x80 } as const;

/** Version 14h (integrated), six LVT entries, EOI broadcasts can be suppressed. */
export const VERSION = 0x0100_0014 | ((LVT_COUNT - 1) << 16);

/** IA32_APIC_BASE. */
export const BASE_BSP = 0x100;
export const BASE_X2APIC = 0x400;
export const BASE_ENABLE = 0x800;
export const MSR_APIC_BASE = 0x1b;
export const MSR_TSC_DEADLINE = 0x6e0;
export const MSR_X2APIC = 0x800;
