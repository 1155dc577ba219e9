import { decode, type Insn } from "../../isa/index.ts";
import type { CpuEngine, EngineVcpu, EngineVm, EngineVmOptions, GuestMemory, MemoryRegion, MemorySlot } from "../api/index.ts";
import { VmmError } from "../../base/index.ts";
import { Cpu } from "./cpu.ts";
import type { InterpreterImage } from "./code/image.ts";
import { RecordWriter } from "./code/lower.ts";
import type { CodePages } from "./code/code-pages.ts";
import { Mmu } from "./mmu/mmu.ts";
import { PhysicalMap } from "./mmu/physical.ts";
import { cpuPlace } from "./state-layout.ts";
import { Translator, type TranslatorOptions } from "./translate/index.ts";
import { BankedVcpu, CpuBank } from "./vcpu/banked.ts";
import type { Callouts } from "./vcpu/callouts.ts";
import { defaultIntercepts } from "./vcpu/default-intercepts.ts";
import { helperFor } from "./code/helpers.ts";
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

/** Decoding and lowering for the interpreter: the tables that all CPUs of a VM share. */
function connectDecoder(cpu: Cpu, image: InterpreterImage): void {
  const ud2 = decode(new Uint8Array([0x0f, 0x0b]), 0, 2, 32);
  if ("failure" in ud2) throw new Error("UD2 does not decode");
  const invalid = (sem: string): Insn => ({ ...ud2, row: { ...ud2.row, sem, facts: { ...ud2.row.facts, endsBlock: true } } });
  cpu.mmu.code.helperFor = (insn) => helperFor(cpu, insn);
  cpu.mmu.code.setLowering(new RecordWriter(cpu, image, invalid("ud2"), invalid("too_long")));
}

const MAX_CPUS = 16;

class SoftVm implements EngineVm {
  readonly memory: GuestMemory;
  readonly regions: ReadonlyMap<string, MemoryRegion>;
  readonly vcpu: EngineVcpu;
  readonly vcpus: readonly EngineVcpu[];
  readonly #physical: PhysicalMap;
  readonly #cpus: readonly [Cpu, ...Cpu[]];

  constructor(options: EngineVmOptions, image: InterpreterImage, module: WebAssembly.Module, { translator, firstTier }: EngineOptions) {
    const count = options.cpus ?? 1;
    if (!Number.isInteger(count) || count < 1 || count > MAX_CPUS) throw new VmmError("VMM_CPUS", `${count} CPUs: a VM has 1 to ${MAX_CPUS}`);
    const pages = Math.ceil(PhysicalMap.bytesNeeded(options) / 65536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const physical = new PhysicalMap(memory.buffer, options);
    this.#physical = physical;
    this.memory = physical;
    this.regions = physical.regions;
    const makeCpu = (index: number, code?: CodePages): Cpu => {
      const cpu = new Cpu(memory.buffer, options, defaultIntercepts(), (c) => new Mmu(c, physical, cpuPlace(index, count), code), index);
      cpu.localApic = options.localApics?.[index];
      return cpu;
    };
    const first = makeCpu(0);
    const { code } = first.mmu;
    physical.onWrite = (gpa, length) => code.written(gpa, length);
    physical.onNoteWrites = () => {
      for (const cpu of this.#cpus) cpu.mmu.flushAll(true);
    };
    connectDecoder(first, image);
    code.use(first.mmu);
    first.ferr = options.ferr;
    const others = Array.from({ length: count - 1 }, (_, i) => makeCpu(i + 1, code));
    this.#cpus = [first, ...others];
    const { bootstrap, vcpus, imports } = count === 1 ? single(first) : banked(this.#cpus);
    this.vcpu = bootstrap;
    this.vcpus = vcpus;
    const instance = new WebAssembly.Instance(module, { e: { memory, ...imports } });
    const { run, runFirst } = instance.exports;
    if (typeof run !== "function" || typeof runFirst !== "function") throw new Error("core module has no run");
    const shared = translator === undefined ? undefined : new Translator(first, memory, instance.exports, translator);
    for (const vcpu of vcpus) {
      vcpu.setRun(
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
    this.#cpus[0].mmu.code.remapped(slot.gpa, slot.sizeBytes);
  }
  unmapSlot(gpa: number, sizeBytes: number): void {
    this.#physical.unmap(gpa, sizeBytes);
    this.#cpus[0].mmu.code.remapped(gpa, sizeBytes);
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
  readonly imports: Callouts["imports"];
}
function single(cpu: Cpu): Vcpus {
  const bootstrap = new SoftVcpu(cpu);
  return { bootstrap, vcpus: [bootstrap], imports: bootstrap.imports };
}
function banked(cpus: readonly [Cpu, ...Cpu[]]): Vcpus {
  const vcpus = cpus.map((cpu) => new BankedVcpu(cpu, cpuPlace(cpu.index, cpus.length).parked));
  const [bootstrap] = vcpus;
  if (bootstrap === undefined) throw new Error("a VM has a CPU");
  const bank = new CpuBank(bootstrap);
  for (const vcpu of vcpus) vcpu.join(bank);
  return { bootstrap, vcpus, imports: bank.imports };
}
