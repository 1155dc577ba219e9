import { FLAG, PAGE_ACCESS, PageWalker, VECTOR } from "../../../isa/index.ts";
import { AR_DB, AR_P, AR_UNUSABLE, type Cpu, SS } from "../cpu.ts";
import { CPU, type CpuPlace, cpuPlace, TLB, TLB_AREA, TLB_AREAS_BYTES, TLB_ENTRIES, TLB_ENTRY_BYTES } from "../state-layout.ts";
import { Breakpoints } from "./breakpoints.ts";
import { type CodeBlocks, type CodeLookups, NO_BLOCKS, NO_LOOKUPS } from "./code-watch.ts";
import { plain } from "../exits.ts";
import type { PhysicalMap } from "./physical.ts";

const { WRITE, USER, FETCH, AC } = PAGE_ACCESS;

/** What `#slots` says of a TLB entry: listed, and what it holds. */
const IN_LOCAL = 1,
  IN_GLOBAL = 2,
  HOLDS_GLOBAL = 4;

/**
 * Linear addresses to memory: page walks, the software TLBs that generated code looks into, and the slow arms behind
 * them (page crossings, MMIO, ROM, pages with decoded code, breakpoints, faults).
 * A linear address is a `number`: unsigned 32-bit, or signed canonical in IA-32e mode.
 */
export class Mmu {
  readonly cpu: Cpu;
  readonly physical: PhysicalMap;
  #blocks: CodeBlocks = NO_BLOCKS;
  #lookups: CodeLookups = NO_LOOKUPS;
  /** This CPU's TLB areas: wasm addresses. */
  readonly #areas: number;
  /** The area for accesses with user privilege. */
  readonly userTlb: number;
  /** The area for supervisor accesses as things are: without user pages while SMAP forbids them. */
  supervisorTlb: number;
  readonly neverTlb: number;
  /** Entries filled since the last flush, by what they held then: wasm addresses, each once a list. `#slots` says what they hold now. */
  readonly #local: number[] = [];
  readonly #global: number[] = [];
  readonly #slots = new Uint8Array(TLB_AREAS_BYTES / TLB_ENTRY_BYTES);
  /** Physical-address mask of the A20 gate as a number: bit 20 cleared when the gate is off. */
  #a20 = true;
  /** An MMIO read that left as an exit and now has its answer. */
  answer: { readonly gpa: number; readonly value: number } | undefined;
  /** An MMIO write that left as an exit and has been done by the monitor. */
  written: number | undefined;
  /**
   * Parts of the access in progress that a monitor has answered or done one by one (an access of 8 or 16 bytes, or across pages, is several to
   * a device, and begins anew behind each exit). Forgotten when the access is complete.
   */
  readonly #answered = new Map<number, number>();
  readonly #done = new Set<number>();
  /** What devices answered the instruction of a region that reads, in order; and whether an instruction is done again, with the same answers. */
  readonly answers: number[] = [];
  noting = false;
  repeating = false;
  readonly breakpoints: Breakpoints;

  constructor(cpu: Cpu, physical: PhysicalMap, place: CpuPlace = cpuPlace(0, 1)) {
    const areas = place.tlbAreas;
    this.cpu = cpu;
    this.physical = physical;
    this.breakpoints = new Breakpoints(cpu);
    this.#walker = new PageWalker(
      {
        read32: (gpa) => physical.read32(this.a20(gpa)),
        write32: (gpa, value) => physical.write32(this.a20(gpa), value),
      },
      cpu.features.gbPages,
    );
    this.#areas = areas;
    this.supervisorTlb = areas + TLB_AREA.supervisor;
    this.userTlb = areas + TLB_AREA.user;
    this.neverTlb = areas + TLB_AREA.never;
    for (let at = areas; at < areas + TLB_AREAS_BYTES; at += TLB_ENTRY_BYTES) this.#invalidateEntry(at);
  }

  /** Who keeps decoded code from now on: of all CPUs, and what this one remembers of it. */
  keepCode(blocks: CodeBlocks, lookups: CodeLookups): void {
    this.#blocks = blocks;
    this.#lookups = lookups;
  }

  #invalidateEntry(entry: number): void {
    const w = entry >> 2;
    const u32 = this.cpu.u32;
    u32[w] = u32[w + 2] = u32[w + 6] = 0xfffff000;
    u32[w + 1] = u32[w + 3] = u32[w + 7] = 0x7fffffff;
  }

  // ---- flushing
  /** Forgets translations; global pages too when asked. Decoded blocks stay (they are kept by physical address). */
  flushAll(includingGlobal: boolean): void {
    const slots = this.#slots;
    for (const at of this.#local) {
      const slot = (at - this.#areas) / TLB_ENTRY_BYTES;
      slots[slot] &= ~IN_LOCAL;
      if ((slots[slot] & HOLDS_GLOBAL) === 0) this.#invalidateEntry(at);
    }
    this.#local.length = 0;
    if (includingGlobal) {
      for (const at of this.#global) {
        slots[(at - this.#areas) / TLB_ENTRY_BYTES] = 0;
        this.#invalidateEntry(at);
      }
      this.#global.length = 0;
      this.#largePages.fill(0);
    }
    this.#lookups.linearChanged(!includingGlobal);
  }
  flushPage(la: number): void {
    const at = this.#areas + ((la >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    this.#invalidateEntry(at + TLB_AREA.supervisor);
    this.#invalidateEntry(at + TLB_AREA.user);
    this.#invalidateEntry(at + TLB_AREA.guarded);
    const large = this.#largePages[Math.floor(la / 0x400000) & 1023] | this.#largePages[1024 + (Math.floor(la / 0x40000000) & 63)];
    if (large === 0) this.#lookups.pageChanged(la);
    else {
      this.#flushRegion(la, large === 1 ? 0x400000 : 0x40000000);
      this.#lookups.linearChanged(false);
    }
  }
  /** One INVLPG takes the whole of a large page with it, of which there may be many pieces. */
  #flushRegion(la: number, size: number): void {
    const u32 = this.cpu.u32;
    const region = Math.floor(la / size);
    for (const list of [this.#local, this.#global]) {
      for (const at of list) {
        const tag = (u32[(at >> 2) + 1] | 0) * 0x100000000 + u32[at >> 2];
        if (Math.floor(tag / size) === region) this.#invalidateEntry(at);
      }
    }
  }
  /** By hash of the linear address, regions of 4 MiB and of 1 GiB: a large page was entered there. */
  readonly #largePages = new Uint8Array(1024 + 64);
  #noteLarge(la: number): void {
    if (this.#walker.level === 1) this.#largePages[Math.floor(la / 0x400000) & 1023] = 1;
    else this.#largePages[1024 + (Math.floor(la / 0x40000000) & 63)] = 2;
  }
  setA20(enabled: boolean): void {
    if (this.#a20 === enabled) return;
    this.#a20 = enabled;
    this.flushAll(true);
  }
  /** CR0/CR4/EFER/CPL/EFLAGS.VM/AC or CS changed: which TLB is in use, which blocks are valid. */
  modeChanged(): void {
    const cpu = this.cpu;
    const cpl = cpu.u32[CPU.cpl.u32];
    this.breakpoints.update();
    const alignment = (this.alignment = cpl === 3 && (cpu.cr0 & 0x40000) !== 0 && (cpu.systemFlags & 0x40000) !== 0);
    // SMAP: supervisor accesses reach user pages only with EFLAGS.AC; implicit ones at CPL 3 never.
    const guarded = (cpu.cr4 & 0x200000) !== 0 && (cpl === 3 || (cpu.systemFlags & 0x40000) === 0);
    this.supervisorTlb = this.#areas + (guarded ? TLB_AREA.guarded : TLB_AREA.supervisor);
    cpu.u32[CPU.tlbBase.u32] = this.breakpoints.data || alignment ? this.neverTlb : cpl === 3 ? this.userTlb : this.supervisorTlb;
    this.#lookups.modeChanged();
  }
  /** #AC is on: CPL 3, CR0.AM, EFLAGS.AC. */
  alignment = false;

  // ---- translation
  readonly #walker: PageWalker;
  /** Guest-physical address for an access (bits of PAGE_ACCESS but AC), or -1 with the page fault in `cpu.fault`. */
  translate(la: number, access: number): number {
    const { cpu } = this;
    const walker = this.#walker;
    const cr3 = CPU.cr3.u32;
    walker.load(cpu.cr0, cpu.u32[cr3], cpu.u32[cr3 + 1], cpu.cr4, cpu.efer, cpu.pdptes);
    // Implicit supervisor accesses come at CPL 3, and are never excepted from SMAP.
    const excepted = cpu.cpl !== 3 && (cpu.systemFlags & FLAG.AC) !== 0;
    const gpa = walker.walk(la, excepted ? access | AC : access);
    if (gpa < 0) {
      cpu.fault.vector = VECTOR.PF;
      cpu.fault.errorCode = walker.errorCode;
      cpu.fault.address = BigInt.asUintN(64, BigInt(la));
      return -1;
    }
    if (walker.level !== 0 && (access & FETCH) !== 0) this.#noteLarge(la);
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

  /** The physical map as this CPU sees it: its APIC page covers what is mapped there. Entry of a page, wasm address of a byte. */
  #page(page: number): number {
    return page === this.cpu.apicPage ? 0 : this.physical.page(page);
  }
  #host(gpa: number): number {
    return Math.floor(gpa / 4096) === this.cpu.apicPage ? 0 : this.physical.host(gpa);
  }

  /** Enters a successful RAM translation into the TLB in use for that privilege. */
  #fill(la: number, gpa: number, write: boolean, user: boolean): void {
    const page = Math.floor(gpa / 4096);
    const entry = this.#page(page);
    if (entry === 0) return;
    const cpu = this.cpu;
    const at = (user ? this.userTlb : this.supervisorTlb) + ((la >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES;
    const lo = (la & ~0xfff) >>> 0;
    const hi = Math.floor(la / 0x100000000) >>> 0;
    const w = at >> 2;
    const u32 = cpu.u32;
    const same = u32[w] === lo && u32[w + 1] === hi;
    if (!same) {
      this.#invalidateEntry(at);
      this.#list(at);
      if (this.#walker.level !== 0) this.#noteLarge(la);
    }
    u32[w] = lo;
    u32[w + 1] = hi;
    u32[w + (TLB.addend >> 2)] = (Math.abs(entry) * 4096 - lo) >>> 0;
    if (write && entry > 0) {
      this.physical.pageWritten(entry);
      const bitmap = this.#blocks.bitmap(page);
      const tag = bitmap === 0 ? TLB.write : TLB.writeSmc;
      u32[w + (tag >> 2)] = lo;
      u32[w + (tag >> 2) + 1] = hi;
      u32[w + (TLB.smcBitmap >> 2)] = bitmap;
    }
  }
  /** Remembers that this entry holds the last translation. */
  #list(at: number): void {
    const slot = (at - this.#areas) / TLB_ENTRY_BYTES;
    const state = this.#slots[slot];
    if (this.#walker.global) {
      if ((state & IN_GLOBAL) === 0) this.#global.push(at);
      this.#slots[slot] = state | IN_GLOBAL | HOLDS_GLOBAL;
    } else {
      if ((state & IN_LOCAL) === 0) this.#local.push(at);
      this.#slots[slot] = (state | IN_LOCAL) & ~HOLDS_GLOBAL;
    }
  }

  /** A page got its first decoded code: stores to it must look at the bitmap. */
  protectCodePage(page: number, bitmap: number): void {
    const host = Math.abs(this.physical.page(page)) * 4096;
    const u32 = this.cpu.u32;
    for (const list of [this.#local, this.#global]) {
      for (const at of list) {
        const w = at >> 2;
        if ((u32[w] + u32[w + (TLB.addend >> 2)]) >>> 0 !== host || u32[w + 1] === 0x7fffffff) continue;
        if (u32[w + 2] === 0xfffff000 && u32[w + 3] === 0x7fffffff) continue;
        u32[w + 6] = u32[w + 2];
        u32[w + 7] = u32[w + 3];
        u32[w + (TLB.smcBitmap >> 2)] = bitmap;
        u32[w + 2] = 0xfffff000;
        u32[w + 3] = 0x7fffffff;
      }
    }
  }

  // ---- slow arms: return false with a fault (cpu.fault) or an exit (cpu.exit) recorded
  /** Reads 1, 2, 4, 8 or 16 bytes into CPU.scratch. */
  slowRead(la: number, bytes: number, user: boolean): boolean {
    const complete = this.#slowRead(la, bytes, user);
    if (this.#answered.size > 0 && this.cpu.exit === undefined) this.#answered.clear();
    return complete;
  }
  #slowRead(la: number, bytes: number, user: boolean): boolean {
    if (this.breakpoints.data) this.cpu.pendingDebug |= this.breakpoints.onData(la, bytes, false);
    const last = (la & 0xfff) + bytes > 4096;
    const scratch = CPU.scratch.offset;
    if (last) {
      // Both pages are translated before either is read; MMIO side effects come last.
      const g1 = this.translate(la, user ? USER : 0);
      if (g1 < 0) return false;
      const la2 = this.#next(la, 4096 - (la & 0xfff));
      const g2 = this.translate(la2, user ? USER : 0);
      if (g2 < 0) return false;
      const n = 4096 - (la & 0xfff);
      for (let i = 0; i < bytes; i++) {
        const v = this.readGpa(i < n ? g1 + i : g2 + i - n, 1);
        if (v < 0) return false;
        this.cpu.u8[scratch + i] = v;
      }
      return true;
    }
    const gpa = this.translate(la, user ? USER : 0);
    if (gpa < 0) return false;
    const host = this.#host(gpa);
    if (host !== 0) {
      this.#fill(la, gpa, false, user);
      for (let i = 0; i < bytes; i++) this.cpu.u8[scratch + i] = this.cpu.u8[host + i];
      return true;
    }
    if (bytes > 4) {
      for (let i = 0; i < bytes; i += 4) {
        const v = this.readGpa(gpa + i, 4);
        if (v < 0) return false;
        this.cpu.u32[(scratch + i) >> 2] = v;
      }
      return true;
    }
    const v = this.readGpa(gpa, bytes === 1 ? 1 : bytes === 2 ? 2 : 4);
    if (v < 0) return false;
    this.cpu.u32[scratch >> 2] = v;
    return true;
  }
  #next(la: number, by: number): number {
    const sum = la + by;
    return this.cpu.code64 || this.cpu.longMode ? sum : sum >>> 0;
  }
  /** Reads by physical address; -1: left as an exit. Never crosses a page. */
  readGpa(gpa: number, bytes: 1 | 2 | 4): number {
    const host = this.#host(gpa);
    if (host !== 0) return bytes === 1 ? this.cpu.u8[host] : bytes === 2 ? this.cpu.view.getUint16(host, true) : this.cpu.view.getUint32(host, true);
    if (this.repeating && this.answers.length > 0) return this.answers.shift() ?? 0;
    if (Math.floor(gpa / 4096) === this.cpu.apicPage) return this.#noted(this.cpu.localApic?.pageRead(gpa % 4096, bytes) ?? 0);
    const v = this.cpu.io.mmioRead(gpa, bytes);
    if (v >= 0) return this.#noted(v);
    const answer = this.answer;
    if (answer !== undefined && answer.gpa === gpa) {
      this.answer = undefined;
      this.#answered.set(gpa, answer.value);
      return bytes === 4 ? answer.value >>> 0 : answer.value & (bytes === 1 ? 0xff : 0xffff);
    }
    const part = this.#answered.get(gpa);
    if (part !== undefined) return bytes === 4 ? part >>> 0 : part & (bytes === 1 ? 0xff : 0xffff);
    this.cpu.exit = { kind: "mmio-read", gpa, size: bytes, ...plain("mmio-read", 0x181n) };
    return -1;
  }
  #noted(value: number): number {
    if (this.noting) this.answers.push(value);
    return value;
  }
  /** Reads RAM or ROM by physical address, for table loads; all ones where nothing is mapped. */
  readPhysical(gpa: number, bytes: 1 | 2 | 4): number {
    const at = this.a20(gpa);
    return bytes === 1 ? this.physical.read8(at) : bytes === 2 ? this.physical.read16(at) : this.physical.read32(at);
  }
  /** False: left as an exit. */
  writeGpa(gpa: number, bytes: 1 | 2 | 4, value: number): boolean {
    const entry = this.#page(Math.floor(gpa / 4096));
    if (entry > 0) {
      const host = entry * 4096 + (gpa % 4096);
      // Loaders patch their mode switch with the bytes that stand there already: decoded code stays good then.
      const old = bytes === 1 ? this.cpu.u8[host] : bytes === 2 ? this.cpu.view.getUint16(host, true) : this.cpu.view.getUint32(host, true);
      if (old === (bytes === 4 ? value >>> 0 : value & (bytes === 1 ? 0xff : 0xffff))) return true;
      this.#blocks.written(gpa, bytes);
      this.physical.pageWritten(entry);
      if (bytes === 1) this.cpu.u8[host] = value;
      else if (bytes === 2) this.cpu.view.setUint16(host, value, true);
      else this.cpu.view.setUint32(host, value, true);
      return true;
    }
    if (entry < 0) return true; // ROM
    if (Math.floor(gpa / 4096) === this.cpu.apicPage) {
      this.cpu.localApic?.pageWrite(gpa % 4096, bytes, value);
      return true;
    }
    if (this.cpu.io.mmioWrite(gpa, bytes, value)) return true;
    if (this.written === gpa) {
      this.written = undefined;
      this.#done.add(gpa);
      return true;
    }
    if (this.#done.has(gpa)) return true;
    this.cpu.exit = { kind: "mmio-write", gpa, size: bytes, value, ...plain("mmio-write", 0x182n) };
    return false;
  }
  /** Writes 1, 2, 4, 8 or 16 bytes from CPU.scratch. */
  slowWrite(la: number, bytes: number, user: boolean): boolean {
    const complete = this.#slowWrite(la, bytes, user);
    if (this.#done.size > 0 && this.cpu.exit === undefined) this.#done.clear();
    return complete;
  }
  #slowWrite(la: number, bytes: number, user: boolean): boolean {
    if (this.breakpoints.data) this.cpu.pendingDebug |= this.breakpoints.onData(la, bytes, true);
    const scratch = CPU.scratch.offset;
    const access = (user ? USER : 0) | WRITE;
    if ((la & 0xfff) + bytes > 4096) {
      const g1 = this.translate(la, access);
      if (g1 < 0) return false;
      const n = 4096 - (la & 0xfff);
      const g2 = this.translate(this.#next(la, n), access);
      if (g2 < 0) return false;
      for (let i = 0; i < bytes; i++) if (!this.writeGpa(i < n ? g1 + i : g2 + i - n, 1, this.cpu.u8[scratch + i])) return false;
      return true;
    }
    const gpa = this.translate(la, access);
    if (gpa < 0) return false;
    if (this.#page(Math.floor(gpa / 4096)) > 0) this.#fill(la, gpa, true, user);
    const u32 = this.cpu.u32;
    if (bytes > 4) {
      for (let i = 0; i < bytes; i += 4) if (!this.writeGpa(gpa + i, 4, u32[(scratch + i) >> 2])) return false;
      return true;
    }
    if (bytes === 4) return this.writeGpa(gpa, 4, u32[scratch >> 2]);
    return bytes === 2 ? this.writeGpa(gpa, 2, this.cpu.u16[scratch >> 1]) : this.writeGpa(gpa, 1, this.cpu.u8[scratch]);
  }
  /** Probes a write: 0 fault recorded, 1 go through the slow arms, else a wasm address good for `bytes`. */
  slowProbe(la: number, bytes: number, user: boolean): number {
    const access = (user ? USER : 0) | WRITE;
    const gpa = this.translate(la, access);
    if (gpa < 0) return 0;
    if ((la & 0xfff) + bytes > 4096) return this.translate(this.#next(la, 4096 - (la & 0xfff)), access) < 0 ? 0 : 1;
    const page = Math.floor(gpa / 4096);
    const entry = this.#page(page);
    if (entry <= 0) return 1;
    this.#fill(la, gpa, true, user);
    if (this.breakpoints.data) return 1;
    return this.#blocks.touches(gpa, bytes) ? 1 : entry * 4096 + (gpa & 0xfff);
  }

  // ---- for system helpers: faults are thrown
  #check(la: number): number {
    return la;
  }
  read(la: number, bytes: number, user: boolean): number {
    const at = this.#check(la);
    if (!this.slowReadFast(at, bytes, user)) this.#throw();
    const s = CPU.scratch.offset;
    return bytes === 1 ? this.cpu.u8[s] : bytes === 2 ? this.cpu.u16[s >> 1] : this.cpu.u32[s >> 2];
  }
  /** As slowRead, but looks into the TLB first. */
  slowReadFast(la: number, bytes: number, user: boolean): boolean {
    const host = this.#lookup(la, bytes, user, TLB.read);
    if (host === 0) return this.slowRead(la, bytes, user);
    const s = CPU.scratch.offset;
    for (let i = 0; i < bytes; i++) this.cpu.u8[s + i] = this.cpu.u8[host + i];
    return true;
  }
  #lookup(la: number, bytes: number, user: boolean, tag: number): number {
    if ((la & 0xfff) + bytes > 4096 || this.breakpoints.data) return 0;
    const w = ((user ? this.userTlb : this.supervisorTlb) + ((la >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES) >> 2;
    const u32 = this.cpu.u32;
    if (u32[w + (tag >> 2)] !== (la & ~0xfff) >>> 0 || u32[w + (tag >> 2) + 1] !== Math.floor(la / 0x100000000) >>> 0) return 0;
    return (la + u32[w + (TLB.addend >> 2)]) >>> 0;
  }
  read64(la: number, user: boolean): bigint {
    if (!this.slowReadFast(la, 8, user)) this.#throw();
    return this.cpu.u64[CPU.scratch.u64];
  }
  write(la: number, bytes: number, value: number, user: boolean): void {
    const host = this.#lookup(la, bytes, user, TLB.write);
    if (host !== 0) {
      if (bytes === 1) this.cpu.u8[host] = value;
      else if (bytes === 2) this.cpu.view.setUint16(host, value, true);
      else this.cpu.view.setUint32(host, value, true);
      return;
    }
    this.cpu.u32[CPU.scratch.u32] = value;
    if (!this.slowWrite(la, bytes, user)) this.#throw();
  }
  write64(la: number, value: bigint, user: boolean): void {
    this.cpu.u64[CPU.scratch.u64] = value;
    if (!this.slowWrite(la, 8, user)) this.#throw();
  }
  probeWrite(la: number, bytes: number, user: boolean): void {
    const access = (user ? USER : 0) | WRITE;
    for (let at = 0; at < bytes; at += at === 0 ? 4096 - (la & 0xfff) : 4096) if (this.translate(this.#next(la, at), access) < 0) this.#throw();
    if (this.translate(this.#next(la, bytes - 1), access) < 0) this.#throw();
  }
  /** Wasm address of a RAM byte readable to its page's end, or 0: MMIO, not present, breakpoints, #AC on. Never faults. */
  hostRead(la: number, user: boolean): number {
    if (this.alignment) return 0;
    const hit = this.#lookup(la, 1, user, TLB.read);
    if (hit !== 0 || this.breakpoints.data) return hit;
    const gpa = this.translate(la, user ? USER : 0);
    if (gpa < 0) return 0;
    const host = this.#host(gpa);
    if (host !== 0) this.#fill(la, gpa, false, user);
    return host;
  }
  /**
   * The same for writing: 0 also for ROM, and for pages that hold decoded code, unless [from, from + bytes) of that page is named: all of it
   * is going to be written, so decoded code there is dropped. (How much a repeated string does at once must not depend on what is decoded.)
   */
  hostWrite(la: number, user: boolean, from = 0, bytes = 0): number {
    if (this.alignment) return 0;
    const hit = this.#lookup(la, 1, user, TLB.write);
    if (hit !== 0 || this.breakpoints.data) return hit;
    const gpa = this.translate(la, (user ? USER : 0) | WRITE);
    if (gpa < 0) return 0;
    const page = Math.floor(gpa / 4096);
    const entry = this.#page(page);
    if (entry <= 0) return 0;
    this.#fill(la, gpa, true, user);
    if (this.#blocks.bitmap(page) !== 0) {
      if (bytes === 0) return 0;
      this.#blocks.written(gpa - (la - from), bytes);
    }
    return entry * 4096 + (gpa & 0xfff);
  }
  #throw(): never {
    if (this.cpu.exit !== undefined) this.cpu.leave(this.cpu.exit);
    const fault = this.cpu.fault;
    return this.cpu.raise(fault.vector, fault.errorCode);
  }

  // ---- segmentation
  /** Whether segment:offset may be accessed (the slow arm of the limit check): records #GP(0)/#SS(0) and gives false when not. */
  segmentAllows(s: number, offset: number, bytes: number, write: boolean): boolean {
    const cpu = this.cpu;
    const fault = (): boolean => {
      cpu.fault.vector = s === SS ? 12 : 13;
      cpu.fault.errorCode = 0;
      return false;
    };
    if (cpu.code64) return true;
    const access = cpu.access(s);
    const limit = cpu.limit(s);
    if (cpu.protectedMode && !cpu.v86) {
      if ((access & AR_UNUSABLE) !== 0 || (access & AR_P) === 0) {
        fault();
        if (cpu.selector(s) < 4 && s !== SS) cpu.fault.vector = 13;
        return false;
      }
      const code = (access & 8) !== 0;
      if (write ? code || (access & 2) === 0 : code && (access & 2) === 0) return fault();
      if ((access & 0xc) === 4) {
        const top = (access & AR_DB) !== 0 ? 0xffffffff : 0xffff;
        return offset > limit && offset + bytes - 1 <= top ? true : fault();
      }
    }
    // A segment of 4 GiB has no end to pass: accesses go round, as on silicon.
    return offset + bytes - 1 <= limit || limit === 0xffffffff ? true : fault();
  }
  /** #AC of an operand of `bytes`: far pointers by their offset, x87 images by their word (SDM vol. 3 table 6-7). */
  #align(la: number, bytes: number): void {
    const unit =
      bytes === 2 || bytes === 14 || bytes === 94
        ? 2
        : bytes === 4 || bytes === 6 || bytes === 28 || bytes === 108
          ? 4
          : bytes === 8 || bytes === 10
            ? 8
            : 1;
    if ((la & (unit - 1)) !== 0) this.cpu.raise(17, 0);
  }
  /** Linear address of segment:offset after its checks; throws #GP(0)/#SS(0). */
  segmentAddress(s: number, offset: bigint | number, bytes: number, write: boolean): number {
    const cpu = this.cpu;
    if (cpu.code64) {
      const base = s === 4 || s === 5 ? cpu.base(s) : 0n;
      const la = BigInt.asIntN(64, base + BigInt(offset));
      if (BigInt.asIntN(48, la) !== la) cpu.raise(s === SS ? 12 : 13, 0);
      if (this.alignment) this.#align(Number(la & 0xffn), bytes);
      return Number(la);
    }
    const at = Number(offset);
    if (!this.segmentAllows(s, at, bytes, write)) cpu.raise(cpu.fault.vector, cpu.fault.errorCode);
    const la = (cpu.baseNumber(s) + at) >>> 0;
    if (this.alignment) this.#align(la, bytes);
    return la;
  }
}
