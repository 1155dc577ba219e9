// Random CPU state and random code in every mode, on the bare engine: descriptor tables, page tables and task state full of near-misses.
import { engine, patience, using } from "./engine.mjs";
import { writeCode } from "./code.mjs";
import { Random } from "./random.mjs";

const RAM = 2 * 2 ** 20;
const ROM = 0x10000;
const CODE = 0x10000,
  CODE_END = 0x12000,
  GDT = 0x2000,
  IDT = 0x3000,
  TSS = 0x4000,
  STACK = 0x8000,
  PAGES = 0x20000,
  HANDLERS = 0x13000;
const RUNS = 24;
const BUDGET = 1500;
const SLICE_LIMIT_MS = 15_000;
const MODES = ["real", "unreal", "v86", "p16", "p32", "paged", "pae", "long", "compat"];

const io = { random: new Random(0), stop: () => {}, throwing: false };
const gate = {
  portRead: (_port, size) => (io.random.once(10) ? -1 : size === 4 ? io.random.u32() : io.random.u32() & ((1 << (8 * size)) - 1)),
  portWrite: () => (io.random.once(30) && io.stop(), !io.random.once(10)),
  mmioRead: (_gpa, size) => (io.random.once(10) ? -1 : size === 4 ? io.random.u32() : io.random.u32() & ((1 << (8 * size)) - 1)),
  mmioWrite: () => !io.random.once(10),
  interruptAcknowledge: () => io.random.u8(),
};

/** One VM an engine serves many runs; each run sets every bit of state that it looks at. */
const kept = new Map();
/** Also tells the engine that the bytes behind its back are others. */
function mapMemory(vm) {
  const ram = vm.regions.get("ram");
  const rom = vm.regions.get("rom");
  vm.mapSlot({ gpa: 0, region: ram, regionOffset: 0, sizeBytes: 0xa0000, access: "rw" });
  vm.mapSlot({ gpa: 0x100000, region: ram, regionOffset: 0x100000, sizeBytes: RAM - 0x100000, access: "rw" });
  vm.mapSlot({ gpa: 0xf0000, region: rom, regionOffset: 0, sizeBytes: ROM, access: "ro" });
}
function machine() {
  const known = kept.get(using.name);
  if (known !== undefined) return known;
  const vm = engine.createVm({ ramBytes: RAM, regions: [{ name: "rom", sizeBytes: ROM }], io: gate, readTsc: () => 0 });
  const ram = vm.regions.get("ram");
  const rom = vm.regions.get("rom");
  const made = { vm, vcpu: vm.vcpu, ram: ram.bytes, rom: rom.bytes };
  kept.set(using.name, made);
  return made;
}

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A descriptor: plausible, with one field wrong now and then. */
function descriptor(random, wide) {
  const access = random.once(6)
    ? random.u8()
    : random.pick([0x9a, 0x9b, 0x92, 0x93, 0xfa, 0xf2, 0x9e, 0x96, 0xfe, 0x82, 0x89, 0x8b, 0x81, 0x83, 0x84, 0x8c, 0x85, 0xe5, 0xec, 0x12, 0x1a]);
  const base = random.pick([0, 0, 0, CODE, TSS, GDT, 0xa0000, random.dword()]);
  const limit = random.pick([0xfffff, 0xffff, 0, 0x67, 0x2b, random.u32() & 0xfffff]);
  const flags = random.pick([0xc, 0x4, 0x0, wide ? 0xa : 0x8, random.below(16)]);
  if ((access & 0x10) === 0 && random.once(2)) return gateDescriptor(random, access & 0x60);
  return [
    ((limit & 0xffff) | (base << 16)) >>> 0,
    (((base >>> 16) & 0xff) | (access << 8) | ((limit >>> 16) << 16) | (flags << 20) | (base & 0xff000000)) >>> 0,
  ];
}
function gateDescriptor(random, dpl) {
  const offset = random.pick([HANDLERS + random.below(0x400), CODE + random.below(0x1000), random.dword()]);
  const selector = random.once(6) ? random.u16() : random.below(24) * 8 + random.pick([0, 0, 3]);
  const type = random.once(8) ? random.below(32) : random.pick([5, 6, 7, 14, 14, 15, 12, 4]);
  return [((offset & 0xffff) | (selector << 16)) >>> 0, ((offset & 0xffff0000) | 0x8000 | (dpl << 8) | (type << 8) | random.below(32)) >>> 0];
}

function pageEntry(random, level) {
  const target = random.once(3)
    ? random.pick([
        0xa0000,
        0xf0000,
        0x1ff000,
        0x200000,
        0x1fe000,
        0xfee00000,
        0xfffff000,
        0x80000000,
        PAGES + random.below(16) * 0x1000,
        random.u32() & 0xfffff000,
      ])
    : level > 1
      ? PAGES + random.below(16) * 0x1000
      : random.below(RAM / 0x1000) * 0x1000;
  return (target | (random.once(8) ? random.u32() & 0xfff : random.pick([1, 3, 5, 7, 7, 7, 0x83, 0x87, 0x107, 0x67, 0x27, 0]))) >>> 0;
}

/** Identity maps for the first 4 MiB in each format, then damage. Returns CR3. */
function pageTables(random, ram, mode) {
  const v = view(ram);
  for (let at = PAGES; at < PAGES + 0x10000; at += 4) v.setUint32(at, random.once(16) ? pageEntry(random, 1 + random.below(4)) : 0, true);
  const wide = mode !== "paged";
  const table = PAGES + 0x4000;
  const stride = wide ? 8 : 4;
  for (let i = 0; i < 512; i++) {
    v.setUint32(table + i * stride, random.once(40) ? pageEntry(random, 1) : (i * 0x1000) | 7, true);
    if (wide) v.setUint32(table + i * 8 + 4, random.once(100) ? random.u32() : 0, true);
  }
  const put = (at, to) => {
    v.setUint32(at, random.once(20) ? pageEntry(random, 2) : to | 7, true);
    if (wide) v.setUint32(at + 4, random.once(50) ? random.u32() : 0, true);
  };
  if (mode === "paged") {
    put(PAGES, table);
    return PAGES;
  }
  put(PAGES + 0x2000, table);
  if (mode === "pae") {
    v.setUint32(PAGES + 0x1000, (PAGES + 0x2000) | 1, true);
    v.setUint32(PAGES + 0x1004, 0, true);
    return PAGES + 0x1000;
  }
  put(PAGES + 0x1000, PAGES + 0x2000);
  put(PAGES, PAGES + 0x1000);
  return PAGES;
}

function segments(random, vcpu, mode, cpl) {
  const big = mode === "p32" || mode === "paged" || mode === "pae" || mode === "compat";
  const flat = { base: 0n, limit: 0xffffffff };
  const names = ["es", "cs", "ss", "ds", "fs", "gs"];
  for (const name of names) {
    const code = name === "cs";
    if (mode === "real" || mode === "unreal" || mode === "v86") {
      const selector = code ? CODE >> 4 : name === "ss" ? 0 : random.pick([0, CODE >> 4, 0xa000, 0xf000, 0xffff, random.u16()]);
      const limit = mode === "unreal" && !code ? 0xffffffff : 0xffff;
      vcpu.setSegment(name, { selector, base: BigInt(selector << 4), limit, access: mode === "v86" ? 0xf3 : code ? 0x9b : 0x93 });
    } else if (mode === "p16") {
      const base = code ? CODE : random.pick([0, 0, CODE, random.dword()]);
      vcpu.setSegment(name, {
        selector: code ? 8 : 16,
        base: BigInt(base),
        limit: random.pick([0xffff, 0xfff, 0xfffff]),
        access: code ? 0x9b : random.pick([0x93, 0x93, 0x97, 0x91]),
      });
    } else if (code) {
      const access = (mode === "long" ? 0xa09b : big ? 0xc09b : 0x9b) | (cpl << 5);
      vcpu.setSegment(name, { selector: (cpl === 3 ? 0x20 : 8) | cpl, ...flat, access });
    } else {
      const odd = random.once(6) && mode !== "long";
      vcpu.setSegment(name, {
        selector: cpl === 3 ? 0x2b : 0x10,
        base: odd ? BigInt(random.dword()) : 0n,
        limit: odd ? random.dword() : 0xffffffff,
        access: 0xc093 | (cpl << 5),
      });
    }
  }
}

/** Offsets in HANDLERS: for each code size one handler for faults without and one for faults with an error code. */
const SKIPPERS = new Map([
  // The faulting address moves on by one byte, so that the code behind it gets its turn.
  [0x00, [0xff, 0x04, 0x24, 0xcf]],
  [0x10, [0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf]],
  [0x20, [0x48, 0xff, 0x04, 0x24, 0x48, 0xcf]],
  [0x30, [0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf]],
  // push bp; mov bp,sp; inc word [bp+2]; pop bp; iret
  [0x60, [0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf]],
]);
const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17]);
const handlerFor = (vector, bits) => (HANDLERS & 0xffff) + (bits === 64 ? 0x20 : 0) + (WITH_ERROR.has(vector) ? 0x10 : 0);

function writeHandlers(random, ram) {
  const odd = [[0xcf], [0x48, 0xcf], [0x58, 0xcf], [0x66, 0xcf], [0xeb, 0xfe], [0x0f, 0x0b]];
  for (let at = HANDLERS; at < HANDLERS + 0x500; at += 4) ram.set(random.pick(odd), at);
  for (const [at, code] of SKIPPERS) ram.set(code, HANDLERS + at);
}

/** Puts the machine into one of the modes, everything in reach of the code full of surprises. */
function arrange(random, { vm, vcpu, ram, rom }) {
  const mode = random.pick(MODES);
  const style = random.pick([0, 1, 1, 1, 2]);
  vcpu.reset();
  mapMemory(vm);
  vm.setA20(!random.once(6));
  ram.fill(0, 0, 0x9f000);
  random.fill(ram, 0, 0x600);
  writeCode(random, ram, CODE, CODE_END, style);
  if (random.once(3)) writeCode(random, rom, 0, 0x1000, 1);
  writeHandlers(random, ram);
  const v = view(ram);
  for (let i = 0; i < 256; i++) {
    const [lo, hi] = descriptor(random, mode === "long" || mode === "compat");
    v.setUint32(GDT + i * 8, lo, true);
    v.setUint32(GDT + i * 8 + 4, hi, true);
  }
  const code32 = [0x0000ffff, 0x00cf9b00];
  v.setUint32(GDT + 8, code32[0], true);
  v.setUint32(GDT + 12, mode === "long" ? 0x00af9b00 : code32[1], true);
  v.setUint32(GDT + 16, 0xffff, true);
  v.setUint32(GDT + 20, 0x00cf9300, true);
  v.setUint32(GDT + 0x20, 0xffff, true);
  v.setUint32(GDT + 0x24, mode === "long" ? 0x00affb00 : 0x00cffb00, true);
  const wide = mode === "long" || mode === "compat";
  v.setUint32(GDT + 0x28, 0xffff, true);
  v.setUint32(GDT + 0x2c, 0x00cff300, true);
  v.setUint32(GDT + 0x30, 0xffff, true);
  v.setUint32(GDT + 0x34, wide ? 0x00af9b00 : 0x00cf9b00, true);
  for (let i = 0; i < 256; i++) {
    const at = IDT + i * (wide ? 16 : 8);
    const [lo, hi] = random.once(24)
      ? random.once(4)
        ? descriptor(random, wide)
        : gateDescriptor(random, random.once(2) ? 0x60 : 0)
      : [0x00300000 | handlerFor(i, wide ? 64 : 32), 0x00010000 | (random.once(2) ? 0xee00 : 0x8e00) | (random.once(3) ? 0x100 : 0)];
    v.setUint32(at, lo, true);
    v.setUint32(at + 4, hi, true);
    if (wide) v.setUint32(at + 8, random.once(60) ? random.u32() : 0, true);
  }
  if (mode === "real" || mode === "unreal" || mode === "v86")
    for (let i = 0; i < 256; i++)
      v.setUint32(i * 4, random.once(24) ? random.u32() : ((HANDLERS >> 4) << 16) | (random.once(8) ? random.below(0x400) : 0x60), true);
  for (let i = 0; i < 0x68; i += 4) v.setUint32(TSS + i, random.pick([0, 0x10, 0x7000, 0x13, random.dword()]), true);
  if (!random.once(12)) {
    // ESP0 and SS0, or RSP0.
    v.setUint32(TSS + 4, 0x7000, true);
    v.setUint32(TSS + 8, wide ? 0 : 0x10, true);
  }

  vcpu.setDescriptorTable("gdtr", BigInt(random.once(40) ? random.dword() : GDT), random.pick([0x7ff, 0x7ff, 0x37, 0xffff]));
  const realTable = mode === "real" || mode === "unreal";
  vcpu.setDescriptorTable(
    "idtr",
    BigInt(random.once(40) ? random.dword() : realTable ? 0 : IDT),
    realTable ? 0x3ff : random.pick([0xfff, 0xfff, 0xfff, 0x7ff, 0x60]),
  );
  const paging = mode === "paged" || mode === "pae" || mode === "long" || mode === "compat" || (mode === "v86" && random.once(2));
  const cr3 = pageTables(random, ram, mode === "v86" ? "paged" : mode);
  const cr4 =
    (mode === "paged" || mode === "v86" ? random.u32() & 0x9f : mode === "pae" || wide ? 0x20 | (random.u32() & 0x9f) : random.u32() & 0x1f) |
    (random.once(2) ? 0x600 : 0);
  vcpu.setControl("cr4", BigInt(cr4));
  vcpu.setControl("cr3", BigInt(cr3));
  vcpu.setControl("efer", wide ? 0x500n | (random.once(2) ? 0x801n : 0n) : random.once(2) ? 0x801n : 0n);
  vcpu.setControl(
    "cr0",
    BigInt(
      ((realTable ? 0x10 : 0x11) |
        (paging ? 0x80000000 : 0) |
        (random.once(2) ? 0x10020 : 0) |
        (random.once(4) ? random.below(16) & 0xe : 0) |
        (random.once(8) ? 0x40000 : 0)) >>>
        0,
    ),
  );
  const cpl = mode === "v86" ? 3 : realTable || mode === "p16" ? 0 : random.pick([0, 0, 3]);
  const flags =
    2 |
    (random.u32() & 0x0d5) |
    (random.once(2) ? 0x200 : 0) |
    (random.once(20) ? 0x100 : 0) |
    (random.once(4) ? 0x3000 : 0) |
    (random.once(8) ? 0x4000 : 0) |
    (random.once(8) ? 0x40000 : 0);
  vcpu.setRflags(mode === "v86" ? flags | 0x20000 : flags);
  segments(random, vcpu, mode, cpl);
  vcpu.setSegment("tr", {
    selector: 0x40,
    base: BigInt(random.once(40) ? random.dword() : TSS),
    limit: random.pick([0x67, 0x2b, 0xffff]),
    access: wide || random.once(2) ? 0x8b : 0x83,
  });
  vcpu.setSegment("ldtr", { selector: 0x48, base: BigInt(random.once(3) ? random.dword() : GDT), limit: 0xff, access: 0x82 });
  for (let r = 0; r < 16; r++) vcpu.setGpr(r, wide && random.once(8) ? (BigInt(random.u32()) << 32n) | BigInt(random.u32()) : BigInt(random.dword()));
  if (!random.once(8)) vcpu.setGpr(4, BigInt(STACK + random.below(64)));
  const offset = random.once(40) ? random.dword() : random.below(0x400);
  const linearCode = mode === "real" || mode === "unreal" || mode === "v86" || mode === "p16" ? 0 : CODE;
  vcpu.setRip(BigInt.asUintN(mode === "long" ? 64 : 32, BigInt(linearCode + offset)));
  if (random.once(10)) for (let i = 0; i < 4; i++) vcpu.setControl(`dr${i}`, BigInt(random.pick([CODE + random.below(64), STACK, random.dword()])));
  if (random.once(10)) vcpu.setControl("dr7", BigInt(random.u32() | 0x400));
  return { mode, style };
}

function answer(random, exit) {
  switch (exit.kind) {
    case "io-in":
      return { kind: "io-in", value: exit.size === 4 ? random.u32() : random.u32() & ((1 << (8 * exit.size)) - 1) };
    case "mmio-read":
      return { kind: "mmio-read", value: exit.size === 4 ? random.u32() : random.u32() & ((1 << (8 * exit.size)) - 1) };
    case "io-out":
    case "mmio-write":
      return { kind: "skip" };
    case "budget":
    case "hlt":
    case "interrupt-window":
    case "external-interrupt":
      return random.once(8) ? { kind: "run", inject: { type: "external", vector: random.u8() } } : { kind: "run" };
    case "vmcall":
    case "vmx-instruction":
      return random.once(2) ? { kind: "skip" } : { kind: "run", inject: { type: "hardware-exception", vector: 6 } };
    case "rdmsr":
    case "wrmsr":
    case "xsetbv":
      return { kind: "run", inject: { type: "hardware-exception", vector: 13, errorCode: 0 } };
    default:
      return { kind: "skip" };
  }
}

/** One run; returns mode and last exit. */
export async function run(seed) {
  const random = new Random(seed);
  io.random = new Random(seed + 1);
  const vm = machine();
  const { vcpu } = vm;
  io.stop = () => vcpu.requestStop();
  const { mode } = arrange(random, vm);
  vcpu.setInterruptLine(random.once(8));
  let entry = { kind: "run" };
  let exit;
  for (let i = 0; i < RUNS; i++) {
    if (random.once(10)) vcpu.raiseNmi();
    if (random.once(10)) vcpu.setInterruptLine(random.once(2));
    const budget = random.once(3) ? 1 + random.below(70) : BUDGET;
    const before = vcpu.instructionCount();
    const at = performance.now();
    exit = vcpu.run(entry, budget);
    const took = performance.now() - at;
    const ran = vcpu.instructionCount() - before;
    if (took > SLICE_LIMIT_MS * patience()) throw new Error(`${mode}: a run of ${budget} took ${Math.round(took)} ms`);
    if (ran < 0 || ran > budget + 1) throw new Error(`${mode}: a run of ${budget} retired ${ran} (exit ${exit.kind})`);
    if (exit.kind === "triple-fault" || exit.kind === "init") break;
    if (exit.kind === "entry-failure") {
      // An event that may not be injected now is refused; the state itself is in order.
      if (entry.inject === undefined) throw new Error(`${mode}: entry failure: ${exit.message}`);
      entry = { kind: "run" };
      continue;
    }
    if (exit.kind === "hlt") vcpu.setHalted(false);
    entry = answer(random, exit);
  }
  return `${mode}:${exit.kind}`;
}
