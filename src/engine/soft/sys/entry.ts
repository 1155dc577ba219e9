import { ACCESS, CR0, CR4, EFER, FLAG, FLAGS_DEFINED, pushesErrorCode } from "../../../isa/index.ts";
import type { InjectedEvent } from "../../api/index.ts";
import type { Cpu } from "../cpu.ts";
import { CS, SS, TR } from "../cpu-state.ts";
import { cr4Defined } from "./control.ts";
import { isCanonicalBig } from "./words.ts";

/**
 * Checks on the guest's state at VM entry (SDM vol. 3C 26.2.1.3 and 26.3.1), as an unrestricted guest has them. Only a monitor can make such
 * states: they are looked at after it has edited registers, and when it injects. Segment caches outside virtual-8086 mode are the monitor's
 * affair, as long as code can be fetched: firmware calls leave stale ones behind.
 */
export function entryFailure(cpu: Cpu, inject: InjectedEvent | undefined): string | undefined {
  return controlRegisters(cpu) ?? flagsAndIp(cpu) ?? segments(cpu) ?? (inject === undefined ? undefined : injection(cpu, inject));
}

function controlRegisters(cpu: Cpu): string | undefined {
  const { cr0, cr4, efer } = cpu;
  const paging = (cr0 & CR0.PG) !== 0;
  if (paging && (cr0 & CR0.PE) === 0) return "CR0.PG without CR0.PE";
  if ((cr0 & CR0.NW) !== 0 && (cr0 & CR0.CD) === 0) return "CR0.NW without CR0.CD";
  if ((cr4 & ~cr4Defined(cpu)) !== 0) return "reserved bits of CR4";
  const active = (efer & EFER.LMA) !== 0;
  if ((efer & ~(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE)) !== 0) return "reserved bits of EFER";
  if (active && (!paging || (cr4 & CR4.PAE) === 0)) return "EFER.LMA without paging or CR4.PAE";
  if (paging && active !== ((efer & EFER.LME) !== 0)) return "EFER.LMA is not EFER.LME while paging";
  if ((cr4 & CR4.PCIDE) !== 0 && !active) return "CR4.PCIDE outside IA-32e mode";
  if (active && cpu.cr3 >> 40n !== 0n) return "CR3 beyond the physical address width";
  return undefined;
}

function flagsAndIp(cpu: Cpu): string | undefined {
  const flags = cpu.systemFlags;
  if ((flags & ~FLAGS_DEFINED) !== 0) return "reserved bits of RFLAGS";
  if ((flags & FLAG.VM) !== 0 && (cpu.longMode || !cpu.protectedMode)) return "RFLAGS.VM in IA-32e or real mode";
  if (cpu.code64 ? !isCanonicalBig(cpu.rip) : cpu.rip >> 32n !== 0n) return cpu.code64 ? "RIP is not canonical" : "RIP beyond 32 bits";
  const shadow = cpu.shadow;
  if (shadow === 1 && (flags & FLAG.IF) === 0) return "blocking by STI with RFLAGS.IF clear";
  return undefined;
}

function segments(cpu: Cpu): string | undefined {
  if ((cpu.gdtrLimit | cpu.idtrLimit) > 0xffff) return "a descriptor table limit beyond FFFFh";
  if (cpu.longMode && !(isCanonicalBig(cpu.gdtrBase) && isCanonicalBig(cpu.idtrBase))) return "a descriptor table base is not canonical";
  if (cpu.v86) {
    for (let s = 0; s < 6; s++)
      if (cpu.base(s) !== BigInt(cpu.selector(s)) << 4n || cpu.limit(s) !== 0xffff || (cpu.access(s) & 0x1ffff) !== 0xf3)
        return "a segment in virtual-8086 mode is not selector * 16, FFFFh, F3h";
    return undefined;
  }
  const code = cpu.access(CS);
  if (cpu.longMode && (code & ACCESS.L) !== 0 && (code & ACCESS.DB) !== 0) return "CS with L and D in IA-32e mode";
  if (cpu.protectedMode && (code & (ACCESS.UNUSABLE | 0x90)) !== 0x90) return "CS is unusable, not present, or no segment of code or data";
  if (cpu.longMode && (cpu.access(TR) & (ACCESS.UNUSABLE | 0x1f)) !== 0xb) return "TR is not a busy 64-bit TSS";
  return cpu.halted && cpu.protectedMode && ((cpu.access(SS) >> 5) & 3) !== 0 ? "halted with SS.DPL above 0" : undefined;
}

function injection(cpu: Cpu, { type, vector, errorCode, instructionLength }: InjectedEvent): string | undefined {
  if (!Number.isInteger(vector) || vector < 0 || vector > 255) return "the injected vector is no byte";
  const shadow = cpu.shadow;
  switch (type) {
    case "external":
      if ((cpu.systemFlags & FLAG.IF) === 0 || shadow !== 0) return "an external interrupt is injected while they are blocked";
      break;
    case "nmi":
      if (vector !== 2) return "an NMI is injected with a vector other than 2";
      if (shadow === 2) return "an NMI is injected while MOV SS blocks it";
      break;
    case "hardware-exception":
      if (vector > 31) return "an exception is injected with a vector above 31";
      break;
    default:
      if (instructionLength !== undefined && (instructionLength < 0 || instructionLength > 15)) return "an instruction is not longer than 15 bytes";
  }
  // In real mode the code is dropped, not refused: monitors inject #GP(0) without looking at the mode.
  if (errorCode !== undefined && (type !== "hardware-exception" || !pushesErrorCode(vector))) return "this event has no error code";
  return errorCode !== undefined && (errorCode & ~0xffff) !== 0 ? "an error code has 16 bits" : undefined;
}
