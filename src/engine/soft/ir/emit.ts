/**
 * The language semantic functions are written in. A semantic function runs once per (operation, size, operand
 * kinds) when code is generated and emits what the instruction does; back ends turn it into an interpreter handler
 * (operands come from a decoded-op record) or into region code (operands are constants and locals).
 *
 * Rules for every semantic function:
 * 1. All memory reads and write probes come before the first register, flag or memory commit, so that a fault
 *    leaves the instruction restartable. `write` on a memory operand that was `read` with access "rw" cannot fault.
 * 2. Values are SSA: made once, used freely. Anything that must change inside `if`/`loop` is a `mutable`.
 * 3. Values of 8, 16 and 32-bit operands are i32, zero-extended (bits above the size are 0); 64-bit ones are i64.
 *    Give `write`, `store`, `push`, `setGpr` a value in that form, or with garbage above the size: they truncate.
 */
export type Ty = "i32" | "i64" | "f32" | "f64" | "v128";
export type OpSize = 8 | 16 | 32 | 64;

/** An SSA value. Opaque to semantic functions. */
export interface Val {
  readonly ty: Ty;
}

/** A variable for use across `if` and `loop`. */
export interface Mutable {
  readonly ty: Ty;
}

/** Which arithmetic flags an explicit update touches. Each is an i32 that is 0 or 1; absent ones keep their value. */
export interface FlagBits {
  readonly cf?: Val;
  readonly pf?: Val;
  readonly af?: Val;
  readonly zf?: Val;
  readonly sf?: Val;
  readonly of?: Val;
}

export interface Emit {
  // ---- the instruction
  /** Effective operand size of the "v" operands (8 in byte rows). */
  readonly size: OpSize;
  /** Effective address size. */
  readonly addrSize: 16 | 32 | 64;
  /** The code segment's size the handler is for: known when it matters (near branches, push of segment); 16, 32, 64. */
  readonly codeSize: 16 | 32 | 64;
  /** facts.cc of the row (0..15), -1 when it has none. */
  readonly cc: number;
  /** Kind and width of operand n. */
  kind(n: number): "reg" | "mem" | "imm" | "rel" | "none";
  operandSize(n: number): OpSize;
  /** Value of operand n (reg, mem, imm sign-extended then cut to `operandSize(n)`). A memory operand with access "rw" is probed for writing. Call once. */
  read(n: number): Val;
  /** The immediate n sign-extended to 64 bits regardless of its operand size, as i64; for a relative operand its displacement. */
  imm64(n: number): Val;
  /** Sets operand n (reg: 32-bit writes clear the upper half; 8/16-bit ones keep the rest). */
  write(n: number, value: Val): void;
  /** Probes operand n (memory, access "w") for writing and remembers the place, so that a later `write(n)` cannot fault. No-op for registers. */
  probe(n: number): void;
  /** Effective address (offset, masked to the address size) of memory operand n as i64, for LEA and bit strings. */
  address(n: number): Val;
  /** Segment of memory operand n, for `load`/`store`. */
  segment(n: number): Segment;

  // ---- constants and arithmetic (types follow the operands; both of one type)
  i32(n: number): Val;
  i64(n: number | bigint): Val;
  /** Constant of the type that holds `size`. */
  konst(size: OpSize, n: number): Val;
  add(a: Val, b: Val): Val;
  sub(a: Val, b: Val): Val;
  mul(a: Val, b: Val): Val;
  and(a: Val, b: Val): Val;
  or(a: Val, b: Val): Val;
  xor(a: Val, b: Val): Val;
  not(a: Val): Val;
  neg(a: Val): Val;
  /** Shift counts are taken modulo the type's width, as in Wasm; counts have the value's type. */
  shl(a: Val, n: Val): Val;
  shrU(a: Val, n: Val): Val;
  shrS(a: Val, n: Val): Val;
  rotl(a: Val, n: Val): Val;
  rotr(a: Val, n: Val): Val;
  clz(a: Val): Val;
  ctz(a: Val): Val;
  popcnt(a: Val): Val;
  /** Trap-free only when the divisor is not 0 and (signed) not MIN / -1: guard with faultIf first. */
  divU(a: Val, b: Val): Val;
  divS(a: Val, b: Val): Val;
  remU(a: Val, b: Val): Val;
  remS(a: Val, b: Val): Val;
  /** Comparisons give i32 0/1. */
  eqz(a: Val): Val;
  eq(a: Val, b: Val): Val;
  ne(a: Val, b: Val): Val;
  ltU(a: Val, b: Val): Val;
  ltS(a: Val, b: Val): Val;
  leU(a: Val, b: Val): Val;
  leS(a: Val, b: Val): Val;
  gtU(a: Val, b: Val): Val;
  gtS(a: Val, b: Val): Val;
  geU(a: Val, b: Val): Val;
  geS(a: Val, b: Val): Val;
  select(condition: Val, whenTrue: Val, whenFalse: Val): Val;
  wrap(a: Val): Val; // i64 → i32
  extU(a: Val): Val; // i32 → i64
  extS(a: Val): Val;
  /** Sign-extends the low `from` bits within the value's type. */
  sx(a: Val, from: OpSize): Val;
  /** Clears the bits above `size` (no-op for 32-bit i32 and 64-bit i64). */
  trunc(a: Val, size: OpSize): Val;
  /** Converts to the type that holds `size`, zero-extending or wrapping. */
  toSize(a: Val, size: OpSize): Val;

  // ---- control inside an instruction
  mutable(ty: Ty, init: Val): Mutable;
  get(m: Mutable): Val;
  set(m: Mutable, v: Val): void;
  if(condition: Val, then: () => void, otherwise?: () => void): void;
  /** Runs `body` until it calls `breakIf` with a true condition. The back ends bound nothing: loops must end. */
  loop(body: (breakIf: (condition: Val) => void) => void): void;

  // ---- registers
  /** GPR by encoding index; 8-bit is the low byte (AH is `high8(0)`). */
  gpr(index: number, size: OpSize): Val;
  setGpr(index: number, size: OpSize, value: Val): void;
  high8(index: number): Val;
  setHigh8(index: number, value: Val): void;

  // ---- memory
  /** Reads segment:offset (offset i64, already masked). Faults as an instruction operand would. */
  load(segment: Segment, offset: Val, size: OpSize): Val;
  store(segment: Segment, offset: Val, size: OpSize, value: Val): void;
  /** Faults now if a store there would. */
  probeStore(segment: Segment, offset: Val, size: OpSize): void;
  /** As `load`, probed for writing; the returned handle is written by `storeBack`, which cannot fault. */
  loadForWrite(segment: Segment, offset: Val, size: OpSize): { readonly value: Val; storeBack(value: Val): void };
  /** Segment and address mask of the DS-or-override and ES operands of string instructions. */
  stringSource(): Segment;
  /** Masks an i64 offset to the address size. */
  maskAddress(offset: Val): Val;
  /** Reads/writes a count or index register in address size as i64 (RCX/ECX/CX, RSI…). Writes to 32-bit clear the upper half. */
  addrReg(index: number): Val;
  setAddrReg(index: number, value: Val): void;
  /** Stack: SS:RSP with the stack-size mask. `push` stores, then commits RSP. */
  push(size: 16 | 32 | 64, value: Val): void;
  /** Reads the top of stack without committing. `offset` bytes above RSP. */
  peek(size: 16 | 32 | 64, offset: number): Val;
  /** RSP += bytes (stack-size masked; the rest of RSP is kept). Value i64. */
  addRsp(bytes: Val): void;

  // ---- flags
  /** All six flags of a + b (+ carry) = r. a, b, r zero-extended to `size`; r already truncated. */
  flagsAdd(size: OpSize, a: Val, b: Val, r: Val): void;
  flagsSub(size: OpSize, a: Val, b: Val, r: Val): void;
  /** The same for ADC/SBB: the carry-in needs no mention, a, b, r determine all carries. */
  flagsAdc(size: OpSize, a: Val, b: Val, r: Val): void;
  flagsSbb(size: OpSize, a: Val, b: Val, r: Val): void;
  /** CF = OF = AF = 0, the others from r. */
  flagsLogic(size: OpSize, r: Val): void;
  /** INC/DEC: all but CF. */
  flagsInc(size: OpSize, a: Val, r: Val): void;
  flagsDec(size: OpSize, a: Val, r: Val): void;
  /** ZF SF PF from r; CF, OF, AF given (AF defaults to 0). For shifts, multiplies. */
  flagsResult(size: OpSize, r: Val, bits: { readonly cf: Val; readonly of: Val; readonly af?: Val }): void;
  /** Changes only the flags given. */
  setFlags(bits: FlagBits): void;
  /** One flag as i32 0/1. */
  flag(name: "cf" | "pf" | "af" | "zf" | "sf" | "of"): Val;
  /** Condition 0..15 as i32 0/1. */
  condition(cc: number): Val;
  /** RFLAGS bits that are not arithmetic flags (DF at 0x400, IF at 0x200, …), i32. */
  systemFlags(): Val;
  /** Sets/clears system flag bits: (flags & ~clear) | set, constants. Only for flags with no side effect (DF). */
  changeSystemFlags(clear: number, set: number): void;

  // ---- leaving
  /** IP of the next instruction, masked to the code size, as i64. */
  nextIp(): Val;
  /** Ends the instruction at next IP + operand n's displacement (masked to `ipSize`), always or when `condition` holds; checks the CS limit. */
  jumpRelative(n: number, condition?: Val): void;
  /** Ends the instruction at this IP (i64, masked to `ipSize` by the caller); #GP(0) when beyond the limit or not canonical. Must be checked before commits: see `checkIp`. */
  jump(ip: Val): void;
  /** #GP(0) when `ip` is beyond the CS limit (or non-canonical in 64-bit code). Before any commit. */
  checkIp(ip: Val): void;
  /** Raises an exception when the condition holds. Before any commit. */
  faultIf(condition: Val, vector: number, errorCode?: number): void;
}

/** 0..5 = ES CS SS DS FS GS; or the segment that the decoded record names. */
export type Segment = number | "record";
export type SemanticFunction = (e: Emit) => void;
