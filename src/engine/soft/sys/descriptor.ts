import { ACCESS, VECTOR } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS, DS, ES, FS, GS, LDTR, SS } from "../cpu-state.ts";
import { STATE } from "../state-layout.ts";
import { hi32, isCanonical, linear, lo32, toWide, wide } from "./words.ts";
import { hostForLoad, load, store } from "./memory.ts";

/** Segment descriptors: reading them with the documented checks, and loading segment registers from them. SDM vol. 3A chapters 3 and 5. */

export class Descriptor {
  readonly selector: number;
  /** Linear address of its first byte. */
  readonly address: number;
  readonly lo: number;
  /** Second dword; `touch` sets the accessed bit in it too. */
  hi: number;
  /** Upper half of a 64-bit system descriptor's base or gate's offset, else 0. */
  high = 0;

  constructor(selector: number, address: number, lo: number, hi: number) {
    this.selector = selector;
    this.address = address;
    this.lo = lo;
    this.hi = hi;
  }
  get base(): number {
    return ((this.lo >>> 16) | ((this.hi & 0xff) << 16) | (this.hi & 0xff000000)) >>> 0;
  }
  /** Base of a system descriptor that may have 64 bits. */
  get wideBase(): number {
    return wide(this.base, this.high);
  }
  get limit(): number {
    const raw = (this.lo & 0xffff) | (this.hi & 0xf0000);
    return (this.hi & 0x800000) !== 0 ? ((raw << 12) | 0xfff) >>> 0 : raw;
  }
  /** Access rights in the VMCS form. */
  get access(): number {
    return (this.hi >>> 8) & 0xf0ff;
  }
  get type(): number {
    return (this.hi >>> 8) & 0xf;
  }
  get dpl(): number {
    return (this.hi >>> 13) & 3;
  }
  get present(): boolean {
    return (this.hi & 0x8000) !== 0;
  }
  /** System descriptor (S = 0). */
  get system(): boolean {
    return (this.hi & 0x1000) === 0;
  }
  get code(): boolean {
    return (this.hi & 0x1800) === 0x1800;
  }
  get conforming(): boolean {
    return (this.hi & 0x1c00) === 0x1c00;
  }
  get writableData(): boolean {
    return (this.hi & 0x1a00) === 0x1200;
  }
  get readable(): boolean {
    return (this.hi & 0x1800) === 0x1000 || (this.hi & 0x1a00) === 0x1a00;
  }
  get longCode(): boolean {
    return (this.hi & 0x200000) !== 0;
  }
  get big(): boolean {
    return (this.hi & 0x400000) !== 0;
  }
  // Gates
  get gateSelector(): number {
    return this.lo >>> 16;
  }
  get gateOffset(): number {
    return ((this.lo & 0xffff) | (this.hi & 0xffff0000)) >>> 0;
  }
}

export function gdtBase(cpu: Cpu): number {
  return cpu.longMode ? toWide(cpu.gdtrBase) : Number(cpu.gdtrBase & 0xffff_ffffn);
}

/** Reads a descriptor; outside its table: exception `vector` with the selector as error code. The selector is not null. */
export function readDescriptor(cpu: Cpu, selector: number, vector: number = VECTOR.GP, ext = 0): Descriptor {
  const offset = selector & 0xfff8;
  let base: number;
  let limit: number;
  if ((selector & 4) !== 0) {
    if (!cpu.usable(LDTR)) cpu.raise(vector, (selector & 0xfffc) | ext);
    base = cpu.baseNumber(LDTR);
    limit = cpu.limit(LDTR);
  } else {
    base = gdtBase(cpu);
    limit = cpu.gdtrLimit;
  }
  if (offset + 7 > limit) cpu.raise(vector, (selector & 0xfffc) | ext);
  const la = linear(cpu, base + offset);
  const host = hostForLoad(cpu, la, 8, false);
  if (host !== 0) return new Descriptor(selector, la, cpu.view.getUint32(host, true), cpu.view.getUint32(host + 4, true));
  return new Descriptor(selector, la, load(cpu, la, 4, false) >>> 0, load(cpu, linear(cpu, la + 4), 4, false) >>> 0);
}

/** Reads the second half of a 16-byte system descriptor (IA-32e mode); its type field must be zero. */
export function readHighHalf(cpu: Cpu, d: Descriptor, vector: number = VECTOR.GP, ext = 0): void {
  const offset = d.selector & 0xfff8;
  const limit = (d.selector & 4) !== 0 ? cpu.limit(LDTR) : cpu.gdtrLimit;
  const code = (d.selector & 0xfffc) | ext;
  if (offset + 15 > limit) cpu.raise(vector, code);
  d.high = load(cpu, d.address + 8, 4, false) >>> 0;
  if ((load(cpu, d.address + 12, 4, false) & 0x1f00) !== 0) cpu.raise(vector, code);
}

/** Sets the accessed bit in memory if it is clear; gives the access rights with it. */
export function touch(cpu: Cpu, d: Descriptor): number {
  if ((d.hi & 0x100) === 0) {
    store(cpu, linear(cpu, d.address + 5), 1, ((d.hi >>> 8) & 0xff) | 1, false);
    d.hi |= 0x100;
  }
  return d.access;
}

/** Rewrites the type byte of a system descriptor in memory (TSS busy bit). */
export function setBusy(cpu: Cpu, address: number, busy: boolean): void {
  const at = linear(cpu, address + 5);
  const byte = load(cpu, at, 1, false);
  store(cpu, at, 1, busy ? byte | 2 : byte & ~2, false);
}

/**
 * Stores the parts of a segment register (base: unsigned 32-bit or wide) without what follows from them: CS and SS loaded together
 * need one `cpu.updateMode()`.
 */
export function setSeg(cpu: Cpu, s: number, selector: number, base: number, limit: number, access: number): void {
  cpu.setSelector(s, selector);
  const i = STATE.segBase.u32 + s * 2;
  cpu.u32[i] = lo32(base);
  cpu.u32[i + 1] = base >= 0 && base < 0x100000000 ? 0 : hi32(base);
  cpu.u32[STATE.segLimit.u32 + s] = limit;
  cpu.u32[STATE.segAccess.u32 + s] = access;
}

/** As `cpu.loadSegment`, with the base as number (unsigned 32-bit or wide). */
export function loadSeg(cpu: Cpu, s: number, selector: number, base: number, limit: number, access: number): void {
  setSeg(cpu, s, selector, base, limit, access);
  cpu.updateSegment(s);
}

/** CS and SS (undefined: null, for 64-bit code) of a change of privilege to `cpl`, from checked descriptors. */
export function loadCodeAndStack(cpu: Cpu, code: Descriptor, stack: Descriptor | undefined, stackSelector: number, cpl: number): void {
  if (stack === undefined) setSeg(cpu, SS, stackSelector, 0, 0, ACCESS.UNUSABLE | (cpl << 5));
  else setSeg(cpu, SS, stackSelector, stack.base, stack.limit, touch(cpu, stack));
  setSeg(cpu, CS, (code.selector & 0xfffc) | cpl, code.base, code.limit, touch(cpu, code));
  cpu.updateMode();
}

/** Makes a data segment register null: unusable until loaded. */
export function loadNull(cpu: Cpu, s: number, selector: number): void {
  loadSeg(cpu, s, selector, 0, 0, ACCESS.UNUSABLE);
}

/** Null SS of 64-bit code; SS.DPL carries the CPL. */
export function loadNullStack(cpu: Cpu, selector: number, cpl: number): void {
  loadSeg(cpu, SS, selector, 0, 0, ACCESS.UNUSABLE | (cpl << 5));
}

/** Virtual-8086 values of a segment register. */
export function loadV86(cpu: Cpu, s: number, selector: number): void {
  loadSeg(cpu, s, selector, selector << 4, 0xffff, 0xf3);
}

/** Loads CS from a checked code descriptor with the given privilege in its RPL. */
export function loadCode(cpu: Cpu, d: Descriptor, cpl: number): void {
  loadSeg(cpu, CS, (d.selector & 0xfffc) | cpl, d.base, d.limit, touch(cpu, d));
}

/** Loads SS from a checked data descriptor. */
export function loadStack(cpu: Cpu, d: Descriptor): void {
  loadSeg(cpu, SS, d.selector, d.base, d.limit, touch(cpu, d));
}

/**
 * The checks of a stack segment for privilege `cpl`: limits, RPL, type, DPL give `vector` (#GP or #TS), absence gives #SS.
 * The selector is not null.
 */
export function readStack(cpu: Cpu, selector: number, cpl: number, vector: number = VECTOR.GP, ext = 0): Descriptor {
  const d = readDescriptor(cpu, selector, vector, ext);
  const code = (selector & 0xfffc) | ext;
  if ((selector & 3) !== cpl || !d.writableData || d.dpl !== cpl) cpu.raise(vector, code);
  if (!d.present) cpu.raise(VECTOR.SS, code);
  return d;
}

/** Loads ES, SS, DS, FS or GS as MOV, POP and LxS do, in every mode. */
export function loadDataSegment(cpu: Cpu, s: number, selector: number): void {
  if (cpu.realOrV86) {
    cpu.loadRealSegment(s, selector);
    return;
  }
  const cpl = cpu.cpl;
  if ((selector & 0xfffc) === 0) {
    if (s !== SS) loadNull(cpu, s, selector);
    else if (cpu.code64 && cpl !== 3 && (selector & 3) === cpl) loadNullStack(cpu, selector, cpl);
    else cpu.gp(0);
    return;
  }
  if (s === SS) {
    loadStack(cpu, readStack(cpu, selector, cpl));
    return;
  }
  const d = readDescriptor(cpu, selector);
  const code = selector & 0xfffc;
  if (!d.readable) cpu.gp(code);
  if (!d.conforming && ((selector & 3) > d.dpl || cpl > d.dpl)) cpu.gp(code);
  if (!d.present) cpu.raise(VECTOR.NP, code);
  loadSeg(cpu, s, selector, d.base, d.limit, touch(cpu, d));
}

/**
 * After a return to an outer level: data segments that the new CPL may not use become null. Only the selector does (SDM vol. 2 IRET, RET); what
 * was loaded stays, and 64-bit code uses the bases of FS and GS with a null selector too.
 */
export function dropInnerSegments(cpu: Cpu): void {
  const cpl = cpu.cpl;
  for (const s of [ES, DS, FS, GS]) {
    const access = cpu.access(s);
    const conforming = (access & 0xc) === 0xc;
    const unusable = (access & ACCESS.UNUSABLE) !== 0;
    if (!unusable && (((access >> 5) & 3) >= cpl || conforming)) continue;
    cpu.setSelector(s, 0);
    cpu.u32[STATE.segAccess.u32 + s] = access | ACCESS.UNUSABLE;
    cpu.updateSegment(s);
  }
}

/** Is a range of `size` bytes at `offset` inside a stack or data segment given by its parts? */
export function inSegment(limit: number, access: number, offset: number, size: number): boolean {
  if ((access & 0x1c) === 0x14) return offset > limit && offset + size - 1 <= ((access & 0x4000) !== 0 ? 0xffffffff : 0xffff);
  return offset + size - 1 <= limit;
}

/** Checks a wide IP against what CS will be: canonical for 64-bit code, the limit elsewhere. #GP(code). */
export function checkTarget(cpu: Cpu, d: Descriptor, ip: number, code = 0): void {
  if (cpu.longMode && d.longCode) {
    if (!isCanonical(ip)) cpu.gp(code);
  } else if (ip < 0 || ip > d.limit) cpu.gp(code);
}
