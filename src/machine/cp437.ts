/** Code page 437 as the VGA's built-in font shows it: all 256 cells have a picture, also 00h-1Fh and 7Fh. Source: Unicode's IBM graphics mapping. */
const GRAPHICS_LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";
const HIGH = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";

/** 256 one-character strings, indexed by the byte in video memory. */
export const CP437: readonly string[] = [...GRAPHICS_LOW, ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)), "⌂", ...HIGH];

let reverse: Map<string, number> | undefined;

/** The byte that shows `char`, preferring plain ASCII. */
export function toCp437(char: string): number | undefined {
  if (reverse === undefined) {
    reverse = new Map();
    for (let i = 255; i >= 0; i--) reverse.set(CP437[i] ?? " ", i);
    reverse.set(" ", 32);
  }
  return reverse.get(char);
}
