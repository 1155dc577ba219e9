/** CPUID feature bits, as bit numbers of the register named. SDM vol. 2 CPUID; AMD APM vol. 3 appendix E for 8000_xxxx. */
export const CPUID_1_EDX = {
  FPU: 0,
  VME: 1,
  DE: 2,
  PSE: 3,
  TSC: 4,
  MSR: 5,
  PAE: 6,
  MCE: 7,
  CX8: 8,
  APIC: 9,
  SEP: 11,
  MTRR: 12,
  PGE: 13,
  MCA: 14,
  CMOV: 15,
  PAT: 16,
  PSE36: 17,
  PSN: 18,
  CLFSH: 19,
  DS: 21,
  ACPI: 22,
  MMX: 23,
  FXSR: 24,
  SSE: 25,
  SSE2: 26,
  SS: 27,
  HTT: 28,
  TM: 29,
  PBE: 31,
} as const;

/** Leaf 1. */
export const CPUID_1_ECX = {
  SSE3: 0,
  PCLMULQDQ: 1,
  DTES64: 2,
  MONITOR: 3,
  DS_CPL: 4,
  VMX: 5,
  SMX: 6,
  EIST: 7,
  TM2: 8,
  SSSE3: 9,
  FMA: 12,
  CX16: 13,
  XTPR: 14,
  PDCM: 15,
  PCID: 17,
  SSE41: 19,
  SSE42: 20,
  X2APIC: 21,
  MOVBE: 22,
  POPCNT: 23,
  TSC_DEADLINE: 24,
  AES: 25,
  XSAVE: 26,
  OSXSAVE: 27,
  AVX: 28,
  F16C: 29,
  RDRAND: 30,
  HYPERVISOR: 31,
} as const;

/** Leaf 7, sub-leaf 0. */
export const CPUID_7_EBX = {
  FSGSBASE: 0,
  TSC_ADJUST: 1,
  BMI1: 3,
  AVX2: 5,
  SMEP: 7,
  BMI2: 8,
  ERMS: 9,
  INVPCID: 10,
  RDSEED: 18,
  ADX: 19,
  SMAP: 20,
  CLFLUSHOPT: 23,
  CLWB: 24,
  SHA: 29,
} as const;

/** Leaf 7, sub-leaf 0. */
export const CPUID_7_ECX = { UMIP: 2, PKU: 3, OSPKE: 4, LA57: 16, RDPID: 22 } as const;
/** Leaf 7, sub-leaf 0. */
export const CPUID_7_EDX = { FSRM: 4, MD_CLEAR: 10, IBRS: 26, STIBP: 27, ARCH_CAPABILITIES: 29 } as const;
/** Leaf 0Dh, sub-leaf 1. */
export const CPUID_D1_EAX = { XSAVEOPT: 0, XSAVEC: 1, XGETBV1: 2, XSAVES: 3 } as const;
/** Leaf 8000_0001h. The bits that AMD copies from leaf 1 EDX are not repeated. */
export const CPUID_81_EDX = { SYSCALL: 11, NX: 20, FFXSR: 25, PAGE1GB: 26, RDTSCP: 27, LM: 29 } as const;
/** Leaf 8000_0001h. */
export const CPUID_81_ECX = { LAHF64: 0, CMP_LEGACY: 1, SVM: 2, CR8_LEGACY: 4, LZCNT: 5, SSE4A: 6, PREFETCHW: 8 } as const;
/** Leaf 8000_0007h. */
export const CPUID_87_EDX = { INVARIANT_TSC: 8 } as const;

/** The register of a leaf. */
export type CpuidRegister = "eax" | "ebx" | "ecx" | "edx";
/** Where CPUID shows a feature. */
export interface CpuidFeature {
  readonly leaf: number;
  readonly subleaf: number;
  readonly register: CpuidRegister;
  readonly bit: number;
}
function at(leaf: number, register: CpuidRegister, bit: number, subleaf = 0): CpuidFeature {
  return { leaf, subleaf, register, bit };
}

/** Where CPUID announces each `facts.feature` of the opcode tables ("base" has no bit). */
export const FEATURES: Readonly<Record<string, CpuidFeature>> = {
  fpu: at(1, "edx", CPUID_1_EDX.FPU),
  tsc: at(1, "edx", CPUID_1_EDX.TSC),
  msr: at(1, "edx", CPUID_1_EDX.MSR),
  cx8: at(1, "edx", CPUID_1_EDX.CX8),
  sep: at(1, "edx", CPUID_1_EDX.SEP),
  cmov: at(1, "edx", CPUID_1_EDX.CMOV),
  clfsh: at(1, "edx", CPUID_1_EDX.CLFSH),
  mmx: at(1, "edx", CPUID_1_EDX.MMX),
  fxsr: at(1, "edx", CPUID_1_EDX.FXSR),
  sse: at(1, "edx", CPUID_1_EDX.SSE),
  sse2: at(1, "edx", CPUID_1_EDX.SSE2),
  sse3: at(1, "ecx", CPUID_1_ECX.SSE3),
  pclmul: at(1, "ecx", CPUID_1_ECX.PCLMULQDQ),
  monitor: at(1, "ecx", CPUID_1_ECX.MONITOR),
  vmx: at(1, "ecx", CPUID_1_ECX.VMX),
  smx: at(1, "ecx", CPUID_1_ECX.SMX),
  ssse3: at(1, "ecx", CPUID_1_ECX.SSSE3),
  cx16: at(1, "ecx", CPUID_1_ECX.CX16),
  sse41: at(1, "ecx", CPUID_1_ECX.SSE41),
  sse42: at(1, "ecx", CPUID_1_ECX.SSE42),
  movbe: at(1, "ecx", CPUID_1_ECX.MOVBE),
  popcnt: at(1, "ecx", CPUID_1_ECX.POPCNT),
  aes: at(1, "ecx", CPUID_1_ECX.AES),
  xsave: at(1, "ecx", CPUID_1_ECX.XSAVE),
  rdrand: at(1, "ecx", CPUID_1_ECX.RDRAND),
  fsgsbase: at(7, "ebx", CPUID_7_EBX.FSGSBASE),
  invpcid: at(7, "ebx", CPUID_7_EBX.INVPCID),
  rdseed: at(7, "ebx", CPUID_7_EBX.RDSEED),
  adx: at(7, "ebx", CPUID_7_EBX.ADX),
  smap: at(7, "ebx", CPUID_7_EBX.SMAP),
  clflushopt: at(7, "ebx", CPUID_7_EBX.CLFLUSHOPT),
  clwb: at(7, "ebx", CPUID_7_EBX.CLWB),
  sha: at(7, "ebx", CPUID_7_EBX.SHA),
  pku: at(7, "ecx", CPUID_7_ECX.PKU),
  rdpid: at(7, "ecx", CPUID_7_ECX.RDPID),
  xsaveopt: at(0xd, "eax", CPUID_D1_EAX.XSAVEOPT, 1),
  xsavec: at(0xd, "eax", CPUID_D1_EAX.XSAVEC, 1),
  xsaves: at(0xd, "eax", CPUID_D1_EAX.XSAVES, 1),
  syscall: at(0x80000001, "edx", CPUID_81_EDX.SYSCALL),
  rdtscp: at(0x80000001, "edx", CPUID_81_EDX.RDTSCP),
  lm: at(0x80000001, "edx", CPUID_81_EDX.LM),
  svm: at(0x80000001, "ecx", CPUID_81_ECX.SVM),
  prefetchw: at(0x80000001, "ecx", CPUID_81_ECX.PREFETCHW),
};
