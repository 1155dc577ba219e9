import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HostClock, TimerQueue, VirtualClock } from "./clock.ts";

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

describe("VirtualClock", () => {
  it("counts instructions as time and bounds a slice by the next deadline", () => {
    let instructions = 0;
    const clock = new VirtualClock(() => instructions, 10);
    const timer = clock.createTimer("t", () => {});
    timer.arm(1005);
    expect(clock.budget(1_000_000)).toBe(101);
    instructions = 50;
    expect(clock.nowNs()).toBe(500);
    expect(clock.budget(20)).toBe(20);
  });

  it("jumps to the next deadline when idle", () => {
    let fired = 0;
    const clock = new VirtualClock(() => 7, 10);
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

  it("cuts the running slice short when an earlier timer is armed", () => {
    const clock = new VirtualClock(() => 0, 10);
    let cuts = 0;
    clock.onEarlierDeadline = () => cuts++;
    clock.budget(100);
    clock.createTimer("later", () => {}).arm(2000);
    expect(cuts).toBe(0);
    clock.createTimer("sooner", () => {}).arm(200);
    expect(cuts).toBe(1);
  });
});

describe("HostClock", () => {
  it("fires one instant's timers at a time when it lags, and never shows time beyond an unfired deadline", () => {
    let hostMs = 0;
    const clock = new HostClock(
      () => 0,
      () => hostMs,
    );
    const seen: number[] = [];
    const tick = clock.createTimer("tick", () => {
      seen.push(clock.nowNs());
      tick.arm(seen.length * 1_000_000 + 1_000_000);
    });
    tick.arm(1_000_000);
    hostMs = 3.5;
    expect(clock.nowNs()).toBe(1_000_000);
    clock.fireDue();
    expect(seen).toEqual([1_000_000]);
    expect(clock.nowNs()).toBe(2_000_000);
    clock.fireDue();
    clock.fireDue();
    expect(seen).toEqual([1_000_000, 2_000_000, 3_000_000]);
    clock.fireDue();
    expect(seen).toHaveLength(3);
    expect(clock.nowNs()).toBe(3_500_000);
    expect(clock.idle()).toBe(0.5);
  });

  it("steps back by a lag that it cannot make up at once and regains it at one per cent", () => {
    let hostMs = 0;
    const clock = new HostClock(
      () => 0,
      () => hostMs,
    );
    clock.createTimer("t", () => {}).arm(1_000_000);
    hostMs = 101;
    clock.fireDue();
    expect(clock.nowNs()).toBe(1_000_000);
    expect(clock.lostNs).toBe(100_000_000);
    hostMs = 1101;
    expect(clock.nowNs()).toBe(1_011_000_000);
    hostMs = 101 + 20_000;
    expect(clock.nowNs()).toBe(20_101_000_000);
  });

  it("does not count the time of a pause", () => {
    let hostMs = 0;
    const clock = new HostClock(
      () => 0,
      () => hostMs,
    );
    hostMs = 5;
    expect(clock.nowNs()).toBe(5_000_000);
    hostMs = 5000;
    clock.resume();
    expect(clock.nowNs()).toBe(5_000_000);
    hostMs = 5001;
    expect(clock.nowNs()).toBe(6_000_000);
  });
});
