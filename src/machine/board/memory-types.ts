import { MSR } from "../../isa/index.ts";

/** What is needed of a CPU's registers. */
interface Msrs {
  setMsr(index: number, value: bigint): boolean;
}

const WRITE_BACK = 6,
  WRITE_PROTECT = 5,
  UNCACHED = 0;
const GIB4 = 0x1_0000_0000;
const PHYSICAL_BITS = 40n;
const VALID = 0x800n;
const bytes = (type: number): bigint => 0x0101010101010101n * BigInt(type);

/**
 * Memory types as firmware leaves them, the same on every CPU: write-back but for the display window, the ROMs (write-protect) and the PCI
 * window from `uncachedFrom` to 4 GiB. Systems complain about blank MTRRs, and use no PAT then. SDM vol. 3A 11.11.
 */
export function programMemoryTypes(cpu: Msrs, uncachedFrom: number): void {
  cpu.setMsr(MSR.MTRR_FIX64K_00000, bytes(WRITE_BACK));
  cpu.setMsr(MSR.MTRR_FIX16K_80000, bytes(WRITE_BACK));
  cpu.setMsr(MSR.MTRR_FIX16K_A0000, bytes(UNCACHED));
  for (let n: number = MSR.MTRR_FIX4K_C0000; n <= MSR.MTRR_FIX4K_F8000; n++) cpu.setMsr(n, bytes(WRITE_PROTECT));
  const ones = (1n << PHYSICAL_BITS) - 1n;
  // Ranges are powers of two at multiples of their size: from the top down.
  let register: number = MSR.MTRR_PHYSBASE0;
  for (let end = GIB4; end > uncachedFrom && register < MSR.MTRR_PHYSBASE0 + 16; register += 2) {
    let size = 0x100000;
    while (size * 2 <= end - uncachedFrom && end % (size * 2) === 0) size *= 2;
    cpu.setMsr(register, BigInt(end - size) | BigInt(UNCACHED));
    cpu.setMsr(register + 1, (ones & ~(BigInt(size) - 1n)) | VALID);
    end -= size;
  }
  // On, fixed ranges too; the default is write-back.
  cpu.setMsr(MSR.MTRR_DEF_TYPE, 0xc00n | BigInt(WRITE_BACK));
}
