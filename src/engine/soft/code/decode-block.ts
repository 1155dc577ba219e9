import { type CodeSize, decode, type DecodeResult, type Insn } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import type { Mmu } from "../mmu/mmu.ts";
import { REC, REC_BYTES } from "../state-layout.ts";
import { type Block, MAX_BLOCK, SCRATCH_FIRST } from "./block.ts";
import type { GuestCode } from "./guest-code.ts";
import type { Lookups } from "./lookups.ts";

/** Where a block is to begin. */
export interface Start {
  readonly la: number;
  readonly gpa: number;
  readonly codeSize: CodeSize;
  /** The bytes that CS allows from here. */
  readonly allowed: number;
}

/** Bytes of the longest instruction. */
const MAX_LENGTH = 15;
const GENERAL_PROTECTION = 13;

/** Makes records of the bytes at an address. All answer the first record, or 0 with a fault or exit recorded. */
export class BlockDecoder {
  readonly #cpu: Cpu;
  readonly #mmu: Mmu;
  readonly #code: GuestCode;
  readonly #lookups: Lookups;
  readonly #bytes = new Uint8Array(32);
  /** Of the instruction that `#crossing` decoded: page and offset that it ends on. */
  #nextPage = -1;
  #nextEnd = 0;

  constructor(cpu: Cpu, mmu: Mmu, code: GuestCode, lookups: Lookups) {
    this.#cpu = cpu;
    this.#mmu = mmu;
    this.#code = code;
    this.#lookups = lookups;
  }
  #fault(): number {
    this.#cpu.fault.vector = GENERAL_PROTECTION;
    this.#cpu.fault.errorCode = 0;
    return 0;
  }

  /** A block in memory that lies at wasm address `host`, at most `limit` instructions long. A natural one is kept; one that the limit cuts is not. */
  decode(start: Start, host: number, limit: number): number {
    const { blocks, insns, lowering } = this.#code;
    const { codeSize, allowed } = start;
    const bytes = this.#cpu.u8;
    const off = start.gpa & 0xfff;
    const page = Math.floor(start.gpa / 4096);
    let scratch = limit < MAX_BLOCK;
    const first = scratch ? SCRATCH_FIRST : blocks.makeRoom(page);
    if (scratch) this.#code.dropScratch();
    let kept = scratch ? insns.scratch : [];
    this.#nextPage = -1;
    this.#nextEnd = 0;
    let at = off;
    let count = 0;
    while (count < limit) {
      const room = Math.min(4096 - at, allowed - (at - off));
      if (room <= 0) break;
      let result = decode(bytes, host - off + at, room, codeSize);
      if ("failure" in result && result.failure === "more") {
        if (count > 0) break;
        const whole = this.#crossing(start, host);
        if (whole === undefined) return 0;
        result = whole;
        if (this.#mmu.physical.page(this.#nextPage) === 0) {
          scratch = true;
          kept = insns.scratch;
        }
      }
      const insn = this.#insnOf(result);
      lowering.write(first + count * REC_BYTES, insn, at, count, kept);
      count++;
      at += "failure" in result ? Math.max(result.length, 1) : insn.length;
      if ("failure" in result || lowering.ends(insn) || this.#nextPage >= 0) break;
    }
    if (count === 0) return this.#fault();
    this.#finish(first, count, at);
    if (!scratch) this.#keep(start, first, count, at, kept);
    return first;
  }
  #insnOf(result: DecodeResult): Insn {
    return "failure" in result ? this.#code.lowering.invalid(result.failure === "long") : result;
  }
  /** The record behind the last one, always: an instruction that ends a block may still go on (helpers, branches not taken). */
  #finish(first: number, count: number, ipOff: number): void {
    const { u16 } = this.#cpu;
    this.#code.lowering.writeEnd(first + count * REC_BYTES, ipOff, count);
    for (let i = 0; i <= count; i++) u16[(first + i * REC_BYTES + REC.blockCount) >> 1] = count;
  }
  #keep({ la, gpa, codeSize }: Start, rec: number, count: number, at: number, insns: number[]): void {
    const nextPage = this.#nextPage;
    const block: Block = {
      rec,
      records: count + 1,
      page: Math.floor(gpa / 4096),
      codeSize,
      heat: 0,
      regions: [],
      start: gpa & 0xfff,
      end: Math.min(at, 4096),
      nextPage,
      nextEnd: this.#nextEnd,
      insns,
      incoming: [],
      dead: false,
    };
    this.#code.blocks.add(block);
    if (nextPage < 0) this.#lookups.cache(la, rec);
  }
  /** A block's first instruction, which runs over the page's end (or over the limit). */
  #crossing({ la, gpa, codeSize, allowed }: Start, host: number): DecodeResult | undefined {
    const head = 4096 - (gpa & 0xfff);
    if (allowed < MAX_LENGTH && allowed <= head) {
      this.#fault();
      return undefined;
    }
    const second = this.#lookups.fetchNext(la);
    if (second < 0) return undefined;
    const bytes = this.#bytes;
    bytes.set(this.#cpu.u8.subarray(host, host + head));
    for (let i = 0; i < MAX_LENGTH; i++) {
      const v = this.#mmu.access.read(second + i, 1);
      if (v < 0) return undefined;
      bytes[head + i] = v;
    }
    const result = decode(bytes, 0, Math.min(head + MAX_LENGTH, allowed), codeSize);
    const failed = "failure" in result;
    if (failed && result.failure === "more") {
      this.#fault();
      return undefined;
    }
    this.#nextPage = Math.floor(second / 4096);
    this.#nextEnd = failed ? 1 : result.length - head;
    return result;
  }

  /** Code in MMIO space: one instruction, byte by byte, never kept. */
  decodeUncached({ la, gpa, codeSize, allowed }: Start): number {
    this.#code.dropScratch();
    const bytes = this.#bytes;
    const off = gpa & 0xfff;
    const n = Math.min(MAX_LENGTH, allowed);
    let have = 0;
    for (; have < n; have++) {
      let at = gpa + have;
      if (off + have >= 4096) {
        const second = this.#lookups.fetchNext(la);
        if (second < 0) break;
        at = second + (off + have - 4096);
      }
      const host = this.#mmu.physical.host(at);
      const v = host !== 0 ? this.#cpu.u8[host] : this.#cpu.io.mmioRead(at, 1);
      bytes[have] = v < 0 ? 0xff : v;
    }
    const result = decode(bytes, 0, have, codeSize);
    if ("failure" in result && result.failure === "more") return have < n ? 0 : this.#fault();
    const insn = this.#insnOf(result);
    this.#code.lowering.write(SCRATCH_FIRST, insn, off, 0, this.#code.insns.scratch);
    this.#finish(SCRATCH_FIRST, 1, off + insn.length);
    return SCRATCH_FIRST;
  }
}
