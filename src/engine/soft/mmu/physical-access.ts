import { PAGE_SIZE } from "../../../isa/index.ts";
import type { CpuState } from "../cpu-state.ts";
import { plain } from "../exits.ts";
import type { CodeBlocks } from "./code-watch.ts";
import type { PhysicalMap } from "./physical.ts";

const PAGE = PAGE_SIZE;
/** Exit qualifications of EPT violations: the linear address is valid and was translated; read, write. */
const READ_VIOLATION = 0x181n,
  WRITE_VIOLATION = 0x182n;

type Size = 1 | 2 | 4;
const cut = (value: number, bytes: Size): number => (bytes === 4 ? value >>> 0 : value & (bytes === 1 ? 0xff : 0xffff));

/** Accesses by guest-physical address, as one CPU makes them: RAM, ROM, its local APIC's page, devices, and what a monitor answers instead of them. */
export class PhysicalAccess {
  readonly #cpu: CpuState;
  readonly #physical: PhysicalMap;
  /** Who keeps decoded code; set by the MMU. */
  blocks: CodeBlocks;
  /** An MMIO read that left as an exit and now has its answer. */
  answer: { readonly gpa: number; readonly value: number } | undefined;
  /** An MMIO write that left as an exit and has been done by the monitor. */
  written: number | undefined;
  /**
   * Parts of the access in progress that a monitor has answered or done one by one (an access of 8 or 16 bytes, or across pages, is several to
   * a device, and begins anew behind each exit). Forgotten when the access is complete.
   */
  readonly #answered = new Map<number, number>();
  readonly #done = new Set<number>();
  /** What devices answered the instruction of a region that reads, in order; and whether an instruction is done again, with the same answers. */
  readonly answers: number[] = [];
  noting = false;
  repeating = false;

  constructor(cpu: CpuState, physical: PhysicalMap, blocks: CodeBlocks) {
    this.#cpu = cpu;
    this.#physical = physical;
    this.blocks = blocks;
  }
  /** The physical map as this CPU sees it: its APIC page covers what is mapped there. Entry of a page, as PhysicalMap has it. */
  page(page: number): number {
    return page === this.#cpu.apicPage ? 0 : this.#physical.page(page);
  }
  /** Wasm address of a byte, or 0. */
  host(gpa: number): number {
    return Math.floor(gpa / PAGE) === this.#cpu.apicPage ? 0 : this.#physical.host(gpa);
  }
  /** All parts of a read have been made, unless one left as an exit. */
  endRead(): void {
    if (this.#answered.size > 0 && this.#cpu.exit === undefined) this.#answered.clear();
  }
  /** The same of a write. */
  endWrite(): void {
    if (this.#done.size > 0 && this.#cpu.exit === undefined) this.#done.clear();
  }

  #load(host: number, bytes: Size): number {
    const { u8, view } = this.#cpu;
    return bytes === 1 ? u8[host] : bytes === 2 ? view.getUint16(host, true) : view.getUint32(host, true);
  }
  /** -1: left as an exit. Never crosses a page. */
  read(gpa: number, bytes: Size): number {
    const cpu = this.#cpu;
    const host = this.host(gpa);
    if (host !== 0) return this.#load(host, bytes);
    if (this.repeating && this.answers.length > 0) return this.answers.shift() ?? 0;
    if (Math.floor(gpa / PAGE) === cpu.apicPage) return this.#noted(cpu.localApic?.pageRead(gpa % PAGE, bytes) ?? 0);
    const v = cpu.io.mmioRead(gpa, bytes);
    if (v >= 0) return this.#noted(v);
    const { answer } = this;
    if (answer !== undefined && answer.gpa === gpa) {
      this.answer = undefined;
      this.#answered.set(gpa, answer.value);
      return cut(answer.value, bytes);
    }
    const part = this.#answered.get(gpa);
    if (part !== undefined) return cut(part, bytes);
    cpu.exit = { kind: "mmio-read", gpa, size: bytes, ...plain("mmio-read", READ_VIOLATION) };
    return -1;
  }
  #noted(value: number): number {
    if (this.noting) this.answers.push(value);
    return value;
  }
  /** False: left as an exit. */
  write(gpa: number, bytes: Size, value: number): boolean {
    const cpu = this.#cpu;
    const entry = this.page(Math.floor(gpa / PAGE));
    if (entry > 0) {
      this.#store(entry, gpa, bytes, value);
      return true;
    }
    if (entry < 0) return true; // ROM
    if (Math.floor(gpa / PAGE) === cpu.apicPage) {
      cpu.localApic?.pageWrite(gpa % PAGE, bytes, value);
      return true;
    }
    if (cpu.io.mmioWrite(gpa, bytes, value)) return true;
    if (this.written === gpa) {
      this.written = undefined;
      this.#done.add(gpa);
      return true;
    }
    if (this.#done.has(gpa)) return true;
    cpu.exit = { kind: "mmio-write", gpa, size: bytes, value, ...plain("mmio-write", WRITE_VIOLATION) };
    return false;
  }
  #store(entry: number, gpa: number, bytes: Size, value: number): void {
    const host = entry * PAGE + (gpa % PAGE);
    // Loaders patch their mode switch with the bytes that stand there already: decoded code stays good then.
    if (this.#load(host, bytes) === cut(value, bytes)) return;
    this.blocks.written(gpa, bytes);
    this.#physical.pageWritten(entry);
    const { u8, view } = this.#cpu;
    if (bytes === 1) u8[host] = value;
    else if (bytes === 2) view.setUint16(host, value, true);
    else view.setUint32(host, value, true);
  }
}
