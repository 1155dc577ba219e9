// Disks that a test writes itself: a few bytes of machine code in a boot sector.

const FLOPPY_BYTES = 1474560;

/** A 512-byte boot sector from machine code. */
function bootSector(code) {
  const sector = new Uint8Array(512);
  sector.set(code);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

/** A disk that begins with such a sector (a 1.44 MB floppy unless `bytes` says otherwise). */
export function bootDisk(code, bytes = FLOPPY_BYTES) {
  const disk = new Uint8Array(bytes);
  disk.set(bootSector(code));
  return disk;
}

/** A 1.44 MB floppy that begins with `content`. */
export function floppyWith(content) {
  const floppy = new Uint8Array(FLOPPY_BYTES);
  floppy.set(content);
  return floppy;
}
