import type { DacSet } from "./modes.ts";

/** Default DAC colours (6-bit components) of the mode families: 64 entries, or 248 for mode 13h. */
function ega64(): number[] {
  const c: number[] = [];
  for (let i = 0; i < 64; i++)
    for (const [hi, lo] of [
      [4, 32],
      [2, 16],
      [1, 8],
    ] as const)
      c.push((i & hi ? 0x2a : 0) + (i & lo ? 0x15 : 0));
  return c;
}

/** IRGB with brown instead of dark yellow. */
function irgb(i: number): number[] {
  const level = (bit: number): number => (i & bit ? 0x2a : 0) + (i & 8 ? 0x15 : 0);
  return i === 6 ? [0x2a, 0x15, 0] : [level(4), level(2), level(1)];
}

function cga(): number[] {
  return Array.from({ length: 64 }, (_, i) => irgb((i & 7) | (i & 0x10 ? 8 : 0))).flat();
}

function mono(): number[] {
  const level = [0, 0x2a, 0, 0x3f];
  return Array.from({ length: 64 }, (_, i) => Array.from({ length: 3 }, () => level[(i >> 3) & 3] ?? 0)).flat();
}

const GREYS = [0, 5, 8, 0x0b, 0x0e, 0x11, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2d, 0x32, 0x38, 0x3f];
/** Five levels for each intensity (high, medium, low) and saturation (full, half, quarter) of the hue circle. */
const LEVELS = [
  [0x00, 0x10, 0x1f, 0x2f, 0x3f],
  [0x1f, 0x27, 0x2f, 0x37, 0x3f],
  [0x2d, 0x31, 0x36, 0x3a, 0x3f],
  [0x00, 0x07, 0x0e, 0x15, 0x1c],
  [0x0e, 0x11, 0x15, 0x18, 0x1c],
  [0x14, 0x16, 0x18, 0x1a, 0x1c],
  [0x00, 0x04, 0x08, 0x0c, 0x10],
  [0x08, 0x0a, 0x0c, 0x0e, 0x10],
  [0x0b, 0x0c, 0x0d, 0x0f, 0x10],
];

function vga256(): number[] {
  const c = [...Array.from({ length: 16 }, (_, i) => irgb(i)).flat(), ...GREYS.flatMap((g) => [g, g, g])];
  // 24 hues from blue over red and green back: one component moves by a step at a time.
  for (const levels of LEVELS) {
    let rgb = [0, 0, 4];
    for (const [component, direction] of [
      [0, 1],
      [2, -1],
      [1, 1],
      [0, -1],
      [2, 1],
      [1, -1],
    ] as const) {
      for (let step = 0; step < 4; step++) {
        c.push(...rgb.map((l) => levels[l] ?? 0));
        rgb = rgb.map((l, i) => (i === component ? l + direction : l));
      }
    }
  }
  return [...c, ...Array.from({ length: 24 }, () => 0)];
}

const SETS: Readonly<Record<DacSet, Uint8Array>> = {
  ega64: Uint8Array.from(ega64()),
  cga: Uint8Array.from(cga()),
  mono: Uint8Array.from(mono()),
  vga256: Uint8Array.from(vga256()),
};

export function dacColors(set: DacSet): Uint8Array {
  return SETS[set];
}

/** The 16 text colours as 24-bit RGB, for direct-colour modes. */
export const TEXT_RGB: readonly number[] = Array.from({ length: 16 }, (_, i) => {
  const [r = 0, g = 0, b = 0] = irgb(i).map((v) => (v << 2) | (v >> 4));
  return (r << 16) | (g << 8) | b;
});

/** Luminance of a 6-bit colour as INT 10h AX=101Bh sums it: 30 % red, 59 % green, 11 % blue. */
export function greySum(r: number, g: number, b: number): number {
  return Math.min(0x3f, (0x4d * r + 0x97 * g + 0x1c * b + 0x80) >> 8);
}
