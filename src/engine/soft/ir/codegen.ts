import { ByteWriter, F32, F64, I32, I64, I8X16_SHUFFLE, OP, V128, V128_CONST, VOID, type WasmType } from "../../../wasm/index.ts";
import type { Ty } from "./emit.ts";
import { isPure, type MutableNode, type Node } from "./nodes.ts";

const WASM_TYPES: Readonly<Record<Ty, WasmType>> = { i32: I32, i64: I64, f32: F32, f64: F64, v128: V128 };
export const wasmType = (ty: Ty): WasmType => WASM_TYPES[ty];
export const TYPES = ["i32", "i64", "f32", "f64", "v128"] as const satisfies readonly Ty[];
/** A list of locals for each type. */
export const localLists = (): Record<Ty, number[]> => ({ i32: [], i64: [], f32: [], f64: [], v128: [] });

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
  readonly #free = localLists();
  readonly #used = localLists();

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
    for (const ty of TYPES) {
      this.#free[ty].push(...this.#used[ty].splice(0).reverse());
    }
  }
  /** Opcodes above FFh have their prefix in the upper byte. */
  op(opcode: number): void {
    if (opcode > 0xff) {
      this.code.u8(opcode >> 8);
      this.code.leb(opcode & 0xff);
    } else this.code.u8(opcode);
  }
  i32(v: number): void {
    this.code.u8(OP.i32_const);
    this.code.sleb(v);
  }
  i64(v: bigint): void {
    this.code.u8(OP.i64_const);
    this.code.sleb64(v);
  }
  /** Sixteen bytes as an immediate. */
  bytes16(v: bigint): void {
    for (let i = 0n; i < 128n; i += 8n) this.code.u8(Number((v >> i) & 0xffn));
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
    this.op(opcode);
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

/** Nested ifs and loops: a loop is a block around a Wasm loop, so that it can be left and goes round by itself. */
export class Nesting {
  readonly #w: FunctionWriter;
  readonly #open: ("if" | { readonly outer: Label; readonly inner: Label })[] = [];
  constructor(w: FunctionWriter) {
    this.#w = w;
  }
  if(): void {
    this.#w.if();
    this.#open.push("if");
  }
  loop(): void {
    const outer = this.#w.block();
    this.#open.push({ outer, inner: this.#w.loop() });
  }
  /** Leaves the innermost loop when the value on the stack is not 0. */
  breakIf(): void {
    for (let i = this.#open.length - 1; i >= 0; i--) {
      const open = this.#open[i];
      if (open === "if") continue;
      this.#w.brIf(open.outer);
      return;
    }
  }
  end(): void {
    const open = this.#open.pop();
    if (open !== undefined && open !== "if") {
      this.#w.br(open.inner);
      this.#w.end();
    }
    this.#w.end();
  }
}

/** Turns a finished IR list into code. */
export function generate(nodes: readonly Node[], w: FunctionWriter): void {
  for (const n of nodes) countUses(n);
  const nesting = new Nesting(w);
  for (const n of nodes) if (!writeValue(n, w)) writeStatement(n, w, nesting);
}
/** A node that makes a value: into a local of its own, unless it is used where it stands or not at all. False: it is a statement. */
function writeValue(n: Node, w: FunctionWriter): boolean {
  switch (n.kind) {
    case "const":
      return true;
    case "op":
    case "select":
    case "lane":
    case "shuffle":
      if (n.uses <= 1) return true;
      emitPure(n, w);
      break;
    case "load":
      if (n.uses === 0) return true;
      push(n.args[0], w);
      w.mem(n.opcode, n.offset);
      break;
    case "get":
      if (n.uses === 0) return true;
      w.get(mutableLocal(n.mutable, w));
      break;
    case "call":
      for (const a of n.args) push(a, w);
      w.call(n.opcode);
      break;
    case "table-call":
      for (const a of n.args) push(a, w);
      w.op(OP.call_indirect);
      w.code.leb(n.types?.signature ?? 0);
      w.code.leb(0);
      break;
    default:
      return false;
  }
  n.local = w.scratch(n.ty);
  w.set(n.local);
  return true;
}
function writeStatement(n: Node, w: FunctionWriter, nesting: Nesting): void {
  if (n.kind !== "raw") for (const a of n.args) push(a, w);
  switch (n.kind) {
    case "store":
      w.mem(n.opcode, n.offset);
      break;
    case "set":
      w.set(mutableLocal(n.mutable, w));
      break;
    case "if":
      nesting.if();
      break;
    case "else":
      w.else();
      break;
    case "loop":
      nesting.loop();
      break;
    case "break-if":
      nesting.breakIf();
      break;
    case "end":
      nesting.end();
      break;
    case "leave-if":
      if (n.args.length > 0) w.if();
      n.hook?.();
      if (n.args.length > 0) w.end();
      break;
    case "raw":
      n.hook?.();
      break;
    default:
      throw new Error(`${n.kind} is no statement`);
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
  if (n.kind !== "const") for (const a of n.args) push(a, w);
  writePure(n, w);
}

/** A constant, or a pure node whose arguments are on the stack. */
export function writePure(n: Node, w: FunctionWriter): void {
  switch (n.kind) {
    case "const":
      if (n.ty === "i32") w.i32(Number(n.value));
      else if (n.ty === "i64") w.i64(BigInt(n.value));
      else {
        w.op(V128_CONST);
        w.bytes16(BigInt(n.value));
      }
      return;
    case "select":
      w.op(OP.select);
      return;
    case "shuffle":
      w.op(I8X16_SHUFFLE);
      w.bytes16(BigInt(n.value));
      return;
    case "lane":
      w.op(n.opcode);
      w.code.u8(n.offset);
      return;
    default:
      w.op(n.opcode);
  }
}
