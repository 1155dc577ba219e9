import { decode, type Insn } from "../../isa/index.ts";
import type { CpuEngine, EngineVcpu, EngineVm, EngineVmOptions, GuestMemory, Intercepts, MemoryRegion, MemorySlot } from "../api/index.ts";
import { Cpu } from "./cpu.ts";
import type { InterpreterImage } from "./interp/build.ts";
import { RecordWriter } from "./interp/lower.ts";
import { Mmu } from "./mmu/mmu.ts";
import { PhysicalMap } from "./mmu/physical.ts";
import { CPU } from "./state-layout.ts";
import { resetCpu } from "./sys/index.ts";
import { Translator, type TranslatorOptions } from "./translate/index.ts";
import { helperFor } from "./vcpu/helpers.ts";
import { SoftVcpu } from "./vcpu/vcpu.ts";

export function defaultIntercepts(): Intercepts {
  return {
    exceptionBitmap: 0,
    externalInterrupt: false,
    interruptWindow: false,
    nmiWindow: false,
    nmi: false,
    hlt: false,
    invlpg: false,
    mwait: false,
    monitor: false,
    rdpmc: false,
    rdtsc: false,
    cr3Load: false,
    cr3Store: false,
    cr8Load: false,
    cr8Store: false,
    cr0Mask: 0,
    cr4Mask: 0,
    cr0Shadow: 0,
    cr4Shadow: 0,
    movDr: false,
    unconditionalIo: false,
    rdmsr: new Set(),
    wrmsr: new Set(),
    pause: false,
    mtf: false,
    descriptorTable: false,
    wbinvd: false,
    rdrand: false,
    rdseed: false,
    taskSwitch: false,
    xsetbv: false,
    getsec: false,
    invpcid: false,
    cpuid: false,
    preemptionTimer: undefined,
  };
}

/** Software VT-x: x86-64 interpreted by generated WebAssembly. The compiled module is shared by all its VMs. */
export class SoftEngine implements CpuEngine {
  readonly name = "soft";
  readonly #image: InterpreterImage;
  readonly #module: WebAssembly.Module;
  readonly #translator: TranslatorOptions | undefined;
  /** With `translator`, hot code is translated. */
  constructor(image: InterpreterImage, translator?: TranslatorOptions) {
    this.#image = image;
    this.#translator = translator;
    this.#module = new WebAssembly.Module(image.wasm);
  }
  createVm(options: EngineVmOptions): EngineVm {
    return new SoftVm(options, this.#image, this.#module, this.#translator);
  }
}

class SoftVm implements EngineVm {
  readonly memory: GuestMemory;
  readonly regions: ReadonlyMap<string, MemoryRegion>;
  readonly vcpu: EngineVcpu;
  readonly vcpus: readonly EngineVcpu[];
  readonly #physical: PhysicalMap;
  readonly #cpu: Cpu;

  constructor(options: EngineVmOptions, image: InterpreterImage, module: WebAssembly.Module, translator: TranslatorOptions | undefined) {
    const pages = Math.ceil(PhysicalMap.bytesNeeded(options) / 65536);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const physical = new PhysicalMap(memory.buffer, options);
    this.#physical = physical;
    this.memory = physical;
    this.regions = physical.regions;
    const cpu = new Cpu(memory.buffer, options, defaultIntercepts(), (c) => new Mmu(c, physical));
    this.#cpu = cpu;
    physical.onWrite = (gpa, length) => cpu.mmu.code.written(gpa, length);
    const ud2 = decode(new Uint8Array([0x0f, 0x0b]), 0, 2, 32);
    if ("failure" in ud2) throw new Error("UD2 does not decode");
    const invalid = (sem: string): Insn => ({ ...ud2, row: { ...ud2.row, sem, facts: { ...ud2.row.facts, endsBlock: true } } });
    cpu.mmu.code.helperFor = (insn) => helperFor(cpu, insn);
    cpu.mmu.code.setLowering(new RecordWriter(cpu, image, invalid("ud2"), invalid("too_long")));
    cpu.u64[CPU.addrMask.offset >> 3] = 0xffffn;
    cpu.u64[(CPU.addrMask.offset >> 3) + 1] = 0xffffffffn;
    cpu.u64[(CPU.addrMask.offset >> 3) + 2] = 0xffffffffffffffffn;
    const vcpu = new SoftVcpu(cpu);
    this.vcpu = vcpu;
    this.vcpus = [vcpu];
    const instance = new WebAssembly.Instance(module, { e: { memory, ...vcpu.imports } });
    const run = instance.exports["run"];
    if (typeof run !== "function") throw new Error("core module has no run");
    vcpu.setRun((rec) => Number(run(rec)));
    if (translator !== undefined) vcpu.setTranslator(new Translator(cpu, memory, instance.exports, image.hotCount, translator));
    cpu.ferr = options.ferr;
    cpu.localApic = options.localApics?.[0];
    resetCpu(cpu);
  }
  mapSlot(slot: MemorySlot): void {
    this.#physical.map(slot);
    this.#cpu.mmu.code.flush();
  }
  unmapSlot(gpa: number, sizeBytes: number): void {
    this.#physical.unmap(gpa, sizeBytes);
    this.#cpu.mmu.code.flush();
  }
  setIgnne(asserted: boolean): void {
    this.#cpu.ignne = asserted;
  }
  setA20(enabled: boolean): void {
    this.#cpu.mmu.setA20(enabled);
  }
  dispose(): void {}
}
