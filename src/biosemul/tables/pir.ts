import type { BiosConfig } from "../config.ts";
import { ByteWriter, fixChecksum } from "./bytes.ts";

const SLOTS = 32;
const LINK_BASE = 0x60;

/** Rows of the PCI interrupt routing table, also what PCI BIOS function 0Eh returns. Links are the router's registers 60h-63h. */
export function routingRows(config: BiosConfig): Uint8Array {
  const allowed = config.pirqIrqs.reduce((mask, irq) => mask | (1 << irq), 0);
  const w = new ByteWriter();
  for (let slot = 1; slot < SLOTS; slot++) {
    w.u8(0, slot << 3);
    for (let pin = 0; pin < 4; pin++) w.u8(LINK_BASE + ((slot + pin + 3) & 3)).u16(allowed);
    w.u8(0, 0);
  }
  return w.done();
}

/** `$PIR`. Source: Microsoft PCI IRQ Routing Table Specification 1.0. */
export function pirTable(config: BiosConfig): Uint8Array {
  const rows = routingRows(config);
  const exclusive = config.pirqIrqs.reduce((mask, irq) => mask | (1 << irq), 0);
  const w = new ByteWriter().text("$PIR").u16(0x0100, 32 + rows.length);
  w.u8(0, (config.isaBridgeSlot ?? 0) << 3)
    .u16(exclusive)
    .u16(0x8086, 0x122e)
    .u32(0)
    .pad(32)
    .bytes(rows);
  return fixChecksum(w.done(), 31);
}
