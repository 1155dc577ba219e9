import { shape } from "../../../base/index.ts";
import type { Shaped } from "../../../base/index.ts";

/** Receive modes by the command that sets them (VIRTIO 1.2 §5.1.6.5.1). */
export const RX_MODE = { PROMISC: 0, ALLMULTI: 1, ALLUNI: 2, NOMULTI: 3, NOUNI: 4, NOBCAST: 5 } as const;

/** Addresses of each kind that the card remembers; a driver that sets more gets all frames of that kind. */
const MAX_ADDRESSES = 64;
const VLANS = 4096;
const VLAN_TAG = 0x8100;

export const NET_FILTER_STATE = shape.record({
  v: shape.oneOf(1),
  mac: shape.list(shape.byte, 6),
  modes: shape.list(shape.byte, 6),
  unicast: shape.list(shape.count, MAX_ADDRESSES, 0),
  multicast: shape.list(shape.count, MAX_ADDRESSES, 0),
  overflow: shape.list(shape.flag, 2),
  vlans: shape.bytes(VLANS / 8),
});
export type NetFilterStateV1 = Shaped<typeof NET_FILTER_STATE>;

/** Which frames of the wire a card takes. */
export class NetFilter {
  readonly mac = new Uint8Array(6);
  readonly #modes = new Uint8Array(6);
  #unicast = new Set<number>();
  #multicast = new Set<number>();
  #unicastOverflow = false;
  #multicastOverflow = false;
  readonly #vlans = new Uint8Array(VLANS / 8);

  /** As after a device reset: everything is taken, until the driver wants less. */
  reset(mac: Uint8Array): void {
    this.mac.set(mac);
    this.#modes.fill(0);
    this.#modes[RX_MODE.PROMISC] = 1;
    this.clearAddresses();
    this.#vlans.fill(0xff);
  }

  clearAddresses(): void {
    this.#unicast = new Set();
    this.#multicast = new Set();
    this.#unicastOverflow = false;
    this.#multicastOverflow = false;
  }

  setMode(mode: number, on: boolean): void {
    this.#modes[mode] = on ? 1 : 0;
  }

  /** A driver that filters VLANs starts with none. */
  filterVlans(): void {
    this.#vlans.fill(0);
  }
  setVlan(id: number, wanted: boolean): void {
    const bit = 1 << (id & 7);
    const before = this.#vlans[(id & (VLANS - 1)) >> 3] ?? 0;
    this.#vlans[(id & (VLANS - 1)) >> 3] = wanted ? before | bit : before & ~bit;
  }

  addUnicast(bytes: Uint8Array, at: number): void {
    if (this.#unicast.size < MAX_ADDRESSES) this.#unicast.add(address(bytes, at));
    else this.#unicastOverflow = true;
  }
  addMulticast(bytes: Uint8Array, at: number): void {
    if (this.#multicast.size < MAX_ADDRESSES) this.#multicast.add(address(bytes, at));
    else this.#multicastOverflow = true;
  }

  accepts(frame: Uint8Array): boolean {
    if (this.#modes[RX_MODE.PROMISC] === 1) return true;
    if ((((frame[12] ?? 0) << 8) | (frame[13] ?? 0)) === VLAN_TAG) {
      const id = (((frame[14] ?? 0) << 8) | (frame[15] ?? 0)) & (VLANS - 1);
      if (((this.#vlans[id >> 3] ?? 0) & (1 << (id & 7))) === 0) return false;
    }
    const to = address(frame, 0);
    if (to === 0xffffffffffff) return this.#modes[RX_MODE.NOBCAST] === 0;
    if (((frame[0] ?? 0) & 1) !== 0) {
      if (this.#modes[RX_MODE.NOMULTI] === 1) return false;
      return this.#modes[RX_MODE.ALLMULTI] === 1 || this.#multicastOverflow || this.#multicast.has(to);
    }
    if (this.#modes[RX_MODE.NOUNI] === 1) return false;
    return this.#modes[RX_MODE.ALLUNI] === 1 || this.#unicastOverflow || to === address(this.mac, 0) || this.#unicast.has(to);
  }

  saveState(): NetFilterStateV1 {
    return {
      v: 1,
      mac: [...this.mac],
      modes: [...this.#modes],
      unicast: [...this.#unicast],
      multicast: [...this.#multicast],
      overflow: [this.#unicastOverflow, this.#multicastOverflow],
      vlans: this.#vlans.slice(),
    };
  }

  loadState(state: NetFilterStateV1): void {
    this.mac.set(state.mac);
    this.#modes.set(state.modes);
    this.#unicast = new Set(state.unicast);
    this.#multicast = new Set(state.multicast);
    this.#unicastOverflow = state.overflow[0] ?? false;
    this.#multicastOverflow = state.overflow[1] ?? false;
    this.#vlans.set(state.vlans);
  }
}

function address(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = 0; i < 6; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return value;
}
