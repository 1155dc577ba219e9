import { layout, u16, u32, u64, u128 } from "../../base/index.ts";

/**
 * Where things lie in the engine's WebAssembly memory. CPU state at the bottom (address 0 is never a valid field,
 * so 0 can mean "none"), then tables, then the decoded-op pool, then guest memory.
 */
export const STATE = layout(64, {
  /** RAX RCX RDX RBX RSP RBP RSI RDI R8-R15, then a register that always reads zero (absent base or index). */
  gpr: u64(16),
  zero: u64(),
  rip: u64(),
  /** Lazy arithmetic flags, see `flags-state.ts`. */
  flagRes: u64(),
  flagAux: u32(),
  /** RFLAGS without CF PF AF ZF SF OF (bit 1 set). */
  eflags: u32(),
  /** Segment registers ES CS SS DS FS GS LDTR TR. */
  segBase: u64(8),
  /** The base that accesses use: segBase, but 0 for ES CS SS DS in 64-bit code. */
  segEffBase: u64(8),
  /**
   * Highest offset an access of the fast path may touch, as signed 64-bit: -1 = none (null, unreadable, expand-down: slow arm decides),
   * 2^63-1 = no limit (64-bit code). Separate for reads and writes.
   */
  segReadLimit: u64(8),
  segWriteLimit: u64(8),
  segLimit: u32(8),
  segAccess: u32(8),
  segSelector: u16(8),
  /** Address masks by address size: FFFF, FFFFFFFF, all ones; 8 bytes each (index 0: 16, 1: 32, 2: 64). */
  addrMask: u64(3),
  /** Mask of a linear address: FFFFFFFF outside 64-bit mode, all ones in it. */
  linearMask: u64(),
  /** Mask of RSP for stack operations: FFFF, FFFFFFFF or all ones (SS.B, 64-bit mode). */
  stackMask: u64(),
  /** Highest IP that may be fetched, unsigned: the CS limit, or all ones in 64-bit code. */
  ipLimit: u64(),
  /** Mask of RIP by code size. */
  ipMask: u64(),
  cpl: u32(),
  /** 16, 32 or 64: the code size that blocks are decoded for. */
  codeSize: u32(),
  cr0: u32(),
  cr4: u32(),
  cr3: u64(),
  cr2: u64(),
  cr8: u32(),
  efer: u32(),
  /** Instructions left in this run, minus "must look" debts (see run loop). Signed. */
  budget: u32(),
  /** Record pointer of the instruction that called out (helpers, slow arms): for RIP and exact counts. */
  curRec: u32(),
  /** Linear address of the page base that curRec's `ipOff` counts from, as an IP (not linear): ip = ipBase + ipOff. */
  ipBase: u64(),
  /** Where the slow arms put a value read, and take a value to write. 16 bytes. */
  scratch: u128(2),
  /** Base address of the TLB area in use: one of mmu/mmu.ts's four. */
  tlbBase: u32(),
  /** The jump cache in use: each CPU has its own. */
  jumpCache: u32(),
  /** Key of blocks valid now: code size and generation; compared by the jump cache. */
  blockKey: u32(),
  /** Pending-work bits for the run loop: PENDING of `cpu-state.ts`. */
  pending: u32(),
  /** Block ended by STI / MOV SS / POP SS: interrupts are blocked for one instruction. 1 STI, 2 MOV SS. */
  shadow: u32(),
  /** x87: physical registers 0..7, 16 bytes each (10 used): mantissa u64, then sign+exponent u16. MM registers alias the mantissas. */
  fpr: u128(8),
  fpuControl: u16(),
  /** Status word with TOP kept apart in fpuTop (bits 13:11 here are zero). */
  fpuStatus: u16(),
  fpuTop: u32(),
  /** Two bits a physical register would be 16; kept as one "empty" bit each (1 = empty) in the low 8 bits; full tags are computed. */
  fpuEmpty: u32(),
  fpuOpcode: u16(),
  fpuCs: u16(),
  fpuDs: u16(),
  fpuIp: u64(),
  fpuDp: u64(),
  xmm: u128(16),
  mxcsr: u32(),
  idtrBase: u64(),
  idtrLimit: u32(),
  nmiBlocked: u32(),
  /** 1: every port access must take the helper (intercepted). */
  portsSlow: u32(),
  /** Translated regions: set when one was dropped, so that the one running leaves after its instruction. */
  regionStale: u32(),
  /** Times that a region was entered, modulo 2^32. */
  regionRuns: u32(),
});

/** CR0 and CR4 as one 64-bit value: EM, TS, OSFXSR; and what they are when XMM registers may be used. */
export const XMM_GATE = 0x200_0000_000cn,
  XMM_OPEN = 0x200_0000_0000n;

/** A TLB area: TLB_ENTRIES entries of TLB_ENTRY_BYTES. */
export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_BYTES = 32;
/** Entry: tags are the linear page address, or TLB_INVALID. `addend` + low 32 bits of the linear address = wasm address. */
export const TLB = { read: 0, write: 8, addend: 16, smcBitmap: 20, writeSmc: 24 } as const;

/** Jump cache: linear IP → block. */
export const JUMP_CACHE_ENTRIES = 16384;
export const JUMP_CACHE_ENTRY_BYTES = 16;
export const JUMP = { ip: 0, key: 8, block: 12 } as const;

const align = (n: number, to: number): number => Math.ceil(n / to) * to;
export const TLB_AREA_BYTES = TLB_ENTRIES * TLB_ENTRY_BYTES;
/**
 * A CPU's TLB areas, one after the other. `supervisor`: user pages too; `user`: CPL 3; `guarded`: supervisor accesses while SMAP forbids user
 * pages; `never`: never filled, in use while every access must take the slow arm (data breakpoints, alignment checks).
 */
export const TLB_AREA = { supervisor: 0, user: TLB_AREA_BYTES, guarded: 2 * TLB_AREA_BYTES, never: 3 * TLB_AREA_BYTES } as const;
export const TLB_AREAS_BYTES = 4 * TLB_AREA_BYTES;
/** The first CPU's. */
export const TLB_AREAS = align(STATE.end, 4096);
export const JUMP_CACHE = TLB_AREAS + TLB_AREAS_BYTES;
/** SMC bitmaps: one bit a byte of a code page, 512 bytes each. */
export const SMC_BITMAPS = JUMP_CACHE + JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES;
export const SMC_BITMAP_BYTES = 512;
export const SMC_BITMAP_COUNT = 8192;
export const REC_POOL = SMC_BITMAPS + SMC_BITMAP_BYTES * SMC_BITMAP_COUNT;
export const REC_BYTES = 32;
/** Enough that all code of a Linux boot fits several times (some 20,000 blocks of a dozen): when they are used up, everything is forgotten. */
export const REC_COUNT = 1 << 20;
/** How often each handler ran, u64 each: written by the counting interpreter only (tools/hot-handlers.mjs), so it lies over code bitmaps that come last in use. */
export const HANDLER_COUNTS = REC_POOL - 32 * SMC_BITMAP_BYTES;
const TABLES_END = align(REC_POOL + REC_BYTES * REC_COUNT, 65536);

/** Where a CPU's own tables lie, and its state while another CPU's is at the fixed addresses. */
export interface CpuPlace {
  readonly tlbAreas: number;
  readonly jumpCache: number;
  /** Unused (0) in a VM of one CPU. */
  readonly parked: number;
}
const JUMP_CACHE_BYTES = JUMP_CACHE_ENTRIES * JUMP_CACHE_ENTRY_BYTES;
/** The state of the CPU that runs: from here to STATE.end. */
export const STATE_START = 64;
const PARKED_BYTES = align(STATE.end, 4096);
const PLACE_BYTES = PARKED_BYTES + JUMP_CACHE_BYTES + TLB_AREAS_BYTES;
/** The place of CPU `index` in a VM of `cpus`. */
export function cpuPlace(index: number, cpus: number): CpuPlace {
  const parked = cpus === 1 ? 0 : TABLES_END + index * PLACE_BYTES;
  if (index === 0) return { tlbAreas: TLB_AREAS, jumpCache: JUMP_CACHE, parked };
  return { tlbAreas: parked + PARKED_BYTES + JUMP_CACHE_BYTES, jumpCache: parked + PARKED_BYTES, parked };
}
/** Guest memory regions start here. */
export function guestBase(cpus: number): number {
  return cpus === 1 ? TABLES_END : align(TABLES_END + cpus * PLACE_BYTES, 65536);
}

/** Decoded-op record. Registers are state addresses (u16), so AH is RAX's address + 1. */
export const REC = {
  handler: 0, // u16
  length: 2, // u8
  addrSize: 3, // u8: 0, 1, 2 → STATE.addrMask index
  ipOff: 4, // u16: offset of the instruction from ipBase
  reg1: 6, // u16
  reg2: 8, // u16
  base: 10, // u16 state address (STATE.zero when absent)
  index: 12, // u16
  scale: 14, // u8
  segment: 15, // u8
  disp: 16, // i32
  imm: 20, // i32, sign-extended where used as 64 bits
  link: 24, // i32: block of the taken target inside this page; helper instructions: index into the Insn table
  count: 28, // u16: instructions of the block before this one
  blockCount: 30, // u16: in a block's first record: instructions of the block
} as const;
