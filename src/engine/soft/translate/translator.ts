import { decode, type Insn } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { FIRST_HANDLER, H_HELPER, STALE_LEAVE, STALE_OUT_OF_BUDGET } from "../code/codes.ts";
import type { Block } from "../code/block.ts";
import type { GuestCode } from "../code/guest-code.ts";
import { STATE, REC, REC_BYTES } from "../state-layout.ts";
import { ARM_NAMES } from "../code/region-arms.ts";
import { type RegionBlock, type RegionInsn, translateRegion } from "./region.ts";
import { translatable } from "./translate-emit.ts";

export interface TranslatorOptions {
  /**
   * Heat at which a block is translated, for tests (1: everything at once). Being caught running by the end of a slice adds 1 for 256 instructions of
   * that; with a threshold given, so does each look-up in TypeScript.
   */
  readonly threshold?: number;
  /** Regions kept at most; then all are dropped. */
  readonly maxRegions?: number;
  /** Instructions of the shortest region without a loop. By default 8; 1 where a threshold is given (tests). */
  readonly shortest?: number;
}
/** Heat is instructions that a block stands for, over this. */
const HEAT_SHIFT = 8;
/**
 * Six million instructions seen in a block: interpreting them takes about as long as translating it and optimising that (30 ms, the translator's own
 * first steps included), so a guest that stops right after has lost little. Long runs lose one percent by not translating earlier.
 */
const THRESHOLD = 6_000_000 >> HEAT_SHIFT;
const MAX_REGIONS = 2000;
const MAX_BLOCKS = 24;
const MAX_INSTRUCTIONS = 160;
/** Entering and leaving a region takes as long as interpreting so many instructions. */
const SHORTEST = 8;
/** Instructions behind an interpreted one that are worth a region of their own. */
const MIN_TAIL = 4;
/** A block that cannot be translated is never hot. */
const NEVER = -1e9;
/** Whether something of the block may be executed after it. */
const goesOn = ({ row: { facts } }: Insn): boolean => facts.flow === "next" || facts.flow === "branch";
const isLinked = (insn: Insn): boolean => insn.operands[0]?.kind === "rel";

interface Region {
  readonly id: number;
  readonly slot: number;
  /** The record whose handler it replaced, and that handler. */
  readonly entry: number;
  readonly handler: number;
  readonly block: Block;
  readonly members: readonly Block[];
}

/** Decides what is hot, makes regions of it, and drops them when their code changes. One for each VM. */
export class Translator {
  readonly #cpu: Cpu;
  readonly #code: GuestCode;
  readonly #memory: WebAssembly.Memory;
  readonly #table: WebAssembly.Table;
  readonly #arms: readonly WebAssembly.ExportValue[];
  readonly #threshold: number;
  /** Look-ups count. */
  readonly eager: boolean;
  readonly #maxRegions: number;
  readonly #shortest: number;
  readonly #regions = new Map<number, Region>();
  /** By the record that a region begins with. */
  readonly #entries = new Map<number, Region>();
  readonly #freeSlots: number[] = [];
  #nextId = 1;
  translated = 0;
  dropped = 0;
  failures = 0;
  wasmBytes = 0;
  instructions = 0;
  compileMs = 0;

  /** `exports` of the core module. */
  constructor(cpu: Cpu, code: GuestCode, memory: WebAssembly.Memory, exports: WebAssembly.Exports, options: TranslatorOptions) {
    this.#cpu = cpu;
    this.#code = code;
    this.#memory = memory;
    const table = exports["table"];
    if (!(table instanceof WebAssembly.Table)) throw new Error("core module has no table");
    this.#table = table;
    this.#arms = ARM_NAMES.map((n) => exports[n]);
    this.#threshold = options.threshold ?? THRESHOLD;
    this.eager = options.threshold !== undefined;
    this.#maxRegions = options.maxRegions ?? MAX_REGIONS;
    this.#shortest = options.shortest ?? (options.threshold === undefined ? SHORTEST : 1);
    const { blocks } = code;
    blocks.onKill = (block) => this.#kill(block);
    blocks.onFlush = () => this.#flush();
    blocks.onCopy = (block, to, records) => {
      for (const id of block.regions) {
        const r = this.#regions.get(id);
        const at = r === undefined ? -1 : r.entry - block.rec;
        if (r !== undefined && at >= 0 && at < records * REC_BYTES) cpu.u16[(to + at + REC.handler) >> 1] = r.handler;
      }
    };
  }

  /** The region that begins at this record finds that the state is not what it was made for: it goes, and the next one will assume nothing. */
  misfit(rec: number): boolean {
    const r = this.#entries.get(rec);
    if (r === undefined) return false;
    this.#drop(r.id);
    this.#anyState.add(r.block);
    return true;
  }
  /** Blocks whose regions must not assume flat segments. */
  readonly #anyState = new WeakSet<Block>();
  /** 32-bit protected mode with ES, CS, SS and DS of 4 GiB from 0. */
  #isFlat(block: Block): boolean {
    if (block.codeSize !== 32 || this.#anyState.has(block)) return false;
    const { u32 } = this.#cpu;
    if ((u32[STATE.cr0.u32] & 1) === 0 || u32[STATE.stackMask.u32] !== 0xffffffff || u32[STATE.gpr.u32 + 9] !== 0) return false;
    const full = (field: number, s: number): boolean => u32[(field >> 2) + s * 2] === 0xffffffff && u32[(field >> 2) + s * 2 + 1] === 0;
    for (const s of [0, 1, 2, 3]) {
      if (u32[STATE.segEffBase.u32 + s * 2] !== 0 || !full(STATE.segReadLimit.offset, s)) return false;
      if (s !== 1 && !full(STATE.segWriteLimit.offset, s)) return false;
    }
    return true;
  }
  /** A kept block was caught running, or looked up. */
  touch(rec: number, heat: number): void {
    const block = this.#code.blocks.at(rec);
    if (block === undefined) return;
    block.heat += heat;
    // Pages that change their code must be ever hotter.
    if (block.heat < this.#threshold || (this.#threshold > 1 && block.heat < this.#threshold << (this.#kills.get(block.page) ?? 0))) return;
    block.heat = NEVER;
    this.#translate(block);
  }
  /** A slice of `ran` instructions ended before this block, which stands for all of them. True: in translated code. */
  sample(rec: number, ran: number): boolean {
    const at = STATE.regionStale.u32;
    if (this.#cpu.u32[at] === STALE_OUT_OF_BUDGET) {
      this.#cpu.u32[at] = 0;
      return true;
    }
    // About to enter a region.
    if (this.#entries.has(rec)) return true;
    this.touch(rec, Math.max(1, ran >> HEAT_SHIFT));
    return false;
  }
  /** Times that stores hit translated code, by page; at most 20. */
  readonly #kills = new Map<number, number>();

  // ---- dropping
  #kill(block: Block): void {
    this.#kills.set(block.page, Math.min((this.#kills.get(block.page) ?? 0) + 1, 20));
    for (const id of block.regions.slice()) this.#drop(id);
  }
  #drop(id: number): void {
    const r = this.#regions.get(id);
    if (r === undefined) return;
    this.#regions.delete(id);
    this.#entries.delete(r.entry);
    this.dropped++;
    this.#cpu.u32[STATE.regionStale.u32] = STALE_LEAVE;
    this.#table.set(r.slot, null);
    this.#freeSlots.push(r.slot);
    for (const m of r.members) m.regions.splice(m.regions.indexOf(id), 1);
    if (r.block.dead) return;
    this.#code.stops.setHandler(r.entry, r.handler);
    r.block.heat = 0;
  }
  #flush(): void {
    this.#kills.clear();
    // The records stay readable until the run loop looks again: give them back their handlers.
    for (const id of [...this.#regions.keys()]) this.#drop(id);
  }

  // ---- making
  /** Regions for a block: one from its beginning, one behind each instruction of it that stays the interpreter's. */
  #translate(block: Block): void {
    if (block.nextPage >= 0) return;
    if (this.#regions.size >= this.#maxRegions) this.#flush();
    const all = this.#decode(block);
    for (let from = 0; from < all.length; ) {
      if (!this.#fits(block.rec + from * REC_BYTES, all[from])) {
        from++;
        continue;
      }
      const root = this.#make(block, all, from);
      if (from === 0 || root.insns.length >= MIN_TAIL) this.#install(root, block);
      from += root.insns.length;
    }
  }
  #install(root: RegionBlock, block: Block): void {
    const members: Block[] = [block];
    const { blocks, returns } = this.#collect(root, block, members);
    if (!this.#pays(blocks)) return;
    const t0 = performance.now();
    let made: { readonly bytes: Uint8Array<ArrayBuffer>; readonly instructions: number };
    let run: WebAssembly.ExportValue | undefined;
    try {
      made = translateRegion(blocks, returns, this.#isFlat(block));
      const table = new WebAssembly.Table({ initial: ARM_NAMES.length, element: "anyfunc" });
      this.#arms.forEach((f, i) => table.set(i, f));
      run = new WebAssembly.Instance(new WebAssembly.Module(made.bytes), { e: { m: this.#memory, t: table } }).exports["r"];
    } catch (error) {
      // The interpreter goes on; the statistics and tests tell.
      this.failures++;
      this.lastFailure = error;
      return;
    }
    this.compileMs += performance.now() - t0;
    const slot = this.#freeSlots.pop() ?? this.#table.grow(1);
    this.#table.set(slot, run);
    const entry = root.insns[0].rec;
    const id = this.#nextId++;
    const { stops } = this.#code;
    const region = { id, slot, entry, handler: stops.handlerOf(entry), block, members };
    this.#regions.set(id, region);
    this.#entries.set(entry, region);
    stops.setHandler(entry, FIRST_HANDLER + slot);
    for (const m of members) m.regions.push(id);
    this.translated++;
    this.wasmBytes += made.bytes.length;
    this.instructions += made.instructions;
  }
  lastFailure: unknown = undefined;
  /** Whether a region will save what entering it costs: it is long, or goes round inside. */
  #pays(blocks: readonly RegionBlock[]): boolean {
    if (blocks.reduce((n, b) => n + b.insns.length, 0) >= this.#shortest) return true;
    return blocks.some((b, i) => {
      const back = (rec: number): boolean => rec !== 0 && blocks.slice(0, i + 1).some((to) => to.rec === rec);
      return back(b.next.target) || b.insns.some((insn) => back(insn.target));
    });
  }

  /** Whether a region may hold the instruction. What went to a helper in the interpreter (say, a feature that CPUID hides) does so here. */
  #fits(rec: number, insn: Insn): boolean {
    if (this.#cpu.u16[(rec + REC.handler) >> 1] === H_HELPER) return false;
    const regions = translatable(insn)?.generated.regions;
    return regions === "all" || (regions === "real-mode" && !this.#cpu.protectedMode);
  }
  #decode(block: Block): Insn[] {
    const cpu = this.#cpu;
    const host = cpu.mmu.physical.host(block.page * 4096);
    const found: Insn[] = [];
    const count = cpu.u16[(block.rec + REC.blockCount) >> 1];
    let at = block.start;
    for (let i = 0; i < count; i++) {
      const insn = decode(cpu.u8, host + at, 4096 - at, block.codeSize);
      if ("failure" in insn) break;
      found.push(insn);
      at += insn.length;
    }
    return found;
  }
  #make(block: Block, all: readonly Insn[], from: number): RegionBlock {
    const { i32, u16 } = this.#cpu;
    const count = u16[(block.rec + REC.blockCount) >> 1];
    const insns: RegionInsn[] = [];
    for (let i = from; i < all.length; i++) {
      const insn = all[i];
      const rec = block.rec + i * REC_BYTES;
      if (!this.#fits(rec, insn)) break;
      insns.push({ insn, rec, ipOff: u16[(rec + REC.ipOff) >> 1], count: i, target: isLinked(insn) ? i32[(rec + REC.link) >> 2] : 0 });
    }
    const end = from + insns.length;
    const rec = block.rec + end * REC_BYTES;
    const last = insns.at(-1);
    const next =
      end < count
        ? { kind: "resume" as const, rec, target: 0 }
        : last !== undefined && !goesOn(last.insn)
          ? { kind: "none" as const, rec, target: 0 }
          : { kind: "fall" as const, rec, target: i32[(rec + REC.link) >> 2] };
    return { rec: from === 0 ? block.rec : block.rec + from * REC_BYTES, off: block.start, count, from, insns, next };
  }
  /** The root and what its links lead to, within limits; and the blocks behind its calls. */
  #collect(
    root: RegionBlock,
    block: Block,
    members: Block[],
  ): { readonly blocks: RegionBlock[]; readonly returns: { readonly off: number; readonly rec: number }[] } {
    const code = this.#code.blocks;
    const blocks = [root];
    const known = new Set<number>([root.rec]);
    const returns: { readonly off: number; readonly rec: number }[] = [];
    let total = root.insns.length;
    const add = (rec: number): boolean => {
      if (known.has(rec)) return true;
      if (blocks.length >= MAX_BLOCKS || rec === 0) return false;
      const b = code.at(rec);
      if (b === undefined || b.nextPage >= 0 || b.page !== block.page || b.codeSize !== block.codeSize) return false;
      const made = this.#make(b, this.#decode(b), 0);
      if (made.insns.length === 0 || total + made.insns.length > MAX_INSTRUCTIONS) return false;
      known.add(rec);
      blocks.push(made);
      if (b !== block) members.push(b);
      total += made.insns.length;
      return true;
    };
    for (let i = 0; i < blocks.length; i++) {
      const b = blocks[i];
      for (const insn of b.insns) {
        if (insn.target !== 0) add(insn.target);
        if (insn.insn.row.facts.flow !== "call" || insn.target === 0 || !known.has(insn.target)) continue;
        const off = insn.ipOff + insn.insn.length;
        const site = off < 4096 ? code.find(block.page, off, block.codeSize) : undefined;
        if (site !== undefined && returns.length < 4 && !returns.some((r) => r.rec === site.rec) && add(site.rec))
          returns.push({ off, rec: site.rec });
      }
      if (b.next.target !== 0) add(b.next.target);
    }
    return { blocks, returns };
  }

  stats(): Readonly<Record<string, number>> {
    return {
      regions: this.#regions.size,
      regionsTranslated: this.translated,
      regionsDropped: this.dropped,
      regionFailures: this.failures,
      regionInstructions: this.instructions,
      regionWasmBytes: this.wasmBytes,
      regionCompileMs: Math.round(this.compileMs),
      regionRuns: this.#cpu.u32[STATE.regionRuns.u32],
    };
  }
}
