import { I32, ModuleBuilder, OP } from "../../../wasm/index.ts";
import type { Insn } from "../../../isa/insn.ts";
import { COLD_FAULT, REGION_BUDGET, REGION_TAKE_HELPER, REGION_TAKE_IP, REGION_TAKE_LINK, STALE_OUT_OF_BUDGET } from "../code/codes.ts";
import { FunctionWriter, type Label } from "../ir/codegen.ts";
import type { MutableNode, Node } from "../ir/nodes.ts";
import { STATE, REC_BYTES } from "../state-layout.ts";
import { ARM_NAMES, ARM_SIGNATURE } from "../code/region-arms.ts";
import { type Flow, flowOf } from "./flow.ts";
import { FLAGS_MASK, TRACKED } from "./lazy-flags.ts";
import { deadWrites } from "./dead-writes.ts";
import { generateBlock, LocalPool } from "./region-code.ts";
import { writeEpilogue, writePrologue } from "./region-frame.ts";
import { TranslateEmit, translatable } from "./translate-emit.ts";

/** One block of a region: a run of instructions of a decoded block, with the records they came from. */
export interface RegionBlock {
  /** First record of the decoded block: its name. */
  readonly rec: number;
  /** Offset in the page. */
  readonly off: number;
  /** Instructions of the decoded block: what must fit into the budget at its entry. */
  readonly count: number;
  /** Instruction to begin with (the root may begin inside its block). */
  readonly from: number;
  /** The instructions up to the first one that is the interpreter's. */
  readonly insns: readonly RegionInsn[];
  /** Where the interpreter goes on, or the record behind the last instruction. */
  readonly next: { readonly kind: "resume" | "fall" | "none"; readonly rec: number; readonly target: number };
}
export interface RegionInsn {
  readonly insn: Insn;
  readonly rec: number;
  readonly ipOff: number;
  /** Instructions of the block before it. */
  readonly count: number;
  /** Record of the block the link leads to, 0 when there is none. */
  readonly target: number;
}
export interface RegionModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly instructions: number;
}

/** Translates the blocks (the first is the only entry) into a module that exports `run(rec) → what next`. */
export function translateRegion(
  blocks: readonly RegionBlock[],
  returnSites: readonly { readonly off: number; readonly rec: number }[],
  flat = false,
): RegionModule {
  return new RegionWriter(blocks, returnSites, flat).build();
}

class RegionWriter {
  readonly #blocks: readonly RegionBlock[];
  readonly #returns: readonly { readonly off: number; readonly rec: number }[];
  readonly #w = new FunctionWriter(1);
  readonly #module = new ModuleBuilder();
  readonly #budget: number;
  readonly #status: number;
  readonly #emit: TranslateEmit;
  readonly #pool: LocalPool;
  #flow: Flow;
  readonly #code = new Map<number, Node[]>();
  readonly #dropped = new Map<number, Set<Node>>();
  readonly #loopLabels = new Map<number, Label>();
  readonly #blockLabels = new Map<number, Label>();
  #current = 0;
  #exit!: Label;
  #faultExit!: Label;
  #budgetExit!: Label;

  constructor(blocks: readonly RegionBlock[], returns: readonly { readonly off: number; readonly rec: number }[], flat: boolean) {
    this.#blocks = blocks;
    this.#returns = returns;
    const w = this.#w;
    this.#budget = w.fixedLocal("i32");
    this.#status = w.fixedLocal("i32");
    const stale = w.fixedLocal("i32");
    this.#pool = new LocalPool(w);
    const signature = this.#module.type(ARM_SIGNATURE);
    this.#emit = new TranslateEmit(
      w,
      {
        fault: () => w.br(this.#faultExit),
        resume: (rec) => this.#leaveWith(rec),
        helper: (rec) => this.#leaveWith(rec | REGION_TAKE_HELPER),
        ip: (rec) => this.#leaveWith(rec | REGION_TAKE_IP),
        link: (rec, charge) => this.#transfer(rec, charge),
      },
      signature,
      this.#budget,
      stale,
      flat,
    );
    this.#emit.returns = returns;
    this.#flow = flowOf(this.#edges());
  }
  /** Targets inside the region of each block, one entry a transfer. */
  #edges(): number[][] {
    const index = new Map(this.#blocks.map((b, i) => [b.rec, i]));
    return this.#blocks.map((b) => {
      const to: number[] = [];
      const add = (rec: number): void => {
        const t = index.get(rec);
        if (t !== undefined) to.push(t);
      };
      for (const i of b.insns) {
        if (i.target !== 0) add(i.target);
        if (i.insn.row.facts.flow === "return") for (const r of this.#returns) add(r.rec);
      }
      if (b.next.target !== 0) add(b.next.target);
      return to;
    });
  }
  #indexOf(rec: number): number {
    return this.#blocks.findIndex((b) => b.rec === rec);
  }
  /** Block index of an edge that the flow graph has; -1: leave the region. */
  #edge(from: number, rec: number): number {
    const to = rec === 0 ? -1 : this.#indexOf(rec);
    return to >= 0 && this.#flow.has(from, to) ? to : -1;
  }

  readonly #unlikely: number[] = [];
  #hint(): void {
    this.#unlikely.push(this.#w.code.length);
  }

  // ---- exits
  #reload(): void {
    this.#w.i32(0);
    this.#w.mem(OP.i32_load, STATE.budget.offset);
    this.#w.set(this.#budget);
  }
  #leaveWith(status: number): void {
    this.#w.i32(status);
    this.#w.set(this.#status);
    this.#w.br(this.#exit);
  }
  /** A relative transfer: `rec` is the record that has the link, or minus the record of a return site. */
  #transfer(rec: number, charge: number): void {
    const w = this.#w;
    const target = charge === 0 ? -1 : rec < 0 ? this.#edge(this.#current, -rec) : this.#edge(this.#current, this.#targets.get(rec) ?? 0);
    if (target < 0) {
      this.#leaveWith(rec | REGION_TAKE_LINK);
      return;
    }
    w.get(this.#budget);
    w.i32(charge);
    w.op(OP.i32_sub);
    w.set(this.#budget);
    this.#branch(target);
  }
  readonly #targets = new Map<number, number>();

  // ---- IR of one block
  #translate(b: RegionBlock, index: number): void {
    const e = this.#emit;
    e.startBlock();
    for (const i of b.insns) {
      const how = translatable(i.insn);
      if (how === undefined) throw new Error("not translatable");
      const target = this.#edge(index, i.target) < 0 ? 0 : i.target;
      e.returns = this.#returns.filter((r) => this.#edge(index, r.rec) >= 0);
      this.#targets.set(i.rec, target);
      e.begin(i.insn, how, i.rec, { ipOff: i.ipOff, count: i.count, imm: immediate(i.insn), target });
      e.emit();
      e.finish(i.rec + REC_BYTES);
    }
    const next = b.next;
    if (next.kind === "resume") e.leave(undefined, () => this.#leaveWith(next.rec));
    else if (next.kind === "fall") {
      const target = this.#edge(index, next.target) < 0 ? 0 : next.target;
      this.#targets.set(next.rec, target);
      const charge = target === 0 ? 0 : b.count;
      e.fallThrough(next.rec, charge);
    }
    this.#code.set(index, e.nodes);
  }

  // ---- structured control (Ramsey, "Beyond Relooper"): dominator tree, loops and blocks for merges
  #tree(i: number): void {
    const w = this.#w;
    const loop = this.#flow.loopHeader[i];
    if (loop) this.#loopLabels.set(i, w.loop());
    this.#within(i, this.#flow.mergeChildren[i], 0);
    if (loop) w.end();
  }
  #within(i: number, merges: readonly number[], at: number): void {
    const w = this.#w;
    if (at === merges.length) {
      this.#body(i);
      return;
    }
    this.#blockLabels.set(merges[at], w.block());
    this.#within(i, merges, at + 1);
    w.end();
    this.#tree(merges[at]);
  }
  #branch(target: number): void {
    const w = this.#w;
    const flow = this.#flow;
    const source = this.#current;
    const loop = this.#loopLabels.get(target);
    const merge = this.#blockLabels.get(target);
    if (flow.order[target] <= flow.order[source] && loop !== undefined) w.br(loop);
    else if (flow.merge[target] && merge !== undefined) w.br(merge);
    else {
      this.#tree(target);
      this.#current = source;
    }
  }
  #body(i: number): void {
    const w = this.#w;
    const b = this.#blocks[i];
    this.#current = i;
    if (this.#flow.entered[i]) {
      w.get(this.#budget);
      w.i32(b.count);
      w.op(OP.i32_lt_s);
      this.#hint();
      w.if();
      w.i32(b.rec);
      w.set(this.#status);
      w.br(this.#budgetExit);
      w.end();
    }
    generateBlock(this.#code.get(i) ?? [], this.#dropped.get(i) ?? new Set(), w, this.#pool, {
      hook: this.#emit.exits.fault,
      label: () => this.#faultExit,
      reload: () => this.#reload(),
      unlikely: () => this.#hint(),
    });
  }

  build(): RegionModule {
    const w = this.#w;
    const e = this.#emit;
    this.#blocks.forEach((b, i) => {
      if (this.#flow.order[i] >= 0) this.#translate(b, i);
    });
    const { readMask, writeMask } = this.#clean();
    for (let i = 0; i < TRACKED; i++) e.tracked[i].local = ((readMask | writeMask) >> i) & 1 ? w.fixedLocal(e.tracked[i].ty) : -1;
    this.#exit = w.block();
    this.#faultExit = w.block();
    this.#budgetExit = w.block();
    this.#tree(0);
    w.op(OP.unreachable);
    w.end();
    w.i32(0);
    w.get(this.#status);
    w.mem(OP.i32_store, STATE.curRec.offset);
    w.i32(0);
    w.i32(STALE_OUT_OF_BUDGET);
    w.mem(OP.i32_store, STATE.regionStale.offset);
    this.#leaveWith(REGION_BUDGET);
    w.end();
    w.i32(COLD_FAULT);
    w.set(this.#status);
    w.end();
    writeEpilogue(w, e, writeMask, this.#budget);
    w.get(this.#status);
    const head = new FunctionWriter(1);
    writePrologue(head, e, readMask | writeMask, this.#budget);
    const shift = head.code.length;
    head.code.bytes(w.code.view());
    const m = this.#module;
    m.importMemory("e", "m", 1, 65536);
    m.importTable("e", "t", ARM_NAMES.length);
    const run = m.declare();
    m.define(
      run,
      { params: [I32], results: [I32] },
      w.locals,
      head.code.view(),
      this.#unlikely.map((at) => at + shift),
    );
    m.export("r", run);
    return { bytes: m.build(), instructions: this.#blocks.reduce((n, b) => n + b.insns.length, 0) };
  }
  /** Dead writes; then which tracked variables remain read and written. */
  #clean(): { readonly readMask: number; readonly writeMask: number } {
    const e = this.#emit;
    const bits = new Map<MutableNode, number>(e.tracked.map((t, i) => [t, 1 << i]));
    const bitOf = (m: MutableNode | undefined): number => (m === undefined ? 0 : (bits.get(m) ?? 0));
    let readMask = 0;
    let writeMask = 0;
    for (const [i, nodes] of this.#code) {
      const dropped = deadWrites(nodes, bitOf);
      this.#dropped.set(i, dropped);
      for (const n of nodes) {
        if (n.kind === "set" && !dropped.has(n)) writeMask |= bitOf(n.mutable);
        else if (n.kind === "get") readMask |= bitOf(n.mutable);
      }
    }
    if (((readMask | writeMask) & FLAGS_MASK) !== 0) readMask |= FLAGS_MASK;
    return { readMask, writeMask };
  }
}

/** As the record's immediate field would say, but with all 64 bits. ENTER's second one lies above the first. */
function immediate(insn: Insn): bigint {
  let value = 0n;
  let n = 0;
  for (const o of insn.operands) {
    if (o.kind === "imm") {
      if (n++ === 0) value = (BigInt(o.hi) << 32n) | BigInt(o.lo >>> 0);
      else value = (value & 0xffffn) | (BigInt(o.lo & 0xffff) << 16n);
    } else if (o.kind === "rel") value = BigInt(o.disp);
  }
  return value;
}
