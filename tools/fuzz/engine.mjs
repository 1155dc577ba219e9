// The engine that is fuzzed. `compare` runs something on the interpreter and translated, and says where the runs part.
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { listener, listening } from "../lockstep/record.mjs";

const note = listener();
const engines = {
  interpreter: createSoftEngine(),
  translator: createSoftEngine({ jit: { threshold: 1 } }),
};
const heard = {
  interpreter: listening(engines.interpreter, note, { registers: true }),
  translator: listening(engines.translator, note, { registers: true }),
};
/** Which engine makes VMs: a key of `engines` or of `heard`. */
export const using = { name: "interpreter", engine: engines.interpreter };
export function use(name) {
  using.name = name;
  using.engine = engines[name];
}
/** How much longer than interpreted a run may take: translating a block takes longer than interpreting it a thousand times. */
export const patience = () => (using.name.endsWith("translator") ? 4 : 1);
export const engine = { name: "soft", createVm: (options) => using.engine.createVm(options) };

/** What `run` gives, the same on both; throws when anything that can be seen of the two runs differs. */
export async function compare(run) {
  const once = async (name, logging) => {
    using.name = `heard ${name}`;
    using.engine = heard[name];
    note.reset();
    note.logging = logging;
    const end = await run();
    return { end, digest: note.digest(), log: logging ? [...note.log] : [] };
  };
  const a = await once("interpreter", false);
  const b = await once("translator", false);
  if (a.digest === b.digest && a.end === b.end) return a.end;
  const [x, y] = [await once("interpreter", true), await once("translator", true)];
  const at = x.log.findIndex((line, i) => line !== y.log[i]);
  throw new Error(`translated, it is another run (${a.end} ${a.digest}, ${b.end} ${b.digest}): event ${at}: ${x.log[at]} | ${y.log[at]}`);
}
