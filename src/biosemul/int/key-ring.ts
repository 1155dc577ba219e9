import { BDA, MEM } from "../../isa/index.ts";
import type { PhysicalMemory } from "../../vmm/index.ts";

/** The keyboard ring in the BIOS data area. Guest code may change its bounds or spoil them; every step stays inside 64 KB. */
const RING_FALLBACK_START = 0x1e;
const RING_FALLBACK_END = 0x3e;

function bounds(mem: PhysicalMemory): number {
  const start = mem.read16(BDA.KEY_RING_START);
  const end = mem.read16(BDA.KEY_RING_END);
  if (end > start + 2) return start * 0x10000 + end;
  return RING_FALLBACK_START * 0x10000 + RING_FALLBACK_END;
}

function after(mem: PhysicalMemory, offset: number): number {
  const both = bounds(mem);
  const next = (offset + 2) & 0xffff;
  return next >= (both & 0xffff) ? both >>> 16 : next;
}

/** Appends scan:ASCII; false when the ring is full. */
export function pushKey(mem: PhysicalMemory, key: number): boolean {
  const tail = mem.read16(BDA.KEY_TAIL);
  const next = after(mem, tail);
  if (next === mem.read16(BDA.KEY_HEAD)) return false;
  mem.write16(MEM.BDA + tail, key);
  mem.write16(BDA.KEY_TAIL, next);
  return true;
}

/** The next key without taking it, or -1. */
export function peekKey(mem: PhysicalMemory): number {
  const head = mem.read16(BDA.KEY_HEAD);
  return head === mem.read16(BDA.KEY_TAIL) ? -1 : mem.read16(MEM.BDA + head);
}

/** Drops the key that `peekKey` shows. */
export function dropKey(mem: PhysicalMemory): void {
  mem.write16(BDA.KEY_HEAD, after(mem, mem.read16(BDA.KEY_HEAD)));
}

/** Empties the ring. */
export function clearKeys(mem: PhysicalMemory): void {
  const start = Math.floor(bounds(mem) / 0x10000);
  mem.write16(BDA.KEY_HEAD, start);
  mem.write16(BDA.KEY_TAIL, start);
}

/** Keys in the ring as the guest keeps it now; 0 where its cells hold something else: nobody uses this BIOS's ring any more. */
export function waitingKeys(mem: PhysicalMemory): number {
  const start = mem.read16(BDA.KEY_RING_START);
  const end = mem.read16(BDA.KEY_RING_END);
  const head = mem.read16(BDA.KEY_HEAD);
  const tail = mem.read16(BDA.KEY_TAIL);
  const inside = (at: number): boolean => at >= start && at < end;
  if (end <= start || end - start > 512 || !inside(head) || !inside(tail)) return 0;
  return ((tail - head + end - start) % (end - start)) / 2;
}
