import { PORT } from "../../isa/index.ts";
import { ataGeometry } from "../../backends/api/index.ts";
import type { BiosContext } from "../api.ts";
import { STATUS } from "./status.ts";
import { finish } from "./services.ts";
import type { DiskServices, DiskView } from "./services.ts";
import { deviceParameterPointer, setChecksum } from "./tables.ts";
import { diskToMemory, memoryToDisk } from "./transfer.ts";

/** Most blocks a packet may ask for (T13/1572D EDD-3 §8.10). */
const MAX_BLOCKS = 127;

/** Sectors beyond which CHS cannot describe an ATA disk (16383 * 16 * 63). */
const CHS_LIMIT = 16383 * 16 * 63;

/** A 64-bit little-endian field as a number; Infinity-like values stay exact enough to be out of range. */
function read64(ctx: BiosContext, at: number): number {
  return ctx.mem.read32(at) + ctx.mem.read32(at + 4) * 0x1_0000_0000;
}

/** A disk address packet, checked for shape only. */
interface Packet {
  readonly at: number;
  readonly count: number;
  /** Guest-physical buffer address. */
  readonly gpa: number;
  readonly lba: number;
}

/** The packet at DS:SI; undefined (with its count cleared) when its size or count is not legal. */
function readPacket(ctx: BiosContext): Packet | undefined {
  const { regs, mem } = ctx;
  const at = ctx.linear(regs.selector("ds"), regs.si);
  const size = mem.read8(at);
  const count = mem.read16(at + 2);
  if (size < 0x10) return undefined;
  if (count > MAX_BLOCKS) {
    mem.write16(at + 2, 0);
    return undefined;
  }
  const offset = mem.read16(at + 4);
  const segment = mem.read16(at + 6);
  const flat = offset === 0xffff && segment === 0xffff && size >= 0x18;
  return { at, count, gpa: flat ? read64(ctx, at + 0x10) : ctx.linear(segment, offset), lba: read64(ctx, at + 8) };
}

/** 42h read, 43h write, 44h verify, 47h seek. On an error the packet's count becomes the blocks done. */
function packetOperation(ctx: BiosContext, view: DiskView, operation: 0x42 | 0x43 | 0x44 | 0x47): void {
  const { regs, mem } = ctx;
  const packet = readPacket(ctx);
  const fail = (status: number): void => {
    if (packet !== undefined) mem.write16(packet.at + 2, 0);
    finish(ctx, view.number, status);
  };
  // 43h: AL 0 and 1 write, 2 write with verify; nothing else is defined.
  if (packet === undefined || (operation === 0x43 && regs.al > 2)) return fail(STATUS.BAD_COMMAND);
  if (view.backend === undefined) return fail(view.kind === "cdrom" ? STATUS.NO_MEDIA : STATUS.NOT_READY);
  if (operation === 0x43 && view.readOnly) return fail(STATUS.WRITE_PROTECTED);
  const end = packet.lba + (operation === 0x47 ? 1 : packet.count);
  if (end > view.totalSectors) return fail(STATUS.BAD_COMMAND);
  const bytes = packet.count * view.sectorBytes;
  if (bytes > 0 && (operation === 0x42 || operation === 0x43)) {
    const offset = view.startByte + packet.lba * view.sectorBytes;
    const move = operation === 0x42 ? diskToMemory : memoryToDisk;
    // A flat address that no physical address space has: the data goes nowhere.
    if (packet.gpa + bytes > Number.MAX_SAFE_INTEGER) return fail(STATUS.BAD_COMMAND);
    if (!move(mem, view.backend, offset, packet.gpa, bytes)) return fail(operation === 0x42 ? STATUS.CRC : STATUS.WRITE_FAULT);
  }
  finish(ctx, view.number, STATUS.OK);
}

/** Where a PCI IDE function is on bus 0 by its class code 0101h, for the interface path; -1 when there is none. */
function findPciIde(ctx: BiosContext): number {
  const { ports } = ctx;
  const saved = ports.in32(PORT.PCI_ADDRESS);
  let found = -1;
  ports.out32(PORT.PCI_ADDRESS, 0x80000000);
  if (ports.in32(PORT.PCI_ADDRESS) === 0x80000000) {
    for (let devfn = 0; devfn < 256 && found < 0; devfn++) {
      ports.out32(PORT.PCI_ADDRESS, (0x80000000 | (devfn << 8) | 8) >>> 0);
      if (ports.in32(PORT.PCI_DATA) >>> 16 === 0x0101) found = devfn;
    }
  }
  ports.out32(PORT.PCI_ADDRESS, saved);
  return found;
}

/** 48h: the result buffer, as much of it as the caller's size word allows (1Ah, 1Eh or 42h bytes). */
function driveParameters(ctx: BiosContext, view: DiskView): void {
  const { regs, mem } = ctx;
  const at = ctx.linear(regs.selector("ds"), regs.si);
  const room = mem.read16(at);
  if (room < 0x1a) return finish(ctx, view.number, STATUS.BAD_COMMAND);
  if (view.kind === "cdrom" && view.backend === undefined) return finish(ctx, view.number, STATUS.NO_MEDIA);
  const size = room < 0x1e ? 0x1a : room < 0x42 ? 0x1e : 0x42;
  const b = new Uint8Array(size);
  const v = new DataView(b.buffer);
  v.setUint16(0, size, true);
  if (view.kind === "cdrom") {
    // No CHS; removable, with change line and lock; all ones say "no geometry".
    v.setUint16(2, 0x0074, true);
    for (const field of [4, 8, 12]) v.setUint32(field, 0xffffffff, true);
  } else {
    const overflow = view.totalSectors > CHS_LIMIT;
    const physical = view.emulated || view.heads <= 16 ? view : ataGeometry(view.totalSectors);
    const cylinders = view.emulated
      ? view.cylinders
      : Math.min(16383, Math.max(1, Math.floor(view.totalSectors / (physical.heads * physical.sectors))));
    v.setUint16(2, overflow ? 0x0001 : 0x0003, true);
    v.setUint32(4, overflow ? 16383 : cylinders, true);
    v.setUint32(8, overflow ? 16 : physical.heads, true);
    v.setUint32(12, overflow ? 63 : physical.sectors, true);
  }
  v.setUint32(16, view.totalSectors >>> 0, true);
  v.setUint32(20, Math.floor(view.totalSectors / 0x1_0000_0000), true);
  v.setUint16(24, view.sectorBytes, true);
  const path = view.drive.path;
  if (size >= 0x1e) v.setUint32(0x1a, view.emulated ? 0xffffffff : deviceParameterPointer(ctx.drives, view.drive), true);
  const { virtio } = view.drive;
  const put = (offset: number, s: string): void => {
    for (let i = 0; i < s.length; i++) b[offset + i] = s.charCodeAt(i);
  };
  if (size >= 0x42 && virtio !== undefined && !view.emulated) {
    // EDD 3.0 has no name for virtio; firmware calls such disks SCSI, target and unit 0, behind their PCI function.
    v.setUint16(0x1e, 0xbedd, true);
    b[0x20] = 0x24;
    put(0x24, "PCI ");
    put(0x28, "SCSI    ");
    b[0x31] = virtio.slot;
    b[0x32] = virtio.fn;
    setChecksum(b.subarray(0x1e), 0);
  }
  if (size >= 0x42 && path !== undefined && !view.emulated) {
    v.setUint16(0x1e, 0xbedd, true);
    b[0x20] = 0x24;
    const devfn = findPciIde(ctx);
    put(0x28, view.kind === "cdrom" ? "ATAPI   " : "ATA     ");
    if (devfn >= 0) {
      put(0x24, "PCI ");
      b[0x31] = devfn >>> 3;
      b[0x32] = devfn & 7;
      b[0x33] = path.channel;
    } else {
      put(0x24, "ISA ");
      v.setUint16(0x30, path.base, true);
    }
    b[0x38] = path.device;
    setChecksum(b.subarray(0x1e), 0);
  }
  mem.write(at, b);
  finish(ctx, view.number, STATUS.OK);
}

/** 45h: lock (0), unlock (1), status (2) of a removable medium. AL = 1 while locked. */
function lockMedium(ctx: BiosContext, services: DiskServices, view: DiskView): void {
  const { regs } = ctx;
  if (view.kind !== "cdrom") return finish(ctx, view.number, STATUS.NOT_REMOVABLE);
  const count = services.lockCount(view.drive);
  const end = (status: number, next: number): void => {
    services.setLockCount(view.drive, next);
    regs.al = next > 0 ? 1 : 0;
    finish(ctx, view.number, status);
  };
  if (regs.al === 0) return count >= 255 ? end(STATUS.LOCK_COUNT, count) : end(STATUS.OK, count + 1);
  if (regs.al === 1) return count === 0 ? end(STATUS.NOT_LOCKED, 0) : end(STATUS.OK, count - 1);
  if (regs.al === 2) return end(STATUS.OK, count);
  finish(ctx, view.number, STATUS.BAD_COMMAND);
}

/** 46h: the medium leaves the drive. */
function eject(ctx: BiosContext, services: DiskServices, view: DiskView): void {
  if (ctx.regs.al !== 0) return finish(ctx, view.number, STATUS.BAD_COMMAND);
  if (view.kind !== "cdrom") return finish(ctx, view.number, STATUS.NOT_REMOVABLE);
  if (services.lockCount(view.drive) > 0) return finish(ctx, view.number, STATUS.LOCKED);
  if (view.backend === undefined) return finish(ctx, view.number, STATUS.NO_MEDIA);
  view.drive.backend = undefined;
  finish(ctx, view.number, STATUS.OK);
}

/** 49h: AH=06h with carry once after the medium was changed. */
function changeStatus(ctx: BiosContext, services: DiskServices, view: DiskView): void {
  const changed = view.kind === "cdrom" && services.isChanged(view.drive);
  if (changed) services.clearChanged(view.drive);
  finish(ctx, view.number, changed ? STATUS.CHANGED : STATUS.OK);
}

/**
 * Enhanced disk drive services 41h-49h and 4Eh for DL >= 80h (Phoenix EDD 1.1 and 3.0, T13/1572D). False: not one of
 * them. Never offered on floppies.
 */
export function extendedService(ctx: BiosContext, services: DiskServices): boolean {
  const { regs } = ctx;
  const fn = regs.ah;
  if (fn < 0x41 || (fn > 0x49 && fn !== 0x4e)) return false;
  const view = services.resolve(ctx, regs.dl);
  if (view === undefined) {
    finish(ctx, regs.dl, STATUS.BAD_COMMAND);
    return true;
  }
  switch (fn) {
    case 0x41:
      if (regs.bx !== 0x55aa) {
        finish(ctx, view.number, STATUS.BAD_COMMAND);
        break;
      }
      regs.bx = 0xaa55;
      // Packet access, EDD (48h, 4Eh), 64-bit addresses; locking and ejecting on removable media.
      regs.cx = view.kind === "cdrom" ? 0x000f : 0x000d;
      finish(ctx, view.number, STATUS.OK);
      regs.ah = 0x30;
      break;
    case 0x42:
    case 0x43:
    case 0x44:
    case 0x47:
      packetOperation(ctx, view, fn);
      break;
    case 0x45:
      lockMedium(ctx, services, view);
      break;
    case 0x46:
      eject(ctx, services, view);
      break;
    case 0x48:
      driveParameters(ctx, view);
      break;
    case 0x49:
      changeStatus(ctx, services, view);
      break;
    default:
      // 4Eh: enable/disable prefetch, PIO modes, DMA: accepted, nothing to do (AL=0: only this drive affected).
      if (regs.al > 6) {
        finish(ctx, view.number, STATUS.BAD_COMMAND);
      } else {
        regs.al = 0;
        finish(ctx, view.number, STATUS.OK);
      }
  }
  return true;
}
