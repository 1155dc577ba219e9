import { CR4, FLAG, VECTOR } from "../../../isa/index.ts";
import type { EventType } from "../../api/index.ts";
import type { Insn } from "../../../isa/insn.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { CS, DS, ES, FS, GS, SS, TR } from "../cpu-state.ts";
import { deliverEvent, returnFromTask } from "./deliver.ts";
import { deliverVirtual } from "./gates.ts";
import { checkTarget, loadCode, loadV86, touch } from "./descriptor.ts";
import { common } from "../exits.ts";
import { readReturnCode, returnOuter } from "./far.ts";
import { frameHi, frameLo, linear, nextIp, peek, readFrame, setFlags, setIp, setSp, spAdd, spOf, wide } from "./words.ts";
import { load } from "./memory.ts";

/** INT n, INT3, INTO, INT1 and IRET in every mode. SDM vol. 2, vol. 3B chapter 20. */

/** VME: does the TSS redirect this software interrupt to the program's own handler? (Bit clear = yes.) */
function redirected(cpu: Cpu, vector: number): boolean {
  if ((cpu.cr4 & CR4.VME) === 0 || (cpu.access(TR) & 8) === 0) return false;
  const base = cpu.baseNumber(TR);
  const limit = cpu.limit(TR);
  if (limit < 0x67) return false;
  // The 32 bytes lie just below the I/O bitmap.
  const at = load(cpu, linear(cpu, base + 0x66), 2, false) - 32 + (vector >> 3);
  if (at < 0 || at > limit) return false;
  return ((load(cpu, linear(cpu, base + at), 1, false) >> (vector & 7)) & 1) === 0;
}

/** Delivers what the instruction is there for. Delivery clears TF: no single-step trap comes behind it (SDM vol. 3B 18.3.1.4). */
function deliverSoftware(cpu: Cpu, insn: Insn, type: EventType, vector: number): "jump" {
  deliverEvent(cpu, type, vector, undefined, insn.length);
  cpu.singleStep = false;
  return "jump";
}

const intN: SystemHelper = (cpu, insn) => {
  const op = insn.operands[0];
  const vector = op.kind === "imm" ? op.lo & 0xff : 0;
  if (cpu.v86) {
    if (redirected(cpu, vector)) {
      deliverVirtual(cpu, vector, nextIp(cpu, insn));
      cpu.singleStep = false;
      return "jump";
    }
    if (cpu.iopl < 3) cpu.gp(0);
  }
  return deliverSoftware(cpu, insn, "software-interrupt", vector);
};

/** INT3, INTO, INT1: exceptions that the exception bitmap takes. */
function softwareException(cpu: Cpu, insn: Insn, type: EventType, vector: number): "jump" {
  if (((cpu.intercepts.exceptionBitmap >>> vector) & 1) !== 0) {
    cpu.leave({ kind: "exception", vector, errorCode: undefined, event: type, ...common("exception", insn) });
  }
  return deliverSoftware(cpu, insn, type, vector);
}

const into: SystemHelper = (cpu, insn) => ((cpu.eflags & FLAG.OF) === 0 ? "next" : softwareException(cpu, insn, "software-exception", VECTOR.OF));

// ---- IRET

/** Flags an IRET may change at CPL 0. */
const CHANGED_ALWAYS = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT;
const CHANGED_32 = FLAG.RF | FLAG.AC | FLAG.ID;

function mergeFlags(cpu: Cpu, image: number, mask: number): void {
  setFlags(cpu, (cpu.eflags & ~mask) | (image & mask));
}

const iret: SystemHelper = (cpu, insn) => {
  const size = insn.opSize >> 3;
  if ((cpu.cr0 & 1) === 0) {
    iretReal(cpu, size, CHANGED_ALWAYS | FLAG.IF | FLAG.IOPL | (size === 2 ? 0 : CHANGED_32));
    cpu.nmiBlocked = false;
    return "jump";
  }
  if (cpu.v86) iretV86(cpu, size);
  else if ((cpu.systemFlags & FLAG.NT) !== 0) {
    if (cpu.longMode) cpu.gp(0);
    returnFromTask(cpu, nextIp(cpu, insn), insn.length);
  } else iretProtected(cpu, size);
  cpu.nmiBlocked = false;
  return "jump";
};

/** IP, CS, FLAGS as in real mode, under a mask of flags. */
function iretReal(cpu: Cpu, size: number, mask: number): void {
  const ip = peek(cpu, 0, size);
  const selector = peek(cpu, size, size) & 0xffff;
  const image = peek(cpu, 2 * size, size);
  if (ip > cpu.limit(CS)) cpu.gp(0);
  setSp(cpu, spAdd(cpu, spOf(cpu), 3 * size));
  cpu.loadRealSegment(CS, selector);
  cpu.eip = ip;
  mergeFlags(cpu, image, mask);
}

function iretV86(cpu: Cpu, size: number): void {
  const wideMask = size === 2 ? 0 : CHANGED_32;
  if (cpu.iopl === 3) {
    iretReal(cpu, size, CHANGED_ALWAYS | FLAG.IF | wideMask);
    return;
  }
  if (size !== 2 || (cpu.cr4 & CR4.VME) === 0) cpu.gp(0);
  const image = peek(cpu, 4, 2);
  if ((image & FLAG.TF) !== 0 || ((image & FLAG.IF) !== 0 && (cpu.systemFlags & FLAG.VIP) !== 0)) cpu.gp(0);
  iretReal(cpu, size, CHANGED_ALWAYS);
  cpu.systemFlags = (cpu.systemFlags & ~FLAG.VIF) | ((image & FLAG.IF) !== 0 ? FLAG.VIF : 0);
}

/** Protected mode and IA-32e mode, NT clear. */
function iretProtected(cpu: Cpu, size: number): void {
  const code64 = cpu.code64;
  readFrame(cpu, code64 ? 5 : 3, size);
  const ip = wide(frameLo[0], frameHi[0]);
  const selector = frameLo[1] & 0xffff;
  const image = frameLo[2];
  let sp = wide(frameLo[3], frameHi[3]);
  let ss = frameLo[4] & 0xffff;
  const cpl = cpu.cpl;
  if (size === 4 && (image & FLAG.VM) !== 0 && cpl === 0 && !cpu.longMode) {
    iretToV86(cpu, ip, selector, image);
    return;
  }
  const d = readReturnCode(cpu, selector);
  const rpl = selector & 3;
  let mask = CHANGED_ALWAYS;
  if (size !== 2) mask |= CHANGED_32;
  if (cpl <= cpu.iopl) mask |= FLAG.IF;
  if (cpl === 0) mask |= size === 2 ? FLAG.IOPL : FLAG.IOPL | FLAG.VIF | FLAG.VIP;
  if (rpl !== cpl || code64) {
    if (!code64) {
      sp = peek(cpu, 3 * size, size);
      ss = peek(cpu, 4 * size, size) & 0xffff;
    }
    returnOuter(cpu, d, { ip, ss, sp, release: 0 }, size);
  } else {
    checkTarget(cpu, d, ip);
    touch(cpu, d);
    setSp(cpu, spAdd(cpu, spOf(cpu), 3 * size));
    loadCode(cpu, d, rpl);
    setIp(cpu, ip);
  }
  mergeFlags(cpu, image, mask);
}

function iretToV86(cpu: Cpu, ip: number, selector: number, image: number): void {
  const sp = peek(cpu, 12, 4);
  const ss = peek(cpu, 16, 4) & 0xffff;
  const es = peek(cpu, 20, 4) & 0xffff;
  const ds = peek(cpu, 24, 4) & 0xffff;
  const fs = peek(cpu, 28, 4) & 0xffff;
  const gs = peek(cpu, 32, 4) & 0xffff;
  if (ip > 0xffff) cpu.gp(0);
  cpu.eflags = image & (CHANGED_ALWAYS | CHANGED_32 | FLAG.IF | FLAG.IOPL | FLAG.VM | FLAG.VIF | FLAG.VIP);
  loadV86(cpu, CS, selector);
  loadV86(cpu, SS, ss);
  loadV86(cpu, ES, es);
  loadV86(cpu, DS, ds);
  loadV86(cpu, FS, fs);
  loadV86(cpu, GS, gs);
  cpu.setR32(4, sp);
  cpu.eip = ip;
}

export const INTERRUPTS: Readonly<Record<string, SystemHelper>> = {
  int: intN,
  int3: (cpu, insn) => softwareException(cpu, insn, "software-exception", VECTOR.BP),
  int1: (cpu, insn) => softwareException(cpu, insn, "privileged-exception", VECTOR.DB),
  into,
  iret,
};
