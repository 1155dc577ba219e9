import { describe, expect, it } from "vitest";
import { nodeHost } from "../../backends/node/host.ts";
import { ManualClock } from "../../base/index.ts";
import { machineConfig } from "../config.ts";
import { WatchList } from "./watch.ts";
import type { Pattern, WatchSource } from "./watch.ts";

/** A screen that shows `shown.text`. */
function watching(): {
  readonly shown: { text: string };
  readonly list: WatchList;
  readonly wait: (p: Pattern, ms?: number, rejectOn?: Pattern) => Promise<unknown>;
  readonly clock: ManualClock;
} {
  const clock = new ManualClock();
  const shown = { text: "" };
  const screen: WatchSource = { name: "screen", text: () => shown.text, consume() {} };
  const list = new WatchList(clock, nodeHost, () => {});
  return {
    shown,
    list,
    clock,
    wait: (pattern, ms = 4000, rejectOn) =>
      list.waitFor({ sources: [screen], pattern, timeoutMs: ms, rejectOn, describe: () => `\n[${shown.text}]` }),
  };
}

/** A pattern whose `exec` gives up at the nth look. */
class Failing extends RegExp {
  #looks = 0;
  readonly #at: number;
  constructor(at: number) {
    super("x");
    this.#at = at;
  }
  override exec(): RegExpExecArray | null {
    if (++this.#looks >= this.#at) throw new Error("gave up");
    return null;
  }
}

describe("waiting for output", () => {
  it.each([Number.POSITIVE_INFINITY, 3e9, 2 ** 31])("a limit of %d ms does not end at once", async (ms) => {
    const { shown, wait, clock } = watching();
    const found = wait("login:", ms);
    await new Promise((resolve) => setTimeout(resolve, 20));
    shown.text = "login:";
    clock.advanceBy(20_000_000);
    await expect(found).resolves.toMatchObject({ source: "screen" });
  });

  it("a wait that fails says what was there, and who waited", async () => {
    const { shown, wait } = watching();
    shown.text = "C:\\>";
    async function theCaller(): Promise<unknown> {
      return await wait("login:", 5);
    }
    const error: unknown = await theCaller().catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "WAIT_TIMEOUT", message: '"login:" did not appear within 0.005 s\n[C:\\>]' });
    expect(error instanceof Error ? error.stack : "").toMatch(/theCaller .*waiting\.test\.ts/);
  });

  it("a fail pattern ends the wait, at the first look and later, even when both have come", async () => {
    const { shown, wait, clock } = watching();
    const later = wait("login:", 0, /panic: (\w+)/);
    const other = wait("login:", 0);
    shown.text = "panic: nothing\nlogin:";
    clock.advanceBy(20_000_000);
    await expect(later).rejects.toMatchObject({ code: "WAIT_REJECTED", message: expect.stringContaining('"panic: nothing" is on screen') });
    await expect(other).resolves.toMatchObject({ source: "screen" });
    await expect(wait("login:", 0, "panic")).rejects.toMatchObject({ code: "WAIT_REJECTED" });
  });

  it("a pattern that gives up ends its wait with its error, at the first look and later, and no other wait", async () => {
    const { wait, clock, shown } = watching();
    await expect(wait(new Failing(1))).rejects.toThrow("gave up");
    const later = wait(new Failing(2));
    const other = wait("ready");
    clock.advanceBy(20_000_000);
    await expect(later).rejects.toThrow("gave up");
    shown.text = "ready";
    clock.advanceBy(20_000_000);
    await expect(other).resolves.toBeDefined();
  });

  it("a pattern that gives up in the last look of all does no harm", async () => {
    const { wait, list } = watching();
    const found = wait(new Failing(2));
    list.end("over");
    await expect(found).rejects.toThrow("gave up");
  });
});

describe("machineConfig", () => {
  it.each([
    [{ clock: "sundial" }, "CONFIG_CLOCK"],
    [{ trapStyle: "hope" }, "CONFIG_TRAP_STYLE"],
    [{ boot: ["usb"] }, "CONFIG_BOOT"],
    [{ boot: "hd" }, "CONFIG_BOOT"],
    [{ drives: [{ kind: "tape", image: undefined }] }, "CONFIG_DRIVES"],
  ])("refuses %j, which only JavaScript can pass", (options, code) => {
    const anything: never = options as never;
    expect(() => machineConfig(anything)).toThrow(expect.objectContaining({ code }));
  });
});
