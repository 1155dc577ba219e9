/**
 * Everything of one CPU that a run depends on, taken between two runs: a CPU that loads it over the same memory goes on bit for bit as this one
 * would have. Plain data; 64-bit values are hexadecimal strings. Not in it: intercepts (the monitor's own), the A20 pin and the
 * memory (the VM's), and the answer to the last exit (run with a budget of 0 to have it taken in).
 */
export interface VcpuStateV1 {
  readonly v: 1;
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 … R15. */
  readonly gpr: readonly string[];
  readonly rip: string;
  readonly rflags: number;
  /** In the order of SEGMENT_NAMES, hidden parts as in `SegmentState`. */
  readonly segments: readonly { readonly selector: number; readonly base: string; readonly limit: number; readonly access: number }[];
  readonly gdtr: { readonly base: string; readonly limit: number };
  readonly idtr: { readonly base: string; readonly limit: number };
  readonly cr0: number;
  readonly cr2: string;
  readonly cr3: string;
  readonly cr4: number;
  readonly cr8: number;
  readonly efer: number;
  readonly xcr0: string;
  /** DR0 … DR7. */
  readonly dr: readonly string[];
  /** As loaded by MOV CR3 in PAE mode: memory may say something else by now. */
  readonly pdptes: readonly string[];
  /** Number and value of each MSR that was ever written and is not named above. IA32_TIME_STAMP_COUNTER: its distance from `readTsc`. */
  readonly msrs: readonly { readonly index: number; readonly value: string }[];
  readonly x87: {
    readonly control: number;
    /** TOP in bits 13:11. */
    readonly status: number;
    /** One bit a physical register: empty. */
    readonly empty: number;
    readonly opcode: number;
    readonly cs: number;
    readonly ds: number;
    readonly ip: string;
    readonly dp: string;
    /** Physical registers 0 … 7, 10 bytes each. */
    readonly registers: Uint8Array;
  };
  /** 16 bytes each. */
  readonly xmm: Uint8Array;
  readonly mxcsr: number;
  readonly halted: boolean;
  readonly waitForSipi: boolean;
  readonly shutdown: boolean;
  /** Vector of a SIPI not yet answered, or -1. */
  readonly startup: number;
  /** Levels and edges on the pins that have not been taken. */
  readonly intr: boolean;
  readonly nmi: boolean;
  readonly init: boolean;
  /** NMIs wait for IRET. */
  readonly nmiBlocked: boolean;
  /** Interrupts are blocked for one instruction: 1 by STI, 2 by MOV SS or POP SS. */
  readonly shadow: number;
  /** #DB conditions (DR6 bits) that wait for the next instruction boundary. */
  readonly debug: number;
  /** A memory access that left as an exit, was answered, and has not run again yet. */
  readonly mmioRead: { readonly gpa: number; readonly value: number } | null;
  readonly mmioWritten: number | null;
  /** Page of the local APIC, or null. */
  readonly apicPage: number | null;
  /** The IGNNE# pin, when it is asserted. */
  readonly ignne?: boolean;
  /** Where the sequence behind RDRAND and RDSEED stands, when the engine makes its own. */
  readonly random?: string;
  /** Retired since power-on. */
  readonly instructions: number;
}
