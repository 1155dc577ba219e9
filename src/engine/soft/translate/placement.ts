import { isPure, type MutableNode, type Node } from "../ir/nodes.ts";

const INF = Number.POSITIVE_INFINITY;

/** Where the values of a block are needed: which are made where they stand, how long the others and the variables must be kept. Places are indexes. */
export class Placement {
  readonly nodes: readonly Node[];
  readonly #loops: readonly [start: number, end: number][];
  readonly #delayed: ReadonlySet<Node>;
  /** Places where a variable is written, and which of them comes next. */
  readonly #writes = new Map<MutableNode, { readonly places: number[]; next: number }>();
  readonly #lastOfVariable = new Map<MutableNode, number>();

  /** `nodes`: without constants and dropped statements. Numbers them and counts their uses. */
  constructor(nodes: readonly Node[]) {
    this.nodes = nodes;
    for (const [i, n] of nodes.entries()) {
      n.at = i;
      n.last = -1;
    }
    // Loads are wanted only when something uses them: they are counted through their consumers.
    for (const n of nodes) if (!isPure(n) && n.kind !== "load") count(n);
    this.#loops = loopEnds(nodes);
    this.#delayed = delayedLoads(nodes, this.#loops);
    for (const [i, n] of nodes.entries())
      if (!this.inline(n) && (n.uses > 0 || !(isPure(n) || n.kind === "load" || n.kind === "get"))) for (const a of n.args) this.#consume(a, i);
    for (const [i, n] of nodes.entries()) this.#noteVariable(n, i);
  }
  /** Made on the stack by its consumer. */
  inline(n: Node): boolean {
    return n.kind === "const" || (n.uses === 1 && isPure(n)) || this.#delayed.has(n);
  }
  /** Last place at which a value is consumed. */
  lastOf(n: Node): number {
    return n.last < 0 ? n.at : n.last;
  }
  lastOfVariable(m: MutableNode): number {
    return this.#lastOfVariable.get(m) ?? INF;
  }
  /** Place of the first write of a variable after `i`; asked in order. */
  nextWrite(m: MutableNode, i: number): number {
    const list = this.#writes.get(m);
    if (list === undefined) return INF;
    while (list.next < list.places.length && list.places[list.next] <= i) list.next++;
    return list.places[list.next] ?? INF;
  }

  #consume(n: Node, i: number): void {
    if (n.kind === "const") return;
    if (this.inline(n)) {
      for (const a of n.args) this.#consume(a, i);
      return;
    }
    let to = i;
    // Used in a loop that began after it was made: needed until the loop's end.
    for (const [start, end] of this.#loops) if (start > n.at && start < i && end > to) to = end;
    if (to > n.last) n.last = to;
  }
  #noteVariable(n: Node, i: number): void {
    const m = n.mutable;
    if (m === undefined) return;
    if (n.kind === "set") {
      const list = this.#writes.get(m);
      if (list === undefined) this.#writes.set(m, { places: [i], next: 0 });
      else list.places.push(i);
    }
    let last = Math.max(this.#lastOfVariable.get(m) ?? -1, this.lastOf(n));
    for (const [from, to] of this.#loops) if (i > from && i < to && to > last) last = to;
    this.#lastOfVariable.set(m, last);
  }
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
