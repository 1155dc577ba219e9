/** Operands that make a case worth running: addresses that hit memory, selectors that exist, divisors that divide. */
import * as env from "../../test/vectors/environment.mjs";
import { farTarget } from "./forms.mjs";

const RAX = 0,
  RCX = 1,
  RDX = 2,
  RBX = 3,
  RSP = 4,
  RBP = 5,
  RSI = 6,
  RDI = 7;
const ones = (bits) => (1n << BigInt(bits)) - 1n;

function reg(c, i) {
  return c.overrides.get(i) ?? c.gpr[i];
}
function setReg(c, i, value, bits = 64) {
  const mask = ones(bits);
  c.overrides.set(i, BigInt.asUintN(64, (reg(c, i) & ~mask) | (value & mask)));
}
export function segmentBase(c, segment) {
  if (c.codeSize === 64) return segment === 4 ? env.FS_BASE64 : segment === 5 ? env.GS_BASE64 : 0;
  const order = [3, 0, 1, 2, 4, 5]; // ES CS SS DS FS GS in the set's order cs ss ds es fs gs
  return env.hidden(c.segments[order[segment]]).base;
}
export function littleEndian(value, bytes) {
  const out = [];
  for (let i = 0; i < bytes; i++) out.push(Number((BigInt(value) >> BigInt(i * 8)) & 0xffn));
  return out;
}
function patch(c, address, bytes) {
  for (let i = 0; i < bytes.length && c.patches.length < 6; i += 32) c.patches.push({ address: address + i, bytes: bytes.slice(i, i + 32) });
}

/** A linear address for an operand of `size` bytes. */
function pickTarget(c, size, locked) {
  const { random } = c;
  // Programs would end at their first fault.
  const k = random.safe && random.below(40) !== 0 ? 0 : random.below(100);
  const inside = () => env.DATA + 64 + random.below(env.DATA_SIZE - 192 - size);
  if (k < 88) {
    const at = inside();
    return locked ? at - (at % Math.max(size, 1)) : random.chance(!c.row.facts.aligned ? 60 : random.safe ? 99 : 90) ? at & ~15 : at;
  }
  if (locked) return inside() & ~15;
  if (k < 92) return env.READ_ONLY + random.below(4096 - size);
  if (k < 96) return env.DATA + env.DATA_SIZE - random.below(size + 1);
  if (k < 98) return env.DATA - 1 - random.below(size + 4);
  return random.pick([0x26000, 0x90001230, 0xfffffffe, 0]);
}

/** Makes a decoded memory operand point at linear `target` (or near it). False: draw again. */
function aim(c, op, target) {
  const { random } = c;
  const size = c.insn.addrSize;
  let offset = BigInt(target - segmentBase(c, op.segment));
  if (c.codeSize === 64 && size === 64 && op.base >= 0 && op.base < 16 && random.chance(3))
    offset += random.pick([0x8000000000000000n, 0x800000000000n, 0xffff7fffffff0000n]);
  const disp = BigInt(op.disp);
  // A program knows nothing of registers: all that matter are loaded.
  if (random.safe && op.index >= 0) setReg(c, op.index, reg(c, op.index));
  if (op.base === 16) {
    const d = BigInt(target) - BigInt(env.CODE + env.START + c.insn.length) - BigInt(segmentBase(c, op.segment));
    if (BigInt.asIntN(32, d) !== d) return false;
    c.insn = c.again(Number(d));
    return !("failure" in c.insn);
  }
  if (op.base < 0) {
    if (op.index >= 0) setReg(c, op.index, BigInt(random.below(64)), size);
    const scaled = op.index >= 0 ? reg(c, op.index) << BigInt(op.scale) : 0n;
    const d = BigInt.asIntN(32, offset - scaled);
    if (size === 64 && d < 0n) return false;
    c.insn = c.again(Number(d), size === 16 ? offset & 0xffffn : BigInt.asUintN(size, offset));
    return !("failure" in c.insn);
  }
  if (op.base === op.index) {
    if (op.scale === 0 && ((offset - disp) & 1n) === 0n && size === 64) setReg(c, op.base, (offset - disp) / 2n);
    else return false;
    return true;
  }
  if (op.index === RSP && size === 64) return false;
  const scaled = op.index >= 0 ? reg(c, op.index) << BigInt(op.scale) : 0n;
  setReg(c, op.base, BigInt.asUintN(size, offset - disp - scaled), size);
  return true;
}

function floatBytes(random, bits) {
  const buffer = new DataView(new ArrayBuffer(8));
  const k = random.below(10);
  const b = new Uint8Array(buffer.buffer);
  if (k < 4) {
    const v = (random.below(2000) - 1000) * 2 ** (random.below(40) - 20);
    if (bits === 32) buffer.setFloat32(0, v, true);
    else buffer.setFloat64(0, v, true);
    return [...b.subarray(0, bits / 8)];
  }
  const special32 = [
    0, 0x80000000, 1, 0x7fffff, 0x800000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffc12345, 0x3f800000, 0x3f7fffff,
  ];
  const special64 = [
    0n,
    1n << 63n,
    1n,
    0xfffffffffffffn,
    0x10000000000000n,
    0x7fefffffffffffffn,
    0x7ff0000000000000n,
    0xfff0000000000000n,
    0x7ff8000000000000n,
    0x7ff0000000000001n,
    0x3ff0000000000000n,
    0x3fefffffffffffffn,
  ];
  if (k < 7) return bits === 32 ? littleEndian(random.pick(special32), 4) : littleEndian(random.pick(special64), 8);
  return littleEndian(random.u64(), bits / 8);
}

/** What a memory operand holds before. */
function memoryValue(c, op, spec) {
  const { random } = c;
  if (/fp$/.test(spec.code)) return spec.code === "M80fp" ? [...env.extendedValue(random)] : floatBytes(random, op.size);
  if (spec.code === "M80bcd") {
    const out = [];
    for (let i = 0; i < 9; i++) out.push(random.chance(85) ? random.below(10) | (random.below(10) << 4) : random.below(256));
    return [...out, random.pick([0, 0x80, 0x80, 0, random.below(256)])];
  }
  if (c.sse !== undefined) return [...env.expandSse(c.seed, c.sse).xmm[16].subarray(0, op.size / 8)];
  if (op.size === 128) return [...littleEndian(env.operandValue(random), 8), ...littleEndian(env.operandValue(random), 8)];
  return littleEndian(env.operandValue(random), op.size / 8);
}

function codeOffset(c, csBase) {
  return env.CODE + 0x20 + c.random.below(env.CODE_SIZE - 0x40) - csBase;
}
const csBase = (c) => (c.codeSize === 64 ? 0 : env.hidden(c.segments[0]).base);

function stackTop(c) {
  if (c.codeSize === 64) return Number(BigInt.asIntN(53, reg(c, RSP)));
  const ss = env.hidden(c.segments[1]);
  return ss.base + Number(reg(c, RSP) & ((ss.access & 0x4000) !== 0 ? 0xffffffffn : 0xffffn));
}
const SELECTORS = [0, 1, 3, 0x08, 0x10, 0x18, 0x20, 0x23, 0x28, 0x2b, 0x29, 0x33, 0x107, 0xfff4, 0xffff];
function pickSelector(random) {
  if (random.chance(35)) return random.pick(SELECTORS);
  const index = 1 + random.below(env.LDT.length + 1);
  return (index << 3) | (random.chance(80) ? 7 : 4 | random.below(4));
}
const bytesOf = (insn) => insn.opSize / 8;

/** Selector operand (register or memory). */
function selectorOperand(c, n) {
  const op = c.insn.operands[n];
  const s = pickSelector(c.random);
  if (op.kind === "reg") setReg(c, op.index, BigInt(s), 16);
  else c.patches.push({ address: c.target, bytes: littleEndian(s, 2) });
}
function nearTarget(c, n) {
  const op = c.insn.operands[n];
  const { random } = c;
  const value = random.chance(80) ? BigInt(codeOffset(c, csBase(c))) : env.operandValue(random);
  if (op.kind === "reg") setReg(c, op.index, value, op.size);
  else c.patches.push({ address: c.target, bytes: littleEndian(value, op.size / 8) });
}
function farMemory(c, n) {
  const op = c.insn.operands[n];
  const { selector, offset } = farTarget(c.random, c.codeSize, c.environment);
  const bytes = op.size / 8 - 2;
  c.patches.push({ address: c.target, bytes: [...littleEndian(offset, bytes), ...littleEndian(selector, 2)] });
}
function farStack(c, rest) {
  const { selector, offset } = farTarget(c.random, c.codeSize, c.environment);
  const n = bytesOf(c.insn);
  patch(c, stackTop(c), [...littleEndian(offset, n), ...littleEndian(selector, n), ...rest(n, selector)]);
}
function dividend(c) {
  const { insn, random } = c;
  if (random.chance(random.safe ? 3 : 25)) return;
  const op = insn.operands[0];
  const size = op.size;
  const small = env.operandValue(random) & ones(random.below(size) + 1);
  if (size === 8) setReg(c, RAX, small & 0xffffn, 16);
  else if (insn.row.sem === "idiv" && random.chance(50)) {
    setReg(c, RDX, -1n, size);
    setReg(c, RAX, -small, size);
  } else setReg(c, RDX, random.chance(60) ? 0n : small >> BigInt(random.below(size)), size);
}
function strings(c) {
  const { insn, random, row } = c;
  const n = BigInt(bytesOf(insn));
  const size = insn.addrSize;
  if (insn.rep !== 0) setReg(c, RCX, random.chance(80) ? BigInt(random.below(9)) : BigInt(random.below(70)), size);
  const down = (c.rflags & 0x400) !== 0;
  const span = Number(n) * Number(insn.rep !== 0 ? reg(c, RCX) & ones(size) : 1n);
  const at = () => (random.safe || random.chance(88) ? env.DATA + 600 + random.below(env.DATA_SIZE - 1300) : pickTarget(c, Number(n), false));
  const source = at();
  const target = random.chance(25) ? source + random.below(9) - 4 : at();
  if (row.sem !== "stos" && row.sem !== "scas" && row.sem !== "ins") setReg(c, RSI, BigInt(source - segmentBase(c, insn.segment)), size);
  if (row.sem !== "lods" && row.sem !== "outs") setReg(c, RDI, BigInt(target - segmentBase(c, 0)), size);
  if (row.sem === "cmps" || row.sem === "scas") {
    const equal = Math.min(32, Math.max(1, span));
    const fill = [];
    const acc = littleEndian(reg(c, RAX), Number(n));
    for (let i = 0; i < equal; i++) fill.push(row.sem === "scas" ? acc[i % Number(n)] : random.below(256));
    if (insn.rep !== 0xf2 && random.chance(85)) {
      const from = (base) => (down ? base + Number(n) - equal : base);
      patch(c, from(target), fill);
      if (row.sem === "cmps" && Math.abs(source - target) > 64) patch(c, from(source), fill);
    }
  }
}
const SPECIAL = {
  div: dividend,
  idiv: dividend,
  movs: strings,
  cmps: strings,
  stos: strings,
  lods: strings,
  scas: strings,
  cmpxchg(c) {
    const op = c.insn.operands[0];
    if (c.random.chance(50)) return;
    if (op.kind === "mem") c.patches.push({ address: c.target, bytes: littleEndian(reg(c, RAX), op.size / 8) });
    else if (op.cls === "gpr") setReg(c, op.index, reg(c, RAX), op.size);
  },
  cmpxchg8b(c) {
    if (c.random.chance(50)) patch(c, c.target, [...littleEndian(reg(c, RAX), 4), ...littleEndian(reg(c, RDX), 4)]);
  },
  cmpxchg16b(c) {
    if (c.random.chance(50)) patch(c, c.target, [...littleEndian(reg(c, RAX), 8), ...littleEndian(reg(c, RDX), 8)]);
  },
  bt(c) {
    const [dst, src] = c.insn.operands;
    if (dst.kind !== "mem" || src.kind !== "reg") return;
    if (src.index === dst.base || src.index === dst.index) {
      c.retry = true;
      return;
    }
    setReg(c, src.index, BigInt(c.random.below(4096) - 2048), src.size);
  },
  enter(c) {
    setReg(c, RBP, reg(c, RSP) + BigInt(c.random.below(256)), c.random.chance(90) ? 32 : 16);
    if (c.codeSize === 64) setReg(c, RBP, BigInt(env.STACK + 0x400 + c.random.below(0x1800)));
  },
  leave(c) {
    const linear = env.STACK + c.random.below(env.STACK_SIZE);
    const base = c.codeSize === 64 ? 0 : env.hidden(c.segments[1]).base;
    setReg(c, RBP, BigInt(linear - base), c.codeSize === 64 || c.random.chance(50) ? 64 : 32);
  },
  xlat(c) {
    if (c.random.safe) setReg(c, RAX, reg(c, RAX));
    setReg(c, RBX, BigInt(pickTarget(c, 1, false) - segmentBase(c, c.insn.segment)) - (reg(c, RAX) & 0xffn), c.insn.addrSize);
  },
  maskmovq(c) {
    setReg(c, RDI, BigInt(pickTarget(c, 8, false) - segmentBase(c, c.insn.segment)), c.insn.addrSize);
  },
  maskmovdqu(c) {
    setReg(c, RDI, BigInt(pickTarget(c, 16, false) - segmentBase(c, c.insn.segment)), c.insn.addrSize);
  },
  // The lengths of explicit strings.
  pcmpestri: (c) => lengths(c),
  pcmpestrm: (c) => lengths(c),
  ldmxcsr(c) {
    if (c.random.chance(85)) c.patches.push({ address: c.target, bytes: littleEndian(c.random.u32() & 0xffff, 4) });
  },
  bound(c) {
    const op = c.insn.operands[0];
    const n = op.size / 8;
    const v = BigInt.asIntN(op.size, reg(c, op.index));
    const lo = v - BigInt(c.random.below(6) - 1);
    const hi = v + BigInt(c.random.below(6) - 1);
    patch(c, c.target, [...littleEndian(BigInt.asUintN(op.size, lo), n), ...littleEndian(BigInt.asUintN(op.size, hi), n)]);
  },
  jcxz(c) {
    if (c.random.chance(80)) setReg(c, RCX, c.random.pick([0n, 1n, 0x10000n, 0x100000000n, 2n, 0xffff0000n]), 64);
  },
  jmp_ind: (c) => nearTarget(c, 0),
  call_ind: (c) => nearTarget(c, 0),
  jmp_far_mem: (c) => farMemory(c, 0),
  call_far_mem: (c) => farMemory(c, 0),
  ret(c) {
    const value = c.random.chance(85) ? BigInt(codeOffset(c, csBase(c))) : env.operandValue(c.random);
    patch(c, stackTop(c), littleEndian(value, bytesOf(c.insn)));
  },
  ret_far: (c) => farStack(c, () => []),
  ret_far_imm: (c) => farStack(c, () => []),
  iret(c) {
    // TF, or the recorder would never come back. AC in the frame already checks the frame's own alignment, and Linux takes that #AC for a split lock.
    const flags = (BigInt(c.random.u32()) & ((reg(c, RSP) & 7n) !== 0n ? 0x214dd5n : 0x254dd5n)) | 0x100n;
    farStack(c, (n, selector) => {
      const sp =
        c.codeSize === 64
          ? [
              ...littleEndian(env.STACK + 0x800 + c.random.below(0x800), n),
              ...littleEndian(
                c.random.pick([
                  env.DS_USER,
                  env.DS_USER,
                  env.ldtSelector(14),
                  env.ldtSelector(2),
                  0,
                  3,
                  env.ldtSelector(8),
                  env.ldtSelector(10),
                  0x28,
                ]),
                n,
              ),
            ]
          : [];
      void selector;
      return [...littleEndian(flags | 2n, n), ...sp];
    });
  },
  popf(c) {
    patch(c, stackTop(c), littleEndian(env.operandValue(c.random) ^ BigInt(c.random.u32()), bytesOf(c.insn)));
  },
  mov_to_sreg: (c) => selectorOperand(c, 1),
  lar: (c) => selectorOperand(c, 1),
  lsl: (c) => selectorOperand(c, 1),
  verr: (c) => selectorOperand(c, 0),
  verw: (c) => selectorOperand(c, 0),
  arpl: (c) => selectorOperand(c, 0),
  pop_sreg(c) {
    patch(c, stackTop(c), littleEndian(pickSelector(c.random), bytesOf(c.insn)));
  },
  les: (c) => lxs(c),
  lds: (c) => lxs(c),
  lss: (c) => lxs(c),
  lfs: (c) => lxs(c),
  lgs: (c) => lxs(c),
  int(c) {
    const vector = c.insn.operands[0].lo & 0xff;
    if (vector === 0x80) c.retry = true;
  },
  fxrstor(c) {
    c.patches.push({ address: c.target + 24, bytes: littleEndian(c.random.chance(90) ? 0x1f80 : c.random.u32(), 4) });
  },
};
SPECIAL.bts = SPECIAL.btr = SPECIAL.btc = SPECIAL.bt;
SPECIAL.loop = SPECIAL.loope = SPECIAL.loopne = SPECIAL.jcxz;
function lengths(c) {
  for (const r of [RAX, RDX]) if (c.random.chance(80)) setReg(c, r, BigInt(c.random.below(41) - 20), c.random.chance(50) ? 64 : 32);
}
function lxs(c) {
  const op = c.insn.operands[1];
  const bytes = op.size / 8 - 2;
  patch(c, c.target, [...littleEndian(env.operandValue(c.random), bytes), ...littleEndian(pickSelector(c.random), 2)]);
}

const STRUCTURE = { bound: 8, fxsave: 512, fxrstor: 512, fnsave: 108, frstor: 108, fnstenv: 28, fldenv: 28 };

/** Chooses addresses and values; false: draw another encoding. */
export function prepare(c) {
  c.retry = false;
  const n = c.insn.operands.findIndex((o) => o.kind === "mem");
  if (n >= 0) {
    const op = c.insn.operands[n];
    const size = op.size > 0 ? op.size / 8 : (STRUCTURE[c.row.sem] ?? 16);
    // A locked access across cache lines would be trapped by the kernel.
    c.target = pickTarget(c, size, c.insn.lock || c.row.sem === "xchg");
    if ((c.row.sem === "fxsave" || c.row.sem === "fxrstor") && c.random.chance(90)) c.target &= ~15;
    if (["bts", "btr", "btc"].includes(c.row.sem)) c.target = (env.DATA + 0x800 + c.random.below(0x1000)) & ~15;
    if (!aim(c, op, c.target)) return false;
    if (op.size > 0 && op.access !== "w" && op.access !== "n") c.patches.push({ address: c.target, bytes: memoryValue(c, op, c.row.operands[n]) });
  }
  // Alignment checks now and then.
  if (!c.random.safe && c.random.chance(2)) c.setFlags = c.rflags | 0x40000;
  SPECIAL[c.row.sem]?.(c);
  return !c.retry;
}
