import type { ServiceRow } from "./row.ts";
import { SERVICES } from "./rows.ts";

const byAx = new Map<number, ServiceRow>();
const byAh = new Map<number, ServiceRow>();
const byVector = new Map<number, ServiceRow>();
for (const row of SERVICES) {
  if (row.select === "*") byVector.set(row.vector, row);
  else if (row.select.length === 2) byAh.set(row.vector * 0x100 + Number.parseInt(row.select, 16), row);
  else byAx.set(row.vector * 0x10000 + Number.parseInt(row.select, 16), row);
}

/** The row of a call with this vector and AX, or undefined: no such service. */
export function findService(vector: number, ax: number): ServiceRow | undefined {
  return byAx.get(vector * 0x10000 + (ax & 0xffff)) ?? byAh.get(vector * 0x100 + ((ax >>> 8) & 0xff)) ?? byVector.get(vector);
}
