// Runs seeds one after the other and says which one it is at, in shared memory, so that the parent sees a hang.
import { parentPort, workerData } from "node:worker_threads";
import { compare, use } from "./engine.mjs";

const { kind, engine, from, to, shared } = workerData;
const progress = new Int32Array(shared);
const { run } = await import(`./${kind}.mjs`);
if (engine !== "both") use(engine);
const ends = {};
for (let seed = from; seed < to; seed++) {
  Atomics.store(progress, 0, seed);
  Atomics.add(progress, 1, 1);
  try {
    const end = engine === "both" ? await compare(() => run(seed)) : await run(seed);
    ends[end] = (ends[end] ?? 0) + 1;
  } catch (error) {
    parentPort.postMessage({ failure: { seed, message: error instanceof Error ? (error.stack ?? error.message) : String(error) } });
  }
}
parentPort.postMessage({ done: { ends, rss: process.memoryUsage().rss } });
