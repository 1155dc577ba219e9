import { OP } from "../../../wasm/index.ts";
import { type FunctionWriter, type Label, localLists, Nesting, writePure } from "../ir/codegen.ts";
import type { Ty } from "../ir/emit.ts";
import type { MutableNode, Node } from "../ir/nodes.ts";
import { Placement } from "./placement.ts";

/**
 * From a block's IR to code, with more care than the interpreter's generator: dead writes to tracked variables are
 * dropped, reads of variables and single loads are used where they stand instead of being copied, and locals are
 * given back after their last use.
 */

/** Locals that hold intermediate values, shared by all blocks of a region. */
export class LocalPool {
  readonly #w: FunctionWriter;
  readonly #free = localLists();
  constructor(w: FunctionWriter) {
    this.#w = w;
  }
  take(ty: Ty): number {
    return this.#free[ty].pop() ?? this.#w.fixedLocal(ty);
  }
  give(ty: Ty, local: number): void {
    this.#free[ty].push(local);
  }
}

/** The hook of leaving with a fault, and its label: a plain conditional branch. */
export interface FaultExit {
  readonly hook: () => void;
  label(): Label;
  /** Brings the budget back from memory; a helper has been called. */
  reload(): void;
  /** The branch that comes next is hardly ever taken. */
  unlikely(): void;
}

/** Writes one block. Statements in `dropped` are left out. */
export function generateBlock(all: readonly Node[], dropped: ReadonlySet<Node>, w: FunctionWriter, pool: LocalPool, fault: FaultExit): void {
  new BlockWriter(new Placement(all.filter((n) => n.kind !== "const" && !dropped.has(n))), w, pool, fault).write();
}

class BlockWriter {
  readonly #placement: Placement;
  readonly #w: FunctionWriter;
  readonly #pool: LocalPool;
  readonly #fault: FaultExit;
  readonly #nesting: Nesting;
  /** By the place behind which they are free. */
  readonly #freeAt = new Map<number, { readonly ty: Ty; readonly local: number }[]>();
  // A value that is used as soon as it was put in a local stays on the stack: where that was.
  #setAt = -1;
  #setEnd = -1;
  #setLocal = -1;

  constructor(placement: Placement, w: FunctionWriter, pool: LocalPool, fault: FaultExit) {
    this.#placement = placement;
    this.#w = w;
    this.#pool = pool;
    this.#fault = fault;
    this.#nesting = new Nesting(w);
  }
  write(): void {
    const { nodes } = this.#placement;
    for (const [i, n] of nodes.entries()) {
      if (!this.#value(n, i)) this.#statement(n);
      for (const f of this.#freeAt.get(i) ?? []) this.#pool.give(f.ty, f.local);
    }
    for (const [i, list] of this.#freeAt) if (i >= nodes.length) for (const f of list) this.#pool.give(f.ty, f.local);
  }

  // ---- locals
  #give(end: number, ty: Ty, local: number): void {
    const list = this.#freeAt.get(end);
    if (list === undefined) this.#freeAt.set(end, [{ ty, local }]);
    else list.push({ ty, local });
  }
  #localOf(m: MutableNode | undefined): number {
    if (m === undefined) return 0;
    if (m.local < 0) {
      m.local = this.#pool.take(m.ty);
      this.#give(this.#placement.lastOfVariable(m), m.ty, m.local);
    }
    return m.local;
  }
  /** The value on the stack is the node's, in a local. */
  #keep(n: Node): void {
    n.local = this.#pool.take(n.ty);
    this.#give(this.#placement.lastOf(n), n.ty, n.local);
    this.#set(n.local);
  }
  #set(local: number): void {
    this.#setAt = this.#w.code.length;
    this.#setLocal = local;
    this.#w.set(local);
    this.#setEnd = this.#w.code.length;
  }

  // ---- values
  #push(n: Node): void {
    const w = this.#w;
    if (n.local >= 0) {
      if (n.local === this.#setLocal && this.#setEnd === w.code.length) {
        w.code.view()[this.#setAt] = OP.local_tee;
        this.#setLocal = -1;
      } else w.get(n.local);
      return;
    }
    if (n.kind === "table-call") {
      this.#call(n);
      return;
    }
    if (n.kind !== "const") for (const a of n.args) this.#push(a);
    if (n.kind === "load") w.mem(n.opcode, n.offset);
    else writePure(n, w);
  }
  #call(n: Node): void {
    for (const a of n.args) this.#push(a);
    this.#w.op(OP.call_indirect);
    this.#w.code.leb(n.types?.signature ?? 0);
    this.#w.code.leb(0);
  }
  /** False: it is a statement. */
  #value(n: Node, i: number): boolean {
    const inline = this.#placement.inline(n);
    switch (n.kind) {
      case "op":
      case "select":
      case "lane":
      case "shuffle":
      case "load":
        if (n.uses > 0 && !inline) {
          this.#push(n);
          this.#keep(n);
        }
        return true;
      case "get":
        if (n.uses > 0) this.#get(n, i);
        return true;
      case "table-call":
        if (inline) return true;
        this.#call(n);
        if (n.uses > 0) this.#keep(n);
        else this.#w.op(OP.drop);
        return true;
      default:
        return false;
    }
  }
  /** A variable that is not written before the value is needed last is used as it is. */
  #get(n: Node, i: number): void {
    const m = n.mutable;
    if (m !== undefined && this.#placement.nextWrite(m, i) >= this.#placement.lastOf(n)) {
      n.local = this.#localOf(m);
      return;
    }
    this.#w.get(this.#localOf(m));
    this.#keep(n);
  }

  // ---- statements
  #statement(n: Node): void {
    const w = this.#w;
    if (n.kind !== "raw") for (const a of n.args) this.#push(a);
    switch (n.kind) {
      case "store":
        w.mem(n.opcode, n.offset);
        break;
      case "set":
        this.#set(this.#localOf(n.mutable));
        break;
      case "if":
        if (n.value !== 0) this.#fault.unlikely();
        this.#nesting.if();
        break;
      case "else":
        w.else();
        break;
      case "loop":
        this.#nesting.loop();
        break;
      case "break-if":
        this.#nesting.breakIf();
        break;
      case "end":
        this.#nesting.end();
        break;
      case "leave-if":
        this.#leaveIf(n);
        break;
      case "raw":
        n.hook?.();
        break;
      default:
        throw new Error(`regions have no ${n.kind}`);
    }
  }
  /** The condition is on the stack. */
  #leaveIf(n: Node): void {
    const w = this.#w;
    if (n.hook === this.#fault.hook) {
      this.#fault.reload();
      this.#fault.unlikely();
      w.brIf(this.#fault.label());
      return;
    }
    w.if();
    n.hook?.();
    w.end();
  }
}
