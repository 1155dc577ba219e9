/** What structured code needs to know about a region's control flow. Block 0 is the entry. */
export interface Flow {
  /** Place in reverse postorder, -1 when not reachable. */
  readonly order: readonly number[];
  readonly loopHeader: readonly boolean[];
  /** More than one forward transfer leads here. */
  readonly merge: readonly boolean[];
  /** Some transfer inside the region leads here. */
  readonly entered: readonly boolean[];
  /** Merge blocks that a block dominates directly, the last in order first. */
  readonly mergeChildren: readonly (readonly number[])[];
  /** Whether the transfer is kept: those that would make the graph irreducible leave the region. */
  has(from: number, to: number): boolean;
}

/** `edges[i]`: targets of block i, one entry a transfer. */
export function flowOf(edges: readonly (readonly number[])[]): Flow {
  const n = edges.length;
  const removed = new Set<number>();
  for (;;) {
    const kept = edges.map((to, i) => to.filter((t) => !removed.has(i * 256 + t)));
    const order = reversePostorder(kept);
    const dominators = dominatorsOf(kept, order);
    let clean = true;
    kept.forEach((to, i) => {
      if (order[i] < 0) return;
      for (const t of to) {
        if (order[t] <= order[i] && !dominates(dominators, t, i)) {
          removed.add(i * 256 + t);
          clean = false;
        }
      }
    });
    if (!clean) continue;
    const forward = Array.from({ length: n }, () => 0);
    const loopHeader = Array.from({ length: n }, () => false);
    const entered = Array.from({ length: n }, () => false);
    kept.forEach((to, i) => {
      if (order[i] < 0) return;
      for (const t of to) {
        entered[t] = true;
        if (order[t] <= order[i]) loopHeader[t] = true;
        else forward[t]++;
      }
    });
    const merge = forward.map((k) => k > 1);
    const mergeChildren = Array.from({ length: n }, (): number[] => []);
    for (let t = 1; t < n; t++) if (order[t] >= 0 && merge[t]) mergeChildren[dominators[t]].push(t);
    for (const c of mergeChildren) c.sort((a, b) => order[b] - order[a]);
    return { order, loopHeader, merge, entered, mergeChildren, has: (from, to) => kept[from].includes(to) };
  }
}

function reversePostorder(edges: readonly (readonly number[])[]): number[] {
  const order = edges.map(() => -1);
  const seen = new Set<number>([0]);
  const done: number[] = [];
  const visit = (i: number): void => {
    for (const t of edges[i]) {
      if (seen.has(t)) continue;
      seen.add(t);
      visit(t);
    }
    done.push(i);
  };
  visit(0);
  done.reverse().forEach((b, k) => (order[b] = k));
  return order;
}

/** Immediate dominators (Cooper, Harvey, Kennedy). */
function dominatorsOf(edges: readonly (readonly number[])[], order: readonly number[]): number[] {
  const idom = edges.map(() => -1);
  idom[0] = 0;
  const blocks = order.map((_, i) => i).filter((i) => order[i] > 0);
  blocks.sort((a, b) => order[a] - order[b]);
  const preds = edges.map((): number[] => []);
  edges.forEach((to, i) => {
    if (order[i] >= 0) for (const t of to) preds[t].push(i);
  });
  const meet = (x: number, y: number): number => {
    let a = x;
    let b = y;
    while (a !== b) {
      while (order[a] > order[b]) a = idom[a];
      while (order[b] > order[a]) b = idom[b];
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const b of blocks) {
      let now = -1;
      for (const p of preds[b]) if (idom[p] >= 0) now = now < 0 ? p : meet(now, p);
      if (now !== idom[b]) {
        idom[b] = now;
        changed = true;
      }
    }
  }
  return idom;
}
function dominates(idom: readonly number[], a: number, b: number): boolean {
  for (let x = b; ; x = idom[x]) {
    if (x === a) return true;
    if (x === 0 || x < 0) return false;
  }
}
