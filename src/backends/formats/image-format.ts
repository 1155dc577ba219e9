/** Formats that are read and written. `vhd` is what qemu-img calls vpc. */
export const IMAGE_FORMATS = ["raw", "qcow2", "vhd"] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];
