import { ByteWriter, I32, I64, OP, VOID, type WasmType } from "../../../wasm/index.ts";
import type { Ty } from "./emit.ts";
import { isPure, type MutableNode, type Node } from "./nodes.ts";

export const wasmType = (ty: Ty): WasmType => (ty === "i32" ? I32 : I64);

/** A label of structured control: its absolute nesting depth. */
export interface Label {
  readonly depth: number;
}

/**
 * Writes one function's code: nesting, labels, and locals that are recycled from one handler to the next
 * (`resetScratch`).
 */
export class FunctionWriter {
  readonly code = new ByteWriter();
  readonly locals: WasmType[] = [];
  depth = 0;
  readonly #params: number;
  readonly #free: { i32: number[]; i64: number[] } = { i32: [], i64: [] };
  readonly #used: { i32: number[]; i64: number[] } = { i32: [], i64: [] };

  constructor(params: number) {
    this.#params = params;
  }
  /** A local that lives for the whole function. */
  fixedLocal(ty: Ty): number {
    this.locals.push(wasmType(ty));
    return this.#params + this.locals.length - 1;
  }
  scratch(ty: Ty): number {
    const index = this.#free[ty].pop() ?? this.fixedLocal(ty);
    this.#used[ty].push(index);
    return index;
  }
  /** Every scratch local may be used anew. */
  resetScratch(): void {
    for (const ty of ["i32", "i64"] as const) {
      this.#free[ty].push(...this.#used[ty].splice(0).reverse());
    }
  }
  op(opcode: number): void {
    this.code.u8(opcode);
  }
  i32(v: number): void {
    this.code.u8(OP.i32_const);
    this.code.sleb(v);
  }
  i64(v: bigint): void {
    this.code.u8(OP.i64_const);
    this.code.sleb64(v);
  }
  get(local: number): void {
    this.code.u8(OP.local_get);
    this.code.leb(local);
  }
  set(local: number): void {
    this.code.u8(OP.local_set);
    this.code.leb(local);
  }
  tee(local: number): void {
    this.code.u8(OP.local_tee);
    this.code.leb(local);
  }
  /** A memory instruction; alignment hint 0 (guest data is unaligned). */
  mem(opcode: number, offset: number): void {
    this.code.u8(opcode);
    this.code.u8(0);
    this.code.leb(offset);
  }
  call(f: number): void {
    this.code.u8(OP.call);
    this.code.leb(f);
  }
  block(): Label {
    this.code.u8(OP.block);
    this.code.u8(VOID);
    return { depth: ++this.depth };
  }
  loop(): Label {
    this.code.u8(OP.loop);
    this.code.u8(VOID);
    return { depth: ++this.depth };
  }
  if(): Label {
    this.code.u8(OP.if);
    this.code.u8(VOID);
    return { depth: ++this.depth };
  }
  else(): void {
    this.code.u8(OP.else);
  }
  end(): void {
    this.code.u8(OP.end);
    this.depth--;
  }
  br(label: Label): void {
    this.code.u8(OP.br);
    this.code.leb(this.depth - label.depth);
  }
  brIf(label: Label): void {
    this.code.u8(OP.br_if);
    this.code.leb(this.depth - label.depth);
  }
}

/** Turns a finished IR list into code. */
export function generate(nodes: readonly Node[], w: FunctionWriter): void {
  for (const n of nodes) countUses(n);
  const loops: { readonly outer: Label; readonly inner: Label }[] = [];
  const nesting: ("if" | "loop")[] = [];
  for (const n of nodes) {
    switch (n.kind) {
      case "const":
        break;
      case "op":
      case "select":
        if (n.uses > 1) {
          emitPure(n, w);
          n.local = w.scratch(n.ty);
          w.set(n.local);
        }
        break;
      case "load":
        if (n.uses > 0) {
          push(n.args[0], w);
          w.mem(n.opcode, n.offset);
          n.local = w.scratch(n.ty);
          w.set(n.local);
        }
        break;
      case "get":
        if (n.uses > 0) {
          w.get(mutableLocal(n.mutable, w));
          n.local = w.scratch(n.ty);
          w.set(n.local);
        }
        break;
      case "call":
        for (const a of n.args) push(a, w);
        w.call(n.opcode);
        n.local = w.scratch(n.ty);
        w.set(n.local);
        break;
      case "table-call":
        for (const a of n.args) push(a, w);
        w.op(OP.call_indirect);
        w.code.leb(n.types?.signature ?? 0);
        w.code.leb(0);
        n.local = w.scratch(n.ty);
        w.set(n.local);
        break;
      case "store":
        push(n.args[0], w);
        push(n.args[1], w);
        w.mem(n.opcode, n.offset);
        break;
      case "set":
        push(n.args[0], w);
        w.set(mutableLocal(n.mutable, w));
        break;
      case "if":
        push(n.args[0], w);
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
        push(n.args[0], w);
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
        if (n.args.length > 0) {
          push(n.args[0], w);
          w.if();
          n.hook?.();
          w.end();
        } else n.hook?.();
        break;
      case "raw":
        n.hook?.();
        break;
    }
  }
}

/** Uses are counted from statements down, so that pure nodes nobody needs vanish. */
function countUses(n: Node): void {
  if (isPure(n)) return;
  for (const a of n.args) use(a);
}
function use(n: Node): void {
  n.uses++;
  if (n.uses === 1 && isPure(n)) for (const a of n.args) use(a);
}

function mutableLocal(m: MutableNode | undefined, w: FunctionWriter): number {
  if (m === undefined) return 0;
  if (m.local < 0) m.local = w.scratch(m.ty);
  return m.local;
}

/** Puts a node's value on the stack. */
export function push(n: Node, w: FunctionWriter): void {
  if (n.local >= 0) w.get(n.local);
  else emitPure(n, w);
}

function emitPure(n: Node, w: FunctionWriter): void {
  if (n.kind === "const") {
    if (n.ty === "i32") w.i32(Number(n.value));
    else w.i64(BigInt(n.value));
    return;
  }
  for (const a of n.args) push(a, w);
  w.op(n.kind === "select" ? OP.select : n.opcode);
}
