import { VmmError } from "../base/index.ts";
import type { BlockBackend } from "../backends/api/index.ts";
import { BIOS_TRAP_PORT, DEFAULT_BIOS_CONFIG } from "../biosemul/index.ts";
import type { BootFailure } from "../biosemul/index.ts";
import type { MmioBus, PioBus } from "../bus/index.ts";
import { MSR } from "../isa/index.ts";
import { Vm } from "../vmm/index.ts";
import type { CpuEngine, Vcpu, VmEntry, VmExit } from "../vmm/index.ts";
import { describePlace } from "./automation/registers.ts";
import { SerialLine } from "./automation/serial-line.ts";
import { PcBios } from "./board/bios.ts";
import type { BiosTraceSink } from "./board/bios.ts";
import { buildDevices } from "./board/devices.ts";
import type { DeviceSet } from "./board/devices.ts";
import { assignDrives, insertMedium } from "./board/drives.ts";
import type { Drive } from "./board/drives.ts";
import { ApicGateway } from "./board/interrupts.ts";
import { COM_PORTS } from "./board/isa.ts";
import { MEMORY_REGIONS, MemoryMap } from "./board/memory-map.ts";
import { programMemoryTypes } from "./board/memory-types.ts";
import { PortGateway } from "./board/port-gateway.ts";
import type { DisplayPort, KeyPort, MousePort } from "./board/sockets.ts";
import { showMedium } from "./board/storage.ts";
import type { MachineConfig } from "./config.ts";
import type { MachineClock } from "./run/clock.ts";
import { HostClock } from "./run/host-clock.ts";
import type { Host } from "./run/host.ts";
import type { Board, BoardRequest } from "./run/board.ts";
import { armSavedTimers, ScopedClock } from "./run/scoped-clock.ts";
import { VirtualClock } from "./run/virtual-clock.ts";
import type { PcStateV1 } from "./snapshot/state.ts";

/**
 * A wired PC: engine, memory map, devices, BIOS. It is the board that the run loop drives, and has the sockets that people and programs plug into. When it
 * is made, the BIOS's POST is done and the guest has not run yet.
 */
export class Pc implements Board {
  readonly config: MachineConfig;
  readonly exactBudgets: boolean;
  readonly vm: Vm;
  readonly clock: MachineClock;
  /** Time as serial lines and the typist see it: their timers are saved with the devices'. */
  readonly lineClock: ScopedClock;
  /** COM1..COM4. */
  readonly serial: readonly SerialLine[];
  /** hvc0, hvc1, ... */
  readonly consoles: readonly SerialLine[];
  /** The drives in the order of the configuration. */
  readonly drives: readonly Drive[];
  readonly #host: Host;
  readonly #io: PortGateway;
  readonly #map: MemoryMap;
  readonly #apics: readonly ApicGateway[];
  readonly #bios: PcBios;
  #deviceClock: ScopedClock;
  #devices: DeviceSet;
  #a20 = true;
  #request: BoardRequest | undefined;
  onRequest: (() => void) | undefined;
  /** Told when something came from outside (a network frame): an idle machine is to look again. */
  onArrival: (() => void) | undefined;
  /** Told when the BIOS finds nothing to start, and why each drive of the boot order is none. */
  onNothingBoots: ((failures: readonly BootFailure[]) => void) | undefined;

  constructor(config: MachineConfig, engine: CpuEngine, host: Host) {
    this.config = config;
    this.exactBudgets = engine.traits?.exactBudgets ?? true;
    if (config.clock === "virtual" && !this.exactBudgets)
      throw new VmmError("CONFIG_CLOCK", `the engine ${engine.name} cannot count instructions, which the virtual clock goes by; use clock host`);
    this.#host = host;
    this.drives = assignDrives(config.drives);
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
      ferr: () => this.#devices.chips.system.fpuError(),
    });
    const instructionCount = (): number => this.#instructions();
    const hostNow = (): number => host.now();
    this.clock =
      config.clock === "virtual"
        ? new VirtualClock(instructionCount, config.nsPerInstruction, hostNow, config.net === undefined ? config.idleSkipMs * 1e6 : 0)
        : new HostClock(instructionCount, hostNow);
    this.#map = new MemoryMap(this.vm, config.memoryBytes);
    this.lineClock = new ScopedClock(this.clock);
    this.serial = COM_PORTS.map((_, i) => new SerialLine(this.lineClock, `com${i + 1}`, config.serial[i]));
    this.consoles = config.consoles.map((backend, i) => new SerialLine(this.lineClock, `hvc${i}`, backend));
    this.#deviceClock = new ScopedClock(this.clock);
    this.#devices = this.#build();
    this.#bios = new PcBios(
      {
        config,
        vm: this.vm,
        clock: this.clock,
        map: this.#map,
        drives: this.drives,
        a20Enabled: () => this.#a20,
        instructionCount,
        request: (wanted) => this.request(wanted),
        nothingBoots: (failures) => this.onNothingBoots?.(failures),
      },
      this.#devices,
    );
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

  #build(): DeviceSet {
    const { memory } = this.vm;
    const devices = buildDevices(this.config, {
      clock: this.#deviceClock,
      dma: { read: (gpa, into) => memory.read(gpa, into), write: (gpa, from) => memory.write(gpa, from) },
      vram: this.#map.vram,
      cpus: this.vm.vcpus,
      guestTsc: (cpu) => Number(this.vm.vcpus[cpu]?.regs.raw.getMsr(MSR.TSC) ?? 0n),
      a20: (enabled) => this.#setA20(enabled),
      clearFpuBusy: () => this.vm.setIgnne(true),
      reset: (kind, by) => this.request({ kind: "reset", warm: kind === "cpu", by }),
      powerOff: (by) => this.request({ kind: "power-off", by }),
      suspend: () => this.request({ kind: "suspend" }),
      wake: () => this.request({ kind: "wake" }),
      debugExit: (exitCode) => this.request({ kind: "debug-exit", exitCode }),
      frameBuffer: (address) => this.#map.moveFrameBuffer(address),
      shadow: (segment) => this.#map.shadow(segment),
      random: (into) => this.#host.random(into),
      serial: this.serial,
      consoles: this.consoles,
      arrived: () => this.onArrival?.(),
      drives: this.drives,
    });
    this.#io.connect(devices);
    this.#apics.forEach((gateway, i) => gateway.connect(devices.chips.apic.ports[i]));
    return devices;
  }

  #powerOnSelfTest(): void {
    this.#prepareCpus();
    this.#bios.init();
  }

  /** What firmware leaves behind in every CPU: the 8259s pass through the APIC, memory has its types. */
  #prepareCpus(): void {
    this.#devices.chips.apic.initBoot();
    for (const cpu of this.vm.vcpus) programMemoryTypes(cpu.regs.raw, DEFAULT_BIOS_CONFIG.lowRamLimit);
  }

  #setA20(enabled: boolean): void {
    if (this.#a20 === enabled) return;
    this.#a20 = enabled;
    this.vm.setA20(enabled);
  }

  /** The bootstrap processor. */
  get vcpu(): Vcpu {
    return this.vm.vcpu;
  }
  get vcpus(): readonly Vcpu[] {
    return this.vm.vcpus;
  }
  get pio(): PioBus {
    return this.#devices.pio;
  }
  get mmio(): MmioBus {
    return this.#devices.mmio;
  }
  get display(): DisplayPort {
    return this.#devices.chips.vga;
  }
  readonly keyboard: KeyPort = {
    key: (name, down) => {
      this.#devices.chips.pm.inputEvent();
      this.#devices.chips.keyboard.key(name, down);
    },
    ready: () => this.#devices.chips.keyboard.pendingBytes === 0 && this.#devices.chips.keyboard.scanning,
    waitingKeys: () => this.#bios.waitingKeys(),
  };
  readonly mouse: MousePort = {
    move: (dx, dy, wheel, buttons) => {
      this.#devices.chips.pm.inputEvent();
      this.#devices.chips.mouse.move(dx, dy, wheel);
      this.#devices.chips.mouse.buttons(buttons);
    },
  };

  callBios(exit: VmExit, vcpu: Vcpu = this.vcpu): VmEntry | undefined {
    return this.#bios.call(exit, vcpu);
  }
  accessExit(exit: VmExit): VmEntry {
    return this.#io.answer(exit);
  }

  /** Asks the run loop for something, as a button on the case would. */
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
    this.#setA20(true);
    if (kind === "warm" && this.#bios.resumeAfterCpuReset()) {
      this.#prepareCpus();
      return;
    }
    this.#replaceDevices();
    this.#powerOnSelfTest();
  }

  /** From S3: memory is as it was, most devices are as after power-on. */
  wake(): void {
    for (const cpu of this.vcpus) cpu.reset();
    this.#setA20(true);
    const asleep = this.#devices;
    this.#replaceDevices();
    this.#devices.adopt(asleep);
    this.#prepareCpus();
    if (!this.#bios.wake()) this.reset("cold");
  }

  #replaceDevices(): void {
    this.#deviceClock.cancelAll();
    for (const cpu of this.vcpus) cpu.setInterruptLine(false);
    const { pio, mmio } = this.#devices;
    this.#devices.release();
    this.#map.unshadowAll();
    this.#deviceClock = new ScopedClock(this.clock);
    this.#devices = this.#build();
    this.#devices.pio.hook = pio.hook;
    this.#devices.mmio.hook = mmio.hook;
    this.#bios.replaceDevices(this.#devices);
  }

  /** The power button: an ACPI event for a guest in ACPI mode, off at once for others. */
  powerButton(): void {
    this.#devices.chips.pm.powerButton();
  }
  resetWasPrepared(): boolean {
    return this.#bios.resetWasPrepared();
  }
  describeCpu(vcpu: Vcpu = this.vcpu): string {
    return describePlace(vcpu.regs.raw, this.vcpus.indexOf(vcpu));
  }
  traceBios(sink: BiosTraceSink | undefined): void {
    this.#bios.trace(sink);
  }

  /** Puts a medium into a removable drive, or takes it out. Counts floppy or CD drives from 0. */
  changeMedium(kind: "floppy" | "cdrom", unit: number, image: BlockBackend | undefined): void {
    const drive = this.drives.find((d) => d.kind === kind && d.unit === unit);
    if (drive === undefined) {
      image?.close();
      return;
    }
    insertMedium(drive, image);
    showMedium(this.#devices.chips, drive);
  }

  /** Everything but memory, media and configuration; while the guest stands still. */
  saveState(): PcStateV1 {
    return {
      v: 1,
      cpus: this.vcpus.map((cpu) => cpu.saveState()),
      nowNs: this.clock.nowNs(),
      a20: this.#a20,
      chips: this.#devices.save(),
      chipTimers: this.#deviceClock.saveTimers(),
      lineTimers: this.lineClock.saveTimers(),
      ...this.#bios.saveState(),
      serial: this.serial.map((line) => line.saveState()),
      consoles: this.consoles.map((line) => line.saveState()),
    };
  }

  /** Into a PC that was just made from the same configuration. Memory is loaded after this. Throws on what does not fit. */
  loadState(s: PcStateV1): void {
    // Instruction counts first: the time that devices ask for hangs on them.
    this.#loadCpus(s);
    this.clock.setNow(s.nowNs);
    this.#devices.load(s.chips, "machine.pc.chips");
    this.#setA20(s.a20);
    this.#bios.loadState(s);
    for (const [i, line] of this.serial.entries()) if (s.serial[i] !== undefined) line.loadState(s.serial[i]);
    for (const [i, line] of this.consoles.entries()) if (s.consoles[i] !== undefined) line.loadState(s.consoles[i]);
    // Pins that devices pulled on the way have told the CPUs things: what they knew counts.
    this.#loadCpus(s);
    armSavedTimers([
      { clock: this.#deviceClock, timers: s.chipTimers },
      { clock: this.lineClock, timers: s.lineTimers },
    ]);
  }
  #loadCpus(s: PcStateV1): void {
    for (const [i, cpu] of this.vcpus.entries()) {
      const state = s.cpus[i];
      if (state === undefined) throw new VmmError("SNAPSHOT_MACHINE", `the snapshot has ${s.cpus.length} CPUs, the machine ${this.vcpus.length}`);
      cpu.loadState(state);
    }
  }

  /** Makes every write to every image durable. False when an image said no. */
  flush(): boolean {
    return this.drives.map((d) => d.backend?.flush() ?? true).every(Boolean);
  }

  /** Flushes and closes images, frees the guest's memory. */
  dispose(): void {
    this.#deviceClock.cancelAll();
    this.#devices.release();
    for (const drive of this.drives) drive.backend?.close();
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
