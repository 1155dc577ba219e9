import { SEGMENT_NAMES } from "../vmm/index.ts";
import type { ControlRegister, FpuState, PhysicalMemory, RegisterAccess, SegmentName, SegmentState } from "../vmm/index.ts";

/** Offsets in the frame that the ROM's `interpreted` code makes: ES, DS, PUSHAD's eight, the vector; then IP, CS, FLAGS of the INT. */
const FRAME = { ES: 0, DS: 2, PUSHAD: 4, VECTOR: 36, RETURN: 38 } as const;
/** PUSHAD's order by register number: EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI. */
const SLOTS = [28, 24, 20, 16, 12, 8, 4, 0] as const;
const ESP = 4;
const NO_FPU: FpuState = { controlWord: 0, statusWord: 0, tagWord: 0, registers: [], mxcsr: 0 };

/**
 * Registers that an interpreter inside the guest holds, as the ROM's code put them on the stack: a service works on them as on a CPU's. The
 * interpreted code runs in real mode, at physical addresses. Changes of anything but general registers, DS and ES go nowhere.
 */
export class FrameRegisters implements RegisterAccess {
  readonly vector: number;
  readonly #at: number;
  readonly #mem: PhysicalMemory;
  readonly #gpr = new Uint32Array(8);
  readonly #segments = new Map<SegmentName, SegmentState>();
  #rflags = 0;

  constructor(mem: PhysicalMemory, at: number) {
    this.#mem = mem;
    this.#at = at;
    this.vector = mem.read16(at + FRAME.VECTOR);
    for (const [i, slot] of SLOTS.entries()) this.#gpr[i] = mem.read32(at + FRAME.PUSHAD + slot);
    this.#real("es", mem.read16(at + FRAME.ES));
    this.#real("ds", mem.read16(at + FRAME.DS));
    // The stack as the handler of the INT finds it, by a flat segment.
    this.#gpr[ESP] = at + FRAME.RETURN;
    this.#segments.set("ss", { selector: 0, base: 0n, limit: 0xffffffff, access: 0xc093 });
  }
  #real(name: SegmentName, selector: number): void {
    this.#segments.set(name, { selector, base: BigInt(selector * 16), limit: 0xffff, access: 0x93 });
  }

  /** Puts the results where the ROM's code takes them from. */
  store(): void {
    for (const [i, slot] of SLOTS.entries()) if (i !== ESP) this.#mem.write32(this.#at + FRAME.PUSHAD + slot, this.#gpr[i] ?? 0);
    this.#mem.write16(this.#at + FRAME.ES, this.getSegment("es").selector);
    this.#mem.write16(this.#at + FRAME.DS, this.getSegment("ds").selector);
  }

  getGpr(index: number): bigint {
    return BigInt(this.#gpr[index] ?? 0);
  }
  setGpr(index: number, value: bigint): void {
    this.#gpr[index] = Number(value & 0xffffffffn);
  }
  getGpr32(index: number): number {
    return this.#gpr[index] ?? 0;
  }
  setGpr32(index: number, value: number): void {
    this.#gpr[index] = value;
  }
  getRip(): bigint {
    return 0n;
  }
  setRip(): void {}
  getRip32(): number {
    return 0;
  }
  advanceRip(): void {}
  getRflags(): number {
    return this.#rflags;
  }
  setRflags(value: number): void {
    this.#rflags = value;
  }
  getSegment(name: SegmentName): SegmentState {
    return this.#segments.get(name) ?? { selector: 0, base: 0n, limit: 0xffff, access: 0x93 };
  }
  getSegmentSelector(segment: number): number {
    return this.#numbered(segment).selector;
  }
  getSegmentBase32(segment: number): number {
    return Number(this.#numbered(segment).base & 0xffffffffn);
  }
  getSegmentAccess(segment: number): number {
    return this.#numbered(segment).access;
  }
  #numbered(segment: number): SegmentState {
    return this.getSegment(SEGMENT_NAMES[segment] ?? "cs");
  }
  getCr0(): number {
    return 0x10;
  }
  setSegment(name: SegmentName, state: SegmentState): void {
    this.#segments.set(name, state);
  }
  getControl(name: ControlRegister): bigint {
    return name === "cr0" ? 0x10n : 0n;
  }
  setControl(): void {}
  getDescriptorTable(): { readonly base: bigint; readonly limit: number } {
    return { base: 0n, limit: 0x3ff };
  }
  setDescriptorTable(): void {}
  getMsr(): undefined {
    return undefined;
  }
  setMsr(): boolean {
    return false;
  }
  getFpu(): FpuState {
    return NO_FPU;
  }
  setFpu(): void {}
  getXmm(): Uint8Array {
    return new Uint8Array(16);
  }
  setXmm(): void {}
}
