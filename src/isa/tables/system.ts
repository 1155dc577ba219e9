import type { OpcodeRow } from "../insn.ts";
import { n, op, r, w } from "./row.ts";

/** System, virtual-machine and machine-state instructions. SDM vol. 2 and vol. 3C chapter 31; AMD APM vol. 3 for SYSCALL and VMMCALL. */

const TABLE = { exits: "descriptor-table" } as const;
const CR = { exits: "cr-access", cpl0: true, ends: true } as const;
const DR = { exits: "dr-access", cpl0: true } as const;
const PROT = { protectedOnly: true } as const;
const VMX = { feature: "vmx", exits: "vmx-instruction", ends: true } as const;
const ENDS = { ends: true } as const;
const XSAVE = { feature: "xsave" } as const;
const FSGS = { feature: "fsgsbase", mode: "only64" } as const;

export const SYSTEM_ROWS: readonly OpcodeRow[] = [
  // Group 6
  op("SLDT", "0F 00 /0", [w("Rv/Mw")], { ...PROT, ...TABLE }),
  op("STR", "0F 00 /1", [w("Rv/Mw")], { ...PROT, ...TABLE }),
  op("LLDT", "0F 00 /2", [r("Ew")], { ...PROT, ...TABLE, cpl0: true }),
  op("LTR", "0F 00 /3", [r("Ew")], { ...PROT, ...TABLE, cpl0: true }),
  op("VERR", "0F 00 /4", [r("Ew")], PROT),
  op("VERW", "0F 00 /5", [r("Ew")], PROT),

  // Group 7, memory forms
  op("SGDT", "0F 01 /0", [w("Ms")], { ...TABLE, size64: "f64" }),
  op("SIDT", "0F 01 /1", [w("Ms")], { ...TABLE, size64: "f64" }),
  op("LGDT", "0F 01 /2", [r("Ms")], { ...TABLE, cpl0: true, size64: "f64" }),
  op("LIDT", "0F 01 /3", [r("Ms")], { ...TABLE, cpl0: true, size64: "f64" }),
  op("SMSW", "0F 01 /4", [w("Rv/Mw")]),
  op("LMSW", "0F 01 /6", [r("Ew")], CR),
  op("INVLPG", "0F 01 /7", [n("M")], { cpl0: true, ends: true, exits: "invlpg" }),
  // Group 7, register forms
  op("VMCALL", "NP 0F 01 C1", [], { feature: "vmx", exits: "vmcall" }),
  op("VMLAUNCH", "NP 0F 01 C2", [], VMX),
  op("VMRESUME", "NP 0F 01 C3", [], VMX),
  op("VMXOFF", "NP 0F 01 C4", [], VMX),
  op("MONITOR", "NP 0F 01 C8", [], { feature: "monitor", exits: "monitor" }),
  op("MWAIT", "NP 0F 01 C9", [], { feature: "monitor", exits: "mwait", ends: true }),
  op("CLAC", "NP 0F 01 CA", [], { feature: "smap" }),
  op("STAC", "NP 0F 01 CB", [], { feature: "smap" }),
  op("XGETBV", "NP 0F 01 D0", [], XSAVE),
  op("XSETBV", "NP 0F 01 D1", [], { ...XSAVE, cpl0: true, ends: true, exits: "xsetbv" }),
  op("VMFUNC", "NP 0F 01 D4", [], { feature: "vmx", ends: true }),
  op("VMMCALL", "0F 01 D9", [], { feature: "svm", exits: "vmcall" }),
  op("RDPKRU", "NP 0F 01 EE", [], { feature: "pku" }),
  op("WRPKRU", "NP 0F 01 EF", [], { feature: "pku", ends: true }),
  op("SWAPGS", "0F 01 F8", [], { mode: "only64", cpl0: true, feature: "lm" }),
  op("RDTSCP", "0F 01 F9", [], { feature: "rdtscp", exits: "rdtscp" }),

  op("SYSCALL", "0F 05", [], { flow: "far", trapFlag: "after", feature: "syscall" }),
  op("CLTS", "0F 06", [], CR),
  op("SYSRET", "0F 07", [], { flow: "far", trapFlag: "after", feature: "syscall", cpl0: true }),
  op("INVD", "0F 08", [], { cpl0: true, ends: true, exits: "invd" }),
  op("WBINVD", "0F 09", [], { cpl0: true, ends: true, exits: "wbinvd" }),
  op("MOV", "0F 20 /r", [w("Rn"), r("Cn")], { sem: "mov_from_cr", cpl0: true, exits: "cr-access" }),
  op("MOV", "0F 21 /r", [w("Rn"), r("Dn")], { ...DR, sem: "mov_from_dr" }),
  op("MOV", "0F 22 /r", [w("Cn"), r("Rn")], { ...CR, sem: "mov_to_cr" }),
  op("MOV", "0F 23 /r", [w("Dn"), r("Rn")], { ...DR, sem: "mov_to_dr", ends: true }),
  op("WRMSR", "0F 30", [], { cpl0: true, ends: true, feature: "msr", exits: "wrmsr" }),
  op("RDTSC", "0F 31", [], { feature: "tsc", exits: "rdtsc" }),
  op("RDMSR", "0F 32", [], { cpl0: true, feature: "msr", exits: "rdmsr" }),
  op("RDPMC", "0F 33", [], { exits: "rdpmc" }),
  op("SYSENTER", "0F 34", [], { flow: "far", feature: "sep" }),
  op("SYSEXIT", "0F 35", [], { flow: "far", feature: "sep" }),
  op("GETSEC", "NP 0F 37", [], { ...ENDS, feature: "smx", exits: "getsec" }),
  op("CPUID", "0F A2", [], { ...ENDS, exits: "cpuid" }),
  op("RSM", "0F AA", [], { flow: "far", exits: "rsm" }),
  op("HLT", "F4", [], { ...ENDS, cpl0: true, exits: "hlt" }),

  op("VMREAD", "NP 0F 78 /r", [w("En"), r("Gn")], VMX),
  op("VMWRITE", "NP 0F 79 /r", [r("Gn"), r("En")], VMX),
  op("VMPTRLD", "NP 0F C7 /6", [r("Mq")], VMX),
  op("VMCLEAR", "66 0F C7 /6", [r("Mq")], VMX),
  op("VMXON", "F3 0F C7 /6", [r("Mq")], VMX),
  op("VMPTRST", "NP 0F C7 /7", [w("Mq")], VMX),
  op("INVEPT", "66 0F 38 80 /r", [r("Gn"), r("Mdq")], { ...VMX, unaligned: true }),
  op("INVVPID", "66 0F 38 81 /r", [r("Gn"), r("Mdq")], { ...VMX, unaligned: true }),
  op("INVPCID", "66 0F 38 82 /r", [r("Gn"), r("Mdq")], { feature: "invpcid", cpl0: true, ends: true, exits: "invpcid", unaligned: true }),

  op("RDRAND", "NFx 0F C7 /6", [w("Rv")], { feature: "rdrand", exits: "rdrand" }),
  op("RDSEED", "NFx 0F C7 /7", [w("Rv")], { feature: "rdseed", exits: "rdseed" }),
  op("RDPID", "F3 0F C7 /7", [w("Rn")], { feature: "rdpid" }),
  op("RDFSBASE", "F3 0F AE /0", [w("Ry")], FSGS),
  op("RDGSBASE", "F3 0F AE /1", [w("Ry")], FSGS),
  op("WRFSBASE", "F3 0F AE /2", [r("Ry")], FSGS),
  op("WRGSBASE", "F3 0F AE /3", [r("Ry")], FSGS),

  // Machine state and fences (group 15)
  op("FXSAVE", "NP 0F AE /0", [w("M512")], { feature: "fxsr" }),
  op("FXRSTOR", "NP 0F AE /1", [r("M512")], { feature: "fxsr" }),
  op("LDMXCSR", "NP 0F AE /2", [r("Md")], { feature: "sse" }),
  op("STMXCSR", "NP 0F AE /3", [w("Md")], { feature: "sse" }),
  op("XSAVE", "NP 0F AE /4", [w("Mxsave")], XSAVE),
  op("XRSTOR", "NP 0F AE /5", [r("Mxsave")], XSAVE),
  op("XSAVEOPT", "NP 0F AE /6", [w("Mxsave")], { feature: "xsaveopt" }),
  op("XRSTORS", "NP 0F C7 /3", [r("Mxsave")], { feature: "xsaves", cpl0: true }),
  op("XSAVEC", "NP 0F C7 /4", [w("Mxsave")], { feature: "xsavec" }),
  op("XSAVES", "NP 0F C7 /5", [w("Mxsave")], { feature: "xsaves", cpl0: true }),
  op("CLFLUSH", "NP 0F AE /7", [n("Mb")], { feature: "clfsh" }),
  op("CLFLUSHOPT", "66 0F AE /7", [n("Mb")], { feature: "clflushopt" }),
  op("CLWB", "66 0F AE /6", [n("Mb")], { feature: "clwb" }),
  op("LFENCE", "NP 0F AE E8+i", [], { feature: "sse2" }), // r/m is ignored
  op("MFENCE", "NP 0F AE F0+i", [], { feature: "sse2" }),
  op("SFENCE", "NP 0F AE F8+i", [], { feature: "sse" }),
];
