/** IBM code page 437 as Unicode, with the graphic forms of 00-1F and 7F that a text screen shows. Source: Unicode's CP437 mapping. */
const TABLE =
  " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼" +
  " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~⌂" +
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
  "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

const CHARS: readonly string[] = [...TABLE];

/** The character of a code page 437 byte. */
export function cp437Char(code: number): string {
  return CHARS[code & 0xff] ?? " ";
}

/** Bytes of code page 437 as Unicode. */
export function cp437ToString(bytes: Uint8Array): string {
  let s = "";
  for (const b of bytes) s += CHARS[b] ?? " ";
  return s;
}

const CODES = new Map(CHARS.map((c, i) => [c, i]));

/** The code page 437 byte of a character, or undefined. */
export function cp437Code(char: string): number | undefined {
  return char === " " ? 0x20 : CODES.get(char);
}
