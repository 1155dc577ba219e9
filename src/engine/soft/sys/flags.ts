import { CR4, FLAG } from "../../../isa/index.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { SHADOW_STI } from "../cpu-state.ts";
import { peekItem, push, setFlags, setSp, spAdd, spOf } from "./words.ts";

/** PUSHF, POPF, CLI, STI with the IOPL, virtual-8086 (VME) and protected-mode virtual-interrupt (PVI) rules. SDM vol. 2, vol. 3B 20.3-20.4. */

const pushf: SystemHelper = (cpu, insn) => {
  const size = insn.opSize >> 3;
  let image = cpu.eflags & ~(FLAG.RF | FLAG.VM);
  if (cpu.v86 && cpu.iopl < 3) {
    if (size !== 2 || (cpu.cr4 & CR4.VME) === 0) cpu.gp(0);
    image = (image & ~FLAG.IF) | FLAG.IOPL | ((image & FLAG.VIF) !== 0 ? FLAG.IF : 0);
  }
  push(cpu, size, image, 0);
  return "next";
};

const POPF_ALWAYS = FLAG.CF | FLAG.PF | FLAG.AF | FLAG.ZF | FLAG.SF | FLAG.TF | FLAG.DF | FLAG.OF | FLAG.NT;
const POPF_32 = FLAG.AC | FLAG.ID;

const popf: SystemHelper = (cpu, insn) => {
  const size = insn.opSize >> 3;
  const image = peekItem(cpu, 0, size);
  let mask = POPF_ALWAYS | (size === 2 ? 0 : POPF_32);
  let virtual = -1;
  const iopl = cpu.iopl;
  if (!cpu.protectedMode) mask |= FLAG.IF | FLAG.IOPL;
  else if (cpu.v86) {
    if (iopl === 3) mask |= FLAG.IF;
    else {
      if (size !== 2 || (cpu.cr4 & CR4.VME) === 0) cpu.gp(0);
      if ((image & FLAG.TF) !== 0 || ((image & FLAG.IF) !== 0 && (cpu.systemFlags & FLAG.VIP) !== 0)) cpu.gp(0);
      virtual = image & FLAG.IF;
    }
  } else {
    const cpl = cpu.cpl;
    if (cpl === 0) mask |= FLAG.IF | FLAG.IOPL;
    else if (cpl <= iopl) mask |= FLAG.IF;
  }
  setSp(cpu, spAdd(cpu, spOf(cpu), size));
  let flags = (cpu.eflags & ~(mask | FLAG.RF)) | (image & mask);
  if (virtual >= 0) flags = (flags & ~FLAG.VIF) | (virtual !== 0 ? FLAG.VIF : 0);
  setFlags(cpu, flags);
  return "next";
};

/** Which interrupt flag CLI and STI act on: IF, VIF, or neither (#GP). */
function interruptFlag(cpu: Cpu): number {
  if (!cpu.protectedMode) return FLAG.IF;
  const iopl = cpu.iopl;
  if (cpu.v86) {
    if (iopl === 3) return FLAG.IF;
    if ((cpu.cr4 & CR4.VME) !== 0) return FLAG.VIF;
  } else {
    if (cpu.cpl <= iopl) return FLAG.IF;
    if (cpu.cpl === 3 && (cpu.cr4 & CR4.PVI) !== 0) return FLAG.VIF;
  }
  return cpu.gp(0);
}

const cli: SystemHelper = (cpu) => {
  cpu.systemFlags &= ~interruptFlag(cpu);
  return "next";
};

const sti: SystemHelper = (cpu) => {
  const flag = interruptFlag(cpu);
  const flags = cpu.systemFlags;
  if (flag === FLAG.VIF) {
    if ((flags & FLAG.VIP) !== 0) cpu.gp(0);
  } else if ((flags & FLAG.IF) === 0) cpu.shadow = SHADOW_STI;
  cpu.systemFlags = flags | flag;
  return "next";
};

const setAc =
  (set: boolean): SystemHelper =>
  (cpu) => {
    if (!cpu.features.smap || cpu.cpl !== 0 || cpu.realOrV86) cpu.ud();
    if (set) cpu.systemFlags |= FLAG.AC;
    else cpu.systemFlags &= ~FLAG.AC;
    cpu.mmu.modeChanged();
    return "next";
  };

export const FLAGS: Readonly<Record<string, SystemHelper>> = { pushf, popf, cli, sti, clac: setAc(false), stac: setAc(true) };
