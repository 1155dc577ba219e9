// Real disks, tested through what a person sees. Virtual clock: the same on every host, and no waiting.
import assert from "node:assert/strict";
import { test } from "node:test";
import { boot } from "../../dist/machine/index.js";
import { guest, needs } from "./support.mjs";

const start = (disk, options = {}) => boot({ disk, snapshot: true, clock: "virtual", ...options });
const LONG = { timeoutMs: 120_000 };

test("bootOS: prompt, dir", needs("bootsectors/bootos.img"), async () => {
  const vm = await start(guest("bootsectors/bootos.img"));
  await vm.screen.waitFor(/bootOS[\s\S]*\$/, LONG);
  await vm.type("dir\n");
  await vm.screen.waitFor(/\$dir[\s\S]*\$/, LONG);
  await vm.dispose();
});

test("bootBASIC: 6*7 is 42", needs("bootsectors/bootbasic.img"), async () => {
  const vm = await start(guest("bootsectors/bootbasic.img"));
  await vm.screen.waitFor(">", LONG);
  await vm.type("print 6*7\n");
  await vm.screen.waitFor(/^42$/m, LONG);
  await vm.dispose();
});

test("SectorLISP quotes an atom", needs("bootsectors/sectorlisp.bin"), async () => {
  const vm = await start(guest("bootsectors/sectorlisp.bin"));
  await vm.type("(QUOTE A)\n");
  await vm.screen.waitFor(/^A$/m, LONG);
  await vm.dispose();
});

test("bootRogue draws its dungeon", needs("bootsectors/bootrogue.img"), async () => {
  const vm = await start(guest("bootsectors/bootrogue.img"));
  await vm.screen.waitFor(/╔═+╗[\s\S]*1 16$/, LONG);
  await vm.dispose();
});

test("TetrOS draws a well of grey cells in 40 columns", needs("bootsectors/tetros.img"), async () => {
  const vm = await start(guest("bootsectors/tetros.img"));
  while (vm.screen.mode().width !== 40 || !vm.screen.snapshot().attributes.includes(0x88)) await new Promise((r) => setTimeout(r, 20));
  assert.equal(vm.screen.snapshot().columns, 40);
  await vm.dispose();
});

for (const [name, free] of [
  ["160k", "39,936"],
  ["360k", "112,371"],
  ["720k", "610,304"],
]) {
  test(`FreeDOS ${name}: ver /r and dir`, needs(`freedos/freedos-${name}.img`), async () => {
    const vm = await start(guest(`freedos/freedos-${name}.img`));
    await vm.screen.waitFor("A:\\>", LONG);
    await vm.type("ver /r\n");
    await vm.screen.waitFor("FreeDOS kernel version 0.0.40", LONG);
    await vm.type("dir\n");
    await vm.screen.waitFor(free, LONG);
    await vm.dispose();
  });
}

test("MikeOS: file list, then its command line", needs("mikeos/mikeos-4.6.1.flp"), async () => {
  const vm = await start(guest("mikeos/mikeos-4.6.1.flp"));
  await vm.screen.waitFor(/Version 4\.6\.1/, LONG);
  await vm.screen.waitFor(/Thanks for trying out MikeOS/, LONG);
  await vm.keys("ArrowRight", "Enter");
  await vm.screen.waitFor(/^> ?$/m, LONG);
  await vm.type("VER\n");
  await vm.screen.waitFor(/MikeOS 4\.6\.1/, LONG);
  await vm.dispose();
});

test("the same disk and keys give the same run, bit for bit", needs("freedos/freedos-360k.img"), async () => {
  const run = async () => {
    const vm = await start(guest("freedos/freedos-360k.img"), { memoryBytes: 16 * 2 ** 20 });
    await vm.screen.waitFor("A:\\>", LONG);
    await vm.type("dir\n");
    await vm.screen.waitFor(/bytes free[\s\S]*A:\\>/, LONG);
    await vm.pause();
    const { createHash } = await import("node:crypto");
    const memory = createHash("sha256").update(vm.memory.read(0, vm.memory.sizeBytes)).digest("hex");
    const stats = Object.fromEntries(Object.entries(vm.stats()).filter(([name]) => !name.startsWith("engine.")));
    await vm.dispose();
    return { memory, stats };
  };
  assert.deepEqual(await run(), await run());
});

test("two machines in one process do not disturb each other", needs("freedos/freedos-360k.img", "bootsectors/bootbasic.img"), async () => {
  const [dos, basic] = await Promise.all([start(guest("freedos/freedos-360k.img")), start(guest("bootsectors/bootbasic.img"))]);
  await Promise.all([dos.screen.waitFor("A:\\>", LONG), basic.screen.waitFor(">", LONG)]);
  await Promise.all([dos.type("echo one\n"), basic.type("print 2\n")]);
  await Promise.all([dos.screen.waitFor(/^one$/m, LONG), basic.screen.waitFor(/^2$/m, LONG)]);
  await Promise.all([dos.dispose(), basic.dispose()]);
});
