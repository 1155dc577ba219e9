import type { EngineVmOptions, GuestIo, VmExit } from "../../api/index.ts";
import { decode } from "../../../isa/index.ts";
import { Cpu } from "../cpu.ts";
import { CS, SS, VM_EXIT } from "../cpu-state.ts";
import { SoftIntercepts } from "../intercepts.ts";
import { Mmu } from "../mmu/mmu.ts";
import { PhysicalMap } from "../mmu/physical.ts";
import { loadSeg } from "./descriptor.ts";
import { advance, resetCpu, SYSTEM } from "./index.ts";

/** Test support: a Cpu with 2 MiB of RAM that executes system instructions one by one, without the generated interpreter. */

/** `other`: not a system instruction. */
export type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "other" }
  | { readonly kind: "fault"; readonly vector: number; readonly errorCode: number | undefined }
  | { readonly kind: "exit"; readonly exit: VmExit };

export interface PortLog {
  readonly port: number;
  readonly size: number;
  readonly value: number;
}

export class TestMachine {
  readonly cpu: Cpu;
  readonly memory: PhysicalMap;
  readonly written: PortLog[] = [];
  /** What port reads answer; -1 makes an exit. */
  portValue = 0x12345678;
  portsAccept = true;
  tsc = 1000;

  constructor() {
    const io: GuestIo = {
      portRead: (_port, size) => (this.portValue === -1 ? -1 : size === 4 ? this.portValue >>> 0 : this.portValue & ((1 << (size * 8)) - 1)),
      portWrite: (port, size, value) => {
        if (this.portsAccept) this.written.push({ port, size, value });
        return this.portsAccept;
      },
      mmioRead: () => 0xff,
      mmioWrite: () => true,
      interruptAcknowledge: () => 8,
    };
    const options: EngineVmOptions = { ramBytes: 0x200000, regions: [], io, readTsc: () => this.tsc };
    const memory = new ArrayBuffer(PhysicalMap.bytesNeeded(options));
    const physical = new PhysicalMap(memory, options);
    const ram = physical.regions.get("ram");
    if (ram === undefined) throw new Error("no ram");
    physical.map({ gpa: 0, region: ram, regionOffset: 0, sizeBytes: ram.sizeBytes, access: "rw" });
    this.memory = physical;
    this.cpu = new Cpu(memory, options, new SoftIntercepts(), (cpu) => new Mmu(cpu, physical));
    resetCpu(this.cpu);
    this.at(0x1000, 0x0000);
    loadSeg(this.cpu, SS, 0x2000, 0x20000, 0xffff, 0x93);
    this.cpu.setR32(4, 0x1000);
  }
  /** CS:IP in real mode. */
  at(selector: number, ip: number): void {
    loadSeg(this.cpu, CS, selector, selector << 4, 0xffff, 0x9b);
    this.cpu.eip = ip;
  }
  /** Linear address of the next instruction. */
  get codeAddress(): number {
    return this.cpu.code64 ? Number(BigInt.asIntN(64, this.cpu.rip)) : (this.cpu.baseNumber(CS) + this.cpu.eip) >>> 0;
  }
  /** Executes the given bytes as the instruction at RIP (RIP moves on); repeats a repeated string to its end. */
  exec(...bytes: number[]): Outcome {
    const cpu = this.cpu;
    const size = cpu.codeSize === 64 ? 64 : cpu.codeSize === 32 ? 32 : 16;
    const insn = decode(new Uint8Array(bytes), 0, bytes.length, size);
    if ("failure" in insn) return { kind: "fault", vector: insn.failure === "long" ? 13 : 6, errorCode: undefined };
    const name = insn.rep !== 0 && insn.row.facts.rep ? `rep_${insn.row.sem}` : insn.row.sem;
    const helper = SYSTEM[name];
    if (helper === undefined) return { kind: "other" };
    cpu.exit = undefined;
    try {
      for (;;) {
        const how = helper(cpu, insn);
        if (how === "repeat") continue;
        if (how === "exit" && cpu.exit !== undefined) return { kind: "exit", exit: cpu.exit };
        if (how === "next") advance(cpu, insn.length);
        return { kind: "done" };
      }
    } catch (e) {
      if (e === cpu.fault) return { kind: "fault", vector: cpu.fault.vector, errorCode: cpu.fault.errorCode };
      if (e === VM_EXIT && cpu.exit !== undefined) {
        const exit: VmExit = cpu.exit;
        return { kind: "exit", exit };
      }
      throw e;
    }
  }

  // ---- descriptor tables for protected-mode tests
  /** Writes the 8 bytes of a descriptor. */
  descriptor(at: number, base: number, limit: number, access: number): void {
    const granular = limit > 0xfffff;
    const l = granular ? limit >>> 12 : limit;
    const rights = (access & 0xf0ff) | (granular ? 0x8000 : 0);
    this.memory.write32(at, ((l & 0xffff) | ((base & 0xffff) << 16)) >>> 0);
    this.memory.write32(
      at + 4,
      (((base >>> 16) & 0xff) | ((rights & 0xff) << 8) | (l & 0xf0000) | ((rights & 0xf000) << 8) | (base & 0xff000000)) >>> 0,
    );
  }
  /** A gate of 8 bytes: type 4, 5, 6, 7, C, E, F; `low` is a call gate's parameter count. */
  gate(at: number, selector: number, offset: number, type: number, dpl = 0, low = 0): void {
    this.memory.write32(at, ((offset & 0xffff) | (selector << 16)) >>> 0);
    this.memory.write32(at + 4, ((offset & 0xffff0000) | 0x8000 | (dpl << 13) | (type << 8) | low) >>> 0);
  }
  /** A 16-byte gate of IA-32e mode. */
  gate64(at: number, selector: number, offset: bigint, type: number, dpl = 0, ist = 0): void {
    this.gate(at, selector, Number(offset & 0xffffffffn), type, dpl, ist);
    this.memory.write32(at + 8, Number((offset >> 32n) & 0xffffffffn));
    this.memory.write32(at + 12, 0);
  }
}

/** Selectors of the standard test GDT at GDT_AT. */
export const GDT_AT = 0x4000,
  IDT_AT = 0x5000,
  TSS_AT = 0x6000,
  TSS2_AT = 0x7000,
  TSS16_AT = 0x8000,
  LDT_AT = 0x9000;
export const SEL = {
  code0: 0x08,
  data0: 0x10,
  code3: 0x1b,
  data3: 0x23,
  conforming: 0x28,
  code16: 0x30,
  stack16: 0x38,
  tss: 0x40,
  tss2: 0x48,
  tss16: 0x50,
  ldt: 0x58,
  absentData: 0x60,
  absentCode: 0x68,
  readOnly: 0x70,
  executeOnly: 0x78,
  gate: 0x80,
  code64: 0x90,
  code64u: 0x9b,
  code1: 0xa1,
  data1: 0xa9,
  free: 0xb0,
} as const;

/** Builds the standard tables and goes to 32-bit protected mode at CPL 0 with flat segments. */
export function protectedMachine(): TestMachine {
  const m = new TestMachine();
  const { cpu } = m;
  const G = (sel: number): number => GDT_AT + (sel & 0xfff8);
  m.descriptor(G(SEL.code0), 0, 0xffffffff, 0x409b);
  m.descriptor(G(SEL.data0), 0, 0xffffffff, 0x4093);
  m.descriptor(G(SEL.code3), 0, 0xffffffff, 0x40fb);
  m.descriptor(G(SEL.data3), 0, 0xffffffff, 0x40f3);
  m.descriptor(G(SEL.conforming), 0, 0xffffffff, 0x409e);
  m.descriptor(G(SEL.code16), 0x10000, 0xffff, 0x009a);
  m.descriptor(G(SEL.stack16), 0x20000, 0xffff, 0x0092);
  m.descriptor(G(SEL.tss), TSS_AT, 0x20ff, 0x89);
  m.descriptor(G(SEL.tss2), TSS2_AT, 0x67, 0x89);
  m.descriptor(G(SEL.tss16), TSS16_AT, 0x2b, 0x81);
  m.descriptor(G(SEL.ldt), LDT_AT, 0xff, 0x82);
  m.descriptor(G(SEL.absentData), 0, 0xffff, 0x0012);
  m.descriptor(G(SEL.absentCode), 0, 0xffff, 0x401a);
  m.descriptor(G(SEL.readOnly), 0, 0xffff, 0x0090);
  m.descriptor(G(SEL.executeOnly), 0, 0xffff, 0x0098);
  m.descriptor(G(SEL.code64), 0, 0xffffffff, 0x209b);
  m.descriptor(G(SEL.code64u), 0, 0xffffffff, 0x20fb);
  m.descriptor(G(SEL.code1), 0, 0xffffffff, 0x40bb);
  m.descriptor(G(SEL.data1), 0, 0xffffffff, 0x40b3);
  cpu.gdtrBase = BigInt(GDT_AT);
  cpu.gdtrLimit = 0xff;
  cpu.idtrBase = BigInt(IDT_AT);
  cpu.idtrLimit = 0x7ff;
  m.exec(0x0f, 0x22, 0xc0); // no change; then PE:
  cpu.setR32(0, 0x11);
  m.exec(0x0f, 0x22, 0xc0);
  loadSeg(cpu, CS, SEL.code0, 0, 0xffffffff, 0xc09b);
  for (const s of [0, 2, 3, 4, 5]) loadSeg(cpu, s, SEL.data0, 0, 0xffffffff, 0xc093);
  cpu.setR32(0, SEL.tss);
  m.exec(0x0f, 0x00, 0xd8); // ltr ax
  cpu.eip = 0x10000;
  cpu.setR32(4, 0x30000);
  m.memory.write32(TSS_AT + 4, 0x31000);
  m.memory.write16(TSS_AT + 8, SEL.data0);
  m.memory.write32(TSS_AT + 0xc, 0x32000);
  m.memory.write16(TSS_AT + 0x10, SEL.data1);
  m.memory.write16(TSS_AT + 0x66, 0x88); // I/O bitmap; redirection bitmap at 68h
  cpu.setR32(0, 0);
  return m;
}

/** Moves a protected-mode machine to CPL 3 with flat segments. */
export function toUser(m: TestMachine): void {
  loadSeg(m.cpu, SS, SEL.data3, 0, 0xffffffff, 0xc0f3);
  loadSeg(m.cpu, CS, SEL.code3, 0, 0xffffffff, 0xc0fb);
  for (const s of [0, 3, 4, 5]) loadSeg(m.cpu, s, SEL.data3, 0, 0xffffffff, 0xc0f3);
}

/** Moves a protected-mode machine to virtual-8086 mode at 1000:0000, stack 2000:1000. */
export function toV86(m: TestMachine, iopl: number): void {
  const { cpu } = m;
  cpu.eflags = 0x20002 | (iopl << 12);
  for (const s of [0, 1, 2, 3, 4, 5]) loadSeg(cpu, s, 0x1000, 0x10000, 0xffff, 0xf3);
  loadSeg(cpu, SS, 0x2000, 0x20000, 0xffff, 0xf3);
  cpu.eip = 0;
  cpu.setR32(4, 0x1000);
}

/** Moves a protected-mode machine to 64-bit code at CPL 0 with an identity map of the first GiB (2 MiB pages, user). */
export function toLong(m: TestMachine): void {
  const { cpu, memory } = m;
  memory.write32(0x100000, 0x101007);
  memory.write32(0x101000, 0x102007);
  for (let i = 0; i < 512; i++) memory.write32(0x102000 + i * 8, (i << 21) | 0x87);
  cpu.setR32(0, 0x20);
  m.exec(0x0f, 0x22, 0xe0); // mov cr4, eax
  cpu.setR32(0, 0x100000);
  m.exec(0x0f, 0x22, 0xd8); // mov cr3, eax
  cpu.setR32(1, 0xc0000080);
  cpu.setR32(0, 0x901);
  cpu.setR32(2, 0);
  m.exec(0x0f, 0x30);
  cpu.setR32(0, 0x80000011);
  m.exec(0x0f, 0x22, 0xc0);
  // The busy TSS becomes a 64-bit one: RSP0 and IST1.
  memory.write32(TSS_AT + 4, 0x31000);
  memory.write32(TSS_AT + 8, 0);
  memory.write32(TSS_AT + 0x24, 0x38000);
  memory.write32(TSS_AT + 0x28, 0);
  cpu.idtrLimit = 0xfff;
  m.exec(0xea, 0x00, 0x00, 0x01, 0x00, SEL.code64, 0x00); // jmp far
}
