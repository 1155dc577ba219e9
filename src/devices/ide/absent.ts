import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";

/** The command block registers of a place without a drive, 1 to 5, as saved. */
export const ABSENT_DRIVE_STATE = shape.list(shape.byte, 5);
export type AbsentDriveState = Shaped<typeof ABSENT_DRIVE_STATE>;

/** After a reset: no signature of any kind of drive (ATA/ATAPI-6 §9.12), so that a probe by signature finds nothing. */
const NO_SIGNATURE = [0, 1, 1, 0xff, 0xff] as const;

/**
 * The place of an absent drive beside a present one, which answers for it: status and error are zero, the other registers keep what is written
 * (ATA/ATAPI-6 §9.16.1). They are its own, not the present drive's: those would show an ATAPI drive's signature twice, and a driver that looks
 * for signatures would find a second drive.
 */
export class AbsentDrive {
  readonly status = 0;
  readonly #registers = Uint8Array.from(NO_SIGNATURE);

  /** SRST, RESET- or EXECUTE DEVICE DIAGNOSTIC. */
  reset(): void {
    this.#registers.set(NO_SIGNATURE);
  }
  /** Registers 1 (error) to 5. */
  readRegister(index: number): number {
    return this.#registers[index - 1] ?? 0;
  }
  writeRegister(index: number, value: number): void {
    // Register 1 is Features when written.
    if (index >= 2 && index <= 5) this.#registers[index - 1] = value;
  }
  saveState(): AbsentDriveState {
    return [...this.#registers];
  }
  loadState(s: AbsentDriveState | undefined): void {
    this.reset();
    for (const [i, value] of (s ?? []).slice(0, this.#registers.length).entries()) this.#registers[i] = value;
  }
}
