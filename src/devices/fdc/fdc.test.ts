import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MemoryBlockBackend, XDF_LAYOUT } from "../../backends/api/index.ts";
import { ManualClock } from "../../base/index.ts";
import type { DmaChannel } from "../../bus/index.ts";
import { Fdc82077 } from "./index.ts";
import type { FloppyMedium } from "./index.ts";

/** Channel 2 as a driver programs it: a memory, a position and a length. */
class BenchDma implements DmaChannel {
  readonly memory = new Uint8Array(65536);
  position = 0;
  remaining = 0;
  terminalCount = false;
  request = false;
  get ready(): boolean {
    return this.remaining > 0;
  }
  program(bytes: number): void {
    this.position = 0;
    this.remaining = bytes;
    this.terminalCount = false;
  }
  setRequest(level: boolean): void {
    this.request = level;
  }
  transferToMemory(bytes: Uint8Array): number {
    const n = this.#count(bytes.length);
    this.memory.set(bytes.subarray(0, n), this.position - n);
    return n;
  }
  transferFromMemory(into: Uint8Array): number {
    const n = this.#count(into.length);
    into.set(this.memory.subarray(this.position - n, this.position));
    return n;
  }
  #count(bytes: number): number {
    const n = Math.min(bytes, this.remaining);
    this.remaining -= n;
    this.position += n;
    this.terminalCount = n > 0 && this.remaining === 0;
    return n;
  }
}

function disk(sectors = 18, cylinders = 80, readOnly = false): FloppyMedium & { backend: MemoryBlockBackend } {
  const bytes = new Uint8Array(cylinders * 2 * sectors * 512);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(i / 512);
  return { backend: new MemoryBlockBackend("floppy", bytes, { readOnly }), cylinders, heads: 2, sectors };
}

class Bench {
  readonly clock = new ManualClock();
  readonly dma = new BenchDma();
  readonly fdc: Fdc82077;
  readonly medium;
  irq = false;

  constructor(medium: FloppyMedium & { backend: MemoryBlockBackend } = disk()) {
    this.medium = medium;
    this.fdc = new Fdc82077({
      irq: { set: (level) => (this.irq = level) },
      dma: this.dma,
      clock: this.clock,
      drives: [{ installed: true, medium }],
    });
  }
  out(offset: number, value: number): void {
    this.fdc.ports.write(offset, 1, value);
  }
  in(offset: number): number {
    return this.fdc.ports.read(offset, 1);
  }
  /** Sends a command, lets time pass, reads its result. */
  run(...bytes: number[]): number[] {
    for (const b of bytes) {
      expect(this.in(4) & 0xc0).toBe(0x80);
      this.out(5, b);
    }
    this.clock.advanceBy(2e9);
    return this.result();
  }
  result(): number[] {
    const result: number[] = [];
    while ((this.in(4) & 0xd0) === 0xd0 && result.length < 16) result.push(this.in(5));
    return result;
  }
  /** Reset, sense the four drives, 500 kbit/s, fast steps, DMA. */
  start(): this {
    this.out(2, 0x00);
    this.out(2, 0x1c);
    this.clock.advanceBy(1e6);
    for (let i = 0; i < 4; i++) this.run(0x08);
    this.fdc.inputPort.write(0, 1, 0);
    this.run(0x03, 0xdf, 0x02);
    return this;
  }
  seek(cylinder: number): number[] {
    expect(this.run(0x0f, 0, cylinder)).toEqual([]);
    return this.run(0x08);
  }
}

describe("reset and status", () => {
  test("reset interrupts once, then four SENSE INTERRUPTs give C0h..C3h, a fifth is invalid", () => {
    const b = new Bench();
    b.out(2, 0x00);
    expect(b.in(4)).toBe(0);
    b.out(2, 0x0c);
    expect([b.in(4), b.irq]).toEqual([0x80, false]);
    b.clock.advanceBy(1e6);
    expect(b.irq).toBe(true);
    for (let i = 0; i < 4; i++) {
      expect(b.run(0x08)).toEqual([0xc0 | i, 0]);
      expect(b.irq).toBe(false);
    }
    expect(b.run(0x08)).toEqual([0x80]);
  });

  test("the DMA gate of the DOR holds the interrupt back", () => {
    const b = new Bench();
    b.out(2, 0x00);
    b.out(2, 0x04);
    b.clock.advanceBy(1e6);
    expect(b.irq).toBe(false);
    b.out(2, 0x0c);
    expect(b.irq).toBe(true);
  });

  test("VERSION, LOCK, CONFIGURE and DUMPREG; a locked configuration survives a reset", () => {
    const b = new Bench().start();
    expect(b.run(0x10)).toEqual([0x90]);
    b.run(0x13, 0, 0x57, 0x08);
    expect(b.run(0x94)).toEqual([0x10]);
    b.out(4, 0x80);
    b.clock.advanceBy(1e6);
    expect(b.irq).toBe(false);
    expect(b.run(0x0e)).toEqual([0, 0, 0, 0, 0xdf, 0x02, 0, 0x80, 0x57, 0x08]);
    expect(b.run(0x14)).toEqual([0]);
    b.out(4, 0x80);
    b.clock.advanceBy(1e6);
    expect(b.run(0x0e).slice(8)).toEqual([0x20, 0]);
  });

  test("unknown opcodes answer 80h at once", () => {
    const b = new Bench().start();
    for (const opcode of [0x00, 0x01, 0x18, 0x1f, 0x83, 0xff]) expect(b.run(opcode)).toEqual([0x80]);
  });
});

describe("mechanics", () => {
  test("SEEK takes step time, shows the busy bit, interrupts and is sensed; RECALIBRATE goes home", () => {
    const b = new Bench().start();
    b.out(5, 0x0f);
    b.out(5, 0);
    b.out(5, 10);
    expect([b.in(4), b.irq]).toEqual([0x81, false]);
    b.clock.advanceBy(2_000_000);
    expect(b.irq).toBe(false);
    b.clock.advanceBy(2_000_000);
    expect(b.irq).toBe(true);
    expect(b.run(0x08)).toEqual([0x20, 10]);
    expect(b.run(0x04, 0)).toEqual([0x28]);
    b.run(0x07, 0);
    expect(b.run(0x08)).toEqual([0x20, 0]);
    expect(b.run(0x04, 4)).toEqual([0x3c]);
    b.run(0xcf, 0, 7);
    expect(b.run(0x08)).toEqual([0x20, 7]);
    b.run(0x8f, 0, 3);
    expect(b.run(0x08)).toEqual([0x20, 4]);
  });

  test("RECALIBRATE of a drive that is not there ends with equipment check", () => {
    const b = new Bench().start();
    b.run(0x07, 1);
    expect(b.run(0x08)).toEqual([0x71, 0]);
  });

  test("the change line rises with a swap, shows with the motor on, and a step with a disk clears it", () => {
    const b = new Bench().start();
    b.seek(1);
    b.seek(0);
    expect(b.fdc.inputPort.read(0, 1)).toBe(0);
    b.fdc.insert(0, undefined);
    b.seek(2);
    expect(b.fdc.inputPort.read(0, 1)).toBe(0x80);
    b.fdc.insert(0, disk());
    expect(b.fdc.inputPort.read(0, 1)).toBe(0x80);
    b.out(2, 0x0c);
    expect(b.fdc.inputPort.read(0, 1)).toBe(0);
    b.out(2, 0x1c);
    b.seek(0);
    expect(b.fdc.inputPort.read(0, 1)).toBe(0);
  });
});

describe("data by DMA", () => {
  test("READ DATA moves sectors until terminal count and reports the next one", () => {
    const b = new Bench().start();
    b.seek(3);
    b.dma.program(1024);
    expect(b.run(0xe6, 4, 3, 1, 5, 2, 18, 0x1b, 0xff)).toEqual([4, 0, 0, 3, 1, 7, 2]);
    const lba = (3 * 2 + 1) * 18 + 4;
    expect([b.dma.memory[0], b.dma.memory[512], b.irq]).toEqual([lba & 255, (lba + 1) & 255, false]);
  });

  test("it takes rotation time, and the interrupt waits for the end", () => {
    const b = new Bench().start();
    b.dma.program(512 * 18);
    for (const v of [0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]) b.out(5, v);
    expect([b.in(4), b.dma.request]).toEqual([0x10, true]);
    b.clock.advanceBy(19_000_000);
    expect(b.irq).toBe(false);
    b.clock.advanceBy(30_000_000);
    expect([b.irq, b.dma.request]).toEqual([true, false]);
  });

  test("multi-track goes on under head 1; without MT the end of the track is an abnormal end", () => {
    const b = new Bench().start();
    b.dma.program(1024);
    expect(b.run(0xc6, 0, 0, 0, 18, 2, 18, 0x1b, 0xff)).toEqual([4, 0, 0, 0, 1, 2, 2]);
    expect(b.dma.memory[512]).toBe(18);
    b.dma.program(1024);
    expect(b.run(0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff)).toEqual([0x40, 0x80, 0, 1, 0, 1, 2]);
  });

  test("sectors and cylinders that do not exist, wrong sizes, rates and encodings are told apart", () => {
    const b = new Bench().start();
    const read = (...p: number[]) => {
      b.dma.program(512);
      return b.run(...p).slice(0, 3);
    };
    expect(read(0x46, 0, 0, 0, 19, 2, 36, 0x1b, 0xff)).toEqual([0x40, 0x04, 0]);
    expect(read(0x46, 0, 5, 0, 1, 2, 18, 0x1b, 0xff)).toEqual([0x40, 0x04, 0x10]);
    expect(read(0x46, 0, 0, 0, 1, 3, 18, 0x1b, 0xff)).toEqual([0x40, 0x04, 0]);
    expect(read(0x06, 0, 0, 0, 1, 2, 18, 0x1b, 0xff)).toEqual([0x40, 0x01, 0]);
    b.fdc.inputPort.write(0, 1, 2);
    expect(read(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff)).toEqual([0x40, 0x01, 0]);
  });

  test("a channel that is not programmed is an overrun", () => {
    const b = new Bench().start();
    expect(b.run(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff).slice(0, 2)).toEqual([0x40, 0x10]);
  });

  test("WRITE DATA stores, zero-fills after terminal count; a protected disk refuses", () => {
    const b = new Bench().start();
    b.dma.memory.fill(0x99);
    b.dma.program(600);
    expect(b.run(0xc5, 0, 0, 0, 2, 2, 18, 0x1b, 0xff)).toEqual([0, 0, 0, 0, 0, 4, 2]);
    expect([b.medium.backend.bytes[512], b.medium.backend.bytes[1024 + 87], b.medium.backend.bytes[1024 + 88]]).toEqual([0x99, 0x99, 0]);
    const p = new Bench(disk(18, 80, true)).start();
    p.dma.program(512);
    expect(p.run(0xc5, 0, 0, 0, 2, 2, 18, 0x1b, 0xff).slice(0, 2)).toEqual([0x40, 0x02]);
    expect((p.run(0x04, 0)[0] ?? 0) & 0x40).toBe(0x40);
  });

  test("deleted data is marked, found by READ DELETED, and skipped with SK", () => {
    const b = new Bench().start();
    b.dma.program(512);
    b.run(0x49, 0, 0, 0, 3, 2, 18, 0x1b, 0xff);
    b.dma.program(1024);
    expect(b.run(0x46, 0, 0, 0, 3, 2, 18, 0x1b, 0xff).slice(0, 3)).toEqual([0, 0, 0x40]);
    b.dma.program(512);
    expect(b.run(0x66, 0, 0, 0, 3, 2, 18, 0x1b, 0xff)).toEqual([0, 0, 0x40, 0, 0, 5, 2]);
    expect(b.dma.memory[0]).toBe(3);
    b.dma.program(512);
    expect(b.run(0x4c, 0, 0, 0, 3, 2, 18, 0x1b, 0xff).slice(0, 3)).toEqual([0, 0, 0]);
  });

  test("FORMAT TRACK fills what its ID fields name", () => {
    const b = new Bench().start();
    b.seek(2);
    for (let i = 0; i < 18; i++) b.dma.memory.set([2, 0, i + 1, 2], 4 * i);
    b.dma.program(72);
    expect(b.run(0x4d, 0, 2, 18, 0x54, 0xf6).slice(0, 3)).toEqual([0, 0, 0]);
    const track = 2 * 2 * 18 * 512;
    expect(b.medium.backend.bytes.subarray(track, track + 18 * 512).every((v) => v === 0xf6)).toBe(true);
  });

  test("READ TRACK starts at the index; READ ID finds a sector; VERIFY moves nothing", () => {
    const b = new Bench().start();
    b.dma.program(1024);
    expect(b.run(0x42, 0, 0, 0, 9, 2, 18, 0x1b, 0xff).slice(0, 3)).toEqual([0, 0, 0]);
    expect([b.dma.memory[0], b.dma.memory[512]]).toEqual([0, 1]);
    const id = b.run(0x4a, 4);
    expect([id[0], id[3], id[4], id[6]]).toEqual([4, 0, 1, 2]);
    expect(b.run(0x56, 0x80, 0, 0, 1, 2, 18, 0x1b, 5)).toEqual([0, 0, 0, 0, 0, 6, 2]);
    expect(b.run(0xd6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff)).toEqual([4, 0, 0, 1, 0, 1, 2]);
  });

  test("SCAN finds the sector that matches", () => {
    const b = new Bench().start();
    b.dma.memory.fill(6);
    b.dma.program(18 * 512);
    expect(b.run(0x51, 0, 0, 0, 1, 2, 18, 0x1b, 1)).toEqual([0, 0, 0x08, 0, 0, 7, 2]);
    b.dma.program(18 * 512);
    expect(b.run(0x5d, 0, 0, 0, 3, 2, 18, 0x1b, 1)[5]).toBe(7);
    b.dma.memory.fill(200);
    b.dma.program(18 * 512);
    expect(b.run(0x51, 0, 0, 0, 1, 2, 18, 0x1b, 1)[2]).toBe(0x04);
  });

  test("implied seek moves the head", () => {
    const b = new Bench().start();
    b.run(0x13, 0, 0x40, 0);
    b.dma.program(512);
    expect(b.run(0x46, 0, 7, 0, 1, 2, 18, 0x1b, 0xff)[3]).toBe(7);
    expect(b.dma.memory[0]).toBe((7 * 36) & 255);
  });

  test("an empty drive ends without an address mark", () => {
    const b = new Bench().start();
    b.fdc.insert(0, undefined);
    b.dma.program(512);
    expect(b.run(0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff).slice(0, 2)).toEqual([0x40, 0x01]);
  });
});

describe("tracks with sectors of several sizes (XDF)", () => {
  /** Each 512-byte block of the image is filled with its number modulo 251. */
  function xdf(): Bench {
    const bytes = new Uint8Array(1884160);
    for (let i = 0; i < bytes.length; i++) bytes[i] = Math.floor(i / 512) % 251;
    return new Bench({ backend: new MemoryBlockBackend("xdf", bytes), cylinders: 80, heads: 2, sectors: 23, layout: XDF_LAYOUT }).start();
  }
  const block = (cylinder: number, n: number): number => (cylinder * 46 + n) % 251;

  test("READ DATA takes a sector of any size by its ID and N; another N finds nothing", () => {
    const b = xdf();
    b.seek(1);
    for (const [head, r, n, first] of [
      [0, 0x83, 3, 0],
      [0, 0x84, 4, 2],
      [1, 0x86, 6, 6],
      [0, 0x82, 2, 22],
      [1, 0x83, 3, 44],
    ] as const) {
      const bytes = 128 << n;
      b.dma.program(bytes);
      expect(b.run(0x46, head << 2, 1, head, r, n, 0xff, 0x0a, 0xff)).toEqual([head << 2, 0, 0, 1, head, r + 1, n]);
      expect([b.dma.remaining, b.dma.memory[0], b.dma.memory[bytes - 1]]).toEqual([0, block(1, first), block(1, first + bytes / 512 - 1)]);
    }
    b.dma.program(512);
    expect(b.run(0x46, 0, 1, 0, 0x86, 2, 0xff, 0x0a, 0xff).slice(0, 3)).toEqual([0x40, 0x04, 0]);
  });

  test("cylinder 0 has the small disk under 1 to 8 and the file system from 129 on", () => {
    const b = xdf();
    b.dma.program(8 * 512);
    expect(b.run(0x46, 0, 0, 0, 1, 2, 8, 0x1b, 0xff)).toEqual([0, 0, 0, 1, 0, 1, 2]);
    expect([b.dma.memory[0], b.dma.memory[7 * 512]]).toEqual([12, 19]);
    b.dma.program(512);
    expect(b.run(0x46, 0, 0, 0, 9, 2, 18, 0x1b, 0xff).slice(0, 2)).toEqual([0x40, 0x04]);
    b.dma.program(512);
    b.run(0x46, 4, 0, 1, 129, 2, 129, 0x1b, 0xff);
    expect(b.dma.memory[0]).toBe(11);
  });

  test("READ ID meets every sector in turn, and a revolution is a revolution", () => {
    const b = xdf();
    b.seek(2);
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) {
      b.clock.advanceBy(777_777);
      const [, , , c, h, r, n] = b.run(0x4a, 0);
      seen.add(`${c}.${h}.${r}.${n}`);
    }
    expect([...seen].sort()).toEqual(["2.0.130.2", "2.0.131.3", "2.0.132.4", "2.0.134.6"]);
    b.dma.program(4096);
    for (const v of [0x42, 0, 2, 0, 1, 3, 4, 0x1b, 0xff]) b.out(5, v);
    b.clock.advanceBy(19_000_000);
    expect(b.irq).toBe(false);
    b.clock.advanceBy(22_000_000);
    expect(b.irq).toBe(true);
  });

  test("WRITE DATA, FORMAT TRACK and SCAN know the sizes too", () => {
    const b = xdf();
    b.seek(3);
    b.dma.memory.fill(0x77, 0, 8192);
    b.dma.program(8192);
    expect(b.run(0x45, 0, 3, 0, 0x86, 6, 0xff, 0x0a, 0xff).slice(0, 3)).toEqual([0, 0, 0]);
    const at = 3 * 46 * 512 + 12288;
    expect(b.medium.backend.bytes.subarray(at, at + 8192).every((v) => v === 0x77)).toBe(true);
    expect([b.medium.backend.bytes[at - 1], b.medium.backend.bytes[at + 8192]]).toEqual([block(3, 23), block(3, 40)]);
    b.dma.program(8192);
    expect(b.run(0x51, 0, 3, 0, 0x86, 6, 0x86, 0x0a, 1)[2]).toBe(0x08);
    b.dma.memory.set([3, 0, 0x82, 2, 3, 0, 0x86, 6, 3, 0, 0x90, 2]);
    b.dma.program(12);
    expect(b.run(0x4d, 0, 2, 3, 0x54, 0xf6).slice(0, 3)).toEqual([0, 0, 0]);
    expect([b.medium.backend.bytes[at], b.medium.backend.bytes[3 * 46 * 512 + 11264], b.medium.backend.bytes[3 * 46 * 512]]).toEqual([
      0xf6,
      0xf6,
      block(3, 0),
    ]);
  });

  test("READ TRACK gives as many bytes of each sector as N asks for", () => {
    const b = xdf();
    b.seek(1);
    b.dma.program(2048);
    const result = b.run(0x42, 0, 1, 0, 1, 2, 4, 0x1b, 0xff);
    expect(result.slice(0, 2)).toEqual([0, 0x04]);
    expect([0, 512, 1024, 1536].map((i) => b.dma.memory[i])).toEqual([block(1, 0), block(1, 22), block(1, 2), block(1, 24)]);
    b.dma.program(1024);
    expect((b.run(0x42, 0, 1, 0, 1, 3, 2, 0x1b, 0xff)[1] ?? 0) & 0x20).toBe(0);
    b.dma.program(2048);
    expect((b.run(0x42, 0, 1, 0, 1, 4, 1, 0x1b, 0xff)[1] ?? 0) & 0x24).toBe(0x24);
    expect([b.dma.memory[1023], b.dma.memory[1024]]).toEqual([block(1, 1), 0]);
  });

  test("a state saved in the middle of a large sector goes on with it", () => {
    const b = xdf();
    b.seek(1);
    b.run(0x03, 0xdf, 0x03);
    for (const v of [0x46, 0, 1, 0, 0x86, 6, 0x86, 0x0a, 0xff]) b.out(5, v);
    b.clock.advanceBy(1e9);
    for (let i = 0; i < 5000; i++) b.in(5);
    const other = xdf();
    other.fdc.loadState(structuredClone(b.fdc.saveState()));
    for (let i = 5000; i < 8192; i++) expect(other.in(5)).toBe(block(1, 24 + Math.floor(i / 512)));
    other.clock.advanceBy(1e9);
    expect(other.result().slice(0, 2)).toEqual([0x40, 0x80]);
  });
});

test("non-DMA mode gives and takes bytes through the FIFO", () => {
  const b = new Bench().start();
  b.run(0x03, 0xdf, 0x03);
  for (const v of [0x46, 0, 0, 0, 18, 2, 18, 0x1b, 0xff]) b.out(5, v);
  b.clock.advanceBy(1e9);
  expect([b.in(4), b.irq]).toEqual([0xf0, true]);
  for (let i = 0; i < 512; i++) expect(b.in(5)).toBe(17);
  expect(b.result()).toEqual([0x40, 0x80, 0, 1, 0, 1, 2]);
  for (const v of [0x45, 0, 0, 0, 18, 2, 18, 0x1b, 0xff]) b.out(5, v);
  b.clock.advanceBy(1e9);
  expect(b.in(4)).toBe(0xb0);
  for (let i = 0; i < 512; i++) b.out(5, 0x21);
  b.result();
  expect(b.medium.backend.bytes[17 * 512]).toBe(0x21);
});

test("720K and 2.88M media want their own data rates", () => {
  for (const [sectors, rate] of [
    [9, 2],
    [36, 3],
  ] as const) {
    const b = new Bench(disk(sectors)).start();
    b.fdc.inputPort.write(0, 1, rate);
    b.dma.program(512);
    expect(b.run(0x46, 0, 0, 0, 1, 2, sectors, 0x1b, 0xff)[0]).toBe(0);
  }
});

test("a read under way survives a save and load", () => {
  const medium = disk();
  const a = new Bench(medium).start();
  a.dma.program(512 * 4);
  for (const v of [0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff]) a.out(5, v);
  a.clock.advanceBy(3_000_000);
  const b = new Bench(medium);
  b.fdc.loadState(structuredClone(a.fdc.saveState()));
  expect(b.fdc.saveState()).toEqual(a.fdc.saveState());
  b.dma.program(a.dma.remaining);
  b.clock.advanceBy(1e9);
  expect(b.result()).toEqual([0, 0, 0, 0, 0, 5, 2]);
});

test("random port traffic never throws", () => {
  const b = new Bench().start();
  const opcodes = [0x46, 0xc5, 0x4d, 0x42, 0x4a, 0x56, 0x51, 0x0f, 0x07, 0x08, 0x13, 0x94, 0x0e, 0xcf];
  const access = fc.record({
    offset: fc.nat(7),
    value: fc.oneof(fc.nat(255), fc.constantFrom(...opcodes), fc.nat(3)),
    write: fc.boolean(),
    time: fc.constantFrom(0, 1000, 1e8),
  });
  fc.assert(
    fc.property(fc.array(access, { maxLength: 80 }), fc.nat(4096), (accesses, bytes) => {
      b.dma.program(bytes);
      for (const a of accesses) {
        const [device, offset] = a.offset === 7 ? [b.fdc.inputPort, 0] : [b.fdc.ports, a.offset < 2 ? 5 : a.offset];
        if (a.write) device.write(offset, 1, a.value);
        else expect(device.read(offset, 1)).toBeLessThan(256);
        b.clock.advanceBy(a.time);
      }
    }),
    { seed: 77, numRuns: 1500 },
  );
});
