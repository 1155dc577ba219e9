import { ACCESS, CR0, CR4, DR6, FLAG, FLAGS_DEFINED, VECTOR } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS, DS, ES, FS, GS, LDTR, SS, TR } from "../cpu-state.ts";
import { plain } from "../exits.ts";
import { STATE } from "../state-layout.ts";
import { loadCr3, pdptesValid } from "./control.ts";
import type { Descriptor } from "./descriptor.ts";
import { gdtBase, loadCode, loadNull, loadSeg, loadStack, loadV86, readDescriptor, readStack, setBusy, touch } from "./descriptor.ts";
import { gprLo, push, setIp } from "./words.ts";
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

/** A switch to the task of a checked TSS descriptor. */
export interface TaskSwitch {
  readonly tss: Descriptor;
  readonly source: TaskSource;
  readonly returnIp: number;
  /** What the old task's image gets. */
  readonly flags: number;
  readonly instructionLength: number;
  readonly errorCode?: number | undefined;
  /** Bit 0 of error codes. */
  readonly ext: number;
}

/** L0 to L3 and LE. */
const LOCAL_BREAKPOINTS = 0x155n;

type TssLayout = typeof TSS32 | typeof TSS16;
const layoutOf = (type: number): TssLayout => ((type & 8) !== 0 ? TSS32 : TSS16);
const at = (base: number, offset: number): number => (base + offset) >>> 0;
const oldDescriptor = (cpu: Cpu): number => at(gdtBase(cpu), cpu.selector(TR) & 0xfff8);
const isNested = (source: TaskSource): boolean => source === "call" || source === "gate";

/** Everything that can fault in the old task: the pages of both TSSs and of the descriptors. */
function probeTask(cpu: Cpu, { tss, source }: TaskSwitch): void {
  const { mmu } = cpu;
  const oldBase = cpu.baseNumber(TR);
  const old = layoutOf(cpu.access(TR));
  mmu.probeWrite(at(oldBase, old.ip), 4, false);
  mmu.probeWrite(at(oldBase, old.savedEnd - 4), 4, false);
  if (source !== "iret") mmu.probeWrite(at(tss.address, 5), 1, false);
  if (!isNested(source)) mmu.probeWrite(at(oldDescriptor(cpu), 5), 1, false);
  else mmu.probeWrite(tss.base, 2, false);
}

/** The state that a TSS holds. */
interface TaskState {
  readonly ip: number;
  readonly flags: number;
  readonly registers: readonly number[];
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly cr3: number;
  /** The T bit: #DB when the task begins. */
  readonly trap: boolean;
}
function readTask(cpu: Cpu, { base, type }: Descriptor): TaskState {
  const shape = layoutOf(type);
  const is32 = shape === TSS32;
  const read = (offset: number): number => load(cpu, at(base, offset), shape.step, false) >>> 0;
  const word = (offset: number): number => load(cpu, at(base, offset), 2, false);
  return {
    ip: read(shape.ip),
    flags: (read(shape.flags) & FLAGS_DEFINED) | FLAG.FIXED,
    registers: Array.from({ length: 8 }, (_, i) => read(shape.gpr + i * shape.step)),
    selectors: Array.from({ length: shape.segments }, (_, i) => word(shape.seg + i * shape.step)),
    ldt: word(shape.ldt),
    cr3: is32 ? read(0x1c) : 0,
    trap: is32 && (word(0x64) & 1) !== 0,
  };
}
function saveTask(cpu: Cpu, returnIp: number, flags: number): void {
  const base = cpu.baseNumber(TR);
  const shape = layoutOf(cpu.access(TR));
  const { step } = shape;
  const save = (offset: number, v: number): void => store(cpu, at(base, offset), step, step === 4 ? v >>> 0 : v & 0xffff, false);
  save(shape.ip, returnIp);
  save(shape.flags, flags);
  for (let i = 0; i < 8; i++) save(shape.gpr + i * step, gprLo(cpu, i));
  for (let i = 0; i < shape.segments; i++) store(cpu, at(base, shape.seg + i * step), 2, cpu.selector(SEGMENT_ORDER[i]), false);
}

/**
 * Switches tasks. Faults before the commit are thrown and leave the old task as it was. False: there is one in `cpu.fault` from behind the commit;
 * it is the new task's, before its first instruction.
 */
export function switchTask(cpu: Cpu, to: TaskSwitch): boolean {
  const { tss, source, ext } = to;
  const tssCode = (tss.selector & 0xfffc) | ext;
  const is32 = layoutOf(tss.type) === TSS32;
  if (tss.limit < layoutOf(tss.type).minimum) cpu.raise(VECTOR.TS, tssCode);
  if (cpu.intercepts.taskSwitch) {
    const qualification = BigInt(((SOURCE_CODE[source] << 30) | tss.selector) >>> 0);
    cpu.leave({ kind: "task-switch", selector: tss.selector, ...plain("task-switch", qualification), instructionLength: to.instructionLength });
  }
  const oldSelector = cpu.selector(TR);
  if (cpu.limit(TR) < layoutOf(cpu.access(TR)).minimum) cpu.raise(VECTOR.TS, (oldSelector & 0xfffc) | ext);
  probeTask(cpu, to);
  const task = readTask(cpu, tss);
  const paging = is32 && (cpu.cr0 & CR0.PG) !== 0;
  if (paging && (cpu.cr4 & CR4.PAE) !== 0 && !pdptesValid(cpu, task.cr3)) cpu.raise(VECTOR.TS, tssCode);

  // Commit.
  const nested = isNested(source);
  if (!nested) setBusy(cpu, oldDescriptor(cpu), false);
  saveTask(cpu, to.returnIp, source === "iret" ? to.flags & ~FLAG.NT : to.flags);
  if (nested) store(cpu, tss.base, 2, oldSelector, false);
  if (source !== "iret") setBusy(cpu, tss.address, true);
  loadSeg(cpu, TR, tss.selector, tss.base, tss.limit, tss.access | 2);
  cpu.u32[STATE.cr0.u32] |= CR0.TS;
  if (paging) loadCr3(cpu, BigInt(task.cr3), true);
  cpu.dr[7] &= ~LOCAL_BREAKPOINTS;
  if (task.trap) cpu.pendingDebug |= DR6.BT;
  for (const [i, value] of task.registers.entries()) cpu.setR32(i, is32 ? value : (value | 0xffff0000) >>> 0);
  setIp(cpu, task.ip);
  const flags = nested ? task.flags | FLAG.NT : task.flags;
  cpu.eflags = flags;
  try {
    enterSegments(cpu, task.selectors, task.ldt, flags, ext);
    if (to.errorCode !== undefined) push(cpu, layoutOf(tss.type).step, to.errorCode);
    if (task.ip > cpu.limit(CS)) cpu.gp(ext);
  } catch (thrown) {
    if (thrown !== cpu.fault) throw thrown;
    return false;
  }
  return true;
}

/** Loads LDTR and the segment registers of the new task; faults belong to it. */
function enterSegments(cpu: Cpu, selectors: readonly number[], ldt: number, flags: number, ext: number): void {
  const v86 = (flags & FLAG.VM) !== 0;
  const cs = selectors[1];
  const cpl = v86 ? 3 : cs & 3;
  // First only the selectors, so that a fault finds the new task's.
  for (let i = 0; i < 6; i++) loadSeg(cpu, SEGMENT_ORDER[i], selectors[i] ?? 0, 0, 0, ACCESS.UNUSABLE | (i === 2 ? cpl << 5 : 0));
  loadSeg(cpu, LDTR, ldt, 0, 0, ACCESS.UNUSABLE);
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

/** The TSS that IRET with NT set goes back to: along the link of the current one. */
export function linkedTss(cpu: Cpu): Descriptor {
  const link = load(cpu, cpu.baseNumber(TR) >>> 0, 2, false);
  const code = link & 0xfffc;
  if ((link & 4) !== 0 || code === 0) cpu.raise(VECTOR.TS, code);
  const d = readDescriptor(cpu, link, VECTOR.TS);
  if (!d.system || (d.type & 7) !== 3) cpu.raise(VECTOR.TS, code);
  if (!d.present) cpu.raise(VECTOR.NP, code);
  return d;
}
