import type { Cpu } from "../cpu.ts";
import type { PhysicalMap } from "../mmu/physical.ts";
import { Blocks } from "./blocks.ts";
import type { InterpreterImage } from "./image.ts";
import { InsnPool } from "./insn-pool.ts";
import { RecordWriter } from "./lower.ts";
import { helperFor } from "./helpers.ts";
import { Stops } from "./stops.ts";

/** The decoded code of a VM, which its CPUs share. */
export class GuestCode {
  readonly insns: InsnPool;
  readonly stops: Stops;
  readonly blocks: Blocks;
  readonly lowering: RecordWriter;

  /** `cpu`: any of them; all have the same features and see the same memory. */
  constructor(cpu: Cpu, physical: PhysicalMap, image: InterpreterImage) {
    this.insns = new InsnPool((insn) => helperFor(cpu.features, insn));
    this.stops = new Stops(cpu);
    this.blocks = new Blocks(cpu, physical, this.insns, this.stops);
    this.lowering = new RecordWriter(cpu, image, this.insns);
  }
  /** The scratch records are going to hold something else. */
  dropScratch(): void {
    this.blocks.copied = undefined;
    this.insns.free(this.insns.scratch);
  }
}
