import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryBlockBackend } from "../../../backends/api/index.ts";
import type { BlockBackend } from "../../../backends/api/index.ts";
import { ManualClock } from "../../../base/index.ts";
import { TestDriver } from "../driver.testing.ts";
import { VirtioBlk } from "./index.ts";

interface Watched extends BlockBackend {
  readonly bytes: Uint8Array;
  flushes: number;
  discarded: [number, number][];
  broken: boolean;
}

function disk(options: { readonly readOnly?: boolean; readonly sectors?: number } = {}): Watched {
  const memory = new MemoryBlockBackend("disk", new Uint8Array(512 * (options.sectors ?? 64)), { readOnly: options.readOnly ?? false });
  const check = (offset: number, length: number): void => {
    if (offset < 0 || offset % 512 !== 0 || length % 512 !== 0 || offset + length > memory.sizeBytes)
      throw new Error(`outside: ${offset} + ${length}`);
  };
  const d: Watched = {
    name: "disk",
    sizeBytes: memory.sizeBytes,
    sectorBytes: 512,
    readOnly: memory.readOnly,
    bytes: memory.bytes,
    flushes: 0,
    discarded: [],
    broken: false,
    read(offset, into) {
      check(offset, into.length);
      return !d.broken && memory.read(offset, into);
    },
    write(offset, from) {
      check(offset, from.length);
      return !d.broken && memory.write(offset, from);
    },
    flush() {
      d.flushes++;
      return !d.broken;
    },
    discard(offset, length) {
      check(offset, length);
      d.discarded.push([offset, length]);
      return true;
    },
    close() {},
  };
  return d;
}

function harness(options: { readonly readOnly?: boolean; readonly sectors?: number } = {}) {
  const clock = new ManualClock();
  const backend = disk(options);
  const driver = new TestDriver(new VirtioBlk({ clock, backend, serial: "WHYVE00001" }), { memoryBytes: 8 << 20 });
  const HEADER = 0x10000;
  const DATA = 0x20000;
  const STATUS = 0x18000;
  const put = (type: number, sector: number, length: number, dataOut: boolean): void => {
    const v = driver.memory.view;
    v.setUint32(HEADER, type, true);
    v.setUint32(HEADER + 8, sector >>> 0, true);
    v.setUint32(HEADER + 12, Math.floor(sector / 2 ** 32), true);
    v.setUint8(STATUS, 0xee);
    const data = length === 0 ? [] : [{ at: DATA, length, write: !dataOut }];
    driver.put(0, [{ at: HEADER, length: 16 }, ...data, { at: STATUS, length: 1, write: true }]);
  };
  const request = (type: number, sector: number, length: number, dataOut = false): number => {
    put(type, sector, length, dataOut);
    driver.kick(0);
    driver.take(0);
    return driver.memory.view.getUint8(STATUS);
  };
  return { clock, backend, driver, put, request, data: driver.memory.bytes.subarray(DATA), DATA };
}

describe("virtio-blk", () => {
  it("says its size, limits and topology", () => {
    const { driver } = harness({ sectors: 100 });
    driver.start();
    expect([driver.read(4, 0, 4), driver.read(4, 12, 4), driver.read(4, 20, 4), driver.read(4, 32, 1)]).toEqual([100, 126, 512, 1]);
  });

  it("writes and reads sectors", () => {
    const { driver, request, data, backend } = harness();
    driver.start();
    data.fill(0x5a, 0, 1024);
    expect(request(1, 3, 1024, true)).toBe(0);
    expect([backend.bytes[1535], backend.bytes[1536], backend.bytes[2559], backend.bytes[2560]]).toEqual([0, 0x5a, 0x5a, 0]);
    data.fill(0, 0, 1024);
    expect(request(0, 3, 1024)).toBe(0);
    expect(data.subarray(0, 1024).every((b) => b === 0x5a)).toBe(true);
  });

  it("moves large requests in pieces", () => {
    const { driver, request, data, backend } = harness({ sectors: 4096 });
    driver.start();
    for (let i = 0; i < 1 << 20; i++) data[i] = i * 7 + (i >> 9);
    expect(request(1, 1, 1 << 20, true)).toBe(0);
    expect(Buffer.compare(backend.bytes.subarray(512, 512 + (1 << 20)), data.subarray(0, 1 << 20))).toBe(0);
  });

  it("tells its serial number, and less of it in a small buffer", () => {
    const { driver, request, data } = harness();
    driver.start();
    expect(request(8, 0, 20)).toBe(0);
    expect(Buffer.from(data.subarray(0, 20)).toString()).toBe("WHYVE00001".padEnd(20, "\0"));
    expect(request(8, 0, 4)).toBe(0);
  });

  it("flushes when asked; in write-through after each write, as for a driver that cannot flush", () => {
    const { driver, request, backend } = harness();
    driver.start();
    request(1, 0, 512, true);
    expect(backend.flushes).toBe(0);
    expect(request(4, 0, 0)).toBe(0);
    expect(backend.flushes).toBe(1);
    driver.write(4, 32, 1, 0);
    expect(backend.flushes).toBe(2);
    request(1, 0, 512, true);
    expect(backend.flushes).toBe(3);
    driver.start({ without: (1n << 9n) | (1n << 11n) });
    request(1, 0, 512, true);
    expect(backend.flushes).toBe(4);
  });

  it("discards and zeroes ranges, with their limits", () => {
    const { driver, request, data, backend } = harness();
    driver.start();
    backend.bytes.fill(1);
    const range = (sector: number, count: number, flags: number): void => {
      const v = new DataView(data.buffer, data.byteOffset, 16);
      v.setUint32(0, sector, true);
      v.setUint32(4, 0, true);
      v.setUint32(8, count, true);
      v.setUint32(12, flags, true);
    };
    range(8, 4, 0);
    expect(request(11, 0, 16, true)).toBe(0);
    expect(backend.discarded).toEqual([[4096, 2048]]);
    range(1, 2, 1);
    expect(request(13, 0, 16, true)).toBe(0);
    expect([backend.bytes[511], backend.bytes[512], backend.bytes[1535], backend.bytes[1536]]).toEqual([1, 0, 0, 1]);
    range(8, 4, 1);
    expect(request(11, 0, 16, true)).toBe(2);
    range(60, 5, 0);
    expect([request(11, 0, 16, true), request(13, 0, 16, true), request(13, 0, 15, true), request(11, 0, 0, true)]).toEqual([1, 1, 1, 1]);
  });

  it("reports what it cannot do", () => {
    const { driver, request, backend, put } = harness();
    driver.start();
    expect([request(0, 64, 512), request(0, 2 ** 52, 512), request(0, 0, 511), request(1, 63, 1024, true), request(99, 0, 0)]).toEqual([
      1, 1, 1, 1, 2,
    ]);
    backend.broken = true;
    expect([request(0, 0, 512), request(1, 0, 512, true), request(4, 0, 0)]).toEqual([1, 1, 1]);
    put(0, 0, 0, false);
    const short = harness();
    short.driver.start();
    short.driver.put(0, [
      { at: 0x10000, length: 7 },
      { at: 0x18000, length: 1, write: true },
    ]);
    short.driver.put(0, [{ at: 0x10000, length: 16 }]);
    short.driver.kick(0);
    expect([short.driver.take(0), short.driver.take(0)]).toEqual([
      { head: 0, length: 1 },
      { head: 2, length: 0 },
    ]);
    expect(short.driver.memory.view.getUint8(0x18000)).toBe(1);
  });

  it("is read-only when its image is", () => {
    const { driver, request, backend } = harness({ readOnly: true });
    driver.start();
    expect(driver.pci.core.features & (1n << 5n)).not.toBe(0n);
    expect([request(0, 0, 512), request(1, 0, 512, true), request(13, 0, 16, true)]).toEqual([0, 1, 1]);
    expect(backend.bytes.every((b) => b === 0)).toBe(true);
  });

  it("does a bounded batch at a notification and the rest a moment later", () => {
    const { driver, clock } = harness();
    driver.start({ size: 256 });
    for (let i = 0; i < 100; i++) driver.put(0, [{ at: 0x18000, length: 1, write: true }]);
    driver.kick(0);
    const done = (): number => driver.memory.view.getUint16(driver.ring(0).used + 2, true);
    expect(done()).toBe(32);
    driver.kick(0);
    expect(done()).toBe(32);
    clock.advanceBy(10_000);
    expect(done()).toBe(64);
    clock.advanceBy(1_000_000);
    expect(done()).toBe(100);
  });

  it("forgets waiting work at a reset, and keeps it over a save", () => {
    const { driver, clock } = harness();
    driver.start({ size: 256 });
    for (let i = 0; i < 100; i++) driver.put(0, [{ at: 0x18000, length: 1, write: true }]);
    driver.kick(0);
    const other = harness();
    other.driver.pci.loadState(JSON.parse(JSON.stringify(driver.pci.saveState())));
    other.driver.memory.bytes.set(driver.memory.bytes);
    other.clock.advanceBy(1_000_000);
    expect(other.driver.memory.view.getUint16(driver.ring(0).used + 2, true)).toBe(100);
    driver.status = 0;
    clock.advanceBy(1_000_000);
    expect(driver.memory.view.getUint16(driver.ring(0).used + 2, true)).toBe(32);
  });

  it("survives any request and touches nothing outside the disk", () => {
    const segment = fc.record({
      at: fc.oneof(fc.constantFrom(0x10000, 0x18000, 0x20000), fc.integer({ min: 0, max: 0xffffffff })),
      length: fc.oneof(fc.constantFrom(0, 1, 16, 17, 512, 1024), fc.integer({ min: 0, max: 1 << 16 })),
      write: fc.boolean(),
    });
    const header = fc.record({
      type: fc.oneof(fc.constantFrom(0, 1, 4, 8, 11, 13), fc.integer({ min: 0, max: 255 })),
      sector: fc.oneof(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 0, max: 0xffffffff })),
    });
    const run = fc.property(fc.array(fc.tuple(header, fc.array(segment, { minLength: 1, maxLength: 5 })), { maxLength: 12 }), (requests) => {
      const { driver, clock, backend } = harness();
      driver.start({ size: 64 });
      for (const [{ type, sector }, segments] of requests) {
        driver.memory.view.setUint32(0x10000, type, true);
        driver.memory.view.setUint32(0x10008, sector, true);
        driver.put(0, [{ at: 0x10000, length: 16 }, ...segments.toSorted((a, b) => Number(a.write) - Number(b.write))]);
        driver.kick(0);
        clock.advanceBy(100_000);
      }
      expect(backend.bytes).toHaveLength(64 * 512);
    });
    fc.assert(run, { seed: 20260102, numRuns: 1000 });
  });
});
