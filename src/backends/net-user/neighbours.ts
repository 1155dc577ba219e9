import { isGuestAddress, LAN } from "./address.ts";
import { BROADCAST_MAC, get16, get32, getMac, put16, put32, putMac } from "./bytes.ts";
import { ETHER } from "./packet.ts";
import type { Wire } from "./wire.ts";

/** The network has 250 places; a guest that claims more gets forgetfulness. */
const MAX_NEIGHBOURS = 256;
const ARP_AT = ETHER.HEADER;
const ARP_BYTES = 28;
const REQUEST = 1;
const REPLY = 2;

/** ARP (RFC 826): answers for the gateway and the name server, and remembers which card has which guest address. */
export class Neighbours {
  readonly #wire: Wire;
  readonly #macs = new Map<number, number>();
  readonly #onNew: (ip: number) => void;

  /** `onNew` hears of addresses that had not been heard of. */
  constructor(wire: Wire, onNew: (ip: number) => void) {
    this.#wire = wire;
    this.#onNew = onNew;
  }

  /** The card with that address, if it was heard of. */
  macOf(ip: number): number | undefined {
    return this.#macs.get(ip);
  }

  learn(ip: number, mac: number): void {
    // A group address is nobody's.
    if (!isGuestAddress(ip) || this.#macs.get(ip) === mac || mac % 0x20000000000 >= 0x10000000000) return;
    const isNew = !this.#macs.has(ip);
    if (this.#macs.size >= MAX_NEIGHBOURS && isNew) this.#macs.clear();
    this.#macs.set(ip, mac);
    if (isNew) this.#onNew(ip);
  }

  /** A frame of type ARP. Anything malformed is ignored. */
  receive(frame: Uint8Array): void {
    if (frame.length < ARP_AT + ARP_BYTES) return;
    // Ethernet, IPv4, lengths 6 and 4.
    if (get16(frame, ARP_AT) !== 1 || get16(frame, ARP_AT + 2) !== ETHER.IPV4 || get16(frame, ARP_AT + 4) !== 0x0604) return;
    const operation = get16(frame, ARP_AT + 6);
    const senderMac = getMac(frame, ARP_AT + 8);
    const senderIp = get32(frame, ARP_AT + 14);
    const targetIp = get32(frame, ARP_AT + 24);
    this.learn(senderIp, senderMac);
    if (operation !== REQUEST || (targetIp !== LAN.GATEWAY && targetIp !== LAN.DNS)) return;
    this.#send(REPLY, targetIp, senderMac, senderMac, senderIp);
  }

  /** Asks who has an address. */
  ask(ip: number): void {
    this.#send(REQUEST, LAN.GATEWAY, BROADCAST_MAC, 0, ip);
  }

  #send(operation: number, fromIp: number, toMac: number, targetMac: number, targetIp: number): void {
    const { frame } = this.#wire;
    this.#wire.putEthernet(toMac, fromIp, ETHER.ARP);
    put16(frame, ARP_AT, 1);
    put16(frame, ARP_AT + 2, ETHER.IPV4);
    put16(frame, ARP_AT + 4, 0x0604);
    put16(frame, ARP_AT + 6, operation);
    putMac(frame, ARP_AT + 8, fromIp === LAN.DNS ? LAN.DNS_MAC : LAN.GATEWAY_MAC);
    put32(frame, ARP_AT + 14, fromIp);
    putMac(frame, ARP_AT + 18, targetMac);
    put32(frame, ARP_AT + 24, targetIp);
    this.#wire.sendOrKeep(ARP_AT + ARP_BYTES);
  }
}
