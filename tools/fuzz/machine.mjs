// A machine for one fuzz run: small, on the virtual clock, with every kind of drive, and watched.
import { MemoryBlockBackend } from "../../dist/backends/api/index.js";
import { createMachine, machineConfig } from "../../dist/node/index.js";
import { engine, patience } from "./engine.mjs";

export const MEMORY_BYTES = 2 * 2 ** 20;
export const FLOPPY_BYTES = 1474560;
const NOWHERE = () => ({ onInput: undefined, writeByte() {} });

/** A disk in memory that notes what was written; anything else may not change. */
export class WatchedDisk extends MemoryBlockBackend {
  #before;
  #written = new Set();
  constructor(name, bytes, options) {
    super(name, bytes, options);
    this.#before = bytes.slice();
  }
  write(offset, from) {
    if (offset % this.sectorBytes !== 0 || from.length % this.sectorBytes !== 0)
      throw new Error(`${this.name}: write of ${from.length} at ${offset}`);
    const done = super.write(offset, from);
    if (done) for (let at = offset; at < offset + from.length; at += this.sectorBytes) this.#written.add(at);
    return done;
  }
  read(offset, into) {
    if (offset % this.sectorBytes !== 0 || into.length % this.sectorBytes !== 0) throw new Error(`${this.name}: read of ${into.length} at ${offset}`);
    return super.read(offset, into);
  }
  /** Throws when a byte outside the written sectors changed. */
  check() {
    if (this.bytes.length !== this.#before.length) throw new Error(`${this.name}: the image changed its size`);
    for (let at = 0; at < this.bytes.length; at += this.sectorBytes) {
      if (this.#written.has(at)) continue;
      for (let i = at; i < Math.min(at + this.sectorBytes, this.bytes.length); i += 64) {
        if (this.bytes[i] !== this.#before[i]) throw new Error(`${this.name}: byte ${i} changed though nobody wrote its sector`);
      }
    }
  }
}

/** The disks of a run. `boot` goes to the floppy's (or the hard disk's) first sector, or is a whole floppy image. */
export function disks(boot, { hard = false } = {}) {
  const floppy = new Uint8Array(Math.max(FLOPPY_BYTES, hard ? 0 : boot.length));
  for (let i = 0; i < 16384; i++) floppy[512 + i] = i * 37;
  const disk = new Uint8Array(1 << 20);
  (hard ? disk : floppy).set(boot);
  const cd = new Uint8Array(64 * 2048).fill(0x5a);
  return [
    { kind: "floppy", image: new WatchedDisk("floppy", floppy) },
    { kind: "hard-disk", image: new WatchedDisk("disk", disk) },
    { kind: "cdrom", image: new WatchedDisk("cd", cd, { sectorBytes: 2048, readOnly: true }) },
  ];
}

/** Makes the machine, not started. */
export function fuzzMachine(drives, options = {}) {
  const { hard = false, trapStyle = "vmcall", config: extra = {}, ...rest } = options;
  const config = machineConfig({
    drives,
    boot: [hard ? "hd" : "fd"],
    memoryBytes: MEMORY_BYTES,
    clock: "virtual",
    trapStyle,
    serial: [NOWHERE()],
    debugPort: NOWHERE(),
    printer: NOWHERE(),
    ...extra,
  });
  return createMachine(config, engine, rest);
}

/** A single run() of the vCPU may take this long (host ms; its budget is at most 500000 instructions). */
export const SLICE_LIMIT_MS = 15_000;

/** Runs a machine for `guestNs` of guest time (or to its end) and looks at everything a host would look at. Returns how it ended. */
export async function runToEnd(vm, drives, guestNs) {
  let at = 0;
  let count = 0;
  let worst = 0;
  let exits = 0;
  vm.observe({
    maxBudget: 200_000,
    beforeRun(vcpu) {
      at = performance.now();
      count = vcpu.instructionCount();
    },
    afterRun(exit, vcpu) {
      worst = Math.max(worst, performance.now() - at);
      const ran = vcpu.instructionCount() - count;
      if (ran < 0 || ran > 200_000) throw new Error(`a run of at most 200000 instructions retired ${ran} (exit ${exit.kind})`);
      // A reset costs the host milliseconds and the guest a few instructions.
      if ((++exits & 63) === 0 && vm.stats().resets > 20) void vm.powerOff("resets for ever");
    },
  });
  vm.pc.clock.createTimer("fuzz-end", () => void vm.powerOff("time is up")).arm(guestNs);
  vm.start();
  try {
    const end = await vm.ended;
    if (worst > SLICE_LIMIT_MS * patience()) throw new Error(`one slice took ${Math.round(worst)} ms`);
    inspect(vm);
    for (const { image } of drives) image.check();
    return end.kind;
  } finally {
    await vm.dispose();
  }
}

/** What front ends do with a machine at any moment. None of it may throw. */
export function inspect(vm) {
  vm.screen.text();
  vm.screen.snapshot();
  vm.screen.mode();
  vm.screen.frame();
  vm.describeRegisters();
  vm.stats();
  vm.translate(vm.registers().rip);
  vm.pc.describeCpu();
  vm.memory.read(0, 64);
}
