/** Code page 437 fonts of the video BIOS: 256 glyphs, `height` bytes each, leftmost pixel in bit 7. Original work, BSD-2-Clause. */
import { composeFont, packFont, parseGlyphs, squeezeFont } from "./compose.ts";
import { GLYPHS_16, SHORT_16 } from "./glyphs16.ts";
import { GLYPHS_8, SHORT_8 } from "./glyphs8.ts";

const tall = composeFont(parseGlyphs(GLYPHS_16, 16), parseGlyphs(SHORT_16, 16), 16);

export const FONT_8X16: Uint8Array = packFont(tall, 16);
export const FONT_8X14: Uint8Array = packFont(squeezeFont(tall), 14);
export const FONT_8X8: Uint8Array = packFont(composeFont(parseGlyphs(GLYPHS_8, 8), parseGlyphs(SHORT_8, 8), 8), 8);
