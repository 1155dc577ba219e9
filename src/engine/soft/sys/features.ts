/**
 * What the engine implements, as CPUID reports it. The engine's owner switches entries on as instruction families come to life;
 * CPUID, CR4's reserved bits and the #UD of feature-gated system instructions all read this one record.
 */
export interface CpuFeatures {
  fpu: boolean;
  mmx: boolean;
  fxsr: boolean;
  sse: boolean;
  sse2: boolean;
  sse3: boolean;
  ssse3: boolean;
  sse41: boolean;
  sse42: boolean;
  popcnt: boolean;
  cx16: boolean;
  movbe: boolean;
  aes: boolean;
  pclmulqdq: boolean;
  xsave: boolean;
  avx: boolean;
  rdrand: boolean;
  rdseed: boolean;
  fsgsbase: boolean;
  smep: boolean;
  smap: boolean;
  umip: boolean;
  pcid: boolean;
  invpcid: boolean;
  monitor: boolean;
  apic: boolean;
  x2apic: boolean;
  lzcnt: boolean;
  bmi1: boolean;
  bmi2: boolean;
  adx: boolean;
  clflushopt: boolean;
  rdpid: boolean;
  nx: boolean;
  /** 1 GiB pages. */
  gbPages: boolean;
  longMode: boolean;
  /** CPUID.1:ECX[31] and the leaves at 4000_0000h. */
  hypervisor: boolean;
}

/** Physical-address bits: CPUID 8000_0008h, reserved bits of CR3, page tables, MTRRs. */
export const MAXPHYADDR = 40;

/** What stands before the vector and floating-point families are filled in. */
export function defaultFeatures(): CpuFeatures {
  return {
    fpu: true,
    mmx: true,
    fxsr: true,
    sse: true,
    sse2: true,
    sse3: true,
    ssse3: true,
    sse41: true,
    sse42: true,
    popcnt: true,
    cx16: true,
    movbe: true,
    aes: true,
    pclmulqdq: true,
    xsave: false,
    avx: false,
    rdrand: false,
    rdseed: false,
    fsgsbase: false,
    smep: false,
    smap: false,
    umip: false,
    pcid: false,
    invpcid: false,
    monitor: false,
    apic: false,
    x2apic: false,
    lzcnt: false,
    bmi1: false,
    bmi2: false,
    adx: false,
    clflushopt: false,
    rdpid: false,
    nx: true,
    gbPages: false,
    longMode: true,
    hypervisor: false,
  };
}
