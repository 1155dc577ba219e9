import type { AccessSize, BusDevice } from "../../bus/index.ts";

/** Ports that the device takes from its base. */
export const DEBUG_EXIT_PORTS = 4;

/**
 * QEMU's `isa-debug-exit`: a guest that is a test ends the machine with a result. What is written, v, becomes the exit code (v << 1) | 1, cut to
 * the eight bits that a process has: never 0, which is a guest's that switched itself off.
 */
export class DebugExit implements BusDevice {
  readonly name = "isa-debug-exit";
  readonly #exit: (exitCode: number) => void;

  constructor(exit: (exitCode: number) => void) {
    this.#exit = exit;
  }
  read(_offset: number, _size: AccessSize): number {
    return 0;
  }
  write(_offset: number, _size: AccessSize, value: number): void {
    this.#exit(((value << 1) | 1) & 0xff);
  }
}
