import { BIOS_TRAP_PORT, BiosEmul, DEFAULT_BIOS_CONFIG } from "../../biosemul/index.ts";
import type { BiosBootStateV1, BiosConfig, BiosStateV1, BootFailure, Firmware } from "../../biosemul/index.ts";
import { MEM, PORT } from "../../isa/index.ts";
import { ENTRY_RUN, ENTRY_SKIP, GuestRegisters } from "../../vmm/index.ts";
import type { Vcpu, Vm, VmEntry, VmExit } from "../../vmm/index.ts";
import { parseBootDevice } from "../boot-device.ts";
import type { BootDevice } from "../boot-device.ts";
import type { MachineConfig } from "../config.ts";
import { checkKernel, startKernel } from "../kernel.ts";
import type { MachineClock } from "../run/clock.ts";
import type { BoardRequest } from "../run/board.ts";
import type { DeviceSet } from "./devices.ts";
import type { Drive } from "./drives.ts";
import { COM_PORTS } from "./isa.ts";
import { VRAM_BYTES } from "./memory-map.ts";
import type { MemoryMap } from "./memory-map.ts";
import { portIo } from "./port-gateway.ts";

/** A boot device in the BIOS's words. */
function bootDevice(device: BootDevice): BiosConfig["bootOrder"] {
  const parsed = parseBootDevice(device);
  if (parsed === undefined) return [];
  const { kind, unit } = parsed;
  return [unit === undefined ? kind : { kind, unit }];
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
    bootOrder: config.boot.flatMap(bootDevice),
  };
}

/** A line for `--trace bios`. */
export type BiosTraceSink = (line: string) => void;

export interface PcBiosParts {
  readonly config: MachineConfig;
  readonly vm: Vm;
  readonly clock: MachineClock;
  readonly map: MemoryMap;
  readonly drives: readonly Drive[];
  readonly a20Enabled: () => boolean;
  readonly instructionCount: () => number;
  readonly request: (request: BoardRequest) => void;
  readonly nothingBoots: (failures: readonly BootFailure[]) => void;
}

/** The BIOS in its socket: which CPU calls it, what traces see of its work, and a new one at each hard reset. */
export class PcBios {
  readonly #parts: PcBiosParts;
  readonly #config: BiosConfig;
  /** The registers of the CPU that called. */
  readonly #regs: GuestRegisters;
  #devices: DeviceSet;
  #emul: BiosEmul;
  #trace: BiosTraceSink | undefined;

  constructor(parts: PcBiosParts, devices: DeviceSet) {
    this.#parts = parts;
    this.#config = biosConfig(parts.config, parts.drives);
    const { vcpu, vcpus } = parts.vm;
    this.#regs = vcpus.length === 1 ? vcpu.regs : new GuestRegisters(vcpu.regs.raw);
    if (parts.config.kernel !== undefined) checkKernel(parts.config.kernel, this.#config);
    this.#devices = devices;
    this.#emul = this.#build(devices, undefined);
  }

  #build(devices: DeviceSet, firmware: Firmware | undefined): BiosEmul {
    const { config, vm, map, drives, a20Enabled, instructionCount, request, nothingBoots } = this.#parts;
    const { kernel } = config;
    return new BiosEmul({
      regs: this.#regs,
      memory: vm.physical,
      ports: portIo(devices.pio),
      drives,
      config: this.#config,
      display: { lfbBase: () => map.frameBuffer ?? MEM.LFB, vramBytes: VRAM_BYTES },
      window: devices.chips.vga,
      a20Enabled,
      powerOff: () => request({ kind: "power-off", by: "APM" }),
      systemReset: () => request({ kind: "reset", warm: false, by: "jump to the reset vector" }),
      instructionCount,
      boot: {
        startKernel: kernel === undefined ? undefined : () => startKernel(kernel, this.#config, vm.physical, vm.vcpu.regs),
        nothingBoots,
      },
      firmware,
    });
  }

  /** POST, on the bootstrap processor. */
  init(): void {
    this.#regs.follow(this.#parts.vm.vcpu.regs.raw);
    this.#emul.init();
  }
  /** The machine wakes from S3 with new devices. False: the guest did not say where it goes on. */
  wake(): boolean {
    this.#regs.follow(this.#parts.vm.vcpu.regs.raw);
    return this.#emul.wake();
  }
  /** New devices: the BIOS forgets what it knew. */
  replaceDevices(devices: DeviceSet): void {
    this.#devices = devices;
    this.#emul = this.#build(devices, this.#emul.firmware);
    this.trace(this.#trace);
  }
  /** The bootstrap processor was reset alone: true when software said where it goes on. */
  resumeAfterCpuReset(): boolean {
    this.#regs.follow(this.#parts.vm.vcpu.regs.raw);
    return this.#emul.resumeAfterCpuReset();
  }
  resetWasPrepared(): boolean {
    return this.#emul.resetWasPrepared();
  }
  waitingKeys(): number {
    return this.#emul.waitingKeys();
  }

  /** Answers a trap of the ROM; undefined: none of its. */
  call(exit: VmExit, vcpu: Vcpu): VmEntry | undefined {
    if (exit.kind !== "vmcall" && (exit.kind !== "io-out" || exit.port !== BIOS_TRAP_PORT)) return undefined;
    if (this.#regs !== vcpu.regs) this.#regs.follow(vcpu.regs.raw);
    const { pio, mmio } = this.#devices;
    if (pio.hook === undefined && mmio.hook === undefined) {
      return exit.kind === "vmcall" ? (this.#emul.call() === "handled" ? ENTRY_RUN : undefined) : this.#service(exit);
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
    if (exit.kind === "io-out" && exit.size === 4) return this.#emul.callInterpreted(exit.value >>> 0) === "handled" ? ENTRY_SKIP : undefined;
    return this.#emul.call() === "handled" ? ENTRY_RUN : undefined;
  }

  trace(sink: BiosTraceSink | undefined): void {
    this.#trace = sink;
    const hex = (n: number): string => n.toString(16).toUpperCase().padStart(4, "0");
    this.#emul.setTrace(
      sink === undefined
        ? undefined
        : (call) => sink(`${(this.#parts.clock.nowNs() / 1e9).toFixed(6)} ${hex(call.callerCs)}:${hex(call.callerIp)} ${call.text}`),
    );
  }

  saveState(): { readonly bios: BiosStateV1; readonly biosPieces: BiosBootStateV1 } {
    return { bios: this.#emul.saveState(), biosPieces: this.#emul.saveBoot() };
  }
  loadState(s: { readonly bios: BiosStateV1; readonly biosPieces: BiosBootStateV1 }): void {
    this.#emul.loadState(s.bios);
    this.#emul.loadBoot(s.biosPieces);
  }
}
