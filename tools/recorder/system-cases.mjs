/** Cases of the system-instruction set: { mode, asm, gpr: { index: value }, memory: [[address, bytes]] , flags }. */
import { CODE, DATA, MODES, S, STACK, TARGET, TSS_A, TSS_B } from "./system-env.mjs";

const SELECTORS = [
  ...new Set([
    0,
    1,
    3,
    ...Object.values(S),
    S.code0 | 1,
    S.data0 | 3,
    S.code3 & ~3,
    S.data3 & ~3,
    S.conf0 | 3,
    S.conf2 | 3,
    S.tssA,
    S.ldt,
    0xfffc,
    S.gate0 | 3,
    S.data3 & ~1,
  ]),
];
const PROTECTED = ["prot0", "prot3", "prot16", "long0", "long3", "compat0", "compat3"];
const LONG = new Set(["long0", "long3", "compat0", "compat3"]);
const bits = (mode) => MODES[mode].bits;
const le = (value, n) => Array.from({ length: n }, (_, i) => Number((BigInt.asUintN(64, BigInt(value)) >> BigInt(i * 8)) & 0xffn));
/** Linear address of the stack pointer in each mode. */
const SP = {
  real: 0x20f00,
  prot0: STACK[0],
  prot16: 0x10f00,
  prot3: STACK[3],
  prot3io: STACK[3],
  v86: 0x23f00,
  v86low: 0x23f00,
  long0: STACK[0],
  long3: STACK[3],
  guard0: STACK[0],
  guard3: STACK[3],
  compat0: STACK[0],
  compat3: STACK[3],
};

export function systemCases() {
  const cases = [];
  const add = (mode, asm, more = {}) => cases.push({ mode, asm, gpr: {}, memory: [], ...more });
  const frame = (mode, values, size) => [[SP[mode], values.flatMap((v) => le(v, size))]];

  for (const mode of PROTECTED) {
    const b = bits(mode);
    for (const sel of SELECTORS) {
      for (const s of ["ds", "ss", "fs"]) add(mode, `mov ${s}, ax`, { gpr: { 0: sel } });
      for (const i of ["lar ebx, eax", "lsl ebx, eax", "verr ax", "verw ax"]) add(mode, i, { gpr: { 0: sel } });
      add(mode, b === 64 ? "pop gs" : "pop es", { memory: frame(mode, [sel], 8) });
      if (b !== 64) {
        add(mode, `jmp ${b === 16 ? "" : "dword "}${sel}:${TARGET + 0x40}`);
        add(mode, `call ${b === 16 ? "" : "dword "}${sel}:${TARGET + 0x44}`);
      }
      const pointer = b === 64 ? "[0x30010]" : b === 32 ? "[0x30010]" : "[bx]";
      const at = b === 16 ? DATA + 0x10 : DATA + 0x10;
      if (b !== 16) {
        add(mode, `jmp far dword ${pointer}`, { memory: [[at, [...le(TARGET + 0x50, 4), ...le(sel, 2)]]] });
        add(mode, `call far dword ${pointer}`, { memory: [[at, [...le(TARGET + 0x54, 4), ...le(sel, 2)]]] });
        add(mode, `lfs ecx, ${pointer}`, { memory: [[at, [...le(0x12345678, 4), ...le(sel, 2)]]] });
      }
      const size = b === 16 ? 2 : 4;
      add(mode, "retf", { memory: frame(mode, [TARGET + 0x60, sel, 0x22e00, S.data3], size) });
      add(mode, "retf 8", { memory: frame(mode, [TARGET + 0x60, sel, 1, 2, 0x22e00, S.data3], size) });
      if (b === 64) add(mode, "o64 retf", { memory: frame(mode, [TARGET + 0x60, sel, 0x22e00, S.data3], 8) });
      for (const flags of [0x2, 0x3ed7])
        add(mode, b === 16 ? "iretw" : "iretd", { memory: frame(mode, [TARGET + 0x70, sel, flags, 0x22d00, S.data3], size) });
      if (b === 64) add(mode, "iretq", { memory: frame(mode, [TARGET + 0x70, sel, 0x246, 0x22d00, sel === S.code64 ? 0 : S.data3], 8) });
      if (mode !== "prot16") {
        add(mode, "lldt ax", { gpr: { 0: sel } });
        add(mode, "ltr ax", { gpr: { 0: sel } });
      }
      if (b !== 64) add(mode, "arpl ax, bx", { gpr: { 0: sel, 3: 2 } });
    }
    // Outer returns with every stack selector.
    for (const ss of SELECTORS) {
      if (b === 32) add(mode, "iretd", { memory: frame(mode, [TARGET + 0x80, S.code3, 0x202, 0x22c00, ss], 4) });
      if (b === 64) add(mode, "iretq", { memory: frame(mode, [TARGET + 0x80, S.code64u, 0x202, 0x22c00, ss], 8) });
    }
    if (b !== 16) for (const dpl of [0, 1, 2, 3]) add(mode, "mov [0x30020], eax", { gpr: { 0: dpl } });
  }
  // V86 and back.
  for (const flags of [0x20002, 0x23202, 0x27fd7, 0x24002]) {
    add("prot0", "iretd", { memory: frame("prot0", [0x9123, 0x100, flags, 0x800, 0x2300, 0x3100, 0x3200, 0x3300, 0x3400], 4) });
    add("prot3", "iretd", { memory: frame("prot3", [0x9123, S.code3, flags, 0x800, 0x2300], 4) });
  }
  // NT: return to the back link.
  for (const link of [S.tssB, S.tssC, S.code0, 0, S.tssA, S.absentTss]) {
    for (const busy of [0xeb, 0xe9]) {
      add("prot0", "iretd", {
        flags: 0x4002,
        memory: [
          [TSS_A, le(link, 2)],
          [0x2000 + S.tssB + 5, [busy]],
        ],
      });
    }
    add("prot16", "iretw", {
      flags: 0x4002,
      memory: [
        [TSS_A, le(link, 2)],
        [0x2000 + S.tssC + 5, [0xe3]],
      ],
    });
  }
  // Task switches to broken tasks.
  const breakage = [
    [0x4c, S.data0],
    [0x4c, 0],
    [0x4c, S.absentCode],
    [0x50, S.code0],
    [0x50, 0],
    [0x50, S.absentData],
    [0x54, S.tssA],
    [0x54, 0],
    [0x60, S.code0],
    [0x60, 0],
    [0x4c, S.code3],
    [0x48, S.absentData],
    [0x5c, S.readOnly],
    [0x64, 1],
    [0x24, 0x20002],
    [0x24, 0x3202],
  ];
  for (const [offset, value] of breakage)
    for (const how of [`jmp ${S.tssB}:0`, `call ${S.tssB}:0`]) add("prot0", how, { memory: [[TSS_B + offset, le(value, offset === 0x24 ? 4 : 2)]] });
  for (const limit of [0x66, 0x67]) add("prot0", `jmp ${S.tssB}:0`, { memory: [[0x2000 + S.tssB, le(limit, 2)]] });

  guardedCases(add, frame);
  for (const mode of Object.keys(MODES)) {
    if (mode.startsWith("guard")) continue;
    const b = bits(mode);
    for (const n of [
      0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 14, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x80, 0xff,
    ])
      add(mode, `int ${n}`);
    for (const i of ["int3", "db 0xf1", "ud2", "cli", "sti", "clts", "wbinvd", "nop"]) add(mode, i);
    add(mode, "div cl", { gpr: { 0: 0x1234, 1: 0 } });
    if (b !== 64) {
      add(mode, "into", { flags: 0x802 });
      add(mode, "bound ax, [bx]", { gpr: { 0: 5, 3: b === 32 ? DATA : 0 } });
    }
    for (const [i, flags] of [0x2, 0x3ed7, 0x200, 0x3000, 0x4d5, 0x7fd7, 0x240000, 0x80000, 0x100200].entries()) {
      const real = flags & ~0x100;
      if (b !== 64 || i < 9) {
        add(mode, "pushf", { flags: real & 0x7edd5 & ~0x3000 & ~0x200 });
        add(mode, b === 16 ? "popfw" : b === 32 ? "popfd" : "popfq", { memory: frame(mode, [real], 8) });
        if (b === 16) add(mode, "popfd", { memory: frame(mode, [real], 8) });
      }
    }
    for (const i of ["sgdt [0x40]", "sidt [0x40]"]) if (b === 16) add(mode, i);
    if (b !== 16) for (const i of ["sgdt [0x30040]", "sidt [0x30040]"]) add(mode, i);
    if (mode === "prot0" || mode === "long0" || mode === "prot3" || mode === "real") {
      const at = b === 16 ? "0x40" : "0x30040";
      for (const i of ["lgdt", "lidt"]) add(mode, `${i} [${at}]`, { memory: [[DATA + 0x40, [...le(0x1ff, 2), ...le(0x2000, 8)]]] });
      if (b !== 16) add(mode, "invlpg [0x30000]");
      const wide = b === 64 ? "r" : "e";
      for (const r of ["cr0", "cr2", "cr3", "cr4", "dr0", "dr3", "dr6", "dr7"]) add(mode, `mov ${wide}bx, ${r}`);
      for (const [r, value] of [
        ["cr0", 0x60000011],
        ["cr0", 0x11],
        ["cr0", 0x10],
        ["cr0", 0x80000001],
        ["cr0", 0x80000000],
        ["cr0", 0x20000011],
        ["cr2", 0xdeadbeef],
        ["cr3", 0x10000],
        ["cr3", 0x10018],
        ["cr4", 0x20],
        ["cr4", 0x6a0],
        ["cr4", 0],
        ["dr0", 0x1234],
        ["dr2", 0xffffffff],
        ["dr6", 0xffffffff],
        ["dr7", 0x155],
        ["dr7", 0],
        ["dr7", 0xffff0000],
      ]) {
        add(mode, `mov ${r}, ${wide}bx`, { gpr: { 3: value } });
      }
      for (const value of [0, 1, 0xe, 0xf, 0x11]) add(mode, "lmsw bx", { gpr: { 3: value } });
      for (const msr of [0xc0000080, 0xc0000081, 0xc0000100, 0x174, 0x1b, 0x12345]) {
        if (msr !== 0x1b) add(mode, "rdmsr", { gpr: { 1: msr } });
        if (msr !== 0x1b && msr !== 0xc0000080) add(mode, "wrmsr", { gpr: { 1: msr, 0: 0x1000, 2: 0 } });
      }
    }
    add(mode, "smsw bx");
    if (PROTECTED.includes(mode)) for (const i of ["sldt bx", "str bx"]) add(mode, i);
    else for (const i of ["sldt bx", "str bx", "lar ax, bx", "verr ax", "lldt ax", "arpl ax, bx"]) add(mode, i);
    if (b === 64) {
      for (const i of ["swapgs", "syscall", "o64 sysret", "sysret", "sysenter", "sysexit", "o64 sysexit"])
        add(mode, i, { gpr: { 1: TARGET + 0x10, 2: TARGET + 0x20, 11: 0x3d7 } });
      add(mode, "o64 sysret", { gpr: { 1: "0x800000000000", 11: 2 } });
    } else if (b === 32) for (const i of ["sysenter", "sysexit"]) add(mode, i, { gpr: { 1: 0x22000, 2: TARGET + 0x20 } });
    // Every segment register and a plain access through it in 16-bit modes.
    if (!PROTECTED.includes(mode) || mode === "prot16") {
      if (mode !== "prot16") for (const s of ["ds", "es", "ss", "fs", "gs"]) add(mode, `mov ${s}, ax`, { gpr: { 0: 0x2345 } });
      add(mode, mode === "prot16" ? `jmp ${S.code16}:0x9000` : "jmp 0x900:0x10");
      add(mode, mode === "prot16" ? `call ${S.code16}:0x9000` : "call 0x900:0x10");
      if (mode !== "prot16") {
        add(mode, "retf", { memory: frame(mode, [0x20, 0x900], 2) });
        add(mode, "retf 6", { memory: frame(mode, [0x20, 0x900], 2) });
        add(mode, "o32 retf", { memory: frame(mode, [0x20, 0x900], 4) });
        for (const flags of [0x2, 0x3ed7, 0x7202, 0x3002]) {
          add(mode, "iretw", { memory: frame(mode, [0x20, 0x900, flags], 2) });
          add(mode, "iretd", { memory: frame(mode, [0x20, 0x900, flags | 0x20000], 4) });
        }
        add(mode, "lds ax, [0x10]", { memory: [[DATA + 0x10, [...le(0x1111, 2), ...le(0x2222, 2)]]] });
        add(mode, "mov al, [ebx]", { gpr: { 3: 0x10000 } });
        add(mode, "push ax", { gpr: { 4: 1 } });
      }
    }
  }
  void LONG;
  void CODE;
  return cases;
}

/** SMEP, SMAP, UMIP, FSGSBASE, XSAVE and page rights, with everything switched on. `xcr0` is 1 here, as after RESET. */
function guardedCases(add, frame) {
  const AC = 0x40000;
  for (const mode of ["guard0", "guard3"]) {
    // Every kind of page, read and written, with and without AC; a kernel's page too.
    for (const page of [0x30, 0x34, 0x35, 0x36, 0x37, 0x38, 0x20]) {
      const at = `0x${page.toString(16)}010`;
      for (const flags of [0x2, AC | 2])
        for (const i of [
          `mov al, [${at}]`,
          `mov [${at}], ebx`,
          `add qword [${at}], 1`,
          `xchg [${at}], rax`,
          `cmpxchg [${at}], ebx`,
          `push qword [${at}]`,
          `pop qword [${at}]`,
          `lgdt [${at}]`,
          `sgdt [${at}]`,
          `sidt [${at}]`,
          `str [${at}]`,
          `smsw [${at}]`,
          `fxsave [${at}]`,
          `fnstenv [${at}]`,
          `clflush [${at}]`,
          `prefetchw [${at}]`,
          `call [${at}]`,
          `verr [${at}]`,
        ])
          add(mode, i, { flags, memory: /^(call|verr)/.test(i) ? [[(page << 12) + 0x10, le(TARGET + 0x30, 8)]] : [] });
      for (const flags of [0x2, AC | 2]) {
        add(mode, "push rax", { flags, gpr: { 4: page * 0x1000 + 0x100 } });
        add(mode, "iretq", {
          flags,
          gpr: { 4: page * 0x1000 + 0x100 },
          memory: [
            [
              (page << 12) + 0x100,
              [TARGET + 0x70, mode === "guard0" ? S.code64 : S.code64u, 0x40202, 0x22d00, mode === "guard0" ? S.data0 : S.data3].flatMap((v) =>
                le(v, 8),
              ),
            ],
          ],
        });
        add(mode, "int 34", { flags, gpr: { 4: page * 0x1000 + 0x100 } });
        add(mode, "rep movsb", { flags, gpr: { 1: 5, 6: page * 0x1000, 7: 0x38100 } });
        add(mode, "rep stosd", { flags, gpr: { 1: 3, 7: page * 0x1000 + 0xff8, 0: 0x55aa } });
      }
    }
    // Implicit accesses: descriptors on a user page.
    for (const flags of [0x2, AC | 2]) for (const sel of [S.data3, S.code64u]) add(mode, "lar ebx, eax", { flags, gpr: { 0: sel } });
    for (const i of ["stac", "clac"]) for (const flags of [0x2, AC | 2]) add(mode, i, { flags });
    for (const i of ["sldt ebx", "str ebx", "smsw ebx", "smsw rbx"]) add(mode, i);
    for (const flags of [0x2, AC | 2]) add(mode, "popfq", { flags, memory: frame(mode, [0x40246], 8) });
    for (const s of ["fs", "gs"]) {
      for (const r of ["eax", "rax", "r9"]) add(mode, `rd${s}base ${r}`, { gpr: { 0: "0xffffffffffffffff" } });
      for (const value of ["0x12345678", "0x7fffffffffff", "0x800000000000", "0xffff800000000000", "0xffffffff80001000"])
        for (const r of ["eax", "rax"]) add(mode, `wr${s}base ${r}`, { gpr: { 0: value } });
    }
    add(mode, "swapgs");
    for (const n of [0, 2, "0xffffffff"]) add(mode, "xgetbv", { gpr: { 1: n } });
    for (const [n, lo, hi] of [
      [0, 1, 0],
      [0, 0, 0],
      [0, 2, 0],
      [0, 3, 0],
      [0, 0x80000001, 0],
      [0, 1, 1],
      [1, 1, 0],
    ])
      add(mode, "xsetbv", { gpr: { 1: n, 0: lo, 2: hi } });
    const clean = [...le(0, 8), ...le(0, 56)];
    for (const i of ["xsave", "xsave64"])
      for (const at of [0x30000, 0x38000, 0x38010, 0x34000, 0x36000, 0x35fc0])
        for (const eax of [0, 1, 7]) add(mode, `${i} [0x${at.toString(16)}]`, { gpr: { 0: eax, 2: 0 }, flags: AC | 2, memory: [[at + 512, clean]] });
    for (const header of [
      [0, 0, 0],
      [1, 0, 0],
      [2, 0, 0],
      [1, 1, 0],
      [1, 0, 1],
    ])
      for (const eax of [0, 1])
        add(mode, "xrstor [0x38200]", {
          gpr: { 0: eax, 2: 0 },
          memory: [
            [0x38200, Array.from({ length: 512 }, () => 0)],
            [0x38400, [...header.flatMap((v) => le(v, 8)), ...Array.from({ length: 40 }, () => 0)]],
          ],
        });
    for (const value of [0x350e20, 0x50e20, 0x350a20, 0x310e20, 0x20, 0x351e20, 0x100350e20])
      add(mode, "mov cr4, rbx", { gpr: { 3: `0x${value.toString(16)}` } });
    for (const msr of [0xc0000103, 0xc0000102, 0x277]) {
      add(mode, "rdmsr", { gpr: { 1: msr } });
      add(mode, "wrmsr", { gpr: { 1: msr, 0: 0x1000, 2: 0 } });
    }
    for (const i of ["lfence", "mfence", "sfence", "endbr64", "ud0 eax, [0x38000]", "ud2"]) if (!i.startsWith("ud0")) add(mode, i);
  }
}
