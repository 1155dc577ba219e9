import { OP } from "../../../wasm/index.ts";
import type { Ty } from "../ir/emit.ts";
import { makeNode, type Node } from "../ir/nodes.ts";

/**
 * Constant folding and the few identities that operands known at translation time make worthwhile. Gives an existing
 * node, a constant, or a new pure node whose arguments exist; undefined: nothing to simplify. Divisions are left alone.
 */
export function fold(n: Node): Node | undefined {
  const a = n.args[0];
  const b = n.args[1];
  if (n.kind === "select") {
    const c = n.args[2];
    if (c.kind === "const") return Number(c.value) !== 0 ? a : b;
    return undefined;
  }
  if (a.kind === "const") {
    const folded = b === undefined ? unary(n.opcode, a) : b.kind === "const" ? binary(n.opcode, a, b) : undefined;
    if (folded !== undefined) return folded;
  }
  if (b === undefined) return unaryIdentity(n, a);
  return binaryIdentity(n, a, b);
}

const i32 = (v: number): Node => makeNode("const", "i32", { value: v | 0 });
const i64 = (v: bigint): Node => makeNode("const", "i64", { value: BigInt.asIntN(64, v) });
const op = (ty: Ty, opcode: number, ...args: Node[]): Node => makeNode("op", ty, { opcode, args });

function unary(opcode: number, a: Node): Node | undefined {
  if (a.ty === "i32") {
    const v = Number(a.value);
    switch (opcode) {
      case OP.i32_eqz:
        return i32(v === 0 ? 1 : 0);
      case OP.i64_extend_i32_u:
        return i64(BigInt(v >>> 0));
      case OP.i64_extend_i32_s:
        return i64(BigInt(v));
      case OP.i32_extend8_s:
        return i32((v << 24) >> 24);
      case OP.i32_extend16_s:
        return i32((v << 16) >> 16);
      default:
        return undefined;
    }
  }
  const v = BigInt(a.value);
  switch (opcode) {
    case OP.i64_eqz:
      return i32(v === 0n ? 1 : 0);
    case OP.i32_wrap_i64:
      return i32(Number(BigInt.asIntN(32, v)));
    case OP.i64_extend8_s:
      return i64(BigInt.asIntN(8, v));
    case OP.i64_extend16_s:
      return i64(BigInt.asIntN(16, v));
    case OP.i64_extend32_s:
      return i64(BigInt.asIntN(32, v));
    default:
      return undefined;
  }
}

function binary(opcode: number, a: Node, b: Node): Node | undefined {
  return a.ty === "i32" ? binary32(opcode, Number(a.value) | 0, Number(b.value) | 0) : binary64(opcode, BigInt(a.value), BigInt(b.value));
}
function binary32(opcode: number, x: number, y: number): Node | undefined {
  switch (opcode) {
    case OP.i32_add:
      return i32(x + y);
    case OP.i32_sub:
      return i32(x - y);
    case OP.i32_mul:
      return i32(Math.imul(x, y));
    case OP.i32_and:
      return i32(x & y);
    case OP.i32_or:
      return i32(x | y);
    case OP.i32_xor:
      return i32(x ^ y);
    case OP.i32_shl:
      return i32(x << (y & 31));
    case OP.i32_shr_u:
      return i32(x >>> (y & 31));
    case OP.i32_shr_s:
      return i32(x >> (y & 31));
    case OP.i32_eq:
      return i32(x === y ? 1 : 0);
    case OP.i32_ne:
      return i32(x !== y ? 1 : 0);
    case OP.i32_lt_u:
      return i32(x >>> 0 < y >>> 0 ? 1 : 0);
    case OP.i32_gt_u:
      return i32(x >>> 0 > y >>> 0 ? 1 : 0);
    default:
      return undefined;
  }
}
function binary64(opcode: number, x: bigint, y: bigint): Node | undefined {
  switch (opcode) {
    case OP.i64_add:
      return i64(x + y);
    case OP.i64_sub:
      return i64(x - y);
    case OP.i64_and:
      return i64(x & y);
    case OP.i64_or:
      return i64(x | y);
    case OP.i64_xor:
      return i64(x ^ y);
    case OP.i64_shl:
      return i64(x << (y & 63n));
    case OP.i64_shr_u:
      return i64(BigInt.asUintN(64, x) >> (y & 63n));
    case OP.i64_shr_s:
      return i64(x >> (y & 63n));
    case OP.i64_eq:
      return i32(x === y ? 1 : 0);
    case OP.i64_ne:
      return i32(x !== y ? 1 : 0);
    default:
      return undefined;
  }
}

function unaryIdentity(n: Node, a: Node): Node | undefined {
  if (a.kind !== "op") return undefined;
  switch (n.opcode) {
    case OP.i32_wrap_i64:
      if (a.opcode === OP.i64_extend_i32_u || a.opcode === OP.i64_extend_i32_s) return a.args[0];
      if (a.opcode === OP.i64_and && a.args[1].kind === "const" && (BigInt(a.args[1].value) & 0xffffffffn) === 0xffffffffn)
        return op("i32", OP.i32_wrap_i64, a.args[0]);
      return undefined;
    case OP.i32_extend8_s:
      if (a.opcode === OP.i32_and && a.args[1].kind === "const" && (Number(a.args[1].value) & 0xff) === 0xff)
        return op("i32", OP.i32_extend8_s, a.args[0]);
      return undefined;
    case OP.i32_extend16_s:
      if (a.opcode === OP.i32_and && a.args[1].kind === "const" && (Number(a.args[1].value) & 0xffff) === 0xffff)
        return op("i32", OP.i32_extend16_s, a.args[0]);
      return undefined;
    default:
      return undefined;
  }
}

const isConst = (n: Node, v: number): boolean => n.kind === "const" && (n.ty === "i32" ? (Number(n.value) | 0) === v : BigInt(n.value) === BigInt(v));

function binaryIdentity(n: Node, a: Node, b: Node): Node | undefined {
  switch (n.opcode) {
    case OP.i32_add:
    case OP.i64_add:
      if (isConst(b, 0)) return a;
      if (isConst(a, 0)) return b;
      if (b.kind === "const" && a.kind === "op" && a.opcode === n.opcode && a.args[1].kind === "const") {
        const c = binary(n.opcode, a.args[1], b);
        if (c !== undefined) return op(n.ty, n.opcode, a.args[0], c);
      }
      return undefined;
    case OP.i32_sub:
    case OP.i64_sub:
    case OP.i32_shl:
    case OP.i64_shl:
    case OP.i32_shr_u:
    case OP.i64_shr_u:
    case OP.i32_shr_s:
    case OP.i64_shr_s:
    case OP.i32_rotl:
    case OP.i64_rotl:
    case OP.i32_rotr:
    case OP.i64_rotr:
      return isConst(b, 0) ? a : undefined;
    case OP.i32_or:
    case OP.i64_or:
    case OP.i32_xor:
    case OP.i64_xor:
      if (isConst(b, 0)) return a;
      if (isConst(a, 0)) return b;
      return undefined;
    case OP.i32_and:
    case OP.i64_and:
      if (isConst(b, -1)) return a;
      if (isConst(a, -1)) return b;
      if (isConst(b, 0)) return b;
      if (isConst(a, 0)) return a;
      if (b.kind === "const" && a.kind === "op" && a.opcode === n.opcode && a.args[1].kind === "const") {
        const c = binary(n.opcode, a.args[1], b);
        if (c !== undefined) return op(n.ty, n.opcode, a.args[0], c);
      }
      if (n.opcode === OP.i64_and && isConst(b, 0xffffffff) && a.kind === "op" && a.opcode === OP.i64_extend_i32_u) return a;
      return undefined;
    default:
      return undefined;
  }
}
