import type { Mutable, Ty, Val } from "./emit.ts";

/**
 * The IR: a list of statements over SSA nodes, linear, with structured control. Pure nodes are emitted where they are
 * used (once) or into a local (used more often); impure ones (loads, calls) keep their place.
 */
export type NodeKind =
  | "const"
  | "op" // pure: wasm opcode over args
  | "lane" // pure: vector opcode over args, with the lane in `offset`
  | "shuffle" // pure: two vectors; the sixteen byte numbers in `value`, lowest first
  | "select"
  | "load" // impure: memory read at args[0] + offset
  | "get" // impure: mutable read
  | "call" // impure: function index over args
  | "table-call" // impure: call_indirect; last argument is the slot
  | "store"
  | "set"
  | "if"
  | "else"
  | "end"
  | "loop"
  | "break-if"
  | "leave-if" // args[0] condition (or none): run the back end's exit
  | "raw"; // back-end hook

export interface Node extends Val {
  readonly kind: NodeKind;
  readonly opcode: number;
  readonly args: readonly Node[];
  readonly offset: number;
  readonly value: number | bigint;
  readonly mutable: MutableNode | undefined;
  /** For "raw": called while generating, with nothing on the stack. */
  readonly hook: (() => void) | undefined;
  readonly types: { readonly signature: number } | undefined;
  uses: number;
  local: number;
  /** For the translator's generator: place in the list, place of the last use, the one consumer. */
  at: number;
  last: number;
  parent: Node | undefined;
}

export interface MutableNode extends Mutable {
  local: number;
}

const NO_ARGS: readonly Node[] = [];

export function makeNode(
  kind: NodeKind,
  ty: Ty,
  fields: Partial<Pick<Node, "opcode" | "args" | "offset" | "value" | "mutable" | "hook" | "types">> = {},
): Node {
  return {
    kind,
    ty,
    opcode: fields.opcode ?? 0,
    args: fields.args ?? NO_ARGS,
    offset: fields.offset ?? 0,
    value: fields.value ?? 0,
    mutable: fields.mutable,
    hook: fields.hook,
    types: fields.types,
    uses: 0,
    local: -1,
    at: -1,
    last: -1,
    parent: undefined,
  };
}

export function isPure(n: Node): boolean {
  return n.kind === "const" || n.kind === "op" || n.kind === "select" || n.kind === "lane" || n.kind === "shuffle";
}
