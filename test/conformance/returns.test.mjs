/**
 * Returns to an outer level make the selectors of data segments null that the new level may not use, and those that were null already; the rest of
 * what was loaded stays (SDM vol. 2, IRET and RET: "SegmentSelector := NULL"). So 64-bit code finds the bases of FS and GS as they were.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { ModeMachine, SELECTOR, STACK } from "./modes.mjs";
import { ENGINES } from "./support.mjs";

const DATA_SEGMENTS = ["ds", "es", "fs", "gs"];
const segment = (selector, dpl) => ({ selector, base: 0x400000n, limit: 0xffffffff, access: 0xc093 | (dpl << 5) });

for (const [engineName, engine] of Object.entries(ENGINES)) {
  for (const mode of ["long", "protected32"]) {
    for (const [name, code] of [
      ["IRET", mode === "long" ? [0x48, 0xcf] : [0xcf]],
      ["RETF", mode === "long" ? [0x48, 0xcb] : [0xcb]],
    ]) {
      const start = () => {
        const m = new ModeMachine(engine, mode);
        m.reset();
        const size = mode === "long" ? 8 : 4;
        const frame = [0x5000, SELECTOR.userCode, ...(name === "IRET" ? [2] : []), STACK, SELECTOR.userData];
        frame.forEach((value, i) => (m.memory.write32(STACK + i * size, value), m.memory.write32(STACK + i * size + 4, 0)));
        m.write(code);
        return m;
      };
      test(`${name} to ring 3, ${mode}: segments of ring 0 become null, their bases stay [${engineName}]`, () => {
        const m = start();
        for (const s of DATA_SEGMENTS) m.raw.setSegment(s, segment(SELECTOR.data, 0));
        assert.equal(m.vcpu.run({ kind: "run" }, 1).kind, "budget");
        assert.equal(m.rip, 0x5000);
        for (const s of DATA_SEGMENTS) {
          const { selector, base, access } = m.raw.getSegment(s);
          assert.deepEqual([s, selector, base, access & 0x10000], [s, 0, 0x400000n, 0x10000]);
        }
        // mov al, [gs:-300000h] and mov al, [gs:0]: in 64-bit code by the base that has stayed, elsewhere #GP.
        m.vcpu.intercepts.exceptionBitmap = 1 << 13;
        m.write(mode === "long" ? [0x65, 0x8a, 0x04, 0x25, 0, 0, 0xd0, 0xff] : [0x65, 0xa0, 0, 0, 0, 0], 0x5000);
        const got = m.vcpu.run({ kind: "run" }, 1);
        if (mode === "protected32") assert.deepEqual([got.kind, got.vector], ["exception", 13]);
        else assert.deepEqual([got.kind, got.gpa], ["mmio-read", 0x100000]);
        m.dispose();
      });
      test(`${name} to ring 3, ${mode}: segments of ring 3 stay, null selectors become 0 [${engineName}]`, () => {
        const m = start();
        for (const s of ["ds", "es"]) m.raw.setSegment(s, segment(SELECTOR.userData, 3));
        for (const s of ["fs", "gs"]) m.raw.setSegment(s, { selector: 3, base: 0x1234n, limit: 0, access: 0x10000 });
        assert.equal(m.vcpu.run({ kind: "run" }, 1).kind, "budget");
        assert.deepEqual(
          DATA_SEGMENTS.map((s) => m.raw.getSegment(s).selector),
          [SELECTOR.userData, SELECTOR.userData, 0, 0],
        );
        assert.equal(m.raw.getSegment("gs").base, 0x1234n);
        m.dispose();
      });
    }
  }
}
