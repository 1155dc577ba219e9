// Thousands of random guests with a fixed seed; `npm run fuzz` for more. A failure names the seed that repeats it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { campaign } from "../../tools/fuzz/campaign.mjs";

const SEED = Number(process.env["WHYVE_FUZZ_SEED"] ?? 1);
const SCALE = Number(process.env["WHYVE_FUZZ_SCALE"] ?? 1);
const FLAGS = { interpreter: "", translator: " --jit", both: " --compare" };
/** Most a worker process may hold at its end: a machine's 20 MiB, the engine, and what is not collected yet. */
const MEMORY_MIB = 600;

/** "both": interpreted and translated, which must be the same run; what changes a directory of the host is only translated. */
for (const [kind, runs, what, both, engine = "both"] of [
  ["cpu", 1200, "random CPU states and code in nine modes", 40],
  ["bios", 200, "guests with 60 random BIOS calls each", 40],
  ["ports", 200, "floods of port and device memory accesses", 40],
  ["virtio", 150, "hostile virtio drivers", 25, "translator"],
  ["media", 150, "damaged discs and kernel files", 25],
  ["snapshot", 200, "damaged snapshots", 25, "translator"],
  ["boot", 150, "random and damaged boot sectors", 25],
]) {
  fuzz(kind, runs, what, "interpreter");
  // Other seeds than above.
  fuzz(kind, both, what, engine, SEED + 100_000);
}

function fuzz(kind, runs, what, engine, seed = SEED) {
  const count = Math.max(1, Math.round(runs * SCALE));
  const how = { interpreter: "", translator: " translated", both: " interpreted and translated, which is the same run" }[engine];
  test(`${count} ${what}${how}: no exception, no hang, no swollen process`, async (t) => {
    const { failures, ends, rssMiB } = await campaign({ kind, seed, runs: count, engine });
    t.diagnostic(`${kind}: ${count} runs from seed ${seed}, ${rssMiB} MiB, ends ${JSON.stringify(ends)}`);
    assert.deepEqual(
      failures.map((f) => `npm run fuzz -- --kind ${kind} --runs 1 --seed ${f.seed}${FLAGS[engine]}: ${f.message}`),
      [],
    );
    assert.ok(rssMiB < MEMORY_MIB, `the process grew to ${rssMiB} MiB`);
  });
}
