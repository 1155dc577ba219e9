import { combineFaults, VECTOR } from "../../../isa/index.ts";
import type { EventType } from "../../api/index.ts";
import type { Cpu } from "../cpu.ts";
import { VM_EXIT } from "../cpu-state.ts";
import { EXIT_TRIPLE, plain } from "../exits.ts";
import { throughTable } from "./gates.ts";
import { debugDelivered } from "./msr.ts";
import { linkedTss, switchTask, type TaskSwitch } from "./task.ts";

/** Delivery of events with what may go wrong in it: faults, double faults, a triple fault, faults of a new task. */

/** The fault in `cpu.fault` is the new task's, in which we are. */
function faultInNewTask(cpu: Cpu): void {
  raiseFault(cpu, cpu.fault.vector, cpu.fault.errorCode);
  if (cpu.exit !== undefined) cpu.leave(cpu.exit);
}
/** Delivers one event; see `throughTable`. Throws GuestFault when delivery itself faults. */
export function deliverEvent(cpu: Cpu, type: EventType, vector: number, errorCode: number | undefined, instructionLength: number): void {
  if (!throughTable(cpu, type, vector, errorCode, instructionLength)) faultInNewTask(cpu);
}
/** Switches tasks for an instruction. */
export function enterTask(cpu: Cpu, to: TaskSwitch): void {
  if (!switchTask(cpu, to)) faultInNewTask(cpu);
}
/** IRET with NT set. */
export function returnFromTask(cpu: Cpu, returnIp: number, instructionLength: number): void {
  enterTask(cpu, { tss: linkedTss(cpu), source: "iret", returnIp, flags: cpu.eflags, instructionLength, ext: 0 });
}

/** The exception exits to the monitor instead: exception bitmap. Sets `cpu.exit`. */
function intercepted(cpu: Cpu, vector: number, errorCode: number | undefined): boolean {
  if (((cpu.intercepts.exceptionBitmap >>> vector) & 1) === 0) return false;
  const qualification = vector === VECTOR.PF ? cpu.fault.address : 0n;
  cpu.exit = { kind: "exception", vector, errorCode, event: "hardware-exception", ...plain("exception", qualification) };
  return true;
}

function tripleFault(cpu: Cpu): void {
  cpu.shutdown = true;
  cpu.exit = EXIT_TRIPLE;
}

/**
 * Delivers an event whatever happens in between: faults in delivery become exceptions, double faults, a triple fault. Never throws;
 * look at `cpu.exit` afterwards (exception intercepts, task-switch exits, MMIO on the stack, triple fault). The event itself is not
 * subject to the exception bitmap (it is injected, or an interrupt).
 */
export function deliverAll(cpu: Cpu, type: EventType, vector: number, errorCode: number | undefined, instructionLength: number): void {
  let currentType = type;
  let v = vector;
  let code = errorCode;
  let length = instructionLength;
  for (;;) {
    try {
      deliverEvent(cpu, currentType, v, code, length);
      // Whatever was held off is so no longer (SDM vol. 3A 6.8.3).
      cpu.shadow = 0;
      return;
    } catch (thrown) {
      if (thrown === VM_EXIT) return;
      if (thrown !== cpu.fault) throw thrown;
    }
    const outcome = currentType === "hardware-exception" ? combineFaults(v, cpu.fault.vector) : "serial";
    length = 0;
    currentType = "hardware-exception";
    if (outcome === "triple-fault") {
      tripleFault(cpu);
      return;
    }
    v = outcome === "double-fault" ? VECTOR.DF : cpu.fault.vector;
    code = outcome === "double-fault" ? 0 : cpu.fault.errorCode;
    if (intercepted(cpu, v, code)) return;
    if (cpu.fault.vector === VECTOR.PF) cpu.cr2 = cpu.fault.address;
  }
}

/** A hardware exception: exits when the monitor wants it, else delivered with double- and triple-fault logic. Never throws. */
export function raiseFault(cpu: Cpu, vector: number, errorCode: number | undefined): void {
  if (intercepted(cpu, vector, errorCode)) return;
  if (vector === VECTOR.PF) cpu.cr2 = cpu.fault.address;
  deliverAll(cpu, "hardware-exception", vector, errorCode, 0);
}

/**
 * A debug exception with the given DR6 conditions (B0-B3, BD, BS, BT). DR6 gathers them and DR7.GD is cleared, unless the monitor takes the
 * exception: then they are the exit's qualification.
 */
export function raiseDebug(cpu: Cpu, conditions: number): void {
  if ((cpu.intercepts.exceptionBitmap & 2) !== 0) {
    const exit = plain("exception", BigInt(conditions & 0x600f));
    cpu.exit = { kind: "exception", vector: VECTOR.DB, errorCode: undefined, event: "hardware-exception", ...exit };
    return;
  }
  cpu.dr[6] = (cpu.dr[6] & ~0xfn) | 0xffff0ff0n | BigInt(conditions & 0xe00f);
  cpu.dr[7] &= ~0x2000n;
  debugDelivered(cpu);
  deliverAll(cpu, "hardware-exception", VECTOR.DB, undefined, 0);
}
