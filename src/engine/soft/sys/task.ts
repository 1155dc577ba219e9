import { VECTOR } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { AR_UNUSABLE, CS, DS, ES, FS, GS, LDTR, SS, TR } from "../cpu.ts";
import { CPU } from "../state-layout.ts";
import { loadCr3, pdptesValid } from "./control.ts";
import { raiseFault } from "./deliver.ts";
import type { Descriptor } from "./descriptor.ts";
import { gdtBase, loadCode, loadNull, loadSeg, loadStack, loadV86, readDescriptor, readStack, setBusy, touch } from "./descriptor.ts";
import { CR0, CR4, FLAG, FLAGS_ALL, gprLo, push, setIp } from "./words.ts";
import { load, store } from "./memory.ts";

/** Hardware task switches (legacy protected mode only). SDM vol. 3A 7.2 and 7.3. */

export type TaskSource = "call" | "iret" | "jmp" | "gate";

/** Source code of the VM exit's qualification, bits 31:30. */
const SOURCE_CODE = { call: 0, iret: 1, jmp: 2, gate: 3 } as const satisfies Record<TaskSource, number>;

/** A TSS descriptor that may be switched to: available and present. */
export function availableTss(cpu: Cpu, d: Descriptor, ext: number): void {
  const code = (d.selector & 0xfffc) | ext;
  if (!d.system || (d.type & 7) !== 1) cpu.gp(code);
  if (!d.present) cpu.raise(VECTOR.NP, code);
}

/** The TSS that a task gate names. */
export function tssOfGate(cpu: Cpu, selector: number, ext: number): Descriptor {
  const code = (selector & 0xfffc) | ext;
  if ((selector & 4) !== 0 || (selector & 0xfffc) === 0) cpu.gp(code);
  const d = readDescriptor(cpu, selector, VECTOR.GP, ext);
  availableTss(cpu, d, ext);
  return d;
}

/** Offsets of the saved state. Registers are in encoding order, segments ES CS SS DS (FS GS). */
const TSS32 = { minimum: 0x67, ip: 0x20, flags: 0x24, gpr: 0x28, step: 4, seg: 0x48, segments: 6, ldt: 0x60, savedEnd: 0x5e } as const;
const TSS16 = { minimum: 0x2b, ip: 0x0e, flags: 0x10, gpr: 0x12, step: 2, seg: 0x22, segments: 4, ldt: 0x2a, savedEnd: 0x2a } as const;

/** Segment registers in TSS order: the machine's encoding order. */
const SEGMENT_ORDER = [ES, CS, SS, DS, FS, GS] as const;

/**
 * Switches to the task of the checked TSS descriptor `d`. Faults before the commit leave the old task as it was; later ones are delivered
 * here, in the new task. `flags` is what the old task's image gets.
 */
export function switchTask(
  cpu: Cpu,
  d: Descriptor,
  source: TaskSource,
  returnIp: number,
  flags: number,
  instructionLength: number,
  errorCode: number | undefined,
  ext: number,
): void {
  const is32 = (d.type & 8) !== 0;
  const shape = is32 ? TSS32 : TSS16;
  const tssCode = (d.selector & 0xfffc) | ext;
  if (d.limit < shape.minimum) cpu.raise(VECTOR.TS, tssCode);
  if (cpu.intercepts.taskSwitch) {
    const qualification = BigInt(((SOURCE_CODE[source] << 30) | d.selector) >>> 0);
    cpu.leave({ kind: "task-switch", selector: d.selector, reason: 9, qualification, instructionLength, instructionInfo: 0 });
  }
  const mmu = cpu.mmu;
  const oldBase = cpu.baseNumber(TR);
  const old32 = (cpu.access(TR) & 8) !== 0;
  const oldShape = old32 ? TSS32 : TSS16;
  const oldSelector = cpu.selector(TR);
  if (cpu.limit(TR) < oldShape.minimum) cpu.raise(VECTOR.TS, (oldSelector & 0xfffc) | ext);
  const oldDescriptor = (gdtBase(cpu) + (oldSelector & 0xfff8)) >>> 0;
  const base = d.base;
  const nested = source === "call" || source === "gate";

  // Everything that can fault in the old task: the pages of both TSSs and of the descriptors.
  const at = (b: number, offset: number): number => (b + offset) >>> 0;
  mmu.probeWrite(at(oldBase, oldShape.ip), 4, false);
  mmu.probeWrite(at(oldBase, oldShape.savedEnd - 4), 4, false);
  if (source !== "iret") mmu.probeWrite(at(d.address, 5), 1, false);
  if (!nested) mmu.probeWrite(at(oldDescriptor, 5), 1, false);
  if (nested) mmu.probeWrite(base, 2, false);
  const step = shape.step;
  const read = (offset: number): number => load(cpu, at(base, offset), step, false) >>> 0;
  const newIp = read(shape.ip);
  let newFlags = (read(shape.flags) & FLAGS_ALL) | 2;
  const registers: number[] = [];
  for (let i = 0; i < 8; i++) registers.push(read(shape.gpr + i * step));
  const selectors: number[] = [];
  for (let i = 0; i < shape.segments; i++) selectors.push(load(cpu, at(base, shape.seg + i * step), 2, false));
  const newLdt = load(cpu, at(base, shape.ldt), 2, false);
  const newCr3 = is32 ? load(cpu, at(base, 0x1c), 4, false) >>> 0 : 0;
  const trap = is32 && (load(cpu, at(base, 0x64), 2, false) & 1) !== 0;
  const paging = is32 && (cpu.cr0 & CR0.PG) !== 0;
  if (paging && (cpu.cr4 & CR4.PAE) !== 0 && !pdptesValid(cpu, newCr3)) cpu.raise(VECTOR.TS, tssCode);

  // Commit.
  if (!nested) setBusy(cpu, oldDescriptor, false);
  const oldStep = oldShape.step;
  const save = (offset: number, v: number): void => store(cpu, at(oldBase, offset), oldStep, old32 ? v >>> 0 : v & 0xffff, false);
  save(oldShape.ip, returnIp);
  save(oldShape.flags, source === "iret" ? flags & ~FLAG.NT : flags);
  for (let i = 0; i < 8; i++) save(oldShape.gpr + i * oldStep, gprLo(cpu, i));
  for (let i = 0; i < oldShape.segments; i++) store(cpu, at(oldBase, oldShape.seg + i * oldStep), 2, cpu.selector(SEGMENT_ORDER[i]), false);
  if (nested) {
    store(cpu, base, 2, oldSelector, false);
    newFlags |= FLAG.NT;
  }
  if (source !== "iret") setBusy(cpu, d.address, true);
  loadSeg(cpu, TR, d.selector, base, d.limit, d.access | 2);
  cpu.u32[CPU.cr0.offset >> 2] |= CR0.TS;
  if (paging) loadCr3(cpu, BigInt(newCr3), true);
  cpu.dr[7] &= ~0x155n;
  if (trap) cpu.pendingDebug |= 0x8000;
  for (let i = 0; i < 8; i++) {
    if (is32) cpu.setR32(i, registers[i]);
    else cpu.setR32(i, (registers[i] | 0xffff0000) >>> 0);
  }
  setIp(cpu, newIp);
  cpu.eflags = newFlags;
  try {
    enterSegments(cpu, selectors, newLdt, newFlags, ext);
    if (errorCode !== undefined) push(cpu, step, errorCode);
    if (newIp > cpu.limit(CS)) cpu.gp(ext);
  } catch (thrown) {
    if (thrown !== cpu.fault) throw thrown;
    // The switch is done: the fault is the new task's, before its first instruction.
    raiseFault(cpu, cpu.fault.vector, cpu.fault.errorCode);
    if (cpu.exit !== undefined) cpu.leave(cpu.exit);
  }
}

/** Loads LDTR and the segment registers of the new task; faults belong to it. */
function enterSegments(cpu: Cpu, selectors: readonly number[], ldt: number, flags: number, ext: number): void {
  const v86 = (flags & FLAG.VM) !== 0;
  const cs = selectors[1];
  const cpl = v86 ? 3 : cs & 3;
  // First only the selectors, so that a fault finds the new task's.
  for (let i = 0; i < 6; i++) loadSeg(cpu, SEGMENT_ORDER[i], selectors[i] ?? 0, 0, 0, AR_UNUSABLE | (i === 2 ? cpl << 5 : 0));
  loadSeg(cpu, LDTR, ldt, 0, 0, AR_UNUSABLE);
  if ((ldt & 4) !== 0) cpu.raise(VECTOR.TS, (ldt & 0xfffc) | ext);
  if ((ldt & 0xfffc) !== 0) {
    const d = readDescriptor(cpu, ldt, VECTOR.TS, ext);
    if (!d.system || d.type !== 2 || !d.present) cpu.raise(VECTOR.TS, (ldt & 0xfffc) | ext);
    loadSeg(cpu, LDTR, ldt, d.base, d.limit, d.access);
  }
  if (v86) {
    for (let i = 0; i < 6; i++) loadV86(cpu, SEGMENT_ORDER[i], selectors[i] ?? 0);
    return;
  }
  const csCode = (cs & 0xfffc) | ext;
  if ((cs & 0xfffc) === 0) cpu.raise(VECTOR.TS, csCode);
  const code = readDescriptor(cpu, cs, VECTOR.TS, ext);
  if (!code.code || (code.conforming ? code.dpl > cpl : code.dpl !== cpl)) cpu.raise(VECTOR.TS, csCode);
  if (!code.present) cpu.raise(VECTOR.NP, csCode);
  loadCode(cpu, code, cpl);
  const ss = selectors[2];
  if ((ss & 0xfffc) === 0) cpu.raise(VECTOR.TS, (ss & 0xfffc) | ext);
  loadStack(cpu, readStack(cpu, ss, cpl, VECTOR.TS, ext));
  for (const s of [ES, DS, FS, GS]) {
    const selector = selectors[s] ?? 0;
    if ((selector & 0xfffc) === 0) {
      loadNull(cpu, s, selector);
      continue;
    }
    const d = readDescriptor(cpu, selector, VECTOR.TS, ext);
    const errorCode = (selector & 0xfffc) | ext;
    if (!d.readable || (!d.conforming && (d.dpl < cpl || d.dpl < (selector & 3)))) cpu.raise(VECTOR.TS, errorCode);
    if (!d.present) cpu.raise(VECTOR.NP, errorCode);
    loadSeg(cpu, s, selector, d.base, d.limit, touch(cpu, d));
  }
}

/** IRET with NT set: back along the link of the current TSS. */
export function returnFromTask(cpu: Cpu, returnIp: number, instructionLength: number): void {
  const link = load(cpu, cpu.baseNumber(TR) >>> 0, 2, false);
  const code = link & 0xfffc;
  if ((link & 4) !== 0 || code === 0) cpu.raise(VECTOR.TS, code);
  const d = readDescriptor(cpu, link, VECTOR.TS);
  if (!d.system || (d.type & 7) !== 3) cpu.raise(VECTOR.TS, code);
  if (!d.present) cpu.raise(VECTOR.NP, code);
  switchTask(cpu, d, "iret", returnIp, cpu.eflags, instructionLength, undefined, 0);
}
