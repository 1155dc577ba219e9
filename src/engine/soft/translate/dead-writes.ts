import { isPure, type MutableNode, type Node } from "../ir/nodes.ts";

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
