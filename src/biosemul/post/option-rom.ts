import type { BiosContext, ServiceResult } from "../api.ts";

const END_SEGMENT = 0xe000;
const STEP_PARAGRAPHS = 0x80;
const ENTRY_OFFSET = 3;

/**
 * One step of the expansion-ROM scan: from segment SI up, finds the next image with 55 AA and a zero checksum. AX = entry
 * offset or 0, BX = its segment, SI = where to go on.
 */
export function nextOptionRom(ctx: BiosContext): ServiceResult {
  const { regs, mem } = ctx;
  for (let segment = regs.si; segment >= 0xc000 && segment < END_SEGMENT; segment += STEP_PARAGRAPHS) {
    const base = segment * 16;
    if (mem.read8(base) !== 0x55 || mem.read8(base + 1) !== 0xaa) continue;
    const length = mem.read8(base + 2) * 512;
    const rom = new Uint8Array(length);
    mem.read(base, rom);
    let sum = 0;
    for (let i = 0; i < length; i++) sum += rom[i] ?? 0;
    if (length === 0 || (sum & 0xff) !== 0) continue;
    regs.ax = ENTRY_OFFSET;
    regs.bx = segment;
    regs.si = segment + Math.max(STEP_PARAGRAPHS, Math.ceil(length / 2048) * STEP_PARAGRAPHS);
    return "done";
  }
  regs.ax = 0;
  regs.si = END_SEGMENT;
  return "done";
}
