export type {
  AccessSize,
  ControlRegister,
  FpuState,
  GuestIo,
  GuestMemory,
  LocalApicPort,
  MemoryRegion,
  MemorySlot,
  RegisterAccess,
  SegmentName,
  SegmentState,
  SlotAccess,
} from "./types.ts";
export { SEGMENT_NAMES } from "./types.ts";
export { ENTRY_RUN, ENTRY_SKIP } from "./exits.ts";
export type { EventType, ExitCommon, InjectedEvent, Intercepts, VmEntry, VmExit, VmExitKind } from "./exits.ts";
export { VCPU_STATE } from "./state.ts";
export type { VcpuStateV1 } from "./state.ts";
export type { CpuEngine, EngineTraits, EngineStats, EngineVcpu, EngineVm, EngineVmOptions } from "./engine.ts";
