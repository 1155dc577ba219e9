import { FLAG, SELECTOR_ERROR, SYSTEM_TYPE, VECTOR } from "../../../isa/index.ts";
import type { EventType } from "../../api/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS, DS, ES, FS, GS, SS } from "../cpu-state.ts";
import type { Descriptor } from "./descriptor.ts";
import { checkTarget, loadCode, loadCodeAndStack, loadNull, readDescriptor, touch } from "./descriptor.ts";
import { innerStack, pushFrame, pushFrame64, tssPointer64 } from "./frames.ts";
import { switchTask, tssOfGate } from "./task.ts";
import { gprHi, gprLo, gprWide, hi32, ipOf, isCanonical, linear, lo32, setGprWide, setIp, setSp, spAdd, spOf, stackAddress } from "./words.ts";
import { toWide, wide } from "./words.ts";
import { load, store } from "./memory.ts";

/** Interrupts and exceptions through IVT and IDT. SDM vol. 3A chapter 6, vol. 2 INT n, vol. 3B 20.1-20.3 (V86). */

/** Flags that delivery through a gate clears; IF by interrupt gates only. */
const CLEARED = FLAG.TF | FLAG.VM | FLAG.RF | FLAG.NT;

function idtBase(cpu: Cpu): number {
  const b = cpu.idtrBase;
  if (b === 0n) return 0;
  return cpu.longMode ? toWide(b) : Number(b & 0xffff_ffffn);
}

/** Pushes FLAGS, CS, IP (16 bits each) and takes CS:IP from an IVT at `table`. */
function deliverIvt(cpu: Cpu, entry: number, flags: number, returnIp: number, user: boolean): void {
  const sp = spOf(cpu);
  const sp1 = spAdd(cpu, sp, -2);
  const sp2 = spAdd(cpu, sp1, -2);
  const sp3 = spAdd(cpu, sp2, -2);
  const mmu = cpu.mmu;
  const la1 = stackAddress(cpu, sp1, 2, true);
  const la2 = stackAddress(cpu, sp2, 2, true);
  const la3 = stackAddress(cpu, sp3, 2, true);
  const vector = load(cpu, entry, 4, user);
  const ip = vector & 0xffff;
  if (ip > cpu.limit(CS)) cpu.gp(0);
  if (((la1 ^ la3) & ~0xfff) !== 0) {
    mmu.probeWrite(la3, 2, user);
    mmu.probeWrite(la2, 2, user);
  }
  store(cpu, la1, 2, flags & 0xffff, user);
  store(cpu, la2, 2, cpu.selector(CS), user);
  store(cpu, la3, 2, returnIp & 0xffff, user);
  setSp(cpu, sp3);
  cpu.loadRealSegment(CS, vector >>> 16);
  cpu.eip = ip;
}

/** Real-address mode: no error codes, no gates. */
function deliverReal(cpu: Cpu, vector: number, returnIp: number): void {
  if (vector * 4 + 3 > cpu.idtrLimit) cpu.gp(vector * 8 + 2);
  const base = idtBase(cpu);
  deliverIvt(cpu, base === 0 ? vector * 4 : linear(cpu, base + vector * 4), cpu.eflags, returnIp, false);
  cpu.systemFlags &= ~(FLAG.IF | FLAG.TF | FLAG.AC | FLAG.RF);
}

/** INT n in virtual-8086 mode through the program's own IVT at linear 0 (VME). SDM vol. 3B 20.3.3, methods 5 and 6. */
export function deliverVirtual(cpu: Cpu, vector: number, returnIp: number): void {
  let flags = cpu.eflags;
  const sensitive = cpu.iopl < 3;
  if (sensitive) flags = (flags & ~FLAG.IF) | FLAG.IOPL | ((flags & FLAG.VIF) !== 0 ? FLAG.IF : 0);
  deliverIvt(cpu, vector * 4, flags, returnIp, true);
  cpu.systemFlags &= ~(FLAG.TF | FLAG.RF | (sensitive ? FLAG.VIF : FLAG.IF));
}

/** An interrupt or exception to be delivered, as the tables need it. */
interface Delivery {
  readonly vector: number;
  readonly errorCode: number | undefined;
  readonly returnIp: number;
  /** The image that is pushed. */
  readonly flags: number;
  /** Bit 0 of error codes: not by an instruction. */
  readonly ext: number;
}
/** The error code that names an entry of the IDT. */
const idtCode = ({ vector, ext }: Delivery): number => vector * 8 + SELECTOR_ERROR.IDT + ext;

/**
 * Takes one event through IVT or IDT. RIP is that of the instruction (faults, software events) or of the next one (interrupts, traps);
 * `instructionLength` is added to the return address of software events. Throws GuestFault when that itself faults, with nothing changed.
 * False: there is a fault of the new task of a task gate in `cpu.fault`.
 */
export function throughTable(cpu: Cpu, type: EventType, vector: number, errorCode: number | undefined, instructionLength: number): boolean {
  const returnIp = ipOf(cpu) + instructionLength;
  if (!cpu.protectedMode) {
    deliverReal(cpu, vector, returnIp);
    return true;
  }
  const ext = type === "software-interrupt" || type === "software-exception" ? 0 : SELECTOR_ERROR.EXT;
  let flags = cpu.eflags;
  // Fault-class exceptions restart with RF set, so that an instruction breakpoint does not strike twice. #DB says itself.
  if (type === "hardware-exception" && !NO_RESUME.has(vector)) flags |= FLAG.RF;
  if (cpu.longMode) {
    deliverLong(cpu, { vector, errorCode, returnIp: cpu.code64 ? returnIp : returnIp >>> 0, flags, ext });
    return true;
  }
  const e: Delivery = { vector, errorCode, returnIp: returnIp >>> 0, flags, ext };
  const offset = vector * 8;
  if (offset + 7 > cpu.idtrLimit) cpu.gp(idtCode(e));
  const la = (idtBase(cpu) + offset) >>> 0;
  const lo = load(cpu, la, 4, false) >>> 0;
  const hi = load(cpu, (la + 4) >>> 0, 4, false) >>> 0;
  const gateType = (hi >>> 8) & 0x1f;
  if (!GATES.has(gateType)) cpu.gp(idtCode(e));
  if (ext === 0 && ((hi >>> 13) & 3) < cpu.cpl) cpu.gp(idtCode(e));
  if ((hi & 0x8000) === 0) cpu.raise(VECTOR.NP, idtCode(e));
  if (gateType === SYSTEM_TYPE.TASK_GATE) {
    const tss = tssOfGate(cpu, lo >>> 16, ext);
    return switchTask(cpu, { tss, source: "gate", returnIp: e.returnIp, flags, instructionLength, errorCode, ext });
  }
  const d = gateCode(cpu, lo >>> 16, ext);
  const size = gateType >= SYSTEM_TYPE.INTERRUPT_GATE ? 4 : 2;
  const gate: Gate = { ip: size === 4 ? ((lo & 0xffff) | (hi & 0xffff0000)) >>> 0 : lo & 0xffff, size, cleared: clearedBy(gateType) };
  if (!d.conforming && d.dpl < cpu.cpl) toInnerLevel(cpu, d, gate, e);
  else toSameLevel(cpu, d, gate, e);
  return true;
}
/** What an interrupt or trap gate says besides its segment. */
interface Gate {
  readonly ip: number;
  /** Bytes of an item on the stack. */
  readonly size: 2 | 4;
  /** Flags that it clears. */
  readonly cleared: number;
}
const GATES: ReadonlySet<number> = new Set([
  SYSTEM_TYPE.TASK_GATE,
  SYSTEM_TYPE.INTERRUPT_GATE16,
  SYSTEM_TYPE.TRAP_GATE16,
  SYSTEM_TYPE.INTERRUPT_GATE,
  SYSTEM_TYPE.TRAP_GATE,
]);
/** Exceptions whose image of RFLAGS keeps RF as it is: traps, aborts, and #DB. */
const NO_RESUME: ReadonlySet<number> = new Set([VECTOR.DB, VECTOR.BP, VECTOR.OF, VECTOR.DF, VECTOR.MC]);
const clearedBy = (gateType: number): number => CLEARED | ((gateType & 1) === 0 ? FLAG.IF : 0);

function toInnerLevel(cpu: Cpu, d: Descriptor, { ip, size, cleared }: Gate, { errorCode, returnIp, flags, ext }: Delivery): void {
  const { v86 } = cpu;
  if (v86 && d.dpl !== 0) cpu.gp((d.selector & 0xfffc) | ext);
  const stack = innerStack(cpu, d.dpl, ext);
  const ss = stack.descriptor;
  const frame = [cpu.selector(SS), gprLo(cpu, 4), flags, cpu.selector(CS), returnIp];
  if (v86) frame.unshift(cpu.selector(GS), cpu.selector(FS), cpu.selector(DS), cpu.selector(ES));
  if (errorCode !== undefined) frame.push(errorCode);
  checkTarget(cpu, d, ip, ext);
  touch(cpu, d);
  const access = touch(cpu, ss);
  const sp = pushFrame(cpu, { base: ss.base, limit: ss.limit, access, sp: stack.sp }, size, frame, false, (ss.selector & 0xfffc) | ext);
  cpu.systemFlags &= ~cleared;
  loadCodeAndStack(cpu, d, ss, ss.selector, d.dpl);
  if (v86) for (const s of [ES, DS, FS, GS]) loadNull(cpu, s, 0);
  setSp(cpu, sp);
  setIp(cpu, ip);
}

function toSameLevel(cpu: Cpu, d: Descriptor, { ip, size, cleared }: Gate, { errorCode, returnIp, flags, ext }: Delivery): void {
  const { cpl } = cpu;
  if (cpu.v86 || (!d.conforming && d.dpl !== cpl)) cpu.gp((d.selector & 0xfffc) | ext);
  const frame = errorCode === undefined ? [flags, cpu.selector(CS), returnIp] : [flags, cpu.selector(CS), returnIp, errorCode];
  checkTarget(cpu, d, ip, ext);
  touch(cpu, d);
  const sp = pushFrame(
    cpu,
    { base: cpu.baseNumber(SS), limit: cpu.limit(SS), access: cpu.access(SS), sp: gprLo(cpu, 4) },
    size,
    frame,
    cpl === 3,
    ext,
  );
  setSp(cpu, sp);
  cpu.systemFlags &= ~cleared;
  loadCode(cpu, d, cpl);
  setIp(cpu, ip);
}

/** The code segment of an interrupt or trap gate. */
function gateCode(cpu: Cpu, selector: number, ext: number): Descriptor {
  if ((selector & 0xfffc) === 0) cpu.gp(ext);
  const d = readDescriptor(cpu, selector, VECTOR.GP, ext);
  const code = (selector & 0xfffc) | ext;
  if (!d.code || d.dpl > cpu.cpl) cpu.gp(code);
  if (cpu.longMode && (!d.longCode || d.big)) cpu.gp(code);
  if (!d.present) cpu.raise(VECTOR.NP, code);
  return d;
}

/** IA-32e mode: 16-byte gates, IST, always SS:RSP in the frame, RSP aligned. */
function deliverLong(cpu: Cpu, e: Delivery): void {
  const { vector, errorCode, returnIp, flags, ext } = e;
  if (vector * 16 + 15 > cpu.idtrLimit) cpu.gp(idtCode(e));
  const la = idtBase(cpu) + vector * 16;
  const lo = load(cpu, la, 4, false) >>> 0;
  const hi = load(cpu, la + 4, 4, false) >>> 0;
  const gateType = (hi >>> 8) & 0x1f;
  if (gateType !== SYSTEM_TYPE.INTERRUPT_GATE && gateType !== SYSTEM_TYPE.TRAP_GATE) cpu.gp(idtCode(e));
  const cplOld = cpu.cpl;
  if (ext === 0 && ((hi >>> 13) & 3) < cplOld) cpu.gp(idtCode(e));
  if ((hi & 0x8000) === 0) cpu.raise(VECTOR.NP, idtCode(e));
  const ip = wide(((lo & 0xffff) | (hi & 0xffff0000)) >>> 0, load(cpu, la + 8, 4, false));
  const d = gateCode(cpu, lo >>> 16, ext);
  const ist = hi & 7;
  const inner = !d.conforming && d.dpl < cplOld;
  if (!inner && !d.conforming && d.dpl !== cplOld) cpu.gp((d.selector & 0xfffc) | ext);
  const cpl = inner ? d.dpl : cplOld;
  let rsp = ist !== 0 ? tssPointer64(cpu, ist * 8 + 0x1c, ext) : inner ? tssPointer64(cpu, d.dpl * 8 + 4, ext) : gprWide(cpu, 4);
  if (!isCanonical(rsp)) cpu.raise(VECTOR.SS, ext);
  if (!isCanonical(ip)) cpu.gp(ext);
  rsp -= ((rsp % 16) + 16) % 16;
  const frame = [cpu.selector(SS), 0, gprLo(cpu, 4), gprHi(cpu, 4), flags, 0, cpu.selector(CS), 0, lo32(returnIp), hi32(returnIp)];
  if (errorCode !== undefined) frame.push(errorCode, 0);
  touch(cpu, d);
  rsp = pushFrame64(cpu, rsp, frame, cpl === 3, ext);
  cpu.systemFlags &= ~clearedBy(gateType);
  if (inner) loadCodeAndStack(cpu, d, undefined, cpl, cpl);
  else loadCode(cpu, d, cpl);
  setGprWide(cpu, 4, rsp);
  setIp(cpu, ip);
}
