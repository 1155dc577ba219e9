// npm run fuzz -- --runs N --seed S [--kind boot|ports|bios|cpu|virtio|media|snapshot] [--jit] [--compare]
// Ends with 1 when a run threw, hung, broke a budget or changed what it must not; each failure can be repeated with its seed.
import { parseArgs } from "node:util";
import { campaign, KINDS } from "./campaign.mjs";

const USAGE = `usage: npm run fuzz -- [--runs N] [--seed S] [--kind ${KINDS.join("|")}] [--jit] [--compare]
--runs N   runs of each kind (default 1000)
--seed S   first seed (default 1); --runs 1 --seed S --kind K repeats a failure
--jit      translate every block that is run
--compare  run everything on the interpreter and translated: it must be the same run (not virtio, which changes a directory)
`;

function whole(text, name) {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1) {
    process.stderr.write(`--${name}: "${text}" is not a number above 0\n${USAGE}`);
    process.exit(1);
  }
  return n;
}

let values;
try {
  ({ values } = parseArgs({
    options: {
      runs: { type: "string" },
      seed: { type: "string" },
      kind: { type: "string", multiple: true },
      jit: { type: "boolean" },
      compare: { type: "boolean" },
      help: { type: "boolean" },
    },
  }));
} catch (error) {
  process.stderr.write(`${error.message}\n${USAGE}`);
  process.exit(1);
}
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const runs = whole(values.runs ?? "1000", "runs");
const seed = whole(values.seed ?? "1", "seed");
const kinds = values.kind ?? KINDS;
for (const kind of kinds) {
  if (!KINDS.includes(kind)) {
    process.stderr.write(`--kind: there is no "${kind}"\n${USAGE}`);
    process.exit(1);
  }
}

const engine = values.compare ? "both" : values.jit ? "translator" : "interpreter";
let failed = 0;
for (const kind of kinds) {
  const start = performance.now();
  const { failures, ends, rssMiB } = await campaign({ kind, seed, runs, engine });
  failed += failures.length;
  for (const { seed, message } of failures) console.log(`FAILED ${kind} seed ${seed}: ${message}`);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const list = Object.entries(ends)
    .toSorted((a, b) => b[1] - a[1])
    .map(([end, n]) => `${end} ${n}`)
    .join(", ");
  console.log(`${kind}: ${runs} runs from seed ${seed}, ${failures.length} failed, ${seconds} s, ${rssMiB} MiB (${list})`);
}
process.exitCode = failed === 0 ? 0 : 1;
