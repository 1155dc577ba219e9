import { FLAG, GPR, SEG } from "../../../isa/index.ts";
import type { Val } from "../ir/emit.ts";
import type { SystemEmit, SystemSemantic } from "../ir/system-emit.ts";

/** Frequent paths of system instructions; the helpers in sys/ do the whole of each and are what these defer to. */

const { TF, IF, AC, RF, VM, ID, NT } = FLAG;
const { CS, SS } = SEG;
const RSP = GPR.SP,
  RAX = GPR.AX,
  RDX = GPR.DX;

const notReal = (e: SystemEmit): void => e.deferIf(e.eqz(e.realMode()));

const push_sreg: SystemSemantic = (e) => {
  const size = e.size === 64 ? 64 : 16;
  if (e.size === 32) {
    // Intel writes only the low word and leaves the rest of the slot.
    const at = stackSlot(e, 4);
    e.store(SS, at, 16, e.read(0));
    e.addRsp(e.i64(-4));
    return;
  }
  e.push(size, e.toSize(e.read(0), size));
};
/** Offset of the stack slot `below` bytes under RSP. */
function stackSlot(e: SystemEmit, below: number): Val {
  return e.and(e.sub(e.gpr(RSP, 64), e.i64(below)), e.stackMask());
}
const mov_from_sreg: SystemSemantic = (e) => {
  const size = e.operandSize(0);
  e.write(0, e.toSize(e.read(1), size));
};
const mov_to_sreg: SystemSemantic = (e) => {
  notReal(e);
  e.loadRealOperand(0, e.trunc(e.wrap(e.read(1)), 16));
};
const pop_sreg: SystemSemantic = (e) => {
  notReal(e);
  const selector = e.peek(16, 0);
  e.addRsp(e.i64(e.size === 32 ? 4 : 2));
  e.loadRealOperand(0, selector);
};

/** CPL 0 in any mode: no IOPL to look at, and not virtual-8086 mode. */
const notSupervisor = (e: SystemEmit): void => e.deferIf(e.eqz(e.supervisor()));
const cli: SystemSemantic = (e) => {
  notSupervisor(e);
  e.changeSystemFlags(IF, 0);
};
/** With IF already set STI does nothing; else the helper opens the shadow. */
const sti: SystemSemantic = (e) => {
  e.deferIf(e.or(e.eqz(e.supervisor()), e.eqz(e.and(e.systemFlags(), e.i32(IF)))));
};
const pushf: SystemSemantic = (e) => {
  notSupervisor(e);
  const image = e.and(e.flagsImage(), e.i32(~(RF | VM)));
  if (e.size === 64) e.push(64, e.extU(image));
  else e.push(e.size === 16 ? 16 : 32, e.toSize(image, e.size === 16 ? 16 : 32));
};
/** Flags that would need a look at interrupts or single-stepping go to the helper. */
function deferTouchyFlags(e: SystemEmit, image: Val): void {
  const opensInterrupts = e.and(e.and(image, e.i32(IF)), e.not(e.systemFlags()));
  e.deferIf(e.or(e.and(image, e.i32(TF)), e.and(e.ne(opensInterrupts, e.i32(0)), e.pendingInterrupt())));
}
const REAL_FLAGS = 0x7000 | IF | 0x400;
const popf: SystemSemantic = (e) => {
  notSupervisor(e);
  if (e.size === 16) {
    const image = e.peek(16, 0);
    deferTouchyFlags(e, image);
    e.addRsp(e.i64(2));
    e.setFlagsImage(e.and(image, e.i32(0xffff)), REAL_FLAGS | TF | RF);
    return;
  }
  const popped = e.size === 64 ? e.peek(64, 0) : e.peek(32, 0);
  const image = e.and(e.size === 64 ? e.wrap(popped) : popped, e.i32(~RF));
  deferTouchyFlags(e, image);
  // AC decides on alignment checks and SMAP, which decide on the TLB in use.
  e.deferIf(e.and(e.xor(image, e.systemFlags()), e.i32(AC)));
  e.addRsp(e.i64(e.size >> 3));
  e.setFlagsImage(image, REAL_FLAGS | TF | RF | ID);
};

const int: SystemSemantic = (e) => {
  const vector = e.and(e.imm64(0), e.i64(0xff));
  const last = e.add(e.wrap(e.shl(vector, e.i64(2))), e.i32(3));
  // Under TF the helper does it: the single-step trap is taken back.
  e.deferIf(e.or(e.eqz(e.realMode()), e.or(e.gtU(last, e.idtrLimit()), e.and(e.systemFlags(), e.i32(TF)))));
  const entry = e.and(e.add(e.idtrBase(), e.shl(vector, e.i64(2))), e.i64(0xffffffff));
  const ip = e.loadLinear(entry, 16);
  const selector = e.loadLinear(e.add(entry, e.i64(2)), 16);
  e.store(SS, stackSlot(e, 2), 16, e.flagsImage());
  e.store(SS, stackSlot(e, 4), 16, e.selector(CS));
  e.store(SS, stackSlot(e, 6), 16, e.wrap(e.nextIp()));
  e.addRsp(e.i64(-6));
  e.changeSystemFlags(IF | TF | AC | RF, 0);
  e.loadRealCode(selector);
  e.jump(e.extU(ip));
};
const iret: SystemSemantic = (e) => {
  if (e.size !== 16) {
    e.deferIf(e.i32(1));
    return;
  }
  notReal(e);
  const ip = e.peek(16, 0);
  const selector = e.peek(16, 2);
  const image = e.peek(16, 4);
  deferTouchyFlags(e, image);
  e.checkIp(e.extU(ip));
  e.deferIf(e.nmiBlocked());
  e.addRsp(e.i64(6));
  e.setFlagsImage(image, REAL_FLAGS | TF | NT);
  e.loadRealCode(selector);
  e.jump(e.extU(ip));
};
const ret_far: SystemSemantic = (e) => {
  if (e.size !== 16) {
    e.deferIf(e.i32(1));
    return;
  }
  notReal(e);
  const ip = e.extU(e.peek(16, 0));
  const selector = e.peek(16, 2);
  e.checkIp(ip);
  const extra = e.kind(0) === "imm" ? e.and(e.imm64(0), e.i64(0xffff)) : e.i64(0);
  e.addRsp(e.add(extra, e.i64(4)));
  e.loadRealCode(selector);
  e.jump(ip);
};

/** Ends the instruction after it has been done, so that the run loop looks around. */
function stopAfter(e: SystemEmit, condition: Val): void {
  e.if(condition, () => e.jump(e.nextIp()));
}
const portOf = (e: SystemEmit, n: number): Val => (e.kind(n) === "imm" ? e.and(e.wrap(e.imm64(n)), e.i32(0xff)) : e.gpr(RDX, 16));
const inPort: SystemSemantic = (e) => {
  const size = e.operandSize(0);
  if (size !== 8 && size !== 16) {
    e.deferIf(e.i32(1));
    return;
  }
  e.deferIf(e.eqz(e.portsOpen()));
  const value = e.portIn(portOf(e, 1), size);
  e.deferIf(e.ltS(value, e.i32(0)));
  e.setGpr(RAX, size, e.trunc(value, size));
  stopAfter(e, e.and(value, e.i32(0x10000)));
};
const outPort: SystemSemantic = (e) => {
  const size = e.operandSize(1);
  if (size !== 8 && size !== 16) {
    e.deferIf(e.i32(1));
    return;
  }
  e.deferIf(e.eqz(e.portsOpen()));
  const status = e.portOut(portOf(e, 0), size, e.gpr(RAX, size));
  e.deferIf(e.eq(status, e.i32(2)));
  stopAfter(e, status);
};

/** `regions`: the translated code that it may be in. What it does in real mode only would leave other regions each time. */
export interface FastSemantic {
  readonly emit: SystemSemantic;
  readonly regions: "all" | "real-mode" | "none";
}
const all = (emit: SystemSemantic): FastSemantic => ({ emit, regions: "all" });
const realMode = (emit: SystemSemantic): FastSemantic => ({ emit, regions: "real-mode" });
const none = (emit: SystemSemantic): FastSemantic => ({ emit, regions: "none" });

/** By semantic name. */
export const SYSTEM_FAST: Readonly<Record<string, FastSemantic>> = {
  push_sreg: all(push_sreg),
  mov_from_sreg: all(mov_from_sreg),
  mov_to_sreg: realMode(mov_to_sreg),
  pop_sreg: realMode(pop_sreg),
  cli: all(cli),
  sti: all(sti),
  pushf: all(pushf),
  popf: all(popf),
  int: realMode(int),
  iret: realMode(iret),
  ret_far: realMode(ret_far),
  ret_far_imm: realMode(ret_far),
  in: none(inPort),
  out: none(outPort),
};
