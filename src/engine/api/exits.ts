import type { AccessSize } from "./types.ts";

/** Event types as in the VMCS interruption-information field. */
export type EventType = "external" | "nmi" | "hardware-exception" | "software-interrupt" | "privileged-exception" | "software-exception";

/** An event as the VM-entry interruption-information field describes it. Source: SDM vol. 3C 25.8.3. */
export interface InjectedEvent {
  readonly type: EventType;
  readonly vector: number;
  readonly errorCode?: number;
  /** For software types: length of the instruction that "caused" it, added to RIP. */
  readonly instructionLength?: number;
}

/** Fields every exit carries. `reason` is the Intel basic exit reason, `qualification` as in the SDM (64-bit). */
export interface ExitCommon {
  readonly reason: number;
  readonly qualification: bigint;
  /** Bytes of the instruction that caused it; 0 when none did. */
  readonly instructionLength: number;
  /** VM-exit instruction-information field where the reason defines one, else 0. */
  readonly instructionInfo: number;
}

/**
 * Why the guest stopped. For instruction-caused exits RIP still points at the instruction; an entry `skip` moves it on by
 * `instructionLength`, for monitors that have done the work.
 */
export type VmExit = ExitCommon &
  /** `early`: of the budget some is left, and nothing happened; the host gets a turn. How often depends on caches, so it is not counted. */
  (
    | { readonly kind: "budget"; readonly early?: true }
    | { readonly kind: "exception"; readonly vector: number; readonly errorCode: number | undefined; readonly event: EventType }
    | { readonly kind: "external-interrupt" }
    | { readonly kind: "triple-fault" }
    | { readonly kind: "init" }
    | { readonly kind: "sipi"; readonly vector: number }
    | { readonly kind: "interrupt-window" }
    | { readonly kind: "nmi-window" }
    | { readonly kind: "task-switch"; readonly selector: number }
    | { readonly kind: "cpuid" }
    | { readonly kind: "getsec" }
    | { readonly kind: "hlt" }
    | { readonly kind: "invd" }
    | { readonly kind: "wbinvd" }
    | { readonly kind: "invlpg" }
    | { readonly kind: "invpcid" }
    | { readonly kind: "rdpmc" }
    | { readonly kind: "rdtsc" }
    | { readonly kind: "rdtscp" }
    | { readonly kind: "rsm" }
    | { readonly kind: "vmcall" }
    | { readonly kind: "vmx-instruction"; readonly name: string }
    | { readonly kind: "cr-access" }
    | { readonly kind: "dr-access" }
    | { readonly kind: "io-in"; readonly port: number; readonly size: AccessSize; readonly string: boolean }
    | { readonly kind: "io-out"; readonly port: number; readonly size: AccessSize; readonly value: number; readonly string: boolean }
    | { readonly kind: "rdmsr"; readonly msr: number }
    | { readonly kind: "wrmsr"; readonly msr: number; readonly value: bigint }
    | { readonly kind: "mwait" }
    | { readonly kind: "monitor" }
    | { readonly kind: "pause" }
    | { readonly kind: "mtf" }
    | { readonly kind: "descriptor-table" }
    | { readonly kind: "preemption-timer" }
    | { readonly kind: "rdrand" }
    | { readonly kind: "rdseed" }
    | { readonly kind: "xsetbv" }
    | { readonly kind: "mmio-read"; readonly gpa: number; readonly size: AccessSize }
    | { readonly kind: "mmio-write"; readonly gpa: number; readonly size: AccessSize; readonly value: number }
    | { readonly kind: "entry-failure"; readonly message: string }
  );

/** The names of all exits. */
export type VmExitKind = VmExit["kind"];

/**
 * How to go on.
 * `run`: as the state says (a faulting instruction runs again). `skip`: the monitor did the instruction; RIP moves
 * past it first. `io-in`/`mmio-read`: the value the pending read gets, then the instruction completes;
 * `io-out`/`mmio-write` exits are completed by `skip`. `inject`: deliver the event on entry.
 */
export type VmEntry =
  | { readonly kind: "run"; readonly inject?: InjectedEvent }
  | { readonly kind: "skip"; readonly inject?: InjectedEvent }
  | { readonly kind: "io-in"; readonly value: number }
  | { readonly kind: "mmio-read"; readonly value: number };

/** Go on. */
export const ENTRY_RUN: VmEntry = { kind: "run" };
/** Go on behind the instruction. */
export const ENTRY_SKIP: VmEntry = { kind: "skip" };

/**
 * Named intercepts: what makes an exit instead of being done by the engine itself. All off by default. A write counts from the guest's next
 * instruction on, from inside a `GuestIo` call or a hypercall too.
 */
export interface Intercepts {
  /** Bit n set: exception vector n exits. */
  exceptionBitmap: number;
  externalInterrupt: boolean;
  interruptWindow: boolean;
  nmiWindow: boolean;
  nmi: boolean;
  hlt: boolean;
  invlpg: boolean;
  mwait: boolean;
  monitor: boolean;
  rdpmc: boolean;
  rdtsc: boolean;
  cr3Load: boolean;
  cr3Store: boolean;
  cr8Load: boolean;
  cr8Store: boolean;
  /** Bits of CR0/CR4 owned by the monitor: changing one exits; reads give the shadow. */
  cr0Mask: number;
  cr4Mask: number;
  cr0Shadow: number;
  cr4Shadow: number;
  movDr: boolean;
  /** Every port access exits, `GuestIo` is not asked. */
  unconditionalIo: boolean;
  /** MSR numbers that exit on RDMSR/WRMSR. */
  rdmsr: ReadonlySet<number> | "all";
  wrmsr: ReadonlySet<number> | "all";
  pause: boolean;
  /** PAUSE-loop exiting: counts PAUSEs down; the one that finds zero exits (reason 40). Undefined: off. */
  pauseLoop: number | undefined;
  mtf: boolean;
  descriptorTable: boolean;
  wbinvd: boolean;
  rdrand: boolean;
  rdseed: boolean;
  taskSwitch: boolean;
  /** XSETBV; the check of CR4.OSXSAVE comes first, as on silicon. */
  xsetbv: boolean;
  /** GETSEC and INVPCID: they exit where CPUID does not offer them, too. */
  getsec: boolean;
  invpcid: boolean;
  cpuid: boolean;
  /** Counts guest instructions down; exit reason 52 at zero. Undefined: off. */
  preemptionTimer: number | undefined;
}
