/**
 * What the display says of itself: an EDID 1.3 block of 128 bytes (VESA E-EDID standard, release A). A flat panel without a size of its own
 * that shows what the adapter's memory can hold twice; 1024x768 at 60 Hz is the preferred mode.
 */
const TIMINGS = 54;

/** One detailed timing, 18 bytes (VESA DMT 1024x768 at 60 Hz: 65 MHz, negative syncs). */
function detailedTiming(): readonly number[] {
  const [hActive, hBlank, hFront, hSync] = [1024, 320, 24, 136];
  const [vActive, vBlank, vFront, vSync] = [768, 38, 3, 6];
  const clock = 6500;
  return [
    clock & 0xff,
    clock >> 8,
    hActive & 0xff,
    hBlank & 0xff,
    ((hActive >> 8) << 4) | (hBlank >> 8),
    vActive & 0xff,
    vBlank & 0xff,
    ((vActive >> 8) << 4) | (vBlank >> 8),
    hFront & 0xff,
    hSync & 0xff,
    ((vFront & 15) << 4) | (vSync & 15),
    ((hFront >> 8) << 6) | ((hSync >> 8) << 4) | ((vFront >> 4) << 2) | (vSync >> 4),
    0,
    0,
    0,
    0,
    0,
    0x18,
  ];
}

/** A descriptor that is text (FCh: the monitor's name) or limits (FDh). */
function descriptor(tag: number, body: readonly number[]): readonly number[] {
  const padded = tag === 0xfc ? [...body, 0x0a] : body;
  return [0, 0, 0, tag, 0, ...padded, ...Array<number>(13 - padded.length).fill(tag === 0xfc ? 0x20 : 0)];
}

/** Width, aspect ratio (0 16:10, 1 4:3, 2 5:4, 3 16:9) of the standard timings, all at 60 Hz. */
const STANDARD: readonly (readonly [number, number])[] = [
  [1920, 3],
  [1680, 0],
  [1600, 3],
  [1440, 0],
  [1280, 2],
  [1280, 0],
  [1280, 3],
];

export function edidBlock(): Uint8Array {
  const e = new Uint8Array(128);
  e.set([0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
  // Manufacturer "WHY" in five-bit letters, product 1, serial number 1, made in 2026.
  e.set([0x5d, 0x19, 1, 0, 1, 0, 0, 0, 0, 2026 - 1990, 1, 3], 8);
  // Digital, no size, gamma 2.2, RGB with the preferred timing first; sRGB primaries.
  e.set([0x80, 0, 0, 120, 0x0a, 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54], 20);
  // Established: 640x480, 800x600, 1024x768 at 60 Hz.
  e.set([0x21, 0x08, 0x00], 35);
  for (let i = 0; i < 8; i++) {
    const [width, aspect] = STANDARD[i] ?? [];
    e.set(width === undefined || aspect === undefined ? [1, 1] : [width / 8 - 31, aspect << 6], 38 + 2 * i);
  }
  e.set(detailedTiming(), TIMINGS);
  // 50..75 Hz, 30..90 kHz, 170 MHz, no timing formula.
  e.set(descriptor(0xfd, [50, 75, 30, 90, 17, 0, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20]), TIMINGS + 18);
  e.set(
    descriptor(
      0xfc,
      [..."whyve"].map((c) => c.charCodeAt(0)),
    ),
    TIMINGS + 36,
  );
  e.set(descriptor(0x10, []), TIMINGS + 54);
  e[127] = -e.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return e;
}
