export { decode } from "./decode.ts";
export { IRQ, MEM, PIT_HZ, PORT } from "./pc-map.ts";
export { OPCODE_ROWS } from "./tables/index.ts";
export type {
  CodeSize,
  DecodeFailure,
  DecodeResult,
  FarPointerOperand,
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
