import { RX_MODE } from "./filter.ts";
import type { NetFilter } from "./filter.ts";

/** Classes of control commands. Source: VIRTIO 1.2 §5.1.6.5. */
const CLASS = { RX: 0, MAC: 1, VLAN: 2, ANNOUNCE: 3, GUEST_OFFLOADS: 5 } as const;
export const CONTROL_OK = 0;
export const CONTROL_ERROR = 1;
/** Two tables of 64 addresses and their counts fit many times; what is longer is refused. */
export const MAX_COMMAND = 65536;

export interface ControlTarget {
  readonly filter: NetFilter;
  /** The driver saw the announcement request. */
  announced(): void;
  /** False: a bit that was not negotiated. */
  setGuestOffloads(bits: bigint): boolean;
}

/** Does one command of the control queue; returns its status byte. */
export function runCommand(command: Uint8Array, target: ControlTarget): number {
  if (command.length < 2) return CONTROL_ERROR;
  const code = command[1] ?? 0;
  const data = command.subarray(2);
  return dispatch(command[0] ?? 0, code, data, target) ? CONTROL_OK : CONTROL_ERROR;
}

function dispatch(group: number, code: number, data: Uint8Array, target: ControlTarget): boolean {
  switch (group) {
    case CLASS.RX:
      if (code > RX_MODE.NOBCAST || data.length < 1) return false;
      target.filter.setMode(code, data[0] !== 0);
      return true;
    case CLASS.MAC:
      return code === 0 ? setTable(data, target.filter) : code === 1 && setAddress(data, target.filter);
    case CLASS.VLAN:
      if (code > 1 || data.length < 2) return false;
      target.filter.setVlan((data[0] ?? 0) | ((data[1] ?? 0) << 8), code === 0);
      return true;
    case CLASS.ANNOUNCE:
      if (code !== 0) return false;
      target.announced();
      return true;
    case CLASS.GUEST_OFFLOADS: {
      if (code !== 0 || data.length < 8) return false;
      return target.setGuestOffloads(new DataView(data.buffer, data.byteOffset, 8).getBigUint64(0, true));
    }
    default:
      return false;
  }
}

function setAddress(data: Uint8Array, filter: NetFilter): boolean {
  if (data.length < 6) return false;
  filter.mac.set(data.subarray(0, 6));
  return true;
}

/** Unicast table, then multicast table: a count and the addresses. */
function setTable(data: Uint8Array, filter: NetFilter): boolean {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (data.length < 4) return false;
  const unicast = view.getUint32(0, true);
  const second = 4 + 6 * unicast;
  if (second + 4 > data.length) return false;
  const multicast = view.getUint32(second, true);
  if (second + 4 + 6 * multicast > data.length) return false;
  filter.clearAddresses();
  for (let i = 0; i < unicast; i++) filter.addUnicast(data, 4 + 6 * i);
  for (let i = 0; i < multicast; i++) filter.addMulticast(data, second + 4 + 6 * i);
  return true;
}
