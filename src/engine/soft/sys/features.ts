/**
 * What the engine implements, as CPUID reports it. The engine's owner switches entries on as instruction families come to life;
 * CPUID, CR4's reserved bits and the #UD of feature-gated system instructions all read this one record. What a local APIC brings (APIC, x2APIC,
 * TSC deadline, ARAT) CPUID shows when `cpu.localApic` is there.
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
  xsaveopt: boolean;
  /** XSAVEC, and XGETBV with ECX = 1. */
  xsavec: boolean;
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
  /** IA32_SPEC_CTRL (IBRS, STIBP) and IA32_PRED_CMD (IBPB): accepted, nothing speculates. */
  specCtrl: boolean;
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

/** x86-64-v2 and what systems gain from on top of it. */
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
    xsave: true,
    xsaveopt: true,
    xsavec: true,
    avx: false,
    rdrand: true,
    rdseed: true,
    fsgsbase: true,
    smep: true,
    smap: true,
    umip: true,
    pcid: true,
    invpcid: true,
    monitor: false,
    specCtrl: true,
    lzcnt: false,
    bmi1: false,
    bmi2: false,
    adx: false,
    clflushopt: true,
    rdpid: true,
    nx: true,
    gbPages: true,
    longMode: true,
    hypervisor: true,
  };
}
