/**
 * whyve's door in Node: the automation API with Node's platform behind it, unless a program brings its own.
 */
import { boot as bootOn, createMachine as createOn } from "../machine/index.ts";
import type { BootOptions as MachineBootOptions, MachineConfig, Platform, VirtualMachine, VirtualMachineOptions } from "../machine/index.ts";
import type { CpuEngine } from "../vmm/index.ts";
import { nodePlatform } from "./platform.ts";

// What is declared below takes the place of the names that are the same in machine.
export * from "../machine/index.ts";
export { nodePlatform };

/** What `boot()` takes: media, a kernel, the machine's configuration; everything has a default. */
export type BootOptions = Omit<MachineBootOptions, "platform"> & {
  /** Who opens what is named, and lets time pass; Node by default. */
  readonly platform?: Platform;
};

/**
 * Makes a PC from disk images and lets it run.
 *
 * ```ts
 * await using vm = await boot({ disk: "freedos.img", snapshot: true, clock: "virtual" });
 * await vm.screen.waitFor("A:\\>");
 * await vm.type("ver\n");
 * await vm.screen.waitFor(/FreeDOS kernel/);
 * ```
 */
export function boot(options: BootOptions): Promise<VirtualMachine> {
  return bootOn(typeof options === "object" && options !== null ? { platform: nodePlatform, ...options } : options);
}

/** The same from a complete configuration and an engine, synchronously and not started: tests, other hosts. */
export function createMachine(config: MachineConfig, engine: CpuEngine, options: VirtualMachineOptions = {}): VirtualMachine {
  return createOn(config, engine, nodePlatform, options);
}

/**
 * Writes what a machine looks like into `directory` (made when it is not there): NAME.png, NAME.txt (screen, registers, last BIOS calls) and
 * NAME-com1.txt and the like. For tests that failed: `if (failed) await saveEvidence(vm, "artefacts", "boot")`. Gives the files' names.
 */
export async function saveEvidence(vm: VirtualMachine, directory: string, name = "whyve"): Promise<readonly string[]> {
  const { writeEvidence } = await import("../backends/node/index.ts");
  return await writeEvidence(await vm.evidence(), directory, name);
}
