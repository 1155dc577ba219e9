import { DISK_ROWS } from "./disk-rows.ts";
import { SYSTEM_ROWS } from "./system-rows.ts";
import { VIDEO_ROWS } from "./video-rows.ts";
import type { ServiceRow } from "./row.ts";

/** Every service of every vector. */
export const SERVICES: readonly ServiceRow[] = [...VIDEO_ROWS, ...DISK_ROWS, ...SYSTEM_ROWS].sort((a, b) => a.vector - b.vector);
