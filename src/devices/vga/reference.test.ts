import fc from "fast-check";
import { expect, test } from "vitest";
import { VideoMemory, type MemoryControls } from "./memory.ts";

/** A slow VGA data path straight from the manual: four planes, one byte at a time. */
class Reference {
  readonly planes = Array.from({ length: 4 }, () => new Uint8Array(0x10000));
  readonly latch = [0, 0, 0, 0];
  readonly seq = new Uint8Array(8);
  readonly gc = new Uint8Array(16);

  #decode(offset: number): number | undefined {
    const map = ((this.gc[6] ?? 0) >> 2) & 3;
    const [base, size] = (
      [
        [0, 0x20000],
        [0, 0x10000],
        [0x10000, 0x8000],
        [0x18000, 0x8000],
      ] as const
    )[map] ?? [0, 0];
    return offset >= base && offset < base + size ? offset - base : undefined;
  }

  read(offset: number): number {
    const o = this.#decode(offset);
    if (o === undefined) return 0xff;
    const gc = this.gc;
    let a = o & 0xffff;
    let plane = (gc[4] ?? 0) & 3;
    if (((this.seq[4] ?? 0) & 8) !== 0) {
      plane = o & 3;
      a = (o & 0xfffc) | (o >> 16);
    } else if (((gc[5] ?? 0) & 0x10) !== 0) {
      plane = (plane & 2) | (o & 1);
      a = (o & 0xfffe) | (o >> 16);
    }
    for (let p = 0; p < 4; p++) this.latch[p] = this.planes[p]?.[a] ?? 0;
    if (((gc[5] ?? 0) & 8) === 0) return this.latch[plane] ?? 0;
    let result = 0;
    for (let bit = 0; bit < 8; bit++) {
      let match = true;
      for (let p = 0; p < 4; p++) if (((gc[7] ?? 0) >> p) & 1 && (((this.latch[p] ?? 0) >> bit) & 1) !== (((gc[2] ?? 0) >> p) & 1)) match = false;
      if (match) result |= 1 << bit;
    }
    return result;
  }

  write(offset: number, value: number): void {
    const o = this.#decode(offset);
    if (o === undefined) return;
    const gc = this.gc;
    const seq4 = this.seq[4] ?? 0;
    let a = o & 0xffff;
    let mask = (this.seq[2] ?? 0) & 15;
    if ((seq4 & 8) !== 0) {
      mask &= 1 << (o & 3);
      a = (o & 0xfffc) | (o >> 16);
    } else if ((seq4 & 4) === 0) {
      mask &= (o & 1) === 0 ? 5 : 10;
      a = (o & 0xfffe) | (o >> 16);
    }
    const mode = (gc[5] ?? 0) & 3;
    const turn = (gc[3] ?? 0) & 7;
    const rotated = ((value >> turn) | (value << (8 - turn))) & 0xff;
    for (let p = 0; p < 4; p++) {
      if (((mask >> p) & 1) === 0) continue;
      const setReset = ((gc[0] ?? 0) >> p) & 1 ? 0xff : 0;
      const old = this.latch[p] ?? 0;
      let data: number;
      let bits = gc[8] ?? 0;
      if (mode === 0) data = ((gc[1] ?? 0) >> p) & 1 ? setReset : rotated;
      else if (mode === 1) data = old;
      else if (mode === 2) data = (value >> p) & 1 ? 0xff : 0;
      else {
        data = setReset;
        bits &= rotated;
      }
      if (mode !== 1) {
        const logic = ((gc[3] ?? 0) >> 3) & 3;
        if (logic === 1) data &= old;
        else if (logic === 2) data |= old;
        else if (logic === 3) data ^= old;
        data = (data & bits) | (old & ~bits);
      }
      const plane = this.planes[p];
      if (plane !== undefined) plane[a] = data;
    }
  }
}

const SEQ4 = [2, 6, 0x0e, 0x0a];
const windowBase = fc.constantFrom(0, 0, 0, 0x10000, 0x18000, 0x18000, 0xfff0, 0x1ffd0);
const aligned = fc.oneof(
  fc.integer({ min: 1, max: 16 }).map((v) => v * 4),
  fc.integer({ min: 0, max: 64 }),
);
const offset = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(windowBase, aligned).map(([b, o]) => Math.min(b + o, 0x1ffff)) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0x1ffff }) },
);
const usualGc8 = fc.oneof(fc.constant(0xff), fc.integer({ min: 0, max: 255 }));
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      offset,
      size: fc.constantFrom(1, 2, 4),
      value: fc.integer({ min: 0, max: 0xffffffff }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("read" as const), offset, size: fc.constantFrom(1, 2, 4) }) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(windowBase, aligned, aligned, aligned)
      .map(([b, from, to, bytes]) => ({ do: "move" as const, offset: b + from, to: b + to, bytes })),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("fill" as const),
      offset,
      count: fc.integer({ min: 0, max: 32 }),
      value: fc.integer({ min: 0, max: 0xffff }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("mode" as const),
      seq4: fc.constantFrom(...SEQ4),
      gc5: fc.constantFrom(0, 0, 0x10, 1, 2, 3, 8, 0x18),
      gc6: fc.constantFrom(0, 4, 8, 12, 5, 13),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("mask" as const),
      seq2: fc.oneof(fc.constantFrom(15, 3), fc.integer({ min: 0, max: 15 })),
      gc8: usualGc8,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("logic" as const),
      gc0: fc.integer({ min: 0, max: 15 }),
      gc1: fc.constantFrom(0, 0, 15, 5),
      gc2: fc.integer({ min: 0, max: 15 }),
      gc3: fc.constantFrom(0, 0, 0x18, 8, 0x10, 3),
      gc4: fc.integer({ min: 0, max: 3 }),
      gc7: fc.integer({ min: 0, max: 15 }),
    }),
  },
);

/** Register sets to start from: text, chain-4, planes, planes in write mode 1, CGA two-colour. */
const SCENARIOS = [
  { seq4: 2, gc5: 0x10, gc6: 0x0e, seq2: 3 },
  { seq4: 0x0e, gc5: 0x40, gc6: 5, seq2: 15 },
  { seq4: 6, gc5: 0, gc6: 5, seq2: 15 },
  { seq4: 6, gc5: 1, gc6: 5, seq2: 15 },
  { seq4: 6, gc5: 0, gc6: 0x0d, seq2: 1 },
] as const;
test("the fast paths agree with a byte-at-a-time model of the manual", () => {
  fc.assert(
    fc.property(fc.constantFrom(...SCENARIOS), fc.array(step, { minLength: 1, maxLength: 80 }), (start, steps) => {
      const vram = new Uint8Array(0x40000);
      const memory = new VideoMemory(vram);
      const model = new Reference();
      const controls: MemoryControls = { misc: 3, seq: model.seq, gc: model.gc, vbeEnabled: false, vbeBpp: 8, vbeBank: 0 };
      [model.seq[2], model.seq[4], model.gc[5], model.gc[6], model.gc[8]] = [start.seq2, start.seq4, start.gc5, start.gc6, 0xff];
      for (let i = 0; i < vram.length; i++) {
        vram[i] = (i * 0x9e3779b1) >>> 24;
        const plane = model.planes[i & 3];
        if (plane !== undefined) plane[i >> 2] = vram[i] ?? 0;
      }
      memory.update(controls);
      for (const s of steps) {
        switch (s.do) {
          case "write":
            memory.write(s.offset, s.size, s.value);
            for (let i = 0; i < s.size; i++) model.write(s.offset + i, (s.value >>> (i * 8)) & 0xff);
            break;
          case "read": {
            let value = 0;
            for (let i = 0; i < s.size; i++) value += model.read(s.offset + i) * 2 ** (i * 8);
            expect(memory.read(s.offset, s.size)).toBe(value);
            break;
          }
          case "move":
            memory.move(s.to, s.offset, s.bytes);
            for (let k = 0; k < s.bytes; k++) {
              const i = s.to <= s.offset ? k : s.bytes - 1 - k;
              model.write(s.to + i, model.read(s.offset + i));
            }
            // The fast moves leave the latches alone; the next latched write must not see the difference.
            if (s.bytes > 0) {
              model.read(s.offset);
              memory.read(s.offset, 1);
            }
            break;
          case "fill":
            memory.fill16(s.offset, s.count, s.value);
            for (let i = 0; i < s.count * 2; i++) model.write(s.offset + i, (s.value >> ((i & 1) * 8)) & 0xff);
            break;
          case "mode":
            model.seq[4] = s.seq4;
            model.gc[5] = s.gc5;
            model.gc[6] = s.gc6;
            memory.update(controls);
            break;
          case "mask":
            model.seq[2] = s.seq2;
            model.gc[8] = s.gc8;
            memory.update(controls);
            break;
          case "logic":
            [model.gc[0], model.gc[1], model.gc[2], model.gc[3], model.gc[4], model.gc[7]] = [s.gc0, s.gc1, s.gc2, s.gc3, s.gc4, s.gc7];
            memory.update(controls);
            break;
        }
        if (s.do !== "read") {
          // Latches match after any access that loads them.
          memory.read8(0);
          model.read(0);
          memory.read8(0x18000);
          model.read(0x18000);
        }
      }
      for (let p = 0; p < 4; p++) {
        const plane = model.planes[p] ?? new Uint8Array();
        expect(plane.every((v, a) => v === vram[a * 4 + p])).toBe(true);
      }
    }),
    { seed: 7, numRuns: 500 },
  );
});
