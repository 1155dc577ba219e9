// A number of fuzz runs in a worker thread that is watched: an exception, a hang or a swollen process is a failure with its seed.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Worker } from "node:worker_threads";

export const KINDS = ["boot", "ports", "bios", "cpu", "virtio", "media", "snapshot"];
/** A single run that takes longer than this (host ms) hangs; the longest ordinary ones take about a second. */
const HANG_MS = 40_000;

/**
 * Runs `runs` seeds from `seed` on, on the `engine` "interpreter", "translator" (everything is translated at once) or "both", compared. Resolves with
 * `{ runs, failures: [{ seed, message }], ends, rssMiB }`; stops after `maxFailures`.
 */
export async function campaign({ kind, seed, runs, engine = "interpreter", maxFailures = 10 }) {
  const result = { kind, runs, failures: [], ends: {}, rssMiB: 0 };
  // A worker that is ended does not tidy up after itself: what its runs put on the host's disk goes here.
  const home = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-fuzz-"));
  let next = seed;
  try {
    while (next < seed + runs && result.failures.length < maxFailures)
      next = await stretch({ kind, engine, from: next, to: seed + runs }, result, maxFailures, home);
  } finally {
    fs.rmSync(home, { recursive: true, force: true });
  }
  return result;
}

/** One worker's life: to the end, or to a hang. Returns the seed to go on with. */
function stretch(work, result, maxFailures, home) {
  const { kind, to } = work;
  const limit = work.engine === "interpreter" ? HANG_MS : 4 * HANG_MS;
  return new Promise((resolve, reject) => {
    const shared = new SharedArrayBuffer(8);
    const progress = new Int32Array(shared);
    const worker = new Worker(new URL("worker.mjs", import.meta.url), {
      workerData: { ...work, shared },
      env: { ...process.env, TMPDIR: home },
    });
    let seen = -1;
    let since = performance.now();
    let over = false;
    const finish = (next) => {
      if (over) return;
      over = true;
      clearInterval(timer);
      void worker.terminate().then(() => resolve(next));
    };
    const timer = setInterval(() => {
      const count = Atomics.load(progress, 1);
      if (count !== seen) {
        seen = count;
        since = performance.now();
      } else if (performance.now() - since > limit) {
        const at = Atomics.load(progress, 0);
        result.failures.push({ seed: at, message: `hangs: no end within ${limit} ms` });
        finish(at + 1);
      }
    }, 250);
    worker.on("message", ({ failure, done }) => {
      if (failure !== undefined) {
        result.failures.push(failure);
        if (result.failures.length >= maxFailures) finish(to);
      }
      if (done !== undefined) {
        for (const [end, n] of Object.entries(done.ends)) result.ends[end] = (result.ends[end] ?? 0) + n;
        result.rssMiB = Math.max(result.rssMiB, Math.round(done.rss / 2 ** 20));
        finish(to);
      }
    });
    worker.on("error", (error) => {
      if (over) return;
      const at = Atomics.load(progress, 0);
      result.failures.push({ seed: at, message: `the worker died: ${error.stack ?? error.message}` });
      finish(at + 1);
    });
    worker.on("exit", () => {
      if (!over) reject(new Error(`the worker for ${kind} ended without a word`));
    });
  });
}
