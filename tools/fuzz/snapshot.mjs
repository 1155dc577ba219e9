// Damaged snapshots: values of a real machine's record are exchanged for others. Each is refused with a line that names the place, or loads into
// a machine that runs.
import { NullNet } from "../../dist/backends/api/index.js";
import { decodeSnapshot } from "../../dist/machine/snapshot/container.js";
import { MACHINE_STATE } from "../../dist/machine/snapshot/state.js";
import { nodePlatform } from "../../dist/node/index.js";
import { disks, fuzzMachine, runToEnd } from "./machine.mjs";
import { flood } from "./ports.mjs";
import { Random } from "./random.mjs";

const RUN_NS = 3_000_000;

function machine(drives) {
  return fuzzMachine(drives, {
    tripleFault: "reset",
    config: {
      cpus: 2,
      rng: true,
      pcTestdev: true,
      consoles: [undefined, undefined],
      net: { backend: new NullNet(), mac: Uint8Array.of(2, 0, 0, 0, 0, 1) },
      drives: drives.map((drive, i) => (i < 3 ? drive : { ...drive, bus: "virtio" })),
    },
  });
}

/** Everything a PC can have, with a boot sector's storm of port accesses behind it. */
function media(random) {
  const some = disks(flood(random));
  const [more] = disks(new Uint8Array(512)).slice(1, 2);
  return [...some, more];
}

const ODD_NUMBERS = [0, 1, -1, 2, 7, 255, 256, 511, 65535, 65536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40, 2 ** 53 - 1, 0.5, Number.NaN, -(2 ** 53)];

function otherNumber(random, value) {
  if (random.once(2)) return random.pick(ODD_NUMBERS);
  return random.once(2) ? value + random.pick([-1, 1, 2, 16, 1000]) : Number(BigInt(Math.trunc(value) || 0) ^ (1n << BigInt(random.below(33))));
}

function otherBytes(random, bytes) {
  const out = random.once(4) ? new Uint8Array(random.below(2 * bytes.length + 2)) : bytes.slice();
  for (let i = random.below(16); i >= 0 && out.length > 0; i--) out[random.below(out.length)] = random.u8();
  return out;
}

function otherText(random, text) {
  if (random.once(3)) return random.pick(["", "0", "ffffffffffffffff", "8000000000000000", "-1", "x", "KeyA", "10000000000000000"]);
  const at = random.below(text.length + 1);
  return text.slice(0, at) + random.pick(["0", "f", "7", "z", ""]) + text.slice(at + 1);
}

/** Another value in the place of one: mostly of its kind, so that ranges are found too. */
function other(random, value) {
  if (random.once(12)) return random.pick([undefined, null, {}, [], "text", 5, true, new Uint8Array(3)]);
  if (typeof value === "number") return otherNumber(random, value);
  if (typeof value === "boolean") return !value;
  if (typeof value === "string") return otherText(random, value);
  if (value instanceof Uint8Array) return otherBytes(random, value);
  if (Array.isArray(value)) return random.once(2) ? value.slice(0, random.below(value.length + 1)) : [...value, ...value.slice(0, 1)];
  return undefined;
}

/** Exchanges one value somewhere in the record; answers where. */
function damage(random, record) {
  let holder = record;
  const path = [];
  for (;;) {
    const key = random.pick(Object.keys(holder));
    path.push(key);
    const value = holder[key];
    const inner = typeof value === "object" && value !== null && !(value instanceof Uint8Array) && Object.keys(value).length > 0;
    if (!inner || random.once(30)) {
      holder[key] = other(random, value);
      return path.join(".");
    }
    holder = value;
  }
}

/** Snapshots of a few machines, made once: a run damages a copy of a record. */
const BASES = 4;
const bases = new Map();

async function base(number) {
  const random = new Random(number);
  const vm = machine(media(random));
  vm.pc.clock.createTimer("save", () => void vm.pause()).arm(1_000_000 + random.below(4_000_000));
  void vm.type("dir{Enter}");
  vm.start();
  while (vm.state === "running" || vm.state === "pausing") await new Promise((resolve) => setImmediate(resolve));
  try {
    return vm.state === "ended" ? undefined : await decodeSnapshot(await vm.save(), "snap", nodePlatform.packer);
  } finally {
    await vm.dispose();
  }
}

export async function run(seed) {
  const random = new Random(seed);
  const number = random.below(BASES);
  if (!bases.has(number)) bases.set(number, await base(number));
  const snapshot = bases.get(number);
  if (snapshot === undefined) return "ended";
  const record = structuredClone(snapshot.record);
  const places = Array.from({ length: 1 + random.below(3) }, () => damage(random, record));
  try {
    let state;
    try {
      state = MACHINE_STATE(record, "machine");
    } catch (error) {
      return refused(error);
    }
    const drives = media(random);
    const vm = machine(drives);
    try {
      await vm.load(snapshot, state);
    } catch (error) {
      await vm.dispose();
      return refused(error);
    }
    // The images are those of the snapshot: nothing to compare them with.
    return `runs:${await runToEnd(vm, [], RUN_NS)}`;
  } catch (error) {
    throw new Error(`${places.join(", ")}: ${error.message}`, { cause: error });
  }
}

/** What a snapshot is refused with says where the damage is. */
function refused(error) {
  if (!/^SNAPSHOT_/.test(error.code)) throw error;
  if (error.code === "SNAPSHOT_FORMAT" && !/machine[.[]/.test(error.message)) throw new Error(`no place in "${error.message}"`, { cause: error });
  return `refused:${error.code}`;
}
