import { SIMD } from "../../../wasm/index.ts";
import type { Val } from "../ir/emit.ts";
import type { SimdEmit, SimdSemantic } from "../ir/simd-emit.ts";
import { range, unary, zeroExtended } from "./xmm-parts.ts";

/** Moves between XMM registers, memory and general registers (SDM vol. 2). */

/** MOVAPS, MOVUPS, MOVDQA, MOVDQU, LDDQU, MOVNTDQ and kin: the row knows whether memory must be aligned. */
const move: SimdSemantic = (e) => e.writeV(0, e.readV(1));

/** MOVSS, MOVSD: a load clears the rest, a move between registers keeps it. */
const scalar =
  (size: 32 | 64): SimdSemantic =>
  (e) => {
    const value = e.readLow(1, size);
    if (!e.isVector(0)) e.write(0, value);
    else if (e.isVector(1)) e.writeLow(0, size, value);
    else e.writeV(0, zeroExtended(e, value));
  };

const half = (e: SimdEmit, high: boolean): Val => e.i32(high ? 1 : 0);
/** MOVLPS, MOVHPS, MOVLPD, MOVHPD. */
const halfMove =
  (high: boolean): SimdSemantic =>
  (e) => {
    if (e.isVector(0)) e.writePart(0, 64, half(e, high), e.read(1));
    else e.write(0, e.readPart(1, 64, half(e, high)));
  };
const movhlps: SimdSemantic = (e) => e.writeLow(0, 64, e.readPart(1, 64, e.i32(1)));
const movlhps: SimdSemantic = (e) => e.writePart(0, 64, e.i32(1), e.readLow(1, 64));

/** MOVQ: clears the upper half of a register destination in all forms. */
const movq: SimdSemantic = (e) => {
  const value = e.readLow(1, 64);
  if (e.isVector(0)) e.writeV(0, zeroExtended(e, value));
  else e.write(0, value);
};
/** MOVD, and MOVQ with REX.W. */
const movd: SimdSemantic = (e) => {
  if (e.isVector(0)) e.writeV(0, zeroExtended(e, e.read(1)));
  else e.write(0, e.readLow(1, e.operandSize(0) === 64 ? 64 : 32));
};
/** From and to MMX registers. */
const movq2dq: SimdSemantic = (e) => e.writeV(0, zeroExtended(e, e.read(1)));
const movdq2q: SimdSemantic = (e) => e.write(0, e.readLow(1, 64));

const movddup: SimdSemantic = (e) => e.writeV(0, e.v(SIMD.i64x2_splat, e.readLow(1, 64)));
const duplicate = (odd: 0 | 1): SimdSemantic =>
  unary((e, a) =>
    e.shuffle(
      a,
      a,
      range(16, (i) => (i & 8) + odd * 4 + (i & 3)),
    ),
  );

const mask =
  (f: (e: SimdEmit, v: Val) => Val): SimdSemantic =>
  (e) =>
    e.write(0, f(e, e.readV(1)));

/**
 * MASKMOVDQU: the bytes whose mask byte has its top bit set go to DS:rDI. Silicon looks at both quadwords whatever the mask says, the upper one
 * first: that is where a fault is reported.
 */
const maskmovdqu: SimdSemantic = (e) => {
  const bits = e.v(SIMD.i8x16_bitmask, e.readV(1));
  const base = e.addrReg(7);
  const segment = e.stringSource();
  e.probeStore(segment, e.maskAddress(e.add(base, e.i64(8))), 64);
  e.probeStore(segment, base, 64);
  const left = e.mutable("i32", bits);
  e.if(bits, () => {
    e.loop((breakIf) => {
      const now = e.get(left);
      const index = e.ctz(now);
      e.store(segment, e.maskAddress(e.add(base, e.extU(index))), 8, e.readPart(0, 8, index));
      const rest = e.and(now, e.sub(now, e.i32(1)));
      e.set(left, rest);
      breakIf(e.eqz(rest));
    });
  });
};

// ---- elements by number
const index = (e: SimdEmit, n: number, lanes: number): Val => e.and(e.read(n), e.i32(lanes - 1));
const pextr =
  (lanes: 4 | 8 | 16): SimdSemantic =>
  (e) => {
    const wide = lanes === 4 && e.operandSize(0) === 64;
    e.write(0, e.readPart(1, wide ? 64 : lanes === 4 ? 32 : lanes === 8 ? 16 : 8, index(e, 2, wide ? 2 : lanes)));
  };
const pinsr =
  (lanes: 4 | 8 | 16): SimdSemantic =>
  (e) => {
    const wide = lanes === 4 && e.operandSize(1) === 64;
    const value = e.read(1);
    e.writePart(0, wide ? 64 : lanes === 4 ? 32 : lanes === 8 ? 16 : 8, index(e, 2, wide ? 2 : lanes), value);
  };
/** INSERTPS: imm 7:6 source element (of a register), 5:4 destination element, 3:0 elements to clear. */
const insertps: SimdSemantic = (e) => {
  const value = e.isVector(1) ? e.readPart(1, 32, e.shrU(e.read(2), e.i32(6))) : e.read(1);
  const imm = e.read(2);
  const old = e.readV(0);
  const place = e.v(SIMD.i32x4_splat, e.and(e.shrU(imm, e.i32(4)), e.i32(3)));
  const here = e.v(SIMD.i32x4_eq, place, e.vconst(0x00000003_00000002_00000001_00000000n));
  const inserted = e.v(SIMD.v128_bitselect, e.v(SIMD.i32x4_splat, value), old, here);
  const weights = e.vconst(0x00000008_00000004_00000002_00000001n);
  const cleared = e.v(SIMD.i32x4_eq, e.v(SIMD.v128_and, e.v(SIMD.i32x4_splat, imm), weights), weights);
  e.writeV(0, e.v(SIMD.v128_andnot, inserted, cleared));
};

/** Sign or zero extension of the lowest elements. */
const extend =
  (from: 8 | 16 | 32, to: 16 | 32 | 64, signed: boolean): SimdSemantic =>
  (e) => {
    const bits = (128 * from) / to;
    const low = e.readLow(1, bits === 64 ? 64 : bits === 32 ? 32 : 16);
    let v = zeroExtended(e, low);
    for (let at = from; at < to; ) {
      if (at === 8) v = e.v(signed ? SIMD.i16x8_extend_low_i8x16_s : SIMD.i16x8_extend_low_i8x16_u, v);
      else if (at === 16) v = e.v(signed ? SIMD.i32x4_extend_low_i16x8_s : SIMD.i32x4_extend_low_i16x8_u, v);
      else v = e.v(signed ? SIMD.i64x2_extend_low_i32x4_s : SIMD.i64x2_extend_low_i32x4_u, v);
      at *= 2;
    }
    e.writeV(0, v);
  };

export const XMM_MOVES: Readonly<Record<string, SimdSemantic>> = {
  movaps: move,
  movapd: move,
  movups: move,
  movupd: move,
  movdqa: move,
  movdqu: move,
  lddqu: move,
  movntps: move,
  movntpd: move,
  movntdq: move,
  movntdqa: move,
  movss: scalar(32),
  movsd_sse: scalar(64),
  movlps: halfMove(false),
  movlpd: halfMove(false),
  movhps: halfMove(true),
  movhpd: halfMove(true),
  movhlps,
  movlhps,
  movq,
  movd,
  movq2dq,
  movdq2q,
  movddup,
  movsldup: duplicate(0),
  movshdup: duplicate(1),
  pmovmskb: mask((e, v) => e.v(SIMD.i8x16_bitmask, v)),
  movmskps: mask((e, v) => e.v(SIMD.i32x4_bitmask, v)),
  movmskpd: mask((e, v) => e.v(SIMD.i64x2_bitmask, v)),
  maskmovdqu,
  pextrb: pextr(16),
  pextrw: pextr(8),
  pextrd: pextr(4),
  extractps: pextr(4),
  pinsrb: pinsr(16),
  pinsrw: pinsr(8),
  pinsrd: pinsr(4),
  insertps,
  pmovsxbw: extend(8, 16, true),
  pmovsxbd: extend(8, 32, true),
  pmovsxbq: extend(8, 64, true),
  pmovsxwd: extend(16, 32, true),
  pmovsxwq: extend(16, 64, true),
  pmovsxdq: extend(32, 64, true),
  pmovzxbw: extend(8, 16, false),
  pmovzxbd: extend(8, 32, false),
  pmovzxbq: extend(8, 64, false),
  pmovzxwd: extend(16, 32, false),
  pmovzxwq: extend(16, 64, false),
  pmovzxdq: extend(32, 64, false),
};
