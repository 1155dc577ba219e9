import type { FrameOffload, NetBackend, NetOffloads } from "../api/index.ts";
import { ANY_BROADCAST, LAN, isGuestAddress, onLan } from "./address.ts";
import { get16, getMac } from "./bytes.ts";
import { Counters } from "./counters.ts";
import { DhcpServer } from "./dhcp.ts";
import { Reassembly } from "./fragments.ts";
import type { HostListener, SocketHost } from "./host.ts";
import { Icmp, UNREACHABLE } from "./icmp.ts";
import { Neighbours } from "./neighbours.ts";
import { ETHER, PROTOCOL, emptyPacket, parseIpv4Frame } from "./packet.ts";
import type { IpPacket } from "./packet.ts";
import { Routes } from "./routes.ts";
import type { RouteOptions } from "./routes.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import { TcpTable } from "./tcp/table.ts";
import { MemoryBudget } from "./tcp/world.ts";
import type { TcpWorld } from "./tcp/world.ts";
import { UdpNat } from "./udp.ts";
import { Wire } from "./wire.ts";

/** A port of the host that leads into the guest. */
export interface HostForward {
  readonly protocol: "tcp" | "udp";
  /** Where the host listens; port 0: any free one. */
  readonly hostAddress: string;
  readonly hostPort: number;
  /** A guest's address on 10.0.2.0/24. */
  readonly guestIp: number;
  readonly guestPort: number;
}

export interface UserNetOptions extends Partial<RouteOptions> {
  readonly forwards?: readonly HostForward[];
}

const TICK_MS = 100;
/** Frames that the guest owns up to: a group address as sender is nonsense. */
const GROUP_BIT = 0x010000000000;

/**
 * A network for one guest without any privileges: 10.0.2.0/24 with a router, a name server and DHCP, whose way out are ordinary
 * sockets of the host. Everything that the guest sends is hostile.
 */
export class UserNet implements NetBackend {
  readonly name = "user";
  readonly offloads: NetOffloads = { checksum: true, tso4: true };
  readonly #counters = new Counters();
  readonly #host: SocketHost;
  readonly #wire: Wire;
  readonly #neighbours: Neighbours;
  readonly #icmp: Icmp;
  readonly #fragments: Reassembly;
  readonly #udp: UdpNat;
  readonly #tcp: TcpTable;
  readonly #listeners: HostListener[] = [];
  readonly #packet: IpPacket = emptyPacket();
  readonly #owing = new Set<TcpConnection>();
  #waiting = new Set<TcpConnection>();
  #stopTicks: (() => void) | undefined;
  #closed = false;
  /** The ports that forwards listen on, in order. */
  readonly forwardedPorts: number[] = [];

  private constructor(host: SocketHost, options: UserNetOptions) {
    this.#host = host;
    const counters = this.#counters;
    const routes = new Routes({ loopback: options.loopback ?? false, restrict: options.restrict ?? false }, host);
    const wire = new Wire(counters);
    this.#wire = wire;
    this.#neighbours = new Neighbours(wire, (ip) => this.#tcp.guestAppeared(ip));
    this.#icmp = new Icmp(wire, counters);
    this.#fragments = new Reassembly(counters);
    const dhcp = new DhcpServer(wire, counters, routes.restricted);
    this.#udp = new UdpNat({ wire, host, routes, neighbours: this.#neighbours, icmp: this.#icmp, dhcp, counters, ticks: () => this.#startTicks() });
    const world: TcpWorld = {
      wire,
      host,
      neighbours: this.#neighbours,
      icmp: this.#icmp,
      counters,
      memory: new MemoryBudget(),
      owesAck: (connection) => {
        this.#owing.add(connection);
        // For cards that never say that a batch is over.
        this.#startTicks();
      },
      waits: (connection) => this.#waiting.add(connection),
      ticks: () => this.#startTicks(),
      forget: (connection) => this.#forget(connection),
    };
    this.#tcp = new TcpTable(world, routes);
  }

  /** Opens the network and its forwards; rejects with a `VmmError` of one line when a port cannot be had. */
  static async open(host: SocketHost, options: UserNetOptions = {}): Promise<UserNet> {
    const net = new UserNet(host, options);
    try {
      for (const forward of options.forwards ?? []) net.forwardedPorts.push(await net.#forward(forward));
    } catch (error) {
      net.close();
      throw error;
    }
    return net;
  }

  async #forward({ protocol, hostAddress, hostPort, guestIp, guestPort }: HostForward): Promise<number> {
    const at = { address: hostAddress, port: hostPort };
    if (protocol === "udp") return await this.#udp.forward(at, guestIp, guestPort);
    const listener = await this.#host.listenTcp(at, (peer, from) => this.#tcp.accept(peer, from, guestIp, guestPort));
    this.#listeners.push(listener);
    return listener.port;
  }

  get onReceive(): ((frame: Uint8Array, offload?: FrameOffload) => boolean) | undefined {
    return this.#wire.receiver;
  }
  set onReceive(receiver: ((frame: Uint8Array, offload?: FrameOffload) => boolean) | undefined) {
    this.#wire.receiver = receiver;
    this.#wire.clear();
  }

  setGuestOffloads(accepted: NetOffloads): void {
    this.#wire.accepted = accepted;
  }

  send(frame: Uint8Array, offload?: FrameOffload): void {
    if (this.#closed) return;
    const counters = this.#counters;
    counters.fromGuestFrames++;
    counters.fromGuestBytes += frame.length;
    if (frame.length < ETHER.HEADER) return counters.add("frame-short");
    const source = getMac(frame, 6);
    if (Math.floor(source / GROUP_BIT) % 2 === 1) return counters.add("frame-source");
    const destination = getMac(frame, 0);
    const group = Math.floor(destination / GROUP_BIT) % 2 === 1;
    if (!group && destination !== LAN.GATEWAY_MAC && destination !== LAN.DNS_MAC) return counters.add("frame-not-for-us");
    const type = get16(frame, 12);
    if (type === ETHER.ARP) return this.#neighbours.receive(frame);
    if (type !== ETHER.IPV4) return counters.add("frame-type");
    this.#ipv4(frame, group, offload !== undefined && offload.csumStart !== 0);
  }

  #ipv4(frame: Uint8Array, group: boolean, unfinished: boolean): void {
    const packet = this.#packet;
    const problem = parseIpv4Frame(frame, packet);
    if (problem !== undefined) return this.#counters.add(problem);
    packet.unfinished = unfinished;
    const { source, destination } = packet;
    if (isGuestAddress(source)) this.#neighbours.learn(source, packet.sourceMac);
    // Without an address a guest can only ask for one.
    else if (source !== 0 || destination !== ANY_BROADCAST || packet.protocol !== PROTOCOL.UDP) return this.#counters.add("ip-source");
    if (packet.moreFragments || packet.fragmentOffset !== 0) {
      this.#startTicks();
      if (!this.#fragments.add(packet, this.#host.nowMs())) return;
    }
    // A unicast in a group frame, or the other way round, is somebody's mistake (RFC 1122 §3.3.6); DHCP clients without an address may.
    if (group && packet.protocol === PROTOCOL.TCP) return this.#counters.add("frame-not-for-us");
    const local = destination === LAN.GATEWAY || destination === LAN.DNS;
    if (!local && !group && packet.ttl <= 1) return this.#icmp.timeExceeded(packet);
    if (!local && !group && onLan(destination)) {
      this.#counters.add("ip-no-route");
      return this.#icmp.unreachable(packet, UNREACHABLE.HOST);
    }
    switch (packet.protocol) {
      case PROTOCOL.TCP:
        return this.#tcp.receive(packet);
      case PROTOCOL.UDP:
        return this.#udp.receive(packet);
      case PROTOCOL.ICMP:
        return group ? undefined : this.#icmp.receive(packet);
      default:
        this.#counters.add("ip-protocol");
        if (!group) this.#icmp.unreachable(packet, UNREACHABLE.PROTOCOL);
    }
  }

  flush(): void {
    if (this.#owing.size === 0) return;
    for (const connection of this.#owing) {
      if (!connection.sendOwedAck()) return;
      this.#owing.delete(connection);
    }
  }

  ready(): void {
    if (this.#closed || !this.#wire.ready()) return;
    this.flush();
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const connection of waiting) connection.output();
  }

  /** Traffic and reasons of drops, connections and sockets. */
  stats(): Readonly<Record<string, number>> {
    return { ...this.#counters.all(), tcpConnections: this.#tcp.size, udpSockets: this.#udp.mappings };
  }

  #forget(connection: TcpConnection): void {
    this.#tcp.remove(connection);
    this.#owing.delete(connection);
    this.#waiting.delete(connection);
  }

  #startTicks(): void {
    if (this.#closed) return;
    this.#stopTicks ??= this.#host.every(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    const now = this.#host.nowMs();
    this.flush();
    this.#fragments.expire(now);
    this.#udp.expire(now);
    const timed = this.#tcp.tick(now);
    if (timed || this.#fragments.pending > 0 || this.#udp.mappings > 0) return;
    this.#stopTicks?.();
    this.#stopTicks = undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wire.receiver = undefined;
    this.#stopTicks?.();
    this.#stopTicks = undefined;
    for (const listener of this.#listeners) listener.close();
    this.#tcp.close();
    this.#udp.close();
  }
}
