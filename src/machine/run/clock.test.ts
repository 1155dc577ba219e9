import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HostClock } from "./host-clock.ts";
import { TimerQueue } from "./timer-queue.ts";
import { VirtualClock } from "./virtual-clock.ts";

describe("TimerQueue", () => {
  it("fires in order of deadline, then of arming, whatever is armed, re-armed and cancelled", () => {
    const step = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new TimerQueue();
        const fired: number[] = [];
        const timers = Array.from({ length: 10 }, (_, i) => queue.createTimer(`t${i}`, () => fired.push(i)));
        const armed = new Map<number, { deadline: number; order: number }>();
        steps.forEach(([i, deadline], order) => {
          if (deadline === undefined) {
            timers[i]?.cancel();
            armed.delete(i);
          } else {
            timers[i]?.arm(deadline);
            armed.set(i, { deadline, order });
          }
          expect(timers[i]?.deadlineNs).toBe(deadline);
        });
        queue.fireUntil(100, () => {});
        const expected = [...armed].sort(([, a], [, b]) => a.deadline - b.deadline || a.order - b.order).map(([i]) => i);
        expect(fired).toEqual(expected);
        expect(queue.first).toBeUndefined();
      }),
      { seed: 1 },
    );
  });

  it("gives up on a timer that re-arms itself for the same instant for ever", () => {
    const queue = new TimerQueue();
    let count = 0;
    const timer = queue.createTimer("t", () => {
      count++;
      timer.arm(5);
    });
    timer.arm(5);
    queue.fireUntil(5, () => {});
    expect(count).toBe(10_000);
  });
});

/** For clocks that skip all idle time. */
const noHost = (): number => {
  throw new Error("the host's clock was read");
};

describe("VirtualClock", () => {
  it("counts instructions as time and bounds a slice by the next deadline", () => {
    let instructions = 0;
    const clock = new VirtualClock(() => instructions, 10, noHost);
    const timer = clock.createTimer("t", () => {});
    timer.arm(1005);
    expect(clock.budget(1_000_000)).toBe(101);
    instructions = 50;
    expect(clock.nowNs()).toBe(500);
    expect(clock.budget(20)).toBe(20);
  });

  it("jumps to the next deadline when idle", () => {
    let fired = 0;
    const clock = new VirtualClock(() => 7, 10, noHost);
    clock.createTimer("t", () => fired++).arm(1_000_000_000);
    expect(clock.idle()).toBe(0);
    expect(clock.nowNs()).toBe(1_000_000_000);
    clock.fireDue();
    expect(fired).toBe(1);
    expect(clock.idle()).toBe("no-timer");
  });

  it("lets idle time pass as on the wall when somebody outside may call, but not beyond the deadline", () => {
    let host = 5000;
    let fired = 0;
    const clock = new VirtualClock(
      () => 0,
      10,
      () => host,
      0,
    );
    const timer = clock.createTimer("t", () => fired++);
    timer.arm(1_000_000_000);
    expect(clock.idle()).toBe(1000);
    host += 250;
    clock.fireDue();
    expect([clock.nowNs(), fired]).toEqual([250_000_000, 0]);
    expect(clock.idle()).toBe(750);
    host += 9999;
    clock.fireDue();
    expect([clock.nowNs(), fired]).toEqual([1_000_000_000, 1]);
    timer.arm(1_000_050_000);
    expect(clock.idle()).toBe(0);
    expect(clock.nowNs()).toBe(1_000_050_000);
  });

  it("skips as much idle time as it may, then lets it pass as on the wall, until there is input", () => {
    let host = 0;
    let ticks = 0;
    const clock = new VirtualClock(
      () => 0,
      10,
      () => host,
      60e9,
    );
    const tick = clock.createTimer("tick", () => {
      ticks++;
      tick.arm(clock.nowNs() + 1e9);
    });
    tick.arm(1e9);
    const idleFor = (looks: number): void => {
      for (let i = 0; i < looks; i++) {
        host += clock.idle() === 0 ? 0 : 1000;
        clock.fireDue();
      }
    };
    idleFor(100);
    expect([ticks, host]).toEqual([100, 40_000]);
    clock.input();
    idleFor(70);
    expect([ticks, host]).toEqual([170, 50_000]);
  });

  it("cuts the running slice short when an earlier timer is armed", () => {
    const clock = new VirtualClock(() => 0, 10, noHost);
    let cuts = 0;
    clock.onEarlierDeadline = () => cuts++;
    clock.budget(100);
    clock.createTimer("later", () => {}).arm(2000);
    expect(cuts).toBe(0);
    clock.createTimer("sooner", () => {}).arm(200);
    expect(cuts).toBe(1);
  });
});

/** A clock on a host that is moved by hand; the guest has begun to run. */
function hostClock(instructions = (): number => 0): { clock: HostClock; pass: (ms: number) => void } {
  let hostMs = 1000;
  const clock = new HostClock(instructions, () => hostMs);
  clock.budget(1);
  return { clock, pass: (ms) => (hostMs += ms) };
}

describe("HostClock", () => {
  it("begins when the guest first runs", () => {
    let hostMs = 5;
    const clock = new HostClock(
      () => 0,
      () => hostMs,
    );
    hostMs = 50;
    expect(clock.nowNs()).toBe(0);
    clock.budget(1);
    hostMs = 51;
    expect(clock.nowNs()).toBe(1_000_000);
  });

  it("fires one instant's timers at a time when it lags, and never shows time beyond an unfired deadline", () => {
    const { clock, pass } = hostClock();
    const seen: number[] = [];
    const tick = clock.createTimer("tick", () => {
      seen.push(clock.nowNs());
      tick.arm(seen.length * 1_000_000 + 1_000_000);
    });
    tick.arm(1_000_000);
    pass(3.5);
    expect(clock.nowNs()).toBe(1_000_000);
    clock.fireDue();
    expect(seen).toEqual([1_000_000]);
    expect(clock.idle()).toBe(0);
    expect(clock.nowNs()).toBe(2_000_000);
    clock.fireDue();
    clock.idle();
    clock.fireDue();
    expect(seen).toEqual([1_000_000, 2_000_000, 3_000_000]);
    expect(clock.idle()).toBe(0.5);
    clock.fireDue();
    expect(seen).toHaveLength(3);
    expect(clock.nowNs()).toBe(3_500_000);
  });

  it("ends the slice in which the guest sees time come to a deadline, but not one that began late", () => {
    let host = 1;
    let instructions = 0;
    let cuts = 0;
    const clock = new HostClock(
      () => instructions,
      () => host,
    );
    clock.onEarlierDeadline = () => cuts++;
    const fired: number[] = [];
    const early = clock.createTimer("early", () => fired.push(1));
    const late = clock.createTimer("late", () => fired.push(2));
    clock.budget(1000);
    early.arm(clock.nowNs() + 500_000);
    late.arm(clock.nowNs() + 600_000);
    cuts = 0;
    clock.budget(1000);
    host += 0.4;
    clock.nowNs();
    expect(cuts).toBe(0);
    host += 5;
    clock.nowNs();
    clock.nowNs();
    expect(cuts).toBe(1);
    clock.fireDue();
    expect(fired).toEqual([1]);
    // Time is at the next deadline as soon as it moves: the handler of the first one has its stretch of instructions all the same.
    host += 5;
    clock.nowNs();
    instructions += clock.budget(1000);
    host += 5;
    clock.nowNs();
    expect(cuts).toBe(1);
    clock.fireDue();
    expect(fired).toEqual([1, 2]);
  });

  it("loses nothing of a lag: a busy guest's clock runs faster, within its bound, until it is right", () => {
    const { clock, pass } = hostClock();
    const timer = clock.createTimer("t", () => {});
    timer.arm(1_000_000);
    pass(101);
    clock.fireDue();
    expect(clock.nowNs()).toBe(1_000_000);
    let last = clock.nowNs();
    for (let ms = 0; ms < 60; ms++) {
      pass(1);
      const now = clock.nowNs();
      expect(now - last).toBeGreaterThanOrEqual(1_000_000);
      expect(now - last).toBeLessThanOrEqual(16_000_000);
      last = now;
    }
    expect(161_000_000 - last).toBeLessThan(1_000_000);
    pass(1000);
    expect(clock.nowNs()).toBe(1_161_000_000);
  });

  it("is right in the long run whatever slices and stalls there are, and never goes back", () => {
    const stall = fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 10 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(stall, { maxLength: 100 }), (stalls) => {
        const { clock, pass } = hostClock();
        let host = 0;
        let last = 0;
        const tick = clock.createTimer("tick", () => tick.arm(clock.nowNs() + 4_000_000));
        tick.arm(4_000_000);
        for (const [stallMs, runMs, sleeps] of stalls) {
          pass(stallMs + runMs);
          host += (stallMs + runMs) * 1e6;
          if (sleeps) clock.idle();
          clock.fireDue();
          const now = clock.nowNs();
          expect(now).toBeGreaterThanOrEqual(last);
          expect(now).toBeLessThanOrEqual(host);
          last = now;
        }
        for (let i = 0; i < 5000; i++) {
          pass(0.1);
          host += 1e5;
          clock.fireDue();
        }
        expect(host - clock.nowNs()).toBeLessThan(300_000);
      }),
      { seed: 2 },
    );
  });

  it("forgets a lag beyond two seconds", () => {
    const { clock, pass } = hostClock();
    const timer = clock.createTimer("t", () => {});
    timer.arm(1_000_000);
    pass(60_001);
    clock.fireDue();
    clock.idle();
    expect(clock.nowNs()).toBe(2_001_000_000);
  });

  it("asks for shorter slices at once when the guest becomes slower", () => {
    let count = 0;
    const { clock, pass } = hostClock(() => count);
    const run = (rate: number): number => {
      const asked = clock.budget(500_000);
      count += asked;
      pass(asked / rate / 1e6);
      clock.fireDue();
      return asked / rate / 1e6;
    };
    for (let i = 0; i < 40; i++) run(0.4);
    expect(run(0.4)).toBeCloseTo(1, 1);
    expect(run(0.01)).toBeGreaterThan(30);
    expect(run(0.01)).toBeLessThan(1.1);
  });

  it("does not count the time of a pause", () => {
    const { clock, pass } = hostClock();
    pass(5);
    expect(clock.nowNs()).toBe(5_000_000);
    pass(4995);
    clock.resume();
    expect(clock.nowNs()).toBe(5_000_000);
    pass(1);
    expect(clock.nowNs()).toBe(6_000_000);
  });
});
