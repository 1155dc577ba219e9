/** A sector by the R and N of its ID field, and where the image keeps its data. */
export interface FloppySector {
  readonly r: number;
  /** 128 << n bytes. */
  readonly n: number;
  /** Byte offset in the cylinder's part of the image; a multiple of 512. */
  readonly offset: number;
}

/** A floppy whose tracks are not sectors 1, 2, 3 ... of 512 bytes each. */
export interface FloppyLayout {
  readonly name: string;
  /** Bytes the image has for a cylinder, both heads together. */
  readonly cylinderBytes: number;
  /** The sectors of a track in the order in which they pass the head, from the index hole; empty: no such head. */
  track(cylinder: number, head: number): readonly FloppySector[];
}

/** Place of the sector with ID `r` in a track's list; -1 when the track has none. */
export function sectorIndex(track: readonly FloppySector[], r: number): number {
  for (let i = 0; i < track.length; i++) if (track[i]?.r === r) return i;
  return -1;
}

const XDF_BYTES = 1884160;
const XDF_CYLINDER = 23 * 2 * 512;

/** Cylinder 0: 512-byte sectors. IDs from 129 on are the file system's, 1 to 8 a small disk that shows without a driver. */
const XDF_FIRST_IDS = [
  [1, 138, 129, 139, 130, 2, 131, 3, 132, 4, 133, 5, 134, 6, 135, 7, 136, 8, 137],
  [144, 135, 145, 136, 146, 137, 147, 138, 129, 139, 130, 140, 131, 141, 132, 142, 133, 143, 134],
] as const;

/** The block of 512 bytes that a sector of cylinder 0 has in the image. Blocks 20 to 22 and 37 to 41 are on no track. */
function xdfFirstBlock(head: number, r: number): number {
  if (head === 0) return r > 128 ? r - 129 : r + 11;
  if (r === 129) return 11;
  return r < 144 ? r - 107 : r - 102;
}

const xdfSector = (size: 512 | 1024 | 2048 | 8192, offset: number): FloppySector => {
  const n = Math.log2(size) - 7;
  return { r: 128 + n, n, offset };
};
const XDF_FIRST: readonly (readonly FloppySector[])[] = XDF_FIRST_IDS.map((ids, head) =>
  ids.map((r) => ({ r, n: 2, offset: xdfFirstBlock(head, r) * 512 })),
);
/** The others: one sector of each size on either side; the image has them in the order in which a driver reads a cylinder. */
const XDF_OTHERS: readonly (readonly FloppySector[])[] = [
  [xdfSector(1024, 0), xdfSector(512, 11264), xdfSector(2048, 1024), xdfSector(8192, 12288)],
  [xdfSector(2048, 20480), xdfSector(512, 11776), xdfSector(1024, 22528), xdfSector(8192, 3072)],
];
const NO_SECTORS: readonly FloppySector[] = [];

/**
 * IBM's eXtended Density Format on a 3.5-inch HD disk: 80 cylinders of 23 KB. Facts: fdutils manual, "XDF formats"; OS/2 Museum, "The XDF
 * Diskette Format"; the order of sectors in raw images as other emulators document it (MAME, ibmxdf).
 */
export const XDF_LAYOUT: FloppyLayout = {
  name: "XDF",
  cylinderBytes: XDF_CYLINDER,
  track: (cylinder, head) => (cylinder === 0 ? XDF_FIRST : XDF_OTHERS)[head] ?? NO_SECTORS,
};

/**
 * Whether an image is XDF: its size, a parameter block of 23 sectors and two FATs of 11, and no second FAT behind the first: its place is where
 * the small disk is. `block(n)` reads 512 bytes.
 */
export function isXdf(sizeBytes: number, block: (n: number) => Uint8Array | undefined): boolean {
  if (sizeBytes !== XDF_BYTES) return false;
  const boot = block(0);
  const small = block(12);
  if (boot === undefined || small === undefined) return false;
  const u16 = (at: number): number => (boot[at] ?? 0) | ((boot[at + 1] ?? 0) << 8);
  const parameters = u16(11) === 512 && u16(14) === 1 && boot[16] === 2 && u16(22) === 11 && u16(24) === 23 && u16(26) === 2;
  return parameters && small[0] !== boot[21];
}
