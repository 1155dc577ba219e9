import type { Clock, Timer } from "../../base/index.ts";
import type { FloppyDrive } from "./drive.ts";
import { ST0 } from "./registers.ts";
import { armLeft, leftNs } from "./state.ts";
import type { Fdc82077StateV1 } from "./state.ts";

const NOT_SEEKING = -1;
/** RECALIBRATE is told apart by its target, one above every cylinder. */
const TRACK_0 = 256;
const LAST_CYLINDER_NUMBER = 255;
/** Step pulses that RECALIBRATE sends at the most. */
const RECALIBRATE_STEPS = 79;
/** Results that wait to be sensed at the most; a driver that never asks loses the oldest. */
const MAX_SENSES = 8;

/** ST0 and cylinder, as SENSE INTERRUPT STATUS gives them. */
type Sense = readonly [number, number];

/** The four drives' heads under way, and what SENSE INTERRUPT STATUS will say of them, oldest first. Source: 82077AA data sheet §5.2.2-§5.2.4. */
export class SeekUnit {
  readonly #clock: Clock;
  readonly #drives: readonly FloppyDrive[];
  readonly #raise: () => void;
  readonly #timers: readonly Timer[];
  readonly #targets = [NOT_SEEKING, NOT_SEEKING, NOT_SEEKING, NOT_SEEKING];
  #senses: Sense[] = [];

  /** `raise`: a seek has ended, the interrupt is due. */
  constructor(clock: Clock, drives: readonly FloppyDrive[], raise: () => void) {
    this.#clock = clock;
    this.#drives = drives;
    this.#raise = raise;
    this.#timers = [0, 1, 2, 3].map((unit) => clock.createTimer(`fdc-seek-${unit}`, () => this.#done(unit)));
  }

  /** Ends what is under way and forgets what was to be sensed. */
  reset(): void {
    for (const [unit, timer] of this.#timers.entries()) {
      timer.cancel();
      this.#targets[unit] = NOT_SEEKING;
    }
    this.#senses = [];
  }

  /** The drives' ready changes after a reset: four results that share one interrupt. */
  pollAll(): void {
    this.#senses = this.#drives.map((drive, unit) => [ST0.POLL | unit, drive.cylinder] as const);
  }

  /** Sends a head to `target`, or with "track-0" until the drive shows that; a step takes `stepNs`. */
  start(unit: number, target: number | "track-0", stepNs: number): void {
    const cylinder = this.#drives[unit]?.cylinder ?? 0;
    const steps = Math.max(1, Math.abs((target === "track-0" ? 0 : target) - cylinder));
    this.#targets[unit] = target === "track-0" ? TRACK_0 : Math.max(0, Math.min(LAST_CYLINDER_NUMBER, target));
    this.#timers[unit]?.arm(this.#clock.nowNs() + Math.min(steps, 80) * stepNs);
  }

  /** A bit for each drive that is seeking (main status register). */
  get busy(): number {
    let bits = 0;
    for (const [unit, target] of this.#targets.entries()) if (target !== NOT_SEEKING) bits |= 1 << unit;
    return bits;
  }

  /** A finished seek waits to be sensed. */
  get waits(): boolean {
    return (this.#senses[0]?.[0] ?? ST0.POLL) < ST0.POLL;
  }

  /** Takes the oldest result; undefined: there is none. */
  sense(): Sense | undefined {
    return this.#senses.shift();
  }

  #done(unit: number): void {
    const target = this.#targets[unit] ?? NOT_SEEKING;
    const drive = this.#drives[unit];
    if (target === NOT_SEEKING || drive === undefined) return;
    this.#targets[unit] = NOT_SEEKING;
    let st0: number = ST0.SEEK_END | unit;
    if (target === TRACK_0) {
      // No drive never shows track 0.
      drive.stepTo(Math.max(0, drive.cylinder - RECALIBRATE_STEPS));
      if (!drive.installed || drive.cylinder !== 0) st0 |= ST0.ABNORMAL | ST0.EQUIPMENT;
    } else {
      drive.stepTo(target);
    }
    this.#senses.push([st0, drive.cylinder]);
    if (this.#senses.length > MAX_SENSES) this.#senses.shift();
    this.#raise();
  }

  saveState(): Pick<Fdc82077StateV1, "senses" | "seeks"> {
    return {
      senses: [...this.#senses],
      seeks: this.#targets.map((target, unit) => ({ target, leftNs: leftNs(this.#timers[unit], this.#clock) })),
    };
  }

  loadState(s: Fdc82077StateV1): void {
    this.#senses = [...s.senses];
    for (const [unit, seek] of s.seeks.entries()) {
      this.#targets[unit] = seek.target;
      armLeft(this.#timers[unit], this.#clock, seek.leftNs);
    }
  }
}
