import { codeSize, cpuMode } from "../../node/index.ts";
import type { ExitObserver, VirtualMachine } from "../../node/index.ts";
import { disassemble } from "../../isa/index.ts";
import type { Vcpu, VmExit } from "../../vmm/index.ts";
import type { InsnFilter } from "../options/trace-options.ts";
import type { TraceOutput } from "./output.ts";

export type Tracer = ExitObserver;

const NAMES = ["AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"] as const;
const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"] as const;

const hex = (value: bigint | number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, "0");

/** CS:IP in real mode, else the linear address. */
function place(vcpu: Vcpu): string {
  const raw = vcpu.regs.raw;
  const mode = cpuMode(raw);
  if (mode === "real" || mode === "v86") return `${hex(vcpu.regs.selector("cs"), 4)}:${hex(raw.getRip() & 0xffffn, 4)}`;
  return hex(raw.getRip(), mode === "long" ? 16 : 8);
}

/** One line an exit: time, kind, place, what it carries. */
export function exitsTracer(vm: VirtualMachine, output: TraceOutput): Tracer {
  return {
    maxBudget: Number.MAX_SAFE_INTEGER,
    beforeRun() {},
    afterRun(exit, vcpu) {
      output.line(`${(vm.timeNs / 1e9).toFixed(6)} ${exit.kind.padEnd(14)} ${place(vcpu)}${details(exit)}`);
    },
  };
}

function details(exit: VmExit): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(exit)) {
    if (name === "kind" || name === "instructionInfo" || (name === "qualification" && value === 0n) || value === undefined) continue;
    parts.push(
      `${name}=${typeof value === "bigint" || (typeof value === "number" && name !== "reason" && name !== "size") ? `${hex(value, 1)}h` : String(value)}`,
    );
  }
  return ` ${parts.join(" ")}`;
}

/** A register file as it was before the instruction. */
interface Before {
  readonly where: string;
  readonly text: string;
  readonly gprs: readonly bigint[];
  readonly segments: readonly number[];
  readonly flags: number;
  /** How many the CPU had taken. */
  readonly interrupts: number | undefined;
}

/** Instructions one by one: disassembly, then the registers that changed. */
export function insnTracer(vm: VirtualMachine, output: TraceOutput, filter: InsnFilter): Tracer {
  let before: Before | undefined;
  return {
    maxBudget: 1,
    beforeRun(vcpu) {
      before = vcpu.halted ? undefined : capture(vm, vcpu, filter);
    },
    afterRun(exit, vcpu) {
      if (before === undefined) return;
      if (vcpu.stats()["interrupts"] !== before.interrupts) {
        // What ran was the handler's first instruction; this one comes when the handler has returned.
        output.line(`${before.where}  (interrupt; its handler is at ${place(vcpu)} now)`);
        before = undefined;
        return;
      }
      const changes = changedRegisters(before, vcpu);
      const note = exit.kind === "budget" ? "" : ` [${exit.kind}]`;
      output.line(`${before.where}  ${before.text.padEnd(40)}${changes === "" ? "" : ` ; ${changes}`}${note}`.trimEnd());
      before = undefined;
    },
  };
}

function capture(vm: VirtualMachine, vcpu: Vcpu, filter: InsnFilter): Before | undefined {
  const raw = vcpu.regs.raw;
  const size = codeSize(raw);
  if (filter.modes !== undefined && !filter.modes.includes(size)) return undefined;
  const rip = raw.getRip();
  const base = size === 64 ? 0n : raw.getSegment("cs").base;
  const linear = BigInt.asUintN(size === 64 ? 64 : 32, base + rip);
  if (Number(linear) < filter.from || Number(linear) > filter.to) return undefined;
  const bytes = fetch(vm, vcpu, linear);
  const text = bytes === undefined ? "(not mapped)" : disassemble(bytes, 0, size, rip).text;
  return {
    where: place(vcpu),
    text,
    gprs: NAMES.map((_, i) => raw.getGpr(i)),
    segments: SEGMENTS.map((name) => vcpu.regs.selector(name)),
    flags: raw.getRflags(),
    interrupts: vcpu.stats()["interrupts"],
  };
}

/** Up to 15 code bytes at a linear address, through the guest's own page tables. */
function fetch(vm: VirtualMachine, vcpu: Vcpu, linear: bigint): Uint8Array | undefined {
  const bytes = new Uint8Array(15);
  for (let i = 0; i < 15; i++) {
    const gpa = vm.translate(linear + BigInt(i));
    if (gpa === undefined) return i === 0 ? undefined : bytes.subarray(0, i);
    // The rest of the page follows at once.
    const n = Math.min(15 - i, 4096 - (gpa & 4095));
    bytes.set(vm.memory.read(gpa, n), i);
    i += n - 1;
  }
  return vcpu.halted ? undefined : bytes;
}

function changedRegisters(before: Before, vcpu: Vcpu): string {
  const raw = vcpu.regs.raw;
  const long = cpuMode(raw) === "long";
  const parts: string[] = [];
  NAMES.forEach((name, i) => {
    const now = raw.getGpr(i);
    if (now === before.gprs[i]) return;
    if (i >= 8) parts.push(`${name}=${hex(now, 16)}`);
    else if (long) parts.push(`R${name}=${hex(now, 16)}`);
    else parts.push(`E${name}=${hex(now & 0xffffffffn, 8)}`);
  });
  SEGMENTS.forEach((name, i) => {
    const now = vcpu.regs.selector(name);
    if (now !== before.segments[i]) parts.push(`${name.toUpperCase()}=${hex(now, 4)}`);
  });
  const flags = raw.getRflags();
  if (flags !== before.flags) parts.push(`FL=${flagLetters(flags)}`);
  return parts.join(" ");
}

const FLAG_LETTERS = [
  [0x800, "o"],
  [0x400, "d"],
  [0x200, "i"],
  [0x100, "t"],
  [0x80, "s"],
  [0x40, "z"],
  [0x10, "a"],
  [4, "p"],
  [1, "c"],
] as const;

/** Set flags as capital letters: `odItsZaPc`. */
function flagLetters(flags: number): string {
  return FLAG_LETTERS.map(([bit, letter]) => ((flags & bit) !== 0 ? letter.toUpperCase() : letter)).join("");
}
