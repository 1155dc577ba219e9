import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemoryBlockBackend, XDF_LAYOUT } from "../../backends/api/index.ts";
import type { BiosDrive } from "../api.ts";
import { createInt13, createInt40, DISK_ROM, DiskServices, installDiskData } from "./index.ts";
import { BenchContext, bootDisc, cdDrive, floppyDrive, hardDrive, patternDisk } from "./bench.testing.ts";

interface Registers {
  ah: number;
  al?: number;
  bx?: number;
  cx?: number;
  dh?: number;
  dl: number;
  es?: number;
  ds?: number;
  si?: number;
}

function bench(drives: BiosDrive[]) {
  const ctx = new BenchContext(drives);
  const services = new DiskServices();
  const int13 = createInt13(services);
  // What is in them is known.
  for (const d of drives) services.resolve(ctx, d.kind === "floppy" ? d.unit : d.kind === "cdrom" ? 0xe0 + d.unit : 0x80 + d.unit);
  installDiskData(ctx.mem, drives);
  const call = (r: Registers) => {
    ctx.regs.ah = r.ah;
    ctx.regs.al = r.al ?? 0;
    ctx.regs.bx = r.bx ?? 0;
    ctx.regs.cx = r.cx ?? 0;
    ctx.regs.dh = r.dh ?? 0;
    ctx.regs.dl = r.dl;
    ctx.regs.setRealSegment("es", r.es ?? 0);
    ctx.regs.setRealSegment("ds", r.ds ?? 0);
    ctx.regs.si = r.si ?? 0;
    const result = int13(ctx);
    return { result, ah: ctx.regs.ah, al: ctx.regs.al, cf: ctx.carry };
  };
  /** Writes a disk address packet at 0:0600 and calls. */
  const packet = (
    fn: number,
    dl: number,
    p: { count: number; lba: bigint; segment?: number; offset?: number; flat?: bigint; size?: number; al?: number },
  ) => {
    const b = new DataView(new ArrayBuffer(24));
    b.setUint8(0, p.size ?? (p.flat === undefined ? 16 : 24));
    b.setUint16(2, p.count, true);
    b.setUint16(4, p.flat === undefined ? (p.offset ?? 0) : 0xffff, true);
    b.setUint16(6, p.flat === undefined ? (p.segment ?? 0) : 0xffff, true);
    b.setBigUint64(8, p.lba, true);
    b.setBigUint64(16, p.flat ?? 0n, true);
    ctx.mem.write(0x600, new Uint8Array(b.buffer));
    return { ...call({ ah: fn, al: p.al ?? 0, dl, si: 0x600 }), blocks: ctx.mem.read16(0x602) };
  };
  return { ctx, services, call, packet };
}

const disk = (sectors = 10 * 16 * 63) => patternDisk(sectors);
const hd = (cx: number, dh: number): number => ((cx >>> 8) * 16 + dh) * 63 + (cx & 63) - 1;

describe("hard disks, classic functions", () => {
  test("02h reads CHS sectors into ES:BX, across a track, and says how many", () => {
    const { ctx, call } = bench([hardDrive(0, disk())]);
    const r = call({ ah: 2, al: 5, cx: 0x023f, dh: 3, dl: 0x80, es: 0x2000, bx: 0x10 });
    expect(r).toMatchObject({ result: "done", ah: 0, al: 5, cf: false });
    const first = hd(0x023f, 3) & 255;
    expect(ctx.mem.read8(0x20010)).toBe(first);
    expect(ctx.mem.read8(0x20010 + 4 * 512)).toBe((first + 4) & 255);
    expect(ctx.mem.read8(0x474)).toBe(0);
  });

  test.each([0, 0x80])("services leave interrupts on, as the AT's disk code does (DL=%i)", (dl) => {
    const { ctx, call } = bench([hardDrive(0, disk()), floppyDrive(0, patternDisk(2880))]);
    call({ ah: 0x55, dl });
    expect(ctx.interrupts).toBe(true);
  });

  test("03h writes, and a read-only disk answers 03h", () => {
    const backend = disk();
    const { ctx, call } = bench([hardDrive(0, backend), hardDrive(1, patternDisk(10080, { readOnly: true }))]);
    ctx.memory.bytes.fill(0xa5, 0x8000, 0x8400);
    expect(call({ ah: 3, al: 2, cx: 2, dl: 0x80, bx: 0x8000 })).toMatchObject({ ah: 0, al: 2, cf: false });
    expect(backend.bytes.subarray(512, 1536).every((b) => b === 0xa5)).toBe(true);
    expect(call({ ah: 3, al: 1, cx: 1, dl: 0x81, bx: 0x8000 })).toMatchObject({ ah: 3, cf: true });
  });

  test("a read past the end fails with 04h after the sectors that exist, never zero-filled success", () => {
    const { ctx, call } = bench([hardDrive(0, patternDisk(100))]);
    ctx.memory.bytes.fill(0xcc, 0x8000, 0x9000);
    const r = call({ ah: 2, al: 4, cx: 0x0024, dh: 1, dl: 0x80, bx: 0x8000 });
    expect(r).toMatchObject({ ah: 4, al: 2, cf: true });
    expect(ctx.mem.read8(0x8000 + 1024)).toBe(0xcc);
    expect(call({ ah: 2, al: 1, cx: 0x0401, dl: 0x80, bx: 0x8000 })).toMatchObject({ ah: 4, al: 0, cf: true });
  });

  test("drive probes end at the right count", () => {
    const { call } = bench([hardDrive(0, disk()), hardDrive(1, disk())]);
    let count = 0;
    while (count < 16 && !call({ ah: 2, al: 1, cx: 1, dl: 0x80 + count, bx: 0x8000 }).cf) count++;
    expect(count).toBe(2);
    expect(call({ ah: 2, al: 1, cx: 1, dl: 0x82, bx: 0x8000 })).toMatchObject({ ah: 1, cf: true });
  });

  test("counts 0 and above 128, sector 0, head and cylinder outside the geometry are refused", () => {
    const { call } = bench([hardDrive(0, disk())]);
    const at = { ah: 2, dl: 0x80, bx: 0x8000 };
    expect(call({ ...at, al: 0, cx: 1 })).toMatchObject({ ah: 1, cf: true });
    expect(call({ ...at, al: 129, cx: 1 })).toMatchObject({ ah: 1, cf: true });
    expect(call({ ...at, al: 1, cx: 0 })).toMatchObject({ ah: 4, cf: true });
    expect(call({ ...at, al: 1, cx: 1, dh: 16 })).toMatchObject({ ah: 4, cf: true });
    expect(call({ ...at, al: 1, cx: 0x0a01 })).toMatchObject({ ah: 4, cf: true });
    expect(call({ ...at, al: 128, cx: 1 })).toMatchObject({ ah: 0, al: 128, cf: false });
  });

  test("a transfer that passes the end of the segment goes on in linear memory", () => {
    const { ctx, call } = bench([hardDrive(0, disk())]);
    expect(call({ ah: 2, al: 2, cx: 1, dl: 0x80, es: 0x1000, bx: 0xff00 })).toMatchObject({ ah: 0, al: 2 });
    expect(ctx.mem.read8(0x20000)).toBe(0);
    expect(ctx.mem.read8(0x20100)).toBe(1);
  });

  test("a read into video memory reaches the MMIO window", () => {
    const { ctx, call } = bench([hardDrive(0, disk())]);
    expect(call({ ah: 2, al: 1, cx: 3, dl: 0x80, es: 0xa000 })).toMatchObject({ ah: 0, al: 1 });
    expect(ctx.mmio.get(0xa0005)).toBe(7);
  });

  test("08h gives maxima, the number of drives and leaves ES:DI alone", () => {
    const { ctx, call } = bench([hardDrive(0, disk(), { cylinders: 1024, heads: 255, sectors: 63 }), hardDrive(1, disk())]);
    ctx.regs.di = 0x1234;
    expect(call({ ah: 8, dl: 0x80 })).toMatchObject({ ah: 0, al: 0, cf: false });
    expect([ctx.regs.ch, ctx.regs.cl, ctx.regs.dh, ctx.regs.dl, ctx.regs.di]).toEqual([0xff, 0xff, 254, 2, 0x1234]);
    expect(call({ ah: 8, dl: 0x82, cx: 0x1234 })).toMatchObject({ ah: 7, cf: true });
    expect([ctx.regs.cx, ctx.regs.dx]).toEqual([0, 0]);
  });

  test("01h returns the last status and keeps it for the next 01h", () => {
    const { call } = bench([hardDrive(0, disk())]);
    call({ ah: 2, al: 0, cx: 1, dl: 0x80 });
    expect(call({ ah: 1, dl: 0x80 })).toMatchObject({ ah: 1, cf: true });
    call({ ah: 0, dl: 0x80 });
    expect(call({ ah: 1, dl: 0x80 })).toMatchObject({ ah: 0, cf: false });
  });

  test("15h gives class and size; an absent drive is class 0 without carry", () => {
    const { ctx, call } = bench([hardDrive(0, patternDisk(70000))]);
    ctx.carry = true;
    expect(call({ ah: 0x15, dl: 0x80 })).toMatchObject({ ah: 3, cf: false });
    expect(ctx.regs.cx * 65536 + ctx.regs.dx).toBe(70000);
    expect(call({ ah: 0x15, dl: 0x81 })).toMatchObject({ ah: 0, cf: false });
  });

  test("controller functions succeed; unknown ones, long reads and formats are bad commands", () => {
    const { call } = bench([hardDrive(0, disk())]);
    for (const ah of [0x00, 0x09, 0x0c, 0x0d, 0x10, 0x11, 0x14]) expect(call({ ah, dl: 0x80 })).toMatchObject({ ah: 0, cf: false });
    for (const ah of [0x05, 0x06, 0x07, 0x0a, 0x0b, 0x16, 0x17, 0x18, 0x20, 0x54, 0xea]) {
      expect(call({ ah, dl: 0x80 })).toMatchObject({ ah: 1, cf: true });
    }
  });
});

describe("EDD", () => {
  test("41h: signature, version 3.0 and only what is implemented; CF clear and IF not lost", () => {
    const { ctx, call } = bench([hardDrive(0, disk()), floppyDrive(0, patternDisk(2880)), cdDrive(0, patternDisk(100, { sectorBytes: 2048 }))]);
    expect(call({ ah: 0x41, bx: 0x55aa, dl: 0x80 })).toMatchObject({ ah: 0x30, cf: false });
    expect([ctx.regs.bx, ctx.regs.cx, ctx.interrupts]).toEqual([0xaa55, 0x000d, true]);
    expect(call({ ah: 0x41, bx: 0, dl: 0x80 })).toMatchObject({ ah: 1, cf: true });
    expect(call({ ah: 0x41, bx: 0x55aa, dl: 0 })).toMatchObject({ ah: 1, cf: true });
    expect(call({ ah: 0x41, bx: 0x55aa, dl: 0x81 })).toMatchObject({ ah: 1, cf: true });
    call({ ah: 0x41, bx: 0x55aa, dl: 0xe0 });
    expect(ctx.regs.cx & 2).toBe(2);
    for (const ah of [0x41, 0x42, 0x48, 0x4e]) expect(call({ ah, bx: 0x55aa, dl: 0 })).toMatchObject({ ah: 1, cf: true });
  });

  test("42h reads exactly the block asked for; 43h writes and clears CF", () => {
    const backend = disk();
    const { ctx, packet } = bench([hardDrive(0, backend)]);
    expect(packet(0x42, 0x80, { count: 2, lba: 77n, segment: 0x1000, offset: 4 })).toMatchObject({ ah: 0, cf: false, blocks: 2 });
    expect(ctx.mem.read8(0x10004)).toBe(77);
    ctx.memory.bytes.fill(0x5a, 0x10000, 0x10200);
    expect(packet(0x43, 0x80, { count: 1, lba: 5n, segment: 0x1000, al: 1 })).toMatchObject({ ah: 0, cf: false });
    expect(backend.bytes[5 * 512]).toBe(0x5a);
  });

  test("a flat 64-bit buffer above 1 MB is filled directly", () => {
    const { ctx, packet } = bench([hardDrive(0, disk())]);
    expect(packet(0x42, 0x80, { count: 127, lba: 1n, flat: 0x110000n })).toMatchObject({ ah: 0, cf: false });
    expect(ctx.mem.read8(0x110000)).toBe(1);
    expect(ctx.mem.read8(0x110000 + 126 * 512)).toBe(127);
    expect(packet(0x42, 0x80, { count: 1, lba: 1n, flat: 0xffff_ffff_ffff_f000n })).toMatchObject({ ah: 1, cf: true });
    expect(packet(0x42, 0x80, { count: 1, lba: 1n, flat: 0x40_0000_0000n })).toMatchObject({ ah: 0, cf: false });
  });

  test("far block numbers and impossible packets: 64-bit block numbers past the end, big counts and short packets fail with 0 blocks", () => {
    const { packet } = bench([hardDrive(0, patternDisk(100))]);
    expect(packet(0x42, 0x80, { count: 1, lba: 0x1_0000_0000n })).toMatchObject({ ah: 1, cf: true, blocks: 0 });
    expect(packet(0x42, 0x80, { count: 1, lba: 0xffff_ffff_ffff_ffffn })).toMatchObject({ ah: 1, cf: true, blocks: 0 });
    expect(packet(0x42, 0x80, { count: 2, lba: 99n })).toMatchObject({ ah: 1, cf: true, blocks: 0 });
    expect(packet(0x42, 0x80, { count: 128, lba: 0n })).toMatchObject({ ah: 1, cf: true, blocks: 0 });
    expect(packet(0x42, 0x80, { count: 1, lba: 0n, size: 15 })).toMatchObject({ ah: 1, cf: true });
    expect(packet(0x42, 0x80, { count: 0, lba: 0n })).toMatchObject({ ah: 0, cf: false });
    expect(packet(0x43, 0x80, { count: 1, lba: 0n, al: 3 })).toMatchObject({ ah: 1, cf: true });
  });

  test("48h fills 1Ah, 1Eh or 42h bytes; geometry, key, path and checksum are right", () => {
    const { ctx, call } = bench([hardDrive(0, disk()), hardDrive(1, disk())]);
    const result = (size: number) => {
      ctx.memory.bytes.fill(0xee, 0x600, 0x680);
      ctx.mem.write16(0x600, size);
      return call({ ah: 0x48, dl: 0x81, si: 0x600 });
    };
    expect(result(0x19)).toMatchObject({ ah: 1, cf: true });
    expect(result(0x1a)).toMatchObject({ ah: 0, cf: false });
    expect([ctx.mem.read16(0x600), ctx.mem.read8(0x61a)]).toEqual([0x1a, 0xee]);
    expect(ctx.mem.read16(0x602)).toBe(3);
    expect([ctx.mem.read32(0x604), ctx.mem.read32(0x608), ctx.mem.read32(0x60c)]).toEqual([10, 16, 63]);
    expect([ctx.mem.read32(0x610), ctx.mem.read32(0x614), ctx.mem.read16(0x618)]).toEqual([10080, 0, 512]);
    result(0x1e);
    const dpte = (ctx.mem.read16(0x61c) << 4) + ctx.mem.read16(0x61a);
    expect(dpte).toBe((DISK_ROM.segment << 4) + DISK_ROM.dpte + 16);
    expect([ctx.mem.read16(dpte), ctx.mem.read16(dpte + 2), ctx.mem.read8(dpte + 4), ctx.mem.read8(dpte + 6)]).toEqual([0x1f0, 0x3f6, 0xf0, 14]);
    result(0x4a);
    expect([ctx.mem.read16(0x600), ctx.mem.read16(0x61e), ctx.mem.read8(0x620)]).toEqual([0x42, 0xbedd, 0x24]);
    expect(String.fromCharCode(...ctx.memory.bytes.subarray(0x624, 0x630))).toBe("ISA ATA     ");
    expect([ctx.mem.read16(0x630), ctx.mem.read8(0x638)]).toEqual([0x1f0, 1]);
    let sum = 0;
    for (let i = 0x1e; i < 0x42; i++) sum += ctx.mem.read8(0x600 + i);
    expect(sum & 255).toBe(0);
  });

  test("48h names a virtio disk by its PCI place, as SCSI, without a DPTE", () => {
    const { path: _path, ...plain } = hardDrive(0, disk());
    const { ctx, call } = bench([{ ...plain, virtio: { slot: 5, fn: 0 } }]);
    ctx.mem.write16(0x600, 0x42);
    expect(call({ ah: 0x48, dl: 0x80, si: 0x600 })).toMatchObject({ ah: 0, cf: false });
    expect(String.fromCharCode(...ctx.memory.bytes.subarray(0x624, 0x630))).toBe("PCI SCSI    ");
    expect([ctx.mem.read32(0x61a), ctx.mem.read32(0x630), ctx.mem.read32(0x638)]).toEqual([0xffffffff, 0x0500, 0]);
  });

  test("44h, 47h, 4Eh work; locking is for removable media only", () => {
    const { ctx, call, packet } = bench([hardDrive(0, disk()), cdDrive(0, patternDisk(100, { sectorBytes: 2048 }))]);
    expect(packet(0x44, 0x80, { count: 8, lba: 0n })).toMatchObject({ ah: 0, cf: false });
    expect(packet(0x47, 0x80, { count: 8, lba: 10079n })).toMatchObject({ ah: 0, cf: false });
    expect(packet(0x47, 0x80, { count: 0, lba: 10080n })).toMatchObject({ ah: 1, cf: true });
    expect(call({ ah: 0x4e, al: 3, dl: 0x80 })).toMatchObject({ ah: 0, al: 0, cf: false });
    expect(call({ ah: 0x45, dl: 0x80 })).toMatchObject({ ah: 0xb2, cf: true });
    expect(call({ ah: 0x46, dl: 0x80 })).toMatchObject({ ah: 0xb2, cf: true });
    expect(call({ ah: 0x45, al: 1, dl: 0xe0 })).toMatchObject({ ah: 0xb0, cf: true });
    expect(call({ ah: 0x45, al: 0, dl: 0xe0 })).toMatchObject({ ah: 0, al: 1, cf: false });
    expect(call({ ah: 0x46, dl: 0xe0 })).toMatchObject({ ah: 0xb1, cf: true });
    expect(call({ ah: 0x45, al: 1, dl: 0xe0 })).toMatchObject({ ah: 0, al: 0, cf: false });
    expect(call({ ah: 0x46, dl: 0xe0 })).toMatchObject({ ah: 0, cf: false });
    expect(ctx.drives[1]?.backend).toBeUndefined();
    expect(packet(0x42, 0xe0, { count: 1, lba: 0n })).toMatchObject({ ah: 0x31, cf: true });
    expect(call({ ah: 0x49, dl: 0xe0 })).toMatchObject({ ah: 6, cf: true });
    expect(call({ ah: 0x49, dl: 0xe0 })).toMatchObject({ ah: 0, cf: false });
  });

  test("the CD unit reads 2048-byte blocks", () => {
    const { ctx, packet } = bench([cdDrive(0, patternDisk(100, { sectorBytes: 2048 }))]);
    expect(packet(0x42, 0xe0, { count: 3, lba: 16n, segment: 0x2000 })).toMatchObject({ ah: 0, cf: false });
    expect([ctx.mem.read8(0x20000), ctx.mem.read8(0x20800), ctx.mem.read8(0x21000)]).toEqual([16, 17, 18]);
    expect(packet(0x43, 0xe0, { count: 1, lba: 16n, segment: 0x2000 })).toMatchObject({ ah: 3, cf: true });
  });
});

describe("floppies", () => {
  const floppy = () => bench([floppyDrive(0, patternDisk(2880))]);

  test("a read crosses from head 0 to head 1 and keeps the BDA", () => {
    const { ctx, call } = floppy();
    expect(call({ ah: 2, al: 3, cx: 0x0511, dh: 0, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, al: 3, cf: false });
    expect(ctx.mem.read8(0x8000)).toBe((5 * 36 + 16) & 255);
    expect([ctx.mem.read8(0x440), ctx.mem.read8(0x43f), ctx.mem.read8(0x490), ctx.mem.read8(0x494)]).toEqual([0x25, 1, 0x17, 5]);
  });

  test("a buffer that crosses a 64 KB page is 09h, a verify there is not", () => {
    const { call } = floppy();
    expect(call({ ah: 2, al: 2, cx: 1, dl: 0, es: 0x1000, bx: 0xff00 })).toMatchObject({ ah: 9, al: 0, cf: true });
    expect(call({ ah: 4, al: 2, cx: 1, dl: 0, es: 0x1000, bx: 0xff00 })).toMatchObject({ ah: 0, al: 2, cf: false });
    expect(call({ ah: 2, al: 128, cx: 1, dl: 0, es: 0x1000 })).toMatchObject({ ah: 0, al: 128 });
  });

  test("sector probing sees the medium's own track length; drives that are not there time out or are refused", () => {
    const { call } = floppy();
    expect(call({ ah: 2, al: 1, cx: 36, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 4, al: 0, cf: true });
    expect(call({ ah: 2, al: 1, cx: 18, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, al: 1, cf: false });
    expect(call({ ah: 2, al: 1, cx: 1, dh: 2, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 1, cf: true });
    expect(call({ ah: 2, al: 1, cx: 1, dl: 1, bx: 0x8000 })).toMatchObject({ ah: 0x80, cf: true });
    expect(call({ ah: 2, al: 1, cx: 1, dl: 2, bx: 0x8000 })).toMatchObject({ ah: 1, cf: true });
  });

  test("the diskette table is read through IVT 1Eh on each call: another sector size finds no sector", () => {
    const { ctx, call } = floppy();
    ctx.useDisketteTable([0xdf, 2, 0x25, 3, 18, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 8]);
    expect(call({ ah: 2, al: 1, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 4, cf: true });
    ctx.useDisketteTable([0xdf, 2, 0x30, 2, 21, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 8]);
    expect(call({ ah: 2, al: 1, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, cf: false });
    expect(ctx.mem.read8(0x440)).toBe(0x30);
  });

  test("05h formats a track with the table's fill byte", () => {
    const backend = patternDisk(2880);
    const { ctx, call } = bench([floppyDrive(0, backend)]);
    for (let i = 0; i < 18; i++) ctx.mem.write(0x8000 + 4 * i, Uint8Array.of(3, 1, i + 1, 2));
    expect(call({ ah: 5, al: 18, cx: 0x0301, dh: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, cf: false });
    const track = (3 * 2 + 1) * 18 * 512;
    expect(backend.bytes.subarray(track, track + 18 * 512).every((b) => b === 0xf6)).toBe(true);
    expect(backend.bytes[track + 18 * 512]).toBe((4 * 36) & 255);
    ctx.mem.write8(0x8002, 19);
    expect(call({ ah: 5, al: 18, cx: 0x0301, dh: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 4, cf: true });
    ctx.useDisketteTable([0xdf, 2, 0x25, 2, 21, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 8]);
    expect(call({ ah: 5, al: 18, cx: 0x0301, dh: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0x0c, cf: true });
  });

  test("08h: type, maxima, drive count and the diskette table of the drive", () => {
    const { ctx, call } = floppy();
    expect(call({ ah: 8, dl: 0 })).toMatchObject({ ah: 0, al: 0, cf: false });
    expect([ctx.regs.bx, ctx.regs.cx, ctx.regs.dx]).toEqual([4, 0x4f12, 0x0101]);
    expect(ctx.mem.read8((ctx.regs.selector("es") << 4) + ctx.regs.di + 4)).toBe(18);
    expect(call({ ah: 8, dl: 1 })).toMatchObject({ ah: 0, cf: true });
    expect([ctx.regs.bx, ctx.regs.cx, ctx.regs.dx, ctx.regs.di]).toEqual([0, 0, 1, 0]);
  });

  test("the change line: 16h and 15h report it, the next access fails once with 06h", () => {
    const { ctx, call } = floppy();
    expect(call({ ah: 0x15, dl: 0 })).toMatchObject({ ah: 2, cf: false });
    expect(call({ ah: 0x16, dl: 0 })).toMatchObject({ ah: 0, cf: false });
    const drive = ctx.drives[0];
    if (drive !== undefined) drive.backend = undefined;
    expect(call({ ah: 0x16, dl: 0 })).toMatchObject({ ah: 0x80, cf: true });
    expect(call({ ah: 2, al: 1, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0x80, cf: true });
    if (drive !== undefined) drive.backend = patternDisk(2880);
    expect(call({ ah: 0x16, dl: 0 })).toMatchObject({ ah: 6, cf: true });
    expect(call({ ah: 2, al: 1, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 6, cf: true });
    expect(call({ ah: 2, al: 1, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, cf: false });
    expect(call({ ah: 0x16, dl: 0 })).toMatchObject({ ah: 0, cf: false });
  });

  test("a 360K drive has no change line", () => {
    const { call } = bench([floppyDrive(0, patternDisk(720), 1)]);
    expect(call({ ah: 0x15, dl: 0 })).toMatchObject({ ah: 1, cf: false });
    expect(call({ ah: 0x16, dl: 0 })).toMatchObject({ ah: 6, cf: true });
    expect(call({ ah: 2, al: 1, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, cf: false });
  });

  test("17h and 18h accept what the medium can be formatted to", () => {
    const { ctx, call } = floppy();
    expect(call({ ah: 0x17, al: 9, dl: 0 })).toMatchObject({ ah: 1, cf: true });
    expect(call({ ah: 0x18, cx: 0x4f12, dl: 0 })).toMatchObject({ ah: 0, cf: false });
    expect(ctx.regs.di).toBe(DISK_ROM.diskette + 3 * 13);
    expect(call({ ah: 0x18, cx: 0x4f24, dl: 0 })).toMatchObject({ ah: 0x0c, cf: true });
  });

  test("CL of a floppy call is a whole byte: its upper bits are not the cylinder's", () => {
    const { call } = floppy();
    expect(call({ ah: 2, al: 1, cx: 0x0541, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 4, cf: true });
  });

  test("floppy status is kept apart from the hard disk's", () => {
    const { call } = bench([floppyDrive(0, patternDisk(2880)), hardDrive(0, disk())]);
    call({ ah: 2, al: 0, cx: 1, dl: 0 });
    call({ ah: 2, al: 1, cx: 1, dl: 0x80, bx: 0x8000 });
    expect(call({ ah: 1, dl: 0 })).toMatchObject({ ah: 1, cf: true });
    expect(call({ ah: 1, dl: 0x80 })).toMatchObject({ ah: 0, cf: false });
  });

  test("INT 40h serves floppies only", () => {
    const ctx = new BenchContext([floppyDrive(0, patternDisk(2880)), hardDrive(0, disk())]);
    const int40 = createInt40(new DiskServices());
    ctx.regs.ax = 0x0201;
    ctx.regs.cx = 2;
    ctx.regs.bx = 0x8000;
    int40(ctx);
    expect([ctx.regs.ah, ctx.mem.read8(0x8000)]).toEqual([0, 1]);
    ctx.regs.ax = 0x0201;
    ctx.regs.dl = 0x80;
    int40(ctx);
    expect([ctx.regs.ah, ctx.carry]).toEqual([1, true]);
  });
});

describe("XDF floppies", () => {
  const xdf = () => {
    const backend = patternDisk(3680);
    return { backend, ...bench([{ ...floppyDrive(0, backend), geometry: { cylinders: 80, heads: 2, sectors: 23 }, layout: XDF_LAYOUT }]) };
  };
  const table = (n: number): number[] => [0xdf, 2, 0x25, n, 0xff, 0x0a, 0xff, 0x6c, 0xf6, 0x0f, 8];

  test("a driver reads and writes sectors of each size by swapping the diskette table", () => {
    const { ctx, call, backend } = xdf();
    for (const [n, r, dh, first] of [
      [3, 0x83, 0, 46],
      [6, 0x86, 1, 52],
      [6, 0x86, 0, 70],
    ] as const) {
      ctx.useDisketteTable(table(n));
      expect(call({ ah: 2, al: 1, cx: 0x0100 | r, dh, dl: 0, es: 0x1000 })).toMatchObject({ ah: 0, al: 1, cf: false });
      const last = (128 << n) - 512;
      expect([ctx.mem.read8(0x10000), ctx.mem.read8(0x10000 + last)]).toEqual([first, first + last / 512]);
      expect(ctx.mem.read8(0x448)).toBe(n);
    }
    ctx.memory.bytes.fill(0xa5, 0x10000, 0x12000);
    expect(call({ ah: 3, al: 1, cx: 0x0186, dl: 0, es: 0x1000 })).toMatchObject({ ah: 0, al: 1, cf: false });
    expect(backend.bytes.subarray(70 * 512, 86 * 512).every((v) => v === 0xa5)).toBe(true);
    expect(backend.bytes[86 * 512]).toBe(86);
    expect(call({ ah: 2, al: 1, cx: 0x0184, dl: 0, es: 0x1000 })).toMatchObject({ ah: 4, al: 0, cf: true });
    expect(call({ ah: 2, al: 9, cx: 0x0186, dl: 0, es: 0x1000 })).toMatchObject({ ah: 9, al: 0, cf: true });
  });

  test("without a driver only the small disk of cylinder 0 is there", () => {
    const { ctx, call } = xdf();
    expect(call({ ah: 2, al: 8, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, al: 8, cf: false });
    expect([ctx.mem.read8(0x8000), ctx.mem.read8(0x8000 + 7 * 512)]).toEqual([12, 19]);
    expect(call({ ah: 2, al: 1, cx: 9, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 4, cf: true });
    expect(call({ ah: 2, al: 9, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 4, al: 8, cf: true });
    expect(call({ ah: 2, al: 1, cx: 0x0101, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 4, cf: true });
    call({ ah: 8, dl: 0 });
    expect(ctx.regs.cx).toBe(0x4f12);
  });

  test("from the table's last sector a transfer goes on under the other head", () => {
    const { ctx, call } = xdf();
    ctx.useDisketteTable([0xdf, 2, 0x25, 2, 0x8b, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 8]);
    expect(call({ ah: 2, al: 11, cx: 0x81, dl: 0, es: 0x1000 })).toMatchObject({ ah: 0, al: 11 });
    expect(call({ ah: 2, al: 12, cx: 0x81, dl: 0, es: 0x1000 })).toMatchObject({ ah: 4, al: 11 });
  });

  test("05h fills the sectors that its address fields name", () => {
    const { ctx, call, backend } = xdf();
    ctx.useDisketteTable([0xdf, 2, 0x25, 6, 2, 0x1b, 0xff, 0x6c, 0xf6, 0x0f, 8]);
    ctx.mem.write(0x8000, Uint8Array.of(2, 0, 0x86, 6, 2, 0, 0x82, 2));
    expect(call({ ah: 5, al: 2, cx: 0x0201, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, cf: false });
    const at = 92 * 512;
    expect([backend.bytes[at + 12288], backend.bytes[at + 20479], backend.bytes[at + 11264], backend.bytes[at + 11776]]).toEqual([
      0xf6,
      0xf6,
      0xf6,
      (92 + 23) & 255,
    ]);
  });
});

describe("tables", () => {
  test("INT 41h and 46h point at 16-byte tables with a right checksum in the translated form", () => {
    const { ctx } = bench([hardDrive(0, disk(), { cylinders: 1024, heads: 255, sectors: 63 }), hardDrive(1, disk())]);
    const at = (ctx.mem.read16(0x41 * 4 + 2) << 4) + ctx.mem.read16(0x41 * 4);
    expect(at).toBe(0x9fc3d);
    expect((ctx.mem.read16(0x46 * 4 + 2) << 4) + ctx.mem.read16(0x46 * 4)).toBe(at + 16);
    expect([ctx.mem.read16(at), ctx.mem.read8(at + 2), ctx.mem.read8(at + 3), ctx.mem.read8(at + 14)]).toEqual([1024, 255, 0xa0, 63]);
    let sum = 0;
    for (let i = 0; i < 16; i++) sum += ctx.mem.read8(at + i);
    expect(sum & 255).toBe(0);
    expect(ctx.mem.read8(at + 16 + 3)).toBe(0);
  });

  test("counts and equipment bits are set", () => {
    const { ctx } = bench([floppyDrive(0, undefined), floppyDrive(1, undefined), hardDrive(0, disk())]);
    expect([ctx.mem.read8(0x475), ctx.mem.read8(0x476), ctx.mem.read16(0x410) & 0xc1]).toEqual([1, 0xc8, 0x41]);
  });

  test.each([
    [1, 720, 0x80],
    [4, 2880, 0x00],
    [5, 5760, 0xc0],
  ])("the data rate used last is in 48Bh (drive type %i)", (type, sectors, rate) => {
    const { ctx, call } = bench([floppyDrive(0, patternDisk(sectors), type)]);
    call({ ah: 2, al: 1, cx: 1, dl: 0, bx: 0x8000 });
    expect(ctx.mem.read8(0x48b)).toBe(rate);
  });
});

describe("El Torito", () => {
  const image = patternDisk(2880).bytes;
  function emulated() {
    const disc = bootDisc([{ media: 2, sectorCount: 1, image }]);
    const b = bench([floppyDrive(0, patternDisk(2880)), cdDrive(0, disc)]);
    b.services.startEmulation(b.ctx, {
      cdUnit: 0,
      media: 2,
      driveNumber: 0,
      lba: 32,
      loadSegment: 0x7c0,
      sectorCount: 1,
      cylinders: 80,
      heads: 2,
      sectors: 18,
      active: true,
    });
    return b;
  }

  test("an emulated floppy answers as drive 0, read-only; the real one becomes drive 1", () => {
    const { ctx, call } = emulated();
    expect(call({ ah: 2, al: 2, cx: 3, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, al: 2 });
    expect([ctx.mem.read8(0x8000), ctx.mem.read8(0x8200)]).toEqual([2, 3]);
    expect(call({ ah: 3, al: 1, cx: 3, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 3, cf: true });
    expect(call({ ah: 3, al: 1, cx: 3, dl: 1, bx: 0x8000 })).toMatchObject({ ah: 0, cf: false });
    call({ ah: 8, dl: 0 });
    expect([ctx.regs.dl, ctx.mem.read16(0x410) & 0xc1]).toEqual([2, 0x41]);
  });

  test("4B01h reports the packet, 4B00h ends the emulation, 4D00h gives the catalog", () => {
    const { ctx, call } = emulated();
    expect(call({ ah: 0x4b, al: 1, dl: 0, si: 0x700 })).toMatchObject({ ah: 0, cf: false });
    expect([ctx.mem.read8(0x700), ctx.mem.read8(0x701), ctx.mem.read8(0x702), ctx.mem.read32(0x704)]).toEqual([0x13, 2, 0, 32]);
    expect([ctx.mem.read8(0x703), ctx.mem.read8(0x710), ctx.mem.read8(0x711), ctx.mem.read8(0x712)]).toEqual([1, 79, 18, 1]);
    ctx.mem.write(0x720, Uint8Array.of(8, 1, 0, 0, 0, 0x20, 0, 0));
    expect(call({ ah: 0x4d, dl: 0xe0, si: 0x720 })).toMatchObject({ ah: 0, cf: false });
    expect(ctx.mem.read8(0x20000)).toBe(1);
    expect(call({ ah: 0x4b, al: 0, dl: 0x7f, si: 0x700 })).toMatchObject({ ah: 0, cf: false });
    expect(call({ ah: 3, al: 1, cx: 3, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0, cf: false });
    expect(call({ ah: 0x4b, al: 1, dl: 0x81, si: 0x700 })).toMatchObject({ ah: 1, cf: true });
    expect(ctx.mem.read16(0x410) & 0xc1).toBe(1);
  });

  test("4Ch boots the image of its packet: a jump to 0:7C00 with DL set", () => {
    const { ctx, call } = emulated();
    const p = new Uint8Array(0x13);
    p[0] = 0x13;
    p[1] = 2;
    p[3] = 1;
    p[4] = 32;
    ctx.mem.write(0x700, p);
    expect(call({ ah: 0x4c, dl: 0, si: 0x700 }).result).toEqual({ jump: { segment: 0, offset: 0x7c00 } });
    expect([ctx.regs.dl, ctx.mem.read8(0x7c05)]).toEqual([0, 5]);
  });

  test("state survives a save and load", () => {
    const { services } = emulated();
    const other = new DiskServices();
    other.loadState(structuredClone(services.saveState()));
    expect(other.saveState()).toEqual(services.saveState());
  });
});

test("a disk that fails reports medium errors, not exceptions", () => {
  const broken = new MemoryBlockBackend("broken", new Uint8Array(512 * 100));
  broken.read = () => false;
  broken.write = () => false;
  const { call, packet } = bench([hardDrive(0, broken), floppyDrive(0, broken)]);
  expect(call({ ah: 2, al: 1, cx: 1, dl: 0x80, bx: 0x8000 })).toMatchObject({ ah: 0x10, cf: true });
  expect(call({ ah: 3, al: 1, cx: 1, dl: 0x80, bx: 0x8000 })).toMatchObject({ ah: 0xcc, cf: true });
  expect(call({ ah: 2, al: 1, cx: 1, dl: 0, bx: 0x8000 })).toMatchObject({ ah: 0x10, cf: true });
  expect(packet(0x42, 0x80, { count: 1, lba: 0n, segment: 0x1000 })).toMatchObject({ ah: 0x10, cf: true, blocks: 0 });
});

test("no register values make INT 13h throw", () => {
  const b = bench([
    floppyDrive(0, patternDisk(2880)),
    { ...floppyDrive(1, patternDisk(3680)), layout: XDF_LAYOUT },
    hardDrive(0, disk()),
    cdDrive(0, bootDisc([{ media: 0, sectorCount: 4, image: new Uint8Array(4096) }])),
  ]);
  const u8 = fc.integer({ min: 0, max: 255 });
  const u16 = fc.integer({ min: 0, max: 65535 });
  const fn = fc.oneof(u8, fc.constantFrom(2, 3, 4, 5, 8, 0x42, 0x43, 0x48, 0x4a, 0x4b, 0x4c, 0x4d));
  const drive = fc.oneof(u8, fc.constantFrom(0, 1, 0x80, 0xe0));
  fc.assert(
    fc.property(fn, u8, drive, u16, u16, u16, u16, fc.uint8Array({ minLength: 24, maxLength: 24 }), (ah, al, dl, bx, cx, es, si, bytes) => {
      b.ctx.memory.bytes.set(bytes, (es << 4) + si);
      b.call({ ah, al, dl, bx, cx, es, ds: es, si, dh: al & 3 });
    }),
    { seed: 13, numRuns: 5000 },
  );
});
