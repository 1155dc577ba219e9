// A graphical desktop with a mouse: KolibriOS, looked at by its pixels. Virtual clock.
import assert from "node:assert/strict";
import { test } from "node:test";
import { boot } from "../support/machine.mjs";
import { guest, idle, needs } from "./support.mjs";

const IMAGE = "kolibrios/kolibri.img";

/** How many pixels of the rectangle satisfy the predicate. */
function count(frame, left, top, width, height, matches) {
  let n = 0;
  for (let y = top; y < top + height; y++) {
    for (let x = left; x < left + width; x++) {
      const at = (y * frame.width + x) * 4;
      if (matches(frame.rgba[at], frame.rgba[at + 1], frame.rgba[at + 2])) n++;
    }
  }
  return n;
}
const white = (r, g, b) => r > 250 && g > 250 && b > 250;
const grey = (r, g, b) => r > 150 && Math.abs(r - g) < 12 && Math.abs(g - b) < 12;

test("KolibriOS: desktop, the pointer follows the mouse, a click opens the menu", needs(IMAGE), async () => {
  const vm = await boot({ disk: guest(IMAGE), snapshot: true, clock: "virtual" });
  try {
    await idle(vm, 25);
    assert.deepEqual({ ...vm.screen.mode() }.kind, "graphics");
    const desktop = vm.screen.frame();
    assert.deepEqual([desktop.width, desktop.height], [800, 600]);
    assert.ok(count(desktop, 200, 574, 400, 24, grey) > 9000, "task bar");
    const centre = [395, 295, 20, 30];
    assert.ok(count(desktop, ...centre, white) > 20, "pointer in the middle");
    // Into the lower left corner, then in small steps (no acceleration) onto "Menu".
    for (let i = 0; i < 120; i++) {
      vm.mouse(-6, 6);
      await idle(vm, 0.02);
    }
    for (let i = 0; i < 20; i++) {
      vm.mouse(1, i < 14 ? -1 : 0);
      await idle(vm, 0.2);
    }
    assert.equal(count(vm.screen.frame(), ...centre, white), 0, "pointer left the middle");
    const menu = [10, 290, 130, 270];
    assert.ok(count(vm.screen.frame(), ...menu, grey) < 8000, "no menu yet");
    vm.mouse(0, 0, 1);
    await idle(vm, 0.1);
    vm.mouse(0, 0, 0);
    await idle(vm, 2);
    assert.ok(count(vm.screen.frame(), ...menu, grey) > 22000, "menu is open");
  } finally {
    await vm.dispose();
  }
});
