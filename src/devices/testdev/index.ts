export { DEBUG_EXIT_PORTS, DebugExit } from "./debug-exit.ts";
export { PC_TESTDEV, PC_TESTDEV_STATE, PcTestdev } from "./pc-testdev.ts";
export type { PcTestdevStateV1 } from "./pc-testdev.ts";
