import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BusDevice, IrqPin } from "../../bus/index.ts";

/** "cpu": INIT, memory and devices keep their state. "hard": the whole machine. */
export type ResetKind = "cpu" | "hard";

export interface SystemPortsOptions {
  /** Port 92h bit 1. Called on a change. */
  readonly a20: (enabled: boolean) => void;
  /** Port 92h bit 0 rose, or CF9h was told to reset. */
  readonly reset: (kind: ResetKind) => void;
  /** IRQ13, lowered when the guest writes F0h or F1h. */
  readonly fpuPin: IrqPin;
  /** Port F0h or F1h: the FPU's busy latch is cleared (IGNNE# until the next FPU instruction). */
  readonly clearFpuBusy?: () => void;
  /** A20 at power-on (default true). */
  readonly a20Enabled?: boolean;
}

const A_RESET = 0x01;
const A_A20 = 0x02;
const RC_SYSTEM = 0x02;
const RC_CPU = 0x04;
const RC_FULL = 0x08;

export const SYSTEM_PORTS_STATE = shape.record({
  v: shape.oneOf(1),
  portA: shape.byte,
  resetControl: shape.byte,
  fpuError: shape.flag,
});
export type SystemPortsStateV1 = Shaped<typeof SYSTEM_PORTS_STATE>;

/**
 * The chipset's loose ports. `portA` is 92h (system control port A: fast A20, fast reset); `resetControl` is the byte CF9h (register it as
 * an overlay, it lies inside the PCI address port); `fpu` is F0h and F1h. Source: IBM PS/2 reference; Intel 82371AB (PIIX4) data sheet.
 */
export class SystemPorts {
  readonly portA: BusDevice;
  readonly resetControl: BusDevice;
  readonly fpu: BusDevice;
  readonly #a20: (enabled: boolean) => void;
  readonly #reset: (kind: ResetKind) => void;
  readonly #fpuPin: IrqPin;
  readonly #clearFpuBusy: (() => void) | undefined;
  #portA: number;
  #resetControl = 0;
  #fpuError = false;

  constructor(options: SystemPortsOptions) {
    this.#a20 = options.a20;
    this.#reset = options.reset;
    this.#fpuPin = options.fpuPin;
    this.#clearFpuBusy = options.clearFpuBusy;
    this.#portA = options.a20Enabled === false ? 0 : A_A20;
    this.portA = { name: "system-port-a", read: () => this.#portA, write: (_offset, _size, value) => this.#writePortA(value & 0xff) };
    this.resetControl = {
      name: "reset-control",
      read: () => this.#resetControl,
      write: (_offset, _size, value) => this.#writeResetControl(value & 0xff),
    };
    this.fpu = { name: "fpu-busy", read: () => 0xff, write: () => this.#clearFpu() };
  }

  /** The A20 bit of port 92h. */
  get a20(): boolean {
    return (this.#portA & A_A20) !== 0;
  }

  /** Follows an A20 change made elsewhere in machines whose gates are one latch. No callback. */
  setA20(enabled: boolean): void {
    this.#portA = enabled ? this.#portA | A_A20 : this.#portA & ~A_A20;
  }

  /** FERR#: the FPU reports an unmasked exception with CR0.NE clear. Raises IRQ13 until the guest clears it. */
  fpuError(): void {
    this.#fpuError = true;
    this.#fpuPin.set(true);
  }

  saveState(): SystemPortsStateV1 {
    return { v: 1, portA: this.#portA, resetControl: this.#resetControl, fpuError: this.#fpuError };
  }

  loadState(s: SystemPortsStateV1): void {
    this.#portA = s.portA;
    this.#resetControl = s.resetControl;
    this.#fpuError = s.fpuError;
    this.#fpuPin.set(s.fpuError);
  }

  #writePortA(value: number): void {
    const changed = this.#portA ^ value;
    this.#portA = value;
    if ((changed & A_A20) !== 0) this.#a20((value & A_A20) !== 0);
    if ((changed & value & A_RESET) !== 0) {
      this.#portA &= ~A_RESET;
      this.#reset("cpu");
    }
  }

  #writeResetControl(value: number): void {
    const rises = (value & ~this.#resetControl & RC_CPU) !== 0;
    this.#resetControl = value & (RC_SYSTEM | RC_CPU | RC_FULL);
    if (!rises) return;
    this.#resetControl &= ~RC_CPU;
    this.#reset((value & RC_SYSTEM) !== 0 ? "hard" : "cpu");
  }

  #clearFpu(): void {
    this.#fpuError = false;
    this.#fpuPin.set(false);
    if (this.#clearFpuBusy !== undefined) this.#clearFpuBusy();
  }
}
