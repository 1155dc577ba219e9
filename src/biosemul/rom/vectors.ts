import { ENTRY } from "./layout.ts";
import type { Assembler } from "./assembler.ts";

/** ROM offset (F000 segment) that each interrupt vector starts with; -1: the vector is 0000:0000. Data vectors are set at POST. */
export function defaultVectors(a: Assembler): Int32Array {
  const v = new Int32Array(256).fill(ENTRY.IRET);
  const set = (vector: number, offset: number): void => {
    v[vector] = offset;
  };
  set(0x02, ENTRY.NMI);
  set(0x05, ENTRY.INT05);
  set(0x08, ENTRY.INT08);
  set(0x09, ENTRY.INT09);
  for (let n = 0x0a; n <= 0x0d; n++) set(n, a.address("irq_master"));
  set(0x0e, ENTRY.INT0E);
  set(0x0f, a.address("irq7"));
  set(0x10, ENTRY.INT10);
  set(0x11, ENTRY.INT11);
  set(0x12, ENTRY.INT12);
  set(0x13, ENTRY.INT13);
  set(0x14, ENTRY.INT14);
  set(0x15, ENTRY.INT15);
  set(0x16, ENTRY.INT16);
  set(0x17, ENTRY.INT17);
  set(0x18, a.address("int18"));
  set(0x19, ENTRY.INT19);
  set(0x1a, ENTRY.INT1A);
  set(0x1d, ENTRY.CRTC_TABLE);
  set(0x1e, ENTRY.DISKETTE_TABLE);
  set(0x1f, -1);
  set(0x40, ENTRY.INT40);
  set(0x41, -1);
  set(0x42, ENTRY.INT10);
  set(0x43, ENTRY.FONT_8X8);
  set(0x46, -1);
  // DOS programs look for free user vectors by testing for zero.
  for (let n = 0x60; n <= 0x67; n++) set(n, -1);
  set(0x70, a.address("int70"));
  set(0x71, a.address("int71"));
  set(0x72, a.address("irq_slave"));
  set(0x73, a.address("irq_slave"));
  set(0x74, a.address("int74"));
  set(0x75, a.address("int75"));
  set(0x76, a.address("int76"));
  set(0x77, a.address("irq15"));
  return v;
}
