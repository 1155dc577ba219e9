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
  readonly wait: (p: Pattern, ms?: number) => Promise<unknown>;
  readonly clock: ManualClock;
} {
  const clock = new ManualClock();
  const shown = { text: "" };
  const screen: WatchSource = { name: "screen", text: () => shown.text, consume() {} };
  const list = new WatchList(clock, nodeHost, () => {});
  return { shown, list, clock, wait: (pattern, ms) => list.waitFor([screen], pattern, ms, () => "") };
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

  it.each([-1, Number.NaN])("a limit of %d ms is refused", async (ms) => {
    await expect(watching().wait("x", ms)).rejects.toMatchObject({ code: "WAIT_OPTIONS" });
  });

  it.each([undefined, null, 5, {}])("%s is no pattern", async (pattern) => {
    const anything: never = pattern as never;
    await expect(watching().wait(anything)).rejects.toMatchObject({ code: "WAIT_OPTIONS" });
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
