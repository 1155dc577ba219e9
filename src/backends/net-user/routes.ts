import { formatIpv4, isHostOnly, isUnroutable, LAN, onLan, parseIpv4 } from "./address.ts";
import type { HostEndpoint, SocketHost } from "./host.ts";

export interface RouteOptions {
  /** The gateway's address reaches the host's 127.0.0.1, and the host's own and link-local addresses are open. */
  readonly loopback: boolean;
  /** Nothing leaves the guest's network. */
  readonly restrict: boolean;
}

const LOOPBACK = 0x7f000001;

/** Decides where a guest may go: the one place that keeps it from the host's own services. */
export class Routes {
  readonly #options: RouteOptions;
  readonly #host: SocketHost;

  constructor(options: RouteOptions, host: SocketHost) {
    this.#options = options;
    this.#host = host;
  }

  get restricted(): boolean {
    return this.#options.restrict;
  }

  /** The host's endpoint for an address and port that the guest named; undefined: refused. The name server is not routed here. */
  outbound(ip: number, port: number): HostEndpoint | undefined {
    if (this.#options.restrict || port === 0 || isUnroutable(ip)) return undefined;
    if (ip === LAN.GATEWAY) return this.#options.loopback ? { address: formatIpv4(LOOPBACK), port } : undefined;
    if (onLan(ip)) return undefined;
    if (!this.#options.loopback && (isHostOnly(ip) || this.#host.ownsAddress(ip))) return undefined;
    return { address: formatIpv4(ip), port };
  }

  /**
   * The address that a guest sees for somebody who speaks to it through the host: the gateway's for the host itself and for what
   * has no IPv4 address of its own.
   */
  inbound(address: string): number {
    const ip = parseIpv4(address.startsWith("::ffff:") ? address.slice(7) : address);
    if (ip === undefined || isUnroutable(ip) || isHostOnly(ip) || onLan(ip) || this.#host.ownsAddress(ip)) return LAN.GATEWAY;
    return ip;
  }
}
