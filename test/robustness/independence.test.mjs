// Machines do not notice each other, and the same machine twice is the same machine.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { createMachine, machineConfig } from "../../dist/node/index.js";
import { step } from "../../tools/fuzz/bios.mjs";
import { bootDisk } from "../support/floppy.mjs";

const GUESTS = process.env["WHYVE_GUESTS"] ?? fileURLToPath(new URL("../../../shared/guests", import.meta.url));

/**
 * Counts timer ticks and its own rounds, prints its letter now and then, writes its letter to sector 5 of A:.
 * sti; l: inc dword [500h]; int 1Ah; mov [504h],dx; mov ax,0E00h+letter; int 10h; mov ax,0301h; mov cx,5; xor dx,dx; mov bx,7C00h; int 13h; jmp l
 */
const worker = (letter) => [
  ...[0xfb, 0x66, 0xff, 0x06, 0x00, 0x05, 0xb4, 0x00, 0xcd, 0x1a, 0x89, 0x16, 0x04, 0x05, 0xb8, letter, 0x0e, 0xcd, 0x10],
  ...[0xb8, 1, 3, 0xb9, 5, 0, 0x31, 0xd2, 0xbb, 0, 0x7c, 0xcd, 0x13, 0xeb, 0xe2],
];

function machine(bytes, engine, memoryMiB = 2) {
  const image = new MemoryBlockBackend("floppy", bytes);
  const drives = [{ kind: bytes.length > 3_000_000 ? "hard-disk" : "floppy", image }];
  return createMachine(machineConfig({ drives, memoryBytes: memoryMiB * 2 ** 20, clock: "virtual" }), engine);
}

function fingerprint(vm, bytes) {
  const { instructions, timeNs, resets, ...rest } = vm.stats();
  const exits = Object.entries(rest).filter(([name]) => name.startsWith("exit."));
  const sha = (data) => createHash("sha256").update(data).digest("hex");
  return {
    instructions,
    timeNs,
    resets,
    exits,
    memory: sha(vm.memory.read(0, vm.memory.sizeBytes)),
    disk: sha(bytes),
    screen: vm.screen.text(),
    registers: vm.describeRegisters(),
  };
}

test("two machines in one process, run by turns, are each what they are alone", () => {
  const engine = createSoftEngine();
  const alone = [0x41, 0x42].map((letter) => {
    const bytes = bootDisk(worker(letter));
    const vm = machine(bytes, engine);
    for (let i = 0; i < 60; i++) step(vm.pc, letter * 20);
    return fingerprint(vm, bytes);
  });
  const pair = [0x41, 0x42].map((letter) => {
    const bytes = bootDisk(worker(letter));
    return { letter, bytes, vm: machine(bytes, engine) };
  });
  for (let i = 0; i < 60; i++) for (const { letter, vm } of pair) step(vm.pc, letter * 20);
  const together = pair.map(({ vm, bytes }) => fingerprint(vm, bytes));
  assert.deepEqual(together, alone);
  assert.notEqual(together[0].memory, together[1].memory);
  assert.match(together[0].screen, /^A+$/m);
  assert.match(together[1].screen, /^B+$/m);
  // What a person does to one does not reach the other: keys, memory, reset, end.
  const [a, b] = pair;
  const before = fingerprint(b.vm, b.bytes);
  a.vm.memory.write(0x600, Uint8Array.of(1, 2, 3));
  a.vm.pc.pio.write(0x40, 1, 0x55);
  a.vm.pc.reset("cold");
  a.vm.pc.dispose();
  assert.deepEqual(fingerprint(b.vm, b.bytes), before);
  step(b.vm.pc, 5000);
  assert.ok(b.vm.stats().instructions > before.instructions);
});

test("two running machines end on their own", async () => {
  const engine = createSoftEngine();
  const crash = machine(bootDisk([0x0f, 0x01, 0x1e, 0x00, 0x05, 0xcc]), engine);
  const halt = machine(bootDisk([0xfa, 0xf4]), engine);
  const loop = machine(bootDisk(worker(0x43)), engine);
  for (const vm of [crash, halt, loop]) vm.start();
  assert.equal((await crash.ended).kind, "crash");
  assert.equal((await halt.ended).kind, "halted");
  assert.equal(loop.state, "running");
  await loop.screen.waitFor(/C{20}/, { timeoutMs: 60_000 });
  for (const vm of [crash, halt, loop]) await vm.dispose();
});

/** Boots, types at the prompt, and stops at an instant of guest time. */
async function session(bytes, { prompt, keys, guestMs }) {
  const copy = bytes.slice();
  const vm = machine(copy, createSoftEngine(), 16);
  if (guestMs !== undefined) vm.pc.clock.createTimer("end", () => void vm.powerOff("time is up")).arm(guestMs * 1e6);
  vm.start();
  if (prompt !== undefined) {
    await vm.screen.waitFor(prompt, { timeoutMs: 200_000 });
    if (keys !== undefined) await vm.type(keys.text);
    if (keys !== undefined) await vm.screen.waitFor(keys.answer, { timeoutMs: 200_000 });
    await vm.pause();
  } else await vm.ended;
  const print = fingerprint(vm, copy);
  await vm.dispose();
  return print;
}

const disk = (name) => {
  const file = `${GUESTS}/${name}`;
  return fs.existsSync(file) ? new Uint8Array(fs.readFileSync(file)) : undefined;
};
for (const [name, bytes, plan] of [
  ["a guest of ours", bootDisk(worker(0x44)), { guestMs: 60 }],
  ["bootOS and its command line", disk("bootsectors/bootos.img"), { prompt: /^\$/m, keys: { text: "ver\n", answer: /bootOS/ } }],
  ["FreeDOS to its prompt, ver", disk("freedos/freedos-160k.img"), { prompt: /A:\\>/, keys: { text: "ver\n", answer: /version|FreeCom/i } }],
  ["tetros", disk("bootsectors/tetros.img"), { guestMs: 300 }],
]) {
  test(`the same disk and keys twice are the same run: ${name}`, {
    skip: bytes === undefined ? "guest not here (set WHYVE_GUESTS)" : false,
  }, async () => {
    const first = await session(bytes, plan);
    assert.ok(first.instructions > 100);
    assert.deepEqual(await session(bytes, plan), first);
  });
}
