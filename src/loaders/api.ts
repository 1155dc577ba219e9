/** A file as the host read it. `name` is what messages and boot command lines call it. */
export interface KernelFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A further file for the kernel: Linux's initrd (several are joined), a multiboot module with its own arguments. */
export interface KernelModule extends KernelFile {
  readonly commandLine: string;
}

export interface KernelRequest {
  readonly kernel: KernelFile;
  readonly modules: readonly KernelModule[];
  readonly commandLine: string;
  /**
   * Linux only: through which door. 16: its real-mode code, which asks the BIOS itself; 32 and 64: the loader fills in boot_params.
   * Default: 16, the only one that every bzImage has.
   */
  readonly linuxEntry?: 16 | 32 | 64 | undefined;
}

/** One row of the firmware's memory map (E820): type 1 is RAM. */
export interface MemoryRow {
  readonly start: number;
  readonly length: number;
  readonly type: number;
}

/** What the firmware tells. */
export interface LoadEnvironment {
  readonly memoryMap: readonly MemoryRow[];
  /** Physical address and bytes of ACPI's RSDP. */
  readonly rsdp: { readonly address: number; readonly bytes: Uint8Array } | undefined;
}

/** Bytes for guest memory; `zeroBytes` more of zeros follow them. */
export interface Piece {
  readonly gpa: number;
  readonly bytes: Uint8Array;
  readonly zeroBytes: number;
}

/** The processor at the kernel's first instruction. General registers not named are zero; interrupts are off. */
export interface EntryState {
  /** 16: real mode, `segment` in all segment registers, CS = `segment` + 20h. 32: flat, no paging. 64: flat, paging by `pageTable`. */
  readonly mode: 16 | 32 | 64;
  readonly ip: number;
  readonly registers: Partial<Record<"eax" | "ebx" | "esi" | "esp", number>>;
  readonly segment?: number;
  readonly pageTable?: number;
  /** Where the flat descriptors lie: code 10h, data 18h. */
  readonly gdt?: number;
}

/** A kernel ready to be put into memory. */
export interface LoadedKernel {
  /** "Linux 6.1.0 (bzImage, protocol 2.15)". */
  readonly description: string;
  readonly pieces: readonly Piece[];
  readonly entry: EntryState;
}
