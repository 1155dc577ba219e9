// Runs a guest and writes down what can be seen: at instants of guest time the counts, registers and memory of the machine, and between them a running
// hash of everything the CPU asked its surroundings and of every exit, each with its instruction count. Nothing of that disturbs the run, but that a
// slice ends at each instant; which is what the instants are for.
import { createHash } from "node:crypto";
import { createSoftEngine } from "../../dist/engine/soft/index.js";
import { boot } from "../../dist/node/index.js";

const SEGMENTS = ["cs", "ss", "ds", "es", "fs", "gs", "tr", "ldtr"];
const CONTROLS = ["cr0", "cr2", "cr3", "cr4", "efer", "dr6", "dr7"];

/** Registers of a CPU as one line. */
export function registersText(raw) {
  const gprs = Array.from({ length: 16 }, (_, i) => raw.getGpr(i).toString(16)).join(" ");
  const segments = SEGMENTS.map((s) => {
    const { selector, base, limit, access } = raw.getSegment(s);
    return `${selector.toString(16)}:${base.toString(16)}:${limit.toString(16)}:${access.toString(16)}`;
  }).join(" ");
  const controls = CONTROLS.map((c) => raw.getControl(c).toString(16)).join(" ");
  const fpu = JSON.stringify(raw.getFpu(), (_, v) => (typeof v === "bigint" ? v.toString(16) : v));
  const xmm = Array.from({ length: 16 }, (_, i) => Buffer.from(raw.getXmm(i)).toString("hex")).join(" ");
  return `ip=${raw.getRip().toString(16)} f=${raw.getRflags().toString(16)} ${gprs} ${segments} ${controls} ${fpu} ${xmm}`;
}

export const memoryHash = (vm) => {
  const hash = createHash("sha1");
  for (const region of ["ram", "vram", "rom", "video-rom"]) hash.update(vm.pc.vm.region(region).bytes);
  return hash.digest("hex").slice(0, 16);
};
const hashText = (text) => createHash("sha1").update(text).digest("hex").slice(0, 12);

/** An engine whose VMs tell `note` of each question that the CPU asks and of each exit; with `registers`, the registers at each exit too. */
export function listening(engine, note, { registers = false } = {}) {
  return {
    name: engine.name,
    createVm(options) {
      const { io } = options;
      let vcpus = [];
      const say = (what, a, b) => note(what, a, b, vcpus);
      const apics = options.localApics?.map(
        (apic, cpu) =>
          apic && {
            interruptAcknowledge: () => say("apic-ack", cpu, apic.interruptAcknowledge()),
            readTpr: () => say("tpr", cpu, apic.readTpr()),
            writeTpr: (value) => (say("tpr=", cpu, value), apic.writeTpr(value)),
            msrRead: (index) => {
              const value = apic.msrRead(index);
              say("msr", index, value === undefined ? -1 : Number(BigInt.asUintN(32, value)));
              return value;
            },
            msrWrite: (index, value) => (say("msr=", index, Number(BigInt.asUintN(32, value))), apic.msrWrite(index, value)),
            pageRead: (offset, size) => say("page", offset, apic.pageRead(offset, size)),
            pageWrite: (offset, size, value) => (say("page=", offset, value), apic.pageWrite(offset, size, value)),
          },
      );
      const vm = engine.createVm({
        ...options,
        io: {
          portRead: (port, size) => say("in", port, io.portRead(port, size)),
          portWrite: (port, size, value) => (say("out", port, value), io.portWrite(port, size, value)),
          mmioRead: (gpa, size) => say("read", gpa, io.mmioRead(gpa, size)),
          mmioWrite: (gpa, size, value) => (say("write", gpa, value), io.mmioWrite(gpa, size, value)),
          interruptAcknowledge: () => say("ack", 0, io.interruptAcknowledge()),
        },
        readTsc: () => say("tsc", 0, options.readTsc()),
        ...(apics === undefined ? {} : { localApics: apics }),
      });
      vcpus = vm.vcpus;
      for (const [cpu, vcpu] of vcpus.entries()) {
        const run = vcpu.run.bind(vcpu);
        vcpu.run = (entry, budget) => {
          const exit = run(entry, budget);
          if (exit.early === true) return exit;
          say(exit.kind, cpu, exit.reason);
          if (registers) say(registersText(vcpu), cpu, 0);
          return exit;
        };
      }
      return vm;
    },
  };
}

/** The running hash of events, and, while `logging`, their text. */
export function listener() {
  let hash = 0x811c9dc5;
  let count = 0;
  const log = [];
  const note = (what, a, b, vcpus) => {
    let n = 0;
    for (const vcpu of vcpus) n += vcpu.instructionCount();
    for (let i = 0; i < what.length; i++) hash = Math.imul(hash ^ what.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ a, 0x01000193);
    hash = Math.imul(hash ^ b, 0x01000193);
    hash = Math.imul(hash ^ n, 0x01000193);
    hash ^= hash >>> 15;
    count++;
    if (note.logging) log.push(`${n} ${what} ${a.toString(16)} ${b.toString(16)}`);
    return b;
  };
  note.logging = false;
  note.digest = () => `${count}:${(hash >>> 0).toString(16)}`;
  note.reset = () => {
    count = log.length = 0;
    hash = 0x811c9dc5;
  };
  note.log = log;
  return note;
}

/** Lets a machine that stands still run to an instant of guest time. */
function runTo(vm, ns) {
  return new Promise((resolve) => {
    vm.pc.clock.createTimer("lockstep", () => resolve(vm.pause())).arm(ns);
    if (vm.state === "ready") vm.start();
    else vm.resume();
  });
}

async function play(vm, steps, timeoutMs) {
  const give = { timeoutMs };
  for (const step of steps) {
    if (vm.state === "ended") return;
    if (step instanceof RegExp) {
      if (vm.state === "paused") vm.resume();
      if (vm.state === "ready") vm.start();
      await vm.waitFor(step, give);
      await vm.pause();
      continue;
    }
    if (typeof step !== "string" && !Array.isArray(step)) {
      if (step.serial !== undefined) vm.serial.write(step.serial);
      if (step.mouse !== undefined) vm.mouse(...step.mouse);
      if (step.run !== undefined) await Promise.race([runTo(vm, vm.timeNs + step.run * 1e9), vm.ended]);
      continue;
    }
    const sent = typeof step === "string" ? vm.type(step) : vm.keys(...step);
    if (vm.state === "paused") vm.resume();
    await Promise.race([sent, vm.ended]);
    await vm.pause();
  }
}

/**
 * Runs `guest` on the interpreter (`jit` undefined) or with the translator (its options; true: as `jit=on`). `everyNs`: the distance of the instants,
 * `memoryEvery`: how many of them a look at all memory comes; `fine: { from, to, everyNs }`: closer ones between two instants; `log: { from, to }`:
 * the events between two instants as text; `perturb(vm)` is called at each instant.
 */
export async function record(guest, { jit, everyNs = 50e6, memoryEvery = 20, fine, log, timeoutMs = 600_000, snapshotAt, restore, text = false }) {
  const note = listener();
  const engine = listening(createSoftEngine(jit === undefined ? {} : { jit }), note);
  const disk = restore === undefined ? { disk: guest.disk(), snapshot: true } : { restore };
  const vm = await boot({
    ...disk,
    clock: "virtual",
    ...(restore === undefined ? { memoryBytes: guest.memoryBytes, cpus: guest.cpus ?? 1 } : {}),
    engine,
    start: false,
    ...guest.options,
  });
  const stops = [];
  const look = () => {
    const registers = vm.pc.vcpus.map((c) => registersText(c.regs.raw));
    const counts = vm.pc.vcpus.map((c) => c.instructionCount());
    const withMemory = stops.length % memoryEvery === 0;
    const line = `t=${vm.timeNs} n=${counts.join("+")} events=${note.digest()} registers=${text || fine !== undefined ? registers.join(" | ") : hashText(registers.join())}`;
    stops.push(withMemory ? `${line} memory=${memoryHash(vm)}` : line);
  };
  const timer = vm.pc.clock.createTimer("lockstep stops", () => {
    const now = vm.timeNs;
    if (log !== undefined) note.logging = now >= log.from && now < log.to;
    const close = fine !== undefined && now >= fine.from && now < fine.to;
    if (fine === undefined || close) look();
    timer.arm(close ? now + fine.everyNs : Math.floor(now / everyNs + 1) * everyNs);
  });
  timer.arm(vm.timeNs + 1);
  let snapshot;
  const started = process.cpuUsage();
  let trouble;
  try {
    if (snapshotAt === undefined) await play(vm, guest.steps, timeoutMs);
    else {
      await runTo(vm, snapshotAt);
      snapshot = await vm.save();
      await play(vm, guest.steps, timeoutMs);
    }
  } catch (error) {
    trouble = String(error?.message ?? error);
    if (vm.state === "running") await vm.pause();
  }
  const cpuMs = Math.round(process.cpuUsage(started).user / 1000);
  const stats = vm.stats();
  const exits = Object.fromEntries(Object.entries(stats).filter(([name]) => !name.includes("engine.")));
  const end = {
    trouble,
    state: vm.state,
    exits,
    counts: vm.pc.vcpus.map((c) => c.instructionCount()),
    registers: vm.pc.vcpus.map((c) => registersText(c.regs.raw)),
    memory: memoryHash(vm),
    screen: vm.screen.text(),
    serial: vm.serial.text(),
    events: note.digest(),
  };
  const engineStats = Object.fromEntries(Object.entries(stats).filter(([name]) => name.includes("engine.")));
  await vm.dispose();
  return { stops, end, log: note.log, cpuMs, engineStats, snapshot };
}
