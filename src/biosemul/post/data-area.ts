import { BDA, EBDA, MEM } from "../../isa/index.ts";
import type { BiosContext } from "../api.ts";
import { BASE_MEMORY_KB, EBDA_SEGMENT } from "../bda.ts";
import type { BiosConfig } from "../config.ts";
import { readCmos } from "../int/int70.ts";
import type { RomImage } from "../rom/image.ts";

const ROM_SEGMENT = 0xf000;
const EBDA_BASE = EBDA_SEGMENT * 16;
/** Hundredths of seconds times PIT rate: ticks a second. */
const TICKS_A_SECOND = 1193182 / 65536;
const WARM_BOOT = 0x1234;

/** The equipment word (INT 11h). */
export function equipmentWord(config: BiosConfig): number {
  const floppies = config.floppyTypes.filter((type) => type !== 0).length;
  const coms = config.comPorts.filter((base) => base !== 0).length;
  const lpts = config.lptPorts.filter((base) => base !== 0).length;
  let word = 0x20; // 80x25 colour
  if (floppies > 0) word |= 1 | ((floppies - 1) << 6);
  if (config.fpu) word |= 2;
  if (config.mouse) word |= 4;
  return word | (Math.min(coms, 4) << 9) | (Math.min(lpts, 3) << 14);
}

/** Interrupt vectors from the ROM's list. */
export function installVectors(ctx: BiosContext, rom: RomImage): void {
  for (let n = 0; n < 256; n++) {
    const offset = rom.vectors[n] ?? -1;
    ctx.mem.write16(n * 4, offset < 0 ? 0 : offset);
    ctx.mem.write16(n * 4 + 2, offset < 0 ? 0 : ROM_SEGMENT);
  }
}

/** Clears and fills the BIOS data areas; keeps the warm-boot mark. */
export function installDataAreas(ctx: BiosContext, config: BiosConfig, rom: RomImage): void {
  const { mem } = ctx;
  const warm = mem.read16(BDA.RESET_FLAG) === WARM_BOOT;
  mem.write(MEM.BDA, new Uint8Array(0x105));
  mem.write(EBDA_BASE, new Uint8Array(1024));
  if (warm) mem.write16(BDA.RESET_FLAG, WARM_BOOT);
  for (let i = 0; i < 4; i++) mem.write16(BDA.COM + i * 2, config.comPorts[i] ?? 0);
  for (let i = 0; i < 3; i++) mem.write16(BDA.LPT + i * 2, config.lptPorts[i] ?? 0);
  mem.write16(BDA.EBDA_SEGMENT, EBDA_SEGMENT);
  mem.write16(BDA.EQUIPMENT, equipmentWord(config));
  mem.write16(BDA.BASE_MEMORY_KB, BASE_MEMORY_KB);
  mem.write16(BDA.KEY_HEAD, 0x1e);
  mem.write16(BDA.KEY_TAIL, 0x1e);
  mem.write16(BDA.KEY_RING_START, 0x1e);
  mem.write16(BDA.KEY_RING_END, 0x3e);
  mem.write8(BDA.KEY_FLAGS3, 0x10); // 101/102-key keyboard
  mem.write8(BDA.DISK_COUNT, Math.min(0x80, ctx.drives.filter((drive) => drive.kind === "hard-disk").length));
  for (let i = 0; i < 3; i++) mem.write8(BDA.LPT_TIMEOUT + i, 0x14);
  for (let i = 0; i < 4; i++) mem.write8(BDA.COM_TIMEOUT + i, 0x01);
  config.floppyTypes.slice(0, 2).forEach((type, i) => {
    if (type !== 0) mem.write8(BDA.FLOPPY_MEDIA + i, 0x07);
  });
  mem.write32(BDA.TICKS, ticksNow(ctx));
  mem.write8(EBDA_BASE + EBDA.SIZE_KB, 1);
  mem.write16(EBDA_BASE + EBDA.MOUSE_HANDLER, rom.address("mouse_nothing"));
  mem.write16(EBDA_BASE + EBDA.MOUSE_HANDLER + 2, ROM_SEGMENT);
  mem.write8(EBDA_BASE + EBDA.MOUSE_FLAGS2, 2);
  installDiskTables(ctx);
}

function bcd(value: number): number {
  return (value >>> 4) * 10 + (value & 15);
}
/** Ticks since midnight by the clock. */
function ticksNow(ctx: BiosContext): number {
  const seconds = (bcd(readCmos(ctx, 4)) % 24) * 3600 + (bcd(readCmos(ctx, 2)) % 60) * 60 + (bcd(readCmos(ctx, 0)) % 60);
  return Math.floor(seconds * TICKS_A_SECOND);
}

/** Fixed-disk parameter tables of units 0 and 1 in the EBDA, found by INT 41h and 46h. */
function installDiskTables(ctx: BiosContext): void {
  const { mem } = ctx;
  for (const [unit, offset, vector] of [
    [0, EBDA.DISK_TABLE0, 0x41],
    [1, EBDA.DISK_TABLE1, 0x46],
  ] as const) {
    const disk = ctx.drives.find((drive) => drive.kind === "hard-disk" && drive.unit === unit);
    if (disk === undefined) continue;
    const { cylinders, heads, sectors } = disk.geometry;
    const at = EBDA_BASE + offset;
    mem.write16(at, Math.min(cylinders, 1024));
    mem.write8(at + 2, heads);
    mem.write16(at + 5, 0xffff);
    mem.write8(at + 8, 0xc0 | (heads > 8 ? 8 : 0));
    mem.write16(at + 12, Math.min(cylinders, 1024));
    mem.write8(at + 14, sectors);
    mem.write16(vector * 4, offset);
    mem.write16(vector * 4 + 2, EBDA_SEGMENT);
  }
}
