import { decode, type Insn } from "../../../isa/index.ts";
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
    this.lowering = new RecordWriter(cpu, image, this.insns, standIn("ud2"), standIn("too_long"));
  }
  /** The scratch records are going to hold something else. */
  dropScratch(): void {
    this.blocks.copied = undefined;
    this.insns.free(this.insns.scratch);
  }
}

/** An instruction for bytes that are none. */
function standIn(sem: string): Insn {
  const ud2 = decode(new Uint8Array([0x0f, 0x0b]), 0, 2, 32);
  if ("failure" in ud2) throw new Error("UD2 does not decode");
  return { ...ud2, row: { ...ud2.row, sem, facts: { ...ud2.row.facts, endsBlock: true } } };
}
