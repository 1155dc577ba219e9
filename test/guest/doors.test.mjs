// The doors for personalities and debuggers: who answers an exit before the machine does, and who watches, several at a time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { boot } from "../../dist/node/index.js";

/** A floppy whose boot sector is `code`. */
function floppy(code) {
  const bytes = new Uint8Array(1474560);
  bytes.set(code);
  return { kind: "floppy", backend: new MemoryBlockBackend("floppy", bytes) };
}

/** mov ax, AX */
const movAx = (value) => [0xb8, value & 0xff, value >> 8];
const VMCALL = [0x0f, 0x01, 0xc1];
/** mov [at], ax with DS 0 */
const storeAx = (at) => [0xa3, at & 0xff, at >> 8];
const HALT = [0xfa, 0xf4];

test("two personalities answer their own hypercalls in RAM, the BIOS still its own; a third call is the guest's #UD", async () => {
  // INT 12h goes through the BIOS. #UD (vector 6) leads to the halt at 7C40.
  const code = [0x31, 0xc0, 0x8e, 0xd8, 0xc7, 0x06, 0x18, 0x00, 0x40, 0x7c, 0xc7, 0x06, 0x1a, 0x00, 0x00, 0x00];
  for (const [call, at] of [
    [1, 0x500],
    [2, 0x502],
  ])
    code.push(...movAx(call), ...VMCALL, ...storeAx(at));
  code.push(0xcd, 0x12, ...storeAx(0x504), ...movAx(3), ...VMCALL);
  while (code.length < 0x40) code.push(0x90);
  code.push(...movAx(0xdead), ...storeAx(0x506), ...HALT);
  const vm = await boot({ images: [floppy(code)], clock: "virtual", start: false });
  const personality = (number, result) => ({
    kinds: ["vmcall"],
    respond(_exit, vcpu) {
      if (vcpu.regs.ax !== number || vcpu.regs.selector("cs") !== 0) return undefined;
      vcpu.regs.ax = result;
      return { kind: "skip" };
    },
  });
  vm.answerExits(personality(1, 0x1111));
  vm.answerExits(personality(2, 0x2222));
  vm.start();
  assert.equal((await vm.ended).kind, "halted");
  assert.deepEqual([...new Uint16Array(vm.memory.read(0x500, 8).buffer)], [0x1111, 0x2222, 639, 0xdead]);
  await vm.dispose();
});

test("a debugger with a breakpoint and a trace watch at once: the guest stands at the breakpoint and goes on from there", async () => {
  // int3; mov ax, 7; mov [500h], ax; cli; hlt
  const vm = await boot({
    images: [floppy([0x31, 0xc0, 0x8e, 0xd8, 0xcc, ...movAx(7), ...storeAx(0x500), ...HALT])],
    clock: "virtual",
    start: false,
  });
  const { vcpu } = vm.pc;
  vcpu.intercepts.exceptionBitmap = 1 << 3;
  const traced = new Set();
  const hits = [];
  vm.observe({ maxBudget: Number.MAX_SAFE_INTEGER, beforeRun() {}, afterRun: (exit) => void traced.add(exit.kind) });
  vm.answerExits({ kinds: ["exception"], respond: () => ({ kind: "skip" }) });
  const debugging = vm.observe({
    maxBudget: Number.MAX_SAFE_INTEGER,
    beforeRun() {},
    afterRun(exit, cpu) {
      if (exit.kind !== "exception") return;
      hits.push(Number(cpu.regs.raw.getRip()));
      void vm.pause();
    },
  });
  vm.start();
  while (vm.state !== "paused") await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(hits, [0x7c04]);
  assert.ok(traced.has("exception") && traced.has("vmcall"));
  assert.deepEqual([...vm.memory.read(0x500, 2)], [0, 0]);
  debugging();
  vm.resume();
  assert.equal((await vm.ended).kind, "halted");
  assert.deepEqual([...vm.memory.read(0x500, 2)], [7, 0]);
  await vm.dispose();
});

test("what is no observer or responder is refused in words, before the guest meets it; so is one of a machine that is no more", async () => {
  const vm = await boot({ images: [floppy(HALT)], clock: "virtual", start: false });
  const refused = (call, message) => assert.throws(call, { code: "API_ARGUMENT", message });
  const methods = { beforeRun() {}, afterRun() {} };
  for (const bad of [undefined, 5, {}, { ...methods, afterRun: 5 }]) refused(() => vm.observe(bad), /^observe\(\): observer is .*; use \{ maxBudget/);
  for (const maxBudget of [undefined, 0, 1.5, NaN, "1"])
    refused(() => vm.observe({ ...methods, maxBudget }), /^observe\(\): observer\.maxBudget is /);
  for (const bad of [undefined, 5, { kinds: [] }]) refused(() => vm.answerExits(bad), /^answerExits\(\): responder is /);
  for (const kinds of [undefined, "exception", [5]]) refused(() => vm.answerExits({ kinds, respond() {} }), /^answerExits\(\): responder\.kinds/);
  vm.start();
  assert.equal((await vm.ended).kind, "halted");
  await vm.dispose();
  assert.throws(() => vm.observe({ ...methods, maxBudget: 1 }), { code: "MACHINE_ENDED" });
  assert.throws(() => vm.answerExits({ kinds: [], respond() {} }), { code: "MACHINE_ENDED" });
});

test("a time at power-on that no calendar has is refused", async () => {
  for (const rtcMs of [NaN, Infinity, 1e300, -9e15]) {
    await assert.rejects(boot({ images: [floppy(HALT)], rtcMs, start: false }), { code: "CONFIG_RTC" });
  }
});
