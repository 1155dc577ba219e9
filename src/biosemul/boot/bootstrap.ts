import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { BiosContext, BiosHandler, ServiceResult } from "../api.ts";
import { MEM } from "../../isa/index.ts";
import type { BootDevice } from "../config.ts";
import type { Int10 } from "../int10/index.ts";
import { DISK_SERVICES_STATE } from "../int13/index.ts";
import type { DiskServices } from "../int13/index.ts";
import type { GuestRegisters } from "../../vmm/index.ts";
import { boot, describeFailure } from "./boot.ts";
import type { BootFailure } from "./boot.ts";

/** What the disk services and the boot loop remember. */
export const BIOS_BOOT_STATE = shape.record({
  v: shape.oneOf(1),
  disks: DISK_SERVICES_STATE,
  /** The boot device that INT 18h tries next. */
  next: shape.dword,
  videoReady: shape.flag,
});
export type BiosBootStateV1 = Shaped<typeof BIOS_BOOT_STATE>;

export interface BootstrapParts {
  readonly disks: DiskServices;
  readonly video: Int10;
  readonly order: readonly BootDevice[];
  /** Where the ROM says that nothing boots, and waits for a key. */
  readonly noBoot: number;
  /** Instead of a boot sector: puts the processor where it is to go on. */
  readonly startKernel?: (() => void) | undefined;
  /** POST found nothing to start: why each drive of the boot order is none. */
  readonly nothingBoots?: ((failures: readonly BootFailure[]) => void) | undefined;
}

/** INT 19h and 18h: the end of POST, and what a boot sector calls that gives up. */
export class Bootstrap {
  readonly #parts: BootstrapParts;
  #next = 0;
  #videoReady = false;

  constructor(parts: BootstrapParts) {
    this.#parts = parts;
  }

  /** From the top of the boot order. */
  readonly int19: BiosHandler = (ctx) => this.#start(ctx, true);

  /** The next device after the one tried last. */
  readonly int18: BiosHandler = (ctx) => this.#start(ctx, false);

  #start(ctx: BiosContext, first: boolean): ServiceResult {
    const { regs } = ctx;
    const { disks, order, video, noBoot, startKernel } = this.#parts;
    const keepSs = regs.selector("ss");
    const keepSp = regs.esp;
    bootRegisters(regs);
    // The end of POST; a later INT 19h keeps the screen and the vectors as they are.
    if (!this.#videoReady) {
      this.#videoReady = true;
      video.init(ctx);
    }
    if (startKernel !== undefined && first) {
      startKernel();
      return "redirected";
    }
    const { result, next } = boot(ctx, disks, order, first ? 0 : this.#next);
    this.#next = next;
    if (result.kind === "boot") {
      regs.edx = result.dl;
      return { jump: { segment: result.segment, offset: result.offset } };
    }
    for (const reason of result.reasons) teletype(ctx, video.handler, `${describeFailure(reason)}\r\n`);
    if (first) this.#parts.nothingBoots?.(result.reasons);
    regs.resetRealSegment("ss", keepSs);
    regs.esp = keepSp;
    regs.resetRealSegment("cs", 0xf000);
    regs.rip = BigInt(noBoot);
    return "redirected";
  }

  saveState(): BiosBootStateV1 {
    return { v: 1, disks: this.#parts.disks.saveState(), next: this.#next, videoReady: this.#videoReady };
  }
  loadState(s: BiosBootStateV1): void {
    this.#parts.disks.loadState(s.disks);
    this.#next = s.next;
    this.#videoReady = s.videoReady;
  }
}

/** Registers as a boot sector finds them; DL is the bootstrap's. */
export function bootRegisters(regs: GuestRegisters): void {
  for (const name of ["ds", "es", "ss", "fs", "gs"] as const) regs.resetRealSegment(name, 0);
  regs.eax = 0xaa55;
  regs.ebx = 0;
  regs.ecx = 0;
  regs.edx = 0;
  regs.esi = 0;
  regs.edi = 0;
  regs.ebp = 0;
  // Just below the boot sector.
  regs.esp = MEM.BOOT;
}

/** Prints through the guest's own INT 10h, with its registers kept. */
function teletype(ctx: BiosContext, int10: BiosHandler, text: string): void {
  const { regs } = ctx;
  const { eax, ebx } = regs;
  for (const char of text) {
    regs.eax = 0x0e00 | (char.charCodeAt(0) & 0xff);
    regs.ebx = 7;
    int10(ctx);
  }
  regs.eax = eax;
  regs.ebx = ebx;
}
