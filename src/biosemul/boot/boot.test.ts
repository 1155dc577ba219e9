import { describe, expect, test } from "vitest";
import { MemoryBlockBackend, XDF_LAYOUT } from "../../backends/api/index.ts";
import type { BiosDrive, BiosHandler } from "../api.ts";
import type { BootDevice } from "../config.ts";
import { createInt13, DiskServices } from "../int13/index.ts";
import { BenchContext, bootDisc, cdDrive, floppyDrive, hardDrive } from "../int13/bench.testing.ts";
import { boot, Bootstrap } from "./index.ts";

const NO_BOOT = 0xe200;

/** A disk whose first sector starts with JMP $ and its tag, with or without 55AAh. */
function bootable(tag: number, options: { signature?: boolean; sectors?: number } = {}): MemoryBlockBackend {
  const bytes = new Uint8Array((options.sectors ?? 2880) * 512);
  bytes.set([0xeb, 0xfe, tag]);
  if (options.signature !== false) bytes.set([0x55, 0xaa], 510);
  return new MemoryBlockBackend(`disk ${tag}`, bytes);
}

function bench(drives: BiosDrive[], order: readonly BootDevice[] = ["floppy", "hard-disk", "cdrom"]) {
  const ctx = new BenchContext(drives);
  const services = new DiskServices();
  let screen = "";
  const print: BiosHandler = ({ regs }) => {
    if (regs.ah === 0x0e) screen += String.fromCharCode(regs.al);
    return "done";
  };
  const video = { handler: print, init: () => {} };
  const boots = new Bootstrap({ disks: services, video, order, noBoot: NO_BOOT, startKernel: undefined });
  return { ctx, services, order, boots, screen: () => screen };
}

const image = (tag: number): Uint8Array => bootable(tag).bytes;

describe("boot sectors", () => {
  test("a hard disk boots with DL=80h at 0:7C00, and needs 55AAh", () => {
    const { ctx, services, order } = bench([hardDrive(0, bootable(1, { signature: false })), hardDrive(1, bootable(2))]);
    expect(boot(ctx, services, order).result).toEqual({ kind: "boot", name: "Hard disk 1", segment: 0, offset: 0x7c00, dl: 0x81 });
    expect(ctx.mem.read8(0x7c02)).toBe(2);
  });

  test("a floppy boots without 55AAh, but not when it is blank", () => {
    const plain = bench([floppyDrive(0, bootable(1, { signature: false }))]);
    expect(boot(plain.ctx, plain.services, plain.order).result).toMatchObject({ kind: "boot", dl: 0 });
    const blank = bench([floppyDrive(0, new MemoryBlockBackend("blank", new Uint8Array(1474560).fill(0xf6)))]);
    expect(boot(blank.ctx, blank.services, blank.order).result).toEqual({
      kind: "none",
      reasons: [{ kind: "floppy", unit: 0, why: "not a system disk" }],
    });
  });

  test("the order decides; an empty drive is passed over", () => {
    const drives = [floppyDrive(0, bootable(1)), hardDrive(0, bootable(2)), cdDrive(0, undefined)];
    const { ctx, services, order } = bench(drives, ["cdrom", "hard-disk", "floppy"]);
    expect(boot(ctx, services, order).result).toMatchObject({ name: "Hard disk 0" });
  });
});

describe("El Torito", () => {
  test("no emulation: n sectors at 07C0:0, entered as 0:7C00 with DL=E0h; 4B01h knows it", () => {
    const loader = new Uint8Array(8192);
    for (let i = 0; i < loader.length; i++) loader[i] = i >> 9;
    const { ctx, services, order } = bench([cdDrive(0, bootDisc([{ media: 0, sectorCount: 4, image: loader }]))]);
    expect(boot(ctx, services, order).result).toMatchObject({ segment: 0, offset: 0x7c00, dl: 0xe0 });
    expect([ctx.mem.read8(0x7c00 + 1024), ctx.mem.read8(0x7c00 + 2047), ctx.mem.read8(0x7c00 + 2048)]).toEqual([2, 3, 0]);
    ctx.regs.ax = 0x4b01;
    ctx.regs.dx = 0xe0;
    ctx.regs.si = 0x600;
    createInt13(services)(ctx);
    expect([ctx.regs.ah, ctx.carry, ctx.mem.read8(0x601), ctx.mem.read8(0x602), ctx.mem.read16(0x60e)]).toEqual([0, false, 0, 0xe0, 4]);
  });

  test("an XDF floppy boots what has the ID 1 on its first track", () => {
    const bytes = new Uint8Array(1884160);
    bytes.set(image(1).subarray(0, 512), 0);
    bytes.set(image(8).subarray(0, 512), 12 * 512);
    const { ctx, services, order } = bench([{ ...floppyDrive(0, new MemoryBlockBackend("xdf", bytes)), layout: XDF_LAYOUT }]);
    expect(boot(ctx, services, order).result.kind).toBe("boot");
    expect(ctx.mem.read8(0x7c02)).toBe(8);
  });

  test("a load segment other than 7C0h is entered in its own 64 KB", () => {
    const { ctx, services, order } = bench([cdDrive(0, bootDisc([{ media: 0, loadSegment: 0x1234, sectorCount: 4, image: image(7) }]))]);
    expect(boot(ctx, services, order).result).toMatchObject({ segment: 0x1000, offset: 0x2340 });
    expect(ctx.mem.read8(0x12342)).toBe(7);
  });

  test.each([
    [1, 15],
    [2, 18],
    [3, 36],
  ])("floppy emulation, media type %i: DL=00h and %i sectors a track", (media, sectors) => {
    const disc = bootDisc([{ media, sectorCount: 1, image: new Uint8Array(80 * 2 * sectors * 512).fill(9) }]);
    const { ctx, services, order } = bench([cdDrive(0, disc)]);
    expect(boot(ctx, services, order).result).toMatchObject({ offset: 0x7c00, dl: 0 });
    ctx.regs.ax = 0x0800;
    ctx.regs.dx = 0;
    createInt13(services)(ctx);
    expect([ctx.regs.cl, ctx.regs.dx, ctx.mem.read16(0x410) & 1]).toEqual([sectors, 0x0101, 1]);
  });

  test("hard-disk emulation: DL=80h, geometry from the partition table, the real disk becomes 81h", () => {
    const hd = image(5);
    hd.set([0x80, 1, 1, 0, 6, 7, 0x20, 10], 446);
    const { ctx, services, order } = bench([hardDrive(0, bootable(6)), cdDrive(0, bootDisc([{ media: 4, sectorCount: 1, image: hd }]))], ["cdrom"]);
    expect(boot(ctx, services, order).result).toMatchObject({ dl: 0x80 });
    const int13 = createInt13(services);
    ctx.regs.ax = 0x0800;
    ctx.regs.dx = 0x80;
    int13(ctx);
    expect([ctx.regs.cx, ctx.regs.dx, ctx.mem.read8(0x475)]).toEqual([0x0a20, 0x0702, 2]);
    ctx.regs.ax = 0x0201;
    ctx.regs.bx = 0x8000;
    ctx.regs.cx = 1;
    ctx.regs.dx = 0x81;
    int13(ctx);
    expect(ctx.mem.read8(0x8002)).toBe(6);
  });

  test("an EFI entry is passed over, a damaged catalog is no boot disc", () => {
    const disc = bootDisc([
      { media: 0, sectorCount: 1, image: image(1), bootable: false },
      { media: 0, sectorCount: 1, image: image(2), platform: 0xef },
      { media: 0, sectorCount: 1, image: image(3), platform: 0 },
    ]);
    const good = bench([cdDrive(0, disc)]);
    expect(boot(good.ctx, good.services, good.order).result.kind).toBe("boot");
    expect(good.ctx.mem.read8(0x7c02)).toBe(3);
    const bad = bench([cdDrive(0, bootDisc([{ media: 0, sectorCount: 1, image: image(1) }], { badChecksum: true }))]);
    expect(boot(bad.ctx, bad.services, bad.order).result).toMatchObject({ kind: "none" });
  });
});

describe("INT 18h and INT 19h", () => {
  test("INT 19h jumps into the first device with registers set, without clearing memory", () => {
    const { ctx, boots } = bench([hardDrive(0, bootable(4))]);
    ctx.mem.write8(0x5000, 0x77);
    expect(boots.int19(ctx)).toEqual({ jump: { segment: 0, offset: 0x7c00 } });
    expect([ctx.regs.dl, ctx.regs.selector("ds"), ctx.regs.selector("ss"), ctx.regs.sp]).toEqual([0x80, 0, 0, 0x7c00]);
    expect(ctx.mem.read8(0x5000)).toBe(0x77);
  });

  test("INT 18h goes to the next device, then says why nothing boots and goes where the ROM waits; INT 19h starts over", () => {
    const { ctx, boots, screen } = bench([floppyDrive(0, bootable(1)), hardDrive(0, bootable(2)), cdDrive(0, undefined)]);
    boots.int19(ctx);
    expect(boots.int18(ctx)).toEqual({ jump: { segment: 0, offset: 0x7c00 } });
    expect(ctx.mem.read8(0x7c02)).toBe(2);
    ctx.regs.setRealSegment("ss", 0x1234);
    ctx.regs.esp = 0x5678;
    expect(boots.int18(ctx)).toBe("redirected");
    expect(screen()).toBe("CD-ROM 0: no disc\r\n");
    expect([ctx.regs.selector("cs"), Number(ctx.regs.rip), ctx.regs.selector("ss"), ctx.regs.sp]).toEqual([0xf000, NO_BOOT, 0x1234, 0x5678]);
    expect(boots.int19(ctx)).toEqual({ jump: { segment: 0, offset: 0x7c00 } });
    expect(ctx.regs.dl).toBe(0);
  });

  test("a kernel is started by the first INT 19h of POST; INT 18h from it boots a device", () => {
    const { ctx, services, order, boots } = bench([hardDrive(0, bootable(2))]);
    const started: number[] = [];
    const video = { handler: () => "done" as const, init: () => void started.push(ctx.regs.sp) };
    const direct = new Bootstrap({ disks: services, video, order, noBoot: NO_BOOT, startKernel: () => void started.push(-1) });
    expect([direct.int19(ctx), direct.int19(ctx)]).toEqual(["redirected", "redirected"]);
    expect(started).toEqual([0x7c00, -1, -1]);
    direct.loadState(boots.saveState());
    expect(direct.int18(ctx)).toEqual({ jump: { segment: 0, offset: 0x7c00 } });
  });
});
