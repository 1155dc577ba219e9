/** The contract between `vmm` and an engine (software VT-x, KVM). Exits are questions, entries are answers. */
export type AccessSize = 1 | 2 | 4;

/**
 * Hot ports and MMIO answered below the exit, without unwinding. Implemented by `bus` through `machine`. Whoever writes system registers from inside
 * a call ends the run behind the instruction that asked; general registers, x87 and SSE are the instruction's own until it is done.
 */
export interface GuestIo {
  /** An unsigned value, or -1: not mine, make it a VM exit. */
  portRead(port: number, size: AccessSize): number;
  /** False: not mine, make it a VM exit. */
  portWrite(port: number, size: AccessSize, value: number): boolean;
  /** `gpa` does not cross its page; 8-byte accesses come as two of 4. -1: not mine. */
  mmioRead(gpa: number, size: AccessSize): number;
  mmioWrite(gpa: number, size: AccessSize, value: number): boolean;
  /** The CPU accepts the external interrupt that `EngineVcpu.setInterruptLine(true)` announced: the vector, 0..255. */
  interruptAcknowledge(): number;
}

/**
 * What sits between one CPU and the bus: its local APIC. Asked below the exit, for that CPU only. A CPU without one takes vectors from
 * `GuestIo.interruptAcknowledge`, keeps CR8 to itself and has no APIC MSRs but IA32_APIC_BASE.
 */
export interface LocalApicPort {
  /** The CPU accepts the interrupt that `setInterruptLine(true)` announced: the vector, 0..255. */
  interruptAcknowledge(): number;
  /** MOV from and to CR8: task priority bits 7:4. */
  readTpr(): number;
  writeTpr(value: number): void;
  /** IA32_APIC_BASE (1Bh), IA32_TSC_DEADLINE (6E0h), x2APIC registers (800h-8FFh). Undefined: #GP(0). */
  msrRead(index: number): bigint | undefined;
  /** False: #GP(0). */
  msrWrite(index: number, value: bigint): boolean;
  /** The 4 KiB page that `EngineVcpu.setApicPage` placed, in xAPIC mode. `offset` below 1000h. */
  pageRead(offset: number, size: AccessSize): number;
  pageWrite(offset: number, size: AccessSize, value: number): void;
}

/** A piece of guest-physical backing store inside the engine's memory: RAM, ROM, video memory. */
export interface MemoryRegion {
  readonly name: string;
  readonly sizeBytes: number;
  /** Borrowed view, valid for the life of the VM. Writing code bytes through it needs `GuestMemory.write` instead. */
  readonly bytes: Uint8Array;
}

/** `rw`: RAM. `ro`: reads and fetches, writes vanish (ROM). Pages with no slot are MMIO. */
export type SlotAccess = "rw" | "ro";

/** A piece of a region at a guest-physical address; all numbers in bytes, multiples of 4096. */
export interface MemorySlot {
  readonly gpa: number;
  readonly region: MemoryRegion;
  readonly regionOffset: number;
  readonly sizeBytes: number;
  readonly access: SlotAccess;
}

/** Host access to guest-physical memory. Little-endian. Out-of-slot reads give all ones, writes vanish; ROM is writable only by `writeRom`. */
export interface GuestMemory {
  /** RAM size in bytes (below and above 4 GiB together). */
  readonly sizeBytes: number;
  read8(gpa: number): number;
  read16(gpa: number): number;
  read32(gpa: number): number;
  write8(gpa: number, value: number): void;
  write16(gpa: number, value: number): void;
  write32(gpa: number, value: number): void;
  read(gpa: number, into: Uint8Array): void;
  write(gpa: number, from: Uint8Array): void;
  /** As `write`, but also through `ro` slots: the firmware installing itself. */
  writeRom(gpa: number, from: Uint8Array): void;
  /**
   * A borrowed view of [gpa, gpa+length) when one `rw` slot holds it whole, for bulk reads straight into guest
   * memory; decoded code there is invalidated as for a write. Undefined otherwise.
   */
  viewForWrite(gpa: number, length: number): Uint8Array | undefined;
  /** The same for reading; `ro` slots too. */
  viewForRead(gpa: number, length: number): Uint8Array | undefined;
}

/** Index of a segment register, in the machine's encoding order. */
export type SegmentName = "es" | "cs" | "ss" | "ds" | "fs" | "gs" | "ldtr" | "tr";
/** Segment registers in encoding order, then LDTR and TR. */
export const SEGMENT_NAMES = ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"] as const;

/** Selector and hidden part. `access` in the VMCS form: 3:0 type, 4 S, 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G, 16 unusable. */
export interface SegmentState {
  readonly selector: number;
  readonly base: bigint;
  /** In bytes, already scaled by G. */
  readonly limit: number;
  readonly access: number;
}

/** Control and debug registers, and EFER. */
export type ControlRegister = "cr0" | "cr2" | "cr3" | "cr4" | "cr8" | "efer" | "dr0" | "dr1" | "dr2" | "dr3" | "dr6" | "dr7";

/** General registers in encoding order: 0 RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, 8 R8 … 15. */
export interface RegisterAccess {
  getGpr(index: number): bigint;
  setGpr(index: number, value: bigint): void;
  /** The low 32 bits, unsigned. */
  getGpr32(index: number): number;
  /** Writes the low 32 bits and keeps the upper half (a monitor's edit, not an instruction). */
  setGpr32(index: number, value: number): void;
  getRip(): bigint;
  setRip(value: bigint): void;
  /** The low 32 bits, unsigned. */
  getRip32(): number;
  /** RIP goes `bytes` on, as behind an instruction: within the width of the code it is in. Makes no objects, unlike `setRip`. */
  advanceRip(bytes: number): void;
  getRflags(): number;
  setRflags(value: number): void;
  getSegment(name: SegmentName): SegmentState;
  /** Parts of a segment register by its number (the index in SEGMENT_NAMES), for callers that must not make objects. */
  getSegmentSelector(segment: number): number;
  /** The low 32 bits, unsigned. */
  getSegmentBase32(segment: number): number;
  getSegmentAccess(segment: number): number;
  getCr0(): number;
  /** Loads selector and hidden part together. */
  setSegment(name: SegmentName, state: SegmentState): void;
  getControl(name: ControlRegister): bigint;
  setControl(name: ControlRegister, value: bigint): void;
  getDescriptorTable(name: "gdtr" | "idtr"): { readonly base: bigint; readonly limit: number };
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void;
  getMsr(index: number): bigint | undefined;
  setMsr(index: number, value: bigint): boolean;
  /** x87 register file and control words, MMX aliases; `st` physical order, each 10 bytes little-endian. */
  getFpu(): FpuState;
  setFpu(state: FpuState): void;
  getXmm(index: number): Uint8Array;
  setXmm(index: number, bytes: Uint8Array): void;
}

/** The x87 state and MXCSR. */
export interface FpuState {
  readonly controlWord: number;
  readonly statusWord: number;
  /** Full 16-bit tag word, two bits a physical register. */
  readonly tagWord: number;
  /** Physical registers 0..7, 10 bytes each. */
  readonly registers: readonly Uint8Array[];
  readonly mxcsr: number;
}
