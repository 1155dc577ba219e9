/** Replays recorded vectors on an engine through the engine contract, and compares everything that came out. */
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { decode, FEATURES, OPCODE_ROWS } from "../../dist/isa/index.js";
import * as env from "./environment.mjs";
import { emptyMask, inputState, NO_FAULT, same } from "./format.mjs";
import { undefinedFlags } from "./undefined-flags.mjs";

const RAM = 0x200000;
/** Supervisor pages of the player itself. */
const TABLES = 0x100000,
  GDT_AT = 0x108000,
  IDT_AT = 0x109000,
  LDT_AT = 0x10a000,
  TSS_AT = 0x10b000,
  HANDLERS = 0x10c000,
  STACK0 = 0x10e000;
const SEGMENT_NAMES = ["cs", "ss", "ds", "es", "fs", "gs"];
const FLAGS_COMPARED = 0x254fd5 & ~0x300 & ~0x10000; // TF, IF and RF belong to the recorder

const PAGE_INDEX = new Map(env.PAGES.map((p, i) => [p.address >> 12, i]));
const pageIndex = (address) => PAGE_INDEX.get(address >> 12) ?? -1;

/** Of SSE and SSE2, but with no XMM register: every processor with long mode has them, also while CPUID does not report SSE. */
const WITHOUT_XMM = new Set(["LFENCE", "MFENCE", "SFENCE", "MOVNTI", "PREFETCHNTA", "PREFETCHT0", "PREFETCHT1", "PREFETCHT2"]);

export class Player {
  /**
   * `world`: "long" as recorded; the same cases also hold in "legacy" (32-bit paging, no long mode), "real" and "v86" as far as they do not depend
   * on what differs there (`applies`). `trap`: runs until a breakpoint after the instruction instead of one instruction, so that translated code runs.
   */
  constructor({ engine = createSoftEngine({ firstTier: 0 }), world = "long", trap = false } = {}) {
    this.world = world;
    this.trap = trap;
    const io = { portRead: () => -1, portWrite: () => false, mmioRead: () => -1, mmioWrite: () => false, interruptAcknowledge: () => 0 };
    let tsc = 0;
    const vm = engine.createVm({ ramBytes: RAM, regions: [], io, readTsc: () => (tsc += 100) });
    const ram = vm.regions.get("ram");
    vm.mapSlot({ gpa: 0, region: ram, regionOffset: 0, sizeBytes: RAM, access: "rw" });
    this.vm = vm;
    this.vcpu = vm.vcpu;
    this.memory = vm.memory;
    this.bytes = ram.bytes;
    this.pages = env.initialPages();
    if (trap) for (const [i, p] of env.PAGES.entries()) if (p.kind === 0) this.pages.fill(0xcc, i * 4096, i * 4096 + 4096);
    this.expected = this.pages.slice();
    this.dirty = 0;
    this.dirtyCode = 0;
    this.vcpu.intercepts.exceptionBitmap = 0xffffffff;
    this.#tables();
    for (const [i, page] of env.PAGES.entries()) this.memory.write(page.address, this.pages.subarray(i * 4096, i * 4096 + 4096));
    this.features = this.#features();
  }
  /** Which CPUID features the engine reports: rows of others must be #UD. */
  #features() {
    const v = this.vcpu;
    const leaves = new Map();
    const has = (name) => {
      const f = FEATURES[name];
      if (f === undefined || name === "base") return true;
      if (!leaves.has(f.leaf)) {
        this.memory.write(env.CODE, Uint8Array.from([0x0f, 0xa2]));
        const h = env.hidden(env.CS64);
        v.setSegment("cs", { selector: env.CS64, base: 0n, limit: h.limit, access: h.access });
        const d = env.hidden(env.DS_USER);
        v.setSegment("ss", { selector: env.DS_USER, base: 0n, limit: d.limit, access: d.access });
        v.setRip(BigInt(env.CODE));
        v.setRflags(0x202);
        v.setGpr(0, BigInt(f.leaf));
        v.setGpr(1, BigInt(f.subleaf ?? 0));
        v.run({ kind: "run" }, 1);
        leaves.set(f.leaf, { eax: v.getGpr32(0), ebx: v.getGpr32(3), ecx: v.getGpr32(1), edx: v.getGpr32(2) });
        this.memory.write(env.CODE, this.pages.subarray(0, 2));
      }
      return ((leaves.get(f.leaf)[f.register] >>> f.bit) & 1) !== 0;
    };
    const missing = new Set();
    // PREFETCHW is a hint: without the feature it is the NOP of 0F 0D.
    for (const name of new Set(OPCODE_ROWS.map((row) => row.facts.feature))) if (name !== "prefetchw" && !has(name)) missing.add(name);
    return missing;
  }
  #q(address, value) {
    const b = new Uint8Array(8);
    new DataView(b.buffer).setBigUint64(0, value, true);
    this.memory.write(address, b);
  }
  #tables() {
    const NX = 1n << 63n;
    this.#q(TABLES, BigInt(TABLES + 0x1000) | 7n);
    this.#q(TABLES + 0x1000, BigInt(TABLES + 0x2000) | 7n);
    this.#q(TABLES + 0x2000, BigInt(TABLES + 0x3000) | 7n);
    for (const page of env.PAGES)
      this.#q(TABLES + 0x3000 + (page.address >> 12) * 8, BigInt(page.address) | 0x65n | (page.kind === 1 ? 2n : 0n) | (page.kind === 0 ? 0n : NX));
    for (let a = TABLES; a < RAM; a += 4096) this.#q(TABLES + 0x3000 + (a >> 12) * 8, BigInt(a) | 0x63n);
    for (const [i, d] of env.GDT.entries()) this.#q(GDT_AT + i * 8, d);
    for (let i = 0; i < env.LDT.length; i++) this.#q(LDT_AT + i * 8, env.ldtDescriptor(i));
    // Gates at CPL 0 except INT3 and INTO, as Linux has them.
    for (let i = 0; i < 256; i++) {
      this.#q(
        IDT_AT + i * 16,
        BigInt((HANDLERS + i * 16) & 0xffff) | (0x10n << 16n) | (BigInt(HANDLERS >>> 16) << 48n) | ((i === 3 || i === 4 ? 0xeen : 0x8en) << 40n),
      );
      this.#q(IDT_AT + i * 16 + 8, 0n);
    }
    this.#q(TSS_AT + 4, BigInt(STACK0));
    this.#q(TSS_AT + 0x66, 0xffffn);
    const v = this.vcpu;
    v.setDescriptorTable("gdtr", BigInt(GDT_AT), env.GDT_LIMIT);
    v.setDescriptorTable("idtr", BigInt(IDT_AT), 0xfff);
    v.setSegment("ldtr", { selector: 0x50, base: BigInt(LDT_AT), limit: env.LDT_LIMIT, access: 0x82 });
    v.setSegment("tr", { selector: 0x40, base: BigInt(TSS_AT), limit: 0x67, access: 0x8b });
    if (this.world === "long") {
      v.setControl("efer", 0xd01n);
      v.setControl("cr4", 0x620n);
      v.setControl("cr3", BigInt(TABLES));
      v.setControl("cr0", 0x80050033n);
      return;
    }
    // PAE paging without long mode: the same page table, its directory pointers without the bits that are reserved there.
    this.#q(TABLES + 0x1000, BigInt(TABLES + 0x2000) | 1n);
    for (let i = 0; i < 256; i++)
      this.#q(
        IDT_AT + i * 8,
        BigInt((HANDLERS + i * 16) & 0xffff) | (0x8n << 16n) | (BigInt(HANDLERS >>> 16) << 48n) | ((i === 3 || i === 4 ? 0xeen : 0x8en) << 40n),
      );
    this.#q(TSS_AT + 4, BigInt(STACK0) | (0x18n << 32n));
    v.setControl("efer", 0x800n);
    v.setControl("cr4", 0x620n);
    v.setControl("cr3", BigInt(TABLES + 0x1000));
    v.setControl("cr0", this.world === "real" ? 0x30n : 0x80050033n);
  }

  /** Whether a recorded case must come out the same in this world. */
  applies(form, c, row) {
    const prefixes = c.code.subarray(0, 6);
    // Breakpoints fill the code page: what reads it as data sees them.
    if (this.trap && c.codeSize !== 64 && prefixes.includes(0x2e)) return false;
    // It jumps into itself and goes on from there.
    if (this.trap && c.result.rip >= c.rip && c.result.rip < c.rip + BigInt(c.code.length) && c.result.vector === NO_FAULT) return false;
    if (this.world === "long") return true;
    if (c.codeSize === 64 || /far|iret|^int$|syscall|sysret|sysenter|sysexit/.test(row.sem)) return false;
    if (this.world === "legacy")
      return !(/^lar$|^lsl$|^verr$|^verw$|sreg|^l[defgs]s$/.test(row.sem) && c.result.vector !== NO_FAULT) && c.result.vector !== 16;
    // A code segment cannot be written in protected mode.
    if (c.codeSize !== 16 || c.environment !== 0 || prefixes.includes(0x2e) || row.facts.protectedOnly || row.facts.cpl0) return false;
    if (/sreg|^l[defgs]s$|pushf|popf|^cli$|^sti$|^in$|^out$|^ins$|^outs$|^int[13o]$|smsw|arpl|fnstenv|fnsave/.test(row.sem)) return false;
    if (this.world === "v86") return c.result.vector !== 16;
    return ![14, 16, 17].includes(c.result.vector) && !((c.flags ?? 0) & 0x40000) && !touchesHoles(c);
  }

  /** Runs a program from the state of `c` until it faults or meets a breakpoint; what it left. */
  execute(c, budget) {
    const v = this.vcpu;
    const { gpr, rflags, fpu, sse } = inputState(c);
    this.#restore();
    this.memory.write(env.CODE + env.START, c.code);
    this.dirtyCode = c.code.length;
    this.dirty = -1;
    for (let i = 0; i < 6; i++) {
      const h = env.hidden(c.segments[i]);
      const base = c.codeSize === 64 && i >= 4 ? (i === 4 ? env.FS_BASE64 : env.GS_BASE64) : h.base;
      v.setSegment(SEGMENT_NAMES[i], { selector: c.segments[i], base: BigInt(base), limit: h.limit, access: h.access });
    }
    for (let i = 0; i < 16; i++) v.setGpr(i, c.codeSize === 64 || i < 8 ? gpr[i] : 0n);
    v.setRflags(rflags);
    this.#loadFpu(fpu, sse);
    v.setRip(c.rip);
    const exit = v.run({ kind: "run" }, budget);
    let rip = v.getRip();
    if (exit.kind === "exception" && exit.event !== "hardware-exception") rip += BigInt(exit.instructionLength);
    const registers = [];
    for (let i = 0; i < 16; i++) registers.push(v.getGpr(i));
    return {
      budget: exit.kind === "budget",
      vector: exit.kind === "exception" ? exit.vector : exit.kind,
      cr2: exit.qualification,
      rip,
      gpr: registers,
      rflags: v.getRflags(),
      fpu: v.getFpu(),
      xmm: sse === undefined ? undefined : Array.from({ length: 16 }, (_, i) => v.getXmm(i)),
    };
  }
  /** After `execute`: the first byte of the data pages that is not as recorded, in words; "" when none. */
  memoryDifference(recorded) {
    for (const r of recorded) {
      for (let i = 0; i < r.bytes.length; i++) this.expected[pageIndex(r.address + i) * 4096 + ((r.address + i) & 0xfff)] = r.bytes[i];
    }
    for (const [i, page] of env.PAGES.entries()) {
      if (page.kind !== 1) continue;
      for (let k = 0; k < 4096; k++) {
        const got = this.bytes[page.address + k],
          want = this.expected[i * 4096 + k];
        if (got !== want) return `[${hex(page.address + k)}] ${hex(got)}, not ${hex(want)}`;
      }
    }
    return "";
  }

  /** Runs one case; the list of differences, empty when equal. `soft` counts undefined flags that differ. */
  play(form, c, row, tally) {
    const v = this.vcpu;
    const { input, result } = c;
    const start = env.CODE + env.START;
    this.#restore();
    this.memory.write(start, c.code);
    this.dirtyCode = c.code.length;
    for (const p of c.patches) this.#patch(p.address, p.bytes);
    const base = c.codeSize === 64;
    const flat = this.world === "real" || this.world === "v86";
    for (let i = 0; i < 6; i++) {
      const h = env.hidden(c.segments[i]);
      if (flat) {
        v.setSegment(SEGMENT_NAMES[i], {
          selector: h.base >> 4,
          base: BigInt(h.base),
          limit: 0xffff,
          access: this.world === "v86" ? 0xf3 : i === 0 ? 0x9b : 0x93,
        });
        continue;
      }
      const fsgs = base && i >= 4 ? (i === 4 ? env.FS_BASE64 : env.GS_BASE64) : h.base;
      v.setSegment(SEGMENT_NAMES[i], { selector: c.segments[i], base: BigInt(fsgs), limit: h.limit, access: h.access });
    }
    for (let i = 0; i < 16; i++) v.setGpr(i, base || i < 8 ? input.gpr[i] : 0n);
    v.setRflags(this.world === "v86" ? input.rflags | 0x23000 : input.rflags);
    v.setRip(c.rip);
    this.#loadFpu(input.fpu, input.sse);
    const repeats = c.repeat && row.facts.rep;
    // MOV SS and POP SS hold off the recorder's trap: one NOP more runs.
    const two = (row.sem === "mov_to_sreg" && row.encoding === "8E /2") || (row.sem === "pop_sreg" && row.encoding === "17");
    const shadowed = two && result.vector === NO_FAULT;
    let exit = v.run({ kind: "run" }, this.trap ? 1000 : shadowed ? 2 : 1);
    if (this.trap && result.vector === NO_FAULT && exit.kind === "exception") {
      // The breakpoint, or the fetch at a target that is not there.
      if (exit.vector === 3 && v.getRip() === result.rip - (shadowed ? 1n : 0n)) {
        exit = { kind: "budget" };
        v.setRip(result.rip);
      } else if (v.getRip() === result.rip && (exit.vector === 14 || exit.vector === 13)) exit = { kind: "budget" };
    }
    for (let i = 0; repeats && exit.kind === "budget" && v.getRip() === c.rip && i < 10000; i++) exit = v.run({ kind: "run" }, 1);

    // INT 3 and INT 4 are no exceptions to a monitor: they arrive.
    if (row.sem === "int" && (result.vector === 3 || result.vector === 4)) {
      const at = v.getRip();
      v.setRflags(2);
      return at === BigInt(HANDLERS + result.vector * 16) ? [] : [`handler ${at.toString(16)}`];
    }
    if (this.features.has(row.facts.feature) && !WITHOUT_XMM.has(row.mnemonic)) {
      tally.absent++;
      return exit.kind === "exception" && exit.vector === 6 && v.getRip() === c.rip
        ? []
        : [`#UD expected: the engine does not report ${row.facts.feature}`];
    }
    // Without SSE there is no MXCSR to refuse.
    if (row.sem === "fxrstor" && result.vector === 13 && result.error === 0 && this.features.has("sse") && (exit.kind === "budget" || this.trap))
      return [];
    // CALL: the engine checks the target before the push that silicon does first; both fault.
    if (row.sem === "call_ind" && result.vector === 12 && exit.kind === "exception" && exit.vector === 13) return [];
    const wrong = [];
    const say = (what, got, want) => wrong.push(`${what} ${got}, not ${want}`);
    let vector = NO_FAULT;
    let rip = v.getRip();
    if (exit.kind === "exception") {
      vector = exit.vector;
      if ((vector === 3 || vector === 4 || vector === 1) && exit.event !== "hardware-exception") {
        rip += BigInt(exit.instructionLength);
        if (vector === 1) vector = NO_FAULT;
      }
    } else if (exit.kind !== "budget") say("exit", exit.kind, "none");
    if (vector !== result.vector)
      say("vector", name(vector), `${name(result.vector)}${result.vector === NO_FAULT ? "" : `(${result.error.toString(16)})`}`);
    else if (vector !== NO_FAULT) {
      // Linux hides whether its own half of the address space is present.
      const hides = vector === 14 && result.cr2 >> 47n !== 0n ? 1 : 0;
      if (!flat && ((exit.errorCode ?? 0) | hides) !== (result.error | hides))
        say(`#${vector} error code`, hex(exit.errorCode ?? 0), hex(result.error));
      if (vector === 14 && exit.qualification !== result.cr2) say("CR2", hex(exit.qualification), hex(result.cr2));
    }
    if (rip !== result.rip) say("rip", hex(rip), hex(result.rip));
    const wide = base ? 16 : 8;
    for (let i = 0; i < wide; i++) {
      const got = base ? v.getGpr(i) : v.getGpr(i) & 0xffffffffn;
      if (got !== result.gpr[i]) say(`r${i}`, hex(got), hex(result.gpr[i]));
    }
    const flags = v.getRflags();
    const difference = (flags ^ result.rflags) & FLAGS_COMPARED & (flat ? ~0x3000 : -1);
    if (difference !== 0) {
      const masked = difference & ~undefinedFlags(row, c, form) & FLAGS_COMPARED;
      if (masked !== 0) say("flags", flagNames(flags & masked) || "-", `${flagNames(result.rflags & masked) || "-"} (of ${flagNames(masked)})`);
      else tally.undefinedFlags++;
    }
    for (let i = 0; i < 6 && !flat; i++) {
      const got = v.getSegment(SEGMENT_NAMES[i]).selector;
      // On the way out of the recorder's kernel a null selector loses its RPL.
      if (got !== result.segments[i] && !(i > 1 && got < 4 && result.segments[i] === 0)) say(SEGMENT_NAMES[i], hex(got), hex(result.segments[i]));
    }
    this.#compareMemory(c, row, say);
    if (c.fpu) this.#compareFpu(result.fpu, row, say, result.vector, tally);
    if (c.sse) this.#compareSse(result.sse, say);
    return wrong;
  }
  #loadFpu(fpu, sse) {
    const v = this.vcpu;
    if (fpu === undefined && sse === undefined) return;
    v.setFpu({ ...(fpu ?? NO_FPU), mxcsr: sse?.mxcsr ?? fpu.mxcsr });
    if (sse !== undefined) for (let i = 0; i < 16; i++) v.setXmm(i, sse.xmm[i]);
  }
  #compareSse(want, say) {
    const v = this.vcpu;
    const { mxcsr } = v.getFpu();
    if (mxcsr !== want.mxcsr) say("MXCSR", hex(mxcsr), hex(want.mxcsr));
    for (let i = 0; i < 16; i++) {
      const got = v.getXmm(i);
      if (!same(got, want.xmm[i])) say(`xmm${i}`, extended(got), extended(want.xmm[i]));
    }
  }
  #patch(address, bytes) {
    for (let i = 0; i < bytes.length; i++) {
      const k = pageIndex(address + i);
      if (k < 0) continue;
      this.memory.write8(address + i, bytes[i]);
      this.expected[k * 4096 + ((address + i) & 0xfff)] = bytes[i];
      this.dirty |= 1 << k;
    }
  }
  /** Pages that the last case touched to their initial contents, in the guest and in `expected`. */
  #restore() {
    for (const [i, page] of env.PAGES.entries()) {
      if (((this.dirty >> i) & 1) === 0 || page.kind === 0) continue;
      const initial = this.pages.subarray(i * 4096, i * 4096 + 4096);
      this.bytes.set(initial, page.address);
      this.expected.set(initial, i * 4096);
    }
    this.dirty = 0;
    if (this.dirtyCode > 0) this.memory.write(env.CODE + env.START, this.pages.subarray(env.START, env.START + this.dirtyCode));
  }
  #compareMemory(c, row, say) {
    for (const r of c.result.memory) {
      for (let i = 0; i < r.bytes.length; i++) {
        const k = pageIndex(r.address + i);
        this.expected[k * 4096 + ((r.address + i) & 0xfff)] = r.bytes[i];
        this.dirty |= 1 << k;
      }
    }
    for (const [i, page] of env.PAGES.entries()) {
      if (page.kind !== 1) continue;
      const got = Buffer.from(this.bytes.buffer, this.bytes.byteOffset + page.address, 4096);
      const want = Buffer.from(this.expected.buffer, i * 4096, 4096);
      if (got.compare(want) === 0) continue;
      this.dirty |= 1 << i;
      let first = 0;
      const ignored = ignoredBytes(row, c);
      let bad = 0;
      for (let k = 0; k < 4096; k++) {
        if (got[k] === want[k] || ignored(page.address + k, got[k], want[k])) continue;
        if (bad++ === 0) first = k;
      }
      if (bad > 0)
        say(`[${hex(page.address + first)}]`, got.subarray(first, first + 10).toString("hex"), want.subarray(first, first + 10).toString("hex"));
    }
  }
  #compareFpu(want, row, say, vector, tally) {
    const got = this.vcpu.getFpu();
    // Transcendental results may differ in the last place; C1 says which way they were rounded.
    const transcendental = TRANSCENDENTAL.has(row.sem);
    // A store from an MMX register that faults has already set TOP to 0 on silicon; the engine leaves the state alone.
    const masked = row.sem === "maskmovq" && vector !== NO_FAULT;
    const storeFault = vector !== NO_FAULT && (row.facts.feature === "mmx" || row.sem === "movntq" || masked);
    const statusMask = transcendental ? ~0x200 : storeFault ? ~0x3800 : -1;
    if (got.controlWord !== want.controlWord) say("FCW", hex(got.controlWord), hex(want.controlWord));
    if (((got.statusWord ^ want.statusWord) & statusMask) !== 0) say("FSW", hex(got.statusWord), hex(want.statusWord));
    const empty = emptyMask(got.tagWord);
    // MASKMOVQ has made all registers valid besides.
    if (empty !== want.empty && !masked) say("empty", hex(empty), hex(want.empty));
    for (let i = 0; i < 8; i++) {
      if (same(got.registers[i], want.registers[i])) continue;
      if (transcendental && lastPlace(got.registers[i], want.registers[i])) tally.lastPlace++;
      else say(`fpr${i}`, extended(got.registers[i]), extended(want.registers[i]));
    }
  }
}
const NO_FPU = { controlWord: 0x37f, statusWord: 0, tagWord: 0xffff, registers: Array.from({ length: 8 }, () => new Uint8Array(10)) };
/** The operand lies outside the pages, which only paging notices. */
function touchesHoles(c) {
  return c.result.memory.some((r) => pageIndex(r.address) < 0);
}
const TRANSCENDENTAL = new Set(["f2xm1", "fyl2x", "fyl2xp1", "fpatan", "fptan", "fsin", "fcos", "fsincos"]);
/** Neighbouring 80-bit values. */
function lastPlace(a, b) {
  const d = BigInt(`0x${extended(a)}`) - BigInt(`0x${extended(b)}`);
  return d === 1n || d === -1n;
}
function extended(b) {
  return [...b]
    .reverse()
    .map((x) => x.toString(16).padStart(2, "0"))
    .join("");
}
const hex = (v) => `${v.toString(16)}`;
const name = (vector) => (vector === NO_FAULT ? "none" : `#${vector}`);
function flagNames(flags) {
  return Object.entries({
    CF: 1,
    PF: 4,
    AF: 16,
    ZF: 64,
    SF: 128,
    TF: 256,
    IF: 512,
    DF: 1024,
    OF: 2048,
    NT: 0x4000,
    RF: 0x10000,
    AC: 0x40000,
    VIF: 0x80000,
    VIP: 0x100000,
    ID: 0x200000,
  })
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([n]) => n)
    .join(" ");
}
/** Bytes in memory that are the recorder's own: TF in pushed flags; FPU pointers after the state was loaded. */
function ignoredBytes(row, c) {
  // Ten bytes across a page end: silicon stores eight and faults on the other two.
  if (row.sem === "fstp" && row.encoding === "DB /7" && c.result.vector !== NO_FAULT) return () => true;
  if (row.sem === "fxsave") {
    // MXCSR, its mask and the XMM registers are the recorder's.
    const at = c.result.memory[0]?.address ?? 0;
    return (a) => ((a & ~15) - (at & ~15) >= 160 && a - at < 512) || (a & ~7) === (at & ~15) + 24;
  }
  if (row.sem === "pushf") {
    return (_a, got, want) => ((got ^ want) & ~0x01) === 0;
  }
  if (row.sem.startsWith("call") && c.result.vector === 13) {
    // A CALL whose target faults has already stored its return address below RSP on silicon; the engine checks first.
    return (a) => {
      const h = env.hidden(c.segments[1]);
      const sp = c.codeSize === 64 ? Number(c.input.gpr[4]) : h.base + Number(c.input.gpr[4] & ((h.access & 0x4000) !== 0 ? 0xffffffffn : 0xffffn));
      return a < sp && a >= sp - 16;
    };
  }
  return () => false;
}

const ROWS = new Map(OPCODE_ROWS.map((row) => [`${row.mnemonic} ${row.encoding} ${row.operands.map((o) => o.code).join(",")}`.trim(), row]));
export const rowOf = (key) => ROWS.get(key);

/** Rows that no longer decode to themselves cannot be compared by row facts. */
export function decodedRow(c, fallback) {
  const insn = decode(c.code, 0, c.code.length, c.codeSize);
  return "failure" in insn ? fallback : insn.row;
}
