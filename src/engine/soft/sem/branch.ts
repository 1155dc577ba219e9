import type { Emit, SemanticFunction, Val } from "../ir/emit.ts";
import { forStack, stackOpSize, toI64 } from "./parts.ts";

/** Near branches. The target is checked before RSP or a counter moves. */

const RCX = 1;

/** Next IP + displacement of operand 0, cut to the operand size. */
function relativeTarget(e: Emit): Val {
  const size = stackOpSize(e);
  const sum = e.add(e.nextIp(), e.imm64(0));
  if (size === 64) return sum;
  return e.and(sum, e.i64(size === 16 ? 0xffffn : 0xffffffffn));
}

export const jmp: SemanticFunction = (e) => e.jumpRelative(0);
export const jcc: SemanticFunction = (e) => e.jumpRelative(0, e.condition(e.cc));
export const jmpInd: SemanticFunction = (e) => {
  const target = toI64(e, e.read(0));
  e.checkIp(target);
  e.jump(target);
};
export const jcxz: SemanticFunction = (e) => e.jumpRelative(0, e.eqz(e.addrReg(RCX)));

function loopWhile(also: (e: Emit) => Val | undefined): SemanticFunction {
  return (e) => {
    const count = e.maskAddress(e.sub(e.addrReg(RCX), e.i64(1)));
    const more = e.ne(count, e.i64(0));
    const extra = also(e);
    const taken = extra === undefined ? more : e.and(more, extra);
    e.if(taken, () => e.checkIp(relativeTarget(e)));
    e.setAddrReg(RCX, count);
    e.jumpRelative(0, taken);
  };
}

export const loop = loopWhile(() => undefined);
export const loope = loopWhile((e) => e.flag("zf"));
export const loopne = loopWhile((e) => e.eqz(e.flag("zf")));

export const call: SemanticFunction = (e) => {
  const size = stackOpSize(e);
  e.checkIp(relativeTarget(e));
  e.push(size, forStack(e, e.nextIp(), size));
  e.jumpRelative(0);
};

/** The target is read before the push: CALL [SP + …] and CALL SP use the old SP. */
export const callInd: SemanticFunction = (e) => {
  const size = stackOpSize(e);
  const target = toI64(e, e.read(0));
  e.checkIp(target);
  e.push(size, forStack(e, e.nextIp(), size));
  e.jump(target);
};

function returnWith(extra: (e: Emit) => Val | undefined): SemanticFunction {
  return (e) => {
    const size = stackOpSize(e);
    const target = toI64(e, e.peek(size, 0));
    e.checkIp(target);
    const bytes = e.i64(size / 8);
    const more = extra(e);
    e.addRsp(more === undefined ? bytes : e.add(bytes, more));
    e.jump(target);
  };
}

export const ret = returnWith(() => undefined);
/** The immediate counts bytes, unsigned. */
export const retImm = returnWith((e) => e.and(e.imm64(0), e.i64(0xffff)));
