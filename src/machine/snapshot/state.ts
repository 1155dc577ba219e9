import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { IMAGE_FORMATS } from "../../backends/formats/image-format.ts";
import { BIOS_BOOT_STATE, BIOS_STATE } from "../../biosemul/index.ts";
import { VCPU_STATE } from "../../vmm/index.ts";
import { DEVICE_RECORDS } from "../board/devices.ts";
import { SERIAL_LINE_STATE } from "../automation/serial-line.ts";
import { TYPIST_STATE } from "../automation/typist.ts";
import { isBootDevice } from "../boot-device.ts";
import { MAX_CPUS } from "../config.ts";
import type { MachineConfig } from "../config.ts";
import { LOOP_STATE } from "../run/run-loop.ts";
import { SAVED_TIMER } from "../run/scoped-clock.ts";

const file = { name: shape.text(4096), bytes: shape.bytes(2 ** 30, 0) };

/** A machine's configuration without what belongs to the host: enough to make the same PC again. `machineConfig` looks at the values. */
const SAVED_CONFIG = shape.record({
  name: shape.text(4096),
  memoryBytes: shape.count,
  cpus: shape.count,
  boot: shape.list(shape.that(isBootDevice, "a boot device"), 16, 1),
  clock: shape.oneOf("virtual", "host"),
  nsPerInstruction: shape.count,
  rtcMs: shape.real,
  trapStyle: shape.oneOf("vmcall", "port"),
  consoles: shape.int(0, 16),
  rng: shape.flag,
  /** Missing in older snapshots. */
  isaDebugExit: shape.maybe(shape.word),
  pcTestdev: shape.maybe(shape.flag),
  printer: shape.flag,
  /** Tags of shared directories. */
  shares: shape.list(shape.text(255), 16, 0),
  /** Address of the network card; undefined: none. */
  mac: shape.maybe(shape.bytes(6)),
  kernel: shape.maybe(
    shape.record({
      kernel: shape.record(file),
      modules: shape.list(shape.record({ ...file, commandLine: shape.text(65536) }), 256, 0),
      commandLine: shape.text(65536),
      linuxEntry: shape.maybe(shape.oneOf(16, 32, 64)),
    }),
  ),
});
export type SavedConfigV1 = Shaped<typeof SAVED_CONFIG>;

/** A drive, and which medium was in it. */
const SAVED_DRIVE = shape.record({
  kind: shape.oneOf("hard-disk", "floppy", "cdrom"),
  bus: shape.maybe(shape.oneOf("ide", "virtio")),
  geometry: shape.record({ cylinders: shape.count, heads: shape.int(0, 256), sectors: shape.int(0, 255) }),
  /** Undefined: the drive was empty. */
  medium: shape.maybe(
    shape.record({
      path: shape.text(65536),
      format: shape.maybe(shape.oneOf(...IMAGE_FORMATS)),
      sizeBytes: shape.count,
      sectorBytes: shape.oneOf(512, 2048),
      readOnly: shape.flag,
      /** The guest's writes were kept in memory; they are in `content`. */
      overlay: shape.flag,
      identity: shape.maybe(shape.text(65536)),
      content: shape.anything,
    }),
  ),
});
export type SavedDriveV1 = Shaped<typeof SAVED_DRIVE>;

/** The wired PC. */
const PC_STATE = shape.record({
  v: shape.oneOf(1),
  cpus: shape.list(VCPU_STATE, MAX_CPUS, 1),
  /** Guest time since power-on. */
  nowNs: shape.count,
  a20: shape.flag,
  chips: DEVICE_RECORDS,
  /** Pending timers of devices, and of serial lines and the typist. */
  chipTimers: shape.list(SAVED_TIMER, 10_000, 0),
  lineTimers: shape.list(SAVED_TIMER, 10_000, 0),
  bios: BIOS_STATE,
  /** Its disk services and boot loop. */
  biosPieces: BIOS_BOOT_STATE,
  serial: shape.list(SERIAL_LINE_STATE, 4),
  consoles: shape.list(SERIAL_LINE_STATE, 16, 0),
});
export type PcStateV1 = Shaped<typeof PC_STATE>;

/** Everything but memory. */
export const MACHINE_STATE = shape.record({
  v: shape.oneOf(1),
  config: SAVED_CONFIG,
  drives: shape.list(SAVED_DRIVE, 64, 0),
  pc: PC_STATE,
  typist: TYPIST_STATE,
  loop: LOOP_STATE,
});
export type MachineStateV1 = Shaped<typeof MACHINE_STATE>;

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
    kernel: kernel && { ...kernel, linuxEntry: kernel.linuxEntry },
    consoles: config.consoles.length,
    printer: config.printer !== undefined,
    shares: config.shares.map((s) => s.tag),
    mac: config.net?.mac,
  };
}
