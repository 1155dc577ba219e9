/** The VBE modes: numbers of VESA (100h-11Bh) and of the Bochs/Cirrus range (140h up) for 32-bit and wide forms. */
export interface VbeModeDef {
  readonly mode: number;
  readonly width: number;
  readonly height: number;
  /** 4: 16-colour planes; 0: text. */
  readonly bpp: number;
}

const graphics = (bpp: number, ...list: readonly (readonly [number, number, number])[]): VbeModeDef[] =>
  list.map(([mode, width, height]) => ({ mode, width, height, bpp }));

export const VBE_MODES: readonly VbeModeDef[] = [
  ...graphics(8, [0x100, 640, 400], [0x101, 640, 480], [0x103, 800, 600], [0x105, 1024, 768], [0x107, 1280, 1024]),
  ...graphics(4, [0x102, 800, 600], [0x104, 1024, 768], [0x106, 1280, 1024]),
  { mode: 0x109, width: 132, height: 25, bpp: 0 },
  { mode: 0x10a, width: 132, height: 43, bpp: 0 },
  { mode: 0x10b, width: 132, height: 50, bpp: 0 },
  { mode: 0x10c, width: 132, height: 60, bpp: 0 },
  { mode: 0x108, width: 80, height: 60, bpp: 0 },
  ...graphics(15, [0x10d, 320, 200], [0x110, 640, 480], [0x113, 800, 600], [0x116, 1024, 768], [0x119, 1280, 1024]),
  ...graphics(16, [0x10e, 320, 200], [0x111, 640, 480], [0x114, 800, 600], [0x117, 1024, 768], [0x11a, 1280, 1024]),
  ...graphics(24, [0x10f, 320, 200], [0x112, 640, 480], [0x115, 800, 600], [0x118, 1024, 768], [0x11b, 1280, 1024]),
  ...graphics(8, [0x11c, 1600, 1200]),
  ...graphics(15, [0x11d, 1600, 1200]),
  ...graphics(16, [0x11e, 1600, 1200]),
  ...graphics(24, [0x11f, 1600, 1200]),
  ...graphics(
    32,
    [0x140, 320, 200],
    [0x141, 640, 400],
    [0x142, 640, 480],
    [0x143, 800, 600],
    [0x144, 1024, 768],
    [0x145, 1280, 1024],
    [0x147, 1600, 1200],
  ),
  ...graphics(8, [0x146, 320, 200], [0x148, 1152, 864]),
  ...graphics(15, [0x149, 1152, 864]),
  ...graphics(16, [0x14a, 1152, 864]),
  ...graphics(24, [0x14b, 1152, 864]),
  ...graphics(32, [0x14c, 1152, 864]),
  ...graphics(16, [0x175, 1280, 768], [0x178, 1280, 800], [0x17b, 1280, 960], [0x17e, 1440, 900], [0x184, 1680, 1050]),
  ...graphics(24, [0x176, 1280, 768], [0x179, 1280, 800], [0x17c, 1280, 960], [0x17f, 1440, 900], [0x185, 1680, 1050]),
  ...graphics(32, [0x177, 1280, 768], [0x17a, 1280, 800], [0x17d, 1280, 960], [0x180, 1440, 900], [0x186, 1680, 1050]),
  ...graphics(8, [0x18a, 1280, 720], [0x18d, 1920, 1080]),
  ...graphics(16, [0x18b, 1280, 720], [0x18e, 1920, 1080]),
  ...graphics(24, [0x18f, 1280, 720], [0x191, 1920, 1080]),
  ...graphics(32, [0x18c, 1280, 720], [0x190, 1920, 1080]),
];

export function bytesPerLine(bpp: number, width: number): number {
  return bpp === 4 ? width >> 3 : bpp === 0 ? width * 2 : width * ((bpp + 7) >> 3);
}

/** The mode when it fits into `vramBytes`. */
export function findVbeMode(number: number, vramBytes: number): VbeModeDef | undefined {
  const m = VBE_MODES.find((d) => d.mode === (number & 0x1ff));
  if (m === undefined) return undefined;
  return bytesPerLine(m.bpp, m.width) * m.height * (m.bpp === 4 ? 4 : 1) <= vramBytes ? m : undefined;
}
