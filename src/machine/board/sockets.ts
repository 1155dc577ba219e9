import type { KeyName } from "../../devices/index.ts";
import type { Frame, TextScreen, VideoMode } from "../../devices/vga/index.ts";

/** The monitor's socket. */
export interface DisplayPort {
  mode(): VideoMode;
  snapshotText(): TextScreen | undefined;
  renderFrame(options?: { readonly blinkPhase?: boolean }): Frame;
}

/** The keyboard's socket. */
export interface KeyPort {
  /** Presses or releases a key. */
  key(name: KeyName, down: boolean): void;
  /** The guest has taken everything that was sent. */
  ready(): boolean;
  /** Keys that wait in the BIOS ring buffer; 0 when the BIOS is out of the picture. */
  waitingKeys(): number;
}

/** A PS/2 mouse: relative motion in counts (y grows downwards), wheel clicks, buttons as bits 0 left, 1 right, 2 middle. */
export interface MousePort {
  move(dx: number, dy: number, wheel: number, buttons: number): void;
}
