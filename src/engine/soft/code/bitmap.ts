// Bitmaps of code pages: one bit a byte, at a wasm address.

/** Whether a bit of [from, to) is set. */
export function anyBit(u8: Uint8Array, bitmap: number, from: number, to: number): boolean {
  for (let off = from; off < to; ) {
    if ((off & 7) === 0 && off + 8 <= to) {
      if (u8[bitmap + (off >> 3)] !== 0) return true;
      off += 8;
    } else {
      if ((u8[bitmap + (off >> 3)] >> (off & 7)) & 1) return true;
      off++;
    }
  }
  return false;
}

/** Sets or clears the bits of [from, to). */
export function setBits(u8: Uint8Array, bitmap: number, from: number, to: number, value: boolean): void {
  if (from >= to) return;
  const first = bitmap + (from >> 3);
  const last = bitmap + ((to - 1) >> 3);
  const head = 0xff << (from & 7);
  const tail = 0xff >> (7 - ((to - 1) & 7));
  for (let at = first; at <= last; at++) {
    const bits = (at === first ? head : 0xff) & (at === last ? tail : 0xff);
    if (value) u8[at] |= bits;
    else u8[at] &= ~bits;
  }
}
