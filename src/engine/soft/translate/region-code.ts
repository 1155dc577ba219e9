import { OP } from "../../../wasm/index.ts";
import { type FunctionWriter, type Label, localLists, writePure } from "../ir/codegen.ts";
import type { Ty } from "../ir/emit.ts";
import { isPure, type MutableNode, type Node } from "../ir/nodes.ts";

/**
 * From a block's IR to code, with more care than the interpreter's generator: dead writes to tracked variables are
 * dropped, reads of variables and single loads are used where they stand instead of being copied, and locals are
 * given back after their last use.
 */

/** Bit of a tracked variable, 0 for others. */
export type BitOf = (m: MutableNode | undefined) => number;
const ALL = 0x1fffff;
const USED = -2;

/**
 * Marks the writes of tracked variables in a block that no one sees: the variable is written again before anything reads it
 * or control can leave. (Between blocks there is nothing to win: each entry may be where the budget ends.)
 */
export function deadWrites(nodes: readonly Node[], bitOf: BitOf): Set<Node> {
  const dead = new Set<Node>();
  let live = ALL;
  let depth = 0;
  let loops = 0;
  // `last` marks what is used, until generateBlock gives it its meaning.
  const use = (n: Node): void => {
    if (n.last === USED) return;
    n.last = USED;
    if (isPure(n)) for (const a of n.args) use(a);
  };
  const opened: boolean[] = [];
  for (let i = nodes.length - 1; i >= 0; i--) {
    const n = nodes[i];
    switch (n.kind) {
      case "end":
        depth++;
        opened.push(isLoopEnd(nodes, i));
        if (opened.at(-1) === true) loops++;
        break;
      case "loop":
      case "if":
        depth--;
        if (opened.pop() === true) loops--;
        n.args.forEach(use);
        break;
      case "raw":
      case "leave-if":
        live = ALL;
        n.args.forEach(use);
        break;
      case "get":
        if (n.last === USED) live |= bitOf(n.mutable);
        break;
      case "set": {
        const bit = bitOf(n.mutable);
        if (bit !== 0 && loops === 0) {
          if ((live & bit) === 0) {
            dead.add(n);
            break;
          }
          if (depth === 0) live &= ~bit;
        }
        n.args.forEach(use);
        break;
      }
      case "load":
        if (n.last === USED) n.args.forEach(use);
        break;
      default:
        if (!isPure(n)) n.args.forEach(use);
    }
  }
  return dead;
}
/** Whether the "end" at i closes a loop. */
function isLoopEnd(nodes: readonly Node[], i: number): boolean {
  let depth = 0;
  for (let j = i; j >= 0; j--) {
    const k = nodes[j].kind;
    if (k === "end") depth++;
    else if ((k === "if" || k === "loop") && --depth === 0) return k === "loop";
  }
  return false;
}

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

const INF = Number.POSITIVE_INFINITY;

/** Writes one block. Statements in `dropped` are left out. */
export function generateBlock(all: readonly Node[], dropped: ReadonlySet<Node>, w: FunctionWriter, pool: LocalPool, fault: FaultExit): void {
  const nodes = all.filter((n) => n.kind !== "const" && !dropped.has(n));
  for (let i = 0; i < nodes.length; i++) {
    nodes[i].at = i;
    nodes[i].last = -1;
  }
  // Loads are wanted only when something uses them: they are counted through their consumers.
  for (const n of nodes) if (!isPure(n) && n.kind !== "load") count(n);
  const loopEnd = loopEnds(nodes);
  const delayed = delayedLoads(nodes, loopEnd);
  const inline = (n: Node): boolean => n.kind === "const" || (n.uses === 1 && isPure(n)) || delayed.has(n);
  // Last position at which each kept value is consumed.
  const consume = (n: Node, i: number): void => {
    if (n.kind === "const") return;
    if (inline(n)) {
      for (const a of n.args) consume(a, i);
      return;
    }
    let to = i;
    // Used in a loop that began after it was made: needed until the loop's end.
    for (const [start, end] of loopEnd) if (start > n.at && start < i && end > to) to = end;
    if (to > n.last) n.last = to;
  };
  for (let i = 0; i < nodes.length; i++) {
    const n = nodes[i];
    if (!inline(n) && (n.uses > 0 || !(isPure(n) || n.kind === "load" || n.kind === "get"))) for (const a of n.args) consume(a, i);
  }
  const lastOf = (n: Node): number => (n.last < 0 ? n.at : n.last);
  const writes = new Map<MutableNode, { readonly places: number[]; next: number }>();
  for (const n of nodes) {
    if (n.kind !== "set" || n.mutable === undefined) continue;
    const list = writes.get(n.mutable);
    if (list === undefined) writes.set(n.mutable, { places: [n.at], next: 0 });
    else list.places.push(n.at);
  }
  /** Place of the first write of a variable after the place being generated. */
  const nextWrite = (m: MutableNode, i: number): number => {
    const list = writes.get(m);
    if (list === undefined) return INF;
    while (list.next < list.places.length && list.places[list.next] <= i) list.next++;
    return list.places[list.next] ?? INF;
  };
  const mutableLast = new Map<MutableNode, number>();
  nodes.forEach((n, i) => {
    const m = n.mutable;
    if (m === undefined) return;
    let end = Math.max(mutableLast.get(m) ?? -1, lastOf(n));
    for (const [from, to] of loopEnd) if (i > from && i < to && to > end) end = to;
    mutableLast.set(m, end);
  });
  const freeAt = new Map<number, { readonly ty: Ty; readonly local: number }[]>();
  const give = (end: number, ty: Ty, local: number): void => {
    const list = freeAt.get(end);
    if (list === undefined) freeAt.set(end, [{ ty, local }]);
    else list.push({ ty, local });
  };
  const localOf = (m: MutableNode | undefined): number => {
    if (m === undefined) return 0;
    if (m.local < 0) {
      m.local = pool.take(m.ty);
      give(mutableLast.get(m) ?? INF, m.ty, m.local);
    }
    return m.local;
  };
  const keep = (n: Node): void => {
    n.local = pool.take(n.ty);
    give(lastOf(n), n.ty, n.local);
  };
  // A value that is used as soon as it was put in a local stays on the stack.
  let setAt = -1;
  let setEnd = -1;
  let setLocal = -1;
  const set = (local: number): void => {
    setAt = w.code.length;
    setLocal = local;
    w.set(local);
    setEnd = w.code.length;
  };
  const push = (n: Node): void => {
    if (n.local >= 0) {
      if (n.local === setLocal && setEnd === w.code.length) {
        w.code.view()[setAt] = OP.local_tee;
        setLocal = -1;
      } else w.get(n.local);
      return;
    }
    if (n.kind === "table-call") {
      call(n);
      return;
    }
    if (n.kind !== "const") n.args.forEach(push);
    if (n.kind === "load") w.mem(n.opcode, n.offset);
    else writePure(n, w);
  };
  const call = (n: Node): void => {
    for (const a of n.args) push(a);
    w.op(OP.call_indirect);
    w.code.leb(n.types?.signature ?? 0);
    w.code.leb(0);
  };
  const loops: { readonly outer: Label; readonly inner: Label }[] = [];
  const nesting: ("if" | "loop")[] = [];
  nodes.forEach((n, i) => {
    switch (n.kind) {
      case "op":
      case "select":
      case "lane":
      case "shuffle":
      case "load":
        if (n.uses > 0 && !inline(n)) {
          push(n);
          keep(n);
          set(n.local);
        }
        break;
      case "get": {
        if (n.uses === 0) break;
        const m = n.mutable;
        const until = lastOf(n);
        if (m !== undefined && nextWrite(m, i) >= until) {
          n.local = localOf(m);
          break;
        }
        w.get(localOf(m));
        keep(n);
        set(n.local);
        break;
      }
      case "table-call":
        if (inline(n)) break;
        call(n);
        if (n.uses > 0) {
          keep(n);
          set(n.local);
        } else w.op(OP.drop);
        break;
      case "call":
        throw new Error("regions have no functions to call");
      case "store":
        push(n.args[0]);
        push(n.args[1]);
        w.mem(n.opcode, n.offset);
        break;
      case "set":
        push(n.args[0]);
        set(localOf(n.mutable));
        break;
      case "if":
        push(n.args[0]);
        if (n.value !== 0) fault.unlikely();
        w.if();
        nesting.push("if");
        break;
      case "else":
        w.else();
        break;
      case "loop": {
        const outer = w.block();
        loops.push({ outer, inner: w.loop() });
        nesting.push("loop");
        break;
      }
      case "break-if": {
        const top = loops.at(-1);
        push(n.args[0]);
        if (top !== undefined) w.brIf(top.outer);
        break;
      }
      case "end":
        if (nesting.pop() === "loop") {
          const top = loops.pop();
          if (top !== undefined) w.br(top.inner);
          w.end();
        }
        w.end();
        break;
      case "leave-if":
        push(n.args[0]);
        if (n.hook === fault.hook) {
          fault.reload();
          fault.unlikely();
          w.brIf(fault.label());
          break;
        }
        w.if();
        n.hook?.();
        w.end();
        break;
      case "raw":
        n.hook?.();
        break;
      case "const":
        break;
    }
    const free = freeAt.get(i);
    if (free !== undefined) for (const f of free) pool.give(f.ty, f.local);
  });
  for (const [i, list] of freeAt) if (i >= nodes.length) for (const f of list) pool.give(f.ty, f.local);
}

function count(n: Node): void {
  for (const a of n.args) {
    if (a.uses++ > 0) continue;
    a.parent = n;
    if (isPure(a) || a.kind === "load") count(a);
  }
}

/** [start, end] positions of loops. */
function loopEnds(nodes: readonly Node[]): [number, number][] {
  const found: [number, number][] = [];
  const open: { readonly start: number; readonly loop: boolean }[] = [];
  nodes.forEach((n, i) => {
    if (n.kind === "if" || n.kind === "loop") open.push({ start: i, loop: n.kind === "loop" });
    else if (n.kind === "end") {
      const top = open.pop();
      if (top?.loop === true) found.push([top.start, i]);
    }
  });
  return found;
}

/** Loads with one consumer and nothing between that could change what they read, and calls whose answer is tested next: they are
 * made on the stack. */
function delayedLoads(nodes: readonly Node[], loops: readonly [number, number][]): Set<Node> {
  const delayed = new Set<Node>();
  for (let i = nodes.length - 1; i >= 0; i--) {
    const n = nodes[i];
    if (n.uses !== 1) continue;
    if (n.kind === "table-call") {
      if (n.parent?.kind === "leave-if" && n.parent.at === i + 1) delayed.add(n);
      continue;
    }
    if (n.kind !== "load") continue;
    let p = n.parent;
    while (p !== undefined && p.uses === 1 && (isPure(p) || delayed.has(p))) p = p.parent;
    if (p === undefined || p.at < 0 || loops.some(([start]) => start > i && start < (p?.at ?? 0))) continue;
    let safe = true;
    for (let j = i + 1; j < p.at && safe; j++) {
      const k = nodes[j].kind;
      safe = k !== "store" && k !== "call" && k !== "table-call" && k !== "else" && k !== "end" && k !== "raw" && k !== "leave-if";
    }
    if (safe) delayed.add(n);
  }
  return delayed;
}
