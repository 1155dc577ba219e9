import type { BiosContext, ServiceResult } from "../api.ts";
import type { BiosConfig } from "../config.ts";
import { eachPciFunction, pciRead16, pciRead32, pciRead8, pciWrite16, pciWrite32, pciWrite8 } from "./pci-config.ts";

const ERROR = { UNSUPPORTED: 0x81, BAD_VENDOR: 0x83, NOT_FOUND: 0x86, BAD_REGISTER: 0x87, SET_FAILED: 0x88, SMALL_BUFFER: 0x89 } as const;
const SIGNATURE = 0x20494350;
const VERSION = 0x0210;
/** Mechanism 1, special cycles by it. */
const MECHANISMS = 0x11;
const PIRQ_ROUTE = 0x60;
const INTERRUPT_LINE = 0x3c;

/** PCI BIOS 2.1: INT 1Ah/B1xx and the 32-bit entry. Source: PCI BIOS Specification 2.1. */
export class PciBios {
  readonly #config: BiosConfig;
  readonly #routing: Uint8Array;
  readonly #pciIrqs: number;
  /** `routing`: the rows of the PIR table, as function 0Eh returns them. */
  constructor(config: BiosConfig, routing: Uint8Array) {
    this.#config = config;
    this.#routing = routing;
    this.#pciIrqs = config.pirqIrqs.reduce((mask, irq) => mask | (1 << irq), 0);
  }

  /** Undefined: not a function of the PCI BIOS, or no PCI here. */
  handle(ctx: BiosContext): ServiceResult | undefined {
    if (!this.#config.pci) return undefined;
    const { regs } = ctx;
    switch (regs.al & 0x7f) {
      case 0x01:
        regs.edx = SIGNATURE;
        regs.al = MECHANISMS;
        regs.bx = VERSION;
        regs.cl = this.#config.lastPciBus;
        return ok(ctx);
      case 0x02:
        return this.#findDevice(ctx);
      case 0x03:
        return this.#findClass(ctx);
      case 0x06:
        return this.#specialCycle(ctx);
      case 0x08:
      case 0x09:
      case 0x0a:
        return read(ctx, regs.al & 3);
      case 0x0b:
      case 0x0c:
      case 0x0d:
        return write(ctx, (regs.al & 0x7f) - 0x0b);
      case 0x0e:
        return this.#routingOptions(ctx);
      case 0x0f:
        return this.#setIrq(ctx);
      default:
        return fail(ctx, ERROR.UNSUPPORTED);
    }
  }

  #find(ctx: BiosContext, matches: (bus: number, devfn: number, id: number) => boolean): ServiceResult {
    const { regs } = ctx;
    let index = regs.si;
    const found = eachPciFunction(ctx.ports, this.#config.lastPciBus, (bus, devfn, id) => {
      if (!matches(bus, devfn, id) || index-- > 0) return false;
      regs.bx = (bus << 8) | devfn;
      return true;
    });
    return found ? ok(ctx) : fail(ctx, ERROR.NOT_FOUND);
  }
  #findDevice(ctx: BiosContext): ServiceResult {
    const { cx, dx } = ctx.regs;
    if (dx === 0xffff) return fail(ctx, ERROR.BAD_VENDOR);
    const wanted = cx * 0x10000 + dx;
    return this.#find(ctx, (_bus, _devfn, id) => id === wanted);
  }
  #findClass(ctx: BiosContext): ServiceResult {
    const wanted = ctx.regs.ecx & 0xffffff;
    return this.#find(ctx, (bus, devfn) => pciRead32(ctx.ports, bus, devfn, 0x08) >>> 8 === wanted);
  }
  #specialCycle(ctx: BiosContext): ServiceResult {
    if (ctx.regs.bh > this.#config.lastPciBus) return fail(ctx, ERROR.NOT_FOUND);
    pciWrite32(ctx.ports, ctx.regs.bh, 0xff, 0, ctx.regs.edx);
    return ok(ctx);
  }

  /** ES:DI: word buffer length, far pointer (16:16, or 16:32 when called in 32-bit mode). */
  #routingOptions(ctx: BiosContext): ServiceResult {
    const { regs, mem } = ctx;
    const wide = (regs.raw.getSegment("cs").access & 0x4000) !== 0;
    const at = (regs.base("es") + (wide ? regs.edi : regs.di)) % 0x100000000;
    const room = mem.read16(at);
    mem.write16(at, this.#routing.length);
    if (room < this.#routing.length) return fail(ctx, ERROR.SMALL_BUFFER);
    const offset = wide ? mem.read32(at + 2) : mem.read16(at + 2);
    const selector = mem.read16(at + (wide ? 6 : 4));
    const base = wide ? selectorBase(ctx, selector) : selector * 16;
    mem.write((base + offset) % 0x100000000, this.#routing);
    regs.bx = this.#pciIrqs;
    return ok(ctx);
  }

  #setIrq(ctx: BiosContext): ServiceResult {
    const { regs } = ctx;
    const pin = regs.cl - 0x0a;
    const irq = regs.ch;
    const bridge = this.#config.isaBridgeSlot;
    if (pin < 0 || pin > 3 || irq < 3 || irq > 15 || irq === 8 || irq === 13 || bridge === undefined || regs.bh !== 0) {
      return fail(ctx, ERROR.SET_FAILED);
    }
    const slot = regs.bl >>> 3;
    pciWrite8(ctx.ports, 0, bridge << 3, PIRQ_ROUTE + ((pin + slot + 3) & 3), irq);
    pciWrite8(ctx.ports, 0, regs.bl, INTERRUPT_LINE, irq);
    return ok(ctx);
  }
}

/** Base of a selector that is loaded in some segment register; flat otherwise. */
function selectorBase(ctx: BiosContext, selector: number): number {
  for (const name of ["es", "ds", "ss", "fs", "gs", "cs"] as const) if (ctx.regs.selector(name) === selector) return ctx.regs.base(name);
  return 0;
}

function read(ctx: BiosContext, log2: number): ServiceResult {
  const { regs, ports } = ctx;
  const register = regs.di;
  if (register > 0xff || (register & ((1 << log2) - 1)) !== 0) return fail(ctx, ERROR.BAD_REGISTER);
  if (log2 === 0) regs.cl = pciRead8(ports, regs.bh, regs.bl, register);
  else if (log2 === 1) regs.cx = pciRead16(ports, regs.bh, regs.bl, register);
  else regs.ecx = pciRead32(ports, regs.bh, regs.bl, register);
  return ok(ctx);
}
function write(ctx: BiosContext, log2: number): ServiceResult {
  const { regs, ports } = ctx;
  const register = regs.di;
  if (register > 0xff || (register & ((1 << log2) - 1)) !== 0) return fail(ctx, ERROR.BAD_REGISTER);
  if (log2 === 0) pciWrite8(ports, regs.bh, regs.bl, register, regs.cl);
  else if (log2 === 1) pciWrite16(ports, regs.bh, regs.bl, register, regs.cx);
  else pciWrite32(ports, regs.bh, regs.bl, register, regs.ecx);
  return ok(ctx);
}

function ok(ctx: BiosContext): ServiceResult {
  ctx.regs.ah = 0;
  ctx.setCarry(false);
  return "done";
}
function fail(ctx: BiosContext, code: number): ServiceResult {
  ctx.regs.ah = code;
  ctx.setCarry(true);
  return "done";
}
