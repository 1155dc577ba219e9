import { OP } from "../../../wasm/index.ts";
import type { FunctionWriter, Label } from "../ir/codegen.ts";
import { isPure, type MutableNode, type Node } from "../ir/nodes.ts";

/**
 * From a block's IR to code, with more care than the interpreter's generator: dead writes to tracked variables are
 * dropped, reads of variables and single loads are used where they stand instead of being copied, and locals are
 * given back after their last use.
 */

/** Bit of a tracked variable, 0 for others. */
export type BitOf = (m: MutableNode | undefined) => number;
const ALL = 0x1fffff;

/**
 * Marks the writes of tracked variables in a block that no one sees: the variable is written again before anything reads it
 * or control can leave. (Between blocks there is nothing to win: each entry may be where the budget ends.)
 */
export function deadWrites(nodes: readonly Node[], bitOf: BitOf): Set<Node> {
  const dead = new Set<Node>();
  let live = ALL;
  let depth = 0;
  let loops = 0;
  const used = new Set<Node>();
  const use = (n: Node): void => {
    if (used.has(n)) return;
    used.add(n);
    if (isPure(n)) n.args.forEach(use);
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
        if (used.has(n)) live |= bitOf(n.mutable);
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
        if (used.has(n)) n.args.forEach(use);
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
  readonly #free: { readonly i32: number[]; readonly i64: number[] } = { i32: [], i64: [] };
  constructor(w: FunctionWriter) {
    this.#w = w;
  }
  take(ty: "i32" | "i64"): number {
    return this.#free[ty].pop() ?? this.#w.fixedLocal(ty);
  }
  give(ty: "i32" | "i64", local: number): void {
    this.#free[ty].push(local);
  }
}

const INF = Number.POSITIVE_INFINITY;

/** Writes one block. Statements in `dropped` are left out. */
export function generateBlock(all: readonly Node[], dropped: ReadonlySet<Node>, w: FunctionWriter, pool: LocalPool): void {
  const nodes = all.filter((n) => n.kind !== "const" && !dropped.has(n));
  const at = new Map<Node, number>();
  nodes.forEach((n, i) => at.set(n, i));
  const parent = new Map<Node, Node>();
  for (const n of nodes) if (!isPure(n) && n.kind !== "load") count(n, parent);
  // Loads are wanted only when something uses them: they were counted through their consumers.
  const loopEnd = loopEnds(nodes);
  const delayed = delayedLoads(nodes, at, parent, loopEnd);
  const inline = (n: Node): boolean => n.kind === "const" || (n.uses === 1 && isPure(n)) || delayed.has(n);
  // Last position at which each kept value is consumed.
  const last = new Map<Node, number>();
  const consume = (n: Node, i: number): void => {
    if (n.kind === "const") return;
    if (inline(n)) n.args.forEach((a) => consume(a, i));
    else {
      const from = at.get(n) ?? 0;
      let to = i;
      // Used in a loop that began after it was made: needed until the loop's end.
      for (const [start, end] of loopEnd) if (start > from && start < i && end > to) to = end;
      last.set(n, Math.max(last.get(n) ?? -1, to));
    }
  };
  nodes.forEach((n, i) => {
    if (!inline(n) && (n.uses > 0 || !(isPure(n) || n.kind === "load" || n.kind === "get"))) n.args.forEach((a) => consume(a, i));
  });
  const writes = new Map<MutableNode, number[]>();
  nodes.forEach((n, i) => {
    if (n.kind !== "set" || n.mutable === undefined) return;
    const list = writes.get(n.mutable);
    if (list === undefined) writes.set(n.mutable, [i]);
    else list.push(i);
  });
  const mutableLast = new Map<MutableNode, number>();
  nodes.forEach((n, i) => {
    const m = n.mutable;
    if (m === undefined) return;
    let end = Math.max(mutableLast.get(m) ?? -1, last.get(n) ?? i);
    for (const [from, to] of loopEnd) if (i > from && i < to && to > end) end = to;
    mutableLast.set(m, end);
  });
  const freeAt = new Map<number, { readonly ty: "i32" | "i64"; readonly local: number }[]>();
  const give = (end: number, ty: "i32" | "i64", local: number): void => {
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
  const keep = (n: Node, i: number): void => {
    n.local = pool.take(n.ty);
    give(last.get(n) ?? i, n.ty, n.local);
  };
  const push = (n: Node): void => {
    if (n.local >= 0) {
      w.get(n.local);
      return;
    }
    if (n.kind === "const") {
      if (n.ty === "i32") w.i32(Number(n.value));
      else w.i64(BigInt(n.value));
      return;
    }
    n.args.forEach(push);
    if (n.kind === "load") w.mem(n.opcode, n.offset);
    else w.op(n.kind === "select" ? OP.select : n.opcode);
  };
  const loops: { readonly outer: Label; readonly inner: Label }[] = [];
  const nesting: ("if" | "loop")[] = [];
  nodes.forEach((n, i) => {
    switch (n.kind) {
      case "op":
      case "select":
      case "load":
        if (n.uses > 0 && !inline(n)) {
          push(n);
          keep(n, i);
          w.set(n.local);
        }
        break;
      case "get": {
        if (n.uses === 0) break;
        const m = n.mutable;
        const until = last.get(n) ?? i;
        if (m !== undefined && !(writes.get(m) ?? []).some((p) => p > i && p < until)) {
          n.local = localOf(m);
          break;
        }
        w.get(localOf(m));
        keep(n, i);
        w.set(n.local);
        break;
      }
      case "table-call":
      case "call":
        n.args.forEach(push);
        if (n.kind === "call") w.call(n.opcode);
        else {
          w.op(OP.call_indirect);
          w.code.leb(n.types?.signature ?? 0);
          w.code.leb(0);
        }
        if (n.uses > 0) {
          keep(n, i);
          w.set(n.local);
        } else w.op(OP.drop);
        break;
      case "store":
        push(n.args[0]);
        push(n.args[1]);
        w.mem(n.opcode, n.offset);
        break;
      case "set":
        push(n.args[0]);
        w.set(localOf(n.mutable));
        break;
      case "if":
        push(n.args[0]);
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

function count(n: Node, parent: Map<Node, Node>): void {
  for (const a of n.args) {
    a.uses++;
    if (a.uses === 1) {
      parent.set(a, n);
      if (isPure(a) || a.kind === "load") count(a, parent);
    }
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

/** Loads with one consumer and nothing between that could change what they read: they are made on the stack. */
function delayedLoads(
  nodes: readonly Node[],
  at: ReadonlyMap<Node, number>,
  parent: ReadonlyMap<Node, Node>,
  loops: readonly [number, number][],
): Set<Node> {
  const delayed = new Set<Node>();
  for (let i = nodes.length - 1; i >= 0; i--) {
    const n = nodes[i];
    if (n.kind !== "load" || n.uses !== 1) continue;
    let p = parent.get(n);
    while (p !== undefined && p.uses === 1 && (isPure(p) || delayed.has(p))) p = parent.get(p);
    const to = p === undefined ? INF : (at.get(p) ?? INF);
    if (to === INF || loops.some(([start]) => start > i && start < to)) continue;
    let safe = true;
    for (let j = i + 1; j < to && safe; j++) {
      const k = nodes[j].kind;
      safe = k !== "store" && k !== "call" && k !== "table-call" && k !== "else" && k !== "end" && k !== "raw" && k !== "leave-if";
    }
    if (safe) delayed.add(n);
  }
  return delayed;
}
