import type { AccessSize } from "../../bus/index.ts";
import type { LocalApic } from "./chip.ts";
import {
  BASE_BSP,
  BASE_ENABLE,
  BASE_X2APIC,
  DELIVERY,
  LVT_ALLOWED,
  MSR_APIC_BASE,
  MSR_TSC_DEADLINE,
  MSR_X2APIC,
  REG,
  SVR_ENABLE,
  SVR_SUPPRESS_EOI,
} from "./registers.ts";

/** Physical addresses have 40 bits. */
const BASE_ADDRESS = 0xff_ffff_f000n;

/**
 * How software reaches a local APIC: the register page in xAPIC mode (SDM 11.4.1), MSRs in x2APIC mode (11.12) with their #GP rules,
 * IA32_APIC_BASE with its mode changes (11.12.5), IA32_TSC_DEADLINE, CR8.
 */
export class LocalApicPorts {
  readonly #apic: LocalApic;

  constructor(apic: LocalApic) {
    this.#apic = apic;
  }

  interruptAcknowledge(): number {
    return this.#apic.acknowledge();
  }
  readTpr(): number {
    return this.#apic.taskPriorityClass;
  }
  writeTpr(value: number): void {
    this.#apic.setTaskPriority((value & 15) << 4);
  }

  /** Registers are dwords at multiples of 16; narrower reads give the part, other addresses nothing. */
  pageRead(offset: number, size: AccessSize): number {
    const value = this.#apic.read(offset >>> 4);
    if (value === undefined || offset >= 0x400) {
      this.#apic.registerError();
      return 0;
    }
    const byte = offset & 15;
    if (byte > 3) return 0;
    const part = value >>> (8 * byte);
    return size === 4 ? part >>> 0 : part & (size === 2 ? 0xffff : 0xff);
  }

  /** Only aligned dword writes count (SDM 11.4.1: others are undefined). */
  pageWrite(offset: number, size: AccessSize, value: number): void {
    if (size !== 4 || (offset & 15) !== 0) return;
    if (offset >= 0x3f0 || !this.#apic.write(offset >>> 4, value >>> 0)) this.#apic.registerError();
  }

  /** Undefined: #GP(0). */
  msrRead(index: number): bigint | undefined {
    const apic = this.#apic;
    if (index === MSR_APIC_BASE) return BigInt(apic.baseAddress) | BigInt(apic.baseFlags);
    if (index === MSR_TSC_DEADLINE) return apic.timer.deadline;
    const register = index - MSR_X2APIC;
    if (!apic.x2apic || register < 0 || register > 0x3f) return undefined;
    switch (register) {
      case REG.APR:
      case REG.EOI:
      case REG.RRD:
      case REG.DFR:
      case REG.ICR_HIGH:
      case REG.SELF_IPI:
        return undefined;
      case REG.ICR_LOW:
        return (BigInt(apic.read(REG.ICR_HIGH) ?? 0) << 32n) | BigInt(apic.read(REG.ICR_LOW) ?? 0);
      default: {
        const value = apic.read(register);
        return value === undefined ? undefined : BigInt(value >>> 0);
      }
    }
  }

  /** False: #GP(0). */
  msrWrite(index: number, value: bigint): boolean {
    const apic = this.#apic;
    if (index === MSR_APIC_BASE) return this.#writeBase(value);
    if (index === MSR_TSC_DEADLINE) {
      apic.timer.setDeadline(value);
      return true;
    }
    const register = index - MSR_X2APIC;
    if (!apic.x2apic || register < 0 || register > 0x3f) return false;
    const low = Number(value & 0xffff_ffffn);
    if (register === REG.ICR_LOW) {
      if ((low & ~0xcdfff) !== 0) return false;
      apic.command(low, Number(value >> 32n));
      return true;
    }
    if (value >> 32n !== 0n || !isAllowed(register, low)) return false;
    if (register === REG.SELF_IPI) {
      apic.selfIpi(low);
      return true;
    }
    return apic.write(register, low);
  }

  #writeBase(value: bigint): boolean {
    const allowed = BASE_ADDRESS | BigInt(BASE_BSP | BASE_X2APIC | BASE_ENABLE);
    if ((value & ~allowed) !== 0n) return false;
    const mode = BASE_ENABLE | BASE_X2APIC;
    const flags = Number(value & 0xfffn);
    const was = this.#apic.baseFlags & mode;
    const will = flags & mode;
    // x2APIC without enable never; into x2APIC only from xAPIC; out of it only by disabling.
    if (will === BASE_X2APIC) return false;
    if (will === mode && was === 0) return false;
    if (was === mode && will === BASE_ENABLE) return false;
    this.#apic.setBase(Number(value & BASE_ADDRESS), flags);
    return true;
  }
}

/** Which registers x2APIC software may write, with which bits (SDM table 11-6, 11.12.1). */
function isAllowed(register: number, value: number): boolean {
  if (register >= REG.LVT_TIMER && register <= REG.LVT_ERROR) return (value & ~(LVT_ALLOWED[register - REG.LVT_TIMER] ?? 0)) === 0;
  switch (register) {
    case REG.TPR:
    case REG.SELF_IPI:
      return value <= 0xff;
    case REG.EOI:
    case REG.ESR:
      return value === 0;
    case REG.SVR:
      return (value & ~(0xff | SVR_ENABLE | SVR_SUPPRESS_EOI)) === 0;
    case REG.TIMER_INITIAL:
      return true;
    case REG.TIMER_DIVIDE:
      return (value & ~0xb) === 0;
    default:
      return false;
  }
}

/** What firmware does on the bootstrap processor: enables the APIC and lets the 8259s' interrupts and NMI through it ("virtual wire"). */
export function setVirtualWire(apic: LocalApic): void {
  apic.write(REG.SVR, SVR_ENABLE | 0xff);
  apic.write(REG.LVT_TIMER + 3, DELIVERY.EXTINT << 8);
  apic.write(REG.LVT_TIMER + 4, DELIVERY.NMI << 8);
}
