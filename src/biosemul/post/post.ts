import type { GuestRegisters, PhysicalMemory } from "../../vmm/index.ts";
import { BDA, PORT } from "../../isa/index.ts";
import type { ServiceResult } from "../api.ts";
import { bootRegisters } from "../boot/index.ts";
import type { BiosConfig } from "../config.ts";
import type { Context } from "../context.ts";
import { readCmos, writeCmos } from "../int/int70.ts";
import { VIDEO_ROM_BASE } from "../int10/index.ts";
import { installDiskData } from "../int13/index.ts";
import type { Firmware } from "../rom/firmware.ts";
import { wakingVector, writeTables } from "../tables/install.ts";
import { initChips } from "./chips.ts";
import { writeSetupCmos } from "./cmos.ts";
import { equipmentWord, installDataAreas, installVectors } from "./data-area.ts";
import { initPci } from "./pci-init.ts";

/** CMOS byte 0Fh, the shutdown code, and the values of it that say where a processor goes on that was reset by itself. AT technical reference. */
const SHUTDOWN = 0x0f;
const RESUME = { EOI_AND_JUMP: 0x05, BLOCK_MOVE: 0x09, JUMP: 0x0a, JUMP_KEEP_FPU: 0x0c } as const;
/** In BDA.RESET_FLAG: the guest wants no memory test. */
const WARM_BOOT = 0x1234;

export interface PostParts {
  readonly memory: PhysicalMemory;
  readonly config: BiosConfig;
  readonly firmware: Firmware;
  readonly ctx: Context;
  /** Services forget what they knew. */
  readonly resetServices: () => void;
  readonly systemReset: (() => void) | undefined;
}

/** Power-on self test, and what the BIOS does when the processor alone was reset. */
export class PowerOnSelfTest {
  readonly #parts: PostParts;
  /** False until the first POST of this power-on; a jump to the reset vector after it asks for a machine reset. */
  done = false;

  constructor(parts: PostParts) {
    this.#parts = parts;
  }

  /** ROMs, chips, data areas, tables, and the processor at the end of POST. */
  run(): void {
    const { ctx, config, memory, firmware, resetServices } = this.#parts;
    const { rom } = firmware;
    ctx.begin(memory, false, false);
    memory.ram.writeRom(0xf0000, rom.bytes);
    memory.ram.writeRom(VIDEO_ROM_BASE, firmware.videoRom);
    resetServices();
    initChips(ctx, config);
    writeSetupCmos(ctx, config, equipmentWord(config));
    installVectors(ctx, rom);
    installDataAreas(ctx, config, rom);
    initPci(ctx.ports, config);
    writeTables(memory, firmware.tables);
    this.done = true;
    realModeStart(ctx.regs, rom.address("post_done"));
    installDiskData(memory, ctx.drives);
  }

  /**
   * After S3 (ACPI 5.0, 16.3.2): ROMs and chips as after POST, memory as it was, and the processor in real mode at the vector that the system left in
   * the FACS. False: it left none.
   */
  wake(): boolean {
    const { ctx, config, memory, firmware, resetServices } = this.#parts;
    ctx.begin(memory, false, false);
    const vector = wakingVector(memory, firmware.tables);
    if (vector === 0) return false;
    memory.ram.writeRom(0xf0000, firmware.rom.bytes);
    memory.ram.writeRom(VIDEO_ROM_BASE, firmware.videoRom);
    resetServices();
    initChips(ctx, config);
    initPci(ctx.ports, config);
    this.done = true;
    realModeStart(ctx.regs, vector & 0xf);
    ctx.regs.resetRealSegment("cs", (vector >>> 4) & 0xffff);
    return true;
  }

  /** The code at the reset vector. */
  readonly trap = (): ServiceResult => {
    if (this.resumeAfterCpuReset()) return "redirected";
    const { systemReset } = this.#parts;
    if (this.done && systemReset !== undefined) {
      systemReset();
      return "done"; // waits in HLT for the reset
    }
    this.run();
    return "redirected";
  };

  /** True when the guest prepared a return from a reset: a shutdown code in CMOS, or the warm-boot mark. Moves the CMOS index. */
  resetWasPrepared(): boolean {
    const { ctx, memory } = this.#parts;
    return readCmos(ctx, SHUTDOWN) !== 0 || memory.read16(BDA.RESET_FLAG) === WARM_BOOT;
  }

  /** True: the shutdown code said where the processor goes on, and it is there. */
  resumeAfterCpuReset(): boolean {
    const { ctx, memory } = this.#parts;
    const { regs } = ctx;
    ctx.begin(memory, false, false);
    const code = readCmos(ctx, SHUTDOWN);
    if (code !== RESUME.EOI_AND_JUMP && code !== RESUME.BLOCK_MOVE && code !== RESUME.JUMP && code !== RESUME.JUMP_KEEP_FPU) return false;
    writeCmos(ctx, SHUTDOWN, 0);
    if (code === RESUME.EOI_AND_JUMP) {
      ctx.ports.out8(PORT.PIC2, 0x20);
      ctx.ports.out8(PORT.PIC1, 0x20);
    }
    const offset = ctx.mem.read16(BDA.WARM_RESET_VECTOR);
    const segment = ctx.mem.read16(BDA.WARM_RESET_VECTOR + 2);
    if (code === RESUME.BLOCK_MOVE) {
      // The return of a block move done by hand: 467h is SS:SP of a frame as INT 15h/87h leaves it.
      realModeStart(regs, 0);
      regs.resetRealSegment("ss", segment);
      regs.sp = offset;
      ctx.begin(memory, false, false);
      for (const [i, name] of (["es", "ds"] as const).entries()) regs.resetRealSegment(name, ctx.stackWord(i * 2));
      ctx.dropStack(20);
      regs.resetRealSegment("cs", ctx.stackWord(2));
      regs.rip = BigInt(ctx.stackWord(0));
      regs.rflags = (ctx.stackWord(4) & 0xfd7) | 2;
      ctx.dropStack(6);
      return true;
    }
    realModeStart(regs, offset);
    regs.resetRealSegment("cs", segment);
    return true;
  }
}

/** The vCPU in real mode at F000:offset, interrupts off. */
function realModeStart(regs: GuestRegisters, offset: number): void {
  const raw = regs.raw;
  for (let i = 0; i < 16; i++) raw.setGpr(i, 0n);
  raw.setControl("cr0", 0x10n);
  raw.setControl("cr3", 0n);
  raw.setControl("cr4", 0n);
  raw.setControl("efer", 0n);
  raw.setDescriptorTable("gdtr", 0n, 0xffff);
  raw.setDescriptorTable("idtr", 0n, 0x3ff);
  bootRegisters(regs);
  regs.resetRealSegment("cs", 0xf000);
  regs.rip = BigInt(offset);
  regs.rflags = 2;
}
