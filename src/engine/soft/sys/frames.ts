import { VECTOR } from "../../../isa/index.ts";
import type { Cpu } from "../cpu.ts";
import { TR } from "../cpu-state.ts";
import type { Descriptor } from "./descriptor.ts";
import { inSegment, readStack } from "./descriptor.ts";
import { isCanonical, linear, wide } from "./words.ts";
import { hostForStore, load, store } from "./memory.ts";

/** Frames on stacks that are not (yet) the current one, and the stacks that a TSS names. */

/** Inner stack of a 16- or 32-bit TSS. */
export interface InnerStack {
  readonly sp: number;
  readonly descriptor: Descriptor;
}

/** SS:ESP for privilege `cpl` from the current TSS, with all checks of SDM INT n and CALL ("#TS(selector + EXT)"). */
export function innerStack(cpu: Cpu, cpl: number, ext: number): InnerStack {
  const base = cpu.baseNumber(TR);
  const limit = cpu.limit(TR);
  const tssCode = (cpu.selector(TR) & 0xfffc) | ext;
  let sp: number;
  let selector: number;
  if ((cpu.access(TR) & 8) !== 0) {
    const at = cpl * 8 + 4;
    if (at + 5 > limit) cpu.raise(VECTOR.TS, tssCode);
    sp = load(cpu, linear(cpu, base + at), 4, false) >>> 0;
    selector = load(cpu, linear(cpu, base + at + 4), 2, false);
  } else {
    const at = cpl * 4 + 2;
    if (at + 3 > limit) cpu.raise(VECTOR.TS, tssCode);
    sp = load(cpu, linear(cpu, base + at), 2, false);
    selector = load(cpu, linear(cpu, base + at + 2), 2, false);
  }
  if ((selector & 0xfffc) === 0) cpu.raise(VECTOR.TS, ext);
  return { sp, descriptor: readStack(cpu, selector, cpl, VECTOR.TS, ext) };
}

/** A stack pointer of the 64-bit TSS: `offset` 4, 12, 20 for RSP0-2, 24h + 8n for the IST. */
export function tssPointer64(cpu: Cpu, offset: number, ext: number): number {
  if (offset + 7 > cpu.limit(TR)) cpu.raise(VECTOR.TS, (cpu.selector(TR) & 0xfffc) | ext);
  const la = cpu.baseNumber(TR) + offset;
  const sp = wide(load(cpu, la, 4, false), load(cpu, la + 4, 4, false));
  if (!isCanonical(sp)) cpu.raise(VECTOR.SS, ext);
  return sp;
}

/** A stack by its parts: segment and stack pointer. */
export interface StackPlace {
  readonly base: number;
  readonly limit: number;
  readonly access: number;
  readonly sp: number;
}

/**
 * Pushes `values` (in push order) of 2 or 4 bytes on the stack segment given by its parts; gives the new stack pointer.
 * Limits first (#SS(code)), then pages, then the stores: nothing is written when anything faults.
 */
export function pushFrame(cpu: Cpu, stack: StackPlace, size: number, values: readonly number[], user: boolean, code: number): number {
  const { base, limit, access, sp } = stack;
  const mask = (access & 0x4000) !== 0 ? 0xffffffff : 0xffff;
  const count = values.length;
  let at = sp;
  for (let i = 0; i < count; i++) {
    at = ((at - size) & mask) >>> 0;
    if (!inSegment(limit, access, at, size)) cpu.raise(VECTOR.SS, code);
  }
  const first = linear(cpu, base + (((sp - size) & mask) >>> 0));
  const last = linear(cpu, base + at);
  if (((first + size - 1) ^ last) & ~0xfff) {
    cpu.mmu.probeWrite(last, size, user);
    cpu.mmu.probeWrite(first, size, user);
  }
  const span = count * size;
  const host = last + span === first + size ? hostForStore(cpu, last, span, user) : 0;
  if (host !== 0) {
    for (let i = 0, to = host + span; i < count; i++) {
      to -= size;
      if (size === 2) cpu.view.setUint16(to, values[i], true);
      else cpu.view.setUint32(to, values[i], true);
    }
    return mask === 0xffff ? ((sp & 0xffff0000) | at) >>> 0 : at;
  }
  at = sp;
  for (let i = 0; i < count; i++) {
    at = ((at - size) & mask) >>> 0;
    store(cpu, linear(cpu, base + at), size, size === 2 ? values[i] & 0xffff : values[i] >>> 0, user);
  }
  // The bits of ESP above a 16-bit stack's pointer stay what they are.
  return mask === 0xffff ? ((sp & 0xffff0000) | at) >>> 0 : at;
}

/** Pushes pairs (low, high) as quadwords on a 64-bit stack; gives the new RSP. Non-canonical: #SS(code). */
export function pushFrame64(cpu: Cpu, rsp: number, pairs: readonly number[], user: boolean, code: number): number {
  const bytes = pairs.length * 4;
  const low = rsp - bytes;
  if (!isCanonical(low) || !isCanonical(rsp - 1)) cpu.raise(VECTOR.SS, code);
  const host = hostForStore(cpu, low, bytes, user);
  if (host !== 0) {
    for (let i = 0, to = host + bytes; i < pairs.length; i += 2) {
      to -= 8;
      cpu.view.setUint32(to, pairs[i], true);
      cpu.view.setUint32(to + 4, pairs[i + 1], true);
    }
    return low;
  }
  // Two halves a quadword: an unaligned or page-crossing frame is probed first.
  if (Math.floor(low / 4096) !== Math.floor((rsp - 1) / 4096) || (low & 7) !== 0) {
    cpu.mmu.probeWrite(low, 8, user);
    cpu.mmu.probeWrite(rsp - 8, 8, user);
  }
  let at = rsp;
  for (let i = 0; i < pairs.length; i += 2) {
    at -= 8;
    store(cpu, at, 4, pairs[i] >>> 0, user);
    store(cpu, at + 4, 4, pairs[i + 1] >>> 0, user);
  }
  return low;
}
