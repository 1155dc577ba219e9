import type { BiosContext, BiosHandler } from "../api.ts";
import { cdromService, elToritoService } from "./cdrom.ts";
import { extendedService } from "./extended.ts";
import { floppyService } from "./floppy.ts";
import { hardDiskService } from "./hard-disk.ts";
import { DiskServices, FIRST_CD, finish } from "./services.ts";
import { STATUS } from "./status.ts";

/**
 * INT 13h. Give INT 40h and the boot services the same `services`. The ROM sends calls for floppies on to INT 40h; those that arrive here all
 * the same (no ROM in between) are served too.
 */
export function createInt13(services: DiskServices = new DiskServices()): BiosHandler {
  return (ctx: BiosContext) => {
    const dl = ctx.regs.dl;
    // The AT's disk code, fixed and diskette, runs with STI and throws the caller's FLAGS away; programs have come to depend on it.
    ctx.setInterruptFlag(true);
    const boot = elToritoService(ctx, services);
    if (boot !== undefined) return boot;
    if (dl < 0x80) floppyService(ctx, services);
    else if (!extendedService(ctx, services)) (dl >= FIRST_CD ? cdromService : hardDiskService)(ctx, services);
    return "done";
  };
}

/** INT 40h: the diskette services under their old name; there are no hard disks here. */
export function createInt40(services: DiskServices): BiosHandler {
  return (ctx: BiosContext) => {
    ctx.setInterruptFlag(true);
    if (ctx.regs.dl >= 0x80) finish(ctx, 0, STATUS.BAD_COMMAND);
    else floppyService(ctx, services);
    return "done";
  };
}

export { bootAddress, loadBootImage } from "./cdrom.ts";
export { EL_TORITO_MEDIA, emulatedGeometry, readBootCatalog } from "./el-torito.ts";
export type { BootCatalog, BootCatalogEntry, Emulation } from "./el-torito.ts";
export { DISK_SERVICES_STATE, DiskServices, FIRST_CD, floppySectorByte } from "./services.ts";
export type { DiskServicesStateV1, DiskView } from "./services.ts";
export { STATUS as DISK_STATUS } from "./status.ts";
export { DISK_ROM, fixedDiskTable, installDiskData, setFloppyCount } from "./tables.ts";
export { diskToMemory } from "./transfer.ts";
