import { LAN, isGuestAddress, parseIpv4 } from "./address.ts";
import type { Counters } from "./counters.ts";
import { DHCP } from "./dhcp.ts";
import type { DhcpServer } from "./dhcp.ts";
import { RCODE, dnsReply } from "./dns.ts";
import type { HostEndpoint, SocketHost, UdpPeer } from "./host.ts";
import { UNREACHABLE } from "./icmp.ts";
import type { Icmp } from "./icmp.ts";
import type { Neighbours } from "./neighbours.ts";
import { parseUdp } from "./packet.ts";
import type { IpPacket, UdpHeader } from "./packet.ts";
import type { Routes } from "./routes.ts";
import { L4_AT } from "./wire.ts";
import type { Wire } from "./wire.ts";

/** Host sockets for the guest at a time; the one unused longest makes room. */
const MAX_MAPPINGS = 256;
/** RFC 4787 REQ-5: two minutes at least. */
const IDLE_MS = 120_000;
/** Partners that one guest port hears from. */
const MAX_PARTNERS = 64;
const MAX_QUERIES = 64;
const DNS_PORT = 53;
const MAX_DATA = 65_507;

/** Who is at the other end, as a map key: address and port. */
const key = (ip: number, port: number): number => ip * 0x10000 + port;

/** A port of the guest's with its host socket. */
interface Mapping {
  readonly guestIp: number;
  readonly guestPort: number;
  readonly peer: UdpPeer;
  /** From the endpoint as the host sees it to the one that the guest spoke to: only those may answer. */
  readonly partners: Map<number, number>;
  usedMs: number;
}

/** A host port that leads into the guest. */
interface Forward {
  readonly guestIp: number;
  readonly guestPort: number;
  peer: UdpPeer | undefined;
  /** From the endpoint as the guest sees it to the host's. */
  readonly partners: Map<number, HostEndpoint>;
}

export interface UdpWorld {
  readonly wire: Wire;
  readonly host: SocketHost;
  readonly routes: Routes;
  readonly neighbours: Neighbours;
  readonly icmp: Icmp;
  readonly dhcp: DhcpServer;
  readonly counters: Counters;
  /** Something may time out: ticks are wanted. */
  readonly ticks: () => void;
}

/**
 * UDP: DHCP and DNS of the network itself, and network address translation for the rest: one host socket for each port of the guest
 * (endpoint-independent mapping), answers only from those it spoke to (address and port dependent filtering, RFC 4787).
 */
export class UdpNat {
  readonly #world: UdpWorld;
  readonly #mappings = new Map<number, Mapping>();
  readonly #forwards: Forward[] = [];
  readonly #header: UdpHeader = { sourcePort: 0, destinationPort: 0, dataStart: 0, dataEnd: 0 };
  #queries = 0;
  #closed = false;

  constructor(world: UdpWorld) {
    this.#world = world;
  }

  /** Host sockets that may time out. */
  get mappings(): number {
    return this.#mappings.size;
  }

  receive(packet: IpPacket): void {
    const { counters, dhcp, icmp, routes } = this.#world;
    const header = this.#header;
    const problem = parseUdp(packet, header);
    if (problem !== undefined) return counters.add(problem);
    const { bytes, source, destination } = packet;
    if (header.destinationPort === DHCP.SERVER_PORT) {
      if (destination === 0xffffffff || destination === LAN.BROADCAST || destination === LAN.GATEWAY) {
        return dhcp.receive(bytes, header.dataStart, header.dataEnd);
      }
    }
    if (!isGuestAddress(source)) return counters.add("ip-source");
    // Broadcasts stay on this network, where nobody else listens.
    if (destination === 0xffffffff || destination === LAN.BROADCAST) return;
    if (destination === LAN.DNS && header.destinationPort === DNS_PORT) return this.#resolve(packet);
    if (this.#throughForward(packet)) return;
    const to = routes.outbound(destination, header.destinationPort);
    if (to === undefined) {
      counters.add("udp-refused");
      const local = destination === LAN.GATEWAY || destination === LAN.DNS;
      return icmp.unreachable(packet, local ? UNREACHABLE.PORT : UNREACHABLE.PROHIBITED);
    }
    this.#send(packet, to);
  }

  #send(packet: IpPacket, to: HostEndpoint): void {
    const { source, destination } = packet;
    const { sourcePort, destinationPort } = this.#header;
    const mapping = this.#mappings.get(key(source, sourcePort)) ?? this.#open(source, sourcePort);
    mapping.usedMs = this.#world.host.nowMs();
    const seen = key(parseIpv4(to.address) ?? 0, to.port);
    // The newest partner is last, the oldest makes room.
    mapping.partners.delete(seen);
    if (mapping.partners.size >= MAX_PARTNERS) forgetOldest(mapping.partners);
    mapping.partners.set(seen, key(destination, destinationPort));
    mapping.peer.send(this.#data(packet), to);
  }

  #data(packet: IpPacket): Uint8Array {
    return packet.bytes.slice(this.#header.dataStart, this.#header.dataEnd);
  }

  #open(guestIp: number, guestPort: number): Mapping {
    if (this.#mappings.size >= MAX_MAPPINGS) {
      let oldest: Mapping | undefined;
      for (const mapping of this.#mappings.values()) if (oldest === undefined || mapping.usedMs < oldest.usedMs) oldest = mapping;
      if (oldest !== undefined) this.#drop(oldest);
      this.#world.counters.add("udp-too-many");
    }
    const peer = this.#world.host.openUdp((data, from) => this.#answer(mapping, data, from));
    const mapping: Mapping = { guestIp, guestPort, peer, partners: new Map(), usedMs: 0 };
    this.#mappings.set(key(guestIp, guestPort), mapping);
    this.#world.ticks();
    return mapping;
  }

  #drop(mapping: Mapping): void {
    this.#mappings.delete(key(mapping.guestIp, mapping.guestPort));
    mapping.peer.close();
  }

  #answer(mapping: Mapping, data: Uint8Array, from: HostEndpoint): void {
    const ip = parseIpv4(from.address);
    const partner = ip === undefined ? undefined : mapping.partners.get(key(ip, from.port));
    if (this.#closed || partner === undefined) return this.#world.counters.add("udp-unasked");
    mapping.usedMs = this.#world.host.nowMs();
    this.#toGuest(mapping.guestIp, mapping.guestPort, Math.floor(partner / 0x10000), partner & 0xffff, data);
  }

  #toGuest(guestIp: number, guestPort: number, fromIp: number, fromPort: number, data: Uint8Array): void {
    const { wire, neighbours, counters } = this.#world;
    const mac = neighbours.macOf(guestIp);
    if (mac === undefined) {
      // The guest has not spoken yet; whoever sends will try again.
      neighbours.ask(guestIp);
      return counters.add("guest-slow");
    }
    if (data.length > MAX_DATA) return counters.add("udp-truncated");
    wire.frame.set(data, L4_AT + 8);
    wire.sendUdp(mac, fromIp, fromPort, guestIp, guestPort, data.length);
  }

  /** A query to 10.0.2.3: the host's resolvers answer it. */
  #resolve(packet: IpPacket): void {
    const { host, routes, counters } = this.#world;
    const { source } = packet;
    const { sourcePort } = this.#header;
    const query = this.#data(packet);
    const reply = (answer: Uint8Array): void => this.#toGuest(source, sourcePort, LAN.DNS, DNS_PORT, answer);
    if (query.length < 12) return counters.add("udp-truncated");
    if (routes.restricted) return reply(dnsReply(query, RCODE.REFUSED));
    if (this.#queries >= MAX_QUERIES) return counters.add("dns-too-many");
    this.#queries++;
    host.queryDns(query, (answer) => {
      this.#queries--;
      if (!this.#closed) reply(answer ?? dnsReply(query, RCODE.SERVER_FAILURE));
    });
  }

  /** Opens a host port that leads to the guest. */
  async forward(at: HostEndpoint, guestIp: number, guestPort: number): Promise<number> {
    const entry: Forward = { guestIp, guestPort, peer: undefined, partners: new Map() };
    const socket = await this.#world.host.listenUdp(at, (data, from) => {
      const ip = this.#world.routes.inbound(from.address);
      const seen = key(ip, from.port);
      entry.partners.delete(seen);
      if (entry.partners.size >= MAX_PARTNERS) forgetOldest(entry.partners);
      entry.partners.set(seen, from);
      if (!this.#closed) this.#toGuest(guestIp, guestPort, ip, from.port, data);
    });
    if (this.#closed) socket.close();
    entry.peer = socket;
    this.#forwards.push(entry);
    return socket.port;
  }

  /** Answers of a forwarded port go back through the socket that the question came in by. */
  #throughForward(packet: IpPacket): boolean {
    if (this.#forwards.length === 0) return false;
    const { sourcePort, destinationPort } = this.#header;
    const to = key(packet.destination, destinationPort);
    for (const forward of this.#forwards) {
      if (forward.guestIp !== packet.source || forward.guestPort !== sourcePort) continue;
      const partner = forward.partners.get(to);
      if (partner === undefined) continue;
      forward.peer?.send(this.#data(packet), partner);
      return true;
    }
    return false;
  }

  expire(nowMs: number): void {
    for (const mapping of this.#mappings.values()) if (nowMs - mapping.usedMs >= IDLE_MS) this.#drop(mapping);
  }

  close(): void {
    this.#closed = true;
    for (const mapping of this.#mappings.values()) mapping.peer.close();
    this.#mappings.clear();
    for (const forward of this.#forwards) forward.peer?.close();
    this.#forwards.length = 0;
  }
}

function forgetOldest(map: Map<number, unknown>): void {
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
