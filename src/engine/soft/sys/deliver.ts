import { VECTOR } from "../../../isa/index.ts";
import type { EventType } from "../../api/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS, DS, ES, FS, GS, SS, VM_EXIT } from "../cpu.ts";
import { CPU } from "../state-layout.ts";
import type { Descriptor } from "./descriptor.ts";
import { checkTarget, loadCode, loadCodeAndStack, loadNull, readDescriptor, touch } from "./descriptor.ts";
import { innerStack, pushFrame, pushFrame64, tssPointer64 } from "./frames.ts";
import { switchTask, tssOfGate } from "./task.ts";
import { FLAG, gprHi, gprLo, gprWide, hi32, ipOf, isCanonical, linear, lo32, setGprWide, setIp, setSp, spAdd, spOf, stackAddress } from "./words.ts";
import { toWide, wide } from "./words.ts";
import { load, store } from "./memory.ts";

/** Delivery of interrupts and exceptions through IVT and IDT. SDM vol. 3A chapter 6, vol. 2 INT n, vol. 3B 20.1-20.3 (V86). */

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

/**
 * Delivers one event. RIP is that of the instruction (faults, software events) or of the next one (interrupts, traps);
 * `instructionLength` is added to the return address of software events. Throws GuestFault when delivery itself faults, with nothing changed
 * (but after the commit of a task switch).
 */
export function deliverEvent(cpu: Cpu, type: EventType, vector: number, errorCode: number | undefined, instructionLength: number): void {
  const returnIp = ipOf(cpu) + instructionLength;
  if ((cpu.cr0 & 1) === 0) {
    deliverReal(cpu, vector, returnIp);
    return;
  }
  const ext = type === "software-interrupt" || type === "software-exception" ? 0 : 1;
  let flags = cpu.eflags;
  // Fault-class exceptions restart with RF set, so that an instruction breakpoint does not strike twice. #DB says itself.
  if (type === "hardware-exception" && vector !== VECTOR.DB && vector !== VECTOR.BP && vector !== VECTOR.OF && vector !== VECTOR.DF && vector !== 18)
    flags |= FLAG.RF;
  const idtCode = vector * 8 + 2 + ext;
  if (cpu.longMode) {
    deliverLong(cpu, vector, errorCode, cpu.code64 ? returnIp : returnIp >>> 0, flags, ext, idtCode);
    return;
  }
  const offset = vector * 8;
  if (offset + 7 > cpu.idtrLimit) cpu.gp(idtCode);
  const la = (idtBase(cpu) + offset) >>> 0;
  const lo = load(cpu, la, 4, false) >>> 0;
  const hi = load(cpu, (la + 4) >>> 0, 4, false) >>> 0;
  const gateType = (hi >>> 8) & 0x1f;
  if (gateType !== 5 && gateType !== 6 && gateType !== 7 && gateType !== 14 && gateType !== 15) cpu.gp(idtCode);
  if (ext === 0 && ((hi >>> 13) & 3) < cpu.cpl) cpu.gp(idtCode);
  if ((hi & 0x8000) === 0) cpu.raise(VECTOR.NP, idtCode);
  const next = returnIp >>> 0;
  if (gateType === 5) {
    const tss = tssOfGate(cpu, lo >>> 16, ext);
    switchTask(cpu, tss, "gate", next, flags, instructionLength, errorCode, ext);
    return;
  }
  const size = gateType >= 14 ? 4 : 2;
  const ip = size === 4 ? ((lo & 0xffff) | (hi & 0xffff0000)) >>> 0 : lo & 0xffff;
  const d = gateCode(cpu, lo >>> 16, ext);
  const clear = CLEARED | ((gateType & 1) === 0 ? FLAG.IF : 0);
  const v86 = cpu.v86;
  const code = d.selector & 0xfffc;
  if (!d.conforming && d.dpl < cpu.cpl) {
    if (v86 && d.dpl !== 0) cpu.gp(code | ext);
    const stack = innerStack(cpu, d.dpl, ext);
    const ss = stack.descriptor;
    const frame = [cpu.selector(SS), gprLo(cpu, 4), flags, cpu.selector(CS), next];
    if (v86) frame.unshift(cpu.selector(GS), cpu.selector(FS), cpu.selector(DS), cpu.selector(ES));
    if (errorCode !== undefined) frame.push(errorCode);
    checkTarget(cpu, d, ip, ext);
    touch(cpu, d);
    const access = touch(cpu, ss);
    const sp = pushFrame(cpu, ss.base, ss.limit, access, stack.sp, size, frame, false, (ss.selector & 0xfffc) | ext);
    const cpl = d.dpl;
    cpu.systemFlags &= ~clear;
    loadCodeAndStack(cpu, d, ss, ss.selector, cpl);
    if (v86) {
      loadNull(cpu, ES, 0);
      loadNull(cpu, DS, 0);
      loadNull(cpu, FS, 0);
      loadNull(cpu, GS, 0);
    }
    setSp(cpu, sp);
    setIp(cpu, ip);
    return;
  }
  if (v86) cpu.gp(code | ext);
  const cpl = cpu.cpl;
  if (!d.conforming && d.dpl !== cpl) cpu.gp(code | ext);
  const frame = errorCode === undefined ? [flags, cpu.selector(CS), next] : [flags, cpu.selector(CS), next, errorCode];
  checkTarget(cpu, d, ip, ext);
  touch(cpu, d);
  const sp = pushFrame(cpu, cpu.baseNumber(SS), cpu.limit(SS), cpu.access(SS), gprLo(cpu, 4), size, frame, cpl === 3, ext);
  setSp(cpu, sp);
  cpu.systemFlags &= ~clear;
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
function deliverLong(cpu: Cpu, vector: number, errorCode: number | undefined, returnIp: number, flags: number, ext: number, idtCode: number): void {
  if (vector * 16 + 15 > cpu.idtrLimit) cpu.gp(idtCode);
  const la = idtBase(cpu) + vector * 16;
  const lo = load(cpu, la, 4, false) >>> 0;
  const hi = load(cpu, la + 4, 4, false) >>> 0;
  const gateType = (hi >>> 8) & 0x1f;
  if (gateType !== 14 && gateType !== 15) cpu.gp(idtCode);
  const cplOld = cpu.cpl;
  if (ext === 0 && ((hi >>> 13) & 3) < cplOld) cpu.gp(idtCode);
  if ((hi & 0x8000) === 0) cpu.raise(VECTOR.NP, idtCode);
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
  cpu.systemFlags &= ~(CLEARED | ((gateType & 1) === 0 ? FLAG.IF : 0));
  if (inner) loadCodeAndStack(cpu, d, undefined, cpl, cpl);
  else loadCode(cpu, d, cpl);
  setGprWide(cpu, 4, rsp);
  setIp(cpu, ip);
}

// ---- faults in delivery

/** SDM vol. 3A table 6-4: 0 benign, 1 contributory, 2 page fault, 3 double fault. */
function classOf(vector: number): number {
  if (vector === VECTOR.PF) return 2;
  if (vector === VECTOR.DF) return 3;
  return vector === 0 || (vector >= 10 && vector <= 13) || vector === 21 ? 1 : 0;
}

/** The exception exits to the monitor instead: exception bitmap. Sets `cpu.exit`. */
function intercepted(cpu: Cpu, vector: number, errorCode: number | undefined): boolean {
  if (((cpu.intercepts.exceptionBitmap >>> vector) & 1) === 0) return false;
  const qualification = vector === VECTOR.PF ? cpu.fault.address : 0n;
  cpu.exit = {
    kind: "exception",
    vector,
    errorCode,
    event: "hardware-exception",
    reason: 0,
    qualification,
    instructionLength: 0,
    instructionInfo: 0,
  };
  return true;
}

function tripleFault(cpu: Cpu): void {
  cpu.shutdown = true;
  cpu.exit = { kind: "triple-fault", reason: 2, qualification: 0n, instructionLength: 0, instructionInfo: 0 };
}

/**
 * Delivers an event whatever happens in between: faults in delivery become exceptions, double faults, a triple fault. Never throws;
 * look at `cpu.exit` afterwards (exception intercepts, task-switch exits, MMIO on the stack, triple fault). The event itself is not
 * subject to the exception bitmap (it is injected, or an interrupt).
 */
export function deliverAll(cpu: Cpu, type: EventType, vector: number, errorCode: number | undefined, instructionLength: number): void {
  let currentType = type;
  let v = vector;
  let code = errorCode;
  let length = instructionLength;
  for (;;) {
    cpu.delivering = v;
    try {
      deliverEvent(cpu, currentType, v, code, length);
      // Whatever was held off is so no longer (SDM vol. 3A 6.8.3).
      cpu.u32[CPU.shadow.offset >> 2] = 0;
      cpu.delivering = -1;
      return;
    } catch (thrown) {
      if (thrown !== cpu.fault) {
        cpu.delivering = -1;
        if (thrown === VM_EXIT) return;
        throw thrown;
      }
    }
    cpu.delivering = -1;
    const first = currentType === "hardware-exception" ? classOf(v) : 0;
    const second = classOf(cpu.fault.vector);
    length = 0;
    currentType = "hardware-exception";
    if (first === 3) {
      tripleFault(cpu);
      return;
    }
    if ((first === 1 && second === 1) || (first === 2 && second !== 0)) {
      v = VECTOR.DF;
      code = 0;
    } else {
      v = cpu.fault.vector;
      code = cpu.fault.errorCode;
    }
    if (intercepted(cpu, v, code)) return;
    if (cpu.fault.vector === VECTOR.PF) cpu.cr2 = cpu.fault.address;
  }
}

/** A hardware exception: exits when the monitor wants it, else delivered with double- and triple-fault logic. Never throws. */
export function raiseFault(cpu: Cpu, vector: number, errorCode: number | undefined): void {
  if (intercepted(cpu, vector, errorCode)) return;
  if (vector === VECTOR.PF) cpu.cr2 = cpu.fault.address;
  deliverAll(cpu, "hardware-exception", vector, errorCode, 0);
}

/**
 * A debug exception with the given DR6 conditions (B0-B3, BD, BS, BT). DR6 gathers them and DR7.GD is cleared, unless the monitor takes the
 * exception: then they are the exit's qualification.
 */
export function raiseDebug(cpu: Cpu, conditions: number): void {
  if ((cpu.intercepts.exceptionBitmap & 2) !== 0) {
    cpu.exit = {
      kind: "exception",
      vector: VECTOR.DB,
      errorCode: undefined,
      event: "hardware-exception",
      reason: 0,
      qualification: BigInt(conditions & 0x600f),
      instructionLength: 0,
      instructionInfo: 0,
    };
    return;
  }
  cpu.dr[6] = (cpu.dr[6] & ~0xfn) | 0xffff0ff0n | BigInt(conditions & 0xe00f);
  cpu.dr[7] &= ~0x2000n;
  deliverAll(cpu, "hardware-exception", VECTOR.DB, undefined, 0);
}
