import { kinds } from "../../base/index.ts";
import type { Pc } from "../pc.ts";
import type { Guard } from "./guard.ts";

const { bytes: byteArray, integer } = kinds;

/** The CPU's physical addresses have 40 bits (CPUID 80000008h). */
const ADDRESSES = 2 ** 40;
const ADDRESS = integer(0, ADDRESSES - 1, "a physical address from 0 to FF_FFFF_FFFFh");
/** Far above any memory that a machine can have; the copy is made at once. */
const MAX_BYTES = 2 ** 32;
const LENGTH = integer(0, MAX_BYTES, "a number of bytes");

/** Guest-physical memory. */
export class MemoryAccess {
  readonly #pc: Pc;
  readonly #guard: Guard;
  constructor(pc: Pc, guard: Guard) {
    this.#pc = pc;
    this.#guard = guard;
  }
  get sizeBytes(): number {
    return this.#pc.config.memoryBytes;
  }
  /** A copy of `length` bytes. Addresses without memory read as FFh. */
  read(gpa: number, length: number): Uint8Array {
    this.#guard("memory.read()", ["gpa", ADDRESS, gpa], ["length", LENGTH, length]);
    const bytes = new Uint8Array(length);
    this.#pc.vm.memory.read(gpa, bytes);
    return bytes;
  }
  /** Changes RAM; writes to ROM or nowhere vanish. */
  write(gpa: number, bytes: Uint8Array): void {
    this.#guard("memory.write()", ["gpa", ADDRESS, gpa], ["bytes", byteArray, bytes]);
    this.#pc.vm.memory.write(gpa, bytes);
  }
}
