import { ANY_BROADCAST, isGuestAddress, LAN } from "./address.ts";
import { BROADCAST_MAC, get16, get32, getMac, put16, put32 } from "./bytes.ts";
import type { Counters } from "./counters.ts";
import { L4_AT, MTU } from "./wire.ts";
import type { Wire } from "./wire.ts";

export const DHCP = { SERVER_PORT: 67, CLIENT_PORT: 68 } as const;

const FIXED_BYTES = 236;
const COOKIE = 0x63825363;
/** BOOTP's vendor area made a message 300 bytes (RFC 951); some clients still want that. */
const MIN_REPLY = 300;
const LEASE_SECONDS = 86_400;
const MAX_LEASES = 16;
const TYPE = { DISCOVER: 1, OFFER: 2, REQUEST: 3, DECLINE: 4, ACK: 5, NAK: 6, RELEASE: 7, INFORM: 8 } as const;

interface Request {
  readonly type: number;
  readonly wanted: number;
  readonly server: number;
}

/** A DHCP and BOOTP server (RFC 2131, 2132, 951): the first card gets 10.0.2.15, further ones the addresses after it. */
export class DhcpServer {
  readonly #wire: Wire;
  readonly #counters: Counters;
  readonly #leases = new Map<number, number>();
  /** A restricted network has no way out: no router, no name server. */
  readonly #restricted: boolean;

  constructor(wire: Wire, counters: Counters, restricted: boolean) {
    this.#wire = wire;
    this.#counters = counters;
    this.#restricted = restricted;
  }

  /** The UDP payload of a message to port 67. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    // BOOTREQUEST of an Ethernet card.
    if (end - start < FIXED_BYTES || bytes[start] !== 1 || bytes[start + 1] !== 1 || bytes[start + 2] !== 6) {
      this.#counters.add("dhcp-malformed");
      return;
    }
    const request = parseRequest(bytes, start, end);
    const mac = getMac(bytes, start + 28);
    const clientIp = get32(bytes, start + 12);
    // A message to another server (option 54) is none of ours.
    if (request.server !== 0 && request.server !== LAN.GATEWAY) return;
    const ip = this.#addressFor(mac);
    switch (request.type) {
      case 0:
        return this.#reply(bytes, start, 0, ip);
      case TYPE.DISCOVER:
        return this.#reply(bytes, start, TYPE.OFFER, ip);
      case TYPE.REQUEST: {
        const asked = request.wanted === 0 ? clientIp : request.wanted;
        return this.#reply(bytes, start, ip !== undefined && (asked === ip || asked === 0) ? TYPE.ACK : TYPE.NAK, ip);
      }
      case TYPE.INFORM:
        return this.#reply(bytes, start, TYPE.ACK, undefined);
      case TYPE.RELEASE:
      case TYPE.DECLINE:
        this.#leases.delete(mac);
        return;
      default:
        this.#counters.add("dhcp-malformed");
    }
  }

  #addressFor(mac: number): number | undefined {
    const known = this.#leases.get(mac);
    if (known !== undefined) return known;
    const taken = new Set(this.#leases.values());
    for (let ip: number = LAN.GUEST; ip < LAN.GUEST + MAX_LEASES; ip++) {
      if (taken.has(ip)) continue;
      this.#leases.set(mac, ip);
      return ip;
    }
    return undefined;
  }

  #reply(request: Uint8Array, start: number, type: number, ip: number | undefined): void {
    if (ip === undefined && (type === TYPE.OFFER || type === 0)) return;
    const clientIp = get32(request, start + 12);
    const out = this.#wire.frame;
    const base = L4_AT + 8;
    // The request may lie in a buffer of the card's: what is needed of it is read before the reply is written.
    const chaddr = request.slice(start + 28, start + 44);
    const xid = get32(request, start + 4);
    const flags = get16(request, start + 10);
    const relay = get32(request, start + 24);
    out.fill(0, base, base + 576);
    out[base] = 2;
    out[base + 1] = 1;
    out[base + 2] = 6;
    put32(out, base + 4, xid);
    put16(out, base + 10, flags);
    const nak = type === TYPE.NAK;
    if (!nak) {
      put32(out, base + 12, ip === undefined ? clientIp : 0);
      put32(out, base + 16, ip ?? 0);
      put32(out, base + 20, LAN.GATEWAY);
    }
    put32(out, base + 24, relay);
    out.set(chaddr, base + 28);
    let at = base + FIXED_BYTES;
    put32(out, at, COOKIE);
    at += 4;
    const option = (code: number, ...values: number[]): void => {
      out[at] = code;
      out[at + 1] = values.length * 4;
      for (const [i, value] of values.entries()) put32(out, at + 2 + 4 * i, value);
      at += 2 + 4 * values.length;
    };
    if (type !== 0) {
      out.set([53, 1, type], at);
      at += 3;
      option(54, LAN.GATEWAY);
    }
    if (!nak) {
      option(1, LAN.MASK);
      if (!this.#restricted) {
        option(3, LAN.GATEWAY);
        option(6, LAN.DNS);
      }
      option(28, LAN.BROADCAST);
      if (type !== 0 && ip !== undefined) option(51, LEASE_SECONDS);
      out.set([26, 2, MTU >> 8, MTU & 0xff], at);
      at += 4;
    }
    out[at++] = 255;
    const bytes = Math.max(MIN_REPLY, at - base);
    const mac = getMac(out, base + 28);
    // RFC 2131 §4.1: to the client's address when it has one, else broadcast when it asks for that or has no address to take.
    const unicast =
      !nak && clientIp !== 0 && isGuestAddress(clientIp) ? clientIp : (flags & 0x8000) === 0 && !nak ? (ip ?? ANY_BROADCAST) : ANY_BROADCAST;
    this.#wire.sendUdp(unicast === ANY_BROADCAST ? BROADCAST_MAC : mac, LAN.GATEWAY, DHCP.SERVER_PORT, unicast, DHCP.CLIENT_PORT, bytes);
  }
}

function parseRequest(bytes: Uint8Array, start: number, end: number): Request {
  const found = { type: 0, wanted: 0, server: 0 };
  let at = start + FIXED_BYTES;
  if (at + 4 > end || get32(bytes, at) !== COOKIE) return found;
  at += 4;
  while (at + 1 < end) {
    const code = bytes[at] ?? 0;
    if (code === 255) break;
    if (code === 0) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    if (at + 2 + length > end) break;
    if (code === 53 && length === 1) found.type = bytes[at + 2] ?? 0;
    if (code === 50 && length === 4) found.wanted = get32(bytes, at + 2);
    if (code === 54 && length === 4) found.server = get32(bytes, at + 2);
    at += 2 + length;
  }
  return found;
}
