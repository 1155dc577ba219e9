/**
 * Debug registers (SDM vol. 3B 18.2, 18.3): data, I/O and instruction breakpoints of every kind and length, at every distance from an access of
 * every class. An access is met when it reads or writes a byte of [DRn & ~(LEN-1), +LEN); the #DB comes behind the instruction, behind the
 * iteration of a repeated one, and before the instruction for instruction breakpoints. Breakpoints that are not enabled leave no bits in DR6.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { CODE, DATA, GDT, HANDLERS, IDT, ModeMachine, RING0_STACK, SELECTOR, STACK, TASK } from "./modes.mjs";
import { ENGINES } from "./support.mjs";

const RUN = { kind: "run" };
const EXECUTE = 0,
  WRITE = 1,
  IO = 2,
  ACCESS = 3;
const LENGTHS = [1, 2, 8, 4];
let tried = 0;
let wrong = 0;

/** DR7 with the given breakpoints: `{ kind, len (code), global }`. */
function dr7(list) {
  return list.reduce((bits, b, i) => bits | ((b.global ? 2 : 1) << (i * 2)) | ((b.kind | (b.len << 2)) << (16 + i * 4)), 0x400) >>> 0;
}
function arm(m, list) {
  list.forEach((b, i) => m.raw.setControl(`dr${i}`, BigInt(b.at)));
  m.raw.setControl("dr7", BigInt(dr7(list)));
}
/** The conditions that `accesses` ([address, bytes, "r" | "w"]) meet. */
function met(list, accesses) {
  let bits = 0;
  list.forEach((b, i) => {
    const size = LENGTHS[b.len];
    const from = b.at - (b.at % size);
    if (b.kind === EXECUTE || b.kind === IO) return;
    if (accesses.some(([at, bytes, how]) => (b.kind === ACCESS || how === "w") && at < from + size && from < at + bytes)) bits |= 1 << i;
  });
  return bits;
}
/** Every kind and length at every distance from -9 to `reach` of an address, four to a run. */
function* armings(address, reach) {
  let four = [];
  let n = 0;
  for (const kind of [WRITE, ACCESS]) {
    for (const len of [0, 1, 2, 3]) {
      for (let at = address - 9; at <= address + reach; at++) {
        four.push({ at, kind, len, global: (n++ & 1) === 1 });
        if (four.length < 4) continue;
        yield four;
        four = [];
      }
    }
  }
  if (four.length > 0) yield four;
}

// ---- one access of every class, at X = [BX]
const X = DATA + 0x104;
const r = (bytes, at = X) => [[at, bytes, "r"]];
const w = (bytes, at = X) => [[at, bytes, "w"]];
const rw = (bytes, at = X) => [
  [at, bytes, "r"],
  [at, bytes, "w"],
];
/** [BX], [EBX], [RBX] with a reg field. */
const modrm = (m, reg) => (m.codeSize === 16 ? 7 : 3) | (reg << 3);
const o32 = (m) => (m.codeSize === 16 ? [0x66] : []);
const o16 = (m) => (m.codeSize === 16 ? [] : [0x66]);
/** `[name, (machine) => bytes, accesses, setUp?, modes?]`. */
const PLAIN = [
  ["mov r8, m", (m) => [0x8a, modrm(m, 1)], r(1)],
  ["mov r16, m", (m) => [...o16(m), 0x8b, modrm(m, 1)], r(2)],
  ["mov r32, m", (m) => [...o32(m), 0x8b, modrm(m, 1)], r(4)],
  ["mov r64, m", (m) => [0x48, 0x8b, modrm(m, 1)], r(8), undefined, ["long"]],
  ["mov m, r8", (m) => [0x88, modrm(m, 1)], w(1)],
  ["mov m, r16", (m) => [...o16(m), 0x89, modrm(m, 1)], w(2)],
  ["mov m, r32", (m) => [...o32(m), 0x89, modrm(m, 1)], w(4)],
  ["mov m, r64", (m) => [0x48, 0x89, modrm(m, 1)], w(8), undefined, ["long"]],
  ["mov m, imm8", (m) => [0xc6, modrm(m, 0), 5], w(1)],
  ["cmp m, r32", (m) => [...o32(m), 0x39, modrm(m, 1)], r(4)],
  ["add m, r8", (m) => [0x00, modrm(m, 1)], rw(1)],
  ["add m, r32", (m) => [...o32(m), 0x01, modrm(m, 1)], rw(4)],
  ["lock add m, r32", (m) => [0xf0, ...o32(m), 0x01, modrm(m, 1)], rw(4)],
  ["inc m16", (m) => [...o16(m), 0xff, modrm(m, 0)], rw(2)],
  ["shl m8, 1", (m) => [0xd0, modrm(m, 4)], rw(1)],
  ["not m32", (m) => [...o32(m), 0xf7, modrm(m, 2)], rw(4)],
  ["xchg m, r16", (m) => [...o16(m), 0x87, modrm(m, 1)], rw(2)],
  ["xadd m, r32", (m) => [...o32(m), 0x0f, 0xc1, modrm(m, 1)], rw(4)],
  ["cmpxchg m, r32", (m) => [...o32(m), 0x0f, 0xb1, modrm(m, 1)], rw(4)],
  ["cmpxchg8b", (m) => [0x0f, 0xc7, modrm(m, 1)], rw(8)],
  ["bts m32, imm", (m) => [...o32(m), 0x0f, 0xba, modrm(m, 5), 3], rw(4)],
  ["bt m32, imm", (m) => [...o32(m), 0x0f, 0xba, modrm(m, 4), 3], r(4)],
  ["setc m8", (m) => [0x0f, 0x92, modrm(m, 0)], w(1)],
  ["movzx r32, m8", (m) => [...o32(m), 0x0f, 0xb6, modrm(m, 1)], r(1)],
  ["xlat", () => [0xd7], r(1), (m) => m.raw.setGpr(0, 0n)],
  ["lea", (m) => [0x8d, modrm(m, 1)], []],
  ["nop m", (m) => [0x0f, 0x1f, modrm(m, 0)], []],
  ["prefetchnta", (m) => [0x0f, 0x18, modrm(m, 0)], []],
  ["push m16", (m) => [...o16(m), 0xff, modrm(m, 6)], r(2)],
  ["pop m16", (m) => [...o16(m), 0x8f, modrm(m, 0)], w(2)],
  ["movnti", (m) => [0x0f, 0xc3, modrm(m, 1)], w(4)],
  ["sgdt", (m) => [0x0f, 0x01, modrm(m, 0)], (m) => w(m.mode === "long" ? 10 : 6), undefined, ["protected32", "long", "real"]],
  ["smsw m", (m) => [0x0f, 0x01, modrm(m, 4)], w(2), undefined, ["real", "protected32", "long"]],
  // Far pointers: offset and selector.
  [
    "les",
    (m) => [...o16(m), 0xc4, modrm(m, 1)],
    r(4),
    (m) => m.memory.write32(X, m.dataSelector << 16),
    ["real", "protected16", "protected32", "v86"],
  ],
  ["jmp far m16:16", (m) => [...o16(m), 0xff, modrm(m, 5)], r(4), (m) => m.memory.write32(X, (m.codeSelector << 16) | HANDLERS), ["real", "v86"]],
  // x87
  ["fld m32", (m) => [0xd9, modrm(m, 0)], r(4)],
  ["fld m64", (m) => [0xdd, modrm(m, 0)], r(8)],
  ["fld m80", (m) => [0xdb, modrm(m, 5)], r(10)],
  ["fild m16", (m) => [0xdf, modrm(m, 0)], r(2)],
  ["fild m64", (m) => [0xdf, modrm(m, 5)], r(8)],
  ["fstp m32", (m) => [0xd9, modrm(m, 3)], w(4)],
  ["fstp m64", (m) => [0xdd, modrm(m, 3)], w(8)],
  ["fstp m80", (m) => [0xdb, modrm(m, 7)], w(10)],
  ["fnstcw", (m) => [0xd9, modrm(m, 7)], w(2)],
  ["fldcw", (m) => [0xd9, modrm(m, 5)], r(2), (m) => m.memory.write16(X, 0x37f)],
  ["fnstsw m", (m) => [0xdd, modrm(m, 7)], w(2)],
  ["fadd m64", (m) => [0xdc, modrm(m, 0)], r(8)],
  ["fnstenv", (m) => [0xd9, modrm(m, 6)], (m) => w(m.codeSize === 16 ? 14 : 28)],
  ["fldenv", (m) => [0xd9, modrm(m, 4)], (m) => r(m.codeSize === 16 ? 14 : 28), (m) => m.memory.write16(X, 0x37f)],
  ["fnsave", (m) => [0xdd, modrm(m, 6)], (m) => w(m.codeSize === 16 ? 94 : 108)],
  ["frstor", (m) => [0xdd, modrm(m, 4)], (m) => r(m.codeSize === 16 ? 94 : 108), (m) => m.memory.write16(X, 0x37f)],
  ["lgdt", (m) => [0x0f, 0x01, modrm(m, 2)], (m) => r(m.mode === "long" ? 10 : 6), undefined, ["real", "protected16", "protected32", "long"]],
  ["bound", (m) => [...o16(m), 0x62, modrm(m, 1)], r(4), (m) => m.memory.write32(X, 0x640000), ["real", "protected16", "protected32", "v86"]],
  ["lss", (m) => [...o16(m), 0x0f, 0xb2, modrm(m, 1)], r(4), (m) => m.memory.write32(X, m.dataSelector << 16), ["real", "protected32", "v86"]],
  ["verr m16", (m) => [0x0f, 0x00, modrm(m, 4)], r(2), undefined, ["protected16", "protected32", "long"]],
  ["mov ss, m16", (m) => [0x8e, modrm(m, 2)], [], (m) => m.memory.write16(X, m.dataSelector), ["real", "protected32"]],
  // MMX and SSE
  ["movd mm, m32", (m) => [0x0f, 0x6e, modrm(m, 1)], r(4)],
  ["movq mm, m64", (m) => [0x0f, 0x6f, modrm(m, 1)], r(8)],
  ["movq m64, mm", (m) => [0x0f, 0x7f, modrm(m, 1)], w(8)],
  ["movups xmm, m", (m) => [0x0f, 0x10, modrm(m, 1)], r(16)],
  ["movups m, xmm", (m) => [0x0f, 0x11, modrm(m, 1)], w(16)],
  ["movss xmm, m", (m) => [0xf3, 0x0f, 0x10, modrm(m, 1)], r(4)],
  ["movsd m, xmm", (m) => [0xf2, 0x0f, 0x11, modrm(m, 1)], w(8)],
  ["movlps xmm, m", (m) => [0x0f, 0x12, modrm(m, 1)], r(8)],
  ["ldmxcsr", (m) => [0x0f, 0xae, modrm(m, 2)], r(4), (m) => m.memory.write32(X, 0x1f80)],
  ["stmxcsr", (m) => [0x0f, 0xae, modrm(m, 3)], w(4)],
  // Strings without a repeat prefix
  ["movsb", () => [0xa4], [...r(1, X), ...w(1, X + 0x40)], (m) => strings(m, X, X + 0x40)],
  ["movsw", (m) => [...o16(m), 0xa5], [...r(2, X), ...w(2, X + 0x40)], (m) => strings(m, X, X + 0x40)],
  ["movsd to X", (m) => [...o32(m), 0xa5], [...r(4, X + 0x40), ...w(4, X)], (m) => strings(m, X + 0x40, X)],
  ["stosb", () => [0xaa], w(1), (m) => strings(m, X + 0x40, X)],
  ["stosd", (m) => [...o32(m), 0xab], w(4), (m) => strings(m, X + 0x40, X)],
  ["lodsw", (m) => [...o16(m), 0xad], r(2), (m) => strings(m, X, X + 0x40)],
  ["scasb", () => [0xae], r(1), (m) => strings(m, X + 0x40, X)],
  ["cmpsb", () => [0xa6], [...r(1, X), ...r(1, X + 0x40)], (m) => strings(m, X, X + 0x40)],
  ["insb", () => [0x6c], w(1), (m) => strings(m, X + 0x40, X)],
  ["insw", (m) => [...o16(m), 0x6d], w(2), (m) => strings(m, X + 0x40, X)],
  ["outsb", () => [0x6e], r(1), (m) => strings(m, X, X + 0x40)],
];
function strings(m, si, di) {
  m.raw.setGpr(6, BigInt(si));
  m.raw.setGpr(7, BigInt(di));
}
// The stack at X.
const word = (m) => m.codeSize / 8;
const stackAt = (offset) => (m) => m.raw.setGpr(4, BigInt(X + offset * word(m)));
const LEGACY = ["real", "protected16", "protected32", "v86"];
const STACKED = [
  ["push r", () => [0x51], (m) => w(word(m)), stackAt(1)],
  ["pop r", () => [0x59], (m) => r(word(m)), stackAt(0)],
  ["push imm", () => [0x6a, 1], (m) => w(word(m)), stackAt(1)],
  ["pushf", () => [0x9c], (m) => w(word(m)), stackAt(1)],
  ["call", (m) => [0xe8, 1, 0, ...(m.codeSize === 16 ? [] : [0, 0])], (m) => w(word(m)), stackAt(1)],
  ["ret", () => [0xc3], (m) => r(word(m)), (m) => (stackAt(0)(m), m.memory.write32(X, HANDLERS))],
  ["enter", () => [0xc8, 0, 0, 0], (m) => w(word(m)), stackAt(1)],
  ["leave", () => [0xc9], (m) => r(word(m)), (m) => m.raw.setGpr(5, BigInt(X))],
  ["pusha", () => [0x60], (m) => w(8 * word(m)), stackAt(8), LEGACY],
  ["push ds", () => [0x1e], w(2), stackAt(1), ["real", "v86"]],
  ["pop ds", () => [0x1f], r(2), (m) => (stackAt(0)(m), m.memory.write32(X, m.dataSelector)), ["real", "v86"]],
  ["retf", () => [0xcb], (m) => r(2 * word(m)), (m) => (stackAt(0)(m), m.memory.write32(X, HANDLERS)), ["real", "v86"]],
  ["iret", () => [0xcf], (m) => r(3 * word(m)), (m) => (stackAt(0)(m), m.memory.write32(X, HANDLERS), m.memory.write32(X + 4, 0x3002)), ["real"]],
];

/** One instruction with four breakpoints armed: the conditions that the monitor is told behind it, -1: no #DB. */
function conditions(m, expectedVector = 1) {
  const exit = m.vcpu.run(RUN, 1);
  if (exit.kind !== "exception") return exit.kind === "budget" ? 0 : exit.kind;
  return exit.vector === expectedVector && m.rip !== CODE ? Number(exit.qualification) : `exception ${exit.vector} at ${m.rip.toString(16)}`;
}

for (const [engineName, engine] of Object.entries(ENGINES)) {
  for (const mode of ["real", "protected16", "protected32", "v86", "long"]) {
    test(`data breakpoints, ${mode} [${engineName}]`, () => {
      const m = new ModeMachine(engine, mode, { io: { portRead: () => 0x11, portWrite: () => true } });
      m.vcpu.intercepts.exceptionBitmap = 0xffffffff;
      const problems = [];
      for (const [name, code, accesses, setUp, modes] of [...PLAIN, ...STACKED]) {
        if (modes !== undefined && !modes.includes(mode)) continue;
        const list = typeof accesses === "function" ? accesses(m) : accesses;
        for (const four of armings(X, 18)) {
          m.reset({ gpr: { 0: 0x20, 1: 3, 2: 0, 3: X } });
          m.raw.setFpu({ ...m.raw.getFpu(), controlWord: 0x37f, tagWord: name.startsWith("fst") ? 0 : 0xffff });
          setUp?.(m);
          m.write([...code(m), 0x90, 0x90]);
          arm(m, four);
          tried += four.length;
          const got = conditions(m);
          const want = met(four, list);
          if (got === want) continue;
          wrong++;
          problems.push(`${name}: ${JSON.stringify(four.map((b) => [b.at - X, b.kind, LENGTHS[b.len]]))}: ${got}, not ${want}`);
          if (problems.length > 20) break;
        }
      }
      m.dispose();
      assert.deepEqual(problems, []);
    });
  }
}

// ---- repeated strings stop at the very iteration
const REPEATED = [
  ["rep movsb", [0xf3, 0xa4], 1, (i) => [...r(1, X - 4 + i), ...w(1, X + 0x40 + i)], X - 4, X + 0x40],
  ["rep movsb to X", [0xf3, 0xa4], 1, (i) => [...r(1, X + 0x40 + i), ...w(1, X - 4 + i)], X + 0x40, X - 4],
  ["rep stosb", [0xf3, 0xaa], 1, (i) => w(1, X - 4 + i), 0, X - 4],
  ["rep lodsb", [0xf3, 0xac], 1, (i) => r(1, X - 4 + i), X - 4, 0],
  ["repne scasb", [0xf2, 0xae], 1, (i) => r(1, X - 4 + i), 0, X - 4],
  ["repe cmpsb", [0xf3, 0xa6], 1, (i) => [...r(1, X - 4 + i), ...r(1, X + 0x40 + i)], X - 4, X + 0x40],
  ["rep insb", [0xf3, 0x6c], 1, (i) => w(1, X - 4 + i), 0, X - 4],
  ["rep outsb", [0xf3, 0x6e], 1, (i) => r(1, X - 4 + i), X - 4, 0],
];
const COUNT = 9;
for (const [engineName, engine] of Object.entries(ENGINES)) {
  for (const mode of ["real", "protected32", "v86", "long"]) {
    test(`data breakpoints inside REP, ${mode} [${engineName}]`, () => {
      const m = new ModeMachine(engine, mode, { io: { portRead: () => 0, portWrite: () => true } });
      m.vcpu.intercepts.exceptionBitmap = 0xffffffff;
      const problems = [];
      for (const [name, code, , accesses, si, di] of REPEATED) {
        for (const budget of [1, 100]) {
          for (const four of armings(X, 12)) {
            m.reset({ gpr: { 0: 0x55, 1: COUNT, 2: 0x80, 3: X } });
            strings(m, si, di);
            m.write([...code, 0xf4]);
            arm(m, four);
            tried += four.length;
            const want = [];
            for (let i = 0; i < COUNT; i++) {
              const bits = met(four, accesses(i));
              if (bits !== 0) want.push(`${COUNT - 1 - i}:${bits}`);
            }
            const got = [];
            for (let runs = 0; runs < 100; runs++) {
              const exit = m.vcpu.run(RUN, budget);
              if (exit.kind === "exception" && exit.vector === 1) got.push(`${m.raw.getGpr(1)}:${exit.qualification}`);
              else if (exit.kind !== "budget") break;
            }
            if (got.join() === want.join()) continue;
            wrong++;
            problems.push(`${name}: ${JSON.stringify(four.map((b) => [b.at - X, b.kind, LENGTHS[b.len]]))}: ${got}, not ${want}`);
            if (problems.length > 20) break;
          }
        }
      }
      m.dispose();
      assert.deepEqual(problems, []);
    });
  }
}

// ---- I/O breakpoints
const PORT_OPS = [
  ["in al, imm", (m, port) => [0xe4, port], 1],
  ["in ax, imm", (m, port) => [...o16(m), 0xe5, port], 2],
  ["in eax, imm", (m, port) => [...o32(m), 0xe5, port], 4],
  ["in al, dx", () => [0xec], 1],
  ["in ax, dx", (m) => [...o16(m), 0xed], 2],
  ["in eax, dx", (m) => [...o32(m), 0xed], 4],
  ["out imm, al", (m, port) => [0xe6, port], 1],
  ["out imm, ax", (m, port) => [...o16(m), 0xe7, port], 2],
  ["out imm, eax", (m, port) => [...o32(m), 0xe7, port], 4],
  ["out dx, al", () => [0xee], 1],
  ["out dx, ax", (m) => [...o16(m), 0xef], 2],
  ["out dx, eax", (m) => [...o32(m), 0xef], 4],
  ["insb", () => [0x6c], 1],
  ["insw", (m) => [...o16(m), 0x6d], 2],
  ["insd", (m) => [...o32(m), 0x6d], 4],
  ["outsb", () => [0x6e], 1],
  ["outsw", (m) => [...o16(m), 0x6f], 2],
  ["outsd", (m) => [...o32(m), 0x6f], 4],
];
for (const [engineName, engine] of Object.entries(ENGINES)) {
  for (const mode of ["real", "protected32", "v86", "long"]) {
    for (const answered of ["GuestIo", "exit", "unconditional exit"]) {
      test(`I/O breakpoints, ${mode}, ports by ${answered} [${engineName}]`, () => {
        const io = answered === "GuestIo" ? { portRead: () => 0x11, portWrite: () => true } : {};
        const m = new ModeMachine(engine, mode, { io });
        m.vcpu.intercepts.exceptionBitmap = 0xffffffff;
        m.vcpu.intercepts.unconditionalIo = answered === "unconditional exit";
        const problems = [];
        const PORT = 0x84;
        for (const [name, code, bytes] of PORT_OPS) {
          for (const de of [true, false]) {
            for (const len of [0, 1, 3]) {
              for (let first = PORT - 8; first < PORT + 8; first += 4) {
                const four = [0, 1, 2, 3].map((i) => ({ at: first + i, kind: IO, len, global: i > 1 }));
                m.reset({ gpr: { 0: 0x55, 1: 3, 2: PORT, 6: DATA, 7: DATA + 0x40 } });
                if (!de) m.raw.setControl("cr4", m.raw.getControl("cr4") & ~8n);
                m.write([...code(m, PORT), 0x90, 0x90]);
                arm(m, four);
                tried += four.length;
                let exit = m.vcpu.run(RUN, 1);
                if (exit.kind === "io-in") exit = m.vcpu.run({ kind: "io-in", value: 7 }, 0);
                else if (exit.kind === "io-out") exit = m.vcpu.run({ kind: "skip" }, 0);
                const got =
                  exit.kind === "exception" && exit.vector === 1 && m.rip > CODE
                    ? Number(exit.qualification)
                    : exit.kind === "budget"
                      ? 0
                      : exit.kind;
                let want = 0;
                four.forEach((b, i) => {
                  const size = LENGTHS[len];
                  const from = b.at - (b.at % size);
                  if (de && PORT < from + size && from < PORT + bytes) want |= 1 << i;
                });
                if (got === want) continue;
                wrong++;
                problems.push(`${name}, DE ${de}, length ${LENGTHS[len]} at ${(first - PORT).toString()}: ${got}, not ${want}`);
              }
            }
          }
        }
        m.dispose();
        assert.deepEqual(problems.slice(0, 20), []);
      });
    }
    test(`I/O breakpoints inside REP INS and OUTS, ${mode} [${engineName}]`, () => {
      const m = new ModeMachine(engine, mode, { io: { portRead: () => 0x11, portWrite: () => true } });
      m.vcpu.intercepts.exceptionBitmap = 0xffffffff;
      for (const opcode of [0x6c, 0x6e]) {
        m.reset({ gpr: { 1: 4, 2: 0x84, 6: DATA, 7: DATA + 0x40 } });
        m.write([0xf3, opcode, 0xf4]);
        arm(m, [{ at: 0x84, kind: IO, len: 0, global: false }]);
        tried++;
        const got = [];
        for (let i = 0; i < 10; i++) {
          const exit = m.vcpu.run(RUN, 100);
          if (exit.kind !== "exception" || exit.vector !== 1) break;
          got.push(`${m.raw.getGpr(1)}@${m.rip - CODE}`);
        }
        assert.deepEqual(got, ["3@0", "2@0", "1@0", "0@2"]);
      }
      m.dispose();
    });
  }
}

// ---- implicit accesses: descriptors, gates, the TSS, stacks of handlers (they have linear addresses, so they count)
for (const [engineName, engine] of Object.entries(ENGINES)) {
  const implicit = (name, mode, at, kind, code, setUp) => {
    test(`data breakpoint on an implicit access: ${name}, ${mode} [${engineName}]`, () => {
      const m = new ModeMachine(engine, mode, {});
      m.vcpu.intercepts.exceptionBitmap = 0xffffffff & ~(1 << 3);
      m.reset({ gpr: { 3: SELECTOR.data } });
      setUp?.(m);
      m.write([...code, 0x90, 0x90]);
      arm(m, [{ at, kind, len: 0, global: false }]);
      tried++;
      const exit = m.vcpu.run(RUN, 1);
      assert.deepEqual([exit.kind, exit.vector, exit.qualification], ["exception", 1, 1n]);
      assert.notEqual(m.rip, CODE);
      m.dispose();
    });
  };
  implicit("MOV DS reads its descriptor", "protected32", GDT + SELECTOR.data, ACCESS, [0x8e, 0xdb]);
  implicit("MOV DS reads its descriptor", "long", GDT + SELECTOR.data, ACCESS, [0x8e, 0xdb]);
  implicit("INT3 reads its gate", "protected32", IDT + 3 * 8, ACCESS, [0xcc]);
  implicit("INT3 reads its gate", "long", IDT + 3 * 16, ACCESS, [0xcc]);
  implicit("INT3 reads its vector", "real", 3 * 4, ACCESS, [0xcc]);
  implicit("INT 60h reads its vector", "real", 0x60 * 4, ACCESS, [0xcd, 0x60]);
  implicit("INT 60h pushes", "real", STACK - 6, WRITE, [0xcd, 0x60]);
  implicit("INT3 pushes in ring 0", "v86", RING0_STACK - 4, WRITE, [0xcc]);
  implicit("INT3 reads SS0 from the TSS", "v86", TASK + 8, ACCESS, [0xcc]);
}

// ---- a guest that meets a breakpoint by the delivery of #DB itself
for (const [engineName, engine] of Object.entries(ENGINES)) {
  for (const mode of ["real", "protected32", "long"]) {
    test(`a breakpoint on what #DB's delivery reads uses up the budget, ${mode} [${engineName}]`, () => {
      const m = new ModeMachine(engine, mode);
      m.reset({ gpr: { 3: X, 4: mode === "real" ? STACK : 0x40000 } });
      m.write([0x90, 0xf1, 0x90]);
      const vector = mode === "real" ? 4 : IDT + (mode === "long" ? 16 : 8);
      arm(m, [{ at: vector, kind: ACCESS, len: 0, global: false }]);
      tried++;
      const before = m.vcpu.instructionCount();
      for (const budget of [1, 7, 1000]) assert.equal(m.vcpu.run(RUN, budget).kind, "budget");
      assert.equal(m.vcpu.instructionCount() - before, 1008);
      m.dispose();
    });
  }
}

// ---- images of the whole x87 and SSE state
for (const [engineName, engine] of Object.entries(ENGINES)) {
  test(`data breakpoints in FXSAVE, FXRSTOR, XSAVE and XRSTOR images [${engineName}]`, () => {
    const m = new ModeMachine(engine, "long");
    m.vcpu.intercepts.exceptionBitmap = 0xffffffff;
    const image = DATA + 0x200;
    for (const [name, code, kind, offsets] of [
      ["fxsave", [0x0f, 0xae, 0x03], WRITE, [0, 24, 31, 32, 41, 159 - 6, 160, 287]],
      ["fxrstor", [0x0f, 0xae, 0x0b], ACCESS, [0, 24, 32, 160, 287]],
      ["xsave", [0x0f, 0xae, 0x23], WRITE, [0, 24, 32, 160, 512]],
      ["xrstor", [0x0f, 0xae, 0x2b], ACCESS, [0, 24, 32, 160, 512]],
    ]) {
      for (const offset of [...offsets, -1, 576]) {
        m.reset({ gpr: { 0: 3, 2: 0, 3: image } });
        m.memory.write(image, new Uint8Array(576));
        m.memory.write32(image, 0x37f);
        m.memory.write32(image + 24, 0x1f80);
        m.memory.write32(image + 512, 3);
        // xsetbv: x87 and SSE
        m.write([0x0f, 0x01, 0xd1, ...code, 0x90]);
        m.raw.setGpr(1, 0n);
        m.vcpu.run(RUN, 1);
        arm(m, [{ at: image + offset, kind, len: 0, global: false }]);
        tried++;
        assert.equal(conditions(m), offsets.includes(offset) ? 1 : 0, `${name}, byte ${offset}`);
      }
    }
    m.dispose();
  });
}

// ---- breakpoints that are not enabled
for (const [engineName, engine] of Object.entries(ENGINES)) {
  test(`breakpoints that are not enabled leave no bits in DR6 [${engineName}]`, () => {
    const m = new ModeMachine(engine, "protected32");
    m.vcpu.intercepts.exceptionBitmap = 2;
    for (let enabled = 0; enabled < 16; enabled++) {
      m.reset({ gpr: { 3: X } });
      m.write([0x8a, 0x03, 0x90]);
      for (const i of [0, 1, 2, 3]) m.raw.setControl(`dr${i}`, BigInt(X));
      const l = [0, 1, 2, 3].reduce((bits, i) => bits | (((enabled >> i) & 1) << (i * 2)), 0x400);
      m.raw.setControl("dr7", BigInt((l | 0x33330000) >>> 0));
      tried += 4;
      assert.equal(conditions(m), enabled);
    }
    m.dispose();
  });
}

// ---- instruction breakpoints, RF, shadows
for (const [engineName, engine] of Object.entries(ENGINES)) {
  for (const mode of ["real", "protected16", "protected32", "v86", "long"]) {
    test(`instruction breakpoints, ${mode} [${engineName}]`, () => {
      const m = new ModeMachine(engine, mode, { io: { portRead: () => 0x11, portWrite: () => true } });
      m.vcpu.intercepts.exceptionBitmap = 0xffffffff;
      const code = [0x90, 0x40, 0xb8, 1, 0, ...(m.codeSize === 16 ? [] : [0, 0]), 0x90, 0x90];
      if (mode === "long") code[1] = 0x90;
      const starts = [0, 1, 2, code.length - 2, code.length - 1];
      for (let at = 0; at < code.length; at++) {
        for (const global of [false, true]) {
          for (const slot of [0, 1, 2, 3]) {
            for (const budget of [1, 2, 100]) {
              const list = [0, 1, 2, 3].map((i) => ({ at: i === slot ? CODE + at : 0xf0000, kind: EXECUTE, len: 0, global }));
              m.reset();
              m.write([...code, 0xf4]);
              arm(m, list);
              tried++;
              let exit = { kind: "budget" };
              for (let i = 0; exit.kind === "budget" && m.rip < CODE + code.length && i < 20; i++) exit = m.vcpu.run(RUN, budget);
              const hit = starts.includes(at);
              const got = exit.kind === "exception" ? [m.rip - CODE, exit.qualification] : undefined;
              assert.deepEqual(got?.[1] === 1n << BigInt(slot) ? got[0] : got, hit ? at : mode === "v86" ? got : undefined, `at ${at}, DR${slot}`);
              if (!hit) continue;
              // RF lets the instruction pass, once.
              m.raw.setRflags(m.raw.getRflags() | 0x10000);
              exit = m.vcpu.run(RUN, 1);
              assert.equal(exit.kind, "budget", "with RF");
              assert.equal(m.raw.getRflags() & 0x10000, 0, "RF is cleared behind the instruction");
              m.raw.setRip(BigInt(CODE + at));
              exit = m.vcpu.run(RUN, 1);
              assert.deepEqual([exit.kind, exit.vector], ["exception", 1], "without RF");
            }
          }
        }
      }
      m.dispose();
    });
  }
}
test("debug-register combinations", (t) => {
  t.diagnostic(`${tried} tried, ${wrong} mismatches`);
  assert.ok(tried > 100_000, `only ${tried}`);
});
