import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { decode } from "../../../isa/index.ts";
import type { GuestIo } from "../../api/index.ts";
import { PhysicalMap } from "../mmu/physical.ts";
import { REC, REC_BYTES } from "../state-layout.ts";
import type { Block } from "./block.ts";
import { Blocks } from "./blocks.ts";
import { H_BREAK } from "./codes.ts";
import { InsnPool } from "./insn-pool.ts";
import { Stops } from "./stops.ts";

const io: GuestIo = { portRead: () => -1, portWrite: () => false, mmioRead: () => 0xff, mmioWrite: () => true, interruptAcknowledge: () => 8 };
const OPTIONS = { ramBytes: 0x10000, regions: [], io, readTsc: () => 0 };
const memory = new ArrayBuffer(PhysicalMap.bytesNeeded(OPTIONS));
const views = { u8: new Uint8Array(memory), u16: new Uint16Array(memory), u32: new Uint32Array(memory), i32: new Int32Array(memory) };
const nop = decode(new Uint8Array([0x90]), 0, 1, 32);
if ("failure" in nop) throw new Error("NOP does not decode");

describe("decoded blocks", () => {
  let pool: InsnPool;
  let blocks: Blocks;
  beforeEach(() => {
    pool = new InsnPool(() => () => "next");
    blocks = new Blocks(views, new PhysicalMap(memory, OPTIONS), pool, new Stops(views));
  });
  /** A block of one instruction at [start, end) of a page; over 4096 it goes on in page `nextPage`. */
  function add(page: number, start: number, end: number, nextPage = page + 1): Block {
    const insns: number[] = [];
    const rec = blocks.makeRoom(page);
    if (!("failure" in nop)) pool.keep(nop, insns);
    const block: Block = {
      rec,
      records: 2,
      page,
      codeSize: 32,
      heat: 0,
      regions: [],
      start,
      end: Math.min(end, 4096),
      nextPage: end > 4096 ? nextPage : -1,
      nextEnd: Math.max(end - 4096, 0),
      insns,
      incoming: [],
      dead: false,
    };
    for (let i = 0; i < 2; i++) views.u16[(rec + i * REC_BYTES + REC.handler) >> 1] = 100;
    blocks.add(block);
    return block;
  }
  const broken = (b: Block): boolean => views.u16[(b.rec + REC.handler) >> 1] === H_BREAK;

  it("die with the bytes that they are made of, and with no others", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ start: fc.integer({ min: 0, max: 4095 }), bytes: fc.integer({ min: 1, max: 60 }) }), {
          maxLength: 12,
          selector: ({ start }) => start,
        }),
        fc.integer({ min: 0x4000, max: 0x6000 }),
        fc.integer({ min: 1, max: 80 }),
        (made, gpa, bytes) => {
          blocks.flush();
          const all = made.map(({ start, bytes: n }) => add(5, start, start + n));
          blocks.written(gpa, bytes);
          blocks.written(gpa, bytes);
          for (const [i, { start, bytes: n }] of made.entries()) {
            const from = 0x5000 + start;
            const hit = from < gpa + bytes && gpa < from + n;
            expect([all[i]?.dead, all[i] !== undefined && broken(all[i])]).toEqual([hit, hit]);
            if (!hit) expect(blocks.touches(from, 1)).toBe(true);
          }
          pool.reclaim();
          expect(pool.kept).toBe(all.filter((b) => !b.dead).length);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("are forgotten on both pages when the second one has moved", () => {
    const block = add(5, 4090, 4100, 9);
    expect([blocks.touches(0x5fff, 1), blocks.touches(0x9000, 1)]).toEqual([true, true]);
    blocks.drop(block);
    expect([blocks.find(5, 4090, 32), blocks.at(block.rec), block.dead]).toEqual([undefined, undefined, true]);
    // Its instructions go back once.
    blocks.written(0x9000, 4);
    pool.reclaim();
    expect(pool.kept).toBe(0);
  });

  it("give their links back", () => {
    const from = add(5, 0, 4);
    const to = add(5, 100, 104);
    blocks.link(from.rec, to.rec, blocks.flushes);
    expect(views.i32[(from.rec + REC.link) >> 2]).toBe(to.rec);
    blocks.written(0x5064, 1);
    expect(views.i32[(from.rec + REC.link) >> 2]).toBe(0);
    expect([from.dead, to.dead]).toEqual([false, true]);
  });
});
