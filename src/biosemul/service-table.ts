import { shape } from "../base/index.ts";
import type { Shaped } from "../base/index.ts";
import type { BiosContext, BiosHandler, ServiceResult } from "./api.ts";
import { Bootstrap } from "./boot/index.ts";
import type { BiosBootStateV1, BootstrapParts } from "./boot/index.ts";
import type { BiosConfig } from "./config.ts";
import type { Context } from "./context.ts";
import { bios32Directory } from "./int/bios32.ts";
import { int11, int12 } from "./int/equipment.ts";
import { IDLE_STATE, IdleWatch } from "./int/idle.ts";
import { int08 } from "./int/int08.ts";
import { keyStroke } from "./int/int09.ts";
import { Int14 } from "./int/int14.ts";
import { Int16 } from "./int/int16.ts";
import { Int17 } from "./int/int17.ts";
import { Int1a } from "./int/int1a.ts";
import { rtcInterrupt } from "./int/int70.ts";
import { PciBios } from "./int/pci-bios.ts";
import { createInt10 } from "./int10/index.ts";
import type { Int10Options } from "./int10/index.ts";
import { createInt13, createInt40, DiskServices } from "./int13/index.ts";
import { APM_STATE, ApmServices } from "./int15/apm.ts";
import { Int15 } from "./int15/int15.ts";
import { MOUSE_STATE, MouseServices } from "./int15/mouse.ts";
import { WAIT_STATE } from "./int15/wait.ts";
import { nextOptionRom } from "./post/option-rom.ts";
import type { RomImage } from "./rom/image.ts";
import { TRAP, TRAP_COUNT } from "./rom/layout.ts";
import { routingRows } from "./tables/pir.ts";

/** What a BIOS remembers outside guest memory. */
export const BIOS_STATE = shape.record({
  v: shape.oneOf(1),
  posted: shape.flag,
  apm: APM_STATE,
  mouse: MOUSE_STATE,
  waits: WAIT_STATE,
  serial: shape.record({ startTick: shape.dword }),
  printer: shape.record({ startTick: shape.dword }),
  keyboard: shape.record({ rate: shape.byte, delay: shape.byte }),
  idle: shape.maybe(IDLE_STATE),
});
export type BiosStateV1 = Shaped<typeof BIOS_STATE>;

export interface ServiceParts {
  readonly config: BiosConfig;
  readonly rom: RomImage;
  readonly ctx: Context;
  readonly display: Int10Options;
  readonly powerOff: () => void;
  readonly boot: Pick<BootstrapParts, "startKernel" | "nothingBoots">;
  readonly instructionCount: (() => number) | undefined;
  /** The code at the reset vector. */
  readonly post: () => ServiceResult;
  /** A program's own services, in place of these. */
  readonly replaced: Readonly<Record<number, BiosHandler>>;
}

/** Who answers which vector (or trap of the ROM). One for each power-on. */
export class ServiceTable {
  /** By vector or `TRAP`. */
  readonly handlers: readonly (BiosHandler | undefined)[];
  readonly idle: IdleWatch;
  readonly apm: ApmServices;
  readonly #mouse: MouseServices;
  readonly #int14: Int14;
  readonly #int15: Int15;
  readonly #int16: Int16;
  readonly #int17 = new Int17();
  readonly #bootstrap: Bootstrap;

  constructor(parts: ServiceParts) {
    const { config, rom, ctx } = parts;
    this.idle = new IdleWatch(parts.instructionCount);
    this.apm = new ApmServices({ pm16: rom.address("apm16"), pm32: rom.address("apm32") }, parts.powerOff);
    this.#mouse = new MouseServices(config.mouse);
    this.#int14 = new Int14(this.idle);
    this.#int15 = new Int15(config, this.apm, this.#mouse, ctx);
    this.#int16 = new Int16(this.idle);
    const video = createInt10(parts.display);
    const disks = new DiskServices();
    const pci = new PciBios(config, routingRows(config));
    this.#bootstrap = new Bootstrap({ ...parts.boot, disks, video, order: config.bootOrder, noBoot: rom.address("no_boot") });
    const apmFar: BiosHandler = (far) => this.#apmFar(far, ctx);
    const services: Record<number, BiosHandler> = {
      0x08: int08,
      0x10: video.handler,
      0x11: int11,
      0x12: int12,
      0x13: createInt13(disks),
      0x14: this.#int14.handle,
      0x15: this.#int15.handle,
      0x16: this.#int16.handle,
      0x17: this.#int17.handle,
      0x1a: new Int1a(pci).handle,
      0x40: createInt40(disks),
      [TRAP.POST]: parts.post,
      [TRAP.BOOT_FIRST]: this.#bootstrap.int19,
      [TRAP.BOOT_NEXT]: this.#bootstrap.int18,
      [TRAP.KEY]: keyStroke,
      [TRAP.MOUSE]: (call) => this.#mouse.interrupt(call),
      [TRAP.RTC]: rtcInterrupt,
      [TRAP.BIOS32]: (call) => bios32Directory(call, rom.address("pci32")),
      [TRAP.PCI32]: (call) => pci.handle(call) ?? "done",
      [TRAP.APM16]: apmFar,
      [TRAP.APM32]: apmFar,
      [TRAP.OPTION_ROM]: nextOptionRom,
      ...parts.replaced,
    };
    this.handlers = Array.from({ length: TRAP_COUNT }, (_, id) => services[id]);
  }

  /** The far entries cannot sleep: a call that would ends as if an interrupt had come. */
  #apmFar(far: BiosContext, ctx: Context): ServiceResult {
    far.regs.ah = 0x53;
    const result = this.apm.handle(far);
    if (result !== "wait") return result;
    ctx.resumed = true;
    return this.apm.handle(far);
  }

  /** As at power-on. */
  reset(): void {
    this.apm.reset();
    this.#mouse.reset();
  }

  saveState(): Omit<BiosStateV1, "posted"> {
    return {
      v: 1,
      apm: this.apm.saveState(),
      mouse: this.#mouse.saveState(),
      waits: this.#int15.waits.saveState(),
      serial: this.#int14.saveState(),
      printer: this.#int17.saveState(),
      keyboard: this.#int16.saveState(),
      idle: this.idle.saveState(),
    };
  }
  loadState(s: Omit<BiosStateV1, "posted">): void {
    this.apm.loadState(s.apm);
    this.#mouse.loadState(s.mouse);
    this.#int15.waits.loadState(s.waits);
    this.#int14.loadState(s.serial);
    this.#int17.loadState(s.printer);
    this.#int16.loadState(s.keyboard);
    if (s.idle !== undefined) this.idle.loadState(s.idle);
  }

  /** Disk services and boot loop: a record of their own. */
  saveBoot(): BiosBootStateV1 {
    return this.#bootstrap.saveState();
  }
  loadBoot(s: BiosBootStateV1): void {
    this.#bootstrap.loadState(s);
  }
}
