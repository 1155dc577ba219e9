import { CR4, FLAG } from "../../../isa/index.ts";
import type { ControlRegister, FpuState, RegisterAccess, SegmentName, SegmentState } from "../../api/index.ts";
import { SEGMENT_NAMES } from "../../api/index.ts";
import type { Cpu } from "../cpu.ts";
import { readFpuState, writeFpuState } from "../fpu/state.ts";
import { STATE } from "../state-layout.ts";
import { readMsr, writeMsr } from "../sys/index.ts";

/** The registers of a CPU whose state lies at the fixed addresses of generated code. */
export class VcpuRegisters implements RegisterAccess {
  readonly cpu: Cpu;
  constructor(cpu: Cpu) {
    this.cpu = cpu;
  }
  /** The monitor edits what decides how the guest goes on. */
  protected touched(): void {
    this.cpu.edited = true;
  }
  getGpr(index: number): bigint {
    return this.cpu.r64(index);
  }
  setGpr(index: number, value: bigint): void {
    this.cpu.setR64(index, BigInt.asUintN(64, value));
  }
  // These are asked several times a BIOS call: no call of another method in them.
  getGpr32(index: number): number {
    return this.cpu.u32[STATE.gpr.u32 + index * 2];
  }
  setGpr32(index: number, value: number): void {
    this.cpu.u32[STATE.gpr.u32 + index * 2] = value;
  }
  getRip(): bigint {
    return this.cpu.rip;
  }
  setRip(value: bigint): void {
    this.touched();
    this.cpu.rip = BigInt.asUintN(64, value);
  }
  getRip32(): number {
    return this.cpu.u32[STATE.rip.u32];
  }
  advanceRip(bytes: number): void {
    const { cpu } = this;
    if (cpu.u32[STATE.codeSize.u32] === 64) {
      this.touched();
      cpu.rip = BigInt.asUintN(64, cpu.rip + BigInt(bytes));
    } else cpu.u32[STATE.rip.u32] += bytes;
  }
  getRflags(): number {
    return this.cpu.eflags;
  }
  setRflags(value: number): void {
    this.touched();
    const vm = (this.cpu.systemFlags ^ value) & (FLAG.VM | FLAG.AC);
    this.cpu.eflags = value;
    if (vm !== 0) this.cpu.updateMode();
  }
  getSegment(name: SegmentName): SegmentState {
    const s = SEGMENT_NAMES.indexOf(name);
    return { selector: this.cpu.selector(s), base: this.cpu.base(s), limit: this.cpu.limit(s), access: this.cpu.access(s) };
  }
  getSegmentSelector(segment: number): number {
    return this.cpu.u16[STATE.segSelector.u16 + segment];
  }
  getSegmentBase32(segment: number): number {
    return this.cpu.u32[STATE.segBase.u32 + segment * 2];
  }
  getSegmentAccess(segment: number): number {
    return this.cpu.u32[STATE.segAccess.u32 + segment];
  }
  getCr0(): number {
    return this.cpu.u32[STATE.cr0.u32];
  }
  setSegment(name: SegmentName, state: SegmentState): void {
    this.touched();
    this.cpu.loadSegment(SEGMENT_NAMES.indexOf(name), state.selector, state.base, state.limit, state.access);
  }
  getControl(name: ControlRegister): bigint {
    const cpu = this.cpu;
    switch (name) {
      case "cr0":
        return BigInt(cpu.cr0);
      case "cr2":
        return cpu.cr2;
      case "cr3":
        return cpu.cr3;
      case "cr4":
        return BigInt(cpu.cr4);
      case "cr8":
        return BigInt(cpu.u32[STATE.cr8.u32]);
      case "efer":
        return BigInt(cpu.efer);
      default:
        return cpu.dr[Number(name.slice(2))];
    }
  }
  setControl(name: ControlRegister, value: bigint): void {
    const cpu = this.cpu;
    this.touched();
    switch (name) {
      case "cr0":
        cpu.u32[STATE.cr0.u32] = Number(BigInt.asUintN(32, value)) | 0x10;
        break;
      case "cr2":
        cpu.cr2 = BigInt.asUintN(64, value);
        break;
      case "cr3":
        cpu.u64[STATE.cr3.u64] = value;
        break;
      case "cr4":
        cpu.u32[STATE.cr4.u32] = Number(BigInt.asUintN(32, value));
        break;
      case "cr8":
        cpu.u32[STATE.cr8.u32] = Number(value & 15n);
        break;
      case "efer":
        cpu.u32[STATE.efer.u32] = Number(BigInt.asUintN(32, value));
        break;
      default:
        cpu.dr[Number(name.slice(2))] = value;
    }
    if ((cpu.cr4 & CR4.PAE) !== 0 && (name === "cr3" || name === "cr0" || name === "cr4") && !cpu.longMode) {
      const table = Number(cpu.cr3 & 0xffffffe0n);
      for (let i = 0; i < 4; i++)
        cpu.pdptes[i] = BigInt(cpu.mmu.physical.read32(table + i * 8)) | (BigInt(cpu.mmu.physical.read32(table + i * 8 + 4)) << 32n);
    }
    for (let s = 0; s < 6; s++) cpu.updateSegment(s);
    cpu.updateMode();
    cpu.mmu.flushAll(true);
  }
  getDescriptorTable(name: "gdtr" | "idtr"): { readonly base: bigint; readonly limit: number } {
    return name === "gdtr" ? { base: this.cpu.gdtrBase, limit: this.cpu.gdtrLimit } : { base: this.cpu.idtrBase, limit: this.cpu.idtrLimit };
  }
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.touched();
    if (name === "gdtr") {
      this.cpu.gdtrBase = base;
      this.cpu.gdtrLimit = limit;
    } else {
      this.cpu.idtrBase = base;
      this.cpu.idtrLimit = limit;
    }
  }
  getMsr(index: number): bigint | undefined {
    return readMsr(this.cpu, index);
  }
  setMsr(index: number, value: bigint): boolean {
    this.touched();
    return writeMsr(this.cpu, index, value);
  }
  getFpu(): FpuState {
    return readFpuState(this.cpu);
  }
  setFpu(state: FpuState): void {
    writeFpuState(this.cpu, state);
  }
  getXmm(index: number): Uint8Array {
    return this.cpu.u8.slice(STATE.xmm.offset + index * 16, STATE.xmm.offset + index * 16 + 16);
  }
  setXmm(index: number, bytes: Uint8Array): void {
    this.cpu.u8.set(bytes.subarray(0, 16), STATE.xmm.offset + index * 16);
  }
}
