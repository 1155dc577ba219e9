/**
 * The vector file: a JSON line (format version, source, row keys), then the forms as a byte stream, all Brotli-compressed.
 *
 * form:  row, shape bits (0-1 code size/32, 2 operand-size prefix, 3 REX.W, 4 memory form, 5 register form, 6 XMM state), repeat prefix, number of cases
 * case:  flags, code, seed step, register overrides, EFLAGS?, memory patches; then what came out, as differences from what went in
 */
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { expandFpu, expandRegisters, expandSse, sseStyle } from "./environment.mjs";

export const NO_FAULT = 255;

class Writer {
  constructor() {
    this.bytes = new Uint8Array(1 << 20);
    this.n = 0;
  }
  u8(v) {
    if (this.n === this.bytes.length) {
      const more = new Uint8Array(this.n * 2);
      more.set(this.bytes);
      this.bytes = more;
    }
    this.bytes[this.n++] = v;
  }
  raw(list) {
    for (const b of list) this.u8(b);
  }
  /** Unsigned, below 2^53. */
  var(v) {
    while (v > 127) {
      this.u8((v % 128) | 128);
      v = Math.floor(v / 128);
    }
    this.u8(v);
  }
  /** A bigint given the one expected: the shorter of value and difference, length first. */
  word(value, expected) {
    const xor = value ^ expected;
    const length = (v) => (v === 0n ? 0 : Math.ceil(v.toString(16).length / 2));
    const a = length(value),
      b = length(xor);
    const n = Math.min(a, b);
    this.u8(n | (b < a ? 16 : 0));
    let v = b < a ? xor : value;
    for (let i = 0; i < n; i++, v >>= 8n) this.u8(Number(v & 0xffn));
  }
  done() {
    return this.bytes.subarray(0, this.n);
  }
}
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.n = 0;
  }
  u8() {
    return this.bytes[this.n++];
  }
  raw(length) {
    return this.bytes.slice(this.n, (this.n += length));
  }
  var() {
    let v = 0,
      scale = 1;
    for (;;) {
      const b = this.u8();
      v += (b & 127) * scale;
      if (b < 128) return v;
      scale *= 128;
    }
  }
  word(expected) {
    const tag = this.u8();
    const n = tag & 15;
    let lo = 0,
      hi = 0;
    for (let i = 0; i < n; i++) {
      const b = this.u8();
      if (i < 4) lo |= b << (i * 8);
      else hi |= b << ((i - 4) * 8);
    }
    const v = hi === 0 ? BigInt(lo >>> 0) : (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);
    return (tag & 16) !== 0 ? v ^ expected : v;
  }
}

/** Registers, flags and x87 state as they go in. */
export function inputState(c) {
  const { gpr, rflags } = expandRegisters(c.seed);
  for (const o of c.overrides) gpr[o.index] = o.value;
  return { gpr, rflags: c.flags ?? rflags, fpu: c.fpu ? expandFpu(c.seed) : undefined, sse: c.sse ? expandSse(c.seed, c.sse) : undefined };
}
const view = (v, codeSize) => (codeSize === 64 ? v : v & 0xffffffffn);

function writeCase(w, c, last) {
  w.u8(c.environment | (c.fpu ? 2 : 0) | (c.repeat ? 4 : 0) | (c.flags !== undefined ? 8 : 0) | (c.code.length << 4));
  w.raw(c.code);
  w.var(c.seed - last);
  const seeded = expandRegisters(c.seed);
  w.u8(c.overrides.length | (c.patches.length << 4));
  for (const o of c.overrides) {
    w.u8(o.index);
    w.word(o.value, seeded.gpr[o.index]);
  }
  if (c.flags !== undefined) w.var(c.flags);
  for (const p of c.patches) {
    w.var(p.address < 0 ? 0 : p.address);
    // What the seed says is not written.
    const seededBytes = c.sse !== undefined && p.bytes.length <= 16 && same(p.bytes, expandSse(c.seed, c.sse).xmm[16]);
    w.u8(p.bytes.length | (seededBytes ? 0x80 : 0));
    if (!seededBytes) w.raw(p.bytes);
  }
  const input = inputState(c);
  const out = c.result;
  w.u8(out.vector);
  if (out.vector !== NO_FAULT) {
    w.var(out.error);
    if (out.vector === 14) w.word(out.cr2, 0n);
  }
  w.word(out.rip, BigInt.asUintN(64, c.rip + BigInt(out.vector === NO_FAULT ? c.code.length : 0)));
  let mask = 0;
  const registers = c.codeSize === 64 ? 16 : 8;
  for (let i = 0; i < registers; i++) if (view(out.gpr[i], c.codeSize) !== view(input.gpr[i], c.codeSize)) mask |= 1 << i;
  w.var(mask);
  for (let i = 0; i < registers; i++) if ((mask >> i) & 1) w.word(view(out.gpr[i], c.codeSize), view(input.gpr[i], c.codeSize));
  w.var((out.rflags ^ input.rflags) >>> 0);
  let changed = 0;
  for (let i = 0; i < 6; i++) if (out.segments[i] !== c.segments[i]) changed |= 1 << i;
  w.u8(changed);
  for (let i = 0; i < 6; i++) if ((changed >> i) & 1) w.var(out.segments[i]);
  w.var(out.memory.length);
  let end = 0x10000;
  for (const run of out.memory) {
    w.var(run.address - end);
    w.var(run.bytes.length);
    w.raw(run.bytes);
    end = run.address + run.bytes.length;
  }
  if (c.fpu) {
    w.var(out.fpu.controlWord ^ input.fpu.controlWord);
    w.var(out.fpu.statusWord ^ input.fpu.statusWord);
    w.u8(out.fpu.empty ^ emptyMask(input.fpu.tagWord));
    let regs = 0;
    for (let i = 0; i < 8; i++) if (!same(out.fpu.registers[i], input.fpu.registers[i])) regs |= 1 << i;
    w.u8(regs);
    for (let i = 0; i < 8; i++) if ((regs >> i) & 1) w.raw(out.fpu.registers[i]);
  }
  if (c.sse) writeSse(w, input.sse, out.sse);
}
function writeSse(w, input, out) {
  w.var(out.mxcsr ^ input.mxcsr);
  let regs = 0;
  for (let i = 0; i < 16; i++) if (!same(out.xmm[i], input.xmm[i])) regs |= 1 << i;
  w.var(regs);
  for (let i = 0; i < 16; i++) if ((regs >> i) & 1) w.raw(out.xmm[i]);
}
export function emptyMask(tagWord) {
  let empty = 0;
  for (let i = 0; i < 8; i++) if (((tagWord >> (i * 2)) & 3) === 3) empty |= 1 << i;
  return empty;
}
export function same(a, b) {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Forms with recorded cases to a compressed file. */
export function pack(header, forms) {
  const w = new Writer();
  const rows = [...new Set(forms.map((f) => f.key))];
  const index = new Map(rows.map((key, i) => [key, i]));
  let last = 0;
  for (const f of forms) {
    w.var(index.get(f.key));
    w.u8((f.codeSize / 32) | (f.p66 ? 4 : 0) | (f.rexW ? 8 : 0) | (f.shape === "mem" ? 16 : f.shape === "reg" ? 32 : 0) | (f.cases[0]?.sse ? 64 : 0));
    w.u8(f.rep);
    w.var(f.cases.length);
    for (const c of f.cases) {
      writeCase(w, c, last);
      last = c.seed;
    }
  }
  const json = new TextEncoder().encode(`${JSON.stringify({ ...header, rows, forms: forms.length })}\n`);
  const all = new Uint8Array(json.length + w.n);
  all.set(json);
  all.set(w.done(), json.length);
  return brotliCompressSync(all, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 22, [constants.BROTLI_PARAM_SIZE_HINT]: all.length },
  });
}

/** Reads a file made by `pack`; yields { key, codeSize, …, cases } form by form. */
export function unpack(file, segmentSet, startOf) {
  const bytes = new Uint8Array(brotliDecompressSync(file));
  const line = bytes.indexOf(10);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, line)));
  const r = new Reader(bytes);
  r.n = line + 1;
  function* read() {
    let last = 0;
    for (let i = 0; i < header.forms; i++) {
      const key = header.rows[r.var()];
      const bits = r.u8();
      const codeSize = [16, 32, 64][bits & 3];
      const form = {
        key,
        codeSize,
        p66: (bits & 4) !== 0,
        rexW: (bits & 8) !== 0,
        shape: (bits & 16) !== 0 ? "mem" : (bits & 32) !== 0 ? "reg" : "none",
        rep: r.u8(),
        sse: (bits & 64) !== 0 ? sseStyle(key) : undefined,
        cases: [],
      };
      const n = r.var();
      for (let k = 0; k < n; k++) {
        const c = readCase(r, codeSize, last, segmentSet, startOf, form.sse);
        last = c.seed;
        form.cases.push(c);
      }
      yield form;
    }
  }
  return { header, forms: read() };
}

function readCase(r, codeSize, last, segmentSet, startOf, sse) {
  const head = r.u8();
  const code = r.raw(head >> 4);
  const seed = last + r.var();
  const counts = r.u8();
  const seeded = expandRegisters(seed);
  const overrides = [];
  for (let i = 0; i < (counts & 15); i++) {
    const index = r.u8();
    overrides.push({ index, value: r.word(seeded.gpr[index]) });
  }
  const c = {
    codeSize,
    environment: head & 1,
    fpu: (head & 2) !== 0,
    sse,
    repeat: (head & 4) !== 0,
    code,
    seed,
    overrides,
    flags: (head & 8) !== 0 ? r.var() : undefined,
    patches: [],
  };
  for (let i = 0; i < counts >> 4; i++) {
    const address = r.var();
    const length = r.u8();
    c.patches.push({ address, bytes: (length & 0x80) !== 0 ? expandSse(seed, sse).xmm[16].subarray(0, length & 0x7f) : r.raw(length) });
  }
  c.segments = segmentSet(codeSize, c.environment);
  c.rip = startOf(codeSize, c.segments);
  const input = inputState(c);
  c.input = input;
  const out = { vector: r.u8(), error: 0, cr2: 0n };
  if (out.vector !== NO_FAULT) {
    out.error = r.var();
    if (out.vector === 14) out.cr2 = r.word(0n);
  }
  out.rip = r.word(BigInt.asUintN(64, c.rip + BigInt(out.vector === NO_FAULT ? code.length : 0)));
  const mask = r.var();
  out.gpr = input.gpr.map((v, i) => ((mask >> i) & 1 ? r.word(view(v, codeSize)) : view(v, codeSize)));
  out.rflags = (input.rflags ^ r.var()) >>> 0;
  const changed = r.u8();
  out.segments = c.segments.map((s, i) => ((changed >> i) & 1 ? r.var() : s));
  out.memory = [];
  let end = 0x10000;
  for (let n = r.var(); n > 0; n--) {
    const address = end + r.var();
    const bytes = r.raw(r.var());
    out.memory.push({ address, bytes });
    end = address + bytes.length;
  }
  if (c.fpu) {
    const controlWord = input.fpu.controlWord ^ r.var();
    const statusWord = input.fpu.statusWord ^ r.var();
    const empty = emptyMask(input.fpu.tagWord) ^ r.u8();
    const regs = r.u8();
    out.fpu = { controlWord, statusWord, empty, registers: input.fpu.registers.map((v, i) => ((regs >> i) & 1 ? r.raw(10) : v)) };
  }
  if (sse) {
    const mxcsr = input.sse.mxcsr ^ r.var();
    const regs = r.var();
    out.sse = { mxcsr, xmm: input.sse.xmm.slice(0, 16).map((v, i) => ((regs >> i) & 1 ? r.raw(16) : v)) };
  }
  c.result = out;
  return c;
}
