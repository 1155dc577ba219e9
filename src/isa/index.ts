export { IRQ, MEM, PIT_HZ, PORT } from "./pc-map.ts";
