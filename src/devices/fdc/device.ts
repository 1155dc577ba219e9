import type { Clock } from "../../base/index.ts";
import type { BusDevice, DmaChannel, IrqPin } from "../../bus/index.ts";
import { byteRegisters } from "../common/byte-access.ts";
import { FdcController } from "./controller.ts";
import { FloppyDrive } from "./drive.ts";
import type { FloppyMedium } from "./drive.ts";
import { REGISTER } from "./registers.ts";
import type { Fdc82077StateV1 } from "./state.ts";

export interface Fdc82077Options {
  readonly irq: IrqPin;
  /** Channel 2 of the DMA controller. */
  readonly dma: DmaChannel;
  readonly clock: Clock;
  /** Up to four drives; `installed` false: nothing on the cable there. */
  readonly drives: readonly { readonly installed: boolean; readonly medium?: FloppyMedium | undefined }[];
  /** Factor on seek and rotation times; 1 is a real 300 rpm drive, 0.1 (default) ten times faster. */
  readonly timeScale?: number;
}

/** The floppy controller on a PC's board, with its drives. `ports` answers 3F0h-3F5h, `inputPort` 3F7h (3F6h is the IDE's). */
export class Fdc82077 {
  readonly ports: BusDevice;
  readonly inputPort: BusDevice;
  readonly #drives: readonly FloppyDrive[];
  readonly #controller: FdcController;

  constructor({ irq, dma, clock, drives, timeScale = 0.1 }: Fdc82077Options) {
    this.#drives = [0, 1, 2, 3].map((i) => new FloppyDrive(drives[i]?.installed ?? false, drives[i]?.medium));
    const controller = new FdcController({ clock, dma, drives: this.#drives, timeScale, interrupt: (level) => irq.set(level) });
    this.#controller = controller;
    this.ports = byteRegisters(
      "fdc",
      (register) => controller.read(register),
      (register, value) => controller.write(register, value),
    );
    this.inputPort = {
      name: "fdc-dir",
      read: () => controller.read(REGISTER.DIR),
      write: (_offset, _size, value) => controller.write(REGISTER.CCR, value),
    };
  }

  /** Changes or removes the disk in a drive; raises its change line. */
  insert(unit: number, medium: FloppyMedium | undefined): void {
    this.#drives[unit & 3]?.insert(medium);
  }
  /** The hardware reset line. */
  reset(): void {
    this.#controller.reset();
  }
  saveState(): Fdc82077StateV1 {
    return this.#controller.saveState();
  }
  /** Media are the machine's business: put them in before. */
  loadState(s: Fdc82077StateV1): void {
    this.#controller.loadState(s);
  }
}
