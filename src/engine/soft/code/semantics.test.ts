import { describe, expect, it } from "vitest";
import { type Insn, OPCODE_ROWS } from "../../../isa/index.ts";
import { buildInterpreter } from "../interp/build.ts";
import { isAvailable } from "../sys/available.ts";
import { defaultFeatures } from "../sys/features.ts";
import { everyForm } from "./handlers.ts";
import { handlerIn } from "./lower.ts";
import { handlerShape } from "./shape.ts";
import { findHelper } from "./helpers.ts";
import { generatedFor, implementedNames } from "./semantics.ts";

/** Families that this CPU never has: #UD is what they do. */
const ABSENT = new Set(["sha", "xsaves", "clwb"]);
const all = { ...defaultFeatures() };
for (const name of Object.keys(all)) Object.assign(all, { [name]: true });

/** Whether the generated code of this very form may ask for the helper. */
function defersHere(insn: Insn): boolean {
  const shape = handlerShape(insn);
  return shape === undefined || generatedFor(shape)?.defers !== false;
}

describe("the semantics of opcode rows", () => {
  it("are all there, by name", () => {
    const known = implementedNames();
    expect(OPCODE_ROWS.filter((row) => !known.has(row.sem) && !ABSENT.has(row.facts.feature)).map((row) => row.encoding)).toEqual([]);
  });

  it("have no names that no row has", () => {
    const named = new Set(OPCODE_ROWS.flatMap(({ sem, facts }) => (facts.rep ? [sem, `rep_${sem}`] : [sem])));
    expect([...implementedNames()].filter((name) => !named.has(name) && name !== "too_long")).toEqual([]);
  });

  it("do every form that the decoder knows, in generated code or a helper", () => {
    const image = buildInterpreter();
    const missing = new Set<string>();
    let generated = 0;
    for (const insn of everyForm()) {
      const { row } = insn;
      if (!isAvailable(all, row.mnemonic, row.facts.feature)) continue;
      const handler = handlerIn(image, insn);
      if (handler !== undefined) generated++;
      const defers = handler === undefined || defersHere(insn);
      if (defers && findHelper(insn) === undefined) missing.add(`${row.encoding} in ${insn.codeSize}-bit code`);
    }
    expect(generated).toBeGreaterThan(10_000);
    expect([...missing]).toEqual([]);
  });
});
