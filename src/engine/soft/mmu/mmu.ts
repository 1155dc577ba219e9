import { CR0, CR4, FLAG, PAGE_ACCESS, PAGE_SIZE, PageWalker, VECTOR } from "../../../isa/index.ts";
import type { CpuState } from "../cpu-state.ts";
import { STATE, type CpuPlace, cpuPlace } from "../state-layout.ts";
import { Breakpoints } from "./breakpoints.ts";
import { type CodeBlocks, type CodeLookups, NO_BLOCKS, NO_LOOKUPS } from "./code-watch.ts";
import { PhysicalAccess } from "./physical-access.ts";
import type { PhysicalMap } from "./physical.ts";
import { Tlb } from "./tlb.ts";

const { WRITE, USER, FETCH, AC } = PAGE_ACCESS;
const PAGE = PAGE_SIZE;
/** Answer of `slowProbe`: each access goes through the slow arms. */
const SLOWLY = 1;
const SCRATCH = STATE.scratch.offset;

/** `write` or `read` with the privilege. */
const accessOf = (user: boolean, write: boolean): number => (user ? USER : 0) | (write ? WRITE : 0);

/**
 * Linear addresses to memory: page walks, the TLB that generated code looks into, and the slow arms behind it (page crossings, MMIO, ROM,
 * pages with decoded code, breakpoints, faults). A linear address is a `number`: unsigned 32-bit, or signed canonical in IA-32e mode.
 */
export class Mmu {
  readonly cpu: CpuState;
  readonly physical: PhysicalMap;
  readonly access: PhysicalAccess;
  readonly breakpoints: Breakpoints;
  readonly tlb: Tlb;
  readonly #walker: PageWalker;
  #blocks: CodeBlocks = NO_BLOCKS;
  #lookups: CodeLookups = NO_LOOKUPS;
  /** The A20 gate is open. */
  #a20 = true;
  /** #AC is on: CPL 3, CR0.AM, EFLAGS.AC. */
  alignment = false;

  constructor(cpu: CpuState, physical: PhysicalMap, place: CpuPlace = cpuPlace(0, 1)) {
    this.cpu = cpu;
    this.physical = physical;
    this.access = new PhysicalAccess(cpu, physical, NO_BLOCKS);
    this.breakpoints = new Breakpoints(cpu);
    this.tlb = new Tlb(cpu, place.tlbAreas);
    const tables = {
      read32: (gpa: number): number => physical.read32(this.a20(gpa)),
      write32: (gpa: number, value: number): void => physical.write32(this.a20(gpa), value),
    };
    this.#walker = new PageWalker(tables, cpu.features.gbPages);
  }
  /** Who keeps decoded code from now on: of all CPUs, and what this one remembers of it. */
  keepCode(blocks: CodeBlocks, lookups: CodeLookups): void {
    this.#blocks = this.access.blocks = blocks;
    this.#lookups = lookups;
  }

  // ---- what changes translations
  /** Forgets translations; global pages too when asked. Decoded blocks stay (they are kept by physical address). */
  flushAll(includingGlobal: boolean): void {
    this.tlb.flush(includingGlobal);
    this.#lookups.linearChanged(!includingGlobal);
  }
  flushPage(la: number): void {
    if (this.tlb.flushPage(la)) this.#lookups.linearChanged(false);
    else this.#lookups.pageChanged(la);
  }
  setA20(enabled: boolean): void {
    if (this.#a20 === enabled) return;
    this.#a20 = enabled;
    this.flushAll(true);
  }
  /** CR0/CR4/EFER/CPL/EFLAGS.VM/AC or CS changed: which TLB is in use, which blocks are valid. */
  modeChanged(): void {
    const cpu = this.cpu;
    const cpl = cpu.u32[STATE.cpl.u32];
    const ac = (cpu.systemFlags & FLAG.AC) !== 0;
    this.breakpoints.update();
    this.alignment = cpl === 3 && ac && (cpu.cr0 & CR0.AM) !== 0;
    // SMAP: supervisor accesses reach user pages only with EFLAGS.AC; implicit ones at CPL 3 never.
    this.tlb.guard((cpu.cr4 & CR4.SMAP) !== 0 && (cpl === 3 || !ac));
    cpu.u32[STATE.tlbBase.u32] = this.breakpoints.data || this.alignment ? this.tlb.never : cpl === 3 ? this.tlb.user : this.tlb.supervisor;
    this.#lookups.modeChanged();
  }
  /** A page got its first decoded code: stores to it must look at the bitmap. */
  protectCodePage(page: number, bitmap: number): void {
    this.tlb.protect(Math.abs(this.physical.page(page)) * PAGE, bitmap);
  }

  // ---- translation
  /** Guest-physical address for an access (bits of PAGE_ACCESS but AC), or -1 with the page fault in `cpu.fault`. */
  translate(la: number, access: number): number {
    const { cpu } = this;
    const walker = this.#walker;
    walker.load(cpu.cr0, cpu.u32[STATE.cr3.u32], cpu.u32[STATE.cr3.u32 + 1], cpu.cr4, cpu.efer, cpu.pdptes);
    // Implicit supervisor accesses come at CPL 3, and are never excepted from SMAP.
    const excepted = cpu.cpl !== 3 && (cpu.systemFlags & FLAG.AC) !== 0;
    const gpa = walker.walk(la, excepted ? access | AC : access);
    if (gpa < 0) {
      cpu.fault.vector = VECTOR.PF;
      cpu.fault.errorCode = walker.errorCode;
      cpu.fault.address = BigInt.asUintN(64, BigInt(la));
      return -1;
    }
    if (walker.level !== 0 && (access & FETCH) !== 0) this.tlb.noteLarge(la, walker.level);
    return this.a20(gpa);
  }
  /** Whether the last translation was of a global page. */
  get global(): boolean {
    return this.#walker.global;
  }
  a20(gpa: number): number {
    if (this.#a20) return gpa;
    return gpa < 0x100000000 ? (gpa & ~0x100000) >>> 0 : Math.floor(gpa / 0x100000000) * 0x100000000 + ((gpa & ~0x100000) >>> 0);
  }
  /** Enters a successful RAM translation into the TLB in use for that privilege. `entry`: of its page, not 0. */
  #fill(la: number, gpa: number, entry: number, write: boolean, user: boolean): void {
    const { global, level } = this.#walker;
    const at = this.tlb.enter(la, Math.abs(entry) * PAGE, user, global, level);
    if (!write || entry < 0) return;
    this.physical.pageWritten(entry);
    this.tlb.allowWrites(at, la, this.#blocks.bitmap(Math.floor(gpa / PAGE)));
  }
  #next(la: number, by: number): number {
    const sum = la + by;
    return this.cpu.code64 || this.cpu.longMode ? sum : sum >>> 0;
  }

  // ---- slow arms: return false with a fault (cpu.fault) or an exit (cpu.exit) recorded
  /** Reads 1, 2, 4, 8 or 16 bytes into STATE.scratch. */
  slowRead(la: number, bytes: number, user: boolean): boolean {
    if (this.breakpoints.data) this.cpu.pendingDebug |= this.breakpoints.onData(la, bytes, false);
    const complete = (la & 0xfff) + bytes > PAGE ? this.#readAcross(la, bytes, user) : this.#readWithin(la, bytes, user);
    this.access.endRead();
    return complete;
  }
  #readWithin(la: number, bytes: number, user: boolean): boolean {
    const { u8, u32 } = this.cpu;
    const { access } = this;
    const gpa = this.translate(la, accessOf(user, false));
    if (gpa < 0) return false;
    const entry = access.page(Math.floor(gpa / PAGE));
    if (entry !== 0) {
      this.#fill(la, gpa, entry, false, user);
      const host = Math.abs(entry) * PAGE + (gpa & 0xfff);
      for (let i = 0; i < bytes; i++) u8[SCRATCH + i] = u8[host + i];
      return true;
    }
    for (let i = 0; i < bytes; i += 4) {
      const v = access.read(gpa + i, bytes === 1 ? 1 : bytes === 2 ? 2 : 4);
      if (v < 0) return false;
      u32[(SCRATCH + i) >> 2] = v;
    }
    return true;
  }
  /** Both pages are translated before either is read; MMIO side effects come last. */
  #readAcross(la: number, bytes: number, user: boolean): boolean {
    const n = PAGE - (la & 0xfff);
    const first = this.translate(la, accessOf(user, false));
    if (first < 0) return false;
    const second = this.translate(this.#next(la, n), accessOf(user, false));
    if (second < 0) return false;
    for (let i = 0; i < bytes; i++) {
      const v = this.access.read(i < n ? first + i : second + i - n, 1);
      if (v < 0) return false;
      this.cpu.u8[SCRATCH + i] = v;
    }
    return true;
  }
  /** Writes 1, 2, 4, 8 or 16 bytes from STATE.scratch. */
  slowWrite(la: number, bytes: number, user: boolean): boolean {
    if (this.breakpoints.data) this.cpu.pendingDebug |= this.breakpoints.onData(la, bytes, true);
    const complete = (la & 0xfff) + bytes > PAGE ? this.#writeAcross(la, bytes, user) : this.#writeWithin(la, bytes, user);
    this.access.endWrite();
    return complete;
  }
  #writeWithin(la: number, bytes: number, user: boolean): boolean {
    const { u8, u16, u32 } = this.cpu;
    const { access } = this;
    const gpa = this.translate(la, accessOf(user, true));
    if (gpa < 0) return false;
    const entry = access.page(Math.floor(gpa / PAGE));
    if (entry > 0) this.#fill(la, gpa, entry, true, user);
    if (bytes === 1) return access.write(gpa, 1, u8[SCRATCH]);
    if (bytes === 2) return access.write(gpa, 2, u16[SCRATCH >> 1]);
    for (let i = 0; i < bytes; i += 4) if (!access.write(gpa + i, 4, u32[(SCRATCH + i) >> 2])) return false;
    return true;
  }
  #writeAcross(la: number, bytes: number, user: boolean): boolean {
    const n = PAGE - (la & 0xfff);
    const first = this.translate(la, accessOf(user, true));
    if (first < 0) return false;
    const second = this.translate(this.#next(la, n), accessOf(user, true));
    if (second < 0) return false;
    for (let i = 0; i < bytes; i++) if (!this.access.write(i < n ? first + i : second + i - n, 1, this.cpu.u8[SCRATCH + i])) return false;
    return true;
  }
  /** Probes a write: 0 fault recorded, 1 go through the slow arms, else a wasm address good for `bytes`. */
  slowProbe(la: number, bytes: number, user: boolean): number {
    const access = accessOf(user, true);
    const gpa = this.translate(la, access);
    if (gpa < 0) return 0;
    if ((la & 0xfff) + bytes > PAGE) return this.translate(this.#next(la, PAGE - (la & 0xfff)), access) < 0 ? 0 : SLOWLY;
    const entry = this.access.page(Math.floor(gpa / PAGE));
    if (entry <= 0) return SLOWLY;
    this.#fill(la, gpa, entry, true, user);
    return this.breakpoints.data || this.#blocks.touches(gpa, bytes) ? SLOWLY : entry * PAGE + (gpa & 0xfff);
  }

  // ---- for system helpers: faults are thrown
  /** Wasm address of bytes that the TLB knows, or 0. */
  #lookup(la: number, bytes: number, user: boolean, write: boolean): number {
    return (la & 0xfff) + bytes > PAGE || this.breakpoints.data ? 0 : this.tlb.lookup(la, user, write);
  }
  read(la: number, bytes: number, user: boolean): number {
    const { u8, u16, u32 } = this.cpu;
    if (!this.slowReadFast(la, bytes, user)) this.#throw();
    return bytes === 1 ? u8[SCRATCH] : bytes === 2 ? u16[SCRATCH >> 1] : u32[SCRATCH >> 2];
  }
  /** As slowRead, but looks into the TLB first. */
  slowReadFast(la: number, bytes: number, user: boolean): boolean {
    const host = this.#lookup(la, bytes, user, false);
    if (host === 0) return this.slowRead(la, bytes, user);
    const { u8 } = this.cpu;
    for (let i = 0; i < bytes; i++) u8[SCRATCH + i] = u8[host + i];
    return true;
  }
  read64(la: number, user: boolean): bigint {
    if (!this.slowReadFast(la, 8, user)) this.#throw();
    return this.cpu.u64[STATE.scratch.u64];
  }
  write(la: number, bytes: number, value: number, user: boolean): void {
    const { u8, u32, view } = this.cpu;
    const host = this.#lookup(la, bytes, user, true);
    if (host !== 0) {
      if (bytes === 1) u8[host] = value;
      else if (bytes === 2) view.setUint16(host, value, true);
      else view.setUint32(host, value, true);
      return;
    }
    u32[STATE.scratch.u32] = value;
    if (!this.slowWrite(la, bytes, user)) this.#throw();
  }
  write64(la: number, value: bigint, user: boolean): void {
    this.cpu.u64[STATE.scratch.u64] = value;
    if (!this.slowWrite(la, 8, user)) this.#throw();
  }
  probeWrite(la: number, bytes: number, user: boolean): void {
    const access = accessOf(user, true);
    for (let at = 0; at < bytes; at += at === 0 ? PAGE - (la & 0xfff) : PAGE) if (this.translate(this.#next(la, at), access) < 0) this.#throw();
    if (this.translate(this.#next(la, bytes - 1), access) < 0) this.#throw();
  }
  /** Wasm address of a RAM byte readable to its page's end, or 0: MMIO, not present, breakpoints, #AC on. Never faults. */
  hostRead(la: number, user: boolean): number {
    if (this.alignment) return 0;
    const hit = this.#lookup(la, 1, user, false);
    if (hit !== 0 || this.breakpoints.data) return hit;
    const gpa = this.translate(la, accessOf(user, false));
    if (gpa < 0) return 0;
    const entry = this.access.page(Math.floor(gpa / PAGE));
    if (entry === 0) return 0;
    this.#fill(la, gpa, entry, false, user);
    return Math.abs(entry) * PAGE + (gpa & 0xfff);
  }
  /**
   * The same for writing: 0 also for ROM, and for pages that hold decoded code, unless [from, from + bytes) of that page is named: all of it
   * is going to be written, so decoded code there is dropped. (How much a repeated string does at once must not depend on what is decoded.)
   */
  hostWrite(la: number, user: boolean, from = 0, bytes = 0): number {
    if (this.alignment) return 0;
    const hit = this.#lookup(la, 1, user, true);
    if (hit !== 0 || this.breakpoints.data) return hit;
    const gpa = this.translate(la, accessOf(user, true));
    if (gpa < 0) return 0;
    const page = Math.floor(gpa / PAGE);
    const entry = this.access.page(page);
    if (entry <= 0) return 0;
    this.#fill(la, gpa, entry, true, user);
    if (this.#blocks.bitmap(page) !== 0) {
      if (bytes === 0) return 0;
      this.#blocks.written(gpa - (la - from), bytes);
    }
    return entry * PAGE + (gpa & 0xfff);
  }
  #throw(): never {
    if (this.cpu.exit !== undefined) this.cpu.leave(this.cpu.exit);
    const { fault } = this.cpu;
    return this.cpu.raise(fault.vector, fault.errorCode);
  }
}
