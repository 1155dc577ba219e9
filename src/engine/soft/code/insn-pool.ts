import type { Insn } from "../../../isa/index.ts";
import type { SystemHelper } from "../cpu.ts";

/** Instructions kept for helpers at most (objects of some hundred bytes). */
const MAX_INSNS = 1 << 18;

/** Instructions that helpers need, by index in REC.link. */
export class InsnPool {
  readonly #helperFor: (insn: Insn) => SystemHelper;
  readonly insns: (Insn | undefined)[] = [];
  /** Their helpers, side by side. */
  readonly helpers: SystemHelper[] = [];
  readonly #free: number[] = [];
  /** Instructions of killed blocks: still needed while the block that killed itself finishes. */
  readonly #retired: number[] = [];
  /** Instructions of the scratch records. */
  readonly scratch: number[] = [];

  constructor(helperFor: (insn: Insn) => SystemHelper) {
    this.#helperFor = helperFor;
  }
  /** Index of the instruction from now on, noted in `list`. */
  keep(insn: Insn, list: number[]): number {
    const i = this.#free.pop() ?? this.insns.length;
    this.insns[i] = insn;
    this.helpers[i] = this.#helperFor(insn);
    list.push(i);
    return i;
  }
  /** Gives the instructions of a list back, and empties it. */
  free(list: number[]): void {
    for (const i of list) this.insns[i] = undefined;
    for (const i of list) this.#free.push(i);
    list.length = 0;
  }
  retire(list: readonly number[]): void {
    for (const i of list) this.#retired.push(i);
  }
  /** No generated code is running: what killed blocks left goes. A guest that resets or rewrites itself for ever kills blocks for ever. */
  reclaim(): void {
    this.free(this.#retired);
  }
  get full(): boolean {
    return this.insns.length > MAX_INSNS;
  }
  /** Instructions held for helpers. */
  get kept(): number {
    return this.insns.length - this.#free.length;
  }
  clear(): void {
    this.insns.length = 0;
    this.helpers.length = 0;
    this.#free.length = 0;
    this.#retired.length = 0;
    this.scratch.length = 0;
  }
}
