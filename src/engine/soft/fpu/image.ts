import { CR0, CR4, VECTOR } from "../../../isa/index.ts";
import type { Insn, MemoryOperand } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { STATE } from "../state-layout.ts";
import { initialize } from "./control.ts";
import { imageAddress, linearAddress, plus } from "./memory.ts";
import { available, top, updateSummary } from "./stack.ts";
import { statusWord } from "./state.ts";

/**
 * Whole-state images: FXSAVE, FXRSTOR (SDM vol. 1 10.5) and the XSAVE family (chapter 13) with two components, x87 and SSE. What XSAVE,
 * XSAVEOPT and XSAVEC write, and what they leave alone, was compared with a processor. XSAVEOPT knows the init optimisation only.
 */

/** The image in words: 128 of the legacy region, 16 of the XSAVE header. */
const W = new Uint32Array(144);
const HEADER = 128;
const FPR = STATE.fpr.offset;
const XMM = STATE.xmm.u32;
const MXCSR = STATE.mxcsr.u32;
const IP = STATE.fpuIp.u32;
const DP = STATE.fpuDp.u32;
const MXCSR_MASK = 0xffff;
const MXCSR_INIT = 0x1f80;
const X87 = 1,
  SSE = 2;
/** Where the parts lie, in words: x87 without MXCSR and its mask, then XMM registers. */
const CONTROL_WORDS = 6,
  MXCSR_WORD = 6,
  ST_WORD = 8,
  XMM_WORD = 40;

/** XMM registers that the mode has, in words. */
const xmmWords = (cpu: Cpu): number => (cpu.code64 ? 64 : 32);

function gatherX87(cpu: Cpu, wide: boolean): void {
  const u32 = cpu.u32;
  W[0] = cpu.u16[STATE.fpuControl.u16] | (statusWord(cpu) << 16);
  W[1] = (~u32[STATE.fpuEmpty.u32] & 0xff) | (cpu.u16[STATE.fpuOpcode.u16] << 16);
  W[2] = u32[IP];
  W[3] = wide ? u32[IP + 1] : cpu.u16[STATE.fpuCs.u16];
  W[4] = u32[DP];
  W[5] = wide ? u32[DP + 1] : cpu.u16[STATE.fpuDs.u16];
  for (let i = 0; i < 8; i++) {
    const from = (FPR + ((top(cpu) + i) & 7) * 16) >> 2;
    W[ST_WORD + i * 4] = u32[from];
    W[ST_WORD + i * 4 + 1] = u32[from + 1];
    W[ST_WORD + i * 4 + 2] = u32[from + 2] & 0xffff;
    W[ST_WORD + i * 4 + 3] = 0;
  }
}
function gatherSse(cpu: Cpu): void {
  W[MXCSR_WORD] = cpu.u32[MXCSR];
  W[MXCSR_WORD + 1] = MXCSR_MASK;
  for (let i = 0; i < xmmWords(cpu); i++) W[XMM_WORD + i] = cpu.u32[XMM + i];
}
function applyX87(cpu: Cpu, wide: boolean): void {
  const u32 = cpu.u32;
  cpu.u16[STATE.fpuControl.u16] = (W[0] & 0x1f3f) | 0x40;
  cpu.u16[STATE.fpuStatus.u16] = (W[0] >>> 16) & ~0x3800;
  u32[STATE.fpuTop.u32] = (W[0] >>> 27) & 7;
  u32[STATE.fpuEmpty.u32] = ~W[1] & 0xff;
  cpu.u16[STATE.fpuOpcode.u16] = (W[1] >>> 16) & 0x7ff;
  updateSummary(cpu);
  u32[IP] = W[2];
  u32[DP] = W[4];
  u32[IP + 1] = wide ? W[3] : 0;
  u32[DP + 1] = wide ? W[5] : 0;
  if (!wide) {
    cpu.u16[STATE.fpuCs.u16] = W[3];
    cpu.u16[STATE.fpuDs.u16] = W[5];
  }
  for (let i = 0; i < 8; i++) {
    const to = FPR + ((top(cpu) + i) & 7) * 16;
    u32[to >> 2] = W[ST_WORD + i * 4];
    u32[(to >> 2) + 1] = W[ST_WORD + i * 4 + 1];
    cpu.u16[(to + 8) >> 1] = W[ST_WORD + i * 4 + 2];
  }
}
function applyXmm(cpu: Cpu): void {
  for (let i = 0; i < xmmWords(cpu); i++) cpu.u32[XMM + i] = W[XMM_WORD + i];
}

/** Words [from, to) of the image to memory at `la` + 4 * from; the whole has been probed. */
function copyOut(cpu: Cpu, la: number, from: number, to: number): void {
  const user = cpu.cpl === 3;
  for (let i = from; i < to; ) {
    const at = plus(cpu, la, i * 4);
    const end = Math.min(to, i + ((4096 - (at & 0xfff)) >> 2));
    const host = cpu.mmu.hostWrite(at, user) >>> 2;
    if (host !== 0) for (let j = i; j < end; j++) cpu.u32[host + j - i] = W[j];
    else for (let j = i; j < end; j++) cpu.mmu.write(plus(cpu, la, j * 4), 4, W[j], user);
    i = end;
  }
}
function copyIn(cpu: Cpu, la: number, from: number, to: number): void {
  const user = cpu.cpl === 3;
  for (let i = from; i < to; ) {
    const at = plus(cpu, la, i * 4);
    const end = Math.min(to, i + ((4096 - (at & 0xfff)) >> 2));
    const host = cpu.mmu.hostRead(at, user) >>> 2;
    if (host !== 0) for (let j = i; j < end; j++) W[j] = cpu.u32[host + j - i];
    else for (let j = i; j < end; j++) W[j] = cpu.mmu.read(plus(cpu, la, j * 4), 4, user);
    i = end;
  }
}

function operand(cpu: Cpu, insn: Insn): MemoryOperand {
  const op = insn.operands[0];
  return op !== undefined && op.kind === "mem" ? op : cpu.ud();
}

// ---- FXSAVE and FXRSTOR
/** The XMM part is saved when the processor has SSE and the system said that it knows (CR4.OSFXSR). */
function withXmm(cpu: Cpu): boolean {
  return cpu.features.sse && (cpu.cr4 & CR4.OSFXSR) !== 0;
}
function fxAddress(cpu: Cpu, insn: Insn, write: boolean): number {
  const op = operand(cpu, insn);
  if ((linearAddress(cpu, insn, op, 512, write) & 15) !== 0) cpu.gp(0);
  return imageAddress(cpu, insn, op, 512, write);
}
const fxsave: SystemHelper = (cpu, insn) => {
  available(cpu);
  const la = fxAddress(cpu, insn, true);
  cpu.probeWrite(la, 512);
  gatherX87(cpu, insn.opSize === 64);
  gatherSse(cpu);
  if (cpu.features.sse) copyOut(cpu, la, 0, withXmm(cpu) ? XMM_WORD + xmmWords(cpu) : XMM_WORD);
  else {
    copyOut(cpu, la, 0, CONTROL_WORDS);
    copyOut(cpu, la, ST_WORD, XMM_WORD);
  }
  return "next";
};
const fxrstor: SystemHelper = (cpu, insn) => {
  available(cpu);
  // The last byte must be readable too: fxAddress touches it.
  const la = fxAddress(cpu, insn, false);
  const sse = cpu.features.sse;
  const xmm = withXmm(cpu);
  copyIn(cpu, la, 0, xmm ? XMM_WORD + xmmWords(cpu) : XMM_WORD);
  if (sse && (W[MXCSR_WORD] & ~MXCSR_MASK) !== 0) cpu.gp(0);
  applyX87(cpu, insn.opSize === 64);
  if (sse) cpu.u32[MXCSR] = W[MXCSR_WORD];
  if (xmm) applyXmm(cpu);
  return "next";
};

// ---- the XSAVE family
/** Components that are not in their initial configuration (SDM vol. 1 13.6). */
export function inUse(cpu: Cpu): number {
  const u32 = cpu.u32;
  let bits = 0;
  for (let i = 0; i < xmmWords(cpu); i++) if (u32[XMM + i] !== 0) bits = SSE;
  const initial =
    cpu.u16[STATE.fpuControl.u16] === 0x37f &&
    statusWord(cpu) === 0 &&
    (u32[STATE.fpuEmpty.u32] & 0xff) === 0xff &&
    (cpu.u16[STATE.fpuOpcode.u16] | cpu.u16[STATE.fpuCs.u16] | cpu.u16[STATE.fpuDs.u16]) === 0 &&
    (u32[IP] | u32[IP + 1] | u32[DP] | u32[DP + 1]) === 0;
  if (!initial) return bits | X87;
  for (let i = 0; i < 8; i++) {
    const at = (FPR + i * 16) >> 2;
    if ((u32[at] | u32[at + 1] | (u32[at + 2] & 0xffff)) !== 0) return bits | X87;
  }
  return bits;
}
/** What the instruction asks for of what the system enabled: XCR0 and EDX:EAX. */
function requested(cpu: Cpu): number {
  return Number(cpu.xcr0 & 3n) & cpu.r32(0);
}
const XSAVE_BYTES = 576;
function xAddress(cpu: Cpu, insn: Insn, write: boolean): number {
  if ((cpu.cr4 & CR4.OSXSAVE) === 0) cpu.ud();
  if ((cpu.cr0 & CR0.TS) !== 0) cpu.raise(VECTOR.NM);
  const op = operand(cpu, insn);
  const la = linearAddress(cpu, insn, op, XSAVE_BYTES, write);
  if ((la & 63) !== 0) cpu.gp(0);
  return la;
}

/** Looks whether the image can be written: the header's last byte first, then from the first part asked for. Measured. */
function probeParts(cpu: Cpu, la: number, mask: number): void {
  cpu.probeWrite(plus(cpu, la, XSAVE_BYTES - 1), 1);
  if (mask === 0) return;
  const from = (mask & X87) !== 0 ? 0 : MXCSR_WORD * 4;
  cpu.probeWrite(plus(cpu, la, from), ((mask & SSE) !== 0 ? 416 : XMM_WORD * 4) - from);
}
/** `saved`: the components to write; XSTATE_BV is written by the caller. */
function saveParts(cpu: Cpu, insn: Insn, la: number, saved: number, mxcsr: boolean): void {
  if ((saved & X87) !== 0) {
    gatherX87(cpu, insn.opSize === 64);
    copyOut(cpu, la, 0, CONTROL_WORDS);
    copyOut(cpu, la, ST_WORD, XMM_WORD);
  }
  if (mxcsr || (saved & SSE) !== 0) gatherSse(cpu);
  if (mxcsr) copyOut(cpu, la, MXCSR_WORD, ST_WORD);
  if ((saved & SSE) !== 0) copyOut(cpu, la, XMM_WORD, XMM_WORD + xmmWords(cpu));
}
const xsaveStandard =
  (optimise: boolean): SystemHelper =>
  (cpu, insn) => {
    const la = xAddress(cpu, insn, true);
    const mask = requested(cpu);
    const used = inUse(cpu);
    probeParts(cpu, la, mask);
    copyIn(cpu, la, HEADER, HEADER + 2);
    saveParts(cpu, insn, la, optimise ? mask & used : mask, (mask & SSE) !== 0);
    W[HEADER] = (W[HEADER] & ~mask) | (mask & used);
    copyOut(cpu, la, HEADER, HEADER + 2);
    return "next";
  };
const xsavec: SystemHelper = (cpu, insn) => {
  const la = xAddress(cpu, insn, true);
  const mask = requested(cpu);
  probeParts(cpu, la, mask);
  // Compacted images have MXCSR inside the SSE component: it is in use as soon as MXCSR is not at its default (13.10).
  const saved = mask & (inUse(cpu) | (cpu.u32[MXCSR] === MXCSR_INIT ? 0 : SSE));
  saveParts(cpu, insn, la, saved, (saved & SSE) !== 0);
  W[HEADER] = saved;
  W[HEADER + 1] = 0;
  W[HEADER + 2] = mask;
  W[HEADER + 3] = 0x80000000;
  copyOut(cpu, la, HEADER, HEADER + 4);
  return "next";
};
const xrstor: SystemHelper = (cpu, insn) => {
  const la = xAddress(cpu, insn, false);
  const enabled = Number(cpu.xcr0 & 3n);
  // XCOMP_BV is what a processor reads first.
  cpu.mmu.read(plus(cpu, la, 520), 4, cpu.cpl === 3);
  copyIn(cpu, la, HEADER, HEADER + 16);
  const present = W[HEADER];
  const format = W[HEADER + 2];
  const compact = W[HEADER + 3] === 0x80000000 && cpu.features.xsavec;
  let rest = W[HEADER + 1] | W[HEADER + 4] | W[HEADER + 5];
  if (compact) {
    for (let i = 6; i < 16; i++) rest |= W[HEADER + i];
    rest |= (format & ~enabled) | (present & ~format);
  } else rest |= (present & ~enabled) | format | W[HEADER + 3];
  if (rest !== 0) cpu.gp(0);
  const mask = requested(cpu);
  const load = mask & present;
  // The standard form loads MXCSR whenever SSE is asked for.
  const mxcsr = ((compact ? load : mask) & SSE) !== 0;
  if ((load & X87) !== 0) {
    copyIn(cpu, la, 0, CONTROL_WORDS);
    copyIn(cpu, la, ST_WORD, XMM_WORD);
  }
  if (mxcsr) {
    copyIn(cpu, la, MXCSR_WORD, ST_WORD);
    if ((W[MXCSR_WORD] & ~MXCSR_MASK) !== 0) cpu.gp(0);
  }
  if ((load & SSE) !== 0) copyIn(cpu, la, XMM_WORD, XMM_WORD + xmmWords(cpu));

  if ((load & X87) !== 0) applyX87(cpu, insn.opSize === 64);
  else if ((mask & X87) !== 0) {
    initialize(cpu);
    cpu.u8.fill(0, FPR, FPR + 128);
  }
  if (mxcsr) cpu.u32[MXCSR] = W[MXCSR_WORD];
  else if ((mask & SSE) !== 0) cpu.u32[MXCSR] = MXCSR_INIT;
  if ((mask & SSE) !== 0) {
    if ((load & SSE) === 0) W.fill(0, XMM_WORD, XMM_WORD + 64);
    applyXmm(cpu);
  }
  return "next";
};

export const IMAGES: Readonly<Record<string, SystemHelper>> = {
  fxsave,
  fxrstor,
  xsave: xsaveStandard(false),
  xsaveopt: xsaveStandard(true),
  xsavec,
  xrstor,
};
