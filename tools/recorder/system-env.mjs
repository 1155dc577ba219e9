/** Memory, descriptors and modes of the system-instruction set: what runs at CPL 0..3 in every mode, one step at a time. */

export const MEMORY = 0x80000;
export const CODE = 0x8000,
  TARGET = 0x9000,
  HANDLER = 0xa000,
  DATA = 0x30000;
export const STACK = [0x20f00, 0x21f00, 0x22f00, 0x23f00];
const GDT = 0x2000,
  IDT = 0x3000,
  IDT64 = 0x4000,
  LDT = 0x5000;
export const TSS_A = 0x6000,
  TSS_B = 0x6200,
  TSS_C = 0x6400,
  TSS_64 = 0x6600,
  TSS_V = 0x6800;
export const GDT_LIMIT = 0x1ff;

const seg = (base, limit, access, flags) =>
  BigInt(limit & 0xffff) |
  (BigInt(base & 0xffffff) << 16n) |
  (BigInt(access) << 40n) |
  (BigInt(((limit >> 16) & 15) | (flags << 4)) << 48n) |
  (BigInt(base >>> 24) << 56n);
const gate = (selector, offset, access, count = 0) =>
  BigInt(offset & 0xffff) | (BigInt(selector) << 16n) | (BigInt(count) << 32n) | (BigInt(access) << 40n) | (BigInt(offset >>> 16) << 48n);

/** Selector numbers by name. */
export const S = {
  code0: 0x08,
  data0: 0x10,
  code64: 0x18,
  code3: 0x23,
  data3: 0x2b,
  code64u: 0x33,
  tssA: 0x38,
  ldt: 0x40,
  tssB: 0x48,
  tssC: 0x50,
  code16: 0x58,
  data16: 0x60,
  code16u: 0x6b,
  conf0: 0x70,
  conf2: 0x78,
  code1: 0x81,
  data1: 0x89,
  absentCode: 0x90,
  absentData: 0x98,
  execOnly: 0xa0,
  readOnly: 0xa8,
  down: 0xb0,
  gate32: 0xbb,
  gate16: 0xc3,
  gateConf: 0xcb,
  gate0: 0xd0,
  taskB: 0xdb,
  taskC: 0xe3,
  absentGate: 0xeb,
  trapGate: 0xf3,
  data16u: 0xfb,
  gate1: 0x103,
  tssV: 0x108,
  tss64: 0x110,
  ldt64: 0x120,
  gate64: 0x133,
  gate64u: 0x143,
  code0big: 0x150,
  absentTss: 0x158,
  ldtCode: 0x0c,
  ldtData: 0x17,
  ldtBad: 0x1c,
  beyond: 0x203,
  gateBad: 0x163,
};

/** All segments are marked accessed: QEMU does not always mark CS. */
export function gdt() {
  const flat = (access, flags = 12) => seg(0, 0xfffff, access, flags);
  const g = [];
  const put = (selector, value) => {
    g[selector >> 3] = value;
  };
  put(S.code0, flat(0x9b));
  put(S.data0, flat(0x93));
  put(S.code64, flat(0x9b, 10));
  put(S.code3, flat(0xfb));
  put(S.data3, flat(0xf3));
  put(S.code64u, flat(0xfb, 10));
  put(S.tssA, seg(TSS_A, 0xff, 0x89, 0));
  put(S.ldt, seg(LDT, 0x3f, 0x82, 0));
  put(S.tssB, seg(TSS_B, 0x7f, 0xe9, 0));
  put(S.tssC, seg(TSS_C, 0x2b, 0xe1, 0));
  put(S.code16, seg(0, 0xffff, 0x9b, 0));
  put(S.data16, seg(0x10000, 0xffff, 0x93, 0));
  put(S.code16u, seg(0, 0xffff, 0xfb, 0));
  put(S.conf0, flat(0x9f));
  put(S.conf2, flat(0xdf));
  put(S.code1, flat(0xbb));
  put(S.data1, flat(0xb3));
  put(S.absentCode, flat(0x1b));
  put(S.absentData, flat(0x13));
  put(S.execOnly, flat(0x99));
  put(S.readOnly, flat(0x91));
  put(S.down, seg(0x30000, 0xfff, 0x97, 4));
  put(S.gate32, gate(S.code0, TARGET + 0x100, 0xec, 2));
  put(S.gate16, gate(S.code16, TARGET + 0x200, 0xe4, 1));
  put(S.gateConf, gate(S.conf0, TARGET + 0x300, 0xec, 0));
  put(S.gate0, gate(S.code0, TARGET + 0x400, 0x8c, 0));
  put(S.taskB, gate(S.tssB, 0, 0xe5));
  put(S.taskC, gate(S.tssC, 0, 0xe5));
  put(S.absentGate, gate(S.code0, TARGET, 0x6c));
  put(S.trapGate, gate(S.code0, TARGET, 0xef));
  put(S.data16u, seg(0x10000, 0xffff, 0xf3, 0));
  put(S.gate1, gate(S.code1 & ~3, TARGET + 0x500, 0xec, 1));
  put(S.tssV, seg(TSS_V, 0x7f, 0xe9, 0));
  put(S.tss64, seg(TSS_64, 0x67, 0x89, 0));
  put(S.tss64 + 8, 0n);
  put(S.ldt64, seg(LDT, 0x3f, 0x82, 0));
  put(S.ldt64 + 8, 0n);
  put(S.gate64, gate(S.code64, TARGET + 0x600, 0xec));
  put(S.gate64 + 8, 0n);
  put(S.gate64u, gate(S.code64u, TARGET + 0x700, 0xec));
  put(S.gate64u + 8, 0n);
  put(S.code0big, flat(0x9b, 14));
  put(S.absentTss, seg(TSS_B, 0x67, 0x69, 0));
  put(S.gateBad, gate(S.data0, TARGET, 0xec));
  return g;
}

/** The memory that all modes start from. */
export function image() {
  const m = new Uint8Array(MEMORY);
  const v = new DataView(m.buffer);
  m.fill(0x90, CODE, CODE + 0x1000);
  m.fill(0x90, TARGET, TARGET + 0x1000);
  m.fill(0x90, HANDLER, HANDLER + 0x1000);
  for (let i = 0; i < 256; i++) {
    v.setUint32(i * 4, HANDLER + i * 16, true); // 0000:offset
    v.setBigUint64(IDT + i * 8, gate(S.code0, HANDLER + i * 16, i === 3 || i === 4 ? 0xee : 0x8e), true);
    v.setBigUint64(IDT64 + i * 16, gate(S.code64, HANDLER + i * 16, i === 3 || i === 4 ? 0xee : 0x8e), true);
  }
  const set = (n, value) => v.setBigUint64(IDT + n * 8, value, true);
  set(0x21, gate(S.code0, HANDLER + 0x210, 0xef));
  set(0x22, gate(S.code0, HANDLER + 0x220, 0xee));
  set(0x23, gate(S.code16, HANDLER + 0x230, 0xe6));
  set(0x24, gate(S.taskB, 0, 0xe5));
  set(0x25, gate(S.code0, HANDLER, 0x6e));
  set(0x26, gate(S.code1 & ~3, HANDLER + 0x260, 0xee));
  set(0x27, gate(S.conf0, HANDLER + 0x270, 0xee));
  set(0x28, gate(S.absentCode, HANDLER, 0xee));
  set(0x29, gate(S.data0, HANDLER, 0xee));
  set(0x2a, gate(S.code16, HANDLER + 0x2a0, 0xe7));
  set(0x2b, gate(S.tssB, 0, 0xe5));
  set(0x2c, gate(0, HANDLER, 0xee));
  set(0x2d, gate(S.tssV, 0, 0xe5));
  const set64 = (n, value) => v.setBigUint64(IDT64 + n * 16, value, true);
  set64(0x21, gate(S.code64, HANDLER + 0x210, 0xef));
  set64(0x22, gate(S.code64, HANDLER + 0x220, 0xee));
  set64(0x24, gate(S.code64, HANDLER + 0x240, 0xee, 1));
  set64(0x25, gate(S.code64, HANDLER, 0x6e));
  set64(0x26, gate(S.code0, HANDLER, 0xee));
  set64(0x28, gate(S.absentCode, HANDLER, 0xee));
  set64(0x29, gate(S.data0, HANDLER, 0xee));
  set64(0x2c, gate(0, HANDLER, 0xee));
  for (const [i, d] of gdt().entries()) v.setBigUint64(GDT + i * 8, d ?? 0n, true);
  const ldt = [0n, seg(0, 0xfffff, 0x9b, 12), seg(0x30000, 0xfff, 0xf3, 4), seg(0, 0xfffff, 0x1b, 12)];
  for (const [i, d] of ldt.entries()) v.setBigUint64(LDT + i * 8, d, true);
  for (let ring = 0; ring < 3; ring++) {
    const ss = [S.data0, S.data1, 0][ring];
    v.setUint32(TSS_A + 4 + ring * 8, STACK[ring] - 0x100, true);
    v.setUint16(TSS_A + 8 + ring * 8, ss, true);
  }
  v.setUint16(TSS_A + 0x66, 0x68, true);
  m.fill(0xff, TSS_A + 0x68 + 0x10, TSS_A + 0xff); // ports 80h.. closed
  v.setBigUint64(TSS_64 + 4, BigInt(STACK[0] - 0x100), true);
  v.setBigUint64(TSS_64 + 0xc, BigInt(STACK[1] - 0x100), true);
  v.setBigUint64(TSS_64 + 0x24, 0x24f08n, true);
  v.setUint16(TSS_64 + 0x66, 0x68, true);
  const tss32 = (at, fields) => {
    for (const [offset, value] of Object.entries(fields)) v.setUint32(at + Number(offset), value, true);
  };
  const registers = {
    0x28: 0xa0a0a0a0,
    0x2c: 0xc1c1c1c1,
    0x30: 0xd2d2d2d2,
    0x34: 0xb3b3b3b3,
    0x38: 0x25e00,
    0x3c: 0xb5b5b5b5,
    0x40: 0x51515151,
    0x44: 0xd1d1d1d1,
  };
  tss32(TSS_B, {
    ...registers,
    0x4: 0x20800,
    0x8: S.data0,
    0x20: TARGET + 0x800,
    0x24: 0x2,
    0x48: S.data0,
    0x4c: S.code0,
    0x50: S.data0,
    0x54: S.data0,
    0x58: S.data3,
    0x5c: 0,
    0x60: S.ldt,
    0x64: 0x680000,
  });
  tss32(TSS_V, {
    ...registers,
    0x4: 0x20800,
    0x8: S.data0,
    0x20: 0x800,
    0x24: 0x20002,
    0x38: 0xe00,
    0x48: 0x3000,
    0x4c: 0x900,
    0x50: 0x2500,
    0x54: 0x3100,
    0x58: 0x3200,
    0x5c: 0x3300,
    0x60: 0,
    0x64: 0x680000,
  });
  const words = [
    0,
    0x800,
    S.data0,
    0,
    0,
    0,
    0,
    TARGET + 0x900,
    0x2,
    0x1a1a,
    0x1c1c,
    0x1d1d,
    0x1b1b,
    0xe00,
    0x1515,
    0x1616,
    0x1717,
    S.data0,
    S.code16,
    S.data16,
    S.data0,
    S.ldt,
  ];
  for (const [i, w] of words.entries()) v.setUint16(TSS_C + i * 2, w, true);
  v.setBigUint64(0x10000, 0x11007n, true);
  v.setBigUint64(0x11000, 0x12007n, true);
  v.setBigUint64(0x12000, 0x87n, true);
  // Tables of the guarded modes: 4 KiB pages; user ones hold what runs at CPL 3 and pages 30h..37h of different rights.
  v.setBigUint64(0x14000, 0x15007n, true);
  v.setBigUint64(0x15000, 0x16007n, true);
  v.setBigUint64(0x16000, 0x17007n, true);
  const special = { 0x34: 0x5n, 0x35: 0x1n, 0x36: 0x6n, 0x37: (1n << 63n) | 7n };
  for (let i = 0; i < 512; i++) {
    const user = (i >= 0x8 && i < 0xa) || i === 0x22 || i === 0x23 || (i >= 0x30 && i < 0x38);
    v.setBigUint64(0x17000 + i * 8, BigInt(i * 4096) | (special[i] ?? (user ? 7n : 3n)), true);
  }
  for (let i = 0; i < 0x1000; i++) m[DATA + i] = (i * 37 + 11) & 0xff;
  return m;
}

const TABLES = `
lgdt [cs:gdtr]
lidt [cs:idtr]
`;
const DATA_LINES = `
gdtr: dw 0x1ff
 dd 0x2000
idtr: dw 0x7ff
 dd 0x3000
idtr64: dw 0xfff
 dd 0x4000,0
ivtr: dw 0x3ff
 dd 0
`;
const TO32 = `${TABLES}
mov eax, cr0
or al, 0x31
mov cr0, eax
jmp dword 8:p32
bits 32
p32: mov ax, 0x10
mov ds, ax
mov es, ax
mov ss, ax
mov fs, ax
mov gs, ax
mov esp, 0x20f00
`;
const TASK32 = "mov ax, 0x40\nlldt ax\nmov ax, 0x38\nltr ax\n";
const outer = (flags, cs, ip, extra = "") =>
  `${extra}push dword 0x2b\npush dword 0x23f00\npush dword ${flags}\npush dword ${cs}\npush dword ${ip}\nmov ax, 0x2b\nmov ds, ax\nmov es, ax\niretd\n`;
const TO64 = `
mov eax, 0x20
mov cr4, eax
mov eax, 0x10000
mov cr3, eax
mov ecx, 0xc0000080
mov eax, 0x901
xor edx, edx
wrmsr
mov eax, cr0
or eax, 0x80000000
mov cr0, eax
jmp dword 0x18:p64
bits 64
p64: lidt [idtr64]
mov ax, 0x120
lldt ax
mov ax, 0x110
ltr ax
mov ecx, 0xc0000081
mov edx, 0x00230008
xor eax, eax
wrmsr
mov ecx, 0xc0000082
mov eax, 0x9a00
xor edx, edx
wrmsr
mov ecx, 0xc0000083
mov eax, 0x9b00
wrmsr
mov ecx, 0xc0000084
mov eax, 0x500
wrmsr
mov ecx, 0xc0000102
mov eax, 0x12345678
wrmsr
`;
/** After TO64: WP, UMIP, FSGSBASE, OSXSAVE, SMEP, SMAP, and pages with rights. */
const GUARD = "mov rax, cr0\nor eax, 0x10000\nmov cr0, rax\nmov eax, 0x14000\nmov cr3, rax\nmov eax, 0x350e20\nmov cr4, rax\n";
const SYSENTER = "mov ecx, 0x174\nmov eax, 8\nxor edx, edx\nwrmsr\ninc ecx\nmov eax, 0x20700\nwrmsr\ninc ecx\nmov eax, 0x9c00\nwrmsr\n";

/** Set-up code by mode; each ends at CODE in that mode. 16-bit code at 7000h, CS base 0. */
export const MODES = {
  real: {
    bits: 16,
    asm: "lidt [cs:ivtr]\nmov ax, 0x3000\nmov ds, ax\nmov ax, 0x3010\nmov es, ax\nmov ax, 0x2000\nmov ss, ax\nmov sp, 0xf00\njmp 0:0x8000\n",
  },
  prot0: { bits: 32, asm: `${TO32}${TASK32}${SYSENTER}jmp 8:0x8000\n` },
  prot16: { bits: 16, asm: `${TO32}${TASK32}mov ax, 0x60\nmov ss, ax\nmov esp, 0xf00\njmp 0x58:0x8000\n` },
  prot3: { bits: 32, asm: `${TO32}${TASK32}${SYSENTER}${outer("0x2", "0x23", "0x8000")}` },
  prot3io: { bits: 32, asm: `${TO32}${TASK32}${outer("0x3202", "0x23", "0x8000")}` },
  v86: {
    bits: 16,
    asm: `${TO32}${TASK32}push dword 0x3300\npush dword 0x3200\npush dword 0x3100\npush dword 0x3000\npush dword 0x2300\npush dword 0xf00\npush dword 0x23002\npush dword 0\npush dword 0x8000\niretd\n`,
  },
  v86low: {
    bits: 16,
    asm: `${TO32}${TASK32}push dword 0x3300\npush dword 0x3200\npush dword 0x3100\npush dword 0x3000\npush dword 0x2300\npush dword 0xf00\npush dword 0x20002\npush dword 0\npush dword 0x8000\niretd\n`,
  },
  long0: { bits: 64, asm: `${TO32}${TO64}${SYSENTER}mov rsp, 0x20f00\njmp p8000\n`, end: true },
  long3: { bits: 64, asm: `${TO32}${TO64}${SYSENTER}push 0x2b\npush 0x23f00\npush 0x2\npush 0x33\npush 0x8000\niretq\n` },
  guard0: { bits: 64, asm: `${TO32}${TO64}mov byte [0x17040], 3\nmov byte [0x17048], 3\n${GUARD}mov rsp, 0x20f00\njmp p8000\n` },
  guard3: { bits: 64, asm: `${TO32}${TO64}push 0x2b\npush 0x23f00\npush 0x2\npush 0x33\npush 0x8000\n${GUARD}iretq\n` },
  compat3: { bits: 32, asm: `${TO32}${TO64}push 0x2b\npush 0x23f00\npush 0x2\npush 0x23\npush 0x8000\niretq\n` },
  compat0: { bits: 32, asm: `${TO32}${TO64}push 0x10\npush 0x20f00\npush 0x2\npush 0x08\npush 0x8000\niretq\n` },
};
export const stub = (mode) => `org 0x7000\nbits 16\n${MODES[mode].asm.replace("jmp p8000", "jmp 0x8000")}${DATA_LINES}`;
