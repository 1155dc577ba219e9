/** Formats that are read and written. `vhd` is what qemu-img calls vpc. */
export const WRITTEN_FORMATS = ["raw", "qcow2", "vhd"] as const;
export type WrittenFormat = (typeof WRITTEN_FORMATS)[number];
/** All that are read. */
export const IMAGE_FORMATS = [...WRITTEN_FORMATS, "vmdk", "vdi", "vhdx"] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

export function isWritten(format: ImageFormat): format is WrittenFormat {
  return WRITTEN_FORMATS.some((f) => f === format);
}
