import { ANY_BROADCAST, LAN } from "./address.ts";
import { checksum, fold, put16, put32, sumWords } from "./bytes.ts";
import type { Counters } from "./counters.ts";
import { PROTOCOL } from "./packet.ts";
import type { IpPacket } from "./packet.ts";
import { L4_AT, MTU } from "./wire.ts";
import type { Wire } from "./wire.ts";

/** Codes of "destination unreachable" (RFC 792, RFC 1812 §5.2.7.1). */
export const UNREACHABLE = { NET: 0, HOST: 1, PROTOCOL: 2, PORT: 3, PROHIBITED: 13 } as const;
const TYPE = { ECHO_REPLY: 0, UNREACHABLE: 3, ECHO: 8, TIME_EXCEEDED: 11 } as const;

/** Echoes of the network's own addresses, and error messages to the guest. */
export class Icmp {
  readonly #wire: Wire;
  readonly #counters: Counters;

  constructor(wire: Wire, counters: Counters) {
    this.#wire = wire;
    this.#counters = counters;
  }

  receive(packet: IpPacket): void {
    const { bytes, start, end } = packet;
    if (end - start < 8) return this.#counters.add("icmp-truncated");
    if (fold(sumWords(bytes, start, end, 0)) !== 0xffff) return this.#counters.add("icmp-checksum");
    if (bytes[start] !== TYPE.ECHO) return;
    if (packet.destination === LAN.GATEWAY || packet.destination === LAN.DNS) this.#echo(packet);
    // No program without privileges can ping for the guest; it learns that rather than wait.
    else this.unreachable(packet, UNREACHABLE.PROHIBITED);
  }

  #echo(packet: IpPacket): void {
    const { frame } = this.#wire;
    const length = packet.end - packet.start;
    const step = MTU - 20;
    const reply = packet.bytes.slice(packet.start, packet.end);
    reply[0] = TYPE.ECHO_REPLY;
    put16(reply, 2, 0);
    put16(reply, 2, checksum(reply, 0, length));
    const id = this.#wire.nextId();
    for (let at = 0; at < length; at += step) {
      const bytes = Math.min(step, length - at);
      frame.set(reply.subarray(at, at + bytes), L4_AT);
      const more = at + bytes < length ? 0x2000 : 0;
      const size = this.#wire.putIp(packet.sourceMac, packet.destination, packet.source, PROTOCOL.ICMP, bytes, more | (at >> 3), id);
      this.#wire.sendOrKeep(size);
    }
  }

  unreachable(packet: IpPacket, code: number): void {
    this.#error(packet, TYPE.UNREACHABLE, code);
  }

  timeExceeded(packet: IpPacket): void {
    this.#error(packet, TYPE.TIME_EXCEEDED, 0);
  }

  /** RFC 1122 §3.2.2: no errors about errors, broadcasts, later fragments. */
  #error(packet: IpPacket, type: number, code: number): void {
    const { bytes } = packet;
    if (packet.fragmentOffset !== 0 || packet.destination === ANY_BROADCAST || packet.destination === LAN.BROADCAST) return;
    if (packet.protocol === PROTOCOL.ICMP && (packet.end - packet.start < 1 || bytes[packet.start] !== TYPE.ECHO)) return;
    this.#about(packet.sourceMac, packet.source, bytes.slice(packet.ipAt, Math.min(packet.end, packet.start + 8)), type, code);
  }

  /** "Host unreachable" about a packet whose IP header and first eight bytes were kept. */
  hostUnreachable(mac: number, guest: number, quoted: Uint8Array): void {
    this.#about(mac, guest, quoted, TYPE.UNREACHABLE, UNREACHABLE.HOST);
  }

  #about(mac: number, guest: number, quoted: Uint8Array, type: number, code: number): void {
    const { frame } = this.#wire;
    const length = 8 + quoted.length;
    frame[L4_AT] = type;
    frame[L4_AT + 1] = code;
    put16(frame, L4_AT + 2, 0);
    put32(frame, L4_AT + 4, 0);
    frame.set(quoted, L4_AT + 8);
    put16(frame, L4_AT + 2, checksum(frame, L4_AT, L4_AT + length));
    this.#wire.sendOrKeep(this.#wire.putIp(mac, LAN.GATEWAY, guest, PROTOCOL.ICMP, length));
  }
}
