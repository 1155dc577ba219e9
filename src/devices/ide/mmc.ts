import { msf } from "./raw-sector.ts";

/** Answers of MMC commands (MMC-3, T10/1363D) for a disc with one data track. Big-endian. */
export class Reply {
  readonly bytes: Uint8Array;
  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
  }
  u8(at: number, v: number): this {
    this.bytes[at] = v & 0xff;
    return this;
  }
  u16(at: number, v: number): this {
    return this.u8(at, v >>> 8).u8(at + 1, v);
  }
  u24(at: number, v: number): this {
    return this.u8(at, v >>> 16).u16(at + 1, v);
  }
  u32(at: number, v: number): this {
    return this.u16(at, v >>> 16).u16(at + 2, v);
  }
  text(at: number, width: number, s: string): this {
    const padded = s.padEnd(width).slice(0, width);
    for (let i = 0; i < width; i++) this.u8(at + i, padded.charCodeAt(i));
    return this;
  }
}

/** Media larger than the largest CD are taken for DVDs. */
const LARGEST_CD_BLOCKS = 450_000;

/** MMC profile: 0008h CD-ROM, 0010h DVD-ROM, 0 no medium. */
export function profileOf(blocks: number): number {
  return blocks === 0 ? 0 : blocks > LARGEST_CD_BLOCKS ? 0x10 : 0x08;
}

export function inquiry(model: string): Uint8Array {
  return new Reply(36).u8(0, 0x05).u8(1, 0x80).u8(2, 0x00).u8(3, 0x21).u8(4, 31).text(8, 8, "WHYVE").text(16, 16, model).text(32, 4, "1.0").bytes;
}

function address(reply: Reply, at: number, lba: number, asMsf: boolean): void {
  if (!asMsf) {
    reply.u32(at, lba);
    return;
  }
  const [m, s, f] = msf(lba);
  reply
    .u8(at, 0)
    .u8(at + 1, m)
    .u8(at + 2, s)
    .u8(at + 3, f);
}

/** READ TOC/PMA/ATIP format 0: track 1 and the lead-out. Undefined when no track is at or after `first`. */
export function toc(blocks: number, first: number, asMsf: boolean): Uint8Array | undefined {
  if (first > 1 && first !== 0xaa) return undefined;
  const tracks = first === 0xaa ? [0xaa] : [1, 0xaa];
  const reply = new Reply(4 + 8 * tracks.length)
    .u16(0, 2 + 8 * tracks.length)
    .u8(2, 1)
    .u8(3, 1);
  for (const [i, track] of tracks.entries()) {
    const at = 4 + 8 * i;
    reply.u8(at + 1, 0x14).u8(at + 2, track);
    address(reply, at + 4, track === 0xaa ? blocks : 0, asMsf);
  }
  return reply.bytes;
}

/** Format 1: the last complete session. */
export function sessionInfo(asMsf: boolean): Uint8Array {
  const reply = new Reply(12).u16(0, 10).u8(2, 1).u8(3, 1).u8(5, 0x14).u8(6, 1);
  address(reply, 8, 0, asMsf);
  return reply.bytes;
}

/** Format 2: the raw TOC with points A0h, A1h, A2h and the track. */
export function fullToc(blocks: number): Uint8Array {
  const reply = new Reply(4 + 4 * 11)
    .u16(0, 2 + 4 * 11)
    .u8(2, 1)
    .u8(3, 1);
  for (const [i, point] of [0xa0, 0xa1, 0xa2, 1].entries()) {
    const at = 4 + 11 * i;
    reply
      .u8(at, 1)
      .u8(at + 1, 0x14)
      .u8(at + 3, point);
    if (point === 0xa0 || point === 0xa1) {
      reply.u8(at + 8, 1);
    } else {
      const [m, s, f] = msf(point === 0xa2 ? blocks : 0);
      reply
        .u8(at + 8, m)
        .u8(at + 9, s)
        .u8(at + 10, f);
    }
  }
  return reply.bytes;
}

/** A mode page by its code, current values; undefined for pages that do not exist. */
function modePage(code: number): Uint8Array | undefined {
  switch (code) {
    case 0x01:
      return new Reply(8).u8(0, 0x01).u8(1, 6).u8(3, 5).bytes;
    case 0x0d:
      return new Reply(8).u8(0, 0x0d).u8(1, 6).u8(3, 0x0d).u16(4, 60).u16(6, 75).bytes;
    case 0x0e:
      return new Reply(16).u8(0, 0x0e).u8(1, 14).u8(2, 4).u8(8, 1).u8(9, 0xff).u8(10, 2).u8(11, 0xff).bytes;
    case 0x1a:
      return new Reply(12).u8(0, 0x1a).u8(1, 10).bytes;
    case 0x2a:
      return new Reply(22).u8(0, 0x2a).u8(1, 20).u8(2, 0x08).u8(4, 0x70).u8(5, 0x03).u8(6, 0x29).u16(8, 706).u16(10, 2).u16(12, 512).u16(14, 706)
        .bytes;
    default:
      return undefined;
  }
}

/** MODE SENSE(10); `control` 0 current, 1 changeable, 2 default. Undefined: no such page. */
export function modeSense(code: number, control: number, hasMedium: boolean, locked: boolean): Uint8Array | undefined {
  const codes = code === 0x3f ? [0x01, 0x0d, 0x0e, 0x1a, 0x2a] : [code];
  const pages: Uint8Array[] = [];
  for (const c of codes) {
    const page = modePage(c);
    if (page === undefined) return undefined;
    if (c === 0x2a && locked) page[6] = (page[6] ?? 0) | 0x02;
    if (control === 1) page.fill(0, 2);
    pages.push(page);
  }
  const size = pages.reduce((sum, p) => sum + p.length, 8);
  const reply = new Reply(size).u16(0, size - 2).u8(2, hasMedium ? 0x01 : 0x70);
  let at = 8;
  for (const page of pages) {
    reply.bytes.set(page, at);
    at += page.length;
  }
  return reply.bytes;
}

/** GET CONFIGURATION: features from `start` on; `requested` 0 all, 1 current ones, 2 just that one. */
export function configuration(blocks: number, requested: number, start: number): Uint8Array {
  const profile = profileOf(blocks);
  const cd = profile === 0x08;
  const dvd = profile === 0x10;
  const features: readonly (readonly [number, boolean, number, readonly number[]])[] = [
    [0x0000, true, 0, [0x00, 0x10, dvd ? 1 : 0, 0, 0x00, 0x08, cd ? 1 : 0, 0]],
    [0x0001, true, 2, [0, 0, 0, 2, 1, 0, 0, 0]],
    [0x0002, true, 1, [2, 0, 0, 0]],
    [0x0003, true, 0, [0x29, 0, 0, 0]],
    [0x0010, cd || dvd, 0, [0, 0, 0x08, 0, 0, 1, 0, 0]],
    [0x001e, cd, 0, [0, 0, 0, 0]],
    [0x001f, dvd, 0, []],
    [0x0100, true, 0, []],
    [0x0105, true, 0, []],
  ];
  const chosen = features.filter(([code, current]) => (requested === 2 ? code === start : code >= start && (requested === 0 || current)));
  const size = chosen.reduce((sum, [, , , data]) => sum + 4 + data.length, 8);
  const reply = new Reply(size).u32(0, size - 4).u16(6, profile);
  let at = 8;
  for (const [code, current, version, data] of chosen) {
    const persistent = code < 0x10 || code >= 0x100 ? 2 : 0;
    reply
      .u16(at, code)
      .u8(at + 2, (version << 2) | persistent | (current ? 1 : 0))
      .u8(at + 3, data.length);
    reply.bytes.set(data, at + 4);
    at += 4 + data.length;
  }
  return reply.bytes;
}

/** GET EVENT STATUS NOTIFICATION for the media class (4): event 0 none, 2 new, 3 removed. */
export function eventStatus(classes: number, event: number, hasMedium: boolean, trayOpen: boolean): Uint8Array {
  if ((classes & 0x10) === 0) return new Reply(4).u16(0, 2).u8(2, 0x80).u8(3, 0x10).bytes;
  return new Reply(8)
    .u16(0, 6)
    .u8(2, 0x04)
    .u8(3, 0x10)
    .u8(4, event)
    .u8(5, (hasMedium ? 2 : 0) | (trayOpen ? 1 : 0)).bytes;
}

export function discInformation(): Uint8Array {
  const reply = new Reply(34).u16(0, 32).u8(2, 0x0e).u8(3, 1).u8(4, 1).u8(5, 1).u8(6, 1).u8(7, 0x20);
  return reply.u32(16, 0xffffffff).u32(20, 0xffffffff).bytes;
}

export function trackInformation(blocks: number): Uint8Array {
  return new Reply(36).u16(0, 34).u8(2, 1).u8(3, 1).u8(5, 0x04).u8(6, 0x01).u32(8, 0).u32(24, blocks).bytes;
}

export function mechanismStatus(): Uint8Array {
  return new Reply(8).u8(5, 1).bytes;
}

/** READ SUB-CHANNEL: no audio is playing; format 1 adds a zero position. */
export function subChannel(wantsData: boolean, format: number): Uint8Array | undefined {
  if (!wantsData) return new Reply(4).u8(1, 0x15).bytes;
  if (format === 1) return new Reply(16).u8(1, 0x15).u16(2, 12).u8(4, 1).u8(5, 0x14).u8(6, 1).bytes;
  if (format === 2 || format === 3) return new Reply(24).u8(1, 0x15).u16(2, 20).u8(4, format).u8(5, 0x14).bytes;
  return undefined;
}

/** READ DVD STRUCTURE format 0: physical format of a one-layer DVD-ROM. */
export function dvdPhysicalFormat(blocks: number): Uint8Array {
  return new Reply(2052)
    .u16(0, 2050)
    .u8(4, 0x01)
    .u8(5, 0x02)
    .u8(6, 0x01)
    .u24(9, 0x030000)
    .u24(13, 0x030000 + blocks - 1).bytes;
}
