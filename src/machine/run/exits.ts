import { unreachable, VmmError } from "../../base/index.ts";
import { ENTRY_SKIP } from "../../vmm/index.ts";
import type { Vcpu, VmEntry, VmExit } from "../../vmm/index.ts";
import type { Board } from "./board.ts";

/** What the run loop itself has to see to after an exit. Constants, so that no exit costs an allocation. */
export type LoopMatter = "nothing" | "budget" | "halts" | "waits" | "spins" | "init" | "shutdown" | "entry-refused";

export const INJECT_UD: VmEntry = { kind: "run", inject: { type: "hardware-exception", vector: 6 } };
const INJECT_GP: VmEntry = { kind: "run", inject: { type: "hardware-exception", vector: 13, errorCode: 0 } };

/** The machine's answer to an exit: what the CPU goes on with, or what the loop has to see to. Every kind of exit is here. */
export function answerExit(exit: VmExit, vcpu: Vcpu, board: Board): VmEntry | LoopMatter {
  switch (exit.kind) {
    case "budget":
      return "budget";
    case "hlt":
      return "halts";
    case "vmcall":
      return board.callBios(exit, vcpu) ?? INJECT_UD;
    case "io-in":
    case "io-out":
      return board.callBios(exit, vcpu) ?? board.accessExit(exit);
    case "mmio-read":
    case "mmio-write":
      return board.accessExit(exit);
    case "triple-fault":
      return "shutdown";
    case "init":
      return "init";
    case "sipi":
      vcpu.startup(exit.vector);
      return "nothing";
    // VMX root instructions in a guest that was never told it has VMX.
    case "vmx-instruction":
    case "getsec":
    case "rsm":
      return INJECT_UD;
    case "invd":
    case "wbinvd":
    case "monitor":
      return ENTRY_SKIP;
    case "pause":
      return "spins";
    case "mwait":
      return "waits";
    case "rdmsr":
    case "wrmsr":
    case "xsetbv":
      return INJECT_GP;
    case "external-interrupt":
    case "mtf":
    case "interrupt-window":
    case "nmi-window":
    case "preemption-timer":
      return "nothing";
    // What a firmware call was asked to load is the guest's doing.
    case "entry-failure":
      return "entry-refused";
    // Off in our intercepts: an exit of these kinds, unless somebody who switched it on answers it, is our own mistake.
    case "exception":
    case "task-switch":
    case "cpuid":
    case "invlpg":
    case "invpcid":
    case "rdpmc":
    case "rdtsc":
    case "rdtscp":
    case "cr-access":
    case "dr-access":
    case "descriptor-table":
    case "rdrand":
    case "rdseed":
      throw new VmmError("MACHINE_EXIT", `unexpected VM exit "${exit.kind}" (${board.describeCpu(vcpu)})`);
    default:
      return unreachable(exit);
  }
}
