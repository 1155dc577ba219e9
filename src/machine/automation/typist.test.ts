import { describe, expect, it } from "vitest";
import type { Clock, Timer } from "../../base/index.ts";
import { Typist } from "./typist.ts";

/** A clock that the test moves from deadline to deadline. */
class StepClock implements Clock {
  #now = 0;
  #deadline: number | undefined;
  #callback: (() => void) | undefined;
  nowNs(): number {
    return this.#now;
  }
  createTimer(_name: string, callback: () => void): Timer {
    this.#callback = callback;
    const deadline = (): number | undefined => this.#deadline;
    return {
      arm: (ns) => void (this.#deadline = ns),
      cancel: () => void (this.#deadline = undefined),
      get deadlineNs() {
        return deadline();
      },
    };
  }
  step(): void {
    if (this.#deadline === undefined) return;
    this.#now = this.#deadline;
    this.#deadline = undefined;
    this.#callback?.();
  }
}

function typist() {
  const clock = new StepClock();
  const sent: string[] = [];
  const port = { key: (name: string, down: boolean) => void sent.push(`${down ? "+" : "-"}${name}`), ready: () => true, waitingKeys: () => 0 };
  return { clock, sent, typing: new Typist(clock, port, () => {}) };
}

describe("Typist", () => {
  it("sends keys one by one and resolves after the last release", async () => {
    const { clock, sent, typing } = typist();
    const done = typing.type([["ShiftLeft", "KeyA"], ["Enter"]]);
    for (let i = 0; i < 6; i++) clock.step();
    await done;
    expect(sent).toEqual(["+ShiftLeft", "+KeyA", "-KeyA", "-ShiftLeft", "+Enter", "-Enter"]);
  });

  it("resolves what is not typed when the machine ends, and what is typed afterwards", async () => {
    const { clock, sent, typing } = typist();
    const done = typing.type([["Enter"]]);
    clock.step();
    typing.end();
    await done;
    await typing.type([["KeyA"]]);
    expect([sent, typing.idle]).toEqual([["+Enter"], true]);
  });
});
