// Thousands of random guests with a fixed seed; `npm run fuzz` for more. A failure names the seed that repeats it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { campaign } from "../../tools/fuzz/campaign.mjs";

const SEED = Number(process.env["WHYVE_FUZZ_SEED"] ?? 1);
const SCALE = Number(process.env["WHYVE_FUZZ_SCALE"] ?? 1);
/** Most a worker process may hold at its end: a machine's 20 MiB, the engine, and what is not collected yet. */
const MEMORY_MIB = 600;

for (const [kind, runs, what] of [
  ["cpu", 1200, "random CPU states and code in nine modes"],
  ["bios", 200, "guests with 60 random BIOS calls each"],
  ["ports", 200, "floods of port and device memory accesses"],
  ["virtio", 150, "hostile virtio drivers"],
  ["media", 150, "damaged discs and kernel files"],
  ["boot", 150, "random and damaged boot sectors"],
]) {
  const count = Math.max(1, Math.round(runs * SCALE));
  test(`${count} ${what}: no exception, no hang, no swollen process`, async (t) => {
    const { failures, ends, rssMiB } = await campaign({ kind, seed: SEED, runs: count });
    t.diagnostic(`${kind}: ${count} runs from seed ${SEED}, ${rssMiB} MiB, ends ${JSON.stringify(ends)}`);
    assert.deepEqual(
      failures.map(({ seed, message }) => `npm run fuzz -- --kind ${kind} --runs 1 --seed ${seed}: ${message}`),
      [],
    );
    assert.ok(rssMiB < MEMORY_MIB, `the process grew to ${rssMiB} MiB`);
  });
}
