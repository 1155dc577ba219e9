import { boot } from "../biosemul/boot/index.ts";
import type { BootOptions } from "../biosemul/boot/index.ts";
import { createInt13, createInt40, DiskServices } from "../biosemul/int13/index.ts";
import type { BiosContext, BiosHandler, BiosHandlers, RomData } from "../biosemul/index.ts";
import type { BootDevice, MachineConfig } from "./config.ts";
import type { Drive } from "./drives.ts";

const BOOT_KIND = { hd: "hard-disk", fd: "floppy", cd: "cdrom" } as const satisfies Record<BootDevice, string>;

export interface BiosPieces {
  readonly handlers: BiosHandlers;
  readonly romData: readonly RomData[];
  readonly font8x8: Uint8Array;
}

/** Puts the rooms of biosemul together: display, disks, and the boot order. */
export function createBiosHandlers(config: MachineConfig, _drives: readonly Drive[]): BiosPieces {
  const int10: BiosHandler = () => "done";
  const services = new DiskServices();
  const options: BootOptions = {
    services,
    order: config.boot.map((device) => BOOT_KIND[device]),
    print: (ctx, text) => teletype(ctx, int10, text),
  };
  let next = 0;
  return {
    handlers: {
      int10,
      int13: createInt13(services),
      int40: createInt40(services),
      bootstrap(ctx, from) {
        const tried = boot(ctx, options, from === "first" ? 0 : next);
        next = tried.next;
        if (tried.result.kind === "none") {
          for (const reason of tried.result.reasons) teletype(ctx, int10, `${reason}\r\n`);
          return undefined;
        }
        ctx.regs.edx = tried.result.dl;
        return { segment: tried.result.segment, offset: tried.result.offset };
      },
    },
    romData: [],
    font8x8: new Uint8Array(2048),
  };
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
