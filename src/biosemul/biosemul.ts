import type { GuestRegisters, PhysicalMemory } from "../vmm/index.ts";
import type { BiosDrive, BiosHandler, PortIo, VideoWindow } from "./api.ts";
import type { BiosBootStateV1, BootstrapParts } from "./boot/index.ts";
import type { BiosConfig } from "./config.ts";
import { Context, MemoryVideoWindow } from "./context.ts";
import { FrameRegisters } from "./frame-registers.ts";
import { waitingKeys } from "./int/key-ring.ts";
import type { Int10Options } from "./int10/index.ts";
import { AddressTranslation, LinearMemory } from "./linear-memory.ts";
import { LinearVideoWindow } from "./linear-video-window.ts";
import { PowerOnSelfTest } from "./post/post.ts";
import { POLL_ARM } from "./rom/code.ts";
import { makeFirmware } from "./rom/firmware.ts";
import type { Firmware } from "./rom/firmware.ts";
import type { RomImage } from "./rom/image.ts";
import { FIRST_FAR_TRAP, LAST_FAR_TRAP, TRAP, TRAP_COUNT } from "./rom/layout.ts";
import { ServiceTable } from "./service-table.ts";
import type { BiosStateV1 } from "./service-table.ts";
import { BiosTracer } from "./trace/tracer.ts";
import type { BiosCallRecord } from "./trace/tracer.ts";

/** Everything that biosemul needs from the machine. */
export interface BiosParts {
  readonly regs: GuestRegisters;
  readonly memory: PhysicalMemory;
  readonly ports: PortIo;
  readonly drives: readonly BiosDrive[];
  readonly config: BiosConfig;
  readonly display: Int10Options;
  /** Fast access to the display window; without it plain reads and writes. */
  readonly window?: VideoWindow;
  /** State of the A20 gate; without it the gate counts as open. */
  readonly a20Enabled?: () => boolean;
  /** The guest turned the machine off (APM). Called inside `call`: only take note. */
  readonly powerOff?: () => void;
  /** The guest jumped to the reset vector: reset the whole machine (then call `init`). Called inside `call`: only take note. */
  readonly systemReset?: () => void;
  /** Guest instructions retired so far; with it a guest that only polls the keyboard sleeps between interrupts. */
  readonly instructionCount?: () => number;
  /** A kernel instead of boot sectors, and who is told when nothing boots. */
  readonly boot?: Pick<BootstrapParts, "startKernel" | "nothingBoots">;
  /** Services of the program's own in place of biosemul's, by vector or `TRAP`. */
  readonly services?: Readonly<Record<number, BiosHandler>>;
  /** That of this machine's BIOS before a reset, made from the same `config` and `display`. */
  readonly firmware?: Firmware | undefined;
}

/** 1 for calls that show a guest at work: all but the clock, the keyboard, the serial lines (they tell by themselves), and what interrupts run. */
const WORK = new Uint8Array(TRAP_COUNT).fill(1);
for (const id of [0x08, 0x11, 0x12, 0x14, 0x15, 0x16, 0x1a, TRAP.KEY, TRAP.MOUSE, TRAP.RTC]) WORK[id] = 0;

const PE = 1;
const CS = 1;
const CPL = 0x60;
const CS_L = 0x2000;
const LMA = 0x400n;
const VM86 = 0x20000;
const IOPL = 0x3000;
const ROM = 0xf0000;
const ROM_BYTES = 0x10000;
/** The ROM's copy that the reset vector is in. */
const ROM_TOP = 0xffff0000;
/** What is compared of a stub: its trap and what follows, as long as the shortest way out of one. */
const STUB_BYTES = 7;
const RESUMED = 0x8000;
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
  readonly #services: ServiceTable;
  readonly #post: PowerOnSelfTest;
  /** RIP values in the F000 segment where calls go on, so that a call makes no new BigInt. */
  readonly #ripAfter = new Map<number, bigint>();
  #tracer: BiosTracer | undefined;

  constructor(parts: BiosParts) {
    this.#parts = parts;
    const { config, memory } = parts;
    const video = parts.window ?? new MemoryVideoWindow(memory);
    this.#a20 = parts.a20Enabled ?? (() => true);
    this.#translation = new AddressTranslation(memory.ram, this.#a20);
    this.#linear = new LinearMemory(memory, this.#translation);
    const linear = { mem: this.#linear, video: new LinearVideoWindow(video, this.#linear, this.#translation) };
    const ctx = new Context({ regs: parts.regs, mem: memory, ports: parts.ports, drives: parts.drives, video, linear });
    this.#ctx = ctx;
    const firmware = parts.firmware ?? makeFirmware(config, parts.display.vramBytes);
    this.firmware = firmware;
    this.rom = firmware.rom;
    for (const site of this.rom.sites) for (const at of [site.done, site.wait, site.wait + POLL_ARM]) this.#ripAfter.set(at, BigInt(at));
    this.#services = new ServiceTable({
      config,
      rom: this.rom,
      ctx,
      display: parts.display,
      powerOff: () => parts.powerOff?.(),
      boot: parts.boot ?? {},
      instructionCount: parts.instructionCount,
      post: () => this.#post.trap(),
      replaced: parts.services ?? {},
    });
    const resetServices = (): void => this.#services.reset();
    this.#post = new PowerOnSelfTest({ memory, config, firmware, ctx, resetServices, systemReset: parts.systemReset });
  }

  /** Power-on or full machine reset: ROMs, chips, data areas, and the vCPU at the end of POST. */
  init(): void {
    this.#post.run();
  }

  /** The machine wakes from S3; devices are new, memory is not. False: the guest left no vector, so only a reset is left. */
  wake(): boolean {
    return this.#post.wake();
  }

  /**
   * The CPU alone was reset (8042 pulse, port 92h, triple fault) and RAM and chips kept their state. True: the CMOS shutdown
   * code said where to go on, and the vCPU is there. False: the machine must reset everything and call `init`.
   */
  resumeAfterCpuReset(): boolean {
    return this.#post.resumeAfterCpuReset();
  }
  /** True when the guest prepared a return from a reset: a triple fault then is its way to ask for one. */
  resetWasPrepared(): boolean {
    return this.#post.resetWasPrepared();
  }
  /** Keys that the guest has not read yet; 0 when what is in the data area cannot be the BIOS's ring any more. */
  waitingKeys(): number {
    return waitingKeys(this.#parts.memory);
  }

  /** Calls `sink` once for each finished call; undefined turns the trace off. */
  setTrace(sink: ((record: BiosCallRecord) => void) | undefined): void {
    this.#tracer = sink === undefined ? undefined : new BiosTracer(sink);
  }

  saveState(): BiosStateV1 {
    return { ...this.#services.saveState(), posted: this.#post.done };
  }
  /** The ROM, data areas and registers come back with the machine's memory and vCPU. */
  loadState(s: BiosStateV1): void {
    this.#post.done = s.posted;
    this.#services.loadState(s);
  }
  /** What the disk services and the boot loop remember. */
  saveBoot(): BiosBootStateV1 {
    return this.#services.saveBoot();
  }
  loadBoot(s: BiosBootStateV1): void {
    this.#services.loadBoot(s);
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
    const v86 = protectedMode && (raw.getRflags() & VM86) !== 0;
    let mem = this.#parts.memory;
    let physical = linear;
    if (protectedMode || !this.#a20()) {
      this.#translation.load(raw);
      mem = this.#linear;
      if (protectedMode) {
        // Any user program may execute the trap instruction; outside V86 only ring 0 is answered, and no 64-bit code.
        const code = raw.getSegmentAccess(CS);
        if (!v86 && ((code & CPL) !== 0 || ((code & CS_L) !== 0 && (raw.getControl("efer") & LMA) !== 0n))) return "not-ours";
        physical = this.#translation.translate(linear);
      }
    }
    const offset = this.#romOffset(physical, protectedMode ? linear : -1);
    const found = offset < 0 ? -1 : this.rom.trapAt(offset);
    if (found < 0 || !this.#holdsRom(offset, physical, mem, linear)) return "not-ours";
    const id = found & 0x7fff;
    const service = this.#services.handlers[id];
    // The reset vector's code loads what a program in V86 or protected mode may not: there its own instructions would fault.
    if (service === undefined || (protectedMode && id === TRAP.POST)) return "not-ours";
    const ctx = this.#ctx;
    ctx.begin(mem, (found & RESUMED) !== 0, id >= FIRST_FAR_TRAP && id <= LAST_FAR_TRAP, protectedMode ? mem : this.#parts.memory);
    if (this.#tracer !== undefined) this.#tracer.before(ctx, id);
    if (WORK[id] === 1) this.#services.idle.working();
    const result = service(ctx);
    if (this.#tracer !== undefined) this.#tracer.after(ctx, id, result);
    if (this.#services.apm.off) {
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
      if (id === TRAP.BOOT_FIRST || id === TRAP.BOOT_NEXT) regs.rflags = v86 ? (regs.rflags & (VM86 | IOPL)) | 0x202 : 0x202;
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
    const service = id < 0x100 && id !== 0x08 ? this.#services.handlers[id] : undefined;
    if (service === undefined) return "not-ours";
    const cpu = regs.raw;
    regs.follow(frame);
    const ctx = this.#ctx;
    ctx.begin(memory, false, false);
    if (this.#tracer !== undefined) this.#tracer.before(ctx, id);
    this.#services.idle.working();
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

  /**
   * Which place of the ROM an address names, or -1. A kernel maps the ROM where it likes and calls it there (BIOS32, APM): the physical address
   * counts. Monitors map other memory under F0000-FFFFF, with a copy of the ROM in it (EMM386, QEMM): then the linear one does.
   */
  #romOffset(physical: number, linear: number): number {
    if ((physical >= ROM && physical < ROM + ROM_BYTES) || (physical >= ROM_TOP && physical < ROM_TOP + ROM_BYTES)) return physical & 0xffff;
    return physical >= 0 && linear >= ROM && linear < ROM + ROM_BYTES ? linear & 0xffff : -1;
  }
  /** Whether the ROM's own code is there: shadow RAM and remapped pages may hold the guest's. */
  #holdsRom(offset: number, physical: number, mem: PhysicalMemory, linear: number): boolean {
    const { memory } = this.#parts;
    if ((physical & 0xfff) <= 0x1000 - STUB_BYTES)
      return memory.read32(physical) === this.rom.word(offset) && memory.read32(physical + STUB_BYTES - 4) === this.rom.word(offset + STUB_BYTES - 4);
    for (let i = 0; i < STUB_BYTES; i++) if (mem.read8((linear + i) >>> 0) !== this.rom.bytes[(offset + i) & 0xffff]) return false;
    return true;
  }

  /** `delta`: RIP minus ROM offset, 0 when CS is F000. */
  #goto(delta: number, offset: number): void {
    this.#parts.regs.rip = (delta === 0 ? this.#ripAfter.get(offset) : undefined) ?? BigInt((delta + offset) >>> 0);
  }
}
