/** The monitor that AX=4F15h reports: EDID 1.3, 1024x768 preferred, analogue input. Layout: VESA E-EDID standard, release A. */
const DETAILED_1024X768 = [0x64, 0x19, 0x00, 0x40, 0x41, 0x00, 0x26, 0x30, 0x18, 0x88, 0x36, 0x00, 0x54, 0x0e, 0x11, 0x00, 0x00, 0x18];

function descriptor(tag: number, text: string): number[] {
  const body = [...text].map((c) => c.charCodeAt(0));
  body.push(0x0a);
  while (body.length < 13) body.push(0x20);
  return [0, 0, 0, tag, 0, ...body.slice(0, 13)];
}

/** VESA E-EDID 1.3. */
export function buildEdid(): Uint8Array {
  const id = ((("W".charCodeAt(0) - 64) << 10) | (("H".charCodeAt(0) - 64) << 5) | ("Y".charCodeAt(0) - 64)) & 0x7fff;
  const header = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
  const product = [id >> 8, id & 0xff, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 1, 36, 1, 3];
  // Analogue 0.7 V with separate syncs; 34 x 27 cm; gamma 2.2; standby, suspend, off; RGB; preferred timing first.
  const basics = [0x0e, 34, 27, 0x78, 0xee];
  // sRGB primaries and white point.
  const colours = [0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54];
  // 720x400@70, 640x480@60, 800x600@60, 1024x768@60, 1280x1024@75.
  const established = [0xa1, 0x09, 0x00];
  // 1280x1024, 1600x1200, 1280x960, 1920x1080, 1280x720, 1152x864, two unused.
  const standard = [0x81, 0x80, 0xa9, 0x40, 0x81, 0x40, 0xd1, 0xc0, 0x81, 0xc0, 0x71, 0x40, 0x01, 0x01, 0x01, 0x01];
  // Range limits: 40-160 Hz, 30-110 kHz, 250 MHz.
  const limits = [0, 0, 0, 0xfd, 0, 40, 160, 30, 110, 25, 0, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20];
  const descriptors = [...DETAILED_1024X768, ...limits, ...descriptor(0xfc, "whyve"), ...descriptor(0xff, "1")];
  // No extension blocks; then the checksum.
  const edid = Uint8Array.from([...header, ...product, ...basics, ...colours, ...established, ...standard, ...descriptors, 0, 0]);
  edid[127] = -edid.subarray(0, 127).reduce((sum, b) => sum + b, 0) & 0xff;
  return edid;
}
