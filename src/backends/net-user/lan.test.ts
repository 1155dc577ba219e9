import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { LAN, parseIpv4 } from "./address.ts";
import { checksum, get16, get32, getMac, put16, put32, putMac } from "./bytes.ts";
import { dnsReply, parseQuestion, RCODE } from "./dns.ts";
import type { HostEndpoint, SocketHost, TcpEvents, TcpPeer, UdpReceiver } from "./host.ts";
import { PROTOCOL, TCP, emptyPacket, emptySegment, parseIpv4Frame, parseTcp, parseUdp } from "./packet.ts";
import { GUEST_MAC, TestGuest, ipFrame, sumOf, tcpPayload, udpPayload } from "./guest.testing.ts";
import { UserNet } from "./user-net.ts";
import type { UserNetOptions } from "./user-net.ts";

/** A host without sockets: remembers what was asked of it, answers when told to. */
class FakeHost implements SocketHost {
  now = 1000;
  ticks: (() => void)[] = [];
  readonly tcp: { to: HostEndpoint; events: TcpEvents; peer: FakePeer }[] = [];
  readonly udp: { onMessage: UdpReceiver; sent: { data: Uint8Array; to: HostEndpoint }[]; closed: boolean }[] = [];
  readonly queries: { query: Uint8Array; onAnswer: (answer: Uint8Array | undefined) => void }[] = [];
  own = new Set<number>();
  nowMs(): number {
    return this.now;
  }
  every(_ms: number, callback: () => void): () => void {
    this.ticks.push(callback);
    return () => {
      this.ticks = this.ticks.filter((t) => t !== callback);
    };
  }
  pass(ms: number): void {
    for (let t = 0; t < ms; t += 100) {
      this.now += 100;
      for (const tick of this.ticks) tick();
    }
  }
  connectTcp(to: HostEndpoint, events: TcpEvents): TcpPeer {
    const peer = new FakePeer();
    this.tcp.push({ to, events, peer });
    return peer;
  }
  listenTcp(): Promise<never> {
    return Promise.reject(new Error("no listening here"));
  }
  openUdp(onMessage: UdpReceiver) {
    const socket = {
      onMessage,
      sent: new Array<{ data: Uint8Array; to: HostEndpoint }>(),
      closed: false,
      send(data: Uint8Array, to: HostEndpoint) {
        this.sent.push({ data, to });
      },
      close() {
        this.closed = true;
      },
    };
    this.udp.push(socket);
    return socket;
  }
  listenUdp(): Promise<never> {
    return Promise.reject(new Error("no listening here"));
  }
  ownsAddress(ip: number): boolean {
    return this.own.has(ip);
  }
  queryDns(query: Uint8Array, onAnswer: (answer: Uint8Array | undefined) => void): void {
    this.queries.push({ query, onAnswer });
  }
  dnsServer(): HostEndpoint | undefined {
    return { address: "192.0.2.53", port: 53 };
  }
}

class FakePeer implements TcpPeer {
  written: Uint8Array[] = [];
  unsentBytes = 0;
  calls: string[] = [];
  write(bytes: Uint8Array): void {
    this.written.push(bytes);
    this.unsentBytes += bytes.length;
  }
  end(): void {
    this.calls.push("end");
  }
  reset(): void {
    this.calls.push("reset");
  }
  pause(): void {
    this.calls.push("pause");
  }
  resume(): void {
    this.calls.push("resume");
  }
}

let host: FakeHost;
let net: UserNet;
let guest: TestGuest;

async function plug(options: UserNetOptions = {}): Promise<void> {
  host = new FakeHost();
  net = await UserNet.open(host, options);
  guest = new TestGuest(net);
}
beforeEach(() => plug());

const ip = (text: string): number => parseIpv4(text) ?? 0;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content);
/** The one frame that arrived. */
function only(): Uint8Array {
  const frames = guest.take();
  expect(frames).toHaveLength(1);
  return frames[0]?.frame ?? new Uint8Array(0);
}

function arpRequest(target: number): Uint8Array {
  const frame = new Uint8Array(42);
  putMac(frame, 0, 0xffffffffffff);
  putMac(frame, 6, GUEST_MAC);
  put16(frame, 12, 0x0806);
  frame.set([0, 1, 8, 0, 6, 4, 0, 1], 14);
  putMac(frame, 22, GUEST_MAC);
  put32(frame, 28, LAN.GUEST);
  put32(frame, 38, target);
  return frame;
}

describe("ARP", () => {
  it("answers for the gateway and the name server, each with a card of its own", () => {
    guest.send(arpRequest(LAN.GATEWAY));
    const reply = only();
    expect(reply.length).toBe(60);
    expect([getMac(reply, 0), getMac(reply, 6), get16(reply, 20), getMac(reply, 22), get32(reply, 28)]).toEqual([
      GUEST_MAC,
      LAN.GATEWAY_MAC,
      2,
      LAN.GATEWAY_MAC,
      LAN.GATEWAY,
    ]);
    guest.send(arpRequest(LAN.DNS));
    expect(getMac(only(), 22)).toBe(LAN.DNS_MAC);
  });

  it("does not answer for anybody else", () => {
    guest.send(arpRequest(ip("10.0.2.99")));
    guest.send(arpRequest(LAN.GUEST));
    expect(guest.take()).toHaveLength(0);
  });
});

describe("DHCP", () => {
  function message(type: number, options: readonly number[] = [], ciaddr = 0, mac = GUEST_MAC): Uint8Array {
    const out = new Uint8Array(300);
    out.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
    put32(out, 12, ciaddr);
    putMac(out, 28, mac);
    put32(out, 236, 0x63825363);
    out.set([53, 1, type, ...options, 255], 240);
    return out;
  }
  function ask(content: Uint8Array, from = 0, to = 0xffffffff): void {
    guest.send(ipFrame(PROTOCOL.UDP, to, udpPayload(68, to, 67, content, from), from));
  }
  function options(reply: Uint8Array): Map<number, readonly number[]> {
    const found = new Map<number, readonly number[]>();
    for (let at = 240; reply[at] !== 255 && at < reply.length; at += 2 + (reply[at + 1] ?? 0)) {
      found.set(reply[at] ?? 0, [...reply.subarray(at + 2, at + 2 + (reply[at + 1] ?? 0))]);
    }
    return found;
  }

  it("finishes the checksum of its replies for a driver that takes unfinished ones: DHCP clients read raw frames", () => {
    guest = new TestGuest(net, { checksum: true, tso4: true });
    ask(message(1));
    expect(guest.udp).toHaveLength(1);
    expect(guest.take().filter((f) => f.offload !== undefined)).toEqual([]);
  });

  it("offers 10.0.2.15 with router, name server, mask and MTU", () => {
    ask(message(1));
    const reply = guest.udp[0];
    expect(reply).toMatchObject({ from: LAN.GATEWAY, fromPort: 67, port: 68 });
    const data = reply?.data ?? new Uint8Array(0);
    expect([data[0], get32(data, 4), get32(data, 16)]).toEqual([2, 0xdeadbeef, LAN.GUEST]);
    expect(Object.fromEntries(options(data))).toEqual({
      53: [2],
      54: [10, 0, 2, 2],
      1: [255, 255, 255, 0],
      3: [10, 0, 2, 2],
      6: [10, 0, 2, 3],
      28: [10, 0, 2, 255],
      51: [0, 1, 0x51, 0x80],
      26: [5, 220],
    });
  });

  it("acknowledges the offered address, refuses another, and gives a second card the next one", () => {
    const type = (): number => options(guest.udp.at(-1)?.data ?? new Uint8Array(0)).get(53)?.[0] ?? 0;
    ask(message(3, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]));
    expect(type()).toBe(5);
    ask(message(3, [50, 4, 192, 168, 1, 7]));
    expect(type()).toBe(6);
    ask(message(3, [50, 4, 10, 0, 2, 15, 54, 4, 192, 168, 1, 1]));
    expect(guest.udp).toHaveLength(2);
    ask(message(1, [], 0, GUEST_MAC + 1));
    expect(get32(guest.udp.at(-1)?.data ?? new Uint8Array(0), 16)).toBe(LAN.GUEST + 1);
  });

  it("renews by unicast and informs a guest that has an address of its own", () => {
    ask(message(3, [], LAN.GUEST), LAN.GUEST, LAN.GATEWAY);
    expect(options(guest.udp[0]?.data ?? new Uint8Array(0)).get(53)).toEqual([5]);
    ask(message(8, [], ip("10.0.2.77")), ip("10.0.2.77"), LAN.GATEWAY);
    const informed = guest.udp[1]?.data ?? new Uint8Array(0);
    expect([get32(informed, 12), get32(informed, 16), options(informed).has(51)]).toEqual([ip("10.0.2.77"), 0, false]);
  });

  it("names neither router nor name server on a restricted network", async () => {
    await plug({ restrict: true });
    ask(message(1));
    const found = options(guest.udp[0]?.data ?? new Uint8Array(0));
    expect([found.has(3), found.has(6), found.has(1)]).toEqual([false, false, true]);
  });

  it("serves plain BOOTP and ignores rubbish", () => {
    const bootp = message(0);
    bootp.fill(0, 236);
    ask(bootp);
    expect(get32(guest.udp[0]?.data ?? new Uint8Array(0), 16)).toBe(LAN.GUEST);
    ask(new Uint8Array(100));
    ask(message(99));
    expect(guest.udp).toHaveLength(1);
  });
});

describe("ICMP", () => {
  const echo = (size: number): Uint8Array => {
    const out = new Uint8Array(8 + size).fill(0x61, 8);
    out[0] = 8;
    put16(out, 4, 77);
    put16(out, 2, checksum(out, 0, out.length));
    return out;
  };

  it("answers pings of the gateway and the name server", () => {
    for (const to of [LAN.GATEWAY, LAN.DNS]) {
      guest.sendIp(PROTOCOL.ICMP, to, echo(56));
      const reply = only();
      expect([get32(reply, 26), get32(reply, 30), reply[34], get16(reply, 38)]).toEqual([to, LAN.GUEST, 0, 77]);
      expect(sumOf(reply, 34, 34 + 64)).toBe(0xffff);
    }
  });

  it("puts a fragmented ping together and answers in fragments", () => {
    const whole = echo(3000);
    guest.sendIp(PROTOCOL.ICMP, LAN.GATEWAY, whole.subarray(1480, 2960), { fragment: 0x2000 | 185 });
    guest.sendIp(PROTOCOL.ICMP, LAN.GATEWAY, whole.subarray(2960), { fragment: 370 });
    expect(guest.frames).toHaveLength(0);
    guest.sendIp(PROTOCOL.ICMP, LAN.GATEWAY, whole.subarray(0, 1480), { fragment: 0x2000 });
    const frames = guest.take().map((f) => f.frame);
    expect(frames.map((f) => [get16(f, 16) - 20, get16(f, 20)])).toEqual([
      [1480, 0x2000],
      [1480, 0x2000 | 185],
      [48, 370],
    ]);
  });

  it("says that pings of the outside are prohibited, and that nobody else is on the network", () => {
    guest.sendIp(PROTOCOL.ICMP, ip("203.0.113.9"), echo(8));
    expect([...only().subarray(34, 36)]).toEqual([3, 13]);
    guest.sendIp(PROTOCOL.ICMP, ip("10.0.2.50"), echo(8));
    expect([...only().subarray(34, 36)]).toEqual([3, 1]);
  });

  it("says so when a packet's time to live is over at the router", () => {
    guest.sendIp(PROTOCOL.UDP, ip("203.0.113.9"), udpPayload(1, ip("203.0.113.9"), 33434, new Uint8Array(4)), { ttl: 1 });
    expect([...only().subarray(34, 36)]).toEqual([11, 0]);
  });

  it("makes no errors about errors", () => {
    const error = new Uint8Array(36);
    error[0] = 3;
    put16(error, 2, checksum(error, 0, error.length));
    guest.sendIp(PROTOCOL.ICMP, ip("203.0.113.9"), error);
    guest.sendIp(PROTOCOL.ICMP, ip("10.0.2.50"), error);
    expect(guest.take()).toHaveLength(0);
  });
});

describe("UDP", () => {
  const outside = ip("203.0.113.9");

  it("gives a guest's port one socket, and lets only those answer whom the guest spoke to", () => {
    guest.sendUdp(5000, outside, 123, bytes("time?"));
    guest.sendUdp(5000, ip("203.0.113.10"), 123, bytes("you?"));
    expect(host.udp).toHaveLength(1);
    const [socket] = host.udp;
    expect(socket?.sent.map((s) => [text(s.data), s.to.address])).toEqual([
      ["time?", "203.0.113.9"],
      ["you?", "203.0.113.10"],
    ]);
    socket?.onMessage(bytes("noon"), { address: "203.0.113.9", port: 123 });
    socket?.onMessage(bytes("spam"), { address: "203.0.113.9", port: 666 });
    socket?.onMessage(bytes("spam"), { address: "198.51.100.1", port: 123 });
    expect(guest.udp.map((u) => [text(u.data), u.from, u.fromPort, u.port])).toEqual([["noon", outside, 123, 5000]]);
    expect(net.stats()["drop.udp-unasked"]).toBe(2);
  });

  it("closes sockets that were not used for two minutes, and stops its ticks then", () => {
    guest.sendUdp(5000, outside, 123, bytes("x"));
    host.pass(119_000);
    expect(host.udp[0]?.closed).toBe(false);
    host.pass(2000);
    expect(host.udp[0]?.closed).toBe(true);
    expect(host.ticks).toHaveLength(0);
  });

  it("keeps the number of sockets bounded", () => {
    for (let port = 1; port <= 2000; port++) guest.sendUdp(port, outside, 9, bytes("x"));
    expect(host.udp.filter((s) => !s.closed)).toHaveLength(256);
  });

  it("sends long answers in fragments", () => {
    guest.sendUdp(5000, outside, 69, bytes("x"));
    host.udp[0]?.onMessage(new Uint8Array(4000).fill(7), { address: "203.0.113.9", port: 69 });
    const frames = guest.take().map((f) => f.frame);
    expect(frames.map((f) => get16(f, 16) - 20)).toEqual([1480, 1480, 1048]);
  });

  it("forwards name queries to the host's resolver, and answers in its stead when it stays silent", () => {
    const query = Uint8Array.of(0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 1, 0, 1);
    guest.sendUdp(5000, LAN.DNS, 53, query);
    guest.sendUdp(5001, LAN.DNS, 53, query);
    expect(host.queries.map((q) => parseQuestion(q.query)?.name)).toEqual(["a", "a"]);
    host.queries[0]?.onAnswer(dnsReply(query, RCODE.OK, [Uint8Array.of(1, 2, 3, 4)]));
    host.queries[1]?.onAnswer(undefined);
    expect(guest.udp.map((u) => [u.from, u.port, (u.data[3] ?? 0) & 15])).toEqual([
      [LAN.DNS, 5000, RCODE.OK],
      [LAN.DNS, 5001, RCODE.SERVER_FAILURE],
    ]);
  });

  it("checks the checksum of whole datagrams, and trusts those that the card would have finished", () => {
    const frame = ipFrame(PROTOCOL.UDP, outside, udpPayload(5000, outside, 123, bytes("x")));
    put16(frame, 40, 0x1111);
    guest.send(frame);
    expect(host.udp).toHaveLength(0);
    guest.send(frame, { csumStart: 34, csumOffset: 6, gsoSize: 0, headerBytes: 0 });
    expect(host.udp).toHaveLength(1);
  });
});

describe("where a guest may go", () => {
  const syn = (to: number, port = 80): void => guest.sendTcp(to, { fromPort: 4000, port, seq: 1, flags: TCP.SYN });
  const flags = (): number => only()[47] ?? 0;
  const refused = TCP.RST | TCP.ACK;

  it("refuses the host's loopback, its own addresses, link-local, multicast and nowhere", () => {
    host.own.add(ip("192.168.7.7"));
    for (const to of ["10.0.2.2", "127.0.0.1", "127.8.8.8", "169.254.169.254", "192.168.7.7", "0.0.0.0", "224.0.0.1", "255.255.255.254"]) {
      syn(ip(to));
      expect([to, flags()]).toEqual([to, refused]);
    }
    expect(host.tcp).toHaveLength(0);
    guest.sendUdp(9, LAN.GATEWAY, 53, bytes("x"));
    expect([...only().subarray(34, 36)]).toEqual([3, 3]);
    guest.sendUdp(9, ip("127.0.0.1"), 53, bytes("x"));
    expect([...only().subarray(34, 36)]).toEqual([3, 13]);
    expect(host.udp).toHaveLength(0);
  });

  it("opens the host with loopback=on: the gateway is 127.0.0.1", async () => {
    await plug({ loopback: true });
    host.own.add(ip("192.168.7.7"));
    syn(LAN.GATEWAY);
    syn(ip("192.168.7.7"));
    expect(host.tcp.map((c) => c.to.address)).toEqual(["127.0.0.1", "192.168.7.7"]);
    guest.sendUdp(9, LAN.GATEWAY, 7, bytes("x"));
    host.udp[0]?.onMessage(bytes("y"), { address: "127.0.0.1", port: 7 });
    expect(guest.udp.map((u) => u.from)).toEqual([LAN.GATEWAY]);
  });

  it("lets nothing out with restrict=on, names included", async () => {
    await plug({ restrict: true });
    syn(ip("203.0.113.9"));
    expect(flags()).toBe(refused);
    syn(LAN.DNS, 53);
    expect(flags()).toBe(refused);
    guest.sendUdp(9, ip("203.0.113.9"), 9, bytes("x"));
    expect([...only().subarray(34, 36)]).toEqual([3, 13]);
    guest.sendUdp(9, LAN.DNS, 53, Uint8Array.of(0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1));
    expect((guest.udp[0]?.data[3] ?? 0) & 15).toBe(RCODE.REFUSED);
    expect([host.tcp.length, host.udp.length, host.queries.length]).toEqual([0, 0, 0]);
  });

  it("takes TCP queries to the name server to the host's resolver, and no other port of it", () => {
    syn(LAN.DNS, 53);
    expect(host.tcp.map((c) => c.to)).toEqual([{ address: "192.0.2.53", port: 53 }]);
    syn(LAN.DNS, 80);
    expect(flags()).toBe(refused);
  });

  it("drops what claims to come from elsewhere", () => {
    const to = ip("203.0.113.9");
    for (const from of ["10.0.2.2", "10.0.2.3", "192.168.1.1", "10.0.2.0", "10.0.2.255"]) {
      guest.send(ipFrame(PROTOCOL.TCP, to, tcpPayload(to, { fromPort: 1, port: 80, seq: 1, flags: TCP.SYN }, ip(from)), ip(from)));
    }
    expect([host.tcp.length, guest.take().length, net.stats()["drop.ip-source"]]).toEqual([0, 0, 5]);
  });
});

describe("parsers and hostile frames", () => {
  const seed = 20260101;

  it("never throw on any bytes", () => {
    const packet = emptyPacket();
    const segment = emptySegment();
    const udp = { sourcePort: 0, destinationPort: 0, dataStart: 0, dataEnd: 0 };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (frame, unfinished) => {
        if (frame.length > 14) frame[14] = 0x40 | ((frame[14] ?? 0) & 15);
        if (parseIpv4Frame(frame, packet) === undefined) expect(packet.end).toBeLessThanOrEqual(frame.length);
        Object.assign(packet, { bytes: frame, start: Math.min(34, frame.length), end: frame.length, unfinished });
        parseTcp(packet, segment);
        parseUdp(packet, udp);
        const question = parseQuestion(frame);
        if (question !== undefined) expect(question.end).toBeLessThanOrEqual(frame.length);
        dnsReply(frame, RCODE.REFUSED, [frame]);
      }),
      { seed, numRuns: 5000 },
    );
  });

  it("survives frames of every kind, with bounded memory", async () => {
    await plug({ loopback: true });
    guest.filterIn = () => {};
    const address = fc.constantFrom(LAN.GATEWAY, LAN.DNS, LAN.GUEST, 0, 0xffffffff, LAN.BROADCAST, ip("203.0.113.9"), ip("127.0.0.1"));
    const tcp = fc.record({
      fromPort: fc.integer({ min: 0, max: 4 }),
      port: fc.constantFrom(0, 53, 80),
      seq: fc.oneof(fc.nat(0xffffffff), fc.nat(10)),
      ack: fc.oneof(fc.nat(0xffffffff), fc.nat(10)),
      flags: fc.nat(63),
      window: fc.nat(0xffff),
      options: fc.constantFrom([], [2, 4, 0, 0], [3, 3, 99, 0], [2, 40, 1, 1], [1, 1, 1, 0]),
      data: fc.uint8Array({ maxLength: 300 }),
    });
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.tuple(address, address, tcp).map(([to, from, f]) => ipFrame(PROTOCOL.TCP, to, tcpPayload(to, f, from), from)),
      fc
        .tuple(address, address, fc.constantFrom(53, 67, 7), fc.uint8Array({ maxLength: 400 }))
        .map(([to, from, port, data]) => ipFrame(PROTOCOL.UDP, to, udpPayload(68, to, port, data, from), from)),
      fc
        .tuple(address, fc.constantFrom(1, 6, 17, 200), fc.uint8Array({ maxLength: 100 }), fc.nat(0xffff), fc.nat(3))
        .map(([to, protocol, data, fragment, id]) => ipFrame(protocol, to, data, LAN.GUEST, { fragment, id })),
      fc.tuple(address, fc.uint8Array({ minLength: 28, maxLength: 60 })).map(([to, data]) => {
        const f = arpRequest(to);
        f.set(data.subarray(0, 28), 14);
        return f;
      }),
    );
    const event = fc.record({ frame, chance: fc.nat(99), unfinished: fc.boolean() });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (events) => {
        for (const { frame: f, chance, unfinished } of events) {
          guest.accepting = chance % 5 !== 0;
          guest.send(f, unfinished ? { csumStart: 34, csumOffset: 16, gsoSize: 0, headerBytes: 0 } : undefined);
          const socket = host.tcp[chance % Math.max(1, host.tcp.length)];
          if (chance < 20) socket?.events.connected();
          else if (chance < 40) socket?.events.data(new Uint8Array(3000));
          else if (chance < 45) socket?.events.ended();
          else if (chance < 50) socket?.events.closed(chance % 2 === 0 ? "reset" : undefined);
          else if (chance < 55) host.pass(1500);
          if (guest.accepting) net.ready();
        }
      }),
      { seed, numRuns: 3000 },
    );
    expect(net.stats()["tcpConnections"]).toBeLessThanOrEqual(512);
    expect(net.stats()["udpSockets"]).toBeLessThanOrEqual(256);
    net.close();
  });
});
