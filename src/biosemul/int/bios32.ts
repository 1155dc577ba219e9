import type { BiosContext, ServiceResult } from "../api.ts";

const PCI_SERVICE = 0x49435024; // "$PCI"
const NOT_PRESENT = 0x80;
const NOT_IMPLEMENTED = 0x81;

/** The 32-bit service directory behind `_32_`: EAX names a service, EBX 0; gives base, length and entry in EBX, ECX, EDX. */
export function bios32Directory(ctx: BiosContext, pciEntry: number): ServiceResult {
  const { regs } = ctx;
  if (regs.bl !== 0) regs.al = NOT_IMPLEMENTED;
  else if (regs.eax !== PCI_SERVICE) regs.al = NOT_PRESENT;
  else {
    regs.al = 0;
    regs.ebx = 0xf0000;
    regs.ecx = 0x10000;
    regs.edx = pciEntry;
  }
  return "done";
}
