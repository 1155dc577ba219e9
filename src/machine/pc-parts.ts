import type { BlockBackend } from "../backends/api/index.ts";
import type { BootFailure } from "../biosemul/boot/index.ts";
import type { MmioBus, PioBus } from "../bus/index.ts";
import type { Frame, TextScreen, VideoMode } from "../devices/vga/index.ts";
import type { Vcpu, Vm } from "../vmm/index.ts";
import type { MachineConfig } from "./config.ts";
import type { Drive } from "./board/drives.ts";
import type { Board, BoardRequest } from "./run/run-loop.ts";
import type { ScopedClock } from "./run/scoped-clock.ts";
import type { SerialLine } from "./automation/serial-line.ts";
import type { PcStateV1 } from "./snapshot/state.ts";
import type { KeyPort } from "./automation/typist.ts";

/** The display as automation sees it; the VGA has this shape. */
export interface DisplayPort {
  mode(): VideoMode;
  snapshotText(): TextScreen | undefined;
  renderFrame(options?: { readonly blinkPhase?: boolean }): Frame;
}

/** A PS/2 mouse: relative motion in counts (y grows downwards), wheel clicks, buttons as bits 0 left, 1 right, 2 middle. */
export interface MousePort {
  move(dx: number, dy: number, wheel: number, buttons: number): void;
}

/** A line for `--trace bios`. */
export type BiosTraceSink = (line: string) => void;

/** A wired PC: the board that the run loop drives, and the sockets that people and programs plug into. */
export interface Pc extends Board {
  readonly config: MachineConfig;
  readonly vm: Vm;
  /** The bootstrap processor. */
  readonly vcpu: Vcpu;
  readonly pio: PioBus;
  readonly mmio: MmioBus;
  readonly display: DisplayPort;
  readonly keyboard: KeyPort;
  readonly mouse: MousePort;
  /** COM1..COM4. */
  readonly serial: readonly SerialLine[];
  /** hvc0, hvc1, ... */
  readonly consoles: readonly SerialLine[];
  /** Asks the run loop for something, as a button on the case would. */
  request(request: BoardRequest): void;
  /** The power button: an ACPI event for a guest in ACPI mode, off at once for others. */
  powerButton(): void;
  /** Told when something came from outside (a network frame): an idle machine is to look again. */
  onArrival: (() => void) | undefined;
  /** Told when the BIOS finds nothing to start, and why each drive of the boot order is none. */
  onNothingBoots: ((failures: readonly BootFailure[]) => void) | undefined;
  traceBios(sink: BiosTraceSink | undefined): void;
  /** Puts a medium into a removable drive, or takes it out. Counts floppy or CD drives from 0. */
  changeMedium(kind: "floppy" | "cdrom", unit: number, image: BlockBackend | undefined): void;
  /** The drives in the order of the configuration, for snapshots. */
  readonly drives: readonly Drive[];
  /** Time as serial lines and the typist see it: their timers are saved with the chips'. */
  readonly lineClock: ScopedClock;
  /** Everything but memory, media and configuration; while the guest stands still. */
  saveState(): PcStateV1;
  /** Into a PC that was just made from the same configuration. Memory is loaded after this. Throws on what does not fit. */
  loadState(state: PcStateV1): void;
  /** Makes every write to every image durable. False when an image said no. */
  flush(): boolean;
  /** Flushes and closes images, frees the guest's memory. */
  dispose(): void;
}
