import type { Frame } from "../../devices/vga/index.ts";

/** The picture as a PNG file. The encoder is loaded on first use: most runs never need it. */
export async function encodePng(frame: Frame): Promise<Uint8Array> {
  const { encode } = await import("fast-png");
  const rgb = new Uint8Array(frame.width * frame.height * 3);
  for (let i = 0, o = 0; o < rgb.length; i += 4) {
    rgb[o++] = frame.rgba[i] ?? 0;
    rgb[o++] = frame.rgba[i + 1] ?? 0;
    rgb[o++] = frame.rgba[i + 2] ?? 0;
  }
  return encode({ width: frame.width, height: frame.height, data: rgb, channels: 3, depth: 8 });
}
