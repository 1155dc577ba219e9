// Random boot sectors: whatever a guest executes, the host neither throws nor hangs. WHYVE_FUZZ_RUNS=5000 for a longer run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { createMachine, machineConfig } from "../../dist/machine/index.js";

const RUNS = Number(process.env["WHYVE_FUZZ_RUNS"] ?? 60);
const SEED = Number(process.env["WHYVE_FUZZ_SEED"] ?? 1);
const GUEST_NS = 20_000_000;

/** Marsaglia's xorshift32: the same numbers on every host. */
function random(seed) {
  let x = seed | 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

const WIDTHS = [0xe6, 0xe7, 0xee, 0xef, 0xec, 0xed, 0xe4, 0xe5];

/** Noise, or noise made of port accesses and BIOS calls, which pure noise seldom hits. */
function sector(next) {
  const bytes = new Uint8Array(512);
  const style = next() % 3;
  for (let i = 0; i < 510; ) {
    if (style === 0) bytes[i++] = next();
    else if (style === 1) {
      // mov dx, port; mov ax, value; out/in
      const code = [0xba, next(), next() & 3, 0xb8, next(), next(), WIDTHS[next() % WIDTHS.length], next()];
      for (const byte of code) bytes[i++] = byte;
    } else {
      // mov ax/bx/cx/dx/es; int 10h..1Ah
      const code = [0xb8, next(), next() % 0x60, 0xbb, next(), next(), 0xb9, next(), next(), 0xba, next(), next() & 0x80, 0xcd, 0x10 + (next() % 11)];
      for (const byte of code) bytes[i++] = byte;
    }
  }
  bytes[510] = 0x55;
  bytes[511] = 0xaa;
  return bytes;
}

async function run(seed) {
  const next = random(seed * 2654435761);
  const disk = new Uint8Array(1474560);
  for (let i = 0; i < 8192; i++) disk[512 + i] = next();
  disk.set(sector(next));
  const serial = { onInput: undefined, writeByte() {} };
  const config = machineConfig({
    drives: [
      { kind: "floppy", image: new MemoryBlockBackend("fuzz", disk) },
      { kind: "hard-disk", image: new MemoryBlockBackend("fuzz-hd", new Uint8Array(1 << 20)) },
    ],
    boot: ["fd"],
    memoryBytes: 2 * 2 ** 20,
    clock: "virtual",
    trapStyle: seed % 2 === 0 ? "vmcall" : "port",
    serial: [serial],
    debugPort: serial,
    printer: serial,
  });
  const vm = createMachine(config, createSoftEngine());
  vm.pc.clock.createTimer("fuzz-end", () => void vm.powerOff("time is up")).arm(GUEST_NS);
  const timer = setTimeout(() => void vm.powerOff("host time is up"), 20_000);
  vm.start();
  const end = await vm.ended;
  clearTimeout(timer);
  vm.screen.text();
  vm.screen.frame();
  await vm.dispose();
  return end.kind;
}

test(`${RUNS} random boot sectors from seed ${SEED}: no host failure`, async (t) => {
  const ends = {};
  for (let i = 0; i < RUNS; i++) {
    try {
      const kind = await run(SEED + i);
      ends[kind] = (ends[kind] ?? 0) + 1;
    } catch (error) {
      assert.fail(`seed ${SEED + i}: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }
  t.diagnostic(`ends: ${JSON.stringify(ends)}`);
});
