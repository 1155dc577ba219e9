import { VmmError } from "../base/index.ts";
import type { BlockBackend } from "../backends/api/index.ts";
import { installDiskData } from "../biosemul/int13/index.ts";
import { BIOS_TRAP_PORT, BiosEmul, DEFAULT_BIOS_CONFIG } from "../biosemul/index.ts";
import type { Firmware } from "../biosemul/index.ts";
import type { MmioBus, PioBus } from "../bus/index.ts";
import { AtapiDrive } from "../devices/ide/index.ts";
import type { ResetKind } from "../devices/index.ts";
import type { CpuEngine, VmEntry, VmExit } from "../vmm/index.ts";
import { ENTRY_RUN, ENTRY_SKIP, GuestRegisters, Vm } from "../vmm/index.ts";
import type { Vcpu } from "../vmm/index.ts";
import { MEM, MSR, PORT } from "../isa/index.ts";
import { ApicGateway } from "./board/apic.ts";
import { biosConfig, createBiosHandlers } from "./board/bios.ts";
import type { BiosPieces } from "./board/bios.ts";
import { buildChips, COM_PORTS } from "./board/chips.ts";
import type { Chips } from "./board/chips.ts";
import { HostClock } from "./run/host-clock.ts";
import { VirtualClock } from "./run/virtual-clock.ts";
import type { MachineClock } from "./run/clock.ts";
import type { MachineConfig } from "./config.ts";
import { assignDrives, floppyMedium, insertMedium } from "./board/drives.ts";
import type { Drive } from "./board/drives.ts";
import type { Host } from "./run/host.ts";
import type { BiosTraceSink, DisplayPort, MousePort, Pc } from "./pc-parts.ts";
import { checkKernel, startKernel } from "./kernel.ts";
import { codeSize, cpuMode } from "./automation/registers.ts";
import type { BoardRequest } from "./run/run-loop.ts";
import { MEMORY_REGIONS, MemoryMap, VRAM_BYTES } from "./board/memory-map.ts";
import { programMemoryTypes } from "./board/memory-types.ts";
import { PortGateway, portIo } from "./board/port-gateway.ts";
import { ScopedClock } from "./run/scoped-clock.ts";
import { SerialLine } from "./automation/serial-line.ts";
import { loadChips, saveChips } from "./snapshot/chips.ts";
import type { PcStateV1 } from "./snapshot/state.ts";
import type { KeyPort } from "./automation/typist.ts";

/** Wires a PC: memory map, chips, BIOS. The guest has not run yet; the BIOS's POST is done. */
export function definePc(config: MachineConfig, engine: CpuEngine, host: Host): Pc {
  return new WiredPc(config, engine, host);
}

class WiredPc implements Pc {
  readonly config: MachineConfig;
  readonly #host: Host;
  readonly vm: Vm;
  readonly clock: MachineClock;
  readonly serial: readonly SerialLine[];
  readonly consoles: readonly SerialLine[];
  readonly #drives: readonly Drive[];
  readonly lineClock: ScopedClock;
  readonly #io: PortGateway;
  readonly #map: MemoryMap;
  readonly #apics: readonly ApicGateway[];
  #chips: Chips;
  #chipClock: ScopedClock;
  #bios: BiosEmul;
  #biosPieces: BiosPieces | undefined;
  #a20 = true;
  #request: BoardRequest | undefined;
  /** The registers of the CPU that called the BIOS. */
  readonly #biosRegs: GuestRegisters;
  #trace: BiosTraceSink | undefined;
  onRequest: (() => void) | undefined;
  onArrival: (() => void) | undefined;
  onNothingBoots: Pc["onNothingBoots"];

  constructor(config: MachineConfig, engine: CpuEngine, host: Host) {
    this.config = config;
    this.#host = host;
    this.#drives = assignDrives(config.drives);
    const instructions = (): number => this.#instructions();
    this.#apics = Array.from({ length: config.cpus }, () => new ApicGateway());
    this.#io = new PortGateway(config.trapStyle === "port" ? BIOS_TRAP_PORT : -1);
    this.vm = new Vm(engine, {
      ramBytes: config.memoryBytes,
      regions: MEMORY_REGIONS,
      io: this.#io,
      cpus: config.cpus,
      localApics: this.#apics,
      readTsc: () => this.clock.nowNs(),
      // With virtual time RDRAND repeats too.
      ...(config.clock === "virtual" ? {} : { random: () => randomWord(host) }),
      ferr: () => this.#chips.system.fpuError(),
    });
    this.#biosRegs = this.vm.vcpus.length === 1 ? this.vcpu.regs : new GuestRegisters(this.vcpu.regs.raw);
    this.clock =
      config.clock === "virtual"
        ? new VirtualClock(instructions, config.nsPerInstruction, () => host.now(), config.net === undefined ? config.idleSkipMs * 1e6 : 0)
        : new HostClock(instructions, () => host.now());
    this.#map = new MemoryMap(this.vm, config.memoryBytes);
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

  #makeChips(): Chips {
    const memory = this.vm.memory;
    const chips = buildChips(this.config, {
      clock: this.#chipClock,
      dma: { read: (gpa, into) => memory.read(gpa, into), write: (gpa, from) => memory.write(gpa, from) },
      vram: this.#map.vram,
      cpus: this.vm.vcpus,
      guestTsc: (cpu) => Number(this.vm.vcpus[cpu]?.regs.raw.getMsr(MSR.TSC) ?? 0n),
      a20: (enabled) => this.#setA20(enabled),
      clearFpuBusy: () => this.vm.setIgnne(true),
      reset: (kind: ResetKind, by) => this.request({ kind: "reset", warm: kind === "cpu", by }),
      powerOff: (by) => this.request({ kind: "power-off", by }),
      frameBuffer: (address) => this.#map.moveFrameBuffer(address),
      shadow: (segment) => this.#map.shadow(segment),
      random: (into) => this.#host.random(into),
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
    const video = { lfbBase: () => this.#map.frameBuffer ?? MEM.LFB, vramBytes: VRAM_BYTES };
    const pieces = createBiosHandlers(this.config, video, this.#kernelStarter(), (failures) => this.onNothingBoots?.(failures));
    const { handlers, font8x8, videoRom } = pieces;
    this.#biosPieces = pieces;
    this.#map.writeVideoRom(videoRom);
    return new BiosEmul({
      regs: this.#biosRegs,
      memory: this.vm.physical,
      ports: portIo(pio),
      drives: this.#drives,
      config: biosConfig(this.config, this.#drives),
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
    const bios = biosConfig(this.config, this.#drives);
    checkKernel(kernel, bios);
    return () => startKernel(kernel, bios, this.vm.physical, this.vcpu.regs);
  }

  #powerOnSelfTest(): void {
    this.#prepareCpus();
    this.#bios.init();
    installDiskData(this.vm.physical, this.#drives);
  }

  /** What firmware leaves behind in every CPU: the 8259s pass through the APIC, memory has its types. */
  #prepareCpus(): void {
    this.#chips.apic.initBoot();
    for (const cpu of this.vm.vcpus) programMemoryTypes(cpu.regs.raw, DEFAULT_BIOS_CONFIG.lowRamLimit);
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
    if (exit.kind !== "vmcall" && (exit.kind !== "io-out" || exit.port !== BIOS_TRAP_PORT)) return undefined;
    if (this.#biosRegs !== vcpu.regs) this.#biosRegs.follow(vcpu.regs.raw);
    const { pio, mmio } = this.#chips;
    if (pio.hook === undefined && mmio.hook === undefined) {
      return exit.kind === "vmcall" ? (this.#bios.call() === "handled" ? ENTRY_RUN : undefined) : this.#service(exit);
    }
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
      this.#prepareCpus();
      return;
    }
    this.#chipClock.cancelAll();
    for (const cpu of this.vcpus) cpu.setInterruptLine(false);
    const { pio, mmio, virtio } = this.#chips;
    virtio.dispose();
    this.#map.unshadowAll();
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

function randomWord(host: Host): number {
  const bytes = new Uint8Array(4);
  host.random(bytes);
  return new DataView(bytes.buffer).getUint32(0);
}
