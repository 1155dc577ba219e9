// Interpreter and translator make the same run: counts, exits, what devices are asked and when, registers, memory, screen. `node tools/lockstep/main.mjs`
// does the same with more guests, and finds the first difference. And a machine that was saved under one goes on under the other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GUESTS } from "../../tools/lockstep/guests.mjs";
import { record } from "../../tools/lockstep/record.mjs";

const missing = (name) => (GUESTS[name].disk() === undefined ? { skip: `guest not here: ${name}` } : {});

/** Everything of a run but its duration. */
const seen = ({ stops, end }) => ({ ...end, stops });

for (const [name, jit] of [
  // Between once and six million instructions: some regions, late.
  ["dos-160k", { threshold: 200 }],
  ["dos-160k", { threshold: 1 }],
  ["dos-720k", { threshold: 200 }],
  ["mikeos", { threshold: 1 }],
  ["bootos", { threshold: 1 }],
  ["bootbasic", { threshold: 1 }],
  ["sectorlisp", { threshold: 1 }],
  ["bootrogue", { threshold: 1 }],
  ["tetros", { threshold: 1 }],
  ["smp", { threshold: 1 }],
  ["grub2-menu", true],
  ["memtest64", true],
]) {
  test(`${name} runs alike interpreted and translated${jit === true ? "" : `, threshold ${jit.threshold}`}`, missing(name), async (t) => {
    const interpreted = await record(GUESTS[name], {});
    const translated = await record(GUESTS[name], { jit });
    assert.equal(interpreted.end.trouble, undefined);
    assert.deepEqual(seen(translated), seen(interpreted));
    const regions = translated.engineStats["engine.regionsTranslated"];
    t.diagnostic(`${interpreted.end.counts.join("+")} instructions, ${interpreted.stops.length} stops, ${regions} regions`);
    assert.ok(regions > 0);
  });
}

for (const [name, instants] of [
  ["dos-360k", [2e8, 6e8]],
  ["tetros", [3e9]],
  ["grub2-menu", [1.5e9]],
  ["smp", [2.5e5]],
]) {
  test(`${name} saved under one goes on under the other as if never saved`, missing(name), async () => {
    const guest = { ...GUESTS[name], steps: [{ run: 1 }] };
    /** Exits, events and the serial line's text are counted from the restoring on. */
    const lasting = ({ end: { exits: _exits, events: _events, serial: _serial, ...end } }) => end;
    for (const snapshotAt of instants) {
      // Stops would be at other instants.
      const quiet = { everyNs: 1e15 };
      const interpreted = await record(guest, { ...quiet, snapshotAt });
      const translated = await record(guest, { ...quiet, snapshotAt, jit: { threshold: 1 } });
      const straight = await record({ ...guest, steps: [{ run: snapshotAt / 1e9 }, { run: 1 }] }, quiet);
      const there = await record(guest, { ...quiet, restore: interpreted.snapshot, jit: { threshold: 1 } });
      const back = await record(guest, { ...quiet, restore: translated.snapshot });
      for (const other of [translated, straight, there, back]) assert.deepEqual(lasting(other), lasting(interpreted), `saved at ${snapshotAt} ns`);
    }
  });
}
