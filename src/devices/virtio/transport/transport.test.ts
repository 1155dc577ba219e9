import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { VirtioChain, VirtioHost, VirtioModel } from "../api.ts";
import { TestDriver } from "../driver.testing.ts";
import { FEATURE } from "./index.ts";

/** Returns each request's readable bytes, turned round, in its writable ones. */
class Echo implements VirtioModel {
  readonly name = "echo";
  readonly deviceType = 2;
  readonly classCode = 0x00ff00;
  readonly features = 0x23n;
  readonly queueSizes = [16, 8];
  readonly configBytes = 4;
  readonly config = Uint8Array.of(1, 2, 3, 4);
  host: VirtioHost | undefined;
  resets = 0;
  activations = 0;
  seen: VirtioChain[] = [];
  limit = 1000;
  connect(host: VirtioHost): void {
    this.host = host;
  }
  activate(): void {
    this.activations++;
  }
  reset(): void {
    this.resets++;
  }
  readConfig(offset: number): number {
    return this.config[offset] ?? 0;
  }
  writeConfig(offset: number, value: number): void {
    this.config[offset] = value;
  }
  saveState(): unknown {
    return { config: Array.from(this.config) };
  }
  loadState(): void {}
  notified(index: number): void {
    const queue = this.host?.queue(index);
    for (let i = 0; i < this.limit; i++) {
      const chain = queue?.pop();
      if (chain === undefined) break;
      const bytes = new Uint8Array(Math.min(4096, chain.readableBytes));
      const n = chain.read(0, bytes);
      queue?.push(chain, chain.write(0, bytes.subarray(0, n).reverse()));
    }
    queue?.notifyDriver();
  }
}

const harness = (options: ConstructorParameters<typeof TestDriver>[1] = {}) => {
  const model = new Echo();
  return { model, driver: new TestDriver(model, options) };
};

describe("virtio over PCI, a modern driver", () => {
  it("finds five structures and a transitional id; modern mode has the type's own id and no ports", () => {
    const { driver } = harness();
    expect([1, 2, 3, 4, 5].map((t) => driver.capability(t) > 0)).toEqual([true, true, true, true, true]);
    expect(driver.pci.readConfig(0, 4)).toBe(0x10011af4);
    const modern = harness({ mode: "modern" }).driver;
    expect(modern.pci.readConfig(0, 4)).toBe(0x10421af4);
    expect(modern.ports.size).toBe(0);
  });

  it("gets requests answered, with a wire and with messages", () => {
    const { driver } = harness();
    driver.start();
    driver.memory.bytes.set([10, 20, 30, 40], 0x8000);
    const request = [
      { at: 0x8000, length: 3 },
      { at: 0x8003, length: 1 },
      { at: 0x9000, length: 2, write: true },
      { at: 0x9100, length: 9, write: true },
    ];
    driver.put(0, request);
    driver.kick(0);
    expect(driver.take(0)).toEqual({ head: 0, length: 4 });
    expect([...driver.memory.bytes.subarray(0x9000, 0x9002), ...driver.memory.bytes.subarray(0x9100, 0x9102)]).toEqual([40, 30, 20, 10]);
    expect(driver.intx).toBe(true);
    expect(driver.read(3, 0, 1)).toBe(1);
    expect(driver.intx).toBe(false);
    driver.useMessages();
    driver.start();
    driver.put(1, request);
    driver.kick(1);
    expect(driver.messages).toEqual([{ address: 0xfee00000, data: 0x42 }]);
    expect(driver.intx).toBe(false);
  });

  it("refuses features that were not offered, and everything without VERSION_1", () => {
    const { driver } = harness();
    const offer = (high: number, low: number): number => {
      driver.status = 0;
      driver.status = 3;
      driver.write(1, 8, 4, 1);
      driver.write(1, 0x0c, 4, high);
      driver.write(1, 8, 4, 0);
      driver.write(1, 0x0c, 4, low);
      driver.status = 11;
      return driver.status;
    };
    expect(offer(1, 0x23)).toBe(11);
    expect(offer(1, 0x04)).toBe(3);
    expect(offer(0, 0x23)).toBe(3);
    driver.status = 7;
    expect(driver.status).toBe(3);
  });

  it("serves notifications that came before DRIVER_OK once it is there", () => {
    const { driver, model } = harness();
    driver.start();
    driver.status = 0;
    expect(model.resets).toBe(1);
    expect(driver.take(0)).toBeUndefined();
    const { driver: early, model: other } = harness();
    early.start();
    expect(other.activations).toBe(1);
  });

  it("is quiet while the driver wants no interrupts; with event indices only when the index passes", () => {
    const { driver } = harness();
    driver.start({ without: FEATURE.RING_EVENT_IDX });
    const ring = driver.ring(0);
    driver.memory.view.setUint16(ring.avail, 1, true);
    driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
    driver.kick(0);
    expect([driver.take(0), driver.intx]).toEqual([{ head: 0, length: 0 }, false]);
    driver.start();
    const events = driver.ring(0);
    const put = (n: number): boolean => {
      for (let i = 0; i < n; i++) driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
      driver.kick(0);
      return (driver.read(3, 0, 1) & 1) !== 0;
    };
    driver.memory.view.setUint16(events.avail + 4 + 2 * events.size, 3, true);
    expect([put(1), put(1), put(1), put(1), put(1)]).toEqual([true, false, false, true, false]);
    // The device asks to be told about the next one.
    expect(driver.memory.view.getUint16(events.used + 4 + 8 * events.size, true)).toBe(5);
    driver.memory.view.setUint16(events.avail + 4 + 2 * events.size, 7, true);
    expect(put(4)).toBe(true);
  });

  it("follows indirect tables, one level deep", () => {
    const { driver } = harness();
    driver.start();
    const ring = driver.ring(0);
    driver.memory.bytes.set([1, 2, 3], 0x8000);
    driver.descriptor(0xa000, 0x8000, 3, 1, 2);
    driver.descriptor(0xa020, 0x9000, 8, 2);
    driver.descriptor(ring.desc, 0xa000, 48, 4);
    driver.available(0, 0);
    driver.kick(0);
    expect(driver.take(0)).toEqual({ head: 0, length: 3 });
    expect([...driver.memory.bytes.subarray(0x9000, 0x9003)]).toEqual([3, 2, 1]);
    driver.descriptor(0xa000, 0xa000, 16, 4);
    driver.available(0, 0);
    driver.kick(0);
    expect(driver.status & 0x40).toBe(0x40);
  });

  it.each([
    ["a loop", (d: TestDriver, desc: number) => d.descriptor(desc, 0x8000, 4, 1, 0)],
    ["a link outside the table", (d: TestDriver, desc: number) => d.descriptor(desc, 0x8000, 4, 1, 16)],
    ["an indirect table of no whole descriptors", (d: TestDriver, desc: number) => d.descriptor(desc, 0xa000, 17, 4)],
    ["an empty indirect table", (d: TestDriver, desc: number) => d.descriptor(desc, 0xa000, 0, 4)],
    ["a huge indirect table", (d: TestDriver, desc: number) => d.descriptor(desc, 0xa000, 0xfffffff0, 4)],
    ["indirect and next together", (d: TestDriver, desc: number) => d.descriptor(desc, 0xa000, 16, 5, 1)],
    [
      "readable behind writable",
      (d: TestDriver, desc: number) => {
        d.descriptor(desc, 0x8000, 4, 3, 1);
        d.descriptor(desc + 16, 0x8000, 4, 0);
      },
    ],
    [
      "more than 4 GiB",
      (d: TestDriver, desc: number) => {
        d.descriptor(desc, 0x8000, 0xffffffff, 1, 1);
        d.descriptor(desc + 16, 0x8000, 0xffffffff, 2);
      },
    ],
  ])("needs a reset after %s, says so, and works again after one", (_, make) => {
    const { driver } = harness();
    driver.start();
    make(driver, driver.ring(0).desc);
    driver.available(0, 0);
    driver.kick(0);
    expect(driver.status & 0x40).toBe(0x40);
    expect(driver.read(3, 0, 1)).toBe(2);
    driver.put(1, [{ at: 0x9000, length: 2, write: true }]);
    driver.kick(1);
    expect(driver.take(1)).toBeUndefined();
    driver.start();
    expect(driver.status).toBe(15);
    driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
    driver.kick(0);
    expect(driver.take(0)).toEqual({ head: 0, length: 0 });
  });

  it("stops when the available index jumps further than the queue is long, or a head is outside", () => {
    const { driver } = harness();
    driver.start();
    driver.memory.view.setUint16(driver.ring(0).avail + 2, 17, true);
    driver.kick(0);
    expect(driver.status & 0x40).toBe(0x40);
    driver.start();
    driver.available(0, 16);
    driver.kick(0);
    expect(driver.status & 0x40).toBe(0x40);
  });

  it("takes addresses that are no memory and empty buffers as they are", () => {
    const { driver } = harness();
    driver.start();
    driver.put(0, [
      { at: 0xfffffff0, length: 4 },
      { at: 2 ** 63, length: 2 },
      { at: 0x8000, length: 0 },
      { at: 0x9000, length: 8, write: true },
      { at: 2 ** 62, length: 8, write: true },
    ]);
    driver.kick(0);
    expect(driver.take(0)).toEqual({ head: 0, length: 6 });
    expect([...driver.memory.bytes.subarray(0x9000, 0x9008)]).toEqual([255, 255, 255, 255, 255, 255, 0, 0]);
  });

  it("reads registers through the PCI access capability", () => {
    const { driver } = harness();
    const window = driver.capability(5);
    driver.pci.writeConfig(window + 4, 1, 4);
    driver.pci.writeConfig(window + 8, 4, 0x12);
    driver.pci.writeConfig(window + 12, 4, 2);
    expect(driver.pci.readConfig(window + 16, 2)).toBe(2);
    driver.pci.writeConfig(window + 8, 4, 0x14);
    driver.pci.writeConfig(window + 12, 4, 1);
    driver.pci.writeConfig(window + 16, 1, 3);
    expect(driver.status).toBe(3);
    driver.pci.writeConfig(window + 8, 4, 0xfffffffc);
    driver.pci.writeConfig(window + 12, 4, 4);
    expect(driver.pci.readConfig(window + 16, 4)).toBeDefined();
  });

  it("counts configuration changes and interrupts for them", () => {
    const { driver, model } = harness();
    driver.start();
    const before = driver.read(1, 0x15, 1);
    model.host?.configChanged();
    expect([driver.read(1, 0x15, 1), driver.read(3, 0, 1)]).toEqual([before + 1, 2]);
    driver.write(4, 1, 2, 0x0908);
    expect(driver.read(4, 0, 4)).toBe(0x04090801);
  });

  it("gives one queue back alone", () => {
    const { driver } = harness();
    driver.start();
    driver.write(1, 0x16, 2, 1);
    expect(driver.read(1, 0x1c, 2)).toBe(1);
    driver.write(1, 0x3a, 2, 1);
    expect([driver.read(1, 0x1c, 2), driver.read(1, 0x3a, 2), driver.read(1, 0x20, 4)]).toEqual([0, 0, 0]);
    driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
    driver.kick(0);
    expect(driver.take(0)).toBeDefined();
  });

  it("is silent in D3hot and without bus mastering", () => {
    const { driver } = harness();
    driver.start();
    driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
    driver.pci.writeConfig(4, 2, 3);
    driver.kick(0);
    expect(driver.take(0)).toBeUndefined();
    driver.pci.writeConfig(4, 2, 7);
    driver.kick(0);
    expect(driver.take(0)).toBeDefined();
  });
});

describe("virtio over PCI, a legacy driver", () => {
  it("gets requests answered through page numbers and ports", () => {
    const { driver, model } = harness();
    driver.startLegacy();
    expect(model.host?.features).toBe(0x23n | FEATURE.RING_INDIRECT_DESC | FEATURE.RING_EVENT_IDX | FEATURE.NOTIFY_ON_EMPTY | FEATURE.ANY_LAYOUT);
    driver.memory.bytes.set([7, 8], 0x8000);
    driver.put(0, [
      { at: 0x8000, length: 2 },
      { at: 0x9000, length: 2, write: true },
    ]);
    driver.legacy.write(16, 2, 0);
    expect(driver.take(0)).toEqual({ head: 0, length: 2 });
    expect([...driver.memory.bytes.subarray(0x9000, 0x9002)]).toEqual([8, 7]);
    expect([driver.intx, driver.legacy.read(19, 1), driver.intx]).toEqual([true, 1, false]);
    expect([driver.legacy.read(20, 4), driver.legacy.read(8, 4), driver.legacy.read(12, 2)]).toEqual([0x04030201, 0x20, 8]);
  });

  it("may use queues before DRIVER_OK", () => {
    const { driver, model } = harness();
    driver.startLegacy({ driverOk: false, features: 0 });
    driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
    driver.legacy.write(16, 2, 0);
    expect(driver.take(0)).toEqual({ head: 0, length: 0 });
    driver.legacy.write(18, 1, 7);
    expect([model.activations, driver.legacy.read(18, 1)]).toEqual([1, 7]);
  });

  it("moves the configuration behind the vectors when MSI-X is on", () => {
    const { driver } = harness();
    driver.useMessages();
    driver.startLegacy();
    driver.legacy.write(14, 2, 0);
    driver.legacy.write(22, 2, 1);
    driver.legacy.write(20, 2, 77);
    expect([driver.legacy.read(22, 2), driver.legacy.read(20, 2), driver.legacy.read(24, 4)]).toEqual([1, 0xffff, 0x04030201]);
    driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
    driver.legacy.write(16, 2, 0);
    expect(driver.messages).toEqual([{ address: 0xfee00000, data: 0x41 }]);
  });

  it("hears about an empty queue even when it wanted no interrupts (NOTIFY_ON_EMPTY)", () => {
    const { driver } = harness();
    driver.startLegacy({ features: 1 << 24 });
    driver.memory.view.setUint16(driver.ring(0).avail, 1, true);
    driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
    driver.legacy.write(16, 2, 0);
    expect(driver.intx).toBe(true);
  });
});

describe("virtio over PCI, saved", () => {
  it("goes on where it was", () => {
    const { driver } = harness();
    driver.useMessages();
    driver.start();
    driver.put(0, [{ at: 0x9000, length: 2, write: true }]);
    driver.kick(0);
    driver.take(0);
    const state: unknown = JSON.parse(JSON.stringify(driver.pci.saveState()));
    const { driver: other } = harness();
    other.pci.loadState(JSON.parse(JSON.stringify(state)));
    expect(JSON.parse(JSON.stringify(other.pci.saveState()))).toEqual(state);
    other.memory.bytes.set(driver.memory.bytes);
    const ring = driver.ring(0);
    other.memory.view.setUint16(ring.avail + 4 + 2 * ring.size, 1, true);
    other.available(driverRing(driver, other), 0);
    other.kick(0);
    expect(other.messages).toHaveLength(1);
    expect(other.memory.view.getUint16(0x1000 + 0x800 + 2, true)).toBe(2);
  });
});

/** The other driver uses the same places for its rings. */
function driverRing(from: TestDriver, to: TestDriver): number {
  Object.defineProperty(to, "ring", { value: (i: number) => from.ring(i) });
  return 0;
}

describe("virtio over PCI, a hostile driver", () => {
  it("survives anything in rings, tables and registers", () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    const near = fc.oneof(word, fc.integer({ min: 0, max: 0x11000 }), fc.constantFrom(0xffffffff, 0x80000000, 0xfffff000));
    const action = fc.oneof(
      fc.record({ kind: fc.constant("poke" as const), at: fc.integer({ min: 0x1000, max: 0x4000 }), value: near }),
      fc.record({ kind: fc.constant("register" as const), at: fc.integer({ min: 0, max: 0x3fff }), value: near }),
      fc.record({ kind: fc.constant("common" as const), at: fc.integer({ min: 0, max: 0x3f }), value: near }),
      fc.record({ kind: fc.constant("config" as const), at: fc.integer({ min: 0, max: 0xff }), value: near }),
      fc.record({ kind: fc.constant("legacy" as const), at: fc.integer({ min: 0, max: 31 }), value: near }),
      fc.record({ kind: fc.constant("msix" as const), at: fc.integer({ min: 0, max: 0xfff }), value: near }),
      fc.record({ kind: fc.constant("kick" as const), at: fc.integer({ min: 0, max: 3 }), value: near }),
      fc.record({ kind: fc.constant("start" as const), at: fc.integer({ min: 0, max: 1 }), value: near }),
      fc.record({ kind: fc.constant("descriptor" as const), at: fc.integer({ min: 0, max: 15 }), value: near }),
    );
    const run = fc.property(fc.array(action, { minLength: 1, maxLength: 60 }), (actions) => {
      const { driver, model } = harness();
      driver.start();
      for (const { kind, at, value } of actions) {
        const size = ([1, 2, 4] as const)[value % 3] ?? 4;
        if (kind === "poke") driver.memory.view.setUint32(at, value, true);
        else if (kind === "descriptor") {
          driver.descriptor(driver.ring(0).desc + 16 * at, value, value >>> 7, value & 7, at + (value & 3));
          driver.available(0, at);
        } else if (kind === "config") {
          driver.pci.writeConfig(at & ~(size - 1), size, value);
          driver.pci.readConfig(at & ~(size - 1), size);
        } else if (kind === "start") {
          driver.pci.writeConfig(0x10, 4, 0xc000);
          driver.pci.writeConfig(0x20, 4, 0xe0010000);
          driver.pci.writeConfig(0x24, 4, 1);
          driver.pci.writeConfig(4, 2, 7);
          for (const device of driver.mmio.values()) if (device.name === "virtio") driver.start();
        } else {
          const map = kind === "legacy" ? driver.ports : driver.mmio;
          for (const device of map.values()) {
            if (kind !== "legacy" && (kind === "msix") !== (device.name !== "virtio")) continue;
            const offset = kind === "kick" ? 0x3000 + 4 * at : at & ~(size - 1);
            device.write(offset, size, size === 4 ? value : value & (2 ** (8 * size) - 1));
            const back = device.read(offset, size);
            expect(Number.isInteger(back) && back >= 0 && back < 2 ** (8 * size)).toBe(true);
          }
        }
      }
      expect(model.config).toHaveLength(4);
    });
    fc.assert(run, { seed: 20260101, numRuns: 2000 });
  });
});
