import * as dgram from "node:dgram";
import * as dns from "node:dns";
import * as fs from "node:fs";
import * as net from "node:net";
import { RCODE, RECORD, dnsReply, encodeName, parseIpv4, parseQuestion } from "../../net-user/index.ts";
import type { HostEndpoint } from "../../net-user/index.ts";

export interface NameServiceOptions {
  /** Instead of those in /etc/resolv.conf. */
  readonly resolvers?: readonly HostEndpoint[];
  readonly resolvConf?: string;
  /** Answer with the system's resolver (`/etc/hosts`, mDNS, ...) and never speak to a name server. */
  readonly systemOnly?: boolean;
}

/** Each resolver gets this long, then the next one; a guest asks again after five seconds. */
const PATIENCE_MS = 2000;
const MAX_TRIES = 3;
/** The file may change: a laptop moves. */
const REREAD_MS = 5000;

/** The host's name resolution for guests: queries go on to its name servers as they are, or, when it has none, to its C library. */
export class NameService {
  readonly #options: NameServiceOptions;
  #servers: readonly HostEndpoint[] = [];
  #readMs = Number.NEGATIVE_INFINITY;

  constructor(options: NameServiceOptions) {
    this.#options = options;
  }

  #list(): readonly HostEndpoint[] {
    if (this.#options.systemOnly === true) return [];
    if (this.#options.resolvers !== undefined) return this.#options.resolvers;
    const now = performance.now();
    if (now - this.#readMs > REREAD_MS) {
      this.#readMs = now;
      this.#servers = readResolvConf(this.#options.resolvConf ?? "/etc/resolv.conf");
    }
    return this.#servers;
  }

  server(): HostEndpoint | undefined {
    return this.#list()[0];
  }

  query(query: Uint8Array, onAnswer: (answer: Uint8Array | undefined) => void): void {
    const servers = this.#list();
    if (servers.length === 0) void systemAnswer(query).then(onAnswer, () => onAnswer(undefined));
    else new Forwarding(query, servers, onAnswer).next();
  }
}

/** One query on its way to one server after the other, each time from a port of its own. */
class Forwarding {
  readonly #query: Uint8Array;
  readonly #servers: readonly HostEndpoint[];
  readonly #onAnswer: (answer: Uint8Array | undefined) => void;
  #tries = 0;

  constructor(query: Uint8Array, servers: readonly HostEndpoint[], onAnswer: (answer: Uint8Array | undefined) => void) {
    this.#query = query;
    this.#servers = servers;
    this.#onAnswer = onAnswer;
  }

  next(): void {
    const server = this.#servers[this.#tries % this.#servers.length];
    if (this.#tries++ >= MAX_TRIES || server === undefined) {
      setImmediate(this.#onAnswer, undefined);
      return;
    }
    const socket = dgram.createSocket(net.isIPv6(server.address) ? "udp6" : "udp4");
    let over = false;
    const finish = (then: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      socket.close();
      then();
    };
    const timer = setTimeout(() => finish(() => this.next()), PATIENCE_MS);
    timer.unref();
    socket.unref();
    socket.on("error", () => finish(() => this.next()));
    socket.on("message", (answer) => {
      // Connected: only the server itself gets here. Still it must be about this query.
      if (answer.length >= 12 && answer[0] === this.#query[0] && answer[1] === this.#query[1]) finish(() => this.#onAnswer(answer));
    });
    // A connected socket hears of a closed port (ECONNREFUSED) instead of waiting.
    socket.connect(server.port, server.address, () => {
      if (!over) socket.send(this.#query, (error) => (error === null ? undefined : finish(() => this.next())));
    });
  }
}

/** `nameserver` lines (resolv.conf(5)); empty when there is no such file. */
export function readResolvConf(file: string): readonly HostEndpoint[] {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch {
    return [];
  }
  const found: HostEndpoint[] = [];
  for (const line of text.split("\n")) {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
    if (address !== undefined && net.isIP(address.replace(/%.*$/, "")) !== 0) found.push({ address, port: 53 });
  }
  return found;
}

async function systemAnswer(query: Uint8Array): Promise<Uint8Array> {
  const question = parseQuestion(query);
  if (question === undefined) return dnsReply(query, RCODE.FORMAT);
  try {
    switch (question.type) {
      case RECORD.A:
      case RECORD.AAAA: {
        const family = question.type === RECORD.A ? 4 : 6;
        const found = await dns.promises.lookup(question.name, { all: true, family });
        const records = found.map(({ address }) => (family === 4 ? ipv4Record(address) : ipv6Record(address)));
        return dnsReply(query, RCODE.OK, records);
      }
      case RECORD.PTR: {
        const reversed = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(question.name);
        if (reversed === null) return dnsReply(query, RCODE.NO_NAME);
        const { hostname } = await dns.promises.lookupService(reversed.slice(1).toReversed().join("."), 0);
        const name = encodeName(hostname);
        return dnsReply(query, RCODE.OK, name === undefined ? [] : [name]);
      }
      default:
        return dnsReply(query, RCODE.NOT_IMPLEMENTED);
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    // The C library does not tell an unknown name from a name without such an address.
    return dnsReply(query, code === "ENOTFOUND" ? RCODE.NO_NAME : RCODE.SERVER_FAILURE);
  }
}

function ipv4Record(address: string): Uint8Array {
  const ip = parseIpv4(address) ?? 0;
  return Uint8Array.of(ip >>> 24, ip >>> 16, ip >>> 8, ip);
}

/** An IPv6 address in text to its 16 bytes. */
function ipv6Record(address: string): Uint8Array {
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const words = (text: string): number[] =>
    text === ""
      ? []
      : text.split(":").flatMap((part) => {
          const ip = parseIpv4(part);
          return ip === undefined ? [Number.parseInt(part, 16)] : [ip >>> 16, ip & 0xffff];
        });
  const front = words(head);
  const back = words(tail ?? "");
  const all = tail === undefined ? front : [...front, ...Array.from({ length: Math.max(0, 8 - front.length - back.length) }, () => 0), ...back];
  const out = new Uint8Array(16);
  for (const [i, word] of all.slice(0, 8).entries()) {
    out[2 * i] = word >>> 8;
    out[2 * i + 1] = word;
  }
  return out;
}
