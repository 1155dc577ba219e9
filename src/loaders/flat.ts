import { Builder } from "./bytes.ts";
import type { Placement } from "./placement.ts";

/** A GDT with flat code at 10h and data at 18h, as Linux's entry points ask for (boot.rst, 32- and 64-bit boot protocol). */
export function flatDescriptors(placement: Placement, size: 32 | 64): number {
  const code = size === 32 ? 0x00cf9b00 : 0x00af9b00;
  const bytes = new Builder().u32(0, 0, 0, 0, 0xffff, code, 0xffff, 0x00cf9300).done();
  const at = placement.low("descriptors", bytes.length, 16, 0x1000);
  placement.put("descriptors", at, bytes);
  return at;
}

/** Page tables that map the first 4 GiB to themselves in 2 MiB pages; gives the PML4's address. */
export function identityPages(placement: Placement): number {
  const at = placement.low("page tables", 6 * 4096, 4096, 0x1000);
  const tables = new Uint8Array(6 * 4096);
  const view = new DataView(tables.buffer);
  view.setUint32(0, at + 4096 + 3, true);
  for (let i = 0; i < 4; i++) view.setUint32(4096 + 8 * i, at + (2 + i) * 4096 + 3, true);
  // Present, writable, 2 MiB.
  for (let i = 0; i < 2048; i++) view.setUint32(2 * 4096 + 8 * i, i * 0x200000 + 0x83, true);
  placement.put("page tables", at, tables);
  return at;
}
