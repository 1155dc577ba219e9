import type { GuestMemory, RegisterAccess, SegmentName, SegmentState } from "../vmm/index.ts";
import { SEGMENT_NAMES } from "../vmm/index.ts";

/** Guest memory for unit tests: a bench says what a byte is and where views are possible, words and blocks follow from that. */
export abstract class ByteMemory implements GuestMemory {
  abstract readonly sizeBytes: number;
  abstract read8(gpa: number): number;
  abstract write8(gpa: number, value: number): void;
  abstract viewForWrite(gpa: number, length: number): Uint8Array | undefined;
  abstract viewForRead(gpa: number, length: number): Uint8Array | undefined;
  abstract writeRom(gpa: number, from: Uint8Array): void;

  read16(gpa: number): number {
    return this.read8(gpa) | (this.read8(gpa + 1) << 8);
  }
  read32(gpa: number): number {
    return (this.read16(gpa) | (this.read16(gpa + 2) << 16)) >>> 0;
  }
  write16(gpa: number, value: number): void {
    this.write8(gpa, value & 0xff);
    this.write8(gpa + 1, (value >>> 8) & 0xff);
  }
  write32(gpa: number, value: number): void {
    this.write16(gpa, value & 0xffff);
    this.write16(gpa + 2, value >>> 16);
  }
  read(gpa: number, into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = this.read8(gpa + i);
  }
  write(gpa: number, from: Uint8Array): void {
    for (let i = 0; i < from.length; i++) this.write8(gpa + i, from[i] ?? 0);
  }
}

/** A register file without a CPU. */
export class FakeRegisters implements RegisterAccess {
  readonly #gpr = new BigUint64Array(16);
  readonly #segments = new Map<SegmentName, SegmentState>();
  readonly #control = new Map<string, bigint>();
  readonly #tables = new Map<string, { base: bigint; limit: number }>();
  #rip = 0n;
  #rflags = 2;
  getGpr(i: number): bigint {
    return this.#gpr[i] ?? 0n;
  }
  setGpr(i: number, value: bigint): void {
    this.#gpr[i] = value;
  }
  getGpr32(i: number): number {
    return Number((this.#gpr[i] ?? 0n) & 0xffffffffn);
  }
  setGpr32(i: number, value: number): void {
    this.#gpr[i] = ((this.#gpr[i] ?? 0n) & 0xffffffff00000000n) | BigInt(value >>> 0);
  }
  getRip(): bigint {
    return this.#rip;
  }
  setRip(value: bigint): void {
    this.#rip = value;
  }
  getRip32(): number {
    return Number(this.#rip & 0xffffffffn);
  }
  advanceRip(bytes: number): void {
    this.#rip += BigInt(bytes);
  }
  getSegmentSelector(segment: number): number {
    return this.getSegment(SEGMENT_NAMES[segment] ?? "cs").selector;
  }
  getSegmentBase32(segment: number): number {
    return Number(this.getSegment(SEGMENT_NAMES[segment] ?? "cs").base & 0xffffffffn);
  }
  getSegmentAccess(segment: number): number {
    return this.getSegment(SEGMENT_NAMES[segment] ?? "cs").access;
  }
  getCr0(): number {
    return Number(this.getControl("cr0") & 0xffffffffn);
  }
  getRflags(): number {
    return this.#rflags;
  }
  setRflags(value: number): void {
    this.#rflags = value;
  }
  getSegment(name: SegmentName): SegmentState {
    return this.#segments.get(name) ?? { selector: 0, base: 0n, limit: 0xffff, access: 0x93 };
  }
  setSegment(name: SegmentName, state: SegmentState): void {
    this.#segments.set(name, state);
  }
  getControl(name: string): bigint {
    return this.#control.get(name) ?? 0n;
  }
  setControl(name: string, value: bigint): void {
    this.#control.set(name, value);
  }
  getDescriptorTable(name: string): { readonly base: bigint; readonly limit: number } {
    return this.#tables.get(name) ?? { base: 0n, limit: 0xffff };
  }
  setDescriptorTable(name: string, base: bigint, limit: number): void {
    this.#tables.set(name, { base, limit });
  }
  getMsr(): undefined {
    return undefined;
  }
  setMsr(): boolean {
    return false;
  }
  getFpu() {
    return { controlWord: 0, statusWord: 0, tagWord: 0, registers: [], mxcsr: 0 };
  }
  setFpu(): void {}
  getXmm(): Uint8Array {
    return new Uint8Array(16);
  }
  setXmm(): void {}
}
