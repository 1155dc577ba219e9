import { createHash, randomBytes } from "node:crypto";
import * as dgram from "node:dgram";
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { VmmError } from "../../../base/index.ts";
import { LAN, RCODE, UserNet, parseQuestion } from "../../net-user/index.ts";
import type { HostForward, UserNetOptions } from "../../net-user/index.ts";
import { TestGuest, TestTcp } from "../../net-user/guest.testing.ts";
import { NameService, readResolvConf } from "./names.ts";
import { NodeSockets } from "./sockets.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).toReversed()) close();
});

interface Plugged {
  readonly net: UserNet;
  readonly guest: TestGuest;
}

async function plug(
  options: UserNetOptions & { readonly tso4?: boolean; readonly resolvers?: readonly { address: string; port: number }[] } = {},
): Promise<Plugged> {
  const user = await UserNet.open(new NodeSockets(options.resolvers === undefined ? {} : { resolvers: options.resolvers }), {
    loopback: true,
    ...options,
  });
  const guest = new TestGuest(user, { checksum: options.tso4 ?? false, tso4: options.tso4 ?? false });
  guest.keepFrames = false;
  closers.push(() => user.close());
  return { net: user, guest };
}

async function serve(onSocket: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    closers.push(() => socket.destroy());
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

function client(guest: TestGuest, port: number, options: { mss?: number; window?: number } = {}): TestTcp {
  const tcp = new TestTcp(guest, LAN.GATEWAY, port, 40_000 + Math.floor(Math.random() * 10_000), options);
  closers.push(() => tcp.detach());
  return tcp;
}

const sha = (parts: readonly Uint8Array[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};
const forward = (protocol: "tcp" | "udp", guestPort: number): HostForward => ({
  protocol,
  hostAddress: "127.0.0.1",
  hostPort: 0,
  guestIp: LAN.GUEST,
  guestPort,
});

/** Loses and delays frames, by a generator with a fixed seed. */
function bad(loss: number, reorder: number, seed: number): (frame: Uint8Array, deliver: (frame: Uint8Array) => void) => void {
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return (frame, deliver) => {
    if (random() < loss) return;
    if (random() < reorder) setTimeout(() => deliver(frame), random() * 8);
    else deliver(frame);
  };
}

describe("TCP out of the guest", () => {
  it("talks to a server, and each side ends by itself", async () => {
    const port = await serve((socket) => {
      const got: Uint8Array[] = [];
      socket.on("data", (d) => got.push(d));
      // Answers only after the guest has said all it has to say: a half-closed connection.
      socket.on("end", () => socket.end(`you said ${Buffer.concat(got).toString()}`));
    });
    const { guest, net: user } = await plug();
    const tcp = client(guest, port);
    await tcp.connect();
    tcp.write(Buffer.from("hello"));
    tcp.end();
    await tcp.until(() => tcp.peerEnded);
    expect(Buffer.concat(tcp.received).toString()).toBe("you said hello");
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(user.stats()["tcpConnections"]).toBe(0);
  });

  it("lets the server end first", async () => {
    let fromGuest = "";
    const ended = new Promise<void>((resolve) => {
      void serve((socket) => {
        socket.end("bye");
        socket.on("data", (d) => (fromGuest += d.toString()));
        socket.on("end", resolve);
      }).then(async (port) => {
        const { guest } = await plug();
        const tcp = client(guest, port);
        await tcp.connect();
        await tcp.until(() => tcp.peerEnded);
        tcp.write(Buffer.from("wait, "));
        tcp.write(Buffer.from("one more thing"));
        tcp.end();
      });
    });
    await ended;
    expect(fromGuest).toBe("wait, one more thing");
  });

  it("refuses where nobody listens", async () => {
    const probe = net.createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const address = probe.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    probe.close();
    await once(probe, "close");
    const { guest } = await plug();
    await expect(client(guest, port).connect()).rejects.toThrow("connection refused");
  });

  it("carries resets both ways", async () => {
    const sockets: net.Socket[] = [];
    const port = await serve((s) => void sockets.push(s));
    const { guest } = await plug();
    const first = client(guest, port);
    await first.connect();
    await expect.poll(() => sockets.length).toBe(1);
    sockets[0]?.resetAndDestroy();
    await first.until(() => first.state === "reset");
    const second = client(guest, port);
    await second.connect();
    await expect.poll(() => sockets.length).toBe(2);
    const closed = new Promise<void>((resolve) => sockets[1]?.on("close", resolve));
    second.reset();
    await closed;
  });

  it.each([
    ["small segments", false],
    ["64 KiB frames", true],
  ] as const)("downloads 20 MB in %s with the right sum", async (_name, tso4) => {
    const content = randomBytes(20 << 20);
    const port = await serve((socket) => socket.end(content));
    const { guest } = await plug({ tso4 });
    const tcp = client(guest, port);
    await tcp.connect();
    await tcp.until(() => tcp.peerEnded);
    expect(sha(tcp.received)).toBe(sha([content]));
  });

  it("transfers 20 MB through loss and reordering, both ways at once", async () => {
    const down = randomBytes(10 << 20);
    const up = randomBytes(10 << 20);
    const got: Uint8Array[] = [];
    const served = new Promise<void>((resolve) => {
      void serve((socket) => {
        socket.write(down);
        socket.on("data", (d) => got.push(d));
        socket.on("end", () => {
          socket.end();
          resolve();
        });
      }).then(async (port) => {
        const { guest, net: user } = await plug();
        guest.filterIn = bad(0.005, 0.02, 1);
        guest.filterOut = bad(0.005, 0.02, 2);
        const tcp = client(guest, port);
        await tcp.connect();
        tcp.write(up);
        await tcp.until(() => tcp.receivedBytes === down.length && tcp.unacknowledged === 0);
        tcp.end();
        await tcp.until(() => tcp.peerEnded);
        expect(sha(tcp.received)).toBe(sha([down]));
        expect(user.stats()["retransmits"]).toBeGreaterThan(5);
      });
    });
    await served;
    expect(sha(got)).toBe(sha([up]));
  });

  it("loses large frames and recovers", async () => {
    const content = randomBytes(20 << 20);
    const port = await serve((socket) => socket.end(content));
    const { guest } = await plug({ tso4: true });
    guest.filterIn = bad(0.02, 0.05, 3);
    const tcp = client(guest, port);
    await tcp.connect();
    await tcp.until(() => tcp.peerEnded);
    expect(sha(tcp.received)).toBe(sha([content]));
  });

  it("holds the server back while the guest does not read, and goes on when it does", async () => {
    let sent = 0;
    const block = randomBytes(1 << 16);
    const port = await serve((socket) => {
      const pump = (): void => {
        while (sent < 64 << 20) {
          sent += block.length;
          if (!socket.write(block)) return void socket.once("drain", pump);
        }
        socket.end();
      };
      pump();
    });
    const { guest } = await plug();
    const tcp = client(guest, port, { window: 1 << 16 });
    tcp.reading = false;
    await tcp.connect();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // What the two kernels and we hold between server and guest.
    expect(sent).toBeLessThan(24 << 20);
    const held = tcp.receivedBytes;
    expect(held).toBeLessThanOrEqual(1 << 16);
    tcp.reading = true;
    tcp.read();
    await tcp.until(() => tcp.peerEnded);
    expect(tcp.receivedBytes).toBe(64 << 20);
  });

  it("holds the guest back while the server does not read", async () => {
    const sockets: net.Socket[] = [];
    const port = await serve((s) => {
      s.pause();
      sockets.push(s);
    });
    const { guest, net: user } = await plug();
    const tcp = client(guest, port);
    await tcp.connect();
    const content = randomBytes(24 << 20);
    tcp.write(content);
    tcp.end();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(Number(user.stats()["fromGuestBytes"])).toBeLessThan(16 << 20);
    const got: Uint8Array[] = [];
    const end = new Promise<void>((resolve) => sockets[0]?.on("end", resolve));
    sockets[0]?.on("data", (d) => got.push(d));
    sockets[0]?.resume();
    await end;
    expect(sha(got)).toBe(sha([content]));
  });

  it("waits for the card when it has no room", async () => {
    const content = randomBytes(4 << 20);
    const port = await serve((socket) => socket.end(content));
    const { guest, net: user } = await plug({ tso4: true });
    let frames = 0;
    // Room for three frames, then none until the next turn: like a small ring.
    guest.filterIn = (frame, deliver) => {
      deliver(frame);
      if (++frames % 3 !== 0) return;
      guest.accepting = false;
      setImmediate(() => {
        guest.accepting = true;
        user.ready();
      });
    };
    const tcp = client(guest, port);
    await tcp.connect();
    await tcp.until(() => tcp.peerEnded);
    expect(sha(tcp.received)).toBe(sha([content]));
    expect(user.stats()["retransmits"]).toBe(0);
  });

  it("limits connections: the 513th is refused", async () => {
    const port = await serve(() => {});
    const { guest, net: user } = await plug();
    guest.onTcp = () => {};
    for (let i = 0; i < 600; i++) guest.sendTcp(LAN.GATEWAY, { fromPort: 1000 + i, port, seq: 5, flags: 2 });
    expect(user.stats()["tcpConnections"]).toBe(512);
    expect(user.stats()["drop.tcp-too-many"]).toBe(88);
  });
});

describe("port forwards", () => {
  it("carries a connection from the host into the guest, finding it by ARP", async () => {
    const { guest, net: user } = await plug({ loopback: false, forwards: [forward("tcp", 22)] });
    const socket = net.connect(user.forwardedPorts[0] ?? 0, "127.0.0.1");
    closers.push(() => socket.destroy());
    const [asked] = await new Promise<[{ ip: number; port: number }]>((resolve) => {
      guest.onTcp = (packet, segment) => resolve([{ ip: packet.source, port: segment.sourcePort }]);
    });
    expect(asked).toEqual({ ip: LAN.GATEWAY, port: socket.localPort });
    const server = new TestTcp(guest, LAN.GATEWAY, asked.port, 22);
    closers.push(() => server.detach());
    server.attach();
    await server.until(() => server.state === "open");
    server.write(Buffer.from("SSH-2.0-test\r\n"));
    const [banner] = await once(socket, "data");
    expect(String(banner)).toBe("SSH-2.0-test\r\n");
    socket.end("quit");
    await server.until(() => server.peerEnded);
    expect(Buffer.concat(server.received).toString()).toBe("quit");
    server.end();
    await once(socket, "end");
  });

  it("drops the host's connection when nobody listens in the guest", async () => {
    const { guest, net: user } = await plug({ forwards: [forward("tcp", 22)] });
    guest.onTcp = (_packet, s) => guest.sendTcp(LAN.GATEWAY, { fromPort: 22, port: s.sourcePort, seq: 0, ack: (s.seq + 1) >>> 0, flags: 0x14 });
    const socket = net.connect(user.forwardedPorts[0] ?? 0, "127.0.0.1");
    const closed = new Promise<void>((resolve) => socket.on("error", () => {}).on("close", () => resolve()));
    await closed;
  });

  it("carries datagrams in and their answers back, under restrict=on too", async () => {
    const { guest, net: user } = await plug({ restrict: true, forwards: [forward("udp", 69)] });
    const socket = dgram.createSocket("udp4");
    closers.push(() => socket.close());
    // The guest has not been heard of yet: the first datagram makes the network ask for it.
    socket.send("ping", user.forwardedPorts[0], "127.0.0.1");
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.send("ping", user.forwardedPorts[0], "127.0.0.1");
    const seen = await guest.nextUdp();
    expect([Buffer.from(seen.data).toString(), seen.from, seen.port]).toEqual(["ping", LAN.GATEWAY, 69]);
    guest.sendUdp(69, seen.from, seen.fromPort, Buffer.from("pong"));
    const [answer] = await once(socket, "message");
    expect(String(answer)).toBe("pong");
  });

  it("says in one line that a port is taken", async () => {
    const port = await serve(() => {});
    const taken = { ...forward("tcp", 22), hostPort: port };
    const error = await UserNet.open(new NodeSockets(), { forwards: [forward("tcp", 23), taken] }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(VmmError);
    expect(error).toMatchObject({ code: "NET_PORT_IN_USE", message: expect.stringContaining(`127.0.0.1:${port} is in use`) });
    const nowhere = { ...forward("udp", 22), hostAddress: "192.0.2.77" };
    await expect(UserNet.open(new NodeSockets(), { forwards: [nowhere] })).rejects.toMatchObject({ code: "NET_ADDRESS" });
  });
});

describe("names", () => {
  const query = Uint8Array.of(0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9, ...Buffer.from("localhost"), 0, 0, 1, 0, 1);
  const ask = (service: NameService): Promise<Uint8Array | undefined> => new Promise((resolve) => service.query(query, resolve));

  it("go to the resolver as they are, and to the next one when it does not serve", async () => {
    const resolver = dgram.createSocket("udp4");
    closers.push(() => resolver.close());
    resolver.bind(0, "127.0.0.1");
    await once(resolver, "listening");
    resolver.on("message", (message, from) => {
      message[2] = 0x81;
      message[3] = 0x80 | RCODE.NO_NAME;
      resolver.send(message, from.port, from.address);
    });
    const closed = { address: "127.0.0.1", port: 1 };
    const { guest } = await plug({ resolvers: [closed, { address: "127.0.0.1", port: resolver.address().port }] });
    guest.sendUdp(5353, LAN.DNS, 53, query);
    const answer = await guest.nextUdp();
    expect([answer.from, answer.port, (answer.data[3] ?? 0) & 15]).toEqual([LAN.DNS, 5353, RCODE.NO_NAME]);
    expect(parseQuestion(query)?.name).toBe("localhost");
  });

  it("are answered by the C library where there is no resolver", async () => {
    const answer = await ask(new NameService({ systemOnly: true }));
    expect([...(answer ?? []).slice(-4)]).toEqual([127, 0, 0, 1]);
  });

  it("reads resolv.conf as it is written", ({ onTestFinished }) => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-net-"));
    onTestFinished(() => fs.rmSync(dir, { recursive: true }));
    const file = path.join(dir, "resolv.conf");
    fs.writeFileSync(file, "# comment\nsearch example.org\nnameserver 192.0.2.1\n nameserver  2001:db8::1 # six\nnameserver nonsense\n");
    expect(readResolvConf(file).map((r) => r.address)).toEqual(["192.0.2.1", "2001:db8::1"]);
    expect(readResolvConf(`${file}.missing`)).toEqual([]);
  });
});
