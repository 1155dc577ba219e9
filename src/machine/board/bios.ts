import { boot, describeFailure } from "../../biosemul/boot/index.ts";
import type { BootFailure, BootOptions } from "../../biosemul/boot/index.ts";
import { createInt10 } from "../../biosemul/int10/index.ts";
import type { Int10Options } from "../../biosemul/int10/index.ts";
import { createInt13, createInt40, DiskServices } from "../../biosemul/int13/index.ts";
import type { DiskServicesStateV1 } from "../../biosemul/int13/index.ts";
import { DEFAULT_BIOS_CONFIG } from "../../biosemul/index.ts";
import type { BiosConfig, BiosContext, BiosHandler, BiosHandlers } from "../../biosemul/index.ts";
import { PORT } from "../../isa/index.ts";
import { parseBootDevice } from "../boot-device.ts";
import type { BootDevice } from "../boot-device.ts";
import type { MachineConfig } from "../config.ts";
import { COM_PORTS } from "./chips.ts";
import type { Drive } from "./drives.ts";

/** A boot device in the BIOS's words. */
function bootDevice(device: BootDevice): BootOptions["order"] {
  const parsed = parseBootDevice(device);
  if (parsed === undefined) return [];
  const { kind, unit } = parsed;
  return [unit === undefined ? kind : { kind, unit }];
}

export interface BiosPieces {
  readonly handlers: BiosHandlers;
  readonly font8x8: Uint8Array;
  /** The video option ROM for C0000. */
  readonly videoRom: Uint8Array;
  saveState(): BiosPiecesStateV1;
  loadState(s: BiosPiecesStateV1): void;
}

export interface BiosPiecesStateV1 {
  readonly v: 1;
  readonly disks: DiskServicesStateV1;
  /** The boot device that INT 18h tries next. */
  readonly next: number;
  readonly videoReady: boolean;
}

/**
 * Puts the rooms of biosemul together: display, disks, and the boot order. One set for each power-on. With `startKernel`, that is what
 * INT 19h does instead of looking for a boot sector. `nothingBoots` is told when POST finds nothing to start.
 */
export function createBiosHandlers(
  config: MachineConfig,
  video: Int10Options,
  startKernel: (() => void) | undefined,
  nothingBoots: (failures: readonly BootFailure[]) => void,
): BiosPieces {
  const int10 = createInt10(video);
  const services = new DiskServices();
  const options: BootOptions = {
    services,
    order: config.boot.flatMap(bootDevice),
    print: (ctx, text) => teletype(ctx, int10.handler, text),
  };
  let next = 0;
  let videoReady = false;
  return {
    handlers: {
      int10: int10.handler,
      int13: createInt13(services),
      int40: createInt40(services),
      bootstrap(ctx, from) {
        // The end of POST; a later INT 19h keeps the screen and the vectors as they are.
        if (!videoReady) {
          videoReady = true;
          for (const { vector, segment, offset } of int10.romParts.vectors) ctx.mem.write32(vector * 4, ((segment << 16) | offset) >>> 0);
          int10.initVideo(ctx);
        }
        if (startKernel !== undefined && from === "first") {
          startKernel();
          return "entered";
        }
        const tried = boot(ctx, options, from === "first" ? 0 : next);
        next = tried.next;
        if (tried.result.kind === "none") {
          for (const reason of tried.result.reasons) teletype(ctx, int10.handler, `${describeFailure(reason)}\r\n`);
          if (from === "first") nothingBoots(tried.result.reasons);
          return undefined;
        }
        ctx.regs.edx = tried.result.dl;
        return { segment: tried.result.segment, offset: tried.result.offset };
      },
    },
    font8x8: int10.romParts.font8x8Low,
    videoRom: int10.romParts.videoRom,
    saveState: () => ({ v: 1, disks: services.saveState(), next, videoReady }),
    loadState(s) {
      services.loadState(s.disks);
      next = s.next;
      videoReady = s.videoReady;
    },
  };
}

/** What this PC's BIOS finds on its board. */
export function biosConfig(config: MachineConfig, drives: readonly Drive[]): BiosConfig {
  return {
    ...DEFAULT_BIOS_CONFIG,
    ramBytes: config.memoryBytes,
    comPorts: COM_PORTS.map((c) => c.port),
    lptPorts: config.printer === undefined ? [] : [PORT.LPT1],
    floppyTypes: drives.filter((d) => d.kind === "floppy").map((d) => d.floppyType),
    trapStyle: config.trapStyle,
    cpus: config.cpus,
    pci: true,
    apic: true,
    hpet: true,
    acpi: true,
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
