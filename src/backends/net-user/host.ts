/**
 * What the user-mode network needs of the world: sockets, time, names. Node implements it in `backends/node`; tests play it. Nothing
 * here throws or calls back before the call that started it has returned.
 */
export interface SocketHost {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Calls `callback` every `intervalMs` until the result is called. Does not keep the process alive. */
  every(intervalMs: number, callback: () => void): () => void;
  /** Starts connecting; `events.connected` or `events.closed` follows. */
  connectTcp(to: HostEndpoint, events: TcpEvents): TcpPeer;
  /** Rejects with a `VmmError` of one line when the port cannot be had. Port 0: any free one. */
  listenTcp(at: HostEndpoint, onAccept: (peer: TcpPeer, from: HostEndpoint) => TcpEvents): Promise<HostListener>;
  /** A socket on a port of its own choosing, on all interfaces. */
  openUdp(onMessage: UdpReceiver): UdpPeer;
  /** A socket on a given port. Rejects like `listenTcp`. */
  listenUdp(at: HostEndpoint, onMessage: UdpReceiver): Promise<UdpPeer & HostListener>;
  /** True when the address is one of this computer's own: what listens there is not meant for guests. */
  ownsAddress(ip: number): boolean;
  /** Asks the host's resolvers; the answer's message, or undefined when none came. The query is kept until then. */
  queryDns(query: Uint8Array, onAnswer: (answer: Uint8Array | undefined) => void): void;
  /** A resolver to hand TCP queries to, if there is one. */
  dnsServer(): HostEndpoint | undefined;
}

export interface HostEndpoint {
  /** A numeric address, as text. */
  readonly address: string;
  readonly port: number;
}

export interface HostListener {
  readonly port: number;
  close(): void;
}

export type UdpReceiver = (data: Uint8Array, from: HostEndpoint) => void;

export interface UdpPeer {
  /** The data is kept. What cannot be sent is lost, as datagrams are. */
  send(data: Uint8Array, to: HostEndpoint): void;
  close(): void;
}

/** A connected (or connecting) socket of the host. */
export interface TcpPeer {
  /** Sends bytes; they are kept. */
  write(bytes: Uint8Array): void;
  /** Written and not yet taken by the host's kernel. */
  readonly unsentBytes: number;
  /** No more bytes will be written: FIN after those there are. */
  end(): void;
  /** Drops the connection, with RST when that can be. No event follows. */
  reset(): void;
  /** No `data` until `resume`; a few that were on their way may still come. */
  pause(): void;
  resume(): void;
}

export type TcpFailure = "refused" | "unreachable" | "timeout" | "reset";

export interface TcpEvents {
  connected(): void;
  /** The receiver may keep the bytes. */
  data(bytes: Uint8Array): void;
  /** The other side sends no more. */
  ended(): void;
  /** `unsentBytes` went down. */
  drained(): void;
  /** The last event. Undefined: both sides ended, all is delivered. */
  closed(failure: TcpFailure | undefined): void;
}
