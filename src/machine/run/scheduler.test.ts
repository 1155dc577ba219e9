import { describe, expect, it } from "vitest";
import { Scheduler } from "./scheduler.ts";

/** Gives turns until all sleep or `limit`; each turn takes `take` instructions. */
function turns(scheduler: Scheduler, limit: number, take = 100): string {
  let out = "";
  for (let i = 0; i < limit; i++) {
    const cpu = scheduler.pick();
    if (cpu < 0) break;
    out += cpu;
    scheduler.ran(cpu, Math.min(take, scheduler.left(cpu)));
  }
  return out;
}

describe("Scheduler", () => {
  it("gives each CPU its quantum in turn", () => {
    expect(turns(new Scheduler(3, 200), 14)).toBe("00112200112200");
  });
  it("lets one CPU run without end", () => {
    const s = new Scheduler(1, 200);
    expect(turns(s, 10, 1e9)).toBe("0000000000");
    expect(s.left(0)).toBeGreaterThan(1e12);
  });
  it("passes over CPUs that sleep, until something comes for them", () => {
    const s = new Scheduler(3, 100);
    s.sleep(1, false);
    expect(turns(s, 4)).toBe("0202");
    s.sleep(0, true);
    s.sleep(2, true);
    expect(s.pick()).toBe(-1);
    expect(s.allDeaf).toBe(false);
    s.sleep(1, true);
    expect(s.allDeaf).toBe(true);
    s.wake(1);
    expect(turns(s, 3)).toBe("111");
  });
  it("gives the next turn to whom something came for, and the turn after it to the others", () => {
    const s = new Scheduler(4, 200);
    expect(turns(s, 1)).toBe("0");
    s.wake(2);
    expect(turns(s, 8)).toBe("22330112");
  });
  it("lets nobody starve two that wake each other", () => {
    const s = new Scheduler(3, 200);
    const seen = [0, 0, 0];
    for (let i = 0; i < 300; i++) {
      const cpu = s.pick();
      seen[cpu] = (seen[cpu] ?? 0) + 1;
      s.ran(cpu, 100);
      if (cpu === 0) s.wake(1);
      if (cpu === 1) s.wake(0);
    }
    expect(seen).toEqual([100, 100, 100]);
  });
  it("puts a CPU that spins behind the others of its round", () => {
    const s = new Scheduler(3, 200);
    expect(turns(s, 1)).toBe("0");
    s.yield(0);
    expect(turns(s, 8)).toBe("11220011");
    for (const cpu of [0, 1, 2]) s.yield(cpu);
    expect(s.pick()).toBe(2);
  });
  it("goes on after a save as before", () => {
    const s = new Scheduler(4, 300);
    turns(s, 5);
    s.sleep(2, true);
    s.yield(3);
    s.wake(0);
    const copy = new Scheduler(4, 300);
    copy.loadState(s.saveState());
    expect(copy.saveState()).toEqual(s.saveState());
    expect(turns(copy, 30)).toBe(turns(s, 30));
  });
});
