import type { CpuEngine, EngineVcpu, EngineVm, EngineVmOptions, GuestMemory, MemoryRegion, MemorySlot } from "../api/index.ts";
import { VmmError } from "../../base/index.ts";
import { Cpu } from "./cpu.ts";
import { CodeFinder } from "./code/finder.ts";
import { GuestCode } from "./code/guest-code.ts";
import type { InterpreterImage } from "./code/image.ts";
import { Mmu } from "./mmu/mmu.ts";
import { PhysicalMap } from "./mmu/physical.ts";
import { cpuPlace } from "./state-layout.ts";
import { Translator, type TranslatorOptions } from "./translate/index.ts";
import { BankedVcpu, CpuBank } from "./vcpu/banked.ts";
import type { CoreImports } from "./vcpu/executor.ts";
import { SoftIntercepts } from "./intercepts.ts";
import { SoftVcpu } from "./vcpu/vcpu.ts";

export interface EngineOptions {
  /** With it, hot code is translated. */
  readonly translator?: TranslatorOptions | undefined;
  readonly firstTier?: number | undefined;
}

/** Software VT-x: x86-64 interpreted by generated WebAssembly. The compiled module is shared by all its VMs. */
export class SoftEngine implements CpuEngine {
  readonly name = "soft";
  readonly #image: InterpreterImage;
  readonly #module: WebAssembly.Module;
  readonly #options: EngineOptions;
  constructor(image: InterpreterImage, module: WebAssembly.Module, options: EngineOptions = {}) {
    this.#image = image;
    this.#options = options;
    this.#module = module;
  }
  createVm(options: EngineVmOptions): EngineVm {
    return new SoftVm(options, this.#image, this.#module, this.#options);
  }
}

const MAX_CPUS = 16;

class SoftVm implements EngineVm {
  readonly memory: GuestMemory;
  readonly regions: ReadonlyMap<string, MemoryRegion>;
  readonly vcpu: EngineVcpu;
  readonly vcpus: readonly EngineVcpu[];
  readonly #physical: PhysicalMap;
  readonly #cpus: readonly [Cpu, ...Cpu[]];
  readonly #code: GuestCode;

  constructor(options: EngineVmOptions, image: InterpreterImage, module: WebAssembly.Module, { translator, firstTier }: EngineOptions) {
    const count = options.cpus ?? 1;
    if (!Number.isInteger(count) || count < 1 || count > MAX_CPUS) throw new VmmError("VMM_CPUS", `${count} CPUs: a VM has 1 to ${MAX_CPUS}`);
    const pages = Math.ceil(PhysicalMap.bytesNeeded(options) / 65536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const physical = new PhysicalMap(memory.buffer, options);
    this.#physical = physical;
    this.memory = physical;
    this.regions = physical.regions;
    const makeCpu = (index: number): Cpu => {
      const cpu = new Cpu(memory.buffer, options, new SoftIntercepts(), (c) => new Mmu(c, physical, cpuPlace(index, count)), index);
      cpu.localApic = options.localApics?.[index];
      return cpu;
    };
    const first = makeCpu(0);
    first.ferr = options.ferr;
    this.#cpus = [first, ...Array.from({ length: count - 1 }, (_, i) => makeCpu(i + 1))];
    const code = new GuestCode(first, physical, image);
    this.#code = code;
    physical.onWrite = (gpa, length) => code.blocks.written(gpa, length);
    physical.onNoteWrites = () => {
      for (const cpu of this.#cpus) cpu.mmu.flushAll(true);
    };
    const { bootstrap, vcpus, imports } = count === 1 ? single(first, code) : banked(this.#cpus, code);
    this.vcpu = bootstrap;
    this.vcpus = vcpus;
    const instance = new WebAssembly.Instance(module, { e: { memory, ...imports } });
    const { run, runFirst } = instance.exports;
    if (typeof run !== "function" || typeof runFirst !== "function") throw new Error("core module has no run");
    const shared = translator === undefined ? undefined : new Translator(first, code, memory, instance.exports, translator);
    for (const vcpu of vcpus) {
      vcpu.setGenerated(
        (rec) => Number(runFirst(rec)),
        (rec) => Number(run(rec)),
        firstTier,
      );
      if (shared !== undefined) vcpu.setTranslator(shared);
      vcpu.reset();
    }
  }
  mapSlot(slot: MemorySlot): void {
    this.#physical.map(slot);
    this.#code.blocks.remapped(slot.gpa, slot.sizeBytes);
  }
  unmapSlot(gpa: number, sizeBytes: number): void {
    this.#physical.unmap(gpa, sizeBytes);
    this.#code.blocks.remapped(gpa, sizeBytes);
  }
  noteWrites(region: MemoryRegion): void {
    this.#physical.noteWrites(region);
  }
  takeWrites(region: MemoryRegion): Uint8Array {
    return this.#physical.takeWrites(region);
  }
  ignoreWrites(region: MemoryRegion): void {
    this.#physical.ignoreWrites(region);
  }
  /** FERR# and IGNNE# are pins of the bootstrap processor. */
  setIgnne(asserted: boolean): void {
    this.#cpus[0].ignne = asserted;
  }
  setA20(enabled: boolean): void {
    for (const cpu of this.#cpus) cpu.mmu.setA20(enabled);
  }
  dispose(): void {}
}

interface Vcpus {
  readonly bootstrap: SoftVcpu;
  readonly vcpus: readonly SoftVcpu[];
  readonly imports: CoreImports;
}
function single(cpu: Cpu, code: GuestCode): Vcpus {
  const finder = new CodeFinder(cpu, code, cpuPlace(0, 1).jumpCache);
  finder.lookups.use(true);
  const bootstrap = new SoftVcpu(cpu, finder);
  return { bootstrap, vcpus: [bootstrap], imports: bootstrap.imports };
}
function banked(cpus: readonly [Cpu, ...Cpu[]], code: GuestCode): Vcpus {
  const vcpus = cpus.map((cpu) => {
    const { jumpCache, parked } = cpuPlace(cpu.index, cpus.length);
    return new BankedVcpu(cpu, new CodeFinder(cpu, code, jumpCache), parked);
  });
  const [bootstrap] = vcpus;
  if (bootstrap === undefined) throw new Error("a VM has a CPU");
  const bank = new CpuBank(bootstrap);
  for (const vcpu of vcpus) vcpu.join(bank);
  return { bootstrap, vcpus, imports: bank.imports };
}
