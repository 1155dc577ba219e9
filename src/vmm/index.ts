export { Vcpu, Vm } from "./vm.ts";
export { GuestRegisters } from "./registers.ts";
export { PhysicalMemory } from "./physical.ts";
export type {
  AccessSize,
  ControlRegister,
  CpuEngine,
  EngineStats,
  EngineVmOptions,
  EventType,
  FpuState,
  GuestIo,
  GuestMemory,
  InjectedEvent,
  Intercepts,
  LocalApicPort,
  MemoryRegion,
  MemorySlot,
  RegisterAccess,
  SegmentName,
  SegmentState,
  VcpuStateV1,
  VmEntry,
  VmExit,
  VmExitKind,
} from "../engine/api/index.ts";
export { ENTRY_RUN, ENTRY_SKIP, SEGMENT_NAMES, VCPU_STATE } from "../engine/api/index.ts";
