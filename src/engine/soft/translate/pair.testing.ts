import type { EngineVm, GuestIo, VmEntry } from "../../api/index.ts";
import { decode } from "../../../isa/index.ts";
import { createSoftEngine, type SoftEngineOptions } from "../index.ts";
import { translatable } from "./translate-emit.ts";

/** Test support: random integer programs with loops, calls, memory, faults and stores into code, and a machine to run them on. */

export type Mode = 16 | 32 | 64;

/** Small deterministic generator (mulberry32). */
export class Random {
  #s: number;
  constructor(seed: number) {
    this.#s = seed | 0;
  }
  next(): number {
    this.#s = (this.#s + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#s ^ (this.#s >>> 15), 1 | this.#s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  }
  below(n: number): number {
    return this.next() % n;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

/** Where things lie (linear = physical while paging is off or identical). */
export const CODE = 0x8000,
  DATA = 0x4000,
  STACK = 0x7000,
  RAM = 0x200000,
  MMIO = 0x300000;
/** Physical page that page tables leave out, and one that is read-only. */
export const ABSENT = 0x5000,
  READ_ONLY = 0x6000;

const ONE_BYTE = [
  ...Array.from({ length: 0x40 }, (_, i) => i).filter((i) => (i & 7) < 6),
  ...Array.from({ length: 16 }, (_, i) => 0x40 + i),
  0x69,
  0x6b,
  0x80,
  0x81,
  0x83,
  0x84,
  0x85,
  0x86,
  0x87,
  0x88,
  0x89,
  0x8a,
  0x8b,
  0x8d,
  0x90,
  0x98,
  0x99,
  0x9e,
  0x9f,
  0xa4,
  0xa5,
  0xa6,
  0xa7,
  0xa8,
  0xa9,
  0xaa,
  0xab,
  0xac,
  0xad,
  0xae,
  0xaf,
  0xb0,
  0xb3,
  0xb4,
  0xb8,
  0xbb,
  0xc0,
  0xc1,
  0xc6,
  0xc7,
  0xd0,
  0xd1,
  0xd2,
  0xd3,
  0xd7,
  0xf5,
  0xf6,
  0xf7,
  0xf8,
  0xf9,
  0xfc,
  0xfd,
  0xfe,
  0xff,
  0x50,
  0x51,
  0x53,
  0x58,
  0x59,
  0x5b,
  0x68,
  0x6a,
  0x63,
  0x27,
  0x2f,
  0x37,
  0x3f,
  0xd4,
  0xd5,
  0x9c,
  0x9d,
  0xfa,
];
const TWO_BYTE = [
  0x1f,
  ...Array.from({ length: 16 }, (_, i) => 0x40 + i),
  ...Array.from({ length: 16 }, (_, i) => 0x90 + i),
  0xa3,
  0xa4,
  0xa5,
  0xab,
  0xac,
  0xad,
  0xaf,
  0xb0,
  0xb1,
  0xb3,
  0xb6,
  0xb7,
  0xba,
  0xbb,
  0xbc,
  0xbd,
  0xbe,
  0xbf,
  0xc0,
  0xc1,
  0xc8,
  0xcb,
  0xc7,
  0xa2,
];

/** Appends one random instruction that neither transfers control nor (mostly) spoils the pointer registers. */
function instruction(r: Random, mode: Mode, out: number[]): void {
  for (;;) {
    const bytes: number[] = [];
    if (r.chance(25)) bytes.push(0x66);
    if (mode !== 64 && r.chance(5)) bytes.push(0x67);
    if (r.chance(4)) bytes.push(r.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]));
    if (mode === 64 && r.chance(60)) bytes.push(0x40 | r.below(16));
    if (r.chance(25)) bytes.push(0x0f, r.pick(TWO_BYTE));
    else bytes.push(r.pick(ONE_BYTE));
    // ModRM (when there is one): half registers, half memory by a pointer register with a small displacement.
    const memory = r.chance(45);
    const modrm = memory ? 0x40 | (r.below(8) << 3) | r.pick(mode === 16 ? [4, 5, 7] : [3, 6, 7]) : 0xc0 | r.below(64);
    bytes.push(modrm, r.below(128));
    for (let i = 0; i < 8; i++) bytes.push(r.chance(50) ? r.below(256) : 0);
    const insn = decode(new Uint8Array(bytes), 0, bytes.length, mode);
    if ("failure" in insn || insn.row.facts.endsBlock || insn.lock) continue;
    const sem = insn.row.sem;
    if (translatable(insn) === undefined && !(sem === "cpuid" && r.chance(30))) continue;
    const spoils = insn.operands.some(
      (o) =>
        o.kind === "reg" &&
        o.access !== "r" &&
        o.cls !== "sreg" &&
        [3, 4, 5, 6, 7].includes(o.cls === "gpr8h" ? o.index - 4 : o.index) &&
        o.index < 8,
    );
    const stringy = /^(movs|stos|lods|scas|cmps|push|pop|pushf|popf|enter|leave|pusha|popa)$/.test(sem);
    if (spoils && r.chance(95)) continue;
    if (stringy && r.chance(50)) continue;
    if (sem === "popf" && r.chance(90)) continue;
    if (insn.operands.some((o) => o.kind === "reg" && o.cls === "sreg" && o.access !== "r") && (mode !== 16 || r.chance(80))) continue;
    out.push(...bytes.slice(0, insn.length));
    return;
  }
}

/** Appends one random instruction on XMM registers; memory operands are mostly aligned when the pointer is. */
function vector(r: Random, mode: Mode, out: number[]): void {
  for (;;) {
    const bytes: number[] = [...r.pick([[], [0x66], [0x66], [0xf3], [0xf2]])];
    if (mode === 64 && r.chance(40)) bytes.push(0x40 | r.below(16));
    bytes.push(0x0f, ...r.pick([[], [], [0x38], [0x3a]]), r.below(256));
    const memory = r.chance(40);
    bytes.push(memory ? 0x40 | (r.below(8) << 3) | r.pick(mode === 16 ? [4, 5, 7] : [3, 6, 7]) : 0xc0 | r.below(64));
    bytes.push(memory ? (r.chance(90) ? r.below(8) * 16 : r.below(128)) : r.below(256), r.below(256));
    const insn = decode(new Uint8Array([...bytes, 0, 0, 0, 0]), 0, bytes.length, mode);
    if ("failure" in insn || !insn.operands.some((o) => o.kind === "reg" && o.cls === "xmm") || translatable(insn) === undefined) continue;
    if (insn.operands.some((o) => o.kind === "reg" && o.cls === "gpr" && o.access !== "r" && o.index > 2 && o.index < 8)) continue;
    out.push(...bytes.slice(0, insn.length));
    return;
  }
}

/** Loads the pointer registers (BX, SI, DI; in 64-bit code zero-extended) with addresses in the data area. */
function pointers(r: Random, mode: Mode, out: number[]): void {
  for (const reg of [3, 6, 7]) {
    const mask = r.chance(70) ? ~15 : -1;
    const value =
      mask &
      (r.chance(3)
        ? ABSENT + r.below(0x1800)
        : r.chance(3)
          ? CODE + r.below(0x300)
          : r.chance(3) && mode !== 16
            ? MMIO + r.below(64)
            : DATA + r.below(0xe00));
    out.push(0xb8 | reg, value & 0xff, (value >> 8) & 0xff);
    if (mode !== 16) out.push((value >> 16) & 0xff, 0);
  }
}

export interface Program {
  readonly bytes: Uint8Array;
  readonly starts: readonly number[];
}

/** Blocks of random instructions; each ends with a jump, a loop, a call or a return to or from another. Fits one page. */
export function randomProgram(r: Random, mode: Mode): Program {
  const out: number[] = [];
  const starts: number[] = [];
  const fixups: { readonly at: number; readonly wide: boolean; readonly block: number }[] = [];
  const blocks = 3 + r.below(8);
  const near = (opcode: readonly number[], block: number): void => {
    out.push(...opcode);
    fixups.push({ at: out.length, wide: true, block });
    out.push(0, 0);
    if (mode !== 16) out.push(0, 0);
  };
  for (let b = 0; b < blocks; b++) {
    starts.push(out.length);
    if (r.chance(60)) pointers(r, mode, out);
    const n = r.below(14);
    for (let i = 0; i < n; i++) {
      if (r.chance(8)) {
        // A branch inside: forward ones do not end the block.
        near([0x0f, 0x80 | r.below(16)], r.below(blocks));
      } else if (r.chance(3)) {
        // A store into code.
        const at = CODE + r.below(0x400);
        if (mode === 64) out.push(0x88, 0x04, 0x25, at & 0xff, at >> 8, 0, 0);
        else if (mode === 32) out.push(0xa2, at & 0xff, at >> 8, 0, 0);
        else out.push(0xa2, at & 0xff, at >> 8);
      } else if (r.chance(20)) vector(r, mode, out);
      else instruction(r, mode, out);
    }
    switch (r.below(7)) {
      case 0:
        near([0xe9], r.below(blocks));
        break;
      case 1:
      case 2:
        // dec cx; jnz
        if (mode === 64) out.push(0xff, 0xc9);
        else out.push(0x49);
        near([0x0f, 0x85], r.chance(50) ? b : r.below(blocks));
        break;
      case 3:
        near([0xe8], r.below(blocks));
        break;
      case 4:
        out.push(0xc3);
        break;
      case 5:
        near([0x0f, 0x80 | r.below(16)], r.below(blocks));
        break;
      case 6:
        // loop to itself
        if (out.length - starts[b] < 120) out.push(0xe2, (starts[b] - out.length - 2) & 0xff);
        break;
    }
  }
  near([0xe9], 0);
  for (const f of fixups) {
    const rel = starts[f.block] - (f.at + (mode === 16 ? 2 : 4));
    out[f.at] = rel & 0xff;
    out[f.at + 1] = (rel >> 8) & 0xff;
    if (mode !== 16) {
      out[f.at + 2] = (rel >> 16) & 0xff;
      out[f.at + 3] = (rel >> 24) & 0xff;
    }
  }
  return { bytes: new Uint8Array(out), starts };
}

/** A machine with one of the engines, and what it did as text: equal runs give equal text. */
export class TranslateMachine {
  readonly vm: EngineVm;
  readonly log: string[] = [];
  readonly #mode: Mode;
  /** Device reads so far: what the next one answers. */
  mmioReads = 0;

  constructor(mode: Mode, options: SoftEngineOptions) {
    this.#mode = mode;
    const io: GuestIo = {
      portRead: () => 0x5a,
      portWrite: () => true,
      mmioRead: (gpa, bytes) => {
        this.log.push(`r${gpa.toString(16)}/${bytes}@${this.vm.vcpu.instructionCount()}`);
        // Reads too have consequences: a stop, an interrupt, code that changes behind the CPU's back.
        const nth = this.mmioReads & 15;
        if (nth === 5) this.vm.vcpu.requestStop();
        if (nth === 10) this.vm.vcpu.setInterruptLine(true);
        if (nth === 15) this.vm.memory.write8(CODE + (this.mmioReads & 0x3ff), 0x90);
        return (Math.imul(++this.mmioReads, 0x9e3779b1) >>> 0) & (bytes === 4 ? 0xffffffff : bytes === 2 ? 0xffff : 0xff) & 0x7fffffff;
      },
      mmioWrite: (gpa, bytes, value) => {
        this.log.push(`w${gpa.toString(16)}/${bytes}=${value}@${this.vm.vcpu.instructionCount()}`);
        if ((value & 7) === 0) this.vm.vcpu.requestStop();
        if ((value & 7) === 1) this.vm.vcpu.setInterruptLine(true);
        return true;
      },
      interruptAcknowledge: () => 8,
    };
    this.vm = createSoftEngine({ firstTier: 0, ...options }).createVm({ ramBytes: RAM, regions: [], io, readTsc: () => 0 });
    const ram = this.vm.regions.get("ram");
    if (ram === undefined) throw new Error("no RAM");
    this.vm.mapSlot({ gpa: 0, region: ram, regionOffset: 0, sizeBytes: RAM, access: "rw" });
  }
  /** Sets the machine up for a mode; `variant` changes segment bases, limits and paging. */
  start(r: Random, variant: number): void {
    const { vm } = this;
    const c = vm.vcpu;
    c.setControl("cr4", 0x600n);
    c.intercepts.exceptionBitmap = 0xffffffff;
    c.intercepts.externalInterrupt = true;
    const mode = this.#mode;
    const memory = vm.memory;
    for (let i = 0; i < 0x1000; i += 4) memory.write32(DATA + i, r.next());
    if (mode === 16) {
      for (const s of ["cs", "ds", "es", "ss", "fs", "gs"] as const) {
        // Bases that are no page boundary, so that IPs and page offsets differ.
        const base = variant & 1 ? (s === "cs" || s === "ds" ? 0x10 : 0) : 0;
        c.setSegment(s, {
          selector: base >> 4,
          base: BigInt(base),
          limit: variant & 2 && s === "es" ? 0x4800 : 0xffff,
          access: s === "cs" ? 0x9b : 0x93,
        });
      }
    } else {
      const paging = mode === 64 || (variant & 1) !== 0;
      if (paging) this.#tables(mode);
      const long = mode === 64;
      const limit = variant & 2 ? 0x4fff_ffff : 0xffff_ffff;
      for (const s of ["ds", "es", "ss", "fs", "gs"] as const) {
        const base = !long && variant & 4 && s === "es" ? 0xfffff000n : s === "fs" ? 0x40n : 0n;
        c.setSegment(s, { selector: 0x10, base, limit, access: 0xc093 });
      }
      c.setSegment("cs", { selector: 8, base: 0n, limit: 0xffffffff, access: long ? 0xa09b : 0xc09b });
      if (long) c.setControl("efer", 0xd01n);
      if (paging) {
        c.setControl("cr4", long ? 0x620n : 0x600n);
        c.setControl("cr3", 0x100000n);
      }
      c.setControl("cr0", paging ? 0x80010001n : 1n);
    }
    for (let i = 0; i < 16; i++) c.setGpr(i, (BigInt(r.next()) << 32n) | BigInt(r.next()));
    c.setGpr(4, BigInt(STACK));
    c.setGpr(5, BigInt(DATA + 0x400));
    c.setRflags(2 | (r.next() & 0xad5));
    c.setFpu({ ...c.getFpu(), mxcsr: r.pick([0x1f80, 0x1fa0, 0x1fa0, 0x7f80]) });
    const words = new Uint32Array(4);
    for (let i = 0; i < 16; i++) {
      for (let k = 0; k < 4; k++) words[k] = r.chance(60) ? 0x3e000000 + (r.next() & 0x83ffffff) : r.next();
      c.setXmm(i, new Uint8Array(words.buffer));
    }
  }
  /** Loads a data segment with another base or limit, as a 32-bit system that is not flat (any more) does. */
  changeSegment(r: Random): void {
    const limit = r.pick([0xffffffff, 0xffffffff, 0x4fff_ffff, 0xfffe]);
    this.vm.vcpu.setSegment(r.pick(["ds", "es", "ss"] as const), { selector: 0x10, base: r.chance(70) ? 0n : 0x20n, limit, access: 0xc093 });
    if (r.chance(20)) this.vm.vcpu.setGpr(4, 0x1_0000_7000n);
  }
  #tables(mode: Mode): void {
    const m = this.vm.memory;
    const base = 0x100000;
    const leaf = (page: number): number => (page === ABSENT ? 0 : page | (page === READ_ONLY ? 1 : 3) | 0x60);
    if (mode === 32) {
      m.write32(base, 0x101003);
      for (let i = 0; i < 1024; i++) m.write32(0x101000 + i * 4, leaf(i * 4096));
      return;
    }
    m.write32(base, 0x101003);
    m.write32(0x101000, 0x102003);
    m.write32(0x102000, 0x103003);
    m.write32(0x102008, 0x104003);
    for (let t = 0; t < 2; t++) for (let i = 0; i < 512; i++) m.write32(0x103000 + t * 4096 + i * 8, leaf((t * 512 + i) * 4096));
  }
  load(p: Program, codeBase: number): void {
    this.vm.memory.write(CODE + codeBase, p.bytes);
  }
  /** One run with what can be seen afterwards. */
  step(entry: VmEntry, budget: number): string {
    const c = this.vm.vcpu;
    const exit = c.run(entry, budget);
    if (exit.kind === "external-interrupt") c.setInterruptLine(false);
    const registers = Array.from({ length: 16 }, (_, i) => c.getGpr(i).toString(16)).join(" ");
    const detail = exit.kind === "exception" ? `${exit.vector}/${exit.errorCode}` : "";
    let xmm = c.getFpu().mxcsr;
    for (let i = 0; i < 16; i++) for (const b of c.getXmm(i)) xmm = Math.imul(xmm ^ b, 0x01000193);
    return `${exit.kind}${detail} x=${(xmm >>> 0).toString(16)} ip=${c.getRip().toString(16)} n=${c.instructionCount()} f=${c.getRflags().toString(16)} ${registers} cr2=${c.getControl("cr2").toString(16)}`;
  }
  ram(): string {
    let h = 0x811c9dc5;
    const bytes = new Uint8Array(0x20000);
    this.vm.memory.read(0, bytes);
    for (let i = 0; i < bytes.length; i++) h = Math.imul(h ^ bytes[i], 0x01000193);
    return (h >>> 0).toString(16);
  }
}
