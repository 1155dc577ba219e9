import { ManualClock } from "../../base/index.ts";
import { cp437ToString, Vga } from "../../devices/vga/index.ts";
import { GuestRegisters, PhysicalMemory, SEGMENT_NAMES } from "../../vmm/index.ts";
import type { GuestIo, RegisterAccess, SegmentState } from "../../engine/api/index.ts";
import type { BiosContext } from "../api.ts";
import { ByteMemory } from "../fakes.testing.ts";
import { buildVideoRom, createInt10, VIDEO_ROM_BASE } from "./index.ts";

/** RAM below A0000, the VGA window, the option ROM, and the frame buffer at E0000000. */
class FakeMemory extends ByteMemory {
  override readonly sizeBytes = 0x100000;
  readonly ram = new Uint8Array(0x100000);
  readonly #vram: Uint8Array;
  constructor(vram: Uint8Array) {
    super();
    this.#vram = vram;
  }
  #slot(gpa: number, length: number): Uint8Array | undefined {
    if (gpa + length <= 0xa0000 || (gpa >= 0xc0000 && gpa + length <= 0x100000)) return this.ram.subarray(gpa, gpa + length);
    if (gpa >= 0xe0000000 && gpa + length <= 0xe0000000 + this.#vram.length) return this.#vram.subarray(gpa - 0xe0000000, gpa - 0xe0000000 + length);
    return undefined;
  }
  override read8(gpa: number): number {
    if (gpa < 0xa0000) return this.ram[gpa] ?? 0xff;
    return this.#slot(gpa, 1)?.[0] ?? 0xff;
  }
  override write8(gpa: number, value: number): void {
    if (gpa < 0xa0000) {
      this.ram[gpa] = value;
      return;
    }
    if (gpa >= 0xc0000 && gpa < 0x100000) return;
    const s = this.#slot(gpa, 1);
    if (s !== undefined) s[0] = value;
  }
  override writeRom(gpa: number, from: Uint8Array): void {
    this.#slot(gpa, from.length)?.set(from);
  }
  override viewForWrite(gpa: number, length: number): Uint8Array | undefined {
    return gpa >= 0xc0000 && gpa < 0x100000 ? undefined : this.#slot(gpa, length);
  }
  override viewForRead(gpa: number, length: number): Uint8Array | undefined {
    return this.#slot(gpa, length);
  }
}

const SEGMENT: SegmentState = { selector: 0, base: 0n, limit: 0xffff, access: 0x93 };

function fakeRegisters(): RegisterAccess {
  const gpr = new Uint32Array(16);
  const segments = new Map<string, SegmentState>();
  const unused = (): never => {
    throw new Error("not part of this test");
  };
  const segment = (i: number): SegmentState => segments.get(SEGMENT_NAMES[i] ?? "") ?? SEGMENT;
  return {
    getGpr: (i) => BigInt(gpr[i] ?? 0),
    setGpr: (i, v) => void (gpr[i] = Number(v & 0xffffffffn)),
    getGpr32: (i) => gpr[i] ?? 0,
    setGpr32: (i, v) => void (gpr[i] = v),
    getRip: () => 0n,
    getRip32: () => 0,
    advanceRip() {},
    getSegmentSelector: (i) => segment(i).selector,
    getSegmentBase32: (i) => Number(segment(i).base & 0xffffffffn),
    getSegmentAccess: (i) => segment(i).access,
    getCr0: () => 0,
    setRip: unused,
    getRflags: () => 2,
    setRflags: unused,
    getSegment: (name) => segments.get(name) ?? SEGMENT,
    setSegment: (name, s) => void segments.set(name, s),
    getControl: () => 0n,
    setControl: unused,
    getDescriptorTable: unused,
    setDescriptorTable: unused,
    getMsr: unused,
    setMsr: unused,
    getFpu: unused,
    setFpu: unused,
    getXmm: unused,
    setXmm: unused,
  };
}

export function videoPc(vramBytes = 0x1000000) {
  const clock = new ManualClock();
  const vram = new Uint8Array(vramBytes);
  const vga = new Vga({ vram, clock });
  const memory = new FakeMemory(vram);
  const inVga = (port: number): boolean => port >= 0x3b0 && port < 0x3e0;
  const io: GuestIo = {
    portRead: (port, size) =>
      inVga(port) ? vga.ports.read(port - 0x3b0, size) : port >= 0x1ce && port < 0x1d1 ? vga.dispiPorts.read(port - 0x1ce, size) : 0xff,
    portWrite: (port, size, v) => {
      if (inVga(port)) vga.ports.write(port - 0x3b0, size, v);
      else if (port >= 0x1ce && port < 0x1d1) vga.dispiPorts.write(port - 0x1ce, size, v);
      return true;
    },
    mmioRead: (gpa, size) => (gpa >= 0xa0000 && gpa < 0xc0000 ? vga.window.read(gpa - 0xa0000, size) : 0xff),
    mmioWrite: (gpa, size, v) => {
      if (gpa >= 0xa0000 && gpa < 0xc0000) vga.window.write(gpa - 0xa0000, size, v);
      return true;
    },
    interruptAcknowledge: () => 0,
  };
  const regs = new GuestRegisters(fakeRegisters());
  const mem = new PhysicalMemory(memory, io);
  let bells = 0;
  const int10 = createInt10({ lfbBase: () => 0xe0000000, vramBytes, onBell: () => bells++ });
  const ctx: BiosContext = {
    regs,
    mem,
    physical: mem,
    ports: {
      in8: (p) => io.portRead(p, 1),
      in16: (p) => io.portRead(p, 2),
      in32: (p) => io.portRead(p, 4),
      out8: (p, v) => void io.portWrite(p, 1, v),
      out16: (p, v) => void io.portWrite(p, 2, v),
      out32: (p, v) => void io.portWrite(p, 4, v),
    },
    video: vga,
    drives: [],
    resumed: false,
    setCarry: () => undefined,
    getCarry: () => false,
    setZero: () => undefined,
    setInterruptFlag: () => undefined,
    linear: (segment, offset) => ((segment & 0xffff) << 4) + (offset & 0xffff),
  };
  memory.writeRom(VIDEO_ROM_BASE, buildVideoRom({ vramBytes }));
  int10.init(ctx);

  interface Call {
    readonly ax: number;
    readonly bx?: number;
    readonly cx?: number;
    readonly dx?: number;
    readonly bp?: number;
    readonly di?: number;
    readonly es?: number;
  }
  const call = (r: Call): GuestRegisters => {
    regs.ax = r.ax;
    regs.bx = r.bx ?? 0;
    regs.cx = r.cx ?? 0;
    regs.dx = r.dx ?? 0;
    regs.bp = r.bp ?? 0;
    regs.di = r.di ?? 0;
    regs.setRealSegment("es", r.es ?? 0);
    int10.handler(ctx);
    return regs;
  };
  const print = (text: string, bx = 7): void => {
    for (const c of text) call({ ax: 0x0e00 | c.charCodeAt(0), bx });
  };
  const line = (row: number): string => {
    const s = vga.snapshotText();
    return s === undefined ? "" : cp437ToString(s.chars.subarray(row * s.columns, (row + 1) * s.columns)).trimEnd();
  };
  /** Picture of a graphics frame region: '#' for lit pixels. */
  const picture = (x: number, y: number, w: number, h: number): string[] => {
    const f = vga.renderFrame({ blinkPhase: false });
    return Array.from({ length: h }, (_, j) =>
      Array.from({ length: w }, (_, i) => {
        const at = ((y + j) * f.width + x + i) * 4;
        return (f.rgba[at] ?? 0) + (f.rgba[at + 1] ?? 0) + (f.rgba[at + 2] ?? 0) > 0 ? "#" : ".";
      }).join(""),
    );
  };
  return { clock, vga, vram, memory, mem, ctx, regs, int10, call, print, line, picture, bells: () => bells };
}

/** A glyph as `picture` shows it. */
export function glyphPicture(font: Uint8Array, ch: number, height: number): string[] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: 8 }, (_, x) => (((font[ch * height + y] ?? 0) & (0x80 >> x)) !== 0 ? "#" : ".")).join(""),
  );
}
