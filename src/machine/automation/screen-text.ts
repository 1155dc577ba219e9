import { cp437Char } from "../../devices/vga/index.ts";
import type { TextScreen } from "../../devices/vga/index.ts";

/** The rows of a text screen as Unicode, blanks at the ends cut off. */
export function screenLines(screen: TextScreen): string[] {
  const lines: string[] = [];
  for (let row = 0; row < screen.rows; row++) {
    let line = "";
    for (let column = 0; column < screen.columns; column++) line += cp437Char(screen.chars[row * screen.columns + column] ?? 0);
    // A cell of 00h or FFh looks blank too; to a reader it is a space.
    lines.push(line.replaceAll("\u00a0", " ").trimEnd());
  }
  return lines;
}

/** The whole screen as one string, empty rows at the bottom cut off. */
export function screenText(screen: TextScreen): string {
  return screenLines(screen).join("\n").trimEnd();
}
