import type { GuestMemory, RegisterAccess } from "../../engine/api/index.ts";
import { EFER, PAGE_ACCESS, PageWalker } from "../../isa/index.ts";

/**
 * Linear to guest-physical address by the guest's page tables, as a supervisor reads, without touching accessed bits: for tracers and debuggers.
 * Undefined where nothing is mapped.
 */
export function translateLinear(cpu: RegisterAccess, memory: GuestMemory, linear: bigint): number | undefined {
  const canonical = BigInt.asIntN(48, linear);
  if ((Number(cpu.getControl("efer")) & EFER.LMA) !== 0 && canonical !== BigInt.asIntN(64, linear)) return undefined;
  const walker = new PageWalker({ read32: (gpa) => memory.read32(gpa) });
  walker.loadControls(cpu);
  const gpa = walker.walk(Number(canonical), PAGE_ACCESS.AC);
  return gpa < 0 ? undefined : gpa;
}
