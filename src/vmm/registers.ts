import { SEGMENT_NAMES } from "../engine/api/index.ts";
import type { RegisterAccess, SegmentName } from "../engine/api/index.ts";

const VM86 = 0x20000;

/**
 * The guest's registers by their names, as the real-mode world speaks of them. Numbers are unsigned.
 * Writing a 16-bit or 8-bit part keeps the rest; writing `eax` keeps the upper half (a monitor's edit).
 */
export class GuestRegisters {
  #raw: RegisterAccess;
  constructor(raw: RegisterAccess) {
    this.#raw = raw;
  }
  /** From now on these are the registers of another CPU: services that act on whoever called. */
  follow(raw: RegisterAccess): void {
    this.#raw = raw;
  }
  #set16(i: number, v: number): void {
    this.#raw.setGpr32(i, ((this.#raw.getGpr32(i) & 0xffff0000) | (v & 0xffff)) >>> 0);
  }
  #setLow(i: number, v: number): void {
    this.#raw.setGpr32(i, ((this.#raw.getGpr32(i) & 0xffffff00) | (v & 0xff)) >>> 0);
  }
  #setHigh(i: number, v: number): void {
    this.#raw.setGpr32(i, ((this.#raw.getGpr32(i) & 0xffff00ff) | ((v & 0xff) << 8)) >>> 0);
  }
  get eax(): number {
    return this.#raw.getGpr32(0);
  }
  set eax(v: number) {
    this.#raw.setGpr32(0, v >>> 0);
  }
  get ecx(): number {
    return this.#raw.getGpr32(1);
  }
  set ecx(v: number) {
    this.#raw.setGpr32(1, v >>> 0);
  }
  get edx(): number {
    return this.#raw.getGpr32(2);
  }
  set edx(v: number) {
    this.#raw.setGpr32(2, v >>> 0);
  }
  get ebx(): number {
    return this.#raw.getGpr32(3);
  }
  set ebx(v: number) {
    this.#raw.setGpr32(3, v >>> 0);
  }
  get esp(): number {
    return this.#raw.getGpr32(4);
  }
  set esp(v: number) {
    this.#raw.setGpr32(4, v >>> 0);
  }
  get ebp(): number {
    return this.#raw.getGpr32(5);
  }
  set ebp(v: number) {
    this.#raw.setGpr32(5, v >>> 0);
  }
  get esi(): number {
    return this.#raw.getGpr32(6);
  }
  set esi(v: number) {
    this.#raw.setGpr32(6, v >>> 0);
  }
  get edi(): number {
    return this.#raw.getGpr32(7);
  }
  set edi(v: number) {
    this.#raw.setGpr32(7, v >>> 0);
  }
  get ax(): number {
    return this.#raw.getGpr32(0) & 0xffff;
  }
  set ax(v: number) {
    this.#set16(0, v);
  }
  get cx(): number {
    return this.#raw.getGpr32(1) & 0xffff;
  }
  set cx(v: number) {
    this.#set16(1, v);
  }
  get dx(): number {
    return this.#raw.getGpr32(2) & 0xffff;
  }
  set dx(v: number) {
    this.#set16(2, v);
  }
  get bx(): number {
    return this.#raw.getGpr32(3) & 0xffff;
  }
  set bx(v: number) {
    this.#set16(3, v);
  }
  get sp(): number {
    return this.#raw.getGpr32(4) & 0xffff;
  }
  set sp(v: number) {
    this.#set16(4, v);
  }
  get bp(): number {
    return this.#raw.getGpr32(5) & 0xffff;
  }
  set bp(v: number) {
    this.#set16(5, v);
  }
  get si(): number {
    return this.#raw.getGpr32(6) & 0xffff;
  }
  set si(v: number) {
    this.#set16(6, v);
  }
  get di(): number {
    return this.#raw.getGpr32(7) & 0xffff;
  }
  set di(v: number) {
    this.#set16(7, v);
  }
  get al(): number {
    return this.#raw.getGpr32(0) & 0xff;
  }
  set al(v: number) {
    this.#setLow(0, v);
  }
  get cl(): number {
    return this.#raw.getGpr32(1) & 0xff;
  }
  set cl(v: number) {
    this.#setLow(1, v);
  }
  get dl(): number {
    return this.#raw.getGpr32(2) & 0xff;
  }
  set dl(v: number) {
    this.#setLow(2, v);
  }
  get bl(): number {
    return this.#raw.getGpr32(3) & 0xff;
  }
  set bl(v: number) {
    this.#setLow(3, v);
  }
  get ah(): number {
    return (this.#raw.getGpr32(0) >>> 8) & 0xff;
  }
  set ah(v: number) {
    this.#setHigh(0, v);
  }
  get ch(): number {
    return (this.#raw.getGpr32(1) >>> 8) & 0xff;
  }
  set ch(v: number) {
    this.#setHigh(1, v);
  }
  get dh(): number {
    return (this.#raw.getGpr32(2) >>> 8) & 0xff;
  }
  set dh(v: number) {
    this.#setHigh(2, v);
  }
  get bh(): number {
    return (this.#raw.getGpr32(3) >>> 8) & 0xff;
  }
  set bh(v: number) {
    this.#setHigh(3, v);
  }
  get rip(): bigint {
    return this.#raw.getRip();
  }
  set rip(v: bigint) {
    this.#raw.setRip(v);
  }
  get rflags(): number {
    return this.#raw.getRflags();
  }
  set rflags(v: number) {
    this.#raw.setRflags(v);
  }

  /** The selector of a segment register. */
  selector(name: SegmentName): number {
    return this.#raw.getSegmentSelector(SEGMENT_NAMES.indexOf(name));
  }
  /** The hidden base, as a number (real-mode and 32-bit bases fit). */
  base(name: SegmentName): number {
    return this.#raw.getSegmentBase32(SEGMENT_NAMES.indexOf(name));
  }
  /** Loads a segment register as real mode does: base = selector*16; limit and access keep their hidden values. */
  setRealSegment(name: SegmentName, selector: number): void {
    const old = this.#raw.getSegment(name);
    this.#raw.setSegment(name, { selector: selector & 0xffff, base: BigInt((selector & 0xffff) << 4), limit: old.limit, access: old.access });
  }
  /** Loads a segment register with the power-on real-mode descriptor (limit FFFFh), or with that of virtual-8086 mode when the CPU is in it. */
  resetRealSegment(name: SegmentName, selector: number): void {
    this.#raw.setSegment(name, {
      selector: selector & 0xffff,
      base: BigInt((selector & 0xffff) << 4),
      limit: 0xffff,
      access: (this.#raw.getRflags() & VM86) !== 0 ? 0xf3 : name === "cs" ? 0x9b : 0x93,
    });
  }
  /** Everything else (control registers, MSRs, FPU). */
  get raw(): RegisterAccess {
    return this.#raw;
  }
}
