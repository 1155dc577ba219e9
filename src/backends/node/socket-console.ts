import * as fs from "node:fs";
import * as net from "node:net";
import { VmmError } from "../../base/index.ts";
import type { ConsoleBackend } from "../api/index.ts";
import { removeAtExit } from "./at-exit.ts";
import { listenReason } from "./host-error.ts";
import { errorCode } from "./lock.ts";

export type SocketPlace = { readonly kind: "unix"; readonly path: string } | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** What nobody has taken yet is kept up to this size; then the oldest goes. */
const MAX_KEPT_BYTES = 256 * 1024;
/** Bytes gathered before they go to the socket. */
const BATCH_BYTES = 4096;
/** Longest path that every system takes for a Unix socket (104 bytes on BSD, one for the end). */
const MAX_SOCKET_PATH = 103;
/** Input that the guest has not read: above this the client has to wait, below the other it may go on. */
const MAX_INPUT_BYTES = 65536;
const LOW_INPUT_BYTES = 4096;
/** How long the last output waits for its reader at the end. */
const FAREWELL_MS = 1000;

/**
 * A serial line on a listening socket: raw bytes both ways, one client at a time (others are turned away). Output that comes while nobody is
 * connected, or faster than the client reads, is kept, the last 256 KiB of it; the guest never waits.
 */
export class SocketConsole implements ConsoleBackend {
  onInput: ((value: number) => void) | undefined;
  /** Called after input was handed over: wakes a guest that sleeps. */
  onArrival: (() => void) | undefined;
  /** Tells how much of the input the guest has not read yet; without it the client is never held up. */
  waitingInput: (() => number) | undefined;
  readonly #server: net.Server;
  readonly #socketFile: { remove(): boolean } | undefined;
  #client: net.Socket | undefined;
  #batch = Buffer.alloc(BATCH_BYTES);
  #used = 0;
  #scheduled = false;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #retry: ReturnType<typeof setInterval> | undefined;

  private constructor(server: net.Server, socketFile: { remove(): boolean } | undefined) {
    this.#server = server;
    this.#socketFile = socketFile;
    server.on("connection", (socket) => this.#accept(socket));
    // The machine keeps the process alive, not whoever might connect.
    server.unref();
  }

  /** Listens, or throws `SOCKET_UNUSABLE` in one line. A socket that a dead process left behind is replaced; one that somebody listens on is not. */
  static async listen(place: SocketPlace, flag = ""): Promise<SocketConsole> {
    const name = place.kind === "unix" ? place.path : `${place.host.includes(":") ? `[${place.host}]` : place.host}:${place.port}`;
    const failed = (why: string): VmmError => new VmmError("SOCKET_UNUSABLE", `${flag}${place.kind}:${name}: ${why}`);
    const server = net.createServer({ noDelay: true });
    if (place.kind === "tcp") {
      await start(server, { host: place.host, port: place.port }, failed);
      return new SocketConsole(server, undefined);
    }
    if (Buffer.byteLength(place.path) > MAX_SOCKET_PATH) throw failed(`a socket's path has at most ${MAX_SOCKET_PATH} bytes`);
    const stat = fs.lstatSync(place.path, { throwIfNoEntry: false });
    if (stat !== undefined) {
      if (!stat.isSocket()) throw failed("exists and is no socket");
      if (await answers(place.path)) throw failed("somebody listens there already");
      fs.rmSync(place.path, { force: true });
    }
    await start(server, { path: place.path }, failed);
    try {
      fs.chmodSync(place.path, 0o600);
    } catch {
      // The umask has to do.
    }
    return new SocketConsole(server, removeAtExit(place.path));
  }

  /** The TCP port it listens on; undefined on a Unix socket. */
  get port(): number | undefined {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : undefined;
  }

  writeByte(value: number): void {
    this.#batch[this.#used++] = value;
    if (this.#used === BATCH_BYTES) this.#flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#kept.push(Buffer.from(this.#batch.subarray(0, this.#used)));
    this.#keptBytes += this.#used;
    this.#used = 0;
    this.#send();
    while (this.#keptBytes > MAX_KEPT_BYTES) this.#keptBytes -= this.#kept.shift()?.length ?? this.#keptBytes;
  }

  /** Gives the client what is kept, as long as it takes something. */
  #send(): void {
    const client = this.#client;
    while (client?.writable === true && !client.writableNeedDrain) {
      const next = this.#kept.shift();
      if (next === undefined) return;
      this.#keptBytes -= next.length;
      client.write(next);
    }
  }

  #accept(socket: net.Socket): void {
    socket.on("error", () => socket.destroy());
    if (this.#client !== undefined) {
      socket.destroy();
      return;
    }
    this.#client = socket;
    socket.unref();
    socket.on("drain", () => this.#send());
    socket.on("data", (bytes) => {
      for (const byte of bytes) this.onInput?.(Number(byte));
      this.onArrival?.();
      if ((this.waitingInput?.() ?? 0) > MAX_INPUT_BYTES) this.#holdUp(socket);
    });
    socket.on("close", () => {
      if (this.#client === socket) this.#client = undefined;
    });
    this.#send();
  }

  #holdUp(socket: net.Socket): void {
    socket.pause();
    clearInterval(this.#retry);
    this.#retry = setInterval(() => {
      if (!socket.destroyed && (this.waitingInput?.() ?? 0) > LOW_INPUT_BYTES) return;
      clearInterval(this.#retry);
      socket.resume();
    }, 20).unref();
  }

  /** Sends the last output to a client that reads it, and closes. */
  async close(): Promise<void> {
    clearInterval(this.#retry);
    this.#flush();
    this.#server.close();
    const client = this.#client;
    if (client !== undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, FAREWELL_MS);
        const drain = (): void => {
          this.#send();
          if (this.#kept.length === 0) client.end(resolve);
        };
        client.on("drain", drain);
        client.on("close", () => {
          clearTimeout(timer);
          resolve();
        });
        drain();
      });
      client.destroy();
    }
    this.#socketFile?.remove();
  }
}

function start(server: net.Server, where: net.ListenOptions, failed: (why: string) => VmmError): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(failed(`cannot listen (${listenReason(error, where.path)})`)));
    server.listen(where, () => {
      server.removeAllListeners("error");
      // Too many open files, or a client that is gone before it is taken: the line stays open for the next.
      server.on("error", () => {});
      resolve();
    });
  });
}

/** Whether somebody listens on a Unix socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => resolve(errorCode(error) !== "ECONNREFUSED" && errorCode(error) !== "ENOENT"));
  });
}
