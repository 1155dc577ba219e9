export { Fdc82077 } from "./device.ts";
export type { Fdc82077Options } from "./device.ts";
export { FDC82077_STATE } from "./state.ts";
export type { Fdc82077StateV1 } from "./state.ts";
export type { FloppyMedium } from "./drive.ts";
