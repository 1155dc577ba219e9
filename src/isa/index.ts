export { opcodeCoverageMarkdown, semanticNames } from "./coverage.ts";
export {
  CPUID_1_ECX,
  CPUID_1_EDX,
  CPUID_7_EBX,
  CPUID_7_ECX,
  CPUID_7_EDX,
  CPUID_81_ECX,
  CPUID_81_EDX,
  CPUID_87_EDX,
  CPUID_D1_EAX,
  FEATURES,
} from "./facts/cpuid.ts";
export { CR0, CR4, DR6, DR7, EFER, XCR0 } from "./facts/cr.ts";
export { DISPI, DISPI_ENABLE } from "./facts/dispi.ts";
export { decode } from "./decode.ts";
export { disassemble, formatInsn } from "./disassemble.ts";
export { PFEC, SELECTOR_ERROR, VECTOR, combineFaults, exceptionClass, exceptionName, pushesErrorCode } from "./facts/exceptions.ts";
export { FLAG, FLAGS_ARITHMETIC, FLAGS_DEFINED } from "./facts/flags.ts";
export { APIC_BASE, MSR } from "./facts/msr.ts";
export { ACCESS, PAGE_SIZE, PTE, PTE_NX_HI, SYSTEM_TYPE } from "./facts/paging.ts";
export { BDA, EBDA } from "./facts/bios-data.ts";
export { IRQ, MEM, PIT_HZ, PORT, UART_REGISTER } from "./facts/pc-map.ts";
export {
  GPR,
  GPR16_NAMES,
  GPR32_NAMES,
  GPR64_NAMES,
  GPR8_LEGACY_NAMES,
  GPR8_NAMES,
  SEG,
  SEGMENT_NAMES,
  gprName,
} from "./facts/registers.ts";
export { PAGE_ACCESS, PageWalker } from "./page-walk.ts";
export { OPCODE_ROWS } from "./tables/index.ts";
export { EXIT_REASON, EXIT_REASON_LDTR_TR, VMX_INSTRUCTION_REASON } from "./facts/vmx.ts";
export type { CpuidFeature, CpuidRegister } from "./facts/cpuid.ts";
export type { Disassembly } from "./disassemble.ts";
export type { ExceptionClass } from "./facts/exceptions.ts";
export type { PageTables } from "./page-walk.ts";
export type { OperandCode } from "./tables/codes.ts";
export type {
  CodeSize,
  DecodeFailure,
  DecodeResult,
  FarPointerOperand,
  Flow,
  ImmediateOperand,
  Insn,
  MemoryOperand,
  OpcodeRow,
  Operand,
  OperandAccess,
  OperandSpec,
  RegisterClass,
  RegisterOperand,
  RelativeOperand,
  RowFacts,
} from "./insn.ts";
