import { expect, test } from "vitest";
import { ManualClock } from "../../../base/index.ts";
import { TestDriver } from "../driver.testing.ts";
import { SeededEntropy, VirtioRng } from "./index.ts";

function harness(seed = 1) {
  const clock = new ManualClock();
  const driver = new TestDriver(new VirtioRng({ clock, source: new SeededEntropy(seed) }));
  const draw = (length: number): Uint8Array => {
    driver.put(0, [{ at: 0x8000, length, write: true }]);
    driver.kick(0);
    const used = driver.take(0);
    return driver.memory.bytes.slice(0x8000, 0x8000 + (used?.length ?? 0));
  };
  return { clock, driver, draw };
}

test("buffers are filled, each differently, the same for the same seed", () => {
  const [a, b, c] = [harness(), harness(), harness(2)];
  for (const { driver } of [a, b, c]) driver.start();
  const first = a.draw(64);
  expect(new Set(first).size).toBeGreaterThan(40);
  expect(b.draw(64)).toEqual(first);
  expect(c.draw(64)).not.toEqual(first);
  expect(a.draw(64)).not.toEqual(first);
  expect(a.draw(5)).toHaveLength(5);
});

test("bits are about evenly set", () => {
  const bytes = new Uint8Array(65536);
  new SeededEntropy(7).fill(bytes);
  const ones = bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
  expect(Math.abs(ones - 4 * 65536)).toBeLessThan(3000);
});

test("a request gets at most 4096 bytes; one without room gets none", () => {
  const { driver, draw } = harness();
  driver.start();
  expect(draw(5000)).toHaveLength(4096);
  driver.put(0, [{ at: 0x8000, length: 8 }]);
  driver.kick(0);
  expect(driver.take(0)?.length).toBe(0);
});

test("a saved source goes on with the same bytes", () => {
  const { driver, draw } = harness();
  driver.start();
  draw(64);
  const other = harness(99);
  other.driver.start();
  const state: unknown = JSON.parse(JSON.stringify(driver.pci.core.model.saveState()));
  other.driver.pci.core.model.loadState(state, "rng");
  expect(other.draw(32)).toEqual(draw(32));
});
