import { shape } from "../../base/index.ts";
import type { Clock, Shaped } from "../../base/index.ts";
import type { ApicBus } from "./bus.ts";
import {
  BASE_BSP,
  BASE_ENABLE,
  BASE_X2APIC,
  DELIVERY,
  ESR,
  LVT,
  LVT_COUNT,
  LVT_LEVEL,
  LVT_MASKED,
  LVT_REMOTE_IRR,
  LVT_WRITABLE,
  REG,
  SVR_ENABLE,
  SVR_SUPPRESS_EOI,
  VERSION,
} from "./registers.ts";
import { LAPIC_TIMER_STATE, LapicTimer } from "./timer.ts";
import { VectorSet } from "./vector-set.ts";

/** The wires from a local APIC into its CPU. */
export interface LapicCpu {
  setInterruptLine(level: boolean): void;
  raiseNmi(): void;
  /** An INIT IPI came; the APIC has reset itself. */
  raiseInit(): void;
  raiseStartup(vector: number): void;
  /** Where the register page is now; undefined: nowhere (disabled, x2APIC). */
  setApicPage(gpa: number | undefined): void;
}

export interface LocalApicOptions {
  /** Initial APIC id, 0..254. */
  readonly id: number;
  /** The bootstrap processor's. */
  readonly bsp: boolean;
  readonly clock: Clock;
  readonly bus: ApicBus;
  readonly cpu: LapicCpu;
  /** The INTA cycle of the 8259 pair behind LINT0. */
  readonly acknowledgePic: () => number;
  /** This CPU's time-stamp counter, a tick a nanosecond. */
  readonly guestTsc: () => number;
  /** One tick of the timer's input clock; CPUID leaf 15h names it as the crystal. Default 40 (25 MHz). */
  readonly timerTickNs?: number;
}

export const DEFAULT_BASE = 0xfee00000;

export const LOCAL_APIC_STATE = shape.record({
  v: shape.oneOf(1),
  base: shape.count,
  flags: shape.bits32,
  tpr: shape.byte,
  svr: shape.dword,
  ldr: shape.dword,
  dfr: shape.dword,
  esr: shape.dword,
  errors: shape.dword,
  icrLow: shape.dword,
  icrHigh: shape.dword,
  irr: shape.list(shape.dword, 8),
  isr: shape.list(shape.dword, 8),
  tmr: shape.list(shape.dword, 8),
  lvt: shape.list(shape.dword, LVT_COUNT),
  lint: shape.list(shape.flag, 2),
  extInt: shape.flag,
  timer: LAPIC_TIMER_STATE,
});
export type LocalApicStateV1 = Shaped<typeof LOCAL_APIC_STATE>;

/**
 * One CPU's local APIC: registers by index, interrupt acceptance, IPIs. What the register page and the MSRs add (access rules, #GP) is in
 * `port.ts`. Source: SDM vol. 3A chapter 11.
 */
export class LocalApic {
  readonly id: number;
  readonly timer: LapicTimer;
  readonly #bsp: boolean;
  readonly #bus: ApicBus;
  readonly #cpu: LapicCpu;
  readonly #acknowledgePic: () => number;
  /** Pending, in service, and which of those are level-triggered. */
  readonly #irr = new VectorSet();
  readonly #isr = new VectorSet();
  readonly #tmr = new VectorSet();
  readonly #lvt = new Uint32Array(LVT_COUNT);
  /** Levels of LINT0 and LINT1. */
  readonly #lint = [false, false];
  /** An ExtINT message waits: the vector will come from the 8259s. */
  #extInt = false;
  #base = DEFAULT_BASE;
  /** BSP, x2APIC and enable bits of IA32_APIC_BASE. */
  #flags = 0;
  #tpr = 0;
  #svr = 0xff;
  #ldr = 0;
  #dfr = 0xffffffff;
  #esr = 0;
  #errors = 0;
  #icrLow = 0;
  #icrHigh = 0;
  /** The INTR wire as the CPU sees it. */
  #line = false;

  constructor(options: LocalApicOptions) {
    this.id = options.id;
    this.#bsp = options.bsp;
    this.#bus = options.bus;
    this.#cpu = options.cpu;
    this.#acknowledgePic = options.acknowledgePic;
    this.timer = new LapicTimer({
      clock: options.clock,
      name: `lapic${options.id}-timer`,
      tickNs: options.timerTickNs ?? 40,
      guestTsc: options.guestTsc,
      expired: () => this.#local(LVT.TIMER),
    });
    options.bus.attach(this);
    this.reset();
  }

  /** Power-on: xAPIC mode at FEE00000h, software-disabled, everything masked. */
  reset(): void {
    this.#base = DEFAULT_BASE;
    this.#flags = BASE_ENABLE | (this.#bsp ? BASE_BSP : 0);
    this.#clear();
    this.#placePage();
    this.#update();
  }

  /** INIT: as power-on, but IA32_APIC_BASE stays (SDM 11.4.7.3). */
  init(): void {
    this.#clear();
    this.#update();
  }

  get enabled(): boolean {
    return (this.#flags & BASE_ENABLE) !== 0;
  }
  get x2apic(): boolean {
    return (this.#flags & BASE_X2APIC) !== 0;
  }
  get baseAddress(): number {
    return this.#base;
  }
  get baseFlags(): number {
    return this.#flags;
  }
  /** Enabled by IA32_APIC_BASE and by software: takes fixed interrupts. */
  get takesInterrupts(): boolean {
    return this.enabled && (this.#svr & SVR_ENABLE) !== 0;
  }
  get processorPriority(): number {
    const service = this.#isr.top < 0 ? 0 : this.#isr.top & 0xf0;
    return (this.#tpr & 0xf0) >= service ? this.#tpr : service;
  }

  /** A write to IA32_APIC_BASE that has passed its checks. Leaving xAPIC or x2APIC mode for "disabled" forgets the state. */
  setBase(base: number, flags: number): void {
    const was = this.#flags;
    this.#base = base;
    this.#flags = flags;
    if ((was & BASE_ENABLE) !== 0 && (flags & BASE_ENABLE) === 0) this.#clear();
    this.#placePage();
    this.#update();
  }

  /** The level of LINT0 (0: the 8259s' INT) or LINT1 (1: NMI). */
  setLint(input: 0 | 1, level: boolean): void {
    const rose = level && !this.#lint[input];
    this.#lint[input] = level;
    if (!this.enabled) {
      // The pins are INTR and NMI then.
      if (input === 0) this.#update();
      else if (rose) this.#cpu.raiseNmi();
      return;
    }
    const entry = this.#lvt[LVT.LINT0 + input] ?? LVT_MASKED;
    if (((entry >>> 8) & 7) === DELIVERY.EXTINT) {
      this.#update();
      return;
    }
    if (rose) this.#lintRose(input);
  }

  /** Whether a message to this destination is for this APIC. */
  isAddressed(destination: number, logical: boolean, wide: boolean): boolean {
    if (!this.enabled) return false;
    if (destination === (wide ? 0xffffffff : 0xff)) return true;
    if (!logical) return destination === this.id;
    if (this.x2apic) {
      const ldr = this.#logicalId();
      return destination >>> 16 === ldr >>> 16 && (destination & ldr & 0xffff) !== 0;
    }
    if (destination > 0xff) return false;
    const own = this.#ldr >>> 24;
    if (this.#dfr >>> 28 === 0xf) return (destination & own) !== 0;
    if (this.#dfr >>> 28 !== 0) return false;
    return (destination >>> 4 === 0xf || destination >>> 4 === own >>> 4) && (destination & own & 0xf) !== 0;
  }

  /** Takes a message. False: not accepted. */
  accept(mode: number, vector: number, level: boolean): boolean {
    switch (mode) {
      case DELIVERY.FIXED:
      case DELIVERY.LOWEST:
        if (!this.takesInterrupts) return false;
        if (vector < 16) {
          this.#error(ESR.RECEIVE_VECTOR);
          return true;
        }
        this.#irr.add(vector);
        if (level) this.#tmr.add(vector);
        else this.#tmr.remove(vector);
        this.#update();
        return true;
      case DELIVERY.NMI:
        if (!this.enabled) return false;
        this.#cpu.raiseNmi();
        return true;
      case DELIVERY.INIT:
        if (!this.enabled) return false;
        this.init();
        this.#cpu.raiseInit();
        return true;
      case DELIVERY.STARTUP:
        if (!this.enabled) return false;
        this.#cpu.raiseStartup(vector);
        return true;
      case DELIVERY.EXTINT:
        if (!this.takesInterrupts) return false;
        this.#extInt = true;
        this.#update();
        return true;
      default:
        // SMI: there is no system management mode.
        return mode === DELIVERY.SMI;
    }
  }

  /** The CPU takes an interrupt: its vector, now in service; from the 8259s when nothing of our own is due. */
  acknowledge(): number {
    if (this.#isDue()) {
      const vector = this.#irr.top;
      this.#irr.remove(vector);
      this.#isr.add(vector);
      this.#update();
      return vector;
    }
    if (this.#picWaits()) {
      this.#extInt = false;
      const vector = this.#acknowledgePic();
      this.#update();
      return vector;
    }
    return this.#svr & 0xff;
  }

  /** Task priority 7:4 for CR8. */
  get taskPriorityClass(): number {
    return this.#tpr >>> 4;
  }
  setTaskPriority(value: number): void {
    this.#tpr = value;
    this.#update();
  }

  /** A register by index; xAPIC form. Undefined: there is none. */
  read(index: number): number | undefined {
    if (index >= REG.ISR && index < REG.ISR + 8) return this.#isr.word(index - REG.ISR);
    if (index >= REG.TMR && index < REG.TMR + 8) return this.#tmr.word(index - REG.TMR);
    if (index >= REG.IRR && index < REG.IRR + 8) return this.#irr.word(index - REG.IRR);
    if (index >= REG.LVT_TIMER && index <= REG.LVT_ERROR) return this.#lvt[index - REG.LVT_TIMER] ?? 0;
    switch (index) {
      case REG.ID:
        return this.x2apic ? this.id : this.id << 24;
      case REG.VERSION:
        return VERSION;
      case REG.TPR:
        return this.#tpr;
      case REG.PPR:
        return this.processorPriority;
      case REG.LDR:
        return this.x2apic ? this.#logicalId() : this.#ldr;
      case REG.DFR:
        return this.#dfr;
      case REG.SVR:
        return this.#svr;
      case REG.ESR:
        return this.#esr;
      case REG.ICR_LOW:
        return this.#icrLow;
      case REG.ICR_HIGH:
        return this.#icrHigh;
      case REG.TIMER_INITIAL:
        return this.timer.initial;
      case REG.TIMER_CURRENT:
        return this.timer.current();
      case REG.TIMER_DIVIDE:
        return this.timer.divide;
      // Arbitration priority and remote read went with the three-wire APIC bus.
      case REG.APR:
      case REG.RRD:
      case REG.EOI:
        return 0;
      default:
        return undefined;
    }
  }

  /** Writes a register by index. False: there is none to write. */
  write(index: number, value: number): boolean {
    if (index >= REG.LVT_TIMER && index <= REG.LVT_ERROR) {
      this.#writeLvt(index - REG.LVT_TIMER, value);
      return true;
    }
    switch (index) {
      case REG.TPR:
        this.setTaskPriority(value & 0xff);
        return true;
      case REG.EOI:
        this.endOfInterrupt();
        return true;
      case REG.LDR:
        this.#ldr = (value & 0xff000000) >>> 0;
        return true;
      case REG.DFR:
        this.#dfr = (value | 0x0fffffff) >>> 0;
        return true;
      case REG.SVR:
        this.#svr = value & (0xff | SVR_ENABLE | SVR_SUPPRESS_EOI);
        if ((value & SVR_ENABLE) === 0) for (let i = 0; i < LVT_COUNT; i++) this.#lvt[i] = (this.#lvt[i] ?? 0) | LVT_MASKED;
        this.#update();
        return true;
      case REG.ESR:
        this.#esr = this.#errors;
        this.#errors = 0;
        return true;
      case REG.ICR_LOW:
        this.command(value, this.#icrHigh);
        return true;
      case REG.ICR_HIGH:
        this.#icrHigh = (value & 0xff000000) >>> 0;
        return true;
      case REG.TIMER_INITIAL:
        this.timer.setInitial(value);
        return true;
      case REG.TIMER_DIVIDE:
        this.timer.setDivide(value);
        return true;
      // Read-only ones swallow writes.
      case REG.ID:
      case REG.VERSION:
      case REG.APR:
      case REG.PPR:
      case REG.RRD:
      case REG.TIMER_CURRENT:
        return true;
      default:
        return index >= REG.ISR && index < REG.ESR;
    }
  }

  endOfInterrupt(): void {
    const vector = this.#isr.top;
    if (vector < 0) return;
    this.#isr.remove(vector);
    if (this.#tmr.has(vector)) {
      if ((this.#svr & SVR_SUPPRESS_EOI) === 0) this.#bus.endOfInterrupt(vector);
      const entry = this.#lvt[LVT.LINT0] ?? 0;
      if ((entry & LVT_REMOTE_IRR) !== 0 && (entry & 0xff) === vector) {
        this.#lvt[LVT.LINT0] = entry & ~LVT_REMOTE_IRR;
        if (this.#lint[0]) this.#lintRose(0);
      }
    }
    this.#update();
  }

  /** The interrupt command register: sends an IPI. `high`: destination, 32 bits in x2APIC mode, else in 31:24. */
  command(low: number, high: number): void {
    this.#icrLow = low & 0xccfff;
    this.#icrHigh = high >>> 0;
    const mode = (low >>> 8) & 7;
    const vector = low & 0xff;
    if (mode === DELIVERY.FIXED || mode === DELIVERY.LOWEST) {
      if (vector < 16) {
        this.#error(ESR.SEND_VECTOR);
        return;
      }
    } else if (mode === DELIVERY.EXTINT || mode === 3) return; // reserved here
    // INIT level de-assert synchronised arbitration ids on the old bus.
    if (mode === DELIVERY.INIT && (low & 0x4000) === 0) return;
    switch ((low >>> 18) & 3) {
      case 1:
        if (mode !== DELIVERY.INIT && mode !== DELIVERY.STARTUP) this.accept(mode, vector, false);
        return;
      case 2:
        this.#bus.broadcast(mode, vector, mode === DELIVERY.INIT || mode === DELIVERY.STARTUP ? this : undefined);
        return;
      case 3:
        this.#bus.broadcast(mode, vector, this);
        return;
      default:
        this.#bus.deliver(this.x2apic ? this.#icrHigh : this.#icrHigh >>> 24, (low & 0x800) !== 0, this.x2apic, mode, vector, false);
    }
  }

  /** The x2APIC's self-IPI register: a fixed interrupt to this CPU; the ICR keeps what it holds. */
  selfIpi(vector: number): void {
    if (vector < 16) this.#error(ESR.SEND_VECTOR);
    else this.accept(DELIVERY.FIXED, vector, false);
  }

  /** An access to an address where no register is. */
  registerError(): void {
    this.#error(ESR.REGISTER);
  }

  /** Stops the timer for good. */
  dispose(): void {
    this.timer.dispose();
  }

  saveState(): LocalApicStateV1 {
    return {
      v: 1,
      base: this.#base,
      flags: this.#flags,
      tpr: this.#tpr,
      svr: this.#svr,
      ldr: this.#ldr,
      dfr: this.#dfr,
      esr: this.#esr,
      errors: this.#errors,
      icrLow: this.#icrLow,
      icrHigh: this.#icrHigh,
      irr: this.#irr.saveState(),
      isr: this.#isr.saveState(),
      tmr: this.#tmr.saveState(),
      lvt: Array.from(this.#lvt),
      lint: [...this.#lint],
      extInt: this.#extInt,
      timer: this.timer.saveState(),
    };
  }

  /** Drives the CPU's interrupt line and page again. */
  loadState(s: LocalApicStateV1): void {
    this.#base = s.base;
    this.#flags = s.flags;
    this.#tpr = s.tpr;
    this.#svr = s.svr;
    this.#ldr = s.ldr;
    this.#dfr = s.dfr;
    this.#esr = s.esr;
    this.#errors = s.errors;
    this.#icrLow = s.icrLow;
    this.#icrHigh = s.icrHigh;
    this.#irr.loadState(s.irr);
    this.#isr.loadState(s.isr);
    this.#tmr.loadState(s.tmr);
    this.#lvt.set(s.lvt.slice(0, LVT_COUNT));
    this.#lint[0] = s.lint[0] ?? false;
    this.#lint[1] = s.lint[1] ?? false;
    this.#extInt = s.extInt;
    this.timer.loadState(s.timer);
    this.#placePage();
    this.#line = this.#isDue() || this.#picWaits();
    this.#cpu.setInterruptLine(this.#line);
  }

  #clear(): void {
    this.#irr.clear();
    this.#isr.clear();
    this.#tmr.clear();
    this.#lvt.fill(LVT_MASKED);
    this.#extInt = false;
    this.#tpr = 0;
    this.#svr = 0xff;
    this.#ldr = 0;
    this.#dfr = 0xffffffff;
    this.#esr = 0;
    this.#errors = 0;
    this.#icrLow = 0;
    this.#icrHigh = 0;
    this.timer.reset();
  }

  #placePage(): void {
    this.#cpu.setApicPage((this.#flags & (BASE_ENABLE | BASE_X2APIC)) === BASE_ENABLE ? this.#base : undefined);
  }

  /** SDM 11.12.10.2: cluster in 31:16, one bit of sixteen below. */
  #logicalId(): number {
    return (((this.id >>> 4) << 16) | (1 << (this.id & 15))) >>> 0;
  }

  #isDue(): boolean {
    return this.#irr.top >= 0 && (this.#irr.top & 0xf0) > (this.processorPriority & 0xf0) && this.enabled;
  }

  #picWaits(): boolean {
    if (this.#extInt) return true;
    if (!this.#lint[0]) return false;
    return !this.enabled || ((this.#lvt[LVT.LINT0] ?? LVT_MASKED) & (LVT_MASKED | 0x700)) === 0x700;
  }

  #update(): void {
    const level = this.#isDue() || this.#picWaits();
    if (level === this.#line) return;
    this.#line = level;
    this.#cpu.setInterruptLine(level);
  }

  /** LINT rises, or is found high when a level-triggered entry is opened or ended; any mode but ExtINT. */
  #lintRose(input: 0 | 1): void {
    const at = LVT.LINT0 + input;
    const entry = this.#lvt[at] ?? LVT_MASKED;
    // LINT1 is always edge-triggered, LINT0 may be level-triggered in fixed mode.
    if (input === 0 && (entry & (LVT_LEVEL | LVT_MASKED | 0x700)) === LVT_LEVEL) {
      if ((entry & LVT_REMOTE_IRR) !== 0) return;
      if (this.accept(DELIVERY.FIXED, entry & 0xff, true) && (entry & 0xff) >= 16) this.#lvt[at] = entry | LVT_REMOTE_IRR;
    } else this.#local(at);
  }

  /** A local source fires through its LVT entry. */
  #local(at: number): void {
    const entry = this.#lvt[at] ?? LVT_MASKED;
    if ((entry & LVT_MASKED) === 0) this.accept(at === LVT.TIMER || at === LVT.ERROR ? DELIVERY.FIXED : (entry >>> 8) & 7, entry & 0xff, false);
  }

  #writeLvt(at: number, value: number): void {
    const old = this.#lvt[at] ?? 0;
    const masked = (this.#svr & SVR_ENABLE) === 0 ? LVT_MASKED : 0;
    const level = (value & (LVT_LEVEL | 0x700)) === LVT_LEVEL;
    if (at === LVT.TIMER) this.timer.settle();
    this.#lvt[at] = (value & (LVT_WRITABLE[at] ?? 0)) | masked | (level ? old & LVT_REMOTE_IRR : 0);
    if (at === LVT.TIMER) this.timer.setMode((value >>> 17) & 3);
    else if (at === LVT.LINT0) {
      if (level && this.#lint[0]) this.#lintRose(0);
      this.#update();
    }
  }

  #error(bit: number): void {
    const fresh = (this.#errors & bit) === 0;
    this.#errors |= bit;
    if (!fresh) return;
    // An error vector that is itself illegal must not report itself for ever.
    if (((this.#lvt[LVT.ERROR] ?? 0) & 0xff) >= 16) this.#local(LVT.ERROR);
  }
}
