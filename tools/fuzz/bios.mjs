// Random BIOS calls: every vector, random registers, segments and stacks, made one after the other by a guest in real mode.
import { disks, fuzzMachine, inspect } from "./machine.mjs";
import { Random } from "./random.mjs";

const CALLS = 60;
/** Instructions one call may take before the next is made. */
const PER_CALL = 1000;
const VECTORS = [
  0x05, 0x08, 0x09, 0x10, 0x10, 0x10, 0x11, 0x12, 0x13, 0x13, 0x13, 0x13, 0x14, 0x15, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1a, 0x40, 0x4a, 0x70,
  0x74, 0x75, 0x76,
];
const FLOPPY = 0x00,
  DISK = 0x80,
  CD = 0xe0;

function registers(random, vcpu, vector) {
  const { regs } = vcpu;
  const raw = regs.raw;
  for (let r = 0; r < 8; r++) raw.setGpr(r, BigInt(random.once(3) ? random.dword() : random.word()));
  const ah = random.once(8) ? random.u8() : random.below(vector === 0x13 ? 0x50 : vector === 0x10 ? 0x20 : vector === 0x15 ? 0x100 : 0x20);
  const ax = (ah << 8) | random.u8();
  raw.setGpr(
    0,
    BigInt(
      vector === 0x10 && random.once(3)
        ? 0x4f00 | random.below(0x16)
        : vector === 0x15 && random.once(3)
          ? random.pick([0xe801, 0xe820, 0xe881, 0x5300 | random.below(16), 0xc200 | random.below(10), 0x2400 | random.below(4)])
          : vector === 0x1a && random.once(3)
            ? 0xb100 | random.below(16)
            : ax,
    ),
  );
  if (vector === 0x13) {
    // Impossible transfers: count 0 and above 128, past the end, across 64 KB, over the BIOS data area, into ROM and the screen, round 1 MB.
    const count = random.pick([0, 1, 2, 17, 18, 19, 127, 128, 129, 255, random.u8()]);
    raw.setGpr(0, BigInt((random.pick([ah, 2, 3, 4, 5, 8, 0x15, 0x41, 0x42, 0x43, 0x44, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b]) << 8) | count));
    raw.setGpr(1, BigInt(random.word()));
    raw.setGpr(2, BigInt((random.word() & 0xff00) | random.pick([FLOPPY, 1, DISK, 0x81, CD, 0xff, random.u8()])));
    raw.setGpr(3, BigInt(random.word()));
  }
  const segment = (name, selector) => raw.setSegment(name, { selector, base: BigInt(selector << 4), limit: 0xffff, access: 0x93 });
  for (const name of ["ds", "es", "fs", "gs"])
    segment(name, random.pick([0, 0x40, 0x7c0, 0x1000, 0x9fc0, 0xa000, 0xb800, 0xc000, 0xf000, 0xffff, random.u16()]));
  segment("ss", random.once(12) ? random.pick([0, 0x40, 0xa000, 0xb800, 0xf000, 0xffff]) : 0x8000);
  raw.setGpr(4, BigInt(random.once(12) ? random.pick([0, 1, 2, 4, 6, 0xffff, 0x400]) : 0x7000));
  raw.setSegment("cs", { selector: 0x7000, base: 0x70000n, limit: 0xffff, access: 0x9b });
  raw.setRip(0n);
  raw.setRflags(2 | (random.once(2) ? 0x200 : 0) | (random.once(40) ? 0x100 : 0) | random.pick([0, 1, 0x40, 0x400]));
}

/** A disk address packet with wild contents at DS:SI, when that is RAM. */
function packet(random, vm) {
  const raw = vm.pc.vcpu.regs.raw;
  const at = Number(raw.getSegment("ds").base) + (raw.getGpr32(6) & 0xffff);
  const bytes = random.fill(new Uint8Array(32));
  bytes[0] = random.pick([0x10, 0x18, 0, 0xff, 0x1a, 0x1e, 0x42]);
  bytes[1] = random.pick([0, 0, 0xff]);
  bytes[2] = random.pick([0, 1, 127, 128, 255]);
  bytes[3] = random.pick([0, 0, 1]);
  if (random.once(2)) bytes.fill(0, 10, 16);
  if (random.once(2)) bytes.fill(0xff, 4, 8);
  vm.memory.write(at, bytes);
}

export async function run(seed) {
  const random = new Random(seed);
  const drives = disks(Uint8Array.from([0xfa, 0xf4]));
  const vm = fuzzMachine(drives, { trapStyle: random.once(2) ? "port" : "vmcall", stopOnReset: false, tripleFault: "reset" });
  const { pc } = vm;
  const { vcpu } = pc;
  try {
    for (let call = 0; call < CALLS; call++) {
      const vector = random.once(4) ? random.u8() : random.pick(VECTORS);
      // int vector; jmp $
      vm.memory.write(0x70000, Uint8Array.from([0xcd, vector, 0xeb, 0xfe]));
      if (random.once(30)) vm.memory.write(0x400 + random.below(256), Uint8Array.of(random.u8()));
      registers(random, vcpu, vector);
      if (vector === 0x13 && random.once(2)) packet(random, vm);
      if (vcpu.halted) vcpu.setHalted(false);
      if (random.once(50)) pc.traceBios(random.once(2) ? () => {} : undefined);
      step(pc);
      const request = pc.takeRequest();
      if (request?.kind === "reset") pc.reset(request.warm ? "warm" : "cold");
    }
    inspect(vm);
    for (const { image } of drives) image.check();
  } finally {
    await vm.dispose();
  }
  return "calls:done";
}

const UD = { kind: "run", inject: { type: "hardware-exception", vector: 6 } };

/** Runs the guest for one call's worth of instructions, as the run loop does. */
export function step(pc, instructions = PER_CALL) {
  const { vcpu, clock } = pc;
  const until = vcpu.instructionCount() + instructions;
  let entry = { kind: "run" };
  let exits = 0;
  while (vcpu.instructionCount() < until && exits++ < 400) {
    clock.fireDue();
    const exit = vcpu.run(entry, Math.min(clock.budget(500_000), until - vcpu.instructionCount()));
    entry = { kind: "run" };
    switch (exit.kind) {
      case "budget":
        break;
      case "hlt":
        if ((vcpu.regs.rflags & 0x200) === 0 || clock.idle() === "no-timer") return;
        break;
      case "vmcall":
        entry = pc.callBios(exit) ?? UD;
        break;
      case "io-in":
      case "io-out":
        entry = pc.callBios(exit) ?? pc.accessExit(exit);
        break;
      case "mmio-read":
      case "mmio-write":
        entry = pc.accessExit(exit);
        break;
      case "triple-fault":
      case "init":
        pc.reset("warm");
        return;
      case "entry-failure":
        throw new Error(`entry failure: ${exit.message}`);
      default:
        entry = { kind: "skip" };
    }
  }
}
