/** Video timing from the CRTC registers: where the beam is at a given time. Source: IBM VGA technical reference, CRT controller. */
export interface VideoTiming {
  /** One scan line, ns. */
  readonly lineNs: number;
  /** From the start of a line to the end of its visible part, ns. */
  readonly displayNs: number;
  readonly totalLines: number;
  readonly displayLines: number;
  /** First line of the vertical retrace and the line after it. */
  readonly retraceStart: number;
  readonly retraceEnd: number;
  readonly frameNs: number;
}

const DOT_CLOCK_MHZ = [25.175, 28.322, 25.175, 28.322] as const;

export function computeTiming(misc: number, seq: Uint8Array, crtc: Uint8Array): VideoTiming {
  const clock = DOT_CLOCK_MHZ[(misc >> 2) & 3] ?? 25.175;
  const seq1 = seq[1] ?? 0;
  const dots = ((seq1 & 1) !== 0 ? 8 : 9) * ((seq1 & 8) !== 0 ? 2 : 1);
  const charNs = (dots * 1000) / clock;
  const overflow = crtc[7] ?? 0;
  const mul = ((crtc[0x17] ?? 0) & 4) !== 0 ? 2 : 1;
  const htotal = (crtc[0] ?? 0) + 5;
  const hdisplay = Math.min((crtc[1] ?? 0) + 1, htotal);
  const vtotal = (((crtc[6] ?? 0) | ((overflow & 1) << 8) | ((overflow & 0x20) << 4)) + 2) * mul;
  const vdisplay = displayLines(crtc) * mul;
  const start = ((crtc[0x10] ?? 0) | ((overflow & 4) << 6) | ((overflow & 0x80) << 2)) * mul;
  // Only four bits of the end are stored: the retrace ends at the next line with these low bits.
  const length = (((crtc[0x11] ?? 0) - start / mul) & 15 || 16) * mul;
  const total = Math.max(vtotal, 4);
  const retraceStart = Math.min(start, total - 2);
  const lineNs = Math.max(htotal * charNs, 1000);
  return {
    lineNs,
    displayNs: hdisplay * charNs,
    totalLines: total,
    displayLines: Math.min(vdisplay, total - 1),
    retraceStart,
    retraceEnd: Math.min(retraceStart + length, total),
    frameNs: lineNs * total,
  };
}

/** Visible scan lines (CRTC vertical display end + 1), without the vertical multiplier. */
export function displayLines(crtc: Uint8Array): number {
  const overflow = crtc[7] ?? 0;
  return ((crtc[0x12] ?? 0) | ((overflow & 2) << 7) | ((overflow & 0x40) << 3)) + 1;
}

/** Bits 0 (not displaying) and 3 (vertical retrace) of input status 1 at time `ns`. */
export function statusAt(t: VideoTiming, ns: number): number {
  const phase = ns % t.frameNs;
  const line = Math.floor(phase / t.lineNs);
  let status = 0;
  if (line >= t.displayLines || phase - line * t.lineNs >= t.displayNs) status |= 1;
  if (line >= t.retraceStart && line < t.retraceEnd) status |= 8;
  return status;
}
