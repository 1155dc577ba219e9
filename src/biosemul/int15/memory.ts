import type { BiosContext, ServiceResult } from "../api.ts";
import type { BiosConfig } from "../config.ts";
import { e801, extendedKb, memoryMap } from "../memory-map.ts";
import type { MemoryRange } from "../memory-map.ts";

const SMAP = 0x534d4150;
const ROW_BYTES = 20;
const ROW_BYTES_ACPI3 = 24;
const UNSUPPORTED = 0x86;

/** INT 15h/88h, E801h, E820h, E881h: how much memory there is. */
export class MemorySizes {
  readonly #map: readonly MemoryRange[];
  readonly #lowKb: number;
  readonly #high64k: number;
  readonly #kb88: number;
  constructor(config: BiosConfig) {
    this.#map = memoryMap(config);
    const sizes = e801(config);
    this.#lowKb = sizes.lowKb;
    this.#high64k = sizes.high64k;
    this.#kb88 = extendedKb(config, 0xfc00);
  }

  extended(ctx: BiosContext): ServiceResult {
    ctx.regs.ax = this.#kb88;
    ctx.setCarry(false);
    return "done";
  }

  e801(ctx: BiosContext): ServiceResult {
    const regs = ctx.regs;
    regs.ax = this.#lowKb;
    regs.cx = this.#lowKb;
    regs.bx = this.#high64k;
    regs.dx = this.#high64k;
    ctx.setCarry(false);
    return "done";
  }

  e881(ctx: BiosContext): ServiceResult {
    const regs = ctx.regs;
    regs.eax = this.#lowKb;
    regs.ecx = this.#lowKb;
    regs.ebx = this.#high64k;
    regs.edx = this.#high64k;
    ctx.setCarry(false);
    return "done";
  }

  /** Continuation values are row numbers: some callers keep only the low half of EBX. */
  e820(ctx: BiosContext): ServiceResult {
    const regs = ctx.regs;
    const index = regs.ebx;
    const row = this.#map[index];
    if (regs.edx !== SMAP || regs.ecx < ROW_BYTES || row === undefined) {
      regs.ah = UNSUPPORTED;
      ctx.setCarry(true);
      return "done";
    }
    const at = ctx.linear(regs.selector("es"), regs.di);
    write64(ctx, at, row.start);
    write64(ctx, at + 8, row.length);
    ctx.mem.write32(at + 16, row.type);
    const long = regs.ecx >= ROW_BYTES_ACPI3;
    if (long) ctx.mem.write32(at + 20, 1);
    regs.ecx = long ? ROW_BYTES_ACPI3 : ROW_BYTES;
    regs.eax = SMAP;
    regs.ebx = index + 1 < this.#map.length ? index + 1 : 0;
    ctx.setCarry(false);
    return "done";
  }
}

function write64(ctx: BiosContext, at: number, value: number): void {
  ctx.mem.write32(at, value % 0x100000000);
  ctx.mem.write32(at + 4, Math.floor(value / 0x100000000));
}
