/** UTF-8 without a platform: file names inside images. */

/** Bytes of a string; lone surrogates become U+FFFD. */
export function utf8Bytes(text: string): Uint8Array {
  const out: number[] = [];
  for (const char of text) {
    let c = char.codePointAt(0) ?? 0;
    if (c >= 0xd800 && c < 0xe000) c = 0xfffd;
    if (c < 0x80) out.push(c);
    else if (c < 0x800) out.push(0xc0 | (c >> 6), 0x80 | (c & 63));
    else if (c < 0x10000) out.push(0xe0 | (c >> 12), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
    else out.push(0xf0 | (c >> 18), 0x80 | ((c >> 12) & 63), 0x80 | ((c >> 6) & 63), 0x80 | (c & 63));
  }
  return Uint8Array.from(out);
}

/** The string of some bytes; what is no UTF-8 becomes U+FFFD. */
export function utf8Text(bytes: Uint8Array): string {
  let out = "";
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i++] ?? 0;
    const more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
    let c = more < 1 ? first : first & (0x3f >> more);
    let ok = more >= 0;
    for (let k = 0; k < more && ok; k++) {
      const next = bytes[i] ?? 0;
      ok = (next & 0xc0) === 0x80;
      if (ok) {
        c = (c << 6) | (next & 63);
        i++;
      }
    }
    const smallest = [0, 0x80, 0x800, 0x10000][Math.max(0, more)] ?? 0;
    if (c < smallest || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) ok = false;
    out += ok ? String.fromCodePoint(c) : "\ufffd";
  }
  return out;
}
