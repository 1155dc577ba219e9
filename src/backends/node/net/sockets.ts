import * as dgram from "node:dgram";
import * as net from "node:net";
import * as os from "node:os";
import { performance } from "node:perf_hooks";
import { VmmError } from "../../../base/index.ts";
import { parseIpv4 } from "../../net-user/index.ts";
import type { HostEndpoint, HostListener, SocketHost, TcpEvents, TcpFailure, TcpPeer, UdpPeer, UdpReceiver } from "../../net-user/index.ts";
import { NameService } from "./names.ts";
import type { NameServiceOptions } from "./names.ts";

/** How long the list of this computer's addresses is believed. */
const ADDRESSES_MS = 2000;

/** Sockets of this process for the user-mode network. */
export class NodeSockets implements SocketHost {
  readonly #names: NameService;
  #addresses: ReadonlySet<number> = new Set();
  #addressesMs = Number.NEGATIVE_INFINITY;

  constructor(options: NameServiceOptions = {}) {
    this.#names = new NameService(options);
  }

  nowMs(): number {
    return performance.now();
  }

  every(intervalMs: number, callback: () => void): () => void {
    const timer = setInterval(callback, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  }

  connectTcp(to: HostEndpoint, events: TcpEvents): TcpPeer {
    const socket = net.connect({ host: to.address, port: to.port, allowHalfOpen: true, noDelay: true });
    return new NodePeer(socket, events);
  }

  listenTcp(at: HostEndpoint, onAccept: (peer: TcpPeer, from: HostEndpoint) => TcpEvents): Promise<HostListener> {
    return new Promise((resolve, reject) => {
      const server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
        const peer = new NodePeer(socket);
        peer.events = onAccept(peer, { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 });
      });
      server.once("error", (error) => reject(listenError("tcp", at, error)));
      server.listen({ host: at.address, port: at.port }, () => {
        // A failing accept (too many open files) must not end the process.
        server.on("error", () => {});
        const address = server.address();
        resolve({ port: typeof address === "object" && address !== null ? address.port : at.port, close: () => void server.close() });
      });
    });
  }

  openUdp(onMessage: UdpReceiver): UdpPeer {
    return new NodeUdp(dgram.createSocket("udp4"), onMessage);
  }

  listenUdp(at: HostEndpoint, onMessage: UdpReceiver): Promise<UdpPeer & HostListener> {
    return new Promise((resolve, reject) => {
      const socket = dgram.createSocket(net.isIPv6(at.address) ? "udp6" : "udp4");
      const failed = (error: Error): void => {
        socket.close();
        reject(listenError("udp", at, error));
      };
      socket.once("error", failed);
      socket.bind({ address: at.address, port: at.port, exclusive: true }, () => {
        socket.off("error", failed);
        resolve(new NodeUdp(socket, onMessage));
      });
    });
  }

  ownsAddress(ip: number): boolean {
    const now = this.nowMs();
    if (now - this.#addressesMs > ADDRESSES_MS) {
      this.#addressesMs = now;
      this.#addresses = ownAddresses();
    }
    return this.#addresses.has(ip);
  }

  queryDns(query: Uint8Array, onAnswer: (answer: Uint8Array | undefined) => void): void {
    this.#names.query(query, onAnswer);
  }

  dnsServer(): HostEndpoint | undefined {
    return this.#names.server();
  }
}

function ownAddresses(): ReadonlySet<number> {
  const found = new Set<number>();
  for (const list of Object.values(os.networkInterfaces())) {
    for (const { address } of list ?? []) {
      const ip = parseIpv4(address);
      if (ip !== undefined) found.add(ip);
    }
  }
  return found;
}

function listenError(protocol: string, at: HostEndpoint, cause: Error): VmmError {
  const code = "code" in cause ? String(cause.code) : "";
  const where = `${protocol} ${at.address}:${at.port}`;
  switch (code) {
    case "EADDRINUSE":
      return new VmmError("NET_PORT_IN_USE", `hostfwd: ${where} is in use by another program; choose another port`, { cause });
    case "EACCES":
    case "EPERM":
      return new VmmError("NET_PORT_DENIED", `hostfwd: no permission to listen on ${where}; choose a port above 1023`, { cause });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new VmmError("NET_ADDRESS", `hostfwd: ${at.address} is not an address of this computer`, { cause });
    default:
      return new VmmError("NET_LISTEN", `hostfwd: cannot listen on ${where} (${code === "" ? cause.message : code})`, { cause });
  }
}

function failureOf(error: Error): TcpFailure {
  switch ("code" in error ? error.code : "") {
    case "ECONNREFUSED":
      return "refused";
    case "ENETUNREACH":
    case "EHOSTUNREACH":
    case "EADDRNOTAVAIL":
    case "EACCES":
    case "EPERM":
    case "EINVAL":
      return "unreachable";
    case "ETIMEDOUT":
      return "timeout";
    default:
      return "reset";
  }
}

class NodePeer implements TcpPeer {
  readonly #socket: net.Socket;
  /** Undefined: nobody listens yet, or any more. */
  events: TcpEvents | undefined;
  #failure: TcpFailure | undefined;
  readonly #drained = (): void => this.events?.drained();

  constructor(socket: net.Socket, events?: TcpEvents) {
    this.#socket = socket;
    this.events = events;
    socket.on("connect", () => this.events?.connected());
    socket.on("data", (bytes) => this.events?.data(bytes));
    socket.on("end", () => this.events?.ended());
    socket.on("error", (error) => {
      this.#failure = failureOf(error);
    });
    socket.on("close", () => this.events?.closed(this.#failure));
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }
  write(bytes: Uint8Array): void {
    if (!this.#socket.destroyed && this.#socket.writable) this.#socket.write(bytes, this.#drained);
  }
  end(): void {
    this.#socket.end();
  }
  reset(): void {
    this.events = undefined;
    // A socket that is still connecting has nobody to reset.
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }
  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }
}

class NodeUdp implements UdpPeer, HostListener {
  readonly #socket: dgram.Socket;
  #closed = false;

  constructor(socket: dgram.Socket, onMessage: UdpReceiver) {
    this.#socket = socket;
    socket.on("error", () => this.close());
    socket.on("message", (data, from) => onMessage(data, from));
    socket.unref();
  }
  get port(): number {
    return this.#closed ? 0 : this.#socket.address().port;
  }
  send(data: Uint8Array, to: HostEndpoint): void {
    // Lost like any datagram when the host will not have it (no route, a broadcast address, no buffers).
    if (!this.#closed) this.#socket.send(data, to.port, to.address, () => {});
  }
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
