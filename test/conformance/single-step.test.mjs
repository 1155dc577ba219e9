/**
 * Single-stepping over every row of the instruction tables. The rule (SDM vol. 3B 18.3.1.4, vol. 3A 6.8.3):
 *
 * - an instruction that began with TF set and completes is followed by a #DB with DR6.BS, whatever it has done to TF (POPF, IRET);
 * - so is every iteration of a repeated string instruction;
 * - one that faults, or leaves to the monitor, is not: it has not happened;
 * - one that delivers an event itself (INT n, INT3, INTO with OF, INT1: `facts.flow` "interrupt") is not: delivery has cleared TF;
 * - behind MOV SS and POP SS (`facts.shadow` "ss") there is none; the next instruction has its own;
 * - SYSCALL and SYSRET (`facts.trapFlag` "after") go by the TF they load, as processors do.
 *
 * Whether an instruction completes, and where, is taken from a run without TF.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { decode, disassemble, OPCODE_ROWS } from "../../dist/isa/index.js";
import { CODE, DATA, GDT, HANDLERS, ModeMachine, MODES, PAGE_TABLES, SELECTOR, STACK } from "./modes.mjs";
import { ENGINES } from "./support.mjs";

const TF = 0x100;
const OF = 0x800;
const BS = 0x4000;
const RUN = { kind: "run" };
/** Vectors that go through the guest's tables in every run: what INT1, INT3 and INTO raise. */
const SOFTWARE = (1 << 1) | (1 << 3) | (1 << 4);
/** Random numbers and what only grows: not equal from run to run. */
const VOLATILE = new Set(["rdrand", "rdseed"]);

/** The numbers that the reg field of a row takes: registers that exist and may be written with what they hold. */
function regFields(row) {
  const codes = row.operands.map((o) => o.code);
  if (codes.includes("Cn")) return [0, 2, 3, 4];
  if (codes.includes("Dn")) return [0, 3, 6, 7];
  return codes.includes("Sw") ? [0] : [1];
}
/** The row's encodings: register and memory form, operand and address size, repeat prefix. */
function encodings(row, codeSize) {
  const tokens = row.encoding.split(" ");
  const found = new Map();
  const prefixes = [[], [0x66], [0x67]];
  if (row.facts.rep) prefixes.push([0xf3], [0xf2]);
  if (codeSize === 64) prefixes.push([0x48]);
  for (const prefix of prefixes) {
    for (const reg of regFields(row)) {
      for (const modrm of [0xc3, codeSize === 16 && prefix[0] !== 0x67 ? 0x07 : 0x03]) {
        const out = prefix[0] === 0x48 ? [] : [...prefix];
        const opcode = [];
        for (const token of tokens) {
          const digit = /^\/([0-7r])$/.exec(token)?.[1];
          const plus = /^([0-9A-F]{2})\+[ri]$/.exec(token)?.[1];
          if (/^[0-9A-F]{2}$/.test(token)) opcode.push(Number.parseInt(token, 16));
          else if (plus !== undefined) opcode.push(Number.parseInt(plus, 16) + 3);
          else if (digit !== undefined) opcode.push(modrm | ((digit === "r" ? reg : Number(digit)) << 3));
        }
        // REX stands behind mandatory prefixes.
        while (opcode.length > 1 && [0x66, 0xf2, 0xf3].includes(opcode[0])) out.push(opcode.shift());
        if (prefix[0] === 0x48 || tokens.includes("REX.W")) out.push(0x48);
        out.push(...opcode);
        const at = out.length;
        while (out.length < 15) out.push(0);
        if (row.operands[0]?.code === "Ap") out.splice(at, 2, HANDLERS & 0xff, HANDLERS >> 8);
        else if (row.operands.some((o) => o.code === "Ob" || o.code === "Ov")) out.splice(at, 2, DATA & 0xff, DATA >> 8);
        else out[at] = 2;
        const insn = decode(Uint8Array.from(out), 0, 15, codeSize);
        if (insn.row !== row) continue;
        // The selector of a far pointer.
        if (row.operands[0]?.code === "Ap") out.splice(insn.length - 2, 2, SELECTOR.code, 0);
        const bytes = out.slice(0, insn.length);
        found.set(bytes.join(), { bytes, insn });
      }
    }
  }
  return [...found.values()];
}

const BASE = { 0: 0x20, 1: 3, 2: 0, 3: DATA + 0x40, 5: DATA + 0x80, 6: DATA + 0x100, 7: DATA + 0x200, 11: 2 };
/** Registers to begin with: what one makes fault, another lets pass. BX is the selector, or the value of a control register, too. */
function seeds(row, machine) {
  const codes = row.operands.map((o) => o.code);
  const list = [{ gpr: BASE }];
  if (codes.includes("Ew") || codes.includes("Sw"))
    for (const selector of [machine.dataSelector, SELECTOR.otherTask, SELECTOR.ldt]) list.push({ gpr: { ...BASE, 3: selector } });
  if (codes.includes("Cn")) for (const n of ["cr0", "cr3", "cr4"]) list.push({ control: n });
  if (codes.includes("Dn")) list.push({ gpr: { ...BASE, 3: 0x400 } });
  if (row.operands.length === 0 && !row.facts.rep) list.push({ gpr: { ...BASE, 0: 8, 1: 0x174 } }, { gpr: { ...BASE, 0: 3, 1: 0 } });
  if (row.facts.flow === "interrupt") list.push({ gpr: BASE, flags: OF });
  if (row.facts.trapFlag === "after") list.push({ gpr: { ...BASE, 11: 2 | TF }, fmask: 0x100n });
  if (row.facts.flow === "interrupt-return" || row.sem === "popf") list.push({ gpr: BASE, image: TF });
  if (row.facts.flow === "branch") list.push({ gpr: { ...BASE, 1: 0 } }, { gpr: BASE, flags: 0x8d5 });
  return list;
}

/** The state before the instruction: what it finds on the stack and behind its memory operand fits what it wants. */
function prepare(m, { bytes, insn }, seed, tf) {
  const { row } = insn;
  m.reset({ rflags: 2 | (seed.flags ?? 0) | tf, gpr: seed.gpr ?? BASE });
  if (seed.control !== undefined) m.raw.setGpr(3, m.raw.getControl(seed.control));
  for (const [msr, value] of [
    [0x174, BigInt(SELECTOR.code)],
    [0x175, BigInt(STACK)],
    [0x176, BigInt(HANDLERS)],
    [0xc0000081, (0x18n << 48n) | (BigInt(SELECTOR.code) << 32n)],
    [0xc0000082, BigInt(HANDLERS)],
    [0xc0000084, seed.fmask ?? 0n],
  ])
    m.raw.setMsr(msr, value);
  const size = Math.max(insn.opSize, 16) / 8;
  const returns = ["return", "far", "interrupt-return"].includes(row.facts.flow);
  const flags = 2 | (seed.image ?? 0) | (m.mode === "v86" ? 0x3000 : 0);
  const stack = returns
    ? [HANDLERS + 0x40, m.codeSelector, flags, STACK + 0x100, m.dataSelector]
    : [row.sem === "popf" ? flags : m.dataSelector, 0, 0, 0, 0];
  stack.forEach((value, i) => {
    m.memory.write32(STACK + i * size, value);
    m.memory.write32(STACK + i * size + 4, 0);
  });
  // A far pointer, or a selector, behind BX.
  const operand = row.facts.flow === "far" ? m.codeSelector : m.dataSelector;
  if (row.operands.some((o) => o.code === "Mp")) {
    m.memory.write32(DATA + 0x40, HANDLERS + 0x40);
    m.memory.write32(DATA + 0x40 + size, operand);
  } else if (row.operands.some((o) => o.code === "Ew")) m.memory.write32(DATA + 0x40, operand);
  m.write([...bytes, ...Array.from({ length: 16 }, () => 0x90)]);
}

const watched = (m) => [0, 1, 2, 3, 4, 5, 6, 7].map((n) => m.raw.getGpr(n)).join();
/** What the instruction does without TF. */
function reference(m, form, seed) {
  m.vcpu.intercepts.exceptionBitmap = (form.insn.row.facts.flow === "interrupt" ? ~SOFTWARE : ~SOFTWARE | 2) >>> 0;
  prepare(m, form, seed, 0);
  const exit = m.vcpu.run(RUN, 1);
  // SYSRET may have set TF.
  const trapped = exit.kind === "exception" && exit.vector === 1;
  const completed = exit.kind === "budget" || trapped || (exit.kind === "hlt" && m.rip !== CODE);
  return { completed, kind: exit.kind, vector: exit.vector, rip: m.rip, gpr: watched(m), sp: m.raw.getGpr(4) };
}
/** Runs one instruction under TF with #DB going to the monitor; "trap", or the kind of exit. */
function stepped(m, budget = 1) {
  const exit = m.vcpu.run(RUN, budget);
  const trap = exit.kind === "exception" && exit.vector === 1 && exit.event === "hardware-exception";
  if (trap && exit.qualification !== BigInt(BS)) return `#DB with conditions ${exit.qualification.toString(16)}`;
  return trap ? "trap" : exit.kind;
}

/** Undefined, or what is wrong. */
function check(m, form, seed) {
  const { facts, sem } = form.insn.row;
  const want = reference(m, form, seed);
  const equal = (what, got, expected) => (got === expected ? undefined : `${what} ${got}, not ${expected}`);
  const { intercepts } = m.vcpu;
  if (facts.flow === "interrupt" && want.completed && want.rip !== CODE + form.insn.length) {
    // Into the handler, and on there: DR6 and the stack would show a #DB.
    prepare(m, form, seed, TF);
    const exit = m.vcpu.run(RUN, 3);
    return (
      equal("exit", exit.kind, "budget") ??
      equal("RIP", m.rip, want.rip + 2) ??
      equal("SP", m.raw.getGpr(4), want.sp) ??
      equal("DR6", m.raw.getControl("dr6"), 0xffff0ff0n)
    );
  }
  intercepts.exceptionBitmap = 0xffffffff;
  prepare(m, form, seed, TF);
  if (!want.completed) return equal("exit", stepped(m), want.kind) ?? equal("RIP", m.rip, want.rip);
  if (facts.rep && form.insn.rep !== 0) {
    for (let traps = 1; ; traps++) {
      const got = equal(`exit ${traps}`, stepped(m), "trap");
      if (got !== undefined) return got;
      if (m.rip !== CODE) return equal("RIP", m.rip, want.rip) ?? equal("registers", watched(m), want.gpr);
      if (traps > 3) return "does not end";
    }
  }
  const first = stepped(m);
  const there = equal("RIP", m.rip, want.rip) ?? (VOLATILE.has(sem) ? undefined : equal("registers", watched(m), want.gpr));
  if (there !== undefined) return `${first}: ${there}`;
  if (facts.shadow === "ss")
    return equal("exit", first, "budget") ?? equal("exit behind the next one", stepped(m), "trap") ?? equal("RIP", m.rip, want.rip + 1);
  const expected = facts.trapFlag === "after" && (m.raw.getRflags() & TF) === 0 ? "budget" : "trap";
  return equal("exit", first, expected) ?? (expected === "trap" && canDeliver(m) ? delivered(m, form, seed, want) : undefined);
}
/** The instruction has left tables and mode as they were: events still find the handlers. */
function canDeliver({ raw, mode }) {
  const cr3 = mode === "long" ? BigInt(PAGE_TABLES) : 0n;
  const tables = raw.getDescriptorTable("gdtr").base === BigInt(GDT) && raw.getDescriptorTable("idtr").limit === (mode === "real" ? 0x3ff : 0xfff);
  return tables && raw.getControl("cr3") === cr3 && (raw.getControl("cr0") & 1n) === (mode === "real" ? 0n : 1n);
}
/** The same with #DB delivered in the guest: nothing but the frame and DR6.BS comes on top. */
function delivered(m, form, seed, want) {
  m.vcpu.intercepts.exceptionBitmap = 0;
  prepare(m, form, seed, TF);
  m.vcpu.run(RUN, 1);
  if (m.rip !== HANDLERS + 16) return `#DB delivered to ${m.rip.toString(16)}`;
  if (m.raw.getControl("dr6") !== 0xffff4ff0n) return `DR6 is ${m.raw.getControl("dr6").toString(16)}`;
  const { base } = m.raw.getSegment("ss");
  const at = Number(base) + Number(m.raw.getGpr(4) & (m.raw.getSegment("ss").access & 0x6000 || m.mode === "long" ? 0xffffffffn : 0xffffn));
  const wide = m.mode !== "real" && m.mode !== "protected16";
  const ip = wide ? m.memory.read32(at) : m.memory.read16(at);
  return ip === (want.rip & (wide ? 0xffffffff : 0xffff)) ? undefined : `return address ${ip.toString(16)}, not ${want.rip.toString(16)}`;
}

let tried = 0;
const mismatches = [];
for (const [name, engine] of Object.entries(ENGINES)) {
  for (const mode of MODES) {
    test(`single steps over every row, ${mode} [${name}]`, () => {
      const m = new ModeMachine(engine, mode, { io: { portRead: () => 0x11, portWrite: () => true } });
      const wrong = [];
      let rows = 0;
      for (const row of OPCODE_ROWS) {
        if (row.facts.mode === (mode === "long" ? "no64" : "only64")) continue;
        rows++;
        for (const form of encodings(row, m.codeSize)) {
          for (const seed of seeds(row, m)) {
            tried++;
            const problem = check(m, form, seed);
            if (problem === undefined) continue;
            const text = disassemble(Uint8Array.from([...form.bytes, 0]), 0, m.codeSize, BigInt(CODE)).text;
            wrong.push(`${text} (${Buffer.from(form.bytes).toString("hex")}): ${problem}`);
          }
        }
      }
      m.dispose();
      assert.ok(rows > 600, `only ${rows} rows`);
      mismatches.push(...wrong);
      assert.deepEqual(wrong, []);
    });
  }
}
test("single-step combinations", (t) => {
  t.diagnostic(`${tried} tried, ${mismatches.length} mismatches`);
  assert.ok(tried > 10_000, `only ${tried}`);
});
