export { VirtioP9 } from "./device.ts";
export type { VirtioP9StateV1 } from "./device.ts";
export { P9Server } from "./server.ts";
