import type { GuestRegisters, PhysicalMemory } from "../vmm/index.ts";
import type { BlockBackend, FloppyLayout } from "../backends/api/index.ts";

/** Port access as the CPU would do it; BIOS services program chips only through this. */
export interface PortIo {
  in8(port: number): number;
  in16(port: number): number;
  in32(port: number): number;
  out8(port: number, value: number): void;
  out16(port: number, value: number): void;
  out32(port: number, value: number): void;
}

/** How a disk is wired, for INT 13h, EDD and the tables. `unit` counts from 0 in its class. */
export interface BiosDrive {
  readonly kind: "floppy" | "hard-disk" | "cdrom";
  readonly unit: number;
  /** Undefined: a drive without a medium (empty floppy or CD drive). May change while running (media swap). */
  backend: BlockBackend | undefined;
  /** Physical geometry; for floppies of the medium, for hard disks the translated (LBA-assist or partition-table) one. */
  readonly geometry: { readonly cylinders: number; readonly heads: number; readonly sectors: number };
  /** CMOS floppy type (1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M); 0 for others. */
  readonly floppyType: number;
  /** Tracks of the floppy in the drive, when they are other than `geometry` says. May change with the medium. */
  readonly layout?: FloppyLayout | undefined;
  /** "ide": channel and device for the EDD interface path; base and control port for the DPTE. */
  readonly path?: {
    readonly bus: "ide";
    readonly channel: number;
    readonly device: number;
    readonly base: number;
    readonly control: number;
    readonly irq: number;
  };
  /** A virtio disk instead: where it is on PCI bus 0, for the EDD interface path. */
  readonly virtio?: { readonly slot: number; readonly fn: number };
}

/** Optional fast access to the display window A0000-BFFFF for scrolling and block output; addresses are guest-physical. */
export interface VideoWindow {
  read8(gpa: number): number;
  write8(gpa: number, value: number): void;
  /** `count` 16-bit cells of `value` from `gpa`. */
  fill16(gpa: number, count: number, value: number): void;
  /** Moves bytes as memmove does. */
  move(to: number, from: number, bytes: number): void;
  /** What two 16-bit OUTs to the CRTC at `port` (3B4h or 3D4h) do that set its cursor address, a count of cells; without it they are made. */
  setCursor?(port: number, address: number): void;
}

/** What a BIOS service works on: the guest stopped at its stub. */
export interface BiosContext {
  readonly regs: GuestRegisters;
  /** Memory as the caller addresses it: guest-physical, or by linear address under paging. RAM and MMIO. */
  readonly mem: PhysicalMemory;
  /** Guest-physical memory: for what has an address there, as the linear frame buffer. */
  readonly physical: PhysicalMemory;
  readonly ports: PortIo;
  readonly video: VideoWindow;
  readonly drives: readonly BiosDrive[];
  /** CF of the FLAGS image on the caller's stack (SS:SP+4). */
  setCarry(on: boolean): void;
  getCarry(): boolean;
  /** ZF of the FLAGS image on the caller's stack. */
  setZero(on: boolean): void;
  /** IF of the FLAGS image on the caller's stack. */
  setInterruptFlag(on: boolean): void;
  /** True when the stub came back from its STI; HLT arm: this call goes on waiting for what an earlier call began. */
  readonly resumed: boolean;
  /** Linear address of seg:off with 20-bit addresses as the CPU forms them (no A20 masking; may be up to 10FFEFh). */
  linear(segment: number, offset: number): number;
}

/**
 * What the stub does next. `done`: IRET. `wait`: STI; HLT; call the service again (interrupts keep running).
 * `poll`: as `wait` without the HLT: lets pending interrupts in, then calls again.
 * `redirected`: the handler loaded CS:RIP (and whatever else) itself; nothing more is done.
 * `jump`: continue at a real-mode address instead of the IRET (the caller's frame is already dropped).
 */
export type ServiceResult = "done" | "wait" | "poll" | "redirected" | { readonly jump: { readonly segment: number; readonly offset: number } };

/** One interrupt's services. Called on each VMCALL of that vector's stub. Must never throw. */
export type BiosHandler = (ctx: BiosContext) => ServiceResult;
