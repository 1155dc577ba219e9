import { VmmError } from "../../base/index.ts";
import { NullNet } from "../../backends/api/index.ts";
import type { ByteSink } from "../../backends/api/index.ts";
import type { BootOptions } from "../boot.ts";
import type { MachineConfig } from "../config.ts";
import type { ImageSource } from "../media.ts";
import type { Platform } from "../platform.ts";
import { decodeSnapshot } from "./container.ts";
import type { OpenSnapshot } from "./container.ts";
import { MACHINE_STATE } from "./state.ts";
import type { MachineStateV1, SavedDriveV1 } from "./state.ts";

/** A snapshot, read as far as is needed to make its machine. */
export interface Restoring {
  readonly name: string;
  readonly snapshot: OpenSnapshot;
  readonly state: MachineStateV1;
}

/** Larger files are no snapshots: memory, video memory, and what a record may hold. */
const MAX_FILE_BYTES = 2 ** 32;

/** Opens a snapshot file, or bytes that `vm.save()` made. */
export async function openSnapshot(source: string | Uint8Array, platform: Platform): Promise<Restoring> {
  const name = typeof source === "string" ? source : "the snapshot";
  const bytes = typeof source === "string" ? await platform.readFile(source, MAX_FILE_BYTES) : source;
  if (!(bytes instanceof Uint8Array)) throw new VmmError("SNAPSHOT_FILE", `${name}: ${bytes.why}`);
  const snapshot = await decodeSnapshot(bytes, name, platform.packer);
  return { name, snapshot, state: readState(snapshot.record, name) };
}

function readState(record: unknown, name: string): MachineStateV1 {
  try {
    return MACHINE_STATE(record, "machine");
  } catch (cause) {
    throw cause instanceof VmmError ? new VmmError(cause.code, `${name}: ${cause.message}`, { cause }) : cause;
  }
}

const NOWHERE: ByteSink = { writeByte() {} };

/** The parts of a machine's configuration that the snapshot decides. What the host side has to offer comes from `options`. */
export function savedOptions({ name, state }: Restoring, options: BootOptions): Partial<MachineConfig> {
  const c = state.config;
  const tags = (options.shares ?? []).map((s) => s.tag);
  const lost = c.shares.find((tag) => !tags.includes(tag));
  if (lost !== undefined)
    throw new VmmError("SNAPSHOT_MACHINE", `${name}: the machine had a shared directory "${lost}"; give it again (--share DIR,tag=${lost})`);
  if (tags.length !== c.shares.length)
    throw new VmmError("SNAPSHOT_MACHINE", `${name}: the machine had no other shared directories than ${c.shares.join(", ") || "none"}`);
  if (options.net !== undefined && c.mac === undefined) throw new VmmError("SNAPSHOT_MACHINE", `${name}: the machine had no network card`);
  return {
    name: options.name ?? c.name,
    memoryBytes: c.memoryBytes,
    cpus: c.cpus,
    boot: c.boot,
    clock: options.clock ?? c.clock,
    nsPerInstruction: c.nsPerInstruction,
    rtcMs: c.rtcMs,
    trapStyle: c.trapStyle,
    rng: c.rng,
    isaDebugExit: c.isaDebugExit,
    pcTestdev: c.pcTestdev ?? false,
    consoles: Array.from({ length: c.consoles }, (_, i) => options.consoles?.[i]),
    printer: c.printer ? (options.printer ?? NOWHERE) : undefined,
    ...(c.kernel === undefined ? {} : { kernel: c.kernel }),
    // A card whose cable was not given again leads nowhere.
    ...(c.mac !== undefined && options.net === undefined ? { net: { backend: new NullNet(), mac: c.mac } } : {}),
  };
}

/** Where the medium of a saved drive comes from: the images given now, in order, or the place where it was. */
export function savedSource(saved: SavedDriveV1, given: ImageSource | undefined): ImageSource | undefined {
  const { medium, kind, bus } = saved;
  if (medium === undefined) return undefined;
  const wiring = { kind, ...(bus === undefined ? {} : { bus }) };
  if (typeof given === "string") return { ...wiring, path: given };
  if (given !== undefined) return { ...given, ...wiring };
  return { ...wiring, path: medium.path, ...(medium.format === undefined ? {} : { format: medium.format }) };
}
