// Random boot sectors: noise, noise with a taste, mutations of real boot sectors, storms of ports and of BIOS calls.
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { writeCode } from "./code.mjs";
import { disks, fuzzMachine, runToEnd } from "./machine.mjs";
import { Random } from "./random.mjs";

const GUESTS = process.env["WHYVE_GUESTS"] ?? fileURLToPath(new URL("../../../shared/guests", import.meta.url));
/** Guest time of a run: 60000 instructions, now and then 400000. */
const GUEST_NS = 3_000_000;
const LONG_GUEST_NS = 20_000_000;

/** The first sectors of the real disks that are here; the built-in demonstration disk is always. */
function realStarts() {
  const starts = [];
  const look = (dir, depth) => {
    for (const entry of fs.readdirSync(dir, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const file = path.join(dir, entry.name);
      if (entry.isDirectory() && depth > 0) look(file, depth - 1);
      else if (/\.(img|flp|bin)$/.test(entry.name) || ["boot0", "boot0sio", "boot1", "mbr", "pmbr", "boot"].includes(entry.name)) {
        const bytes = new Uint8Array(16384);
        const fd = fs.openSync(file, "r");
        const n = fs.readSync(fd, bytes, 0, bytes.length, 0);
        fs.closeSync(fd);
        if (n >= 512) starts.push(bytes.subarray(0, n));
      }
    }
  };
  if (fs.existsSync(GUESTS)) look(GUESTS, 2);
  const demo = fileURLToPath(new URL("../../demo/demo.img", import.meta.url));
  if (fs.existsSync(demo)) starts.push(new Uint8Array(fs.readFileSync(demo)).subarray(0, 16384));
  return starts;
}
const STARTS = realStarts();

function sign(bytes) {
  bytes[510] = 0x55;
  bytes[511] = 0xaa;
  return bytes;
}

/** A real disk's start with some bytes changed. */
function mutated(random) {
  const bytes = random.pick(STARTS).slice();
  const where = random.once(2) ? 512 : bytes.length;
  for (let n = random.pick([1, 2, 4, 8, 16, 64]); n > 0; n--) {
    const at = random.below(where);
    bytes[at] = random.once(3) ? bytes[at] ^ (1 << random.below(8)) : random.u8();
  }
  return sign(bytes);
}

const IO = [0xe6, 0xe7, 0xee, 0xef, 0xec, 0xed, 0xe4, 0xe5];
const code = {
  noise: (random) => random.fill(new Uint8Array(512)),
  spiced(random) {
    const bytes = new Uint8Array(512);
    writeCode(random, bytes, 0, 510, 1);
    return bytes;
  },
  selfModifying(random) {
    const sector = new Uint8Array(0x7e00);
    writeCode(random, sector, 0x7c00, 0x7dfe, 2);
    return sector.slice(0x7c00);
  },
  ports(random) {
    const bytes = new Uint8Array(512);
    // mov dx, port; mov ax, value; in/out
    for (let i = 0; i < 500; )
      for (const byte of [0xba, random.u8(), random.u8() & 3, 0xb8, random.u8(), random.u8(), random.pick(IO), random.u8()]) bytes[i++] = byte;
    return bytes;
  },
  calls(random) {
    const bytes = new Uint8Array(512);
    for (let i = 0; i < 490; ) {
      const ah = random.below(0x60);
      for (const byte of [
        0xb8,
        random.u8(),
        ah,
        0xbb,
        random.u8(),
        random.u8(),
        0xb9,
        random.u8(),
        random.u8(),
        0xba,
        random.u8(),
        random.u8() & 0x80,
        0xcd,
        0x10 + random.below(11),
      ])
        bytes[i++] = byte;
    }
    return bytes;
  },
  // sti; a flat protected mode or long mode start is what `cpu` fuzzes; here the guest finds its own way from real mode
  interrupts(random) {
    const bytes = new Uint8Array(512);
    bytes[0] = 0xfb;
    for (let i = 1; i < 500; ) for (const byte of [0xcd, random.u8()]) bytes[i++] = byte;
    return bytes;
  },
};

/** One run; returns its kind and end. */
export async function run(seed) {
  const random = new Random(seed);
  const styles = Object.keys(code);
  const style = STARTS.length > 0 && random.once(3) ? "mutated" : random.pick(styles);
  const bytes = style === "mutated" ? mutated(random) : sign(code[style](random));
  const hard = random.once(4);
  const drives = disks(bytes, { hard });
  const vm = fuzzMachine(drives, {
    hard,
    trapStyle: random.once(2) ? "port" : "vmcall",
    tripleFault: random.once(2) ? "reset" : "stop",
    stopOnReset: random.once(2),
  });
  if (random.once(4)) void vm.type("abc\n{", { literal: true }).catch(() => {});
  if (random.once(4)) vm.mouse(random.below(100) - 50, random.below(100) - 50, random.below(8));
  return `${style}:${await runToEnd(vm, drives, random.once(16) ? LONG_GUEST_NS : GUEST_NS)}`;
}
