import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemoryBlockBackend } from "../../backends/api/index.ts";
import { ManualClock } from "../../base/index.ts";
import type { DmaView } from "../../bus/index.ts";
import { AtaDisk, AtapiDrive, busMasterPorts, IdeChannel } from "./index.ts";
import type { IdeDrive } from "./index.ts";
import { RAW_SECTOR, sealRawSector } from "./raw-sector.ts";

function image(blocks: number, blockBytes: 512 | 2048): MemoryBlockBackend {
  const bytes = new Uint8Array(blocks * blockBytes);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(i / blockBytes) + (i % blockBytes);
  return new MemoryBlockBackend("image", bytes, { sectorBytes: blockBytes });
}

/** A driver's view of one channel: registers, waiting, memory for DMA. */
class Bench {
  readonly clock = new ManualClock();
  readonly memory = new Uint8Array(1 << 20);
  readonly channel: IdeChannel;
  readonly disk: MemoryBlockBackend;
  readonly disc: MemoryBlockBackend;
  irq = false;
  irqCount = 0;
  readonly ports;

  constructor(master: "ata" | "atapi" | "none" = "ata", slave: "ata" | "atapi" | "none" = "none", sectors = 20160) {
    this.disk = image(sectors, 512);
    this.disc = image(400, 2048);
    const make = (kind: "ata" | "atapi" | "none"): IdeDrive | undefined =>
      kind === "ata"
        ? new AtaDisk({ clock: this.clock, backend: this.disk })
        : kind === "atapi"
          ? new AtapiDrive({ clock: this.clock, medium: this.disc })
          : undefined;
    const dma: DmaView = {
      read: (gpa, into) => into.set(this.memory.subarray(gpa, gpa + into.length)),
      write: (gpa, from) => this.memory.set(from.subarray(0, Math.max(0, this.memory.length - gpa)), Math.min(gpa, this.memory.length)),
    };
    const irq = {
      set: (level: boolean) => {
        if (level && !this.irq) this.irqCount++;
        this.irq = level;
      },
    };
    this.channel = new IdeChannel({ name: "ide0", irq, clock: this.clock, dma, master: make(master), slave: make(slave) });
    this.ports = busMasterPorts(this.channel.busMaster, this.channel.busMaster);
  }

  reg(index: number): number {
    return this.channel.commandBlock.read(index, 1);
  }
  set(index: number, value: number): void {
    this.channel.commandBlock.write(index, 1, value);
  }
  control(value: number): void {
    this.channel.controlBlock.write(0, 1, value);
  }
  settle(): void {
    this.clock.advanceBy(100_000);
  }
  /** Feature, count, low, mid, high, device, then the command; waits until it is not busy. */
  command(
    command: number,
    r: { feature?: number; count?: number; lba?: number; device?: number; low?: number; mid?: number; high?: number } = {},
  ): number {
    const lba = r.lba ?? 0;
    this.set(6, r.device ?? (r.lba === undefined ? 0xa0 : 0xe0 | ((lba >>> 24) & 15)));
    this.set(1, r.feature ?? 0);
    this.set(2, r.count ?? 0);
    this.set(3, r.low ?? lba & 255);
    this.set(4, r.mid ?? (lba >>> 8) & 255);
    this.set(5, r.high ?? (lba >>> 16) & 255);
    this.set(7, command);
    expect(this.channel.controlBlock.read(0, 1) & 0x80).toBe(0x80);
    this.settle();
    return this.channel.controlBlock.read(0, 1);
  }
  readWords(bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    for (let i = 0; i < bytes; i += 2) {
      const v = this.channel.commandBlock.read(0, 2);
      out[i] = v & 255;
      out[i + 1] = v >>> 8;
    }
    return out;
  }
  writeWords(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 2) this.channel.commandBlock.write(0, 2, (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8));
  }
  /** A packet command; data-in comes back whole. */
  packet(bytes: readonly number[], limit = 0xfffe, device = 0xa0): { data: Uint8Array; status: number; error: number } {
    expect(this.command(0xa0, { device, mid: limit & 255, high: limit >>> 8 }) & 0x08).toBe(8);
    expect(this.reg(2) & 3).toBe(1);
    this.writeWords(Uint8Array.from([...bytes, ...Array<number>(12 - bytes.length).fill(0)]));
    this.settle();
    const data: number[] = [];
    while ((this.channel.controlBlock.read(0, 1) & 8) !== 0) {
      expect(this.reg(2) & 3).toBe(2);
      const n = this.reg(4) | (this.reg(5) << 8);
      expect(n).toBeLessThanOrEqual(limit);
      this.reg(7);
      data.push(...this.readWords(n + (n & 1)).subarray(0, n));
    }
    expect(this.reg(2) & 3).toBe(3);
    return { data: Uint8Array.from(data), status: this.reg(7), error: this.reg(1) };
  }
  sense(device = 0xa0): readonly number[] {
    const { data } = this.packet([3, 0, 0, 0, 18], 0xfffe, device);
    return [(data[2] ?? 0) & 15, data[12] ?? 0, data[13] ?? 0];
  }
  /** Descriptors at 1000h, then start in a direction. */
  startDma(toMemory: boolean, regions: readonly (readonly [number, number])[]): void {
    const v = new DataView(this.memory.buffer);
    for (const [i, [address, bytes]] of regions.entries()) {
      v.setUint32(0x1000 + 8 * i, address, true);
      v.setUint16(0x1004 + 8 * i, bytes & 0xffff, true);
      v.setUint16(0x1006 + 8 * i, i === regions.length - 1 ? 0x8000 : 0, true);
    }
    this.ports.write(0, 1, 0);
    this.ports.write(4, 4, 0x1000);
    this.ports.write(2, 1, 0x66);
    this.ports.write(0, 1, toMemory ? 0x09 : 0x01);
    this.settle();
  }
}

const word = (b: Uint8Array, n: number): number => (b[2 * n] ?? 0) | ((b[2 * n + 1] ?? 0) << 8);

describe("presence and signatures", () => {
  test("after reset an ATA and an ATAPI drive show their signatures", () => {
    const b = new Bench("ata", "atapi");
    expect([b.reg(2), b.reg(3), b.reg(4), b.reg(5), b.reg(7)]).toEqual([1, 1, 0, 0, 0x50]);
    b.set(6, 0xb0);
    expect([b.reg(2), b.reg(3), b.reg(4), b.reg(5), b.reg(7)]).toEqual([1, 1, 0x14, 0xeb, 0]);
    b.control(4);
    expect(b.channel.controlBlock.read(0, 1)).toBe(0x80);
    b.control(0);
    expect([b.reg(1), b.reg(7), b.reg(6) & 0x10]).toEqual([1, 0x50, 0]);
  });

  test("an empty cable floats high; an absent slave reads status 0 and ignores commands", () => {
    const none = new Bench("none");
    expect([none.reg(7), none.reg(2), none.channel.commandBlock.read(0, 2)]).toEqual([0xff, 0xff, 0xffff]);
    const b = new Bench("ata");
    b.set(6, 0xb0);
    expect([b.reg(7), b.channel.controlBlock.read(0, 1)]).toEqual([0, 0]);
    b.set(7, 0xec);
    b.settle();
    expect([b.reg(7), b.irq]).toEqual([0, false]);
  });

  test("diagnostics run on both drives and device 0 interrupts", () => {
    const b = new Bench("ata", "atapi");
    b.set(6, 0xb0);
    b.set(7, 0x90);
    b.settle();
    expect([b.irq, b.reg(1), b.reg(6) & 0x10]).toEqual([true, 1, 0]);
  });

  test("both drives latch the registers", () => {
    const b = new Bench("ata", "ata");
    b.set(3, 0x55);
    b.set(6, 0xb0);
    expect(b.reg(3)).toBe(0x55);
  });
});

describe("ATA", () => {
  test("IDENTIFY describes the disk, with a right checksum", () => {
    const b = new Bench();
    expect(b.command(0xec) & 0x89).toBe(8);
    expect(b.irq).toBe(true);
    const id = b.readWords(512);
    expect([word(id, 1), word(id, 3), word(id, 6)]).toEqual([20, 16, 63]);
    expect([word(id, 60), word(id, 100), word(id, 47) & 255, word(id, 83) & 0x400]).toEqual([20160, 20160, 16, 0x400]);
    expect(id.reduce((s, v) => s + v, 0) & 255).toBe(0);
    expect(String.fromCharCode(id[55] ?? 0, id[54] ?? 0)).toBe("WH");
    expect(b.reg(7)).toBe(0x50);
  });

  test("READ SECTORS gives one DRQ block and interrupt a sector; status read clears the interrupt, alternate status does not", () => {
    const b = new Bench();
    b.command(0x20, { lba: 300, count: 3 });
    for (let i = 0; i < 3; i++) {
      expect([b.irq, b.channel.controlBlock.read(0, 1)]).toEqual([true, 0x58]);
      expect(b.irq).toBe(true);
      b.reg(7);
      expect(b.irq).toBe(false);
      expect(b.readWords(512)[0]).toBe((300 + i) & 255);
    }
    expect([b.irq, b.reg(7), b.irqCount]).toEqual([false, 0x50, 3]);
  });

  test("a transfer leaves the address of its last sector in the registers", () => {
    const b = new Bench();
    b.command(0x20, { lba: 0x1fe, count: 3 });
    for (let i = 0; i < 3; i++) b.readWords(512);
    expect([b.reg(2), b.reg(3), b.reg(4), b.reg(5), b.reg(6) & 15]).toEqual([0, 0x00, 0x02, 0, 0]);
    b.command(0x30, { count: 2, device: 0xa0, low: 63, mid: 0, high: 0 });
    for (let i = 0; i < 2; i++) {
      b.writeWords(new Uint8Array(512));
      b.settle();
    }
    expect([b.reg(3), b.reg(4), b.reg(6) & 15]).toEqual([1, 0, 1]);
  });

  test("READ MULTIPLE moves blocks; 32-bit and 16-bit reads agree; SET MULTIPLE refuses odd sizes", () => {
    const b = new Bench();
    expect(b.command(0xc6, { count: 3 }) & 1).toBe(1);
    expect(b.command(0xc6, { count: 8 }) & 1).toBe(0);
    b.irqCount = 0;
    b.irq = false;
    b.command(0xc4, { lba: 5, count: 17 });
    const got: number[] = [];
    while ((b.reg(7) & 8) !== 0) for (let i = 0; i < 128; i++) got.push(b.channel.commandBlock.read(0, 4));
    expect(got.length).toBe(17 * 128);
    expect(got[128]).toBe(0x09080706);
    expect(b.irqCount).toBe(3);
  });

  test("WRITE SECTORS and READ VERIFY; CHS addresses follow INITIALIZE DEVICE PARAMETERS", () => {
    const b = new Bench();
    b.command(0x91, { count: 32, device: 0xa0 | 7 });
    b.command(0x30, { count: 2, device: 0xa0 | 2, low: 3, mid: 1, high: 0 });
    expect(b.irq).toBe(false);
    b.writeWords(new Uint8Array(1024).fill(0xab));
    expect([b.irq, b.reg(7)]).toEqual([true, 0x50]);
    const lba = (1 * 8 + 2) * 32 + 2;
    expect([b.disk.bytes[lba * 512], b.disk.bytes[(lba + 2) * 512 - 1], b.disk.bytes[(lba + 2) * 512]]).toEqual([0xab, 0xab, (lba + 2) & 255]);
    expect(b.command(0x40, { lba: 20100, count: 60 }) & 1).toBe(0);
    expect(b.command(0x40, { lba: 20100, count: 61 }) & 1).toBe(1);
    expect([b.reg(1), b.reg(3) | (b.reg(4) << 8)]).toEqual([0x10, 20160]);
  });

  test("48-bit commands take the older register values; HOB reads them back", () => {
    const b = new Bench();
    b.set(6, 0xe0);
    for (const [r, v] of [
      [2, 1],
      [2, 4],
      [3, 0],
      [3, 0x10],
      [4, 0],
      [4, 0x27],
      [5, 0],
      [5, 0],
    ] as const)
      b.set(r, v);
    b.set(7, 0x24);
    b.settle();
    expect(b.readWords(512)[0]).toBe(0x10);
    b.control(0x80);
    expect(b.reg(2)).toBe(1);
    b.control(0);
    expect(b.reg(2)).toBe(4);
    // 260 sectors were asked for: more than the disk has left from LBA 2710h.
    for (let i = 1; i < 260; i++) b.readWords(512);
    expect(b.reg(7)).toBe(0x50);
  });

  test("a read past the end gives the sectors there are, then IDNF with the address", () => {
    const b = new Bench();
    b.command(0x20, { lba: 20158, count: 4 });
    b.readWords(1024);
    expect([b.reg(7), b.reg(1), b.reg(3) | (b.reg(4) << 8)]).toEqual([0x51, 0x10, 20160]);
    expect(b.command(0x20, { lba: 20160, count: 1 }) & 0x09).toBe(1);
    expect(b.command(0x20, { count: 1, device: 0xa0, low: 0 }) & 0x09).toBe(1);
  });

  test("media errors are UNC on reads and a device fault on writes", () => {
    const b = new Bench();
    b.disk.read = () => false;
    b.disk.write = () => false;
    expect(b.command(0x20, { lba: 7, count: 2 })).toBe(0x51);
    expect([b.reg(1), b.reg(3)]).toEqual([0x40, 7]);
    b.command(0x30, { lba: 7, count: 1 });
    b.writeWords(new Uint8Array(512));
    expect(b.reg(7)).toBe(0x61);
  });

  test("READ DMA scatters over descriptors, WRITE DMA gathers; status shows interrupt and not active", () => {
    const b = new Bench();
    b.command(0xc8, { lba: 10, count: 3 });
    b.startDma(true, [
      [0x4000, 700],
      [0x6000, 836],
    ]);
    expect([b.irq, b.ports.read(2, 1), b.reg(7)]).toEqual([true, 0x64, 0x50]);
    expect([b.memory[0x4000], b.memory[0x4000 + 512], b.memory[0x6000 + 1024 - 700]]).toEqual([10, 11, 12]);
    b.memory.fill(0x77, 0x8000, 0x8200);
    b.startDma(false, [[0x8000, 512]]);
    b.command(0xca, { lba: 99, count: 1 });
    expect([b.ports.read(2, 1), b.disk.bytes[99 * 512 + 511]]).toEqual([0x64, 0x77]);
  });

  test("a descriptor table that is too short stops the master and leaves the drive waiting; too long stays active", () => {
    const b = new Bench();
    b.command(0xc8, { lba: 10, count: 2 });
    b.startDma(true, [[0x4000, 512]]);
    expect([b.irq, b.ports.read(2, 1) & 5, b.reg(7) & 8]).toEqual([false, 0, 8]);
    b.control(4);
    b.control(0);
    b.ports.write(0, 1, 0);
    b.command(0xc8, { lba: 10, count: 1 });
    b.startDma(true, [[0x4000, 1024]]);
    expect([b.irq, b.ports.read(2, 1) & 5]).toEqual([true, 5]);
  });

  test("a 64 KB descriptor and a 256-sector transfer pass through the buffer's refill", () => {
    const b = new Bench();
    b.command(0x25, { lba: 1, count: 0, device: 0xe0 });
    b.control(4);
    b.control(0);
    b.command(0xc8, { lba: 1, count: 0 });
    b.startDma(true, [
      [0x20000, 0],
      [0x30000, 0],
    ]);
    expect([b.memory[0x20000], b.memory[0x3fe00], b.ports.read(2, 1)]).toEqual([1, 0, 0x64]);
  });

  test("power, features, buffers, security and SMART answer as a healthy drive", () => {
    const b = new Bench();
    b.command(0xe0);
    b.command(0xe5);
    expect(b.reg(2)).toBe(0);
    b.command(0xe1);
    b.command(0xe5);
    expect(b.reg(2)).toBe(0xff);
    for (const [feature, count, bad] of [
      [3, 0x45, 0],
      [3, 0x46, 1],
      [0x82, 0, 0],
      [0x02, 0, 0],
      [0x66, 0, 0],
      [0x99, 0, 1],
    ] as const) {
      expect(b.command(0xef, { feature, count }) & 1).toBe(bad);
    }
    b.command(0xe8);
    b.writeWords(new Uint8Array(512).fill(0x3c));
    b.command(0xe4);
    expect(b.readWords(512).every((v) => v === 0x3c)).toBe(true);
    for (const command of [0xe7, 0xea, 0xf5, 0x10, 0x70]) expect(b.command(command, { lba: 1 }) & 1).toBe(0);
    for (const command of [0x00, 0x08, 0xf1, 0xf6, 0xa0, 0x92, 0xff]) expect(b.command(command) & 1).toBe(1);
    expect(b.command(0xb0, { feature: 0xda, mid: 0x4f, high: 0xc2 }) & 1).toBe(0);
    expect([b.reg(4), b.reg(5)]).toEqual([0x4f, 0xc2]);
    b.command(0xb0, { feature: 0xd0, mid: 0x4f, high: 0xc2 });
    expect(b.readWords(512).reduce((s, v) => s + v, 0) & 255).toBe(0);
    expect(b.command(0xb0, { feature: 0xda }) & 1).toBe(1);
  });

  test("SET MAX after READ NATIVE MAX shortens the disk until the next reset", () => {
    const b = new Bench();
    b.command(0xf8, { lba: 0 });
    expect(b.reg(3) | (b.reg(4) << 8)).toBe(20159);
    expect(b.command(0xf9, { lba: 999 }) & 1).toBe(0);
    expect(b.command(0x20, { lba: 1000, count: 1 }) & 1).toBe(1);
    expect(b.command(0xf9, { lba: 5000 }) & 1).toBe(1);
    b.channel.reset();
    expect(b.command(0x20, { lba: 1000, count: 1 }) & 1).toBe(0);
  });

  test("nIEN holds the interrupt back; clearing it lets it through", () => {
    const b = new Bench();
    b.control(2);
    b.command(0xec);
    expect(b.irq).toBe(false);
    b.control(0);
    expect(b.irq).toBe(true);
  });
});

describe("ATAPI", () => {
  test("IDENTIFY DEVICE is refused with the signature, IDENTIFY PACKET DEVICE answers", () => {
    const b = new Bench("none", "atapi");
    expect(b.command(0xec, { device: 0xb0 }) & 9).toBe(1);
    expect([b.reg(4), b.reg(5)]).toEqual([0x14, 0xeb]);
    expect(b.command(0xa1, { device: 0xb0 }) & 9).toBe(8);
    expect(word(b.readWords(512), 0)).toBe(0x85c0);
  });

  test("INQUIRY, READ CAPACITY and TOC", () => {
    const b = new Bench("atapi");
    const inquiry = b.packet([0x12, 0, 0, 0, 36]);
    expect([inquiry.data[0], inquiry.data[1], inquiry.data.length, inquiry.status & 1]).toEqual([5, 0x80, 36, 0]);
    expect([...b.packet([0x25]).data]).toEqual([0, 0, 1, 0x8f, 0, 0, 8, 0]);
    const toc = b.packet([0x43, 0, 0, 0, 0, 0, 0, 0, 64]).data;
    expect([...toc]).toEqual([0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 1, 0x90]);
    expect([...b.packet([0x43, 2, 0, 0, 0, 0, 0, 0, 12]).data.subarray(8)]).toEqual([0, 0, 2, 0]);
    expect(b.packet([0x43, 0, 1, 0, 0, 0, 0, 0, 12]).data.length).toBe(12);
    expect(b.packet([0x43, 0, 2, 0, 0, 0, 0, 4, 0]).data.length).toBe(48);
  });

  test("READ(10) and READ(12) honour the byte count limit", () => {
    const b = new Bench("atapi");
    const r = b.packet([0x28, 0, 0, 0, 0, 16, 0, 0, 5], 3000);
    expect([r.data.length, r.data[0], r.data[4 * 2048]]).toEqual([5 * 2048, 16, 20]);
    expect(b.packet([0xa8, 0, 0, 0, 0, 20, 0, 0, 0, 100]).data.length).toBe(100 * 2048);
    expect(b.packet([0x28, 0, 0, 0, 1, 0x90, 0, 0, 1])).toMatchObject({ error: 0x54 });
    expect(b.sense()).toEqual([5, 0x21, 0]);
    expect(b.sense()).toEqual([0, 0, 0]);
  });

  test("READ by DMA", () => {
    const b = new Bench("atapi");
    b.command(0xa0, { feature: 1 });
    b.writeWords(Uint8Array.of(0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0, 0, 0));
    b.startDma(true, [[0x4000, 4096]]);
    expect([b.memory[0x4000], b.memory[0x4800], b.ports.read(2, 1), b.reg(2) & 3, b.reg(7)]).toEqual([7, 8, 0x64, 3, 0x50]);
  });

  test("READ CD gives user data or whole sectors with header and a right EDC", () => {
    const b = new Bench("atapi");
    expect(b.packet([0xbe, 0, 0, 0, 0, 3, 0, 0, 2, 0x10]).data.length).toBe(4096);
    const raw = b.packet([0xbe, 0, 0, 0, 0, 75, 0, 0, 1, 0xf8]).data;
    expect([raw.length, raw[0], raw[1], raw[12], raw[13], raw[14], raw[15], raw[16]]).toEqual([RAW_SECTOR, 0, 0xff, 0, 3, 0, 1, 75]);
    expect(b.packet([0xbe, 4, 0, 0, 0, 3, 0, 0, 1, 0x10]).error).toBe(0x54);
  });

  test("an empty drive is not ready; a new disc is a unit attention once", () => {
    const b = new Bench("atapi");
    const drive = b.channel.drive(0);
    if (!(drive instanceof AtapiDrive)) throw new Error("no drive");
    drive.insert(undefined);
    expect(b.packet([0]).error).toBe(0x24);
    expect(b.sense()).toEqual([2, 0x3a, 0]);
    expect([...b.packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]).data]).toEqual([0, 6, 4, 0x10, 3, 0, 0, 0]);
    drive.insert(b.disc);
    expect(b.packet([0x12, 0, 0, 0, 36]).status & 1).toBe(0);
    expect(b.packet([0]).error).toBe(0x64);
    expect(b.sense()).toEqual([6, 0x28, 0]);
    expect(b.packet([0]).status & 1).toBe(0);
  });

  test("PREVENT locks the tray against START STOP eject", () => {
    const b = new Bench("atapi");
    b.packet([0x1e, 0, 0, 0, 1]);
    expect(b.packet([0x1b, 0, 0, 0, 2]).error).toBe(0x54);
    b.packet([0x1e, 0, 0, 0, 0]);
    expect(b.packet([0x1b, 0, 0, 0, 2]).status & 1).toBe(0);
    expect(b.packet([0]).error).toBe(0x24);
  });

  test("the other information commands answer with the lengths they announce", () => {
    const b = new Bench("atapi");
    const config = b.packet([0x46, 0, 0, 0, 0, 0, 0, 1, 0]).data;
    expect((config[3] ?? 0) + 4 + 256 * (config[2] ?? 0)).toBe(config.length);
    expect(config[7]).toBe(8);
    const mode = b.packet([0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0]).data;
    expect((mode[1] ?? 0) + 2).toBe(mode.length);
    expect(b.packet([0x5a, 0, 0xff, 0, 0, 0, 0, 1, 0]).error).toBe(0x54);
    expect(b.packet([0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8]).data.length).toBe(8);
    expect(b.packet([0x51, 0, 0, 0, 0, 0, 0, 0, 34]).data.length).toBe(34);
    expect(b.packet([0x52, 0, 0, 0, 0, 1, 0, 0, 36]).data.length).toBe(36);
    expect(b.packet([0x42, 0, 0x40, 1, 0, 0, 0, 0, 16]).data.length).toBe(16);
    expect(b.packet([0x2b, 0, 0, 0, 0, 9]).status & 1).toBe(0);
    expect(b.packet([0xad, 0, 0, 0, 0, 0, 0, 0, 8, 0]).error).toBe(0x54);
    expect(b.packet([0xd0]).error).toBe(0x54);
    expect(b.sense()).toEqual([5, 0x20, 0]);
  });

  test("MODE SELECT takes its parameter list", () => {
    const b = new Bench("atapi");
    b.command(0xa0, { mid: 0xfe, high: 0xff });
    b.writeWords(Uint8Array.of(0x55, 0x10, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0));
    b.settle();
    expect([b.reg(2) & 3, b.reg(7) & 8]).toEqual([0, 8]);
    b.writeWords(new Uint8Array(16));
    expect([b.reg(2) & 3, b.reg(7)]).toEqual([3, 0x50]);
  });

  test("DEVICE RESET brings the signature back at any time", () => {
    const b = new Bench("atapi");
    b.set(7, 0xa0);
    b.set(7, 0x08);
    expect([b.reg(7), b.reg(4), b.reg(5)]).toEqual([0, 0x14, 0xeb]);
  });
});

test("a sealed sector's ECC covers it: a zero sector has the known EDC of its header", () => {
  const sector = new Uint8Array(RAW_SECTOR);
  sealRawSector(sector, 0);
  // Division property: the EDC polynomial over data and EDC leaves zero.
  let edc = 0;
  for (let i = 0; i < 2068; i++) {
    edc ^= sector[i] ?? 0;
    for (let bit = 0; bit < 8; bit++) edc = (edc >>> 1) ^ ((edc & 1) !== 0 ? 0xd8018001 : 0);
  }
  expect(edc).toBe(0);
});

test("a transfer under way survives a save and load", () => {
  const a = new Bench("ata", "atapi");
  a.command(0x20, { lba: 40, count: 3 });
  a.readWords(700);
  const b = new Bench("ata", "atapi");
  b.channel.loadState(structuredClone(a.channel.saveState()));
  expect(b.irq).toBe(a.irq);
  expect(b.readWords(836)).toEqual(a.readWords(836));
  expect(b.channel.saveState()).toEqual(a.channel.saveState());
});

test("random register traffic never throws and never leaves its bounds", () => {
  const b = new Bench("ata", "atapi", 2000);
  const access = fc.record({
    port: fc.integer({ min: 0, max: 24 }),
    size: fc.constantFrom<1 | 2 | 4>(1, 2, 4),
    value: fc.oneof(fc.nat(0xff), fc.nat(0xffff), fc.constantFrom(0x20, 0x30, 0xc4, 0xc8, 0xca, 0x25, 0x35, 0xa0, 0x28, 0xbe, 0x43)),
    write: fc.boolean(),
    time: fc.constantFrom(0, 0, 5000),
  });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
      for (const a of accesses) {
        const [device, offset] = a.port < 8 ? [b.channel.commandBlock, a.port] : a.port === 8 ? [b.channel.controlBlock, 0] : [b.ports, a.port - 9];
        if (a.write) device.write(offset, a.size, a.value);
        else expect(device.read(offset, a.size)).toBeLessThan(2 ** (8 * a.size));
        if (a.time > 0) b.clock.advanceBy(a.time);
      }
    }),
    { seed: 99, numRuns: 1500 },
  );
  expect(b.disk.bytes.length).toBe(2000 * 512);
});

/** Status, device, high, mid, low, count and error of both places after SRST, as QEMU 7.2 shows them; where we differ, why. */
const PRESENCE = [
  { master: "ata", slave: "none", rows: ["50 A0 00 00 01 01 01", "00 B0 FF FF 01 01 00"] },
  { master: "ata", slave: "ata", rows: ["50 A0 00 00 01 01 01", "50 B0 00 00 01 01 01"] },
  { master: "ata", slave: "atapi", rows: ["50 A0 00 00 01 01 01", "00 B0 EB 14 01 01 01"] },
  { master: "atapi", slave: "none", rows: ["00 A0 EB 14 01 01 01", "00 B0 FF FF 01 01 00"] },
  { master: "atapi", slave: "ata", rows: ["00 A0 EB 14 01 01 01", "50 B0 00 00 01 01 01"] },
  { master: "atapi", slave: "atapi", rows: ["00 A0 EB 14 01 01 01", "00 B0 EB 14 01 01 01"] },
  // QEMU has a device 0 that is ready (50h) though it is not there.
  { master: "none", slave: "ata", rows: ["00 A0 FF FF 01 01 00", "50 B0 00 00 01 01 01"] },
  { master: "none", slave: "atapi", rows: ["00 A0 FF FF 01 01 00", "00 B0 EB 14 01 01 01"] },
  // QEMU reads zeros from an empty cable; ours has the pull-ups of a PC.
  { master: "none", slave: "none", rows: ["FF FF FF FF FF FF FF", "FF FF FF FF FF FF FF"] },
] as const;

describe("absent and present drives", () => {
  const registers = (b: Bench, device: number): string => {
    b.set(6, device);
    return [7, 6, 5, 4, 3, 2, 1].map((at) => b.reg(at).toString(16).toUpperCase().padStart(2, "0")).join(" ");
  };
  for (const { master, slave, rows } of PRESENCE) {
    test(`master ${master}, slave ${slave}`, () => {
      const b = new Bench(master, slave);
      b.control(6);
      b.control(2);
      b.settle();
      expect([registers(b, 0xa0), registers(b, 0xb0)]).toEqual(rows);
      // A command for a drive that is not there does nothing, and what is written shows as far as it should.
      b.set(6, 0xb0);
      b.set(2, 0x55);
      b.set(3, 0xaa);
      if (slave === "none") {
        b.set(7, 0xec);
        b.settle();
        expect([b.reg(7), b.reg(2), b.reg(3)]).toEqual(master === "none" ? [0xff, 0xff, 0xff] : [0, 0x55, 0xaa]);
        const copy = new Bench(master, slave);
        copy.channel.loadState(b.channel.saveState());
        expect(registers(copy, 0xb0)).toBe(registers(b, 0xb0));
      }
      b.set(6, 0xa0);
      expect(b.irq).toBe(false);
    });
  }
});

describe("drivers that do not wait for DRQ", () => {
  test("the data of a write comes right behind the command, sector after sector", () => {
    const b = new Bench();
    b.set(6, 0xe0);
    b.set(2, 3);
    b.set(3, 7);
    b.set(4, 0);
    b.set(5, 0);
    b.set(7, 0x30);
    b.writeWords(Uint8Array.from({ length: 3 * 512 }, (_, i) => 0x40 + (i >> 9)));
    b.settle();
    expect(b.reg(7)).toBe(0x50);
    const back = new Uint8Array(5 * 512);
    expect(b.disk.read(6 * 512, back)).toBe(true);
    expect([back[512], back[1023], back[1024], back[1536], back[2047]]).toEqual([0x40, 0x40, 0x41, 0x42, 0x42]);
    expect([back[2048], back[0]]).toEqual([10, 6]);
  });
  test("a packet, and the data of a read, too", () => {
    const b = new Bench("ata", "atapi");
    b.set(6, 0xe0);
    b.set(2, 1);
    b.set(3, 9);
    b.set(4, 0);
    b.set(5, 0);
    b.set(7, 0x20);
    expect(b.readWords(512)[5]).toBe(14);
    b.set(6, 0xb0);
    b.set(4, 0xfe);
    b.set(5, 0xff);
    b.set(7, 0xa0);
    b.writeWords(Uint8Array.from([0x12, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0]));
    expect(b.readWords(36)[0]).toBe(5);
  });
});
