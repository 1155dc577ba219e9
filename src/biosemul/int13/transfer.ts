import type { BlockBackend } from "../../backends/api/index.ts";
import type { PhysicalMemory } from "../../vmm/index.ts";

/** One bounce buffer's size: the most one loop round moves when the target is not plain RAM. */
const BOUNCE_BYTES = 65536;

/** Addresses above this with no RAM behind them are open bus: nothing is asked of the devices there. */
const MMIO_LIMIT = 0x1_0000_0000;

/** Reads at any 512-byte boundary, also from media with 2048-byte sectors (emulated disks inside a CD). */
export function readAligned(backend: BlockBackend, offset: number, into: Uint8Array): boolean {
  const unit = backend.sectorBytes;
  if (offset % unit === 0 && into.length % unit === 0) return backend.read(offset, into);
  const start = Math.floor(offset / unit) * unit;
  const end = Math.min(Math.ceil((offset + into.length) / unit) * unit, backend.sizeBytes);
  if (end < offset + into.length) return false;
  const whole = new Uint8Array(end - start);
  if (!backend.read(start, whole)) return false;
  into.set(whole.subarray(offset - start, offset - start + into.length));
  return true;
}

/** Disk to guest memory: straight into RAM, or through a bounce buffer for MMIO and split targets. False: host I/O error. */
export function diskToMemory(mem: PhysicalMemory, backend: BlockBackend, offset: number, gpa: number, bytes: number): boolean {
  const view = mem.ram.viewForWrite(gpa, bytes);
  if (view !== undefined) return readAligned(backend, offset, view);
  const bounce = new Uint8Array(Math.min(bytes, BOUNCE_BYTES));
  for (let done = 0; done < bytes; done += bounce.length) {
    const part = bounce.subarray(0, Math.min(bounce.length, bytes - done));
    if (!readAligned(backend, offset + done, part)) return false;
    if (gpa + done + part.length <= MMIO_LIMIT) mem.write(gpa + done, part);
    else mem.ram.write(gpa + done, part);
  }
  return true;
}

/** Guest memory to disk. False: host I/O error or a read-only medium. */
export function memoryToDisk(mem: PhysicalMemory, backend: BlockBackend, offset: number, gpa: number, bytes: number): boolean {
  const view = mem.ram.viewForRead(gpa, bytes);
  if (view !== undefined) return backend.write(offset, view);
  const bounce = new Uint8Array(Math.min(bytes, BOUNCE_BYTES));
  for (let done = 0; done < bytes; done += bounce.length) {
    const part = bounce.subarray(0, Math.min(bounce.length, bytes - done));
    if (gpa + done + part.length <= MMIO_LIMIT) mem.read(gpa + done, part);
    else mem.ram.read(gpa + done, part);
    if (!backend.write(offset + done, part)) return false;
  }
  return true;
}
