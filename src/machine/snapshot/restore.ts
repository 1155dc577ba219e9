import { VmmError } from "../../base/index.ts";
import { NullNet } from "../../backends/api/index.ts";
import type { ByteSink } from "../../backends/api/index.ts";
import type { BootOptions, ImageSource } from "../boot.ts";
import type { MachineConfig } from "../config.ts";
import { decodeSnapshot } from "./container.ts";
import type { OpenSnapshot } from "./container.ts";
import { asMachineState } from "./state.ts";
import type { MachineStateV1, SavedDriveV1 } from "./state.ts";

/** A snapshot, read as far as is needed to make its machine. */
export interface Restoring {
  readonly name: string;
  readonly snapshot: OpenSnapshot;
  readonly state: MachineStateV1;
}

/** Opens a snapshot file, or bytes that `vm.save()` made. */
export async function openSnapshot(source: string | Uint8Array): Promise<Restoring> {
  const name = typeof source === "string" ? source : "the snapshot";
  const bytes = typeof source === "string" ? await readFile(source) : source;
  const { snapshotPacker } = await import("../../backends/node/index.ts");
  const snapshot = await decodeSnapshot(bytes, name, snapshotPacker);
  return { name, snapshot, state: asMachineState(snapshot.record, name) };
}

async function readFile(path: string): Promise<Uint8Array> {
  const fs = await import("node:fs/promises");
  try {
    // A device may never end, a FIFO may never begin.
    const status = await fs.stat(path);
    if (!status.isFile() && !status.isDirectory()) throw new VmmError("SNAPSHOT_FILE", `${path}: is not a file`);
    const bytes = await fs.readFile(path);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (cause) {
    if (cause instanceof VmmError) throw cause;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const why =
      code === "ENOENT"
        ? "no such file"
        : code === "EACCES"
          ? "permission denied"
          : code === "EISDIR"
            ? "is a directory"
            : `cannot be read (${code})`;
    throw new VmmError("SNAPSHOT_FILE", `${path}: ${why}`, { cause });
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
