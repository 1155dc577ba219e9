import { VmmError } from "../base/index.ts";
import type { BlockBackend } from "../backends/api/index.ts";
import { installDiskData } from "../biosemul/int13/index.ts";
import { BIOS_TRAP_PORT, BiosEmul, DEFAULT_BIOS_CONFIG } from "../biosemul/index.ts";
import type { BiosConfig, Firmware, PortIo } from "../biosemul/index.ts";
import type { MmioBus, PioBus } from "../bus/index.ts";
import { VIDEO_ROM_BYTES } from "../biosemul/int10/index.ts";
import type { PamSegment } from "../devices/pci/index.ts";
import { AtapiDrive } from "../devices/ide/index.ts";
import type { ResetKind } from "../devices/index.ts";
import type { AccessSize, CpuEngine, GuestIo, VmEntry, VmExit } from "../vmm/index.ts";
import { ENTRY_RUN, ENTRY_SKIP, GuestRegisters, Vm } from "../vmm/index.ts";
import type { Vcpu } from "../vmm/index.ts";
import { MEM, MSR, PORT } from "../isa/index.ts";
import { ApicGateway } from "./board/apic.ts";
import { createBiosHandlers } from "./board/bios-handlers.ts";
import type { BiosPieces } from "./board/bios-handlers.ts";
import { buildChips, COM_PORTS } from "./board/chips.ts";
import type { Chips } from "./board/chips.ts";
import { HostClock, VirtualClock } from "./run/clock.ts";
import type { MachineClock } from "./run/clock.ts";
import type { MachineConfig } from "./config.ts";
import { assignDrives, floppyMedium, insertMedium } from "./board/drives.ts";
import type { Drive } from "./board/drives.ts";
import { HOST } from "./run/host.ts";
import type { BiosTraceSink, DisplayPort, MousePort, Pc } from "./pc-parts.ts";
import { checkKernel, startKernel } from "./kernel.ts";
import { codeSize, cpuMode } from "./automation/registers.ts";
import type { BoardRequest } from "./run/run-loop.ts";
import { programMemoryTypes } from "./board/memory-types.ts";
import { ScopedClock } from "./run/scoped-clock.ts";
import { SerialLine } from "./automation/serial-line.ts";
import { loadChips, saveChips } from "./snapshot/chips.ts";
import type { PcStateV1 } from "./snapshot/state.ts";
import type { KeyPort } from "./automation/typist.ts";

const ROM_BYTES = 0x10000;
/** The video option ROM's place, C0000-C3FFF. */
const VIDEO_ROM_GPA = MEM.VIDEO_ROM;
const VRAM_BYTES = 16 * 1024 * 1024;
/** The reset vector's copy of the ROM, just below 4 GiB. */
const ROM_TOP = 0x100000000 - ROM_BYTES;

const randomWord = new Uint32Array(1);
const hostRandom = (): number => globalThis.crypto.getRandomValues(randomWord)[0] ?? 0;

/** Wires a PC: memory map, chips, BIOS. The guest has not run yet; the BIOS's POST is done. */
export function definePc(config: MachineConfig, engine: CpuEngine): Pc {
  return new WiredPc(config, engine);
}

class WiredPc implements Pc {
  readonly config: MachineConfig;
  readonly vm: Vm;
  readonly clock: MachineClock;
  readonly serial: readonly SerialLine[];
  readonly consoles: readonly SerialLine[];
  readonly #drives: readonly Drive[];
  readonly lineClock: ScopedClock;
  readonly #io: PortGateway;
  readonly #apics: readonly ApicGateway[];
  #chips: Chips;
  #chipClock: ScopedClock;
  #bios: BiosEmul;
  #biosPieces: BiosPieces | undefined;
  #a20 = true;
  #lfb: number | undefined;
  #request: BoardRequest | undefined;
  /** The registers of the CPU that called the BIOS. */
  readonly #biosRegs: GuestRegisters;
  #trace: BiosTraceSink | undefined;
  onRequest: (() => void) | undefined;
  onArrival: (() => void) | undefined;

  constructor(config: MachineConfig, engine: CpuEngine) {
    this.config = config;
    this.#drives = assignDrives(config.drives);
    const instructions = (): number => this.#instructions();
    this.#apics = Array.from({ length: config.cpus }, () => new ApicGateway());
    this.#io = new PortGateway(config.trapStyle === "port" ? BIOS_TRAP_PORT : -1);
    this.vm = new Vm(engine, {
      ramBytes: config.memoryBytes,
      regions: [
        { name: "rom", sizeBytes: ROM_BYTES },
        { name: "video-rom", sizeBytes: VIDEO_ROM_BYTES },
        { name: "vram", sizeBytes: VRAM_BYTES },
      ],
      io: this.#io,
      cpus: config.cpus,
      localApics: this.#apics,
      readTsc: () => this.clock.nowNs(),
      // With virtual time RDRAND repeats too.
      ...(config.clock === "virtual" ? {} : { random: hostRandom }),
      ferr: () => this.#chips.system.fpuError(),
    });
    this.#biosRegs = this.vm.vcpus.length === 1 ? this.vcpu.regs : new GuestRegisters(this.vcpu.regs.raw);
    this.clock =
      config.clock === "virtual"
        ? new VirtualClock(instructions, config.nsPerInstruction, config.net === undefined ? undefined : HOST.now)
        : new HostClock(instructions, HOST.now);
    this.#mapMemory();
    this.lineClock = new ScopedClock(this.clock);
    this.serial = COM_PORTS.map((_, i) => new SerialLine(this.lineClock, `com${i + 1}`, config.serial[i]));
    this.consoles = config.consoles.map((backend, i) => new SerialLine(this.lineClock, `hvc${i}`, backend));
    this.#chipClock = new ScopedClock(this.clock);
    this.#chips = this.#makeChips();
    this.#bios = this.#makeBios();
    this.#powerOnSelfTest();
  }

  /** What all CPUs together have done: guest time passes with it. */
  #instructions(): number {
    const { vcpu, vcpus } = this.vm;
    if (vcpus.length === 1) return vcpu.instructionCount();
    let sum = 0;
    for (const cpu of vcpus) sum += cpu.instructionCount();
    return sum;
  }

  /** RAM below A0000 and from 1 MiB; the display window is the VGA's; ROM at F0000 and below 4 GiB. */
  #mapMemory(): void {
    const ram = this.#region("ram");
    const rom = this.#region("rom");
    const videoRom = this.#region("video-rom");
    this.vm.mapSlot({ gpa: 0, region: ram, regionOffset: 0, sizeBytes: MEM.VGA, access: "rw" });
    this.vm.mapSlot({ gpa: MEM.HIGH, region: ram, regionOffset: MEM.HIGH, sizeBytes: this.config.memoryBytes - MEM.HIGH, access: "rw" });
    this.vm.mapSlot({ gpa: MEM.ROM_F, region: rom, regionOffset: 0, sizeBytes: ROM_BYTES, access: "ro" });
    this.vm.mapSlot({ gpa: ROM_TOP, region: rom, regionOffset: 0, sizeBytes: ROM_BYTES, access: "ro" });
    this.vm.mapSlot({ gpa: VIDEO_ROM_GPA, region: videoRom, regionOffset: 0, sizeBytes: VIDEO_ROM_BYTES, access: "ro" });
  }

  /** The linear frame buffer follows its BAR. */
  #moveFrameBuffer(address: number | undefined): void {
    if (this.#lfb !== undefined) this.vm.unmapSlot(this.#lfb, VRAM_BYTES);
    // A guest may put the BAR over RAM or ROM; those keep their addresses then, as the host bridge decodes them first.
    const free = address !== undefined && address >= this.config.memoryBytes && address + VRAM_BYTES <= ROM_TOP;
    this.#lfb = free ? address : undefined;
    if (this.#lfb !== undefined) {
      this.vm.mapSlot({ gpa: this.#lfb, region: this.#region("vram"), regionOffset: 0, sizeBytes: VRAM_BYTES, access: "rw" });
    }
  }

  /**
   * Shadow RAM in C0000-FFFFF (440FX PAM). Write-only shadowing, in which software copies the ROM onto itself, is done here at
   * once: the RAM gets the ROM's content, and writes vanish until reads are switched over.
   */
  #shadow({ start, sizeBytes, readRam, writeRam }: PamSegment): void {
    const ram = this.#region("ram");
    if (readRam) {
      this.vm.mapSlot({ gpa: start, region: ram, regionOffset: start, sizeBytes, access: writeRam ? "rw" : "ro" });
      return;
    }
    this.#unshadow(start, sizeBytes);
    if (!writeRam) return;
    const content = new Uint8Array(sizeBytes);
    this.vm.memory.read(start, content);
    ram.bytes.set(content, start);
  }

  #unshadowAll(): void {
    for (let start: number = VIDEO_ROM_GPA; start < MEM.ROM_F; start += VIDEO_ROM_BYTES) this.#unshadow(start, VIDEO_ROM_BYTES);
    this.#unshadow(MEM.ROM_F, ROM_BYTES);
  }

  #unshadow(start: number, sizeBytes: number): void {
    const [name, size] =
      start === MEM.ROM_F ? (["rom", ROM_BYTES] as const) : start === VIDEO_ROM_GPA ? (["video-rom", VIDEO_ROM_BYTES] as const) : [undefined, 0];
    if (name === undefined) this.vm.unmapSlot(start, sizeBytes);
    else this.vm.mapSlot({ gpa: start, region: this.#region(name), regionOffset: 0, sizeBytes: size, access: "ro" });
  }

  #region(name: string): ReturnType<Vm["region"]> & object {
    const region = this.vm.region(name);
    if (region === undefined) throw new Error(`the engine did not make the region ${name}`);
    return region;
  }

  #makeChips(): Chips {
    const memory = this.vm.memory;
    const chips = buildChips(this.config, {
      clock: this.#chipClock,
      dma: { read: (gpa, into) => memory.read(gpa, into), write: (gpa, from) => memory.write(gpa, from) },
      vram: this.#region("vram").bytes,
      cpus: this.vm.vcpus,
      guestTsc: (cpu) => Number(this.vm.vcpus[cpu]?.regs.raw.getMsr(MSR.TSC) ?? 0n),
      a20: (enabled) => this.#setA20(enabled),
      clearFpuBusy: () => this.vm.setIgnne(true),
      reset: (kind: ResetKind, by) => this.request({ kind: "reset", warm: kind === "cpu", by }),
      powerOff: (by) => this.request({ kind: "power-off", by }),
      frameBuffer: (address) => this.#moveFrameBuffer(address),
      shadow: (segment) => this.#shadow(segment),
      serial: this.serial,
      consoles: this.consoles,
      arrived: () => this.onArrival?.(),
      drives: this.#drives,
    });
    this.#io.connect(chips);
    this.#apics.forEach((gateway, i) => gateway.connect(chips.apic.ports[i]));
    return chips;
  }

  #makeBios(firmware?: Firmware): BiosEmul {
    const { pio, vga } = this.#chips;
    const video = { lfbBase: () => this.#lfb ?? MEM.LFB, vramBytes: VRAM_BYTES };
    const pieces = createBiosHandlers(this.config, video, this.#kernelStarter());
    const { handlers, font8x8, videoRom } = pieces;
    this.#biosPieces = pieces;
    this.vm.memory.writeRom(VIDEO_ROM_GPA, videoRom);
    return new BiosEmul({
      regs: this.#biosRegs,
      memory: this.vm.physical,
      ports: portIo(pio),
      drives: this.#drives,
      config: this.#biosConfig(),
      handlers,
      font8x8,
      video: vga,
      a20Enabled: () => this.#a20,
      powerOff: () => this.request({ kind: "power-off", by: "APM" }),
      systemReset: () => this.request({ kind: "reset", warm: false, by: "jump to the reset vector" }),
      instructionCount: () => this.#instructions(),
      ...(firmware !== undefined && { firmware }),
    });
  }

  #kernelStarter(): (() => void) | undefined {
    const { kernel } = this.config;
    if (kernel === undefined) return undefined;
    const bios = this.#biosConfig();
    checkKernel(kernel, bios);
    return () => startKernel(kernel, bios, this.vm.physical, this.vcpu.regs);
  }

  #powerOnSelfTest(): void {
    this.#chips.apic.initBoot();
    for (const cpu of this.vm.vcpus) programMemoryTypes(cpu.regs.raw, DEFAULT_BIOS_CONFIG.lowRamLimit);
    this.#bios.init();
    installDiskData(this.vm.physical, this.#drives);
  }

  #biosConfig(): BiosConfig {
    const floppies = this.#drives.filter((d) => d.kind === "floppy");
    return {
      ...DEFAULT_BIOS_CONFIG,
      ramBytes: this.config.memoryBytes,
      comPorts: COM_PORTS.map((c) => c.port),
      lptPorts: this.config.printer === undefined ? [] : [0x378],
      floppyTypes: floppies.map((d) => d.floppyType),
      trapStyle: this.config.trapStyle,
      cpus: this.config.cpus,
      pci: true,
      apic: true,
      hpet: true,
      acpi: true,
    };
  }

  #setA20(enabled: boolean): void {
    if (this.#a20 === enabled) return;
    this.#a20 = enabled;
    this.vm.setA20(enabled);
  }

  get vcpu(): Vcpu {
    return this.vm.vcpu;
  }
  get vcpus(): readonly Vcpu[] {
    return this.vm.vcpus;
  }
  get pio(): PioBus {
    return this.#chips.pio;
  }
  get mmio(): MmioBus {
    return this.#chips.mmio;
  }
  get display(): DisplayPort {
    return this.#chips.vga;
  }
  readonly keyboard: KeyPort = {
    key: (name, down) => void this.#chips.keyboard.key(name, down),
    ready: () => this.#chips.keyboard.pendingBytes === 0 && this.#chips.keyboard.scanning,
    waitingKeys: () => this.#ringKeys(),
  };
  readonly mouse: MousePort = {
    move: (dx, dy, wheel, buttons) => {
      this.#chips.mouse.move(dx, dy, wheel);
      this.#chips.mouse.buttons(buttons);
    },
  };

  /** Keys in the BIOS ring (BDA 41Ah head, 41Ch tail, bounds in 480h and 482h). */
  #ringKeys(): number {
    const { memory } = this.vm;
    const start = memory.read16(0x480);
    const end = memory.read16(0x482);
    const head = memory.read16(0x41a);
    const tail = memory.read16(0x41c);
    const inside = (at: number): boolean => at >= start && at < end;
    if (end <= start || end - start > 512 || !inside(head) || !inside(tail)) return 0;
    return ((tail - head + end - start) % (end - start)) / 2;
  }

  callBios(exit: VmExit, vcpu: Vcpu = this.vcpu): VmEntry | undefined {
    if (exit.kind === "io-out" && exit.port !== BIOS_TRAP_PORT) return undefined;
    if (exit.kind === "io-in") return undefined;
    if (this.#biosRegs !== vcpu.regs) this.#biosRegs.follow(vcpu.regs.raw);
    const { pio, mmio } = this.#chips;
    if (pio.hook === undefined && mmio.hook === undefined) return this.#service(exit);
    // A trace of accesses shows the guest's own, not those that the services make on its behalf.
    const [pioHook, mmioHook] = [pio.hook, mmio.hook];
    pio.hook = undefined;
    mmio.hook = undefined;
    const entry = this.#service(exit);
    pio.hook = pioHook;
    mmio.hook = mmioHook;
    return entry;
  }

  #service(exit: VmExit): VmEntry | undefined {
    if (exit.kind === "io-out" && exit.size === 4) return this.#bios.callInterpreted(exit.value >>> 0) === "handled" ? ENTRY_SKIP : undefined;
    return this.#bios.call() === "handled" ? ENTRY_RUN : undefined;
  }

  accessExit(exit: VmExit): VmEntry {
    switch (exit.kind) {
      case "io-in":
        return { kind: "io-in", value: this.pio.read(exit.port, exit.size) };
      case "io-out":
        this.pio.write(exit.port, exit.size, exit.value);
        return ENTRY_SKIP;
      case "mmio-read":
        return { kind: "mmio-read", value: this.mmio.read(exit.gpa, exit.size) };
      case "mmio-write":
        this.mmio.write(exit.gpa, exit.size, exit.value);
        return ENTRY_SKIP;
      default:
        return ENTRY_RUN;
    }
  }

  request(request: BoardRequest): void {
    this.#request ??= request;
    this.onRequest?.();
  }
  takeRequest(): BoardRequest | undefined {
    const request = this.#request;
    this.#request = undefined;
    return request;
  }

  reset(kind: "cold" | "warm"): void {
    for (const cpu of this.vcpus) cpu.reset();
    this.#biosRegs.follow(this.vcpu.regs.raw);
    this.#setA20(true);
    if (kind === "warm" && this.#bios.resumeAfterCpuReset()) {
      this.#chips.apic.initBoot();
      for (const cpu of this.vcpus) programMemoryTypes(cpu.regs.raw, DEFAULT_BIOS_CONFIG.lowRamLimit);
      return;
    }
    this.#chipClock.cancelAll();
    for (const cpu of this.vcpus) cpu.setInterruptLine(false);
    const { pio, mmio, virtio } = this.#chips;
    virtio.dispose();
    this.#unshadowAll();
    this.#chipClock = new ScopedClock(this.clock);
    this.#chips = this.#makeChips();
    this.#chips.pio.hook = pio.hook;
    this.#chips.mmio.hook = mmio.hook;
    this.#bios = this.#makeBios(this.#bios.firmware);
    this.traceBios(this.#trace);
    this.#powerOnSelfTest();
  }

  powerButton(): void {
    this.#chips.pm.powerButton();
  }

  resetWasPrepared(): boolean {
    const { memory } = this.vm;
    // CMOS 0Fh, the shutdown code; a reset follows or the machine ends, so moving the index does no harm.
    this.pio.write(PORT.CMOS_INDEX, 1, 0x0f);
    return this.pio.read(PORT.CMOS_DATA, 1) !== 0 || memory.read16(0x472) === 0x1234;
  }

  describeCpu(vcpu: Vcpu = this.vcpu): string {
    const { raw } = vcpu.regs;
    const mode = cpuMode(raw);
    const hex = (v: bigint | number, digits: number): string => v.toString(16).toUpperCase().padStart(digits, "0");
    const digits = codeSize(raw) === 64 ? 16 : codeSize(raw) === 32 ? 8 : 4;
    return `${hex(raw.getSegment("cs").selector, 4)}:${hex(raw.getRip(), digits)} (${mode} mode${vcpu === this.vcpu ? "" : `, CPU ${this.vcpus.indexOf(vcpu)}`})`;
  }

  traceBios(sink: BiosTraceSink | undefined): void {
    this.#trace = sink;
    const hex = (n: number): string => n.toString(16).toUpperCase().padStart(4, "0");
    this.#bios.setTrace(
      sink === undefined
        ? undefined
        : (call) => sink(`${(this.clock.nowNs() / 1e9).toFixed(6)} ${hex(call.callerCs)}:${hex(call.callerIp)} ${call.text}`),
    );
  }

  changeMedium(kind: "floppy" | "cdrom", unit: number, image: BlockBackend | undefined): void {
    const drive = this.#drives.find((d) => d.kind === kind && d.unit === unit);
    if (drive === undefined) {
      image?.close();
      return;
    }
    insertMedium(drive, image);
    if (kind === "floppy") {
      this.#chips.fdc.insert(unit, floppyMedium(drive));
      return;
    }
    for (const channel of this.#chips.ide) {
      for (const unit of [0, 1]) {
        const device = channel.drive(unit);
        if (device instanceof AtapiDrive && drive.path?.channel === this.#chips.ide.indexOf(channel) && drive.path.device === unit)
          device.insert(image);
      }
    }
  }

  get drives(): readonly Drive[] {
    return this.#drives;
  }

  saveState(): PcStateV1 {
    const pieces = this.#biosPieces?.saveState();
    if (pieces === undefined) throw new Error("a PC has a BIOS");
    return {
      v: 1,
      cpus: this.vcpus.map((cpu) => cpu.saveState()),
      nowNs: this.clock.nowNs(),
      a20: this.#a20,
      chips: saveChips(this.#chips),
      chipTimers: this.#chipClock.saveTimers(),
      lineTimers: this.lineClock.saveTimers(),
      bios: this.#bios.saveState(),
      biosPieces: pieces,
      serial: this.serial.map((line) => line.saveState()),
      consoles: this.consoles.map((line) => line.saveState()),
    };
  }

  loadState(s: PcStateV1): void {
    const loadCpus = (): void => {
      for (const [i, cpu] of this.vcpus.entries()) {
        const state = s.cpus[i];
        if (state === undefined) throw new VmmError("SNAPSHOT_MACHINE", `the snapshot has ${s.cpus.length} CPUs, the machine ${this.vcpus.length}`);
        cpu.loadState(state);
      }
    };
    // Instruction counts first: the time that chips ask for hangs on them.
    loadCpus();
    this.clock.setNow(s.nowNs);
    const missing = loadChips(this.#chips, s.chips);
    if (missing.length > 0)
      throw new VmmError("SNAPSHOT_MACHINE", `the snapshot says nothing about ${missing.join(", ")}: the machine has other devices`);
    this.#setA20(s.a20);
    this.#bios.loadState(s.bios);
    this.#biosPieces?.loadState(s.biosPieces);
    for (const [i, line] of [...this.serial, ...this.consoles].entries()) {
      const state = [...s.serial, ...s.consoles][i];
      if (state !== undefined) line.loadState(state);
    }
    // Pins that chips pulled on the way have told the CPUs things: what they knew counts.
    loadCpus();
    this.#chipClock.cancelAll();
    this.lineClock.cancelAll();
    const timers = [...s.chipTimers.map((t) => ({ ...t, clock: this.#chipClock })), ...s.lineTimers.map((t) => ({ ...t, clock: this.lineClock }))];
    for (const timer of timers.sort((a, b) => a.sequence - b.sequence)) {
      if (!timer.clock.armSaved(timer))
        throw new VmmError("SNAPSHOT_MACHINE", `the machine has no timer "${timer.name}": it has other devices than the saved one`);
    }
  }

  flush(): boolean {
    return this.#drives.map((d) => d.backend?.flush() ?? true).every(Boolean);
  }

  dispose(): void {
    this.#chipClock.cancelAll();
    this.#chips.virtio.dispose();
    for (const drive of this.#drives) drive.backend?.close();
    this.config.net?.backend.close();
    for (const { tree } of this.config.shares) tree.close();
    this.vm.dispose();
  }
}

/** Ports and device memory answered below the exit. The chips behind it are exchanged at a hard reset. */
class PortGateway implements GuestIo {
  readonly #trapPort: number;
  #chips: Chips | undefined;

  constructor(trapPort: number) {
    this.#trapPort = trapPort;
  }
  connect(chips: Chips): void {
    this.#chips = chips;
  }
  portRead(port: number, size: AccessSize): number {
    return this.#chips === undefined ? -1 : this.#chips.pio.read(port, size);
  }
  portWrite(port: number, size: AccessSize, value: number): boolean {
    if (port === this.#trapPort || this.#chips === undefined) return false;
    this.#chips.pio.write(port, size, value);
    return true;
  }
  mmioRead(gpa: number, size: AccessSize): number {
    return this.#chips === undefined ? -1 : this.#chips.mmio.read(gpa, size);
  }
  mmioWrite(gpa: number, size: AccessSize, value: number): boolean {
    if (this.#chips === undefined) return false;
    this.#chips.mmio.write(gpa, size, value);
    return true;
  }
  interruptAcknowledge(): number {
    return this.#chips?.pic.acknowledge() ?? 0xff;
  }
}

function portIo(pio: PioBus): PortIo {
  return {
    in8: (port) => pio.read(port, 1),
    in16: (port) => pio.read(port, 2),
    in32: (port) => pio.read(port, 4),
    out8: (port, value) => pio.write(port, 1, value),
    out16: (port, value) => pio.write(port, 2, value),
    out32: (port, value) => pio.write(port, 4, value),
  };
}
