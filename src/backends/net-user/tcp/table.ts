import { LAN, isGuestAddress } from "../address.ts";
import { put16, put32 } from "../bytes.ts";
import type { HostEndpoint, TcpEvents, TcpPeer } from "../host.ts";
import { TCP, emptySegment, parseTcp } from "../packet.ts";
import type { IpPacket, TcpSegment } from "../packet.ts";
import type { Routes } from "../routes.ts";
import { L4_AT } from "../wire.ts";
import { TcpConnection } from "./connection.ts";
import type { TcpNames } from "./connection.ts";
import type { TcpWorld } from "./world.ts";

/** Connections at a time. One that is over, or long silent, makes room; else the new one is refused. */
const MAX_CONNECTIONS = 512;
const SILENT_MS = 60_000;
const DNS_PORT = 53;
const FIRST_EPHEMERAL = 49_152;

/** All TCP connections of the guest. */
export class TcpTable {
  readonly #world: TcpWorld;
  readonly #routes: Routes;
  /** By remote endpoint, then by guest endpoint: two numbers, no strings on the way of each segment. */
  readonly #byRemote = new Map<number, Map<number, TcpConnection>>();
  readonly #all = new Set<TcpConnection>();
  readonly #segment: TcpSegment = emptySegment();
  #nextPort = FIRST_EPHEMERAL;

  constructor(world: TcpWorld, routes: Routes) {
    this.#world = world;
    this.#routes = routes;
  }

  get size(): number {
    return this.#all.size;
  }

  receive(packet: IpPacket): void {
    const s = this.#segment;
    const problem = parseTcp(packet, s);
    if (problem !== undefined) return this.#world.counters.add(problem);
    if (!isGuestAddress(packet.source)) return this.#world.counters.add("ip-source");
    const names = { guestIp: packet.source, guestPort: s.sourcePort, remoteIp: packet.destination, remotePort: s.destinationPort };
    const connection = this.#find(names);
    if (connection !== undefined) {
      const fresh = (s.flags & (TCP.SYN | TCP.ACK | TCP.RST)) === TCP.SYN;
      if (!(connection.state === "time-wait" && fresh)) return connection.segment(s, packet.sourceMac);
      // The guest uses the port again.
      connection.abort();
    }
    if ((s.flags & TCP.RST) !== 0) return;
    if ((s.flags & (TCP.SYN | TCP.ACK)) !== TCP.SYN) {
      this.#world.counters.add("tcp-stray");
      return this.#refuse(packet, s);
    }
    this.#connect(packet, s, names);
  }

  #connect(packet: IpPacket, s: TcpSegment, names: TcpNames): void {
    const { counters, host } = this.#world;
    const to = this.#destination(names);
    if (to === undefined) {
      counters.add("tcp-refused");
      return this.#refuse(packet, s);
    }
    if (!this.#makeRoom()) {
      counters.add("tcp-too-many");
      return this.#refuse(packet, s);
    }
    const quoted = packet.bytes.slice(packet.ipAt, packet.start + 8);
    const connection = TcpConnection.fromGuest(this.#world, names, packet.sourceMac, s, {
      iss: Math.random() * 0x100000000,
      quoted,
      connect: (events) => host.connectTcp(to, events),
    });
    this.#add(connection);
  }

  #destination(names: TcpNames): HostEndpoint | undefined {
    if (names.guestPort === 0) return undefined;
    if (names.remoteIp !== LAN.DNS) return this.#routes.outbound(names.remoteIp, names.remotePort);
    return names.remotePort === DNS_PORT && !this.#routes.restricted ? this.#world.host.dnsServer() : undefined;
  }

  /** A host's client wants a port of the guest: connects to it, from the client's own address where the guest can know it. */
  accept(peer: TcpPeer, from: HostEndpoint, guestIp: number, guestPort: number): TcpEvents {
    const remoteIp = this.#routes.inbound(from.address);
    let names: TcpNames = { guestIp, guestPort, remoteIp, remotePort: from.port };
    for (let tries = 0; this.#find(names) !== undefined && tries < 1000; tries++) names = { ...names, remotePort: this.#ephemeral() };
    if (this.#find(names) !== undefined || !this.#makeRoom()) {
      this.#world.counters.add("tcp-too-many");
      peer.reset();
      return DEAF;
    }
    const connection = TcpConnection.toGuest(this.#world, names, peer, Math.random() * 0x100000000);
    this.#add(connection);
    return connection;
  }

  #ephemeral(): number {
    this.#nextPort = this.#nextPort >= 0xffff ? FIRST_EPHEMERAL : this.#nextPort + 1;
    return this.#nextPort;
  }

  #makeRoom(): boolean {
    if (this.#all.size < MAX_CONNECTIONS) return true;
    let silent: TcpConnection | undefined;
    for (const connection of this.#all) {
      if (connection.state === "time-wait") {
        connection.abort();
        return true;
      }
      if (silent === undefined || connection.lastHeardMs < silent.lastHeardMs) silent = connection;
    }
    if (silent === undefined || this.#world.host.nowMs() - silent.lastHeardMs < SILENT_MS) return false;
    silent.kill();
    return true;
  }

  #find(names: TcpNames): TcpConnection | undefined {
    return this.#byRemote.get(names.remoteIp * 0x10000 + names.remotePort)?.get((names.guestIp & 0xff) * 0x10000 + names.guestPort);
  }

  #add(connection: TcpConnection): void {
    const { names } = connection;
    const remote = names.remoteIp * 0x10000 + names.remotePort;
    let guests = this.#byRemote.get(remote);
    if (guests === undefined) {
      guests = new Map();
      this.#byRemote.set(remote, guests);
    }
    guests.set((names.guestIp & 0xff) * 0x10000 + names.guestPort, connection);
    this.#all.add(connection);
  }

  /** The connection is over. */
  remove(connection: TcpConnection): void {
    const { names } = connection;
    this.#all.delete(connection);
    const remote = names.remoteIp * 0x10000 + names.remotePort;
    const guests = this.#byRemote.get(remote);
    const guest = (names.guestIp & 0xff) * 0x10000 + names.guestPort;
    if (guests?.get(guest) !== connection) return;
    guests.delete(guest);
    if (guests.size === 0) this.#byRemote.delete(remote);
  }

  /** A reset for a segment that belongs to nothing (RFC 9293 §3.10.7.1). */
  #refuse(packet: IpPacket, s: TcpSegment): void {
    const { wire } = this.#world;
    const { frame } = wire;
    const acks = (s.flags & TCP.ACK) !== 0;
    const length = s.dataEnd - s.dataStart + ((s.flags & TCP.SYN) !== 0 ? 1 : 0) + ((s.flags & TCP.FIN) !== 0 ? 1 : 0);
    put16(frame, L4_AT, s.destinationPort);
    put16(frame, L4_AT + 2, s.sourcePort);
    put32(frame, L4_AT + 4, acks ? s.ack : 0);
    put32(frame, L4_AT + 8, acks ? 0 : (s.seq + length) >>> 0);
    frame[L4_AT + 12] = 0x50;
    frame[L4_AT + 13] = acks ? TCP.RST : TCP.RST | TCP.ACK;
    put32(frame, L4_AT + 14, 0);
    put16(frame, L4_AT + 18, 0);
    wire.sendTcp(packet.sourceMac, packet.destination, packet.source, TCP.HEADER, 0, 1460);
  }

  /** A guest was heard of: what waits to connect to it goes ahead. */
  guestAppeared(ip: number): void {
    for (const connection of this.#all) if (connection.names.guestIp === ip) connection.guestAppeared();
  }

  /** Connections with a timer; each is told the time. False: none has one. */
  tick(nowMs: number): boolean {
    let timed = false;
    for (const connection of this.#all) {
      connection.tick(nowMs);
      timed ||= connection.timed;
    }
    return timed;
  }

  close(): void {
    for (const connection of this.#all) connection.abort();
  }
}

const DEAF: TcpEvents = { connected() {}, data() {}, ended() {}, drained() {}, closed() {} };
