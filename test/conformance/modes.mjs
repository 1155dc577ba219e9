/**
 * A machine with descriptor tables, handlers and a task in every mode of the processor, for tests that run single instructions from known states.
 * Layout below 1 MiB, CS base 0 everywhere.
 */
import { createVm } from "./support.mjs";

export const CODE = 0x1000,
  DATA = 0x4000,
  /** 4 KiB of NOPs. Handler of vector v: HANDLERS + 16 * v. */
  HANDLERS = 0x5000,
  GDT = 0x6000,
  IDT = 0x7000,
  STACK = 0x9000,
  RING0_STACK = 0x9800,
  TASK = 0xa000,
  OTHER_TASK = 0xd000,
  PAGE_TABLES = 0x10000;
const FAR_NOPS = 0x85000;

export const SELECTOR = { code: 0x08, data: 0x10, userCode: 0x1b, userData: 0x23, otherTask: 0x28, ldt: 0x38, task: 0x48 };
export const MODES = ["real", "protected16", "protected32", "v86", "long"];
export const codeSizeOf = (mode) => (mode === "long" ? 64 : mode === "protected32" ? 32 : 16);
const NOP = 0x90;

/** The eight bytes of a descriptor; `access` in the VMCS form. */
function descriptor(base, limit, access) {
  const bytes = new Uint8Array(8);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, (limit & 0xffff) | (base << 16), true);
  v.setUint32(4, ((base >>> 16) & 0xff) | ((access & 0xff) << 8) | (limit & 0xf0000) | ((access & 0xf000) << 8) | (base & 0xff000000), true);
  return bytes;
}
const segment = (selector, limit, access) => ({ selector, base: 0n, limit, access });

/** One VM in one mode; `reset` brings it to the same state again. */
export class ModeMachine {
  constructor(engine, mode, vmOptions) {
    this.mode = mode;
    this.codeSize = codeSizeOf(mode);
    this.vm = createVm(engine, vmOptions);
    this.vcpu = this.vm.vcpu;
    this.raw = this.vcpu.regs.raw;
    this.memory = this.vm.memory;
    this.real = mode === "real" || mode === "v86";
    /** Selectors that loads of CS, and of SS and data segments, accept. */
    this.codeSelector = SELECTOR.code;
    this.dataSelector = SELECTOR.data;
    this.#image();
    if (mode === "long") this.#pageTables();
  }
  dispose() {
    this.vm.dispose();
  }
  #pageTables() {
    const m = this.memory;
    m.write32(PAGE_TABLES, PAGE_TABLES + 0x1007);
    m.write32(PAGE_TABLES + 0x1000, PAGE_TABLES + 0x2007);
    for (let i = 0; i < 512; i++) m.write32(PAGE_TABLES + 0x2000 + i * 8, (i * 0x200000 + 0x87) >>> 0);
  }
  /** [4000h, F000h): data, handlers, tables, stacks, tasks. */
  #image() {
    const long = this.mode === "long";
    const image = new Uint8Array(0xb000);
    const v = new DataView(image.buffer);
    const at = (address) => address - DATA;
    image.fill(NOP, at(HANDLERS), at(HANDLERS) + 0x1000);
    const limit = this.mode === "protected16" || this.mode === "real" ? 0xffff : 0xfffff;
    const size = long ? 0xa000 : this.mode === "protected16" ? 0 : 0xc000;
    const put = (selector, bytes) => image.set(bytes, at(GDT) + (selector & ~7));
    put(SELECTOR.code, descriptor(0, limit, 0x9b | size));
    put(SELECTOR.data, descriptor(0, limit, 0x93 | (size === 0 ? 0 : 0xc000)));
    put(SELECTOR.userCode, descriptor(0, limit, 0xfb | size));
    put(SELECTOR.userData, descriptor(0, limit, 0xf3 | (size === 0 ? 0 : 0xc000)));
    put(SELECTOR.otherTask, descriptor(OTHER_TASK, 0x67, 0x89));
    put(SELECTOR.ldt, descriptor(0xe000, 0xff, 0x82));
    put(SELECTOR.task, descriptor(TASK, 0x20ff, 0x8b));
    // V86 leaves through ring 0 of 32 bits.
    const gate = long || this.mode !== "protected16" ? 0xee00 : 0xe600;
    for (let vector = 0; vector < 256; vector++) {
      const to = HANDLERS + vector * 16;
      const entry = at(IDT) + vector * (long ? 16 : 8);
      v.setUint32(entry, (SELECTOR.code << 16) | to, true);
      v.setUint32(entry + 4, gate, true);
    }
    for (const task of [TASK, OTHER_TASK]) {
      if (long) v.setUint32(at(task) + 4, RING0_STACK, true);
      else {
        v.setUint32(at(task) + 4, RING0_STACK, true);
        v.setUint32(at(task) + 8, SELECTOR.data, true);
      }
    }
    v.setUint16(at(TASK) + 0x66, 0x88, true);
    // What a switch to the other task finds.
    v.setUint32(at(OTHER_TASK) + 0x20, HANDLERS + 0x800, true);
    v.setUint32(at(OTHER_TASK) + 0x24, 2, true);
    v.setUint32(at(OTHER_TASK) + 0x38, STACK, true);
    for (const [offset, selector] of [
      [0x48, SELECTOR.data],
      [0x4c, SELECTOR.code],
      [0x50, SELECTOR.data],
      [0x54, SELECTOR.data],
      [0x58, SELECTOR.data],
      [0x5c, SELECTOR.data],
    ])
      v.setUint16(at(OTHER_TASK) + offset, selector, true);
    this.image = image;
    this.memory.write(FAR_NOPS, new Uint8Array(256).fill(NOP));
    const ivt = new Uint8Array(1024);
    for (let vector = 0; vector < 256; vector++) new DataView(ivt.buffer).setUint32(vector * 4, HANDLERS + vector * 16, true);
    this.ivt = ivt;
  }
  /** Registers and memory as at the start; `regs`: general registers by number. */
  reset({ rflags = 2, gpr = {} } = {}) {
    const { raw, mode, memory } = this;
    memory.write(0, this.ivt);
    memory.write(DATA, this.image);
    // Shadows and pending debug conditions go too.
    this.vcpu.reset();
    const long = mode === "long";
    const protectedMode = mode !== "real";
    raw.setRflags(2);
    raw.setControl("cr0", protectedMode ? 0x11n : 0x10n);
    raw.setControl("cr3", long ? BigInt(PAGE_TABLES) : 0n);
    // DE, OSFXSR, OSXMMEXCPT, OSXSAVE, and what long mode needs.
    raw.setControl("cr4", long ? 0x50628n : 0x40608n);
    raw.setControl("efer", long ? 0x501n : 0n);
    if (long) raw.setControl("cr0", 0x80000011n);
    raw.setControl("dr7", 0x400n);
    raw.setControl("dr6", 0xffff0ff0n);
    for (const n of [0, 1, 2, 3]) raw.setControl(`dr${n}`, 0n);
    raw.setRflags(rflags | (mode === "v86" ? 0x23000 : 0));
    const v86 = mode === "v86";
    const wide = long || mode === "protected32";
    const limit = wide ? 0xffffffff : 0xffff;
    const selectors = this.real ? { code: 0, data: 0 } : SELECTOR;
    raw.setSegment("cs", segment(selectors.code, limit, v86 ? 0xf3 : long ? 0xa09b : wide ? 0xc09b : 0x9b));
    for (const name of ["ss", "ds", "es", "fs", "gs"]) raw.setSegment(name, segment(selectors.data, limit, v86 ? 0xf3 : wide ? 0xc093 : 0x93));
    raw.setDescriptorTable("gdtr", BigInt(GDT), 0xff);
    raw.setDescriptorTable("idtr", protectedMode ? BigInt(IDT) : 0n, protectedMode ? 0xfff : 0x3ff);
    raw.setSegment("tr", { selector: SELECTOR.task, base: BigInt(TASK), limit: 0x20ff, access: 0x8b });
    raw.setSegment("ldtr", { selector: 0, base: 0n, limit: 0, access: 0x10000 });
    for (let i = 0; i < 16; i++) raw.setGpr(i, BigInt(gpr[i] ?? DATA));
    raw.setGpr(4, BigInt(gpr[4] ?? STACK));
    raw.setRip(BigInt(CODE));
  }
  write(bytes, at = CODE) {
    this.memory.write(at, Uint8Array.from(bytes));
  }
  get rip() {
    return Number(this.raw.getRip());
  }
}
