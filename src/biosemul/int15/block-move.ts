import { PORT } from "../../isa/index.ts";
import type { BiosContext, ServiceResult } from "../api.ts";
import type { GuestRegisters, PhysicalMemory } from "../../vmm/index.ts";

const MAX_WORDS = 0x8000;
const BAD_GDT = 2;
/** Offsets in the caller's table of eight descriptors. */
const GDT_SELF = 0x08;
const SOURCE = 0x10;
const TARGET = 0x18;

/** Base of a descriptor: bytes 2, 3, 4 and 7. */
function descriptorBase(ctx: BiosContext, at: number): number {
  const mem = ctx.mem;
  return mem.read16(at + 2) + mem.read8(at + 4) * 0x10000 + mem.read8(at + 7) * 0x1000000;
}
function descriptorLimit(ctx: BiosContext, at: number): number {
  const mem = ctx.mem;
  const raw = mem.read16(at) | ((mem.read8(at + 6) & 0x0f) << 16);
  return (mem.read8(at + 6) & 0x80) !== 0 ? raw * 0x1000 + 0xfff : raw;
}

/** INT 15h/87h: moves up to 64 KB anywhere below 4 GiB, also past a closed A20 gate (`memory`), which stays as it is. */
export function blockMove(ctx: BiosContext, memory: PhysicalMemory): ServiceResult {
  const regs = ctx.regs;
  const words = regs.cx;
  const table = ctx.linear(regs.selector("es"), regs.si);
  const source = descriptorBase(ctx, table + SOURCE);
  const target = descriptorBase(ctx, table + TARGET);
  const bytes = words * 2;
  const fits = bytes - 1 <= descriptorLimit(ctx, table + SOURCE) && bytes - 1 <= descriptorLimit(ctx, table + TARGET);
  if (words > MAX_WORDS || (words > 0 && !fits)) {
    regs.ah = BAD_GDT;
    ctx.setCarry(true);
    ctx.setZero(false);
    return "done";
  }
  if (bytes > 0) {
    const copy = new Uint8Array(bytes);
    memory.read(source, copy);
    memory.write(target, copy);
  }
  regs.ah = 0;
  ctx.setCarry(false);
  ctx.setZero(true);
  return "done";
}

function loadSegment(ctx: BiosContext, name: "cs" | "ds" | "es" | "ss", table: number, selector: number): void {
  const at = table + selector;
  const access = ctx.mem.read8(at + 5) | ((ctx.mem.read8(at + 6) & 0xf0) << 8) | 1;
  ctx.regs.raw.setSegment(name, { selector, base: BigInt(descriptorBase(ctx, at)), limit: descriptorLimit(ctx, at), access });
}

function programPic(ctx: BiosContext, port: number, base: number, cascade: number): void {
  ctx.ports.out8(port, 0x11);
  ctx.ports.out8(port + 1, base);
  ctx.ports.out8(port + 1, cascade);
  ctx.ports.out8(port + 1, 0x01);
  ctx.ports.out8(port + 1, 0xff);
}

/** Must a present code (or data) descriptor be there before the switch, or the guest would triple-fault instead of getting AH=FFh. */
function usable(ctx: BiosContext, at: number, code: boolean): boolean {
  const type = ctx.mem.read8(at + 5);
  return (type & 0x90) === 0x90 && ((type & 0x08) !== 0) === code;
}

/**
 * INT 15h/89h: to protected mode with the caller's table: 08 GDT, 10 IDT, 18 DS, 20 ES, 28 SS, 30 CS. Interrupts are off and
 * masked, the controllers have the bases in BH and BL, and the caller goes on after its INT in selector 30h.
 */
export function enterProtectedMode(ctx: BiosContext, dropFrame: (bytes: number) => void, returnOffset: number): ServiceResult {
  const regs: GuestRegisters = ctx.regs;
  const raw = regs.raw;
  const table = ctx.linear(regs.selector("es"), regs.si);
  // (A caller that is there already, in V86, may not load what this loads.)
  if ((raw.getCr0() & 1) !== 0 || !usable(ctx, table + 0x30, true) || !usable(ctx, table + 0x18, false) || !usable(ctx, table + 0x28, false)) {
    regs.ah = 0xff;
    ctx.setCarry(true);
    return "done";
  }
  ctx.ports.out8(PORT.SYSTEM_A, (ctx.ports.in8(PORT.SYSTEM_A) | 2) & 0xfe);
  programPic(ctx, 0x20, regs.bh, 4);
  programPic(ctx, 0xa0, regs.bl, 2);
  dropFrame(6);
  raw.setDescriptorTable("gdtr", BigInt(descriptorBase(ctx, table + GDT_SELF)), ctx.mem.read16(table + GDT_SELF));
  raw.setDescriptorTable("idtr", BigInt(descriptorBase(ctx, table + 0x10)), ctx.mem.read16(table + 0x10));
  regs.ah = 0;
  regs.rflags = 2;
  raw.setControl("cr0", raw.getControl("cr0") | 1n);
  loadSegment(ctx, "ds", table, 0x18);
  loadSegment(ctx, "es", table, 0x20);
  loadSegment(ctx, "ss", table, 0x28);
  loadSegment(ctx, "cs", table, 0x30);
  regs.rip = BigInt(returnOffset);
  return "redirected";
}
