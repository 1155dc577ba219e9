/**
 * Basic exit reasons, SDM vol. 3D appendix C, by the name of the VmExit kind that carries them. Kinds without a processor
 * reason (the host's budget) are not here; kinds that share a reason share the number.
 */
export const EXIT_REASON = {
  exception: 0,
  "external-interrupt": 1,
  "triple-fault": 2,
  init: 3,
  sipi: 4,
  "interrupt-window": 7,
  "nmi-window": 8,
  "task-switch": 9,
  cpuid: 10,
  getsec: 11,
  hlt: 12,
  invd: 13,
  invlpg: 14,
  rdpmc: 15,
  rdtsc: 16,
  rsm: 17,
  vmcall: 18,
  "cr-access": 28,
  "dr-access": 29,
  "io-in": 30,
  "io-out": 30,
  rdmsr: 31,
  wrmsr: 32,
  "entry-failure": 33,
  mwait: 36,
  mtf: 37,
  monitor: 39,
  pause: 40,
  "descriptor-table": 46,
  "mmio-read": 48,
  "mmio-write": 48,
  rdtscp: 51,
  "preemption-timer": 52,
  wbinvd: 54,
  xsetbv: 55,
  rdrand: 57,
  invpcid: 58,
  rdseed: 61,
} as const;

/** LDTR and TR accesses have their own number beside GDTR and IDTR (46). */
export const EXIT_REASON_LDTR_TR = 47;

/** Exit reasons of the `vmx-instruction` kind, by mnemonic in lower case. */
export const VMX_INSTRUCTION_REASON: Readonly<Record<string, number>> = {
  vmclear: 19,
  vmlaunch: 20,
  vmptrld: 21,
  vmptrst: 22,
  vmread: 23,
  vmresume: 24,
  vmwrite: 25,
  vmxoff: 26,
  vmxon: 27,
  invept: 50,
  invvpid: 53,
  vmfunc: 59,
};
