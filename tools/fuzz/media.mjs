// Damaged media that firmware must read: El Torito discs of all four forms, and kernel files for direct boot (bzImage, multiboot 1 and 2).
import { loadKernel } from "../../dist/loaders/index.js";
import { writeCode } from "./code.mjs";
import { disks, fuzzMachine, runToEnd, WatchedDisk } from "./machine.mjs";
import { Random } from "./random.mjs";

const GUEST_NS = 3_000_000;
const SECTOR = 2048;
const SECTORS = 1600;
const CATALOG = 20;
const IMAGE = 21;

function text(bytes, at, s) {
  for (let i = 0; i < s.length; i++) bytes[at + i] = s.charCodeAt(i);
}

/** A disc that boots: ISO 9660 descriptors, boot record, boot catalog with a default entry and one section (El Torito 1.0). */
function disc(random) {
  const bytes = new Uint8Array(SECTORS * SECTOR);
  const view = new DataView(bytes.buffer);
  for (const [sector, type] of [
    [16, 1],
    [17, 0],
    [18, 255],
  ]) {
    bytes[sector * SECTOR] = type;
    text(bytes, sector * SECTOR + 1, "CD001\u0001");
  }
  text(bytes, 17 * SECTOR + 7, "EL TORITO SPECIFICATION");
  view.setUint32(17 * SECTOR + 0x47, CATALOG, true);
  const at = CATALOG * SECTOR;
  bytes[at] = 1;
  text(bytes, at + 4, "FUZZ");
  bytes[at + 30] = 0x55;
  bytes[at + 31] = 0xaa;
  let sum = 0;
  for (let i = 0; i < 32; i += 2) sum += view.getUint16(at + i, true);
  view.setUint16(at + 28, -sum & 0xffff, true);
  // Default entry: bootable, medium 0 none, 1-3 floppies, 4 hard disk.
  bytes[at + 32] = 0x88;
  bytes[at + 33] = random.below(5);
  view.setUint16(at + 34, random.pick([0, 0x7c0, 0x1000, 0xffff]), true);
  view.setUint16(at + 38, random.pick([1, 4, 32, 0xffff]), true);
  view.setUint32(at + 40, IMAGE, true);
  bytes[at + 64] = random.pick([0x90, 0x91]);
  view.setUint16(at + 66, 1, true);
  bytes[at + 96] = 0x88;
  view.setUint32(at + 104, IMAGE, true);
  const sector = new Uint8Array(512);
  writeCode(random, sector, 0, 510, 1);
  sector[510] = 0x55;
  sector[511] = 0xaa;
  // A partition, for the hard-disk form.
  sector.set([0x80, 1, 1, 0, 6, 15, 63, 9, 63, 0, 0, 0, 0, 16, 0, 0], 446);
  bytes.set(sector, IMAGE * SECTOR);
  return bytes;
}

function damage(random, bytes, ranges) {
  for (let n = random.pick([0, 1, 2, 4, 8, 24]); n > 0; n--) {
    const [from, length] = random.pick(ranges);
    const at = from + random.below(length);
    if (at < bytes.length) bytes[at] = random.once(2) ? bytes[at] ^ (1 << random.below(8)) : random.u8();
  }
}

async function bootDisc(random) {
  let bytes = disc(random);
  const ranges = [
    [16 * SECTOR, 8],
    [17 * SECTOR, 80],
    [CATALOG * SECTOR, 128],
    [CATALOG * SECTOR, 128],
    [IMAGE * SECTOR, 512],
  ];
  damage(random, bytes, ranges);
  if (random.once(8)) bytes = bytes.slice(0, (17 + random.below(SECTORS - 17)) * SECTOR);
  const drives = [
    ...disks(new Uint8Array(512)).slice(0, 2),
    { kind: "cdrom", image: new WatchedDisk("disc", bytes, { sectorBytes: 2048, readOnly: true }) },
  ];
  const vm = fuzzMachine(drives, { stopOnReset: true, config: { boot: ["cd", "hd", "fd"] } });
  return `disc:${await runToEnd(vm, drives, GUEST_NS)}`;
}

function bzImage(random) {
  const bytes = new Uint8Array(5 * 512 + 0x4000);
  const view = new DataView(bytes.buffer);
  bytes[0x1f1] = 4;
  view.setUint32(0x1f4, 0x400, true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint16(0x200, 0x6aeb, true);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, random.pick([0x200, 0x202, 0x204, 0x20a, 0x20c, 0x20f]), true);
  bytes[0x211] = random.below(2);
  view.setUint32(0x22c, 0x7fffffff, true);
  view.setUint32(0x230, 0x1000, true);
  bytes[0x234] = 1;
  view.setUint16(0x236, 1, true);
  view.setUint32(0x238, 2047, true);
  view.setUint32(0x258, 0x100000, true);
  view.setUint32(0x260, 0x8000, true);
  writeCode(random, bytes, 0x400, bytes.length, 1);
  return bytes;
}

function multiboot(random, version) {
  const bytes = new Uint8Array(0x2000);
  const view = new DataView(bytes.buffer);
  const program = [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0];
  bytes.set(program);
  for (const [at, value] of [
    [20, 1],
    [24, 0x100100],
    [28, 52],
    [32, 0],
    [52, 1],
    [56, 84],
    [60, 0x100000],
    [64, 0x100000],
    [68, 0x1000],
    [72, 0x3000],
  ])
    view.setUint32(at, value, true);
  for (const [at, value] of [
    [40, 52],
    [42, 32],
    [44, 1],
    [46, 40],
  ])
    view.setUint16(at, value, true);
  const at = 88;
  if (version === 1) {
    const flags = random.pick([0, 3, 0x10003]);
    for (const [i, value] of [0x1badb002, flags, -(0x1badb002 + flags) >>> 0, 0x100000 + at, 0x100000, 0, 0, 0x100100].entries())
      view.setUint32(at + 4 * i, value, true);
  } else {
    for (const [i, value] of [0xe85250d6, 0, 32, -(0xe85250d6 + 32) >>> 0, random.pick([1, 2, 3, 4, 6, 77]), 8, 0, 8].entries())
      view.setUint32(at + 4 * i, value, true);
  }
  writeCode(random, bytes, 0x200, bytes.length, 4);
  return bytes;
}

async function startKernel(random) {
  const style = random.below(3);
  let bytes = style === 0 ? bzImage(random) : multiboot(random, style);
  damage(
    random,
    bytes,
    style === 0
      ? [[0x1f1, 0x80]]
      : [
          [0, 128],
          [84, 64],
        ],
  );
  if (random.once(6)) bytes = bytes.slice(0, random.below(bytes.length));
  const kernel = {
    kernel: { name: "kernel", bytes },
    modules: random.once(2) ? [{ name: "module", bytes: random.fill(new Uint8Array(random.below(5000))), commandLine: "" }] : [],
    commandLine: "a b c",
    ...(random.once(2) ? {} : { linuxEntry: random.pick([16, 32, 64]) }),
  };
  try {
    // As `boot` does it: what is wrong with the file is said before there is a machine.
    loadKernel(kernel, {
      memoryMap: [
        { start: 0, length: 0x9fc00, type: 1 },
        { start: 0x100000, length: 0xf0000, type: 1 },
      ],
      rsdp: undefined,
    });
  } catch (error) {
    if (error?.name !== "VmmError" || error.message.includes("\n")) throw error;
    return "kernel:refused";
  }
  const drives = disks(new Uint8Array(512));
  let vm;
  try {
    vm = fuzzMachine(drives, { stopOnReset: true, config: { kernel } });
  } catch (error) {
    if (error?.name !== "VmmError") throw error;
    return "kernel:refused";
  }
  return `kernel:${await runToEnd(vm, drives, GUEST_NS)}`;
}

/** One run; returns its kind and end. */
export function run(seed) {
  const random = new Random(seed);
  return random.once(2) ? bootDisc(random) : startKernel(random);
}
