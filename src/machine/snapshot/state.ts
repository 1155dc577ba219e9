import { VmmError } from "../../base/index.ts";
import type { ImageFormat } from "../../backends/formats/index.ts";
import type { BiosBootStateV1, BiosStateV1 } from "../../biosemul/index.ts";
import type { DiskGeometry } from "../../backends/api/index.ts";
import type { KernelRequest } from "../../loaders/index.ts";
import type { VcpuStateV1 } from "../../vmm/index.ts";
import type { ChipsStateV1 } from "../board/devices.ts";
import type { BootDevice } from "../boot-device.ts";
import type { ClockKind, DriveConfig, MachineConfig, TrapStyle } from "../config.ts";
import type { LoopStateV1 } from "../run/run-loop.ts";
import type { SavedTimer } from "../run/scoped-clock.ts";
import type { SerialLineStateV1 } from "../automation/serial-line.ts";
import type { TypistStateV1 } from "../automation/typist.ts";

/** A machine's configuration without what belongs to the host: enough to make the same PC again. */
export interface SavedConfigV1 {
  readonly name: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly boot: readonly BootDevice[];
  readonly clock: ClockKind;
  readonly nsPerInstruction: number;
  readonly rtcMs: number;
  readonly trapStyle: TrapStyle;
  readonly consoles: number;
  readonly rng: boolean;
  /** Missing in older snapshots. */
  readonly isaDebugExit?: number | undefined;
  readonly pcTestdev?: boolean;
  readonly printer: boolean;
  /** Tags of shared directories. */
  readonly shares: readonly string[];
  /** Address of the network card; undefined: none. */
  readonly mac: Uint8Array | undefined;
  readonly kernel: KernelRequest | undefined;
}

/** A drive, and which medium was in it. */
export interface SavedDriveV1 {
  readonly kind: DriveConfig["kind"];
  readonly bus?: "ide" | "virtio";
  readonly geometry: DiskGeometry;
  /** Undefined: the drive was empty. */
  readonly medium:
    | {
        readonly path: string;
        readonly format?: ImageFormat;
        readonly sizeBytes: number;
        readonly sectorBytes: 512 | 2048;
        readonly readOnly: boolean;
        /** The guest's writes were kept in memory; they are in `content`. */
        readonly overlay: boolean;
        readonly identity?: string;
        readonly content?: unknown;
      }
    | undefined;
}

/** The wired PC. */
export interface PcStateV1 {
  readonly v: 1;
  readonly cpus: readonly VcpuStateV1[];
  /** Guest time since power-on. */
  readonly nowNs: number;
  readonly a20: boolean;
  readonly chips: ChipsStateV1;
  /** Pending timers of chips, and of serial lines and the typist. */
  readonly chipTimers: readonly SavedTimer[];
  readonly lineTimers: readonly SavedTimer[];
  readonly bios: BiosStateV1;
  /** Its disk services and boot loop. */
  readonly biosPieces: BiosBootStateV1;
  readonly serial: readonly SerialLineStateV1[];
  readonly consoles: readonly SerialLineStateV1[];
}

/** Everything but memory. */
export interface MachineStateV1 {
  readonly v: 1;
  readonly config: SavedConfigV1;
  readonly drives: readonly SavedDriveV1[];
  readonly pc: PcStateV1;
  readonly typist: TypistStateV1;
  readonly loop: LoopStateV1;
}

export function saveConfig(config: MachineConfig): SavedConfigV1 {
  const { name, memoryBytes, cpus, boot, clock, nsPerInstruction, rtcMs, trapStyle, rng, isaDebugExit, pcTestdev, kernel } = config;
  return {
    name,
    memoryBytes,
    cpus,
    boot,
    clock,
    nsPerInstruction,
    rtcMs,
    trapStyle,
    rng,
    isaDebugExit,
    pcTestdev,
    kernel,
    consoles: config.consoles.length,
    printer: config.printer !== undefined,
    shares: config.shares.map((s) => s.tag),
    mac: config.net?.mac,
  };
}

/** A record out of a snapshot file as the machine's state. */
export function asMachineState(record: unknown, name: string): MachineStateV1 {
  if (!isMachineState(record)) throw new VmmError("SNAPSHOT_VERSION", `${name}: was saved by another version of whyve, or is damaged`);
  return record;
}

/** The outer shape; the file's version vouches for the rest, and whatever is wrong inside is told as damage when it is loaded. */
function isMachineState(record: unknown): record is MachineStateV1 {
  const has = (value: unknown, ...names: readonly string[]): boolean =>
    typeof value === "object" && value !== null && names.every((n) => Object.hasOwn(value, n));
  if (!has(record, "v", "config", "drives", "pc", "typist", "loop") || typeof record !== "object" || record === null) return false;
  if (!("v" in record) || record.v !== 1 || !("drives" in record) || !Array.isArray(record.drives)) return false;
  return "config" in record && has(record.config, "memoryBytes", "cpus") && "pc" in record && has(record.pc, "cpus", "chips", "chipTimers");
}
