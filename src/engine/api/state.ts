import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";

const hex = shape.digits("hex");
const table = shape.record({ base: hex, limit: shape.word });
/** A descriptor's hidden part, as in `SegmentState`. */
const segment = shape.record({ selector: shape.word, base: hex, limit: shape.dword, access: shape.dword });
/** Physical addresses have at most 52 bits. */
const physical = shape.int(0, 2 ** 52 - 1);

/**
 * Everything of one CPU that a run depends on, taken between two runs: a CPU that loads it over the same memory goes on bit for bit as this one
 * would have. Plain data; 64-bit values are hexadecimal strings. Not in it: intercepts (the monitor's own), the A20 pin and the
 * memory (the VM's), and the answer to the last exit (run with a budget of 0 to have it taken in).
 */
export const VCPU_STATE = shape.record({
  v: shape.oneOf(1),
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 … R15. */
  gpr: shape.list(hex, 16),
  rip: hex,
  rflags: shape.dword,
  /** In the order of SEGMENT_NAMES. */
  segments: shape.list(segment, 8),
  gdtr: table,
  idtr: table,
  cr0: shape.dword,
  cr2: hex,
  cr3: hex,
  cr4: shape.dword,
  cr8: shape.int(0, 15),
  efer: shape.dword,
  xcr0: hex,
  /** DR0 … DR7. */
  dr: shape.list(hex, 8),
  /** As loaded by MOV CR3 in PAE mode: memory may say something else by now. */
  pdptes: shape.list(hex, 4),
  /** Number and value of each MSR that was ever written and is not named above. IA32_TIME_STAMP_COUNTER: its distance from `readTsc`. */
  msrs: shape.list(shape.record({ index: shape.dword, value: hex }), 4096, 0),
  x87: shape.record({
    control: shape.word,
    /** TOP in bits 13:11. */
    status: shape.word,
    /** One bit a physical register: empty. */
    empty: shape.byte,
    opcode: shape.word,
    cs: shape.word,
    ds: shape.word,
    ip: hex,
    dp: hex,
    /** Physical registers 0 … 7, 10 bytes each. */
    registers: shape.bytes(80),
  }),
  /** 16 bytes each. */
  xmm: shape.bytes(256),
  mxcsr: shape.word,
  halted: shape.flag,
  waitForSipi: shape.flag,
  shutdown: shape.flag,
  /** Vector of a SIPI not yet answered, or -1. */
  startup: shape.int(-1, 0xff),
  /** Levels and edges on the pins that have not been taken. */
  intr: shape.flag,
  nmi: shape.flag,
  init: shape.flag,
  /** NMIs wait for IRET. */
  nmiBlocked: shape.flag,
  /** Interrupts are blocked for one instruction: 1 by STI, 2 by MOV SS or POP SS. */
  shadow: shape.int(0, 3),
  /** #DB conditions (DR6 bits) that wait for the next instruction boundary. */
  debug: shape.dword,
  /** A memory access that left as an exit, was answered, and has not run again yet. */
  mmioRead: shape.nullable(shape.record({ gpa: physical, value: shape.count })),
  mmioWritten: shape.nullable(physical),
  /** Page of the local APIC, or null. */
  apicPage: shape.nullable(physical),
  /** The IGNNE# pin; missing in older snapshots. */
  ignne: shape.maybe(shape.flag),
  /** Where the sequence behind RDRAND and RDSEED stands, when the engine makes its own. */
  random: shape.maybe(shape.digits("hex", 128)),
  /** Retired since power-on. */
  instructions: shape.count,
});
export type VcpuStateV1 = Shaped<typeof VCPU_STATE>;
