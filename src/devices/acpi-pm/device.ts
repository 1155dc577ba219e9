import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { AccessSize, BusDevice, IrqPin } from "../../bus/index.ts";
import { readBytes, writeBytes } from "../common/byte-access.ts";
import { nsOfTick, ticksAt } from "../common/ticks.ts";

export interface AcpiPmOptions {
  readonly clock: Clock;
  /** The SCI, level-triggered. */
  readonly sci: IrqPin;
  /** SLP_TYP of S3 (suspend to RAM) and S5 (soft off). */
  readonly s3SleepType: number;
  readonly s5SleepType: number;
  /** The guest entered S3: its processors stop. */
  readonly suspend: () => void;
  /** Something woke it. The status bits say what. */
  readonly wake: () => void;
  /** The guest entered S5, or the power button was pressed while no ACPI system runs. */
  readonly powerOff: (by: string) => void;
  /** Bytes that the ACPI tables name for the SMI command port. */
  readonly acpiEnable: number;
  readonly acpiDisable: number;
}

/** ACPI power management timer, 3.579545 MHz. */
const PM_TIMER_HZ = 3_579_545;
/** Half the range of the 32-bit counter: TMR_STS is set whenever the top bit changes. */
const CARRY_TICKS = 0x80000000;

/** PM1 status and enable bits. ACPI 5.0, 4.8.3.1. */
const TMR = 0x0001;
const BUS_MASTER = 0x0010;
const GLOBAL = 0x0020;
const POWER_BUTTON = 0x0100;
const SLEEP_BUTTON = 0x0200;
const RTC = 0x0400;
const WAKE = 0x8000;
const STATUS_BITS = TMR | BUS_MASTER | GLOBAL | POWER_BUTTON | SLEEP_BUTTON | RTC | WAKE;
const ENABLE_BITS = TMR | GLOBAL | POWER_BUTTON | SLEEP_BUTTON | RTC;

/** PM1 control. */
const SCI_EN = 0x0001;
const CONTROL_BITS = 0x1c03;
const SLP_EN = 0x2000;

/** Bytes of the block: PM1 event, control, timer, GPE0 (PIIX4 layout). */
export const ACPI_PM_BYTES = 0x10;

export const ACPI_PM_STATE = shape.record({
  v: shape.oneOf(1),
  status: shape.word,
  enable: shape.word,
  control: shape.word,
  gpeStatus: shape.word,
  gpeEnable: shape.word,
  command: shape.byte,
  commandStatus: shape.byte,
  /** Tick of the last carry of the timer's top bit that was seen. */
  carries: shape.count,
  /** In S3. Missing in older snapshots. */
  asleep: shape.maybe(shape.flag),
});
export type AcpiPmStateV1 = Shaped<typeof ACPI_PM_STATE>;

/**
 * The power management block of a PIIX4, and its SMI command port (B2h, B3h). There is no SMM: what SMI code would do on "ACPI enable" and
 * "disable" happens at once. Sources: Intel 82371AB data sheet (290562) chapter 7; ACPI 5.0 chapter 4.8.
 */
export class AcpiPm {
  /** 16 ports at the power management base; byte, word and dword accesses. */
  readonly block: BusDevice;
  /** APMC and APMS, B2h and B3h. */
  readonly command: BusDevice;
  readonly #clock: Clock;
  readonly #options: AcpiPmOptions;
  readonly #timer: Timer;
  #status = 0;
  #enable = 0;
  #control = 0;
  #gpeStatus = 0;
  #gpeEnable = 0;
  #command = 0;
  #commandStatus = 0;
  #carries = 0;
  #asleep = false;

  constructor(options: AcpiPmOptions) {
    this.#clock = options.clock;
    this.#options = options;
    this.#carries = this.#carriesNow();
    this.#timer = options.clock.createTimer("acpi-pm-timer", () => this.#update());
    this.block = {
      name: "acpi-pm",
      read: (offset, size) => this.#read(offset, size),
      write: (offset, size, value) => {
        writeBytes(offset, size, value, (at, byte) => this.#writeByte(at, byte));
        this.#update();
      },
    };
    this.command = {
      name: "smi-command",
      read: (offset) => (offset === 0 ? this.#command : this.#commandStatus),
      write: (offset, _size, value) => this.#writeCommand(offset, value & 0xff),
    };
  }

  /** The guest runs in ACPI mode. */
  get acpiMode(): boolean {
    return (this.#control & SCI_EN) !== 0;
  }

  /** The button on the case: an event for an ACPI system, off at once for others (as firmware does it). */
  powerButton(): void {
    if (this.#asleep) this.#wake(POWER_BUTTON);
    else if (!this.acpiMode) this.#options.powerOff("power button");
    else this.#raise(POWER_BUTTON);
  }
  /** Nothing in legacy mode: there is nothing to sleep with. */
  sleepButton(): void {
    if (this.#asleep) this.#wake(SLEEP_BUTTON);
    else if (this.acpiMode) this.#raise(SLEEP_BUTTON);
  }
  /** A key was pressed, or the mouse moved: wakes the machine, as a PC's firmware sets it up. */
  inputEvent(): void {
    if (this.#asleep) this.#wake(0);
  }
  /** IRQ8 was asserted. */
  rtcAlarm(): void {
    if (this.#asleep && (this.#enable & RTC) !== 0) this.#wake(RTC);
    else if ((this.#status & RTC) === 0) this.#raise(RTC);
  }
  saveState(): AcpiPmStateV1 {
    return {
      v: 1,
      status: this.#status,
      enable: this.#enable,
      control: this.#control,
      gpeStatus: this.#gpeStatus,
      gpeEnable: this.#gpeEnable,
      command: this.#command,
      commandStatus: this.#commandStatus,
      carries: this.#carries,
      asleep: this.#asleep,
    };
  }
  loadState(s: AcpiPmStateV1): void {
    this.#status = s.status;
    this.#enable = s.enable;
    this.#control = s.control;
    this.#gpeStatus = s.gpeStatus;
    this.#gpeEnable = s.gpeEnable;
    this.#command = s.command;
    this.#commandStatus = s.commandStatus;
    this.#carries = s.carries;
    this.#asleep = s.asleep ?? false;
    this.#update();
  }

  #sleep(type: number): void {
    if (type === this.#options.s5SleepType) this.#options.powerOff("ACPI S5");
    if (type !== this.#options.s3SleepType) return;
    // An event that was enabled and came before the last moment ends the sleep before it begins.
    const waiting = this.#status & this.#enable & (POWER_BUTTON | SLEEP_BUTTON | RTC);
    if (waiting !== 0) return this.#wake(waiting);
    this.#asleep = true;
    this.#options.suspend();
  }
  #wake(cause: number): void {
    this.#asleep = false;
    this.#raise(WAKE | cause);
    this.#options.wake();
  }

  #ticks(): number {
    return ticksAt(this.#clock.nowNs(), PM_TIMER_HZ);
  }
  #carriesNow(): number {
    return Math.floor(this.#ticks() / CARRY_TICKS);
  }

  #raise(bit: number): void {
    this.#status |= bit;
    this.#update();
  }

  /** The timer's carry into its status bit, the SCI, and the next moment at which the carry must be looked at. */
  #update(): void {
    const carries = this.#carriesNow();
    if (carries !== this.#carries) this.#status |= TMR;
    this.#carries = carries;
    const asserted = (this.#status & this.#enable & ENABLE_BITS) !== 0 || (this.#gpeStatus & this.#gpeEnable) !== 0;
    this.#options.sci.set(asserted && this.acpiMode);
    if ((this.#enable & TMR) === 0 || (this.#status & TMR) !== 0) this.#timer.cancel();
    else this.#timer.arm(nsOfTick((carries + 1) * CARRY_TICKS, PM_TIMER_HZ));
  }

  #read(offset: number, size: AccessSize): number {
    // What the CPU polls comes first.
    if (offset === 8 && size === 4) return this.#ticks() % 0x100000000;
    if (this.#carriesNow() !== this.#carries) this.#update();
    return readBytes(offset, size, (at) => this.#readByte(at));
  }

  #readByte(at: number): number {
    switch (at) {
      case 0:
      case 1:
        return (this.#status >>> (8 * at)) & 0xff;
      case 2:
      case 3:
        return (this.#enable >>> (8 * (at - 2))) & 0xff;
      case 4:
      case 5:
        return (this.#control >>> (8 * (at - 4))) & 0xff;
      case 8:
      case 9:
      case 10:
      case 11:
        return Math.floor((this.#ticks() % 0x100000000) / 2 ** (8 * (at - 8))) & 0xff;
      case 12:
      case 13:
        return (this.#gpeStatus >>> (8 * (at - 12))) & 0xff;
      case 14:
      case 15:
        return (this.#gpeEnable >>> (8 * (at - 14))) & 0xff;
      default:
        return 0;
    }
  }

  #writeByte(at: number, value: number): void {
    switch (at) {
      case 0:
      case 1:
        // Write one to clear; a carry that came meanwhile is not lost, because `#update` counts them.
        this.#status &= ~(value << (8 * at)) & STATUS_BITS;
        return;
      case 2:
      case 3:
        this.#enable = mergeByte(this.#enable, at - 2, value) & ENABLE_BITS;
        return;
      case 4:
        this.#control = (this.#control & ~0xfe) | (value & CONTROL_BITS & 0xfe);
        // GBL_RLS: an SMI to firmware that is not there.
        return;
      case 5:
        this.#control = mergeByte(this.#control, 1, value) & CONTROL_BITS;
        if (((value << 8) & SLP_EN) !== 0) this.#sleep((value >>> 2) & 7);
        return;
      case 12:
      case 13:
        this.#gpeStatus &= ~(value << (8 * (at - 12)));
        return;
      case 14:
      case 15:
        this.#gpeEnable = mergeByte(this.#gpeEnable, at - 14, value);
        return;
      default:
    }
  }

  #writeCommand(offset: number, value: number): void {
    if (offset !== 0) {
      this.#commandStatus = value;
      return;
    }
    this.#command = value;
    if (value === this.#options.acpiEnable) this.#control |= SCI_EN;
    else if (value === this.#options.acpiDisable) this.#control &= ~SCI_EN;
    else return;
    this.#update();
  }
}

const mergeByte = (word: number, index: number, value: number): number => (word & ~(0xff << (8 * index))) | (value << (8 * index));
