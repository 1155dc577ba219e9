import type { Dac } from "./dac.ts";
import type { Dispi } from "./dispi.ts";
import type { VideoMemory } from "./memory.ts";

/** What the renderer reads; `Vga` has this shape. */
export interface ScanoutSource {
  readonly memory: VideoMemory;
  readonly dac: Dac;
  readonly dispi: Dispi;
  readonly misc: number;
  readonly seq: Uint8Array;
  readonly crtc: Uint8Array;
  readonly gc: Uint8Array;
  readonly attr: Uint8Array;
  readonly screenOn: boolean;
  readonly frameCount: number;
}

export function isTextMode(v: ScanoutSource): boolean {
  return !v.dispi.enabled && ((v.gc[6] ?? 0) & 1) === 0;
}

/** CRTC memory address counter to plane address: byte, word or doubleword mode (CRTC 14h bit 6, 17h bits 5 and 6). */
export function addressMapper(crtc: Uint8Array): (ma: number) => number {
  if (((crtc[0x14] ?? 0) & 0x40) !== 0) return (ma) => ((ma << 2) | ((ma >> 14) & 3)) & 0xffff;
  if (((crtc[0x17] ?? 0) & 0x40) === 0) {
    const top = ((crtc[0x17] ?? 0) & 0x20) !== 0 ? 15 : 13;
    return (ma) => ((ma << 1) | ((ma >> top) & 1)) & 0xffff;
  }
  return (ma) => ma & 0xffff;
}

export function startAddress(crtc: Uint8Array): number {
  return ((crtc[0x0c] ?? 0) << 8) | (crtc[0x0d] ?? 0);
}

export function cursorAddress(crtc: Uint8Array): number {
  return ((crtc[0x0e] ?? 0) << 8) | (crtc[0x0f] ?? 0);
}

/** Plane-2 address of the fonts that attribute bit 3 = 0 (map B) and 1 (map A) choose. Sequencer register 3. */
export function fontBases(seq: Uint8Array): readonly [number, number] {
  const r = seq[3] ?? 0;
  const base = (low: number, high: number): number => (low << 14) | (high << 13);
  return [base(r & 3, (r >> 4) & 1), base((r >> 2) & 3, (r >> 5) & 1)];
}

/** The 16 attribute-controller colours as indexes into the DAC, with color select applied. */
export function paletteToDac(attr: Uint8Array, index: number): number {
  const mode = attr[0x10] ?? 0;
  const select = attr[0x14] ?? 0;
  const entry = attr[index & (attr[0x12] ?? 0) & 15] ?? 0;
  if ((mode & 0x80) !== 0) return ((select << 4) & 0xf0) | (entry & 0x0f);
  return ((select << 4) & 0xc0) | (entry & 0x3f);
}
