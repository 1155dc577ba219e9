// Random accesses to every device: on the port and memory buses directly, time passing in between, and floods from inside a guest.
import { disks, fuzzMachine, inspect, runToEnd } from "./machine.mjs";
import { Random } from "./random.mjs";

const ACCESSES = 3000;
/** First port and number of ports of everything a PC has there; the rest of the space is visited now and then. */
const DEVICES = [
  [0x00, 16],
  [0x20, 2],
  [0x40, 4],
  [0x60, 8],
  [0x70, 8],
  [0x80, 16],
  [0x92, 1],
  [0xa0, 2],
  [0xb2, 2],
  [0xc0, 32],
  [0xe9, 1],
  [0xf0, 2],
  [0x170, 8],
  [0x1ce, 3],
  [0x1f0, 8],
  [0x2e8, 8],
  [0x2f8, 8],
  [0x376, 1],
  [0x378, 3],
  [0x3b0, 16],
  [0x3c0, 16],
  [0x3d0, 16],
  [0x3e8, 8],
  [0x3f0, 8],
  [0x3f8, 8],
  [0x4d0, 2],
  [0xcf8, 8],
  [0x600, 64],
  [0x8900, 2],
  [0xc000, 32],
  [0xfff0, 16],
];
const HLT = [0xfa, 0xf4];

function port(random, focus) {
  if (random.once(40)) return random.u16();
  const [base, count] = random.once(3) ? random.pick(DEVICES) : focus;
  return base + random.below(count);
}

function accessDirectly(random, vm) {
  const { pio, mmio, clock } = vm.pc;
  let focus = random.pick(DEVICES);
  for (let i = 0; i < ACCESSES; i++) {
    if (random.once(50)) focus = random.pick(DEVICES);
    const size = random.pick([1, 1, 1, 2, 4]);
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
      case 3:
        pio.write(
          port(random, focus),
          size,
          ((random.once(2) ? random.u8() : random.u32()) >>> 0) & ((size === 4 ? 0xffffffff : (1 << (size * 8)) - 1) >>> 0),
        );
        break;
      case 4:
      case 5: {
        const value = pio.read(port(random, focus), size);
        if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) throw new Error(`port read gave ${value} for ${size} bytes`);
        break;
      }
      case 6: {
        const gpa = random.once(2) ? 0xa0000 + random.below(0x20000) : random.dword();
        if (random.once(2)) mmio.write(gpa, size, random.u32() & (size === 4 ? -1 : (1 << (size * 8)) - 1));
        else mmio.read(gpa, size);
        break;
      }
      default:
        if (random.once(4)) {
          // Time passes: timers of the chips fire.
          clock.idle();
          clock.fireDue();
        }
    }
    vm.pc.takeRequest();
  }
}

/** A boot sector that walks a table of (port, value, kind) and starts over, with interrupts on or off. */
export function flood(random) {
  const bytes = new Uint8Array(512);
  let i = 0;
  const put = (...list) => {
    for (const byte of list) bytes[i++] = byte;
  };
  put(0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0, 0x7c, random.once(2) ? 0xfb : 0xfa);
  const focus = random.pick(DEVICES);
  while (i < 480) {
    const at = port(random, focus);
    put(0xba, at & 0xff, at >> 8);
    if (random.once(6))
      put(0xbe, random.u8(), random.u8(), 0xbf, random.u8(), random.u8(), 0xb9, random.u8(), random.u8() & 3, 0xf3, 0x6c + random.below(4));
    else if (random.once(8)) put(0x66, random.pick([0xed, 0xef]));
    else put(0xb8, random.u8(), random.u8(), random.pick([0xec, 0xee, 0xee, 0xee, 0xed, 0xef]));
  }
  put(0xe9, (0x10000 - (i + 3) + 12) & 0xff, ((0x10000 - (i + 3) + 12) >> 8) & 0xff);
  bytes[510] = 0x55;
  bytes[511] = 0xaa;
  return bytes;
}

export async function run(seed) {
  const random = new Random(seed);
  const inside = random.once(2);
  const drives = disks(inside ? flood(random) : Uint8Array.from(HLT));
  const vm = fuzzMachine(drives, { tripleFault: "reset", trapStyle: random.once(2) ? "port" : "vmcall" });
  if (inside) return `flood:${await runToEnd(vm, drives, 2_000_000)}`;
  try {
    accessDirectly(random, vm);
    inspect(vm);
    for (const { image } of drives) image.check();
  } finally {
    await vm.dispose();
  }
  return "direct:done";
}
