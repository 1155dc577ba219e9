import type { Emit, SemanticFunction, Val } from "../ir/emit.ts";
import * as l from "./mmx-lanes.ts";
import type { Lane } from "./mmx-lanes.ts";

/**
 * MMX, and the 64-bit forms of SSE, SSE2 and SSSE3 (SDM vol. 1 chapter 9 and 10.4.6). Operands of class mm are i64. The engine does the
 * availability checks and the x87 tag update around these.
 */

/** dst = f(dst, src). A 32-bit source (PUNPCKL from memory) is zero-extended. */
function binary(f: (e: Emit, a: Val, b: Val) => Val): SemanticFunction {
  return (e) => {
    const a = e.read(0);
    const b = e.read(1);
    e.write(0, f(e, a, b.ty === "i32" ? e.extU(b) : b));
  };
}
type LaneOperation = (e: Emit, lane: Lane, a: Val, b: Val) => Val;
const lanes = (lane: Lane, f: LaneOperation): SemanticFunction => binary((e, a, b) => f(e, lane, a, b));
/** dst = f(src). */
function unary(f: (e: Emit, a: Val) => Val): SemanticFunction {
  return (e) => e.write(0, f(e, e.read(1)));
}

// ---- shifts: the count is a whole 64-bit operand or an immediate byte
function count(e: Emit): Val {
  const n = e.read(1);
  return n.ty === "i32" ? e.extU(n) : n;
}
type Shift = "left" | "right" | "arithmetic";
function shift(lane: Lane | 64, how: Shift): SemanticFunction {
  return (e) => {
    const a = e.read(0);
    const n = count(e);
    const over = e.gtU(n, e.i64(lane - 1));
    if (lane === 64) {
      e.write(0, e.select(over, e.i64(0), how === "left" ? e.shl(a, n) : e.shrU(a, n)));
      return;
    }
    const full = e.i64((1n << BigInt(lane)) - 1n);
    if (how === "left") {
      const kept = l.splatValue(e, lane, e.and(e.shl(full, n), full));
      e.write(0, e.select(over, e.i64(0), e.and(e.shl(a, n), kept)));
      return;
    }
    const by = how === "right" ? n : e.select(over, e.i64(lane - 1), n);
    const kept = l.splatValue(e, lane, e.shrU(full, by));
    const logical = e.and(e.shrU(a, by), kept);
    if (how === "right") e.write(0, e.select(over, e.i64(0), logical));
    else e.write(0, e.or(logical, e.and(l.spread(e, lane, a), e.not(kept))));
  };
}

// ---- multiplications, lane by lane
function words(e: Emit, a: Val, b: Val, signed: boolean, f: (product: Val) => Val): Val {
  const at = signed ? l.laneS : l.laneU;
  return l.gather(
    e,
    16,
    [0, 1, 2, 3].map((i) => f(e.mul(at(e, 16, a, i), at(e, 16, b, i)))),
  );
}
const pmullw = binary((e, a, b) => words(e, a, b, false, (p) => p));
const pmulhw = binary((e, a, b) => words(e, a, b, true, (p) => e.shrU(p, e.i64(16))));
const pmulhuw = binary((e, a, b) => words(e, a, b, false, (p) => e.shrU(p, e.i64(16))));
const pmulhrsw = binary((e, a, b) => words(e, a, b, true, (p) => e.shrS(e.add(e.shrS(p, e.i64(14)), e.i64(1)), e.i64(1))));
const pmuludq = binary((e, a, b) => e.mul(l.laneU(e, 32, a, 0), l.laneU(e, 32, b, 0)));
const pmaddwd = binary((e, a, b) => {
  const p = [0, 1, 2, 3].map((i) => e.mul(l.laneS(e, 16, a, i), l.laneS(e, 16, b, i)));
  return l.gather(
    e,
    32,
    [0, 2].map((i) => e.add(p[i], p[i + 1])),
  );
});
/** Unsigned bytes of the destination times signed bytes of the source, neighbours added with saturation. */
const pmaddubsw = binary((e, a, b) => {
  const p = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => e.mul(l.laneU(e, 8, a, i), l.laneS(e, 8, b, i)));
  return l.gather(
    e,
    16,
    [0, 2, 4, 6].map((i) => l.clamp(e, e.add(p[i], p[i + 1]), -32768, 32767)),
  );
});
const psadbw = binary((e, a, b) => {
  const d = e.or(l.subUnsignedSaturated(e, 8, a, b), l.subUnsignedSaturated(e, 8, b, a));
  const even = e.i64(0x00ff00ff00ff00ffn);
  const sums = e.add(e.and(d, even), e.and(e.shrU(d, e.i64(8)), even));
  return e.shrU(e.mul(sums, e.i64(0x0001000100010001n)), e.i64(48));
});

// ---- packing and unpacking
function pack(lo: number, hi: number): SemanticFunction {
  return binary((e, a, b) => {
    const narrow = (x: Val): Val => l.squeezeBytes(e, l.minSigned(e, 16, l.maxSigned(e, 16, x, l.splat(e, 16, lo)), l.splat(e, 16, hi)));
    return l.pairOf(e, narrow(a), narrow(b));
  });
}
const packssdw = binary((e, a, b) =>
  l.gather(
    e,
    16,
    [a, b].flatMap((x) => [0, 1].map((i) => l.clamp(e, l.laneS(e, 32, x, i), -32768, 32767))),
  ),
);
function unpack(lane: Lane, high: boolean): SemanticFunction {
  return binary((e, a, b) => {
    const half = (x: Val): Val => (high ? e.shrU(x, e.i64(32)) : x);
    if (lane === 32) return l.pairOf(e, half(a), half(b));
    const stretch = lane === 8 ? l.stretchBytes : l.stretchWords;
    return e.or(stretch(e, half(a)), e.shl(stretch(e, half(b)), e.i64(lane)));
  });
}
/** Horizontal: neighbours of the destination, then of the source. */
function horizontal(lane: 16 | 32, f: LaneOperation): SemanticFunction {
  return binary((e, a, b) => {
    const by = e.i64(lane);
    const even = (x: Val): Val => (lane === 16 ? l.evenWords(e, x) : x);
    return f(e, lane, l.pairOf(e, even(a), even(b)), l.pairOf(e, even(e.shrU(a, by)), even(e.shrU(b, by))));
  });
}

// ---- byte and word moves by index
const pshufb = binary((e, a, b) =>
  l.gather(
    e,
    8,
    [0, 1, 2, 3, 4, 5, 6, 7].map((i) => {
      const index = l.laneU(e, 8, b, i);
      const byte = e.shrU(a, e.shl(e.and(index, e.i64(7)), e.i64(3)));
      return e.select(e.eqz(e.and(index, e.i64(0x80))), byte, e.i64(0));
    }),
  ),
);
const pshufw: SemanticFunction = (e) => {
  const a = e.read(1);
  const order = e.extU(e.read(2));
  e.write(
    0,
    l.gather(
      e,
      16,
      [0, 1, 2, 3].map((i) => e.shrU(a, e.shl(e.and(e.shrU(order, e.i64(i * 2)), e.i64(3)), e.i64(4)))),
    ),
  );
};
/** Bit position of the word that an immediate names. */
function wordAt(e: Emit): Val {
  return e.extU(e.shl(e.and(e.read(2), e.i32(3)), e.i32(4)));
}
const pinsrw: SemanticFunction = (e) => {
  const a = e.read(0);
  const source = e.read(1);
  const word = e.and(source.ty === "i32" ? e.extU(source) : source, e.i64(0xffff));
  const at = wordAt(e);
  e.write(0, e.or(e.and(a, e.not(e.shl(e.i64(0xffff), at))), e.shl(word, at)));
};
const pextrw: SemanticFunction = (e) => {
  const a = e.read(1);
  const word = e.and(e.shrU(a, wordAt(e)), e.i64(0xffff));
  e.write(0, e.operandSize(0) === 64 ? word : e.wrap(word));
};
const pmovmskb: SemanticFunction = (e) => {
  const bits = e.and(e.read(1), l.tops(e, 8));
  const mask = e.shrU(e.mul(bits, e.i64(0x0002040810204081n)), e.i64(56));
  e.write(0, e.operandSize(0) === 64 ? mask : e.wrap(mask));
};
const palignr: SemanticFunction = (e) => {
  const a = e.read(0);
  const b = e.read(1);
  const bits = e.shl(e.extU(e.read(2)), e.i64(3));
  const sixtyFour = e.i64(64);
  const near = e.or(e.shrU(b, bits), e.select(e.eqz(bits), e.i64(0), e.shl(a, e.sub(sixtyFour, bits))));
  const far = e.select(e.ltU(bits, e.i64(128)), e.shrU(a, e.sub(bits, sixtyFour)), e.i64(0));
  e.write(0, e.select(e.ltU(bits, sixtyFour), near, far));
};

function sign(lane: Lane): SemanticFunction {
  return binary((e, a, b) => {
    const zero = e.i64(0);
    const signed = l.choose(e, l.spread(e, lane, b), l.sub(e, lane, zero, a), a);
    return e.and(signed, e.not(l.equal(e, lane, b, zero)));
  });
}
function abs(lane: Lane): SemanticFunction {
  return unary((e, a) => {
    const negative = l.spread(e, lane, a);
    return l.sub(e, lane, e.xor(a, negative), negative);
  });
}

// ---- moves
const movd: SemanticFunction = (e) => {
  const v = e.read(1);
  const wide = e.operandSize(0) === 64;
  if (wide === (v.ty === "i64")) e.write(0, v);
  else e.write(0, wide ? e.extU(v) : e.wrap(v));
};
const movq: SemanticFunction = (e) => e.write(0, e.read(1));
/** Stores the bytes whose mask byte has its top bit set to DS:rDI. The quadword must be writable whatever the mask says (observed). */
const maskmovq: SemanticFunction = (e) => {
  const data = e.read(0);
  const mask = e.read(1);
  const base = e.addrReg(7);
  const segment = e.stringSource();
  e.probeStore(segment, base, 64);
  for (let i = 0; i < 8; i++) {
    e.if(e.wrap(e.and(e.shrU(mask, e.i64(i * 8 + 7)), e.i64(1))), () => {
      e.store(segment, e.maskAddress(e.add(base, e.i64(i))), 8, e.wrap(l.laneU(e, 8, data, i)));
    });
  }
};

/** The mm forms, by the semantic name of their rows. */
export const MMX: Readonly<Record<string, SemanticFunction>> = {
  paddb: lanes(8, l.add),
  paddw: lanes(16, l.add),
  paddd: lanes(32, l.add),
  paddq: binary((e, a, b) => e.add(a, b)),
  psubb: lanes(8, l.sub),
  psubw: lanes(16, l.sub),
  psubd: lanes(32, l.sub),
  psubq: binary((e, a, b) => e.sub(a, b)),
  paddsb: lanes(8, l.addSigned),
  paddsw: lanes(16, l.addSigned),
  paddusb: lanes(8, l.addUnsignedSaturated),
  paddusw: lanes(16, l.addUnsignedSaturated),
  psubsb: lanes(8, l.subSigned),
  psubsw: lanes(16, l.subSigned),
  psubusb: lanes(8, l.subUnsignedSaturated),
  psubusw: lanes(16, l.subUnsignedSaturated),
  pcmpeqb: lanes(8, l.equal),
  pcmpeqw: lanes(16, l.equal),
  pcmpeqd: lanes(32, l.equal),
  pcmpgtb: lanes(8, l.greater),
  pcmpgtw: lanes(16, l.greater),
  pcmpgtd: lanes(32, l.greater),
  pminub: binary((e, a, b) => l.choose(e, l.below(e, 8, a, b), a, b)),
  pmaxub: binary((e, a, b) => l.choose(e, l.below(e, 8, a, b), b, a)),
  pminsw: lanes(16, l.minSigned),
  pmaxsw: lanes(16, l.maxSigned),
  pavgb: lanes(8, l.average),
  pavgw: lanes(16, l.average),
  pand: binary((e, a, b) => e.and(a, b)),
  pandn: binary((e, a, b) => e.and(e.not(a), b)),
  por: binary((e, a, b) => e.or(a, b)),
  pxor: binary((e, a, b) => e.xor(a, b)),
  psllw: shift(16, "left"),
  pslld: shift(32, "left"),
  psllq: shift(64, "left"),
  psrlw: shift(16, "right"),
  psrld: shift(32, "right"),
  psrlq: shift(64, "right"),
  psraw: shift(16, "arithmetic"),
  psrad: shift(32, "arithmetic"),
  pmullw,
  pmulhw,
  pmulhuw,
  pmulhrsw,
  pmuludq,
  pmaddwd,
  pmaddubsw,
  psadbw,
  packsswb: pack(-128, 127),
  packuswb: pack(0, 255),
  packssdw,
  punpcklbw: unpack(8, false),
  punpcklwd: unpack(16, false),
  punpckldq: unpack(32, false),
  punpckhbw: unpack(8, true),
  punpckhwd: unpack(16, true),
  punpckhdq: unpack(32, true),
  phaddw: horizontal(16, l.add),
  phaddd: horizontal(32, l.add),
  phaddsw: horizontal(16, l.addSigned),
  phsubw: horizontal(16, l.sub),
  phsubd: horizontal(32, l.sub),
  phsubsw: horizontal(16, l.subSigned),
  pshufb,
  pshufw,
  pinsrw,
  pextrw,
  pmovmskb,
  palignr,
  psignb: sign(8),
  psignw: sign(16),
  psignd: sign(32),
  pabsb: abs(8),
  pabsw: abs(16),
  pabsd: abs(32),
  movd,
  movq,
  movntq: movq,
  maskmovq,
};
