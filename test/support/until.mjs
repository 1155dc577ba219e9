import assert from "node:assert/strict";

/** Waits for something that a test cannot be told of; a test that would wait for ever fails with what it waited for. */
export async function until(condition, what, limitMs = 20_000) {
  const giveUp = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > giveUp) assert.fail(`${what}: not within ${limitMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
