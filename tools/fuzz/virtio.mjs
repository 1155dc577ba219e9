// A hostile driver of every virtio device: sets queues up as it should and then not, with requests that are almost right, damaged rings, any
// register and configuration access, old and new drivers mixed, time passing. The disk, the shared directory and its secret neighbour are watched.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { DirectoryTree } from "../../dist/backends/node/index.js";
import { disks, fuzzMachine, inspect, MEMORY_BYTES, WatchedDisk } from "./machine.mjs";
import { Random } from "./random.mjs";

const ACTIONS = 400;
const RING = 0x20000;
const BUFFERS = 0x100000;
const FIRST_SLOT = 3;

const base = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-fuzz-"));
const root = path.join(base, "share");
fs.mkdirSync(root);
fs.writeFileSync(path.join(base, "secret"), "secret");
process.on("exit", () => fs.rmSync(base, { recursive: true, force: true }));

/** A cable whose far end answers with the last frame now and then. */
function mirror(random) {
  return {
    name: "mirror",
    onReceive: undefined,
    send(frame) {
      if (random.once(2)) this.onReceive?.(frame.slice());
    },
    ready() {},
    close() {},
  };
}

class Driver {
  constructor(random, vm) {
    this.random = random;
    this.vm = vm;
    this.memory = vm.pc.vm.memory;
  }
  config(slot, register, size, value) {
    const { pio } = this.vm.pc;
    pio.write(0xcf8, 4, (0x80000000 | (slot << 11) | (register & 0xfc)) >>> 0);
    if (value === undefined) return pio.read(0xcfc + (register & 3), size);
    pio.write(0xcfc + (register & 3), size, value);
  }
  /** Places of the device's ranges as the BARs are now. */
  bars(slot) {
    return { io: this.config(slot, 0x10, 4) & 0xfffc, msix: this.config(slot, 0x14, 4) & ~15, modern: (this.config(slot, 0x20, 4) & ~15) >>> 0 };
  }
  write(slot, offset, size, value) {
    this.vm.pc.mmio.write(this.bars(slot).modern + offset, size, value);
  }
  read(slot, offset, size) {
    return this.vm.pc.mmio.read(this.bars(slot).modern + offset, size);
  }
  size(slot, queue) {
    return this.sizes?.get(slot * 64 + queue) ?? 8;
  }
  ring(slot, queue) {
    return RING + (slot - FIRST_SLOT) * 0x10000 + queue * 0x2000;
  }
  /** As a good driver does it. */
  start(slot) {
    const { random } = this;
    this.sizes ??= new Map();
    this.config(slot, 4, 2, 7);
    for (const status of [0, 1, 3]) this.write(slot, 0x14, 1, status);
    for (const half of [0, 1]) {
      this.write(slot, 0, 4, half);
      this.write(slot, 8, 4, half);
      const offered = this.read(slot, 4, 4);
      this.write(slot, 0xc, 4, random.once(3) ? (offered & (random.u32() | 1)) >>> 0 : offered);
    }
    this.write(slot, 0x14, 1, 11);
    const queues = Math.min(8, this.read(slot, 0x12, 2));
    for (let q = 0; q < queues; q++) {
      this.write(slot, 0x16, 2, q);
      const size = random.pick([1, 4, 8, 64]);
      this.sizes.set(slot * 64 + q, size);
      const at = this.ring(slot, q);
      this.memory.write(at, new Uint8Array(0x2000));
      for (const [register, value] of [
        [0x18, size],
        [0x1a, random.below(4)],
      ])
        this.write(slot, register, 2, value);
      for (const [register, value] of [
        [0x20, at],
        [0x28, at + 0x1000],
        [0x30, at + 0x1800],
      ]) {
        this.write(slot, register, 4, value);
        this.write(slot, register + 4, 4, 0);
      }
      this.write(slot, 0x1c, 2, 1);
    }
    this.write(slot, 0x14, 1, 15);
  }
  startLegacy(slot) {
    const { random } = this;
    const { pio } = this.vm.pc;
    const { io } = this.bars(slot);
    this.sizes ??= new Map();
    this.config(slot, 4, 2, 7);
    for (const status of [0, 1, 3]) pio.write(io + 18, 1, status);
    pio.write(io + 4, 4, pio.read(io, 4));
    for (let q = 0; q < 4; q++) {
      pio.write(io + 14, 2, q);
      pio.write(io + 8, 4, this.ring(slot, q) >>> 12);
      this.sizes.set(slot * 64 + q, pio.read(io + 12, 2) || 1);
    }
    if (!random.once(4)) pio.write(io + 18, 1, 7);
  }
  address() {
    return this.random.once(12) ? this.random.dword() : BUFFERS + this.random.below(0x40) * 0x400;
  }
  /** A request as it should be: one readable and one writable descriptor. */
  good(slot, message) {
    const { memory } = this;
    const at = this.ring(slot, 0);
    const size = this.size(slot, 0);
    const index = memory.read16(at + 0x1002);
    const head = size < 2 ? 0 : ((2 * index) % size) & ~1;
    memory.write(BUFFERS, message);
    for (const [i, [gpa, length, flags, next]] of [
      [BUFFERS, message.length, size < 2 ? 0 : 1, head + 1],
      [BUFFERS + 0x4000, 0x3000, 2, 0],
    ]
      .slice(0, size)
      .entries()) {
      const d = at + 16 * (head + i);
      for (const [offset, value] of [
        [0, gpa],
        [4, 0],
        [8, length],
      ])
        memory.write32(d + offset, value);
      memory.write16(d + 12, flags);
      memory.write16(d + 14, next);
    }
    memory.write16(at + 0x1004 + 2 * (index % size), head);
    memory.write16(at + 0x1002, index + 1);
    this.write(slot, 0x3000, 2, 0);
  }
  /** A request of a few descriptors, the first of which `head` fills. */
  put(slot, queue, head) {
    const { random, memory } = this;
    const size = this.size(slot, queue);
    const at = this.ring(slot, queue);
    const first = random.below(size);
    const count = Math.min(size, 1 + random.below(4));
    const header = BUFFERS + random.below(0x40) * 0x400;
    memory.write(header, head);
    for (let i = 0; i < count; i++) {
      const index = (first + i) % size;
      const d = at + 16 * index;
      const write = i > 0 && (random.once(2) || i === count - 1);
      memory.write32(d, i === 0 ? header : this.address());
      memory.write32(d + 4, random.once(60) ? random.u32() : 0);
      memory.write32(d + 8, i === 0 ? head.length : random.pick([0, 1, 16, 512, 1024, 4096, random.u32()]));
      let flags = (write ? 2 : 0) | (i < count - 1 ? 1 : 0);
      if (random.once(30)) flags = random.below(8);
      memory.write16(d + 12, flags);
      memory.write16(d + 14, random.once(40) ? random.u16() : (index + 1) % size);
    }
    const avail = at + 0x1000;
    const index = memory.read16(avail + 2);
    memory.write16(avail + 4 + 2 * (index % size), random.once(60) ? random.u16() : first);
    memory.write16(avail + 2, random.once(100) ? random.u16() : index + 1);
  }
}

const NAMES = ["..", ".", "a", "b", "dir", "new", "link", "", "../secret", "/", "x".repeat(300)];
const P9_TYPES = [8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 40, 50, 52, 54, 70, 72, 74, 76, 104, 108, 110, 116, 118, 120, 122];

function p9Message(random) {
  const out = [0, 0, 0, 0, random.once(30) ? random.u8() : random.pick(P9_TYPES), random.u8(), 0];
  const u = (bytes, value) => {
    for (let i = 0; i < bytes; i++) out.push(Math.floor(value / 256 ** i) & 0xff);
  };
  const text = (s) => {
    u(2, s.length);
    for (const c of s) out.push(c.charCodeAt(0));
  };
  if (random.once(25)) {
    out[4] = 100;
    u(4, random.pick([8192, 65536, 0xffffffff, 0]));
    text("9P2000.L");
  } else if (random.once(15)) {
    out[4] = 104;
    u(4, random.below(4));
    u(4, 0xffffffff);
    text("u");
    text("");
    u(4, 0);
  } else {
    u(4, random.below(5));
    for (let i = random.below(6); i > 0; i--) {
      const what = random.below(6);
      if (what === 0) u(4, random.below(5));
      else if (what === 1) u(4, random.pick([0, 1, 2, 0o1102, 0o200000, 0x200, 0x1a4, 0xffffffff, 4096]));
      else if (what === 2) u(2, random.below(4));
      else if (what === 3) u(8, random.once(4) ? random.u32() * random.u32() : random.below(100));
      else text(random.pick(NAMES));
    }
  }
  const length = random.once(20) ? random.below(200) : out.length;
  out[0] = length & 0xff;
  out[1] = length >>> 8;
  return Uint8Array.from(out);
}

/** Version, attach, and four numbers for what is there. */
function* session() {
  const text = (t) => [t.length, 0, ...Array.from(t, (c) => c.charCodeAt(0))];
  const message = (type, ...fields) => Uint8Array.from([7 + fields.length, 0, 0, 0, type, 1, 0, ...fields]);
  const none = [255, 255, 255, 255];
  yield message(100, 0, 32, 0, 0, ...text("9P2000.L"));
  yield message(104, 0, 0, 0, 0, ...none, ...text("u"), ...text(""), 0, 0, 0, 0);
  for (const [fid, name] of ["", "a", "dir", "new"].entries()) yield message(110, 0, 0, 0, 0, fid, 0, 0, 0, name === "" ? 0 : 1, 0, ...text(name));
  yield message(14, 0, 0, 0, 0, ...text("a"), 0x42, 0, 0, 0, 0xa4, 1, 0, 0, 0, 0, 0, 0);
  yield message(110, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0);
}

function request(random, device) {
  const bytes = new Uint8Array(16);
  if (device === "blk") {
    const v = new DataView(bytes.buffer);
    v.setUint32(0, random.pick([0, 0, 1, 1, 4, 8, 11, 13, random.u8()]), true);
    v.setUint32(8, random.once(8) ? random.u32() : random.below(300), true);
    v.setUint32(12, random.once(20) ? random.u32() : 0, true);
    return bytes;
  }
  if (device === "9p") return p9Message(random);
  return random.fill(new Uint8Array(random.pick([1, 8, 10, 12, 64, 200])));
}

export async function run(seed) {
  const random = new Random(seed);
  const drives = disks(Uint8Array.of(0xfa, 0xf4));
  drives.push({ kind: "hard-disk", image: new WatchedDisk("virtio", new Uint8Array(128 * 1024)), bus: "virtio" });
  const line = () => ({ onInput: undefined, writeByte() {} });
  const consoles = random.once(2) ? [line()] : [line(), line()];
  const tree = new DirectoryTree(root, { readOnly: random.once(3) });
  const net = { backend: mirror(random), mac: Uint8Array.of(2, 0, 0, 0, 0, 1) };
  const vm = fuzzMachine(drives, { config: { consoles, rng: true, shares: [{ tag: "s", tree }], net } });
  try {
    const driver = new Driver(random, vm);
    const { pio, mmio, clock } = vm.pc;
    const devices = new Map();
    for (let slot = FIRST_SLOT; slot < 12; slot++) {
      const name = { 1: "net", 2: "blk", 3: "console", 4: "rng", 9: "9p" }[driver.config(slot, 0x2e, 2)];
      if (name !== undefined) devices.set(slot, name);
    }
    if (devices.size < 4) throw new Error(`only ${[...devices.values()].join()} were found`);
    const slots = [...devices.keys()];
    for (const slot of slots) {
      if (random.once(3)) driver.startLegacy(slot);
      else driver.start(slot);
    }
    for (let i = 0; i < ACTIONS; i++) {
      const slot = random.pick(slots);
      const size = random.pick([1, 2, 4]);
      const mask = (value) => (size === 4 ? value >>> 0 : value & (2 ** (8 * size) - 1));
      const queue = random.below(devices.get(slot) === "console" ? 6 : devices.get(slot) === "net" ? 3 : 1);
      if (random.once(4) && (driver.read(slot, 0x14, 1) & 0x44) !== 4) {
        driver.start(slot);
        if (devices.get(slot) === "9p") for (const message of session()) driver.good(slot, message);
      }
      if (devices.get(slot) === "9p" && random.once(2)) {
        driver.good(slot, p9Message(random));
        continue;
      }
      switch (random.below(40)) {
        case 0:
          driver.write(slot, random.below(0x40), size, mask(random.dword()));
          break;
        case 1:
          driver.write(slot, random.pick([0x1000, 0x2000, 0x3000]) + random.below(64), size, mask(random.dword()));
          break;
        case 2:
          driver.read(slot, random.pick([0, 0x1000, 0x2000, 0x3000]) + random.below(0x40), size);
          break;
        case 3:
          driver.config(slot, random.below(256) & ~(size - 1), size, mask(random.dword()));
          break;
        case 4:
          pio.write(driver.bars(slot).io + random.below(64), size, mask(random.dword()));
          break;
        case 5:
          mmio.write(driver.bars(slot).msix + random.below(0x840), size, mask(random.dword()));
          break;
        case 6:
          driver.memory.write32(driver.ring(slot, queue) + random.below(0x2000), random.dword());
          break;
        case 7:
          if (random.once(3)) driver.startLegacy(slot);
          else driver.start(slot);
          break;
        case 8:
          clock.idle();
          clock.fireDue();
          break;
        case 9:
          consoles[0].onInput?.(random.u8());
          break;
        default:
          for (let n = 1 + random.below(3); n > 0; n--) driver.put(slot, queue, request(random, devices.get(slot)));
          driver.write(slot, 0x3000 + 4 * queue, 2, queue);
          if (random.once(3)) pio.write(driver.bars(slot).io + 16, 2, queue);
      }
      vm.pc.takeRequest();
    }
    inspect(vm);
    vm.pc.reset("cold");
    for (const { image } of drives) image.check();
    if (vm.pc.vm.memory.sizeBytes !== MEMORY_BYTES) throw new Error("memory changed its size");
    if (fs.readFileSync(path.join(base, "secret"), "utf8") !== "secret" || fs.readdirSync(base).length !== 2) throw new Error("the share leaks");
  } finally {
    await vm.dispose();
  }
  return "done";
}
