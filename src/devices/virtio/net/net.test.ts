import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FrameOffload, NetBackend, NetOffloads } from "../../../backends/api/index.ts";
import { TestDriver } from "../driver.testing.ts";
import { runCommand } from "./control.ts";
import { NetFilter } from "./filter.ts";
import { NET_F } from "./header.ts";
import { VirtioNet } from "./index.ts";

const MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
const RX = 0;
const TX = 1;
const CTRL = 2;

/** The wire's end, with a memory. */
class TestWire implements NetBackend {
  readonly name = "test";
  readonly offloads: NetOffloads = { checksum: true, tso4: true };
  readonly sent: { frame: Uint8Array; offload: FrameOffload | undefined }[] = [];
  accepted: NetOffloads | undefined;
  readies = 0;
  flushes = 0;
  onReceive: ((frame: Uint8Array, offload?: FrameOffload) => boolean) | undefined;
  send(frame: Uint8Array, offload?: FrameOffload): void {
    this.sent.push({ frame: frame.slice(), offload: offload === undefined ? undefined : { ...offload } });
  }
  flush(): void {
    this.flushes++;
  }
  setGuestOffloads(accepted: NetOffloads): void {
    this.accepted = accepted;
  }
  ready(): void {
    this.readies++;
  }
  close(): void {}
  deliver(frame: Uint8Array, offload?: FrameOffload): boolean | undefined {
    return this.onReceive?.(frame, offload);
  }
}

function card(options: { readonly mode?: "transitional" | "modern"; readonly mtu?: number; readonly memoryBytes?: number } = {}) {
  const wire = new TestWire();
  const model = new VirtioNet({ backend: wire, mac: MAC, ...(options.mtu === undefined ? {} : { mtu: options.mtu }) });
  const driver = new TestDriver(model, {
    memoryBytes: options.memoryBytes ?? 4 << 20,
    ...(options.mode === undefined ? {} : { mode: options.mode }),
  });
  const poke = (at: number, bytes: Uint8Array): void => driver.memory.bytes.set(bytes, at);
  const peek = (at: number, length: number): Uint8Array => driver.memory.bytes.slice(at, at + length);
  return { wire, model, driver, poke, peek };
}

/** An Ethernet frame to our card with a recognisable content. */
function frameOf(length: number, to: Uint8Array = MAC): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff);
  frame.set(to);
  frame.set([8, 0], 12);
  return frame;
}

const header = (fields: { flags?: number; gso?: number; size?: number; start?: number; offset?: number } = {}): Uint8Array => {
  const out = new Uint8Array(12);
  const view = new DataView(out.buffer);
  view.setUint8(0, fields.flags ?? 0);
  view.setUint8(1, fields.gso ?? 0);
  view.setUint16(2, 54, true);
  view.setUint16(4, fields.size ?? 0, true);
  view.setUint16(6, fields.start ?? 0, true);
  view.setUint16(8, fields.offset ?? 0, true);
  return out;
};

describe("virtio-net to the wire", () => {
  it("sends frames of one batch, whatever their buffers, and says when the batch is over", () => {
    const { wire, driver, poke } = card();
    driver.start();
    const frame = frameOf(100);
    poke(0x10000, header());
    poke(0x11000, frame);
    driver.put(TX, [
      { at: 0x10000, length: 12 },
      { at: 0x11000, length: 60 },
      { at: 0x11000 + 60, length: 40 },
    ]);
    poke(0x12000, header());
    poke(0x12000 + 12, frame);
    driver.put(TX, [{ at: 0x12000, length: 112 }]);
    driver.kick(TX);
    expect(wire.sent).toEqual([
      { frame, offload: undefined },
      { frame, offload: undefined },
    ]);
    expect([driver.take(TX)?.length, driver.take(TX)?.length, wire.flushes]).toEqual([0, 0, 1]);
  });

  it("passes unfinished checksums and large frames on", () => {
    const { wire, driver, poke } = card();
    driver.start();
    poke(0x10000, header({ flags: 1, gso: 1, size: 1460, start: 34, offset: 16 }));
    poke(0x10000 + 12, frameOf(40_000));
    driver.put(TX, [{ at: 0x10000, length: 40_012 }]);
    driver.kick(TX);
    expect(wire.sent.map((s) => [s.frame.length, s.offload])).toEqual([[40_000, { csumStart: 34, csumOffset: 16, gsoSize: 1460, headerBytes: 54 }]]);
  });

  it("drops frames whose header is nonsense, was not negotiated, or which are too short or too long", () => {
    const { wire, model, driver, poke } = card();
    driver.start({ without: NET_F.HOST_TSO4 });
    const send = (head: Uint8Array, length: number): void => {
      poke(0x10000, head);
      driver.put(TX, [{ at: 0x10000, length: 12 + length }]);
      driver.kick(TX);
      expect(driver.take(TX)).toBeDefined();
    };
    send(header({ flags: 1, gso: 1, size: 1460, start: 34, offset: 16 }), 3000);
    send(header({ flags: 1, start: 34, offset: 16 }), 50);
    send(header({ flags: 1, start: 0, offset: 16 }), 100);
    send(header({ gso: 3 }), 100);
    send(header(), 13);
    send(header(), 70_000);
    expect(wire.sent).toHaveLength(0);
    expect(model.counters).toMatchObject({ badHeaders: 4, tooLong: 2 });
  });

  it("has the ten-byte header of virtio 0.9, where the driver may also set the address", () => {
    const { wire, driver, poke, peek } = card();
    driver.startLegacy({ features: Number(NET_F.MAC) });
    driver.legacy.write(20, 1, 0x02);
    expect(driver.legacy.read(20, 1)).toBe(2);
    poke(0x80000, new Uint8Array(10));
    poke(0x80000 + 10, frameOf(60));
    driver.put(TX, [
      { at: 0x80000, length: 10 },
      { at: 0x80000 + 10, length: 60 },
    ]);
    driver.legacy.write(16, 2, TX);
    expect(wire.sent[0]?.frame).toEqual(frameOf(60));
    driver.put(RX, [
      { at: 0x90000, length: 10, write: true },
      { at: 0x91000, length: 1514, write: true },
    ]);
    expect(wire.deliver(frameOf(200))).toBe(true);
    expect(driver.take(RX)?.length).toBe(210);
    expect(peek(0x91000, 200)).toEqual(frameOf(200));
  });
});

describe("virtio-net from the wire", () => {
  it("writes header and frame, and how many buffers they took", () => {
    const { wire, driver, peek } = card();
    driver.start();
    for (let i = 0; i < 4; i++) driver.put(RX, [{ at: 0x10000 + 0x1000 * i, length: 1000, write: true }]);
    expect(wire.deliver(frameOf(2500))).toBe(true);
    expect([driver.take(RX)?.length, driver.take(RX)?.length, driver.take(RX)?.length, driver.take(RX)]).toEqual([1000, 1000, 512, undefined]);
    expect([...peek(0x10000, 12)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0]);
    expect(Uint8Array.from([...peek(0x1000c, 988), ...peek(0x11000, 1000), ...peek(0x12000, 512)])).toEqual(frameOf(2500));
  });

  it("tells of unfinished checksums and large frames", () => {
    const { wire, driver, peek } = card();
    driver.start();
    expect(wire.accepted).toEqual({ checksum: true, tso4: true });
    driver.put(RX, [{ at: 0x10000, length: 4096, write: true }]);
    wire.deliver(frameOf(3000), { csumStart: 34, csumOffset: 16, gsoSize: 1460, headerBytes: 54 });
    expect([...peek(0x10000, 12)]).toEqual([1, 1, 54, 0, 180, 5, 34, 0, 16, 0, 1, 0]);
  });

  it("refuses a frame while there are too few buffers, and asks for it when there are more", () => {
    const { wire, driver } = card();
    driver.start();
    const before = wire.readies;
    driver.put(RX, [{ at: 0x10000, length: 1000, write: true }]);
    expect(wire.deliver(frameOf(1500))).toBe(false);
    expect(driver.take(RX)).toBeUndefined();
    driver.put(RX, [{ at: 0x11000, length: 1000, write: true }]);
    driver.kick(RX);
    expect(wire.readies).toBe(before + 1);
    expect(wire.deliver(frameOf(1500))).toBe(true);
    expect([driver.take(RX)?.length, driver.take(RX)?.length]).toEqual([1000, 512]);
    // Without having refused anything there is nothing to ask for.
    driver.kick(RX);
    expect(wire.readies).toBe(before + 1);
  });

  it("without merging drops what does not fit one buffer, and keeps the buffer", () => {
    const { wire, driver } = card();
    driver.start({ without: NET_F.MRG_RXBUF });
    driver.put(RX, [{ at: 0x10000, length: 200, write: true }]);
    expect(wire.deliver(frameOf(500))).toBe(true);
    expect(driver.take(RX)).toBeUndefined();
    expect(wire.deliver(frameOf(100))).toBe(true);
    expect(driver.take(RX)?.length).toBe(112);
  });

  it("drops everything before the driver is ready, after a reset, and while the cable is out", () => {
    const { wire, model, driver } = card();
    expect(wire.deliver(frameOf(60))).toBe(true);
    driver.start();
    driver.put(RX, [{ at: 0x10000, length: 2000, write: true }]);
    model.setLink(false);
    expect(driver.read(4, 6, 2)).toBe(0);
    wire.deliver(frameOf(60));
    model.setLink(true);
    driver.status = 0;
    wire.deliver(frameOf(60));
    expect([driver.take(RX), wire.accepted]).toEqual([undefined, { checksum: false, tso4: false }]);
  });
});

describe("virtio-net's configuration and control queue", () => {
  function command(driver: TestDriver, bytes: readonly number[]): number {
    driver.memory.bytes.set(bytes, 0x20000);
    driver.memory.bytes[0x21000] = 0x55;
    driver.put(CTRL, [
      { at: 0x20000, length: bytes.length },
      { at: 0x21000, length: 1, write: true },
    ]);
    driver.kick(CTRL);
    expect(driver.take(CTRL)?.length).toBe(1);
    return driver.memory.bytes[0x21000] ?? 0xff;
  }
  const delivered = (driver: TestDriver, wire: TestWire, to: readonly number[]): boolean => {
    driver.put(RX, [{ at: 0x30000, length: 2000, write: true }]);
    wire.deliver(frameOf(60, Uint8Array.from(to)));
    return driver.take(RX) !== undefined;
  };
  const BROADCAST = [255, 255, 255, 255, 255, 255];
  const GROUP = [1, 0, 0x5e, 0, 0, 1];
  const OTHER = [2, 0, 0, 0, 0, 9];

  it("shows address, link, MTU and speed", () => {
    const { driver } = card({ mtu: 9000 });
    driver.start();
    expect([
      driver.read(4, 0, 4),
      driver.read(4, 4, 2),
      driver.read(4, 6, 2),
      driver.read(4, 10, 2),
      driver.read(4, 12, 4),
      driver.read(4, 16, 1),
    ]).toEqual([0x12005452, 0x5634, 1, 9000, 10_000, 1]);
  });

  it("takes everything until the driver narrows it down", () => {
    const { driver, wire } = card();
    driver.start();
    expect(delivered(driver, wire, OTHER)).toBe(true);
    expect(command(driver, [0, 0, 0])).toBe(0);
    expect([MAC, BROADCAST, GROUP, OTHER].map((to) => delivered(driver, wire, [...to]))).toEqual([true, true, false, false]);
    expect(command(driver, [0, 1, 1])).toBe(0);
    expect(delivered(driver, wire, GROUP)).toBe(true);
    expect(command(driver, [1, 0, 1, 0, 0, 0, ...OTHER, 1, 0, 0, 0, ...GROUP])).toBe(0);
    expect(delivered(driver, wire, OTHER)).toBe(true);
    expect(command(driver, [0, 5, 1])).toBe(0);
    expect(delivered(driver, wire, BROADCAST)).toBe(false);
    expect(command(driver, [1, 1, ...OTHER])).toBe(0);
    expect(driver.read(4, 5, 1)).toBe(9);
    expect(delivered(driver, wire, [...MAC])).toBe(false);
  });

  it("filters VLANs that were not added", () => {
    const { driver, wire } = card();
    driver.start();
    command(driver, [0, 0, 0]);
    const tagged = frameOf(64);
    tagged.set([0x81, 0, 0, 42], 12);
    const taken = (): boolean => {
      driver.put(RX, [{ at: 0x30000, length: 2000, write: true }]);
      wire.deliver(tagged);
      return driver.take(RX) !== undefined;
    };
    expect(taken()).toBe(false);
    expect(command(driver, [2, 0, 42, 0])).toBe(0);
    expect(taken()).toBe(true);
    command(driver, [2, 1, 42, 0]);
    expect(taken()).toBe(false);
  });

  it("announces the guest when asked to, until the driver has seen it", () => {
    const { driver, model } = card();
    driver.start();
    model.announce();
    expect(driver.read(4, 6, 2)).toBe(3);
    expect(command(driver, [3, 0])).toBe(0);
    expect(driver.read(4, 6, 2)).toBe(1);
  });

  it("lets the driver switch offloads that it negotiated, and refuses unknown commands", () => {
    const { driver, wire } = card();
    driver.start({ without: NET_F.GUEST_TSO4 });
    expect(wire.accepted).toEqual({ checksum: true, tso4: false });
    expect(command(driver, [5, 0, 0, 0, 0, 0, 0, 0, 0, 0])).toBe(0);
    expect(wire.accepted).toEqual({ checksum: false, tso4: false });
    expect(command(driver, [5, 0, 0x82, 0, 0, 0, 0, 0, 0, 0])).toBe(1);
    for (const bad of [
      [9, 9],
      [0, 77, 1],
      [4, 0, 2, 0],
      [1, 0, 9, 9, 9, 9, 1],
      [2, 0],
      [0, 0],
    ])
      expect(command(driver, bad)).toBe(1);
  });

  it("gets all frames of a kind when the driver lists more addresses than the card keeps", () => {
    const filter = new NetFilter();
    filter.reset(MAC);
    filter.setMode(0, false);
    const table = new Uint8Array(2 + 8 + 6 * 100);
    const view = new DataView(table.buffer);
    table.set([1, 0]);
    view.setUint32(2, 0, true);
    view.setUint32(6, 100, true);
    for (let i = 0; i < 100; i++) table.set([1, 0, 0x5e, 0, 1, i], 10 + 6 * i);
    runCommand(table, { filter, announced() {}, setGuestOffloads: () => true });
    expect([filter.accepts(frameOf(60, Uint8Array.from(GROUP))), filter.accepts(frameOf(60, Uint8Array.from(OTHER)))]).toEqual([true, false]);
  });

  it("keeps its state", () => {
    const first = card();
    first.driver.start();
    command(first.driver, [0, 0, 0]);
    command(first.driver, [1, 1, ...OTHER]);
    first.driver.put(RX, [{ at: 0x30000, length: 100, write: true }]);
    const state = structuredClone(first.driver.pci.saveState());
    const second = card();
    second.driver.memory.bytes.set(first.driver.memory.bytes);
    second.driver.pci.loadState(state);
    expect(second.driver.pci.saveState()).toEqual(state);
    expect(second.wire.accepted).toEqual({ checksum: true, tso4: true });
    expect(second.wire.deliver(frameOf(60, Uint8Array.from(OTHER)))).toBe(true);
    expect(second.peek(0x3000c, 60)).toEqual(frameOf(60, Uint8Array.from(OTHER)));
  });
});

describe("a hostile driver", () => {
  it("breaks nothing with random rings, commands and registers", () => {
    const segment = fc.record({
      at: fc.oneof(fc.integer({ min: 0x8000, max: 0x20000 }), fc.constantFrom(0xfffff000, 3 << 20)),
      length: fc.oneof(fc.nat(4000), fc.constantFrom(0, 70_000, 0xffffffff)),
      write: fc.boolean(),
    });
    const step = fc.oneof(
      fc.record({ kind: fc.constant("put" as const), queue: fc.nat(2), segments: fc.array(segment, { minLength: 1, maxLength: 5 }) }),
      fc.record({ kind: fc.constant("poke" as const), at: fc.integer({ min: 0x1000, max: 0x20000 }), bytes: fc.uint8Array({ maxLength: 40 }) }),
      fc.record({ kind: fc.constant("deliver" as const), length: fc.nat(70_000), unfinished: fc.boolean() }),
      fc.record({ kind: fc.constant("config" as const), at: fc.nat(31), value: fc.nat(255) }),
      fc.record({ kind: fc.constant("status" as const), value: fc.constantFrom(0, 15, 15, 15) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, mergeable) => {
        const { driver, wire } = card({ memoryBytes: 1 << 18 });
        driver.start(mergeable ? {} : { without: NET_F.MRG_RXBUF });
        for (const s of steps) {
          if (s.kind === "put") {
            driver.put(s.queue, s.segments);
            driver.kick(s.queue);
          } else if (s.kind === "poke") driver.memory.bytes.set(s.bytes, s.at);
          else if (s.kind === "deliver")
            wire.deliver(frameOf(Math.max(14, s.length)), s.unfinished ? { csumStart: 34, csumOffset: 16, gsoSize: 0, headerBytes: 0 } : undefined);
          else if (s.kind === "config") driver.write(4, s.at, 1, s.value);
          else driver.status = s.value;
        }
      }),
      { seed: 5, numRuns: 400 },
    );
  });
});
