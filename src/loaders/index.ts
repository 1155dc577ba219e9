export { enterKernel, loadKernel } from "./load.ts";
export type { KernelFile, KernelModule, KernelRequest, LoadEnvironment, LoadedKernel, MemoryRow } from "./api.ts";
