import type { GuestRegisters, PhysicalMemory } from "../vmm/index.ts";
import type { BiosContext, BiosDrive, BiosHandler, BiosHandlers, PortIo, ServiceResult, VideoWindow } from "./api.ts";
import { BDA } from "./bda.ts";
import type { BiosConfig } from "./config.ts";
import { Context, MemoryVideoWindow } from "./context.ts";
import { FrameRegisters } from "./frame-registers.ts";
import { int11, int12 } from "./int/equipment.ts";
import { int08 } from "./int/int08.ts";
import { keyStroke } from "./int/int09.ts";
import { IdleWatch } from "./int/idle.ts";
import type { IdleStateV1 } from "./int/idle.ts";
import { Int14 } from "./int/int14.ts";
import { Int16 } from "./int/int16.ts";
import { Int17 } from "./int/int17.ts";
import { Int1a } from "./int/int1a.ts";
import { readCmos, rtcInterrupt, writeCmos } from "./int/int70.ts";
import { bios32Directory } from "./int/bios32.ts";
import { PciBios } from "./int/pci-bios.ts";
import { ApmServices } from "./int15/apm.ts";
import type { ApmStateV1 } from "./int15/apm.ts";
import { Int15 } from "./int15/int15.ts";
import { MouseServices } from "./int15/mouse.ts";
import type { MouseStateV1 } from "./int15/mouse.ts";
import type { WaitStateV1 } from "./int15/wait.ts";
import { AddressTranslation, LinearMemory } from "./linear-memory.ts";
import { initChips } from "./post/chips.ts";
import { writeSetupCmos } from "./post/cmos.ts";
import { equipmentWord, installDataAreas, installVectors } from "./post/data-area.ts";
import { nextOptionRom } from "./post/option-rom.ts";
import { initPci } from "./post/pci-init.ts";
import { POLL_ARM } from "./rom/code.ts";
import { RomImage } from "./rom/image.ts";
import type { RomData } from "./rom/image.ts";
import type { PlacedTable } from "./tables/acpi.ts";
import { placeTables, writeTables } from "./tables/install.ts";
import { routingRows } from "./tables/pir.ts";
import { BiosTracer } from "./trace/tracer.ts";
import type { BiosCallRecord } from "./trace/tracer.ts";
import { FIRST_FAR_TRAP, LAST_FAR_TRAP, TRAP, TRAP_COUNT } from "./rom/layout.ts";

/** Everything that biosemul needs from the machine. */
export interface BiosParts {
  readonly regs: GuestRegisters;
  readonly memory: PhysicalMemory;
  readonly ports: PortIo;
  readonly drives: readonly BiosDrive[];
  readonly config: BiosConfig;
  readonly handlers: BiosHandlers;
  readonly video?: VideoWindow;
  /** State of the A20 gate; without it the gate counts as open. */
  readonly a20Enabled?: () => boolean;
  /** The guest turned the machine off (APM). Called inside `call`: only take note. */
  readonly powerOff?: () => void;
  /** The guest jumped to the reset vector: reset the whole machine (then call `init`). Called inside `call`: only take note. */
  readonly systemReset?: () => void;
  /** Guest instructions retired so far; with it a guest that only polls the keyboard sleeps between interrupts. */
  readonly instructionCount?: () => number;
  /** Fonts and video tables for F0000-F7FFF. */
  readonly romData?: readonly RomData[];
  readonly font8x8?: Uint8Array;
  /** That of this machine's BIOS before a reset, made from the same `config`, fonts and `romData`. */
  readonly firmware?: Firmware;
}

/** What follows from the configuration alone: the ROM, and the tables that POST puts into RAM. */
export interface Firmware {
  readonly rom: RomImage;
  readonly tables: readonly PlacedTable[];
}

/** What a BIOS remembers outside guest memory. */
export interface BiosStateV1 {
  readonly v: 1;
  readonly posted: boolean;
  readonly apm: ApmStateV1;
  readonly mouse: MouseStateV1;
  readonly waits: WaitStateV1;
  readonly serial: { readonly startTick: number };
  readonly printer: { readonly startTick: number };
  readonly keyboard: { readonly rate: number; readonly delay: number };
  readonly idle?: IdleStateV1;
}

const BIOS_DATE = "01/01/26";
/** 1 for calls that show a guest at work: all but the clock, the keyboard, the serial lines (they tell by themselves), and what interrupts run. */
const WORK = new Uint8Array(TRAP_COUNT).fill(1);
for (const id of [0x08, 0x11, 0x12, 0x14, 0x15, 0x16, 0x1a, TRAP.KEY, TRAP.MOUSE, TRAP.RTC]) WORK[id] = 0;

const PE = 1;
const CS = 1;
const CPL = 0x60;
const VM86 = 0x20000;
const RESUMED = 0x8000;
const BOOT_STACK = 0x7c00;
const SHUTDOWN = 0x0f;
/** A real-mode stack ends below 1 MB and 64 KB. */
const LAST_FRAME = 0x10ffef - 44;

/** The BIOS: `init` is the paper's biosemul_init, `call` its biosemul_call. */
export class BiosEmul {
  readonly firmware: Firmware;
  readonly rom: RomImage;
  readonly #parts: BiosParts;
  readonly #ctx: Context;
  readonly #translation: AddressTranslation;
  readonly #linear: LinearMemory;
  readonly #a20: () => boolean;
  readonly #services: (BiosHandler | undefined)[] = Array.from({ length: TRAP_COUNT }, () => undefined);
  /** RIP values in the F000 segment where calls go on, so that a call makes no new BigInt. */
  readonly #ripAfter = new Map<number, bigint>();
  readonly #apm: ApmServices;
  readonly #mouse: MouseServices;
  readonly #idle: IdleWatch;
  readonly #int14: Int14;
  readonly #int15: Int15;
  readonly #int16: Int16;
  readonly #int17 = new Int17();
  /** False until the first POST of this power-on; a jump to the reset vector after it asks for a machine reset. */
  #posted = false;
  #tracer: BiosTracer | undefined;

  constructor(parts: BiosParts) {
    this.#parts = parts;
    const { config, memory } = parts;
    const video = parts.video ?? new MemoryVideoWindow(memory);
    this.#ctx = new Context({ regs: parts.regs, mem: memory, ports: parts.ports, drives: parts.drives, video });
    this.#a20 = parts.a20Enabled ?? (() => true);
    this.#translation = new AddressTranslation(memory.ram, this.#a20);
    this.#linear = new LinearMemory(memory, this.#translation);
    this.firmware = parts.firmware ?? makeFirmware(parts);
    this.rom = this.firmware.rom;
    for (const site of this.rom.sites) for (const at of [site.done, site.wait, site.wait + POLL_ARM]) this.#ripAfter.set(at, BigInt(at));
    this.#idle = new IdleWatch(parts.instructionCount);
    this.#int14 = new Int14(this.#idle);
    this.#int16 = new Int16(this.#idle);
    this.#apm = new ApmServices({ pm16: this.rom.address("apm16"), pm32: this.rom.address("apm32") }, () => this.#parts.powerOff?.());
    this.#mouse = new MouseServices(config.mouse);
    this.#int15 = new Int15(config, this.#apm, this.#mouse, this.#ctx);
    this.#register(new PciBios(config, routingRows(config)));
  }

  #register(pci: PciBios): void {
    const { handlers } = this.#parts;
    const s = this.#services;
    s[0x08] = int08;
    s[0x10] = handlers.int10;
    s[0x11] = int11;
    s[0x12] = int12;
    s[0x13] = handlers.int13;
    s[0x14] = this.#int14.handle;
    s[0x15] = this.#int15.handle;
    s[0x16] = this.#int16.handle;
    s[0x17] = this.#int17.handle;
    s[0x1a] = new Int1a(pci).handle;
    s[0x40] = handlers.int40 ?? handlers.int13;
    s[TRAP.POST] = () => this.#postTrap();
    s[TRAP.BOOT_FIRST] = handlers.int19 ?? ((ctx) => this.#boot(ctx, "first"));
    s[TRAP.BOOT_NEXT] = handlers.int18 ?? ((ctx) => this.#boot(ctx, "next"));
    s[TRAP.KEY] = keyStroke;
    s[TRAP.MOUSE] = (ctx) => this.#mouse.interrupt(ctx);
    s[TRAP.RTC] = rtcInterrupt;
    s[TRAP.BIOS32] = (ctx) => bios32Directory(ctx, this.rom.address("pci32"));
    s[TRAP.PCI32] = (ctx) => pci.handle(ctx) ?? "done";
    s[TRAP.APM16] = (ctx) => this.#apmFar(ctx);
    s[TRAP.APM32] = (ctx) => this.#apmFar(ctx);
    s[TRAP.OPTION_ROM] = nextOptionRom;
  }

  /** Power-on or full machine reset: ROM, chips, data areas, and the vCPU at the end of POST. */
  init(): void {
    this.#parts.memory.ram.writeRom(0xf0000, this.rom.bytes);
    this.#powerOnSelfTest();
  }

  #powerOnSelfTest(): void {
    const ctx = this.#ctx;
    const { config, regs } = { config: this.#parts.config, regs: this.#parts.regs };
    ctx.begin(this.#parts.memory, false, false);
    this.#apm.reset();
    this.#mouse.reset();
    initChips(ctx, config);
    writeSetupCmos(ctx, config, equipmentWord(config));
    installVectors(ctx, this.rom);
    installDataAreas(ctx, config, this.rom);
    initPci(ctx.ports, config);
    writeTables(this.#parts.memory, this.firmware.tables);
    this.#posted = true;
    realModeStart(regs, this.rom.address("post_done"));
  }

  /**
   * The CPU alone was reset (8042 pulse, port 92h, triple fault) and RAM and chips kept their state. True: the CMOS shutdown
   * code said where to go on, and the vCPU is there. False: the machine must reset everything and call `init`.
   */
  resumeAfterCpuReset(): boolean {
    const ctx = this.#ctx;
    ctx.begin(this.#parts.memory, false, false);
    const code = readCmos(ctx, SHUTDOWN);
    if (code !== 0x05 && code !== 0x09 && code !== 0x0a && code !== 0x0c) return false;
    writeCmos(ctx, SHUTDOWN, 0);
    const { regs } = this.#parts;
    if (code === 0x05) {
      ctx.ports.out8(0xa0, 0x20);
      ctx.ports.out8(0x20, 0x20);
    }
    const offset = ctx.mem.read16(BDA.WARM_RESET_VECTOR);
    const segment = ctx.mem.read16(BDA.WARM_RESET_VECTOR + 2);
    if (code === 0x09) {
      // The return of a block move done by hand: 467h is SS:SP of a frame as INT 15h/87h leaves it.
      realModeStart(regs, 0);
      regs.resetRealSegment("ss", segment);
      regs.sp = offset;
      ctx.begin(this.#parts.memory, false, false);
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

  #postTrap(): ServiceResult {
    if (this.resumeAfterCpuReset()) return "redirected";
    if (this.#posted && this.#parts.systemReset !== undefined) {
      this.#parts.systemReset();
      return "done"; // waits in HLT for the reset
    }
    this.#powerOnSelfTest();
    return "redirected";
  }

  #boot(ctx: BiosContext, from: "first" | "next"): ServiceResult {
    const { regs } = ctx;
    const keepSs = regs.selector("ss");
    const keepSp = regs.esp;
    bootRegisters(regs);
    const target = this.#parts.handlers.bootstrap?.(ctx, from);
    if (target === undefined) {
      regs.resetRealSegment("ss", keepSs);
      regs.esp = keepSp;
      regs.resetRealSegment("cs", 0xf000);
      regs.rip = BigInt(this.rom.address("no_boot"));
      return "redirected";
    }
    return target === "entered" ? "redirected" : { jump: target };
  }

  #apmFar(ctx: BiosContext): ServiceResult {
    ctx.regs.ah = 0x53;
    const result = this.#apm.handle(ctx);
    return result === "wait" ? this.#apmResumed(ctx) : result;
  }
  /** The far entries cannot sleep: the call ends as if an interrupt had come. */
  #apmResumed(ctx: BiosContext): ServiceResult {
    this.#ctx.resumed = true;
    return this.#apm.handle(ctx);
  }

  /** Calls `sink` once for each finished call; undefined turns the trace off. */
  setTrace(sink: ((record: BiosCallRecord) => void) | undefined): void {
    this.#tracer = sink === undefined ? undefined : new BiosTracer(sink);
  }

  /** A power event for an APM driver's next 530Bh. */
  postApmEvent(event: number): void {
    this.#apm.postEvent(event);
  }

  saveState(): BiosStateV1 {
    return {
      v: 1,
      posted: this.#posted,
      apm: this.#apm.saveState(),
      mouse: this.#mouse.saveState(),
      waits: this.#int15.waits.saveState(),
      serial: this.#int14.saveState(),
      printer: this.#int17.saveState(),
      keyboard: this.#int16.saveState(),
      idle: this.#idle.saveState(),
    };
  }
  /** The ROM, data areas and registers come back with the machine's memory and vCPU. */
  loadState(s: BiosStateV1): void {
    this.#posted = s.posted;
    this.#apm.loadState(s.apm);
    this.#mouse.loadState(s.mouse);
    this.#int15.waits.loadState(s.waits);
    this.#int14.loadState(s.serial);
    this.#int17.loadState(s.printer);
    this.#int16.loadState(s.keyboard);
    if (s.idle !== undefined) this.#idle.loadState(s.idle);
  }

  /** Vector (or trap id) of the trap at a real-mode linear address, or undefined. */
  vectorOfTrap(linear: number): number | undefined {
    return this.rom.vectorOfTrap(linear);
  }

  /**
   * The vCPU stands at a VMCALL (or at the OUT of the "port" style). "handled": the service is done and RIP is where the
   * guest goes on; enter with ENTRY_RUN. "not-ours": no trap is there; nothing was changed.
   */
  call(): "handled" | "not-ours" {
    const { regs } = this.#parts;
    const raw = regs.raw;
    const rip = raw.getRip32();
    const linear = (raw.getSegmentBase32(CS) + rip) >>> 0;
    const protectedMode = (raw.getCr0() & PE) !== 0;
    let mem = this.#parts.memory;
    let physical = linear;
    if (protectedMode || !this.#a20()) {
      this.#translation.load(raw);
      mem = this.#linear;
      // Any user program may execute the trap instruction; only the ROM's own counts, and outside V86 only for ring 0.
      if (protectedMode) {
        physical = this.#translation.translate(linear);
        if ((raw.getRflags() & VM86) === 0 && (raw.getSegmentAccess(CS) & CPL) !== 0) return "not-ours";
      }
    }
    if ((physical < 0xf0000 || physical > 0xfffff) && physical < 0xffff0000) return "not-ours";
    const offset = physical & 0xffff;
    const found = this.rom.trapAt(offset);
    if (found < 0) return "not-ours";
    const id = found & 0x7fff;
    const service = this.#services[id];
    if (service === undefined) return "not-ours";
    const ctx = this.#ctx;
    ctx.begin(mem, (found & RESUMED) !== 0, id >= FIRST_FAR_TRAP && id <= LAST_FAR_TRAP, protectedMode ? mem : this.#parts.memory);
    if (this.#tracer !== undefined) this.#tracer.before(ctx, id);
    if (WORK[id] === 1) this.#idle.working();
    const result = service(ctx);
    if (this.#tracer !== undefined) this.#tracer.after(ctx, id, result);
    if (this.#apm.off) {
      this.#goto(rip - offset, this.rom.address("park"));
      return "handled";
    }
    if (result === "done") raw.advanceRip(this.rom.doneAt(offset) - offset);
    else if (result === "wait") this.#goto(rip - offset, this.rom.waitArm(offset));
    else if (result === "poll") this.#goto(rip - offset, this.rom.waitArm(offset) + POLL_ARM);
    else if (result !== "redirected") {
      regs.resetRealSegment("cs", result.jump.segment);
      regs.rip = BigInt(result.jump.offset & 0xffff);
      // A boot sector starts with interrupts on.
      if (id === TRAP.BOOT_FIRST || id === TRAP.BOOT_NEXT) regs.rflags = 0x202;
    }
    return "handled";
  }

  /**
   * An interpreter inside the guest has run a stub of the "port" style and passes its registers by memory: a double word written to the trap
   * port is the frame's physical address. "handled": the frame has the results; go on behind the OUT. A service that would wait ends as if an
   * interrupt had come, one that would enter something ends without it.
   */
  callInterpreted(frameAddress: number): "handled" | "not-ours" {
    const { regs, memory } = this.#parts;
    if (this.#parts.config.trapStyle !== "port" || frameAddress > LAST_FRAME) return "not-ours";
    const frame = new FrameRegisters(memory, frameAddress);
    const id = frame.vector;
    const service = id < 0x100 && id !== 0x08 ? this.#services[id] : undefined;
    if (service === undefined) return "not-ours";
    const cpu = regs.raw;
    regs.follow(frame);
    const ctx = this.#ctx;
    ctx.begin(memory, false, false);
    if (this.#tracer !== undefined) this.#tracer.before(ctx, id);
    this.#idle.working();
    let result = service(ctx);
    if (result === "wait" || result === "poll") {
      ctx.resumed = true;
      result = service(ctx);
    }
    if (this.#tracer !== undefined) this.#tracer.after(ctx, id, result);
    frame.store();
    regs.follow(cpu);
    return "handled";
  }

  /** `delta`: RIP minus ROM offset, 0 when CS is F000. */
  #goto(delta: number, offset: number): void {
    this.#parts.regs.rip = (delta === 0 ? this.#ripAfter.get(offset) : undefined) ?? BigInt((delta + offset) >>> 0);
  }
}

function makeFirmware({ config, font8x8, romData }: BiosParts): Firmware {
  const rom = new RomImage({
    style: config.trapStyle,
    date: BIOS_DATE,
    ...(font8x8 !== undefined && { font8x8 }),
    ...(romData !== undefined && { data: romData }),
  });
  return { rom, tables: placeTables(rom, config, BIOS_DATE) };
}

/** Registers as a boot sector finds them; DL is the bootstrap's. */
function bootRegisters(regs: GuestRegisters): void {
  for (const name of ["ds", "es", "ss", "fs", "gs"] as const) regs.resetRealSegment(name, 0);
  regs.eax = 0xaa55;
  regs.ebx = 0;
  regs.ecx = 0;
  regs.edx = 0;
  regs.esi = 0;
  regs.edi = 0;
  regs.ebp = 0;
  regs.esp = BOOT_STACK;
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
