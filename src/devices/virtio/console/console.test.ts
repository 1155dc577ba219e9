import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ConsoleBackend } from "../../../backends/api/index.ts";
import { ManualClock } from "../../../base/index.ts";
import { TestDriver } from "../driver.testing.ts";
import { VirtioConsole } from "./index.ts";

class Recorder implements ConsoleBackend {
  onInput: ((value: number) => void) | undefined;
  readonly bytes: number[] = [];
  writeByte(value: number): void {
    this.bytes.push(value);
  }
  get text(): string {
    return String.fromCharCode(...this.bytes);
  }
  type(text: string): void {
    for (const c of text) this.onInput?.(c.charCodeAt(0));
  }
}

function harness(names: readonly (string | undefined)[] = [undefined]) {
  const clock = new ManualClock();
  const backends = names.map(() => new Recorder());
  const ports = backends.map((backend, i) => {
    const name = names[i];
    return { backend, ...(name === undefined ? {} : { name }) };
  });
  const model = new VirtioConsole({ clock, ports });
  const driver = new TestDriver(model, { memoryBytes: 1 << 20 });
  const print = (queue: number, text: string): void => {
    for (let i = 0; i < text.length; i++) driver.memory.bytes[0x40000 + i] = text.charCodeAt(i);
    driver.put(queue, [{ at: 0x40000, length: text.length }]);
    driver.kick(queue);
  };
  const received = (queue: number, at: number): string | undefined => {
    const used = driver.take(queue);
    return used === undefined ? undefined : String.fromCharCode(...driver.memory.bytes.subarray(at, at + used.length));
  };
  return { clock, backends, model, driver, print, received };
}

describe("virtio-console with one port", () => {
  it("prints what the guest sends", () => {
    const { driver, backends, print } = harness();
    driver.start();
    print(1, "hello\n");
    print(1, "");
    print(1, "world");
    expect(backends[0]?.text).toBe("hello\nworld");
    expect(driver.pci.core.features & 2n).toBe(0n);
  });

  it("holds input until the guest has a buffer, and splits it over buffers", () => {
    const { driver, backends, received } = harness();
    driver.start();
    backends[0]?.type("abcdef");
    expect(driver.take(0)).toBeUndefined();
    driver.put(0, [{ at: 0x50000, length: 4, write: true }]);
    driver.put(0, [{ at: 0x50100, length: 16, write: true }]);
    driver.kick(0);
    expect([received(0, 0x50000), received(0, 0x50100)]).toEqual(["abcd", "ef"]);
    expect(driver.intx).toBe(true);
  });

  it("loses input beyond 4096 bytes that nobody takes", () => {
    const { model, backends } = harness();
    backends[0]?.type("x".repeat(5000));
    expect(model.room(0)).toBe(0);
  });

  it("says its size, changes it, and prints emergency characters", () => {
    const { driver, model, backends } = harness();
    driver.start();
    expect([driver.read(4, 0, 2), driver.read(4, 2, 2), driver.read(4, 4, 4)]).toEqual([80, 25, 1]);
    driver.read(3, 0, 1);
    model.resize(132, 43);
    expect([driver.read(4, 0, 2), driver.read(4, 2, 2), driver.read(3, 0, 1)]).toEqual([132, 43, 2]);
    driver.write(4, 8, 4, 0x21);
    expect(backends[0]?.text).toBe("!");
  });

  it("prints a long request in batches, and goes on after a save in the middle", () => {
    const { driver, backends, clock } = harness();
    driver.start();
    const long = Uint8Array.from({ length: 40_000 }, (_, i) => 65 + (i % 26));
    driver.memory.bytes.set(long, 0x40000);
    driver.put(1, [{ at: 0x40000, length: long.length }]);
    driver.kick(1);
    const first = backends[0]?.bytes.length ?? 0;
    expect(first).toBeLessThan(long.length);
    const other = harness();
    other.driver.pci.loadState(JSON.parse(JSON.stringify(driver.pci.saveState())));
    other.driver.memory.bytes.set(driver.memory.bytes);
    other.clock.advanceBy(1_000_000);
    clock.advanceBy(1_000_000);
    expect(backends[0]?.bytes).toEqual([...long]);
    expect([...(backends[0]?.bytes.slice(0, first) ?? []), ...(other.backends[0]?.bytes ?? [])]).toEqual([...long]);
    expect(driver.take(1)).toEqual({ head: 0, length: 0 });
  });
});

describe("virtio-console with several ports", () => {
  const control = (h: ReturnType<typeof harness>, id: number, event: number, value: number): void => {
    const v = h.driver.memory.view;
    v.setUint32(0x60000, id, true);
    v.setUint16(0x60004, event, true);
    v.setUint16(0x60006, value, true);
    h.driver.put(3, [{ at: 0x60000, length: 8 }]);
    h.driver.kick(3);
    h.driver.take(3);
  };
  const messages = (h: ReturnType<typeof harness>): string[] => {
    const list: string[] = [];
    for (;;) {
      const used = h.driver.take(2);
      if (used === undefined) return list;
      const at = 0x70000 + 64 * used.head;
      const v = h.driver.memory.view;
      const name = String.fromCharCode(...h.driver.memory.bytes.subarray(at + 8, at + used.length));
      list.push(`${v.getUint32(at, true)}:${v.getUint16(at + 4, true)}=${v.getUint16(at + 6, true)}${name}`);
    }
  };

  it("introduces its ports, and moves bytes once they are open", () => {
    const h = harness([undefined, "org.whyve.agent"]);
    h.driver.start();
    for (let i = 0; i < 16; i++) h.driver.put(2, [{ at: 0x70000 + 64 * i, length: 64, write: true }]);
    control(h, 0xffffffff, 0, 1);
    expect(messages(h)).toEqual(["0:1=1", "1:1=1"]);
    control(h, 0, 3, 1);
    control(h, 1, 3, 1);
    expect(messages(h)).toEqual(["0:4=1", "0:6=1", "1:7=1org.whyve.agent", "1:6=1"]);
    h.driver.put(4, [{ at: 0x50000, length: 16, write: true }]);
    h.driver.kick(4);
    h.backends[1]?.type("hi");
    expect(h.driver.take(4)).toBeUndefined();
    control(h, 1, 6, 1);
    expect(h.received(4, 0x50000)).toBe("hi");
    h.print(5, "from the agent");
    expect(h.backends[1]?.text).toBe("from the agent");
  });

  it("keeps no more than 256 messages for a driver that never takes them", () => {
    const h = harness([undefined, "a", "b"]);
    h.driver.start();
    for (let i = 0; i < 500; i++) control(h, 0, 0, 1);
    expect(h.model.saveState().messages).toHaveLength(256);
  });

  it("survives any control message and any buffers", () => {
    const step = fc.tuple(
      fc.integer({ min: 0, max: 7 }),
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 0, max: 9 }),
      fc.integer({ min: 0, max: 40 }),
    );
    const run = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const h = harness([undefined, "x"]);
      h.driver.start();
      for (const [queue, id, event, length] of steps) {
        if (queue === 7) control(h, id, event, length & 1);
        else if (queue < 6) {
          h.driver.put(queue, [{ at: 0x40000, length, write: (queue & 1) === 0 }]);
          h.driver.kick(queue);
        }
        h.backends[id & 1]?.type("y");
        h.clock.advanceBy(20_000);
      }
    });
    fc.assert(run, { seed: 20260103, numRuns: 500 });
  });
});
