import type { Vcpu, VmEntry, VmExit } from "../../vmm/index.ts";
import type { MachineClock } from "./clock.ts";

/** Why a machine is at its end. `crash`: the guest's own doing, named. */
export type MachineEnd =
  | { readonly kind: "power-off"; readonly by: string }
  /** The guest is a test and gave its result (`isaDebugExit`): an exit code as QEMU makes it, odd, 1 to 255. */
  | { readonly kind: "debug-exit"; readonly exitCode: number }
  | { readonly kind: "reset"; readonly by: string }
  | { readonly kind: "crash"; readonly message: string }
  | { readonly kind: "halted"; readonly message: string }
  | { readonly kind: "stopped"; readonly by: string };

/** The wired PC as the run loop sees it. Everything here is synchronous. */
export interface Board {
  /** The bootstrap processor first. */
  readonly vcpus: readonly Vcpu[];
  readonly clock: MachineClock;
  /** A run ends after exactly so many instructions, and they are counted. Without it, a budget that was used up is all that is known. */
  readonly exactBudgets: boolean;
  /** A BIOS stub trapped (VMCALL, or OUT to the trap port): does the service. Undefined: no stub there, the instruction is the guest's own. */
  callBios(exit: VmExit, vcpu: Vcpu): VmEntry | undefined;
  /** A port or memory access that `GuestIo` left to us. */
  accessExit(exit: VmExit): VmEntry;
  /** What the guest or a person asked for since the last look: a reset, power off. */
  takeRequest(): BoardRequest | undefined;
  /** Told when a request was made, so that the running slice ends. */
  onRequest: (() => void) | undefined;
  /** Puts every chip and the CPUs into the state after RESET; the BIOS starts over. */
  reset(kind: "cold" | "warm"): void;
  /** From S3 (suspend to RAM) back to work. */
  wake(): void;
  /** True when the guest prepared a return from reset (CMOS shutdown code, warm-boot flag): a triple fault then is its way to ask for one. */
  resetWasPrepared(): boolean;
  /** One line about where a CPU is, for messages. */
  describeCpu(vcpu: Vcpu): string;
}

/** What chips, the BIOS or a person want of the run loop; done between two instructions. `by`: who, for messages. */
export type BoardRequest =
  | { readonly kind: "reset"; readonly warm: boolean; readonly by: string }
  | { readonly kind: "power-off"; readonly by: string }
  | { readonly kind: "suspend" }
  | { readonly kind: "wake" }
  | { readonly kind: "debug-exit"; readonly exitCode: number };
