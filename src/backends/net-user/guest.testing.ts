import type { FrameOffload, NetBackend } from "../api/index.ts";
import { LAN } from "./address.ts";
import { checksum, fold, get16, get32, getMac, pseudoSum, put16, put32, putMac, sumWords } from "./bytes.ts";
import { PROTOCOL, TCP, emptyPacket, emptySegment, parseIpv4Frame, parseTcp, parseUdp, sealIpHeader } from "./packet.ts";
import type { IpPacket, TcpSegment } from "./packet.ts";
import { OutOfOrder } from "./tcp/out-of-order.ts";
import { add, distance } from "./tcp/sequence.ts";

export const GUEST_MAC = 0x525400123456;

/** What reached the guest, one frame. */
export interface SeenFrame {
  readonly frame: Uint8Array;
  readonly offload: FrameOffload | undefined;
}

export interface UdpSeen {
  readonly from: number;
  readonly fromPort: number;
  readonly port: number;
  readonly data: Uint8Array;
}

/** A frame with Ethernet and IPv4 headers around `payload`, checksum and all. */
export function ipFrame(
  protocol: number,
  to: number,
  payload: Uint8Array,
  from: number = LAN.GUEST,
  options: { ttl?: number; id?: number; fragment?: number } = {},
): Uint8Array {
  const frame = new Uint8Array(34 + payload.length);
  putMac(frame, 0, to === 0xffffffff ? 0xffffffffffff : to === LAN.DNS ? LAN.DNS_MAC : LAN.GATEWAY_MAC);
  putMac(frame, 6, GUEST_MAC);
  put16(frame, 12, 0x0800);
  frame[14] = 0x45;
  put16(frame, 16, 20 + payload.length);
  put16(frame, 18, options.id ?? 7);
  put16(frame, 20, options.fragment ?? 0x4000);
  frame[22] = options.ttl ?? 64;
  frame[23] = protocol;
  put32(frame, 26, from);
  put32(frame, 30, to);
  sealIpHeader(frame, 14);
  frame.set(payload, 34);
  return frame;
}

export function udpPayload(fromPort: number, to: number, port: number, data: Uint8Array, from: number = LAN.GUEST): Uint8Array {
  const out = new Uint8Array(8 + data.length);
  put16(out, 0, fromPort);
  put16(out, 2, port);
  put16(out, 4, out.length);
  out.set(data, 8);
  put16(out, 6, checksum(out, 0, out.length, pseudoSum(from, to, PROTOCOL.UDP, out.length)) || 0xffff);
  return out;
}

export interface TcpFields {
  readonly fromPort: number;
  readonly port: number;
  readonly seq: number;
  readonly ack?: number;
  readonly flags: number;
  readonly window?: number;
  readonly options?: readonly number[];
  readonly data?: Uint8Array;
}

export function tcpPayload(to: number, f: TcpFields, from: number = LAN.GUEST): Uint8Array {
  const options = f.options ?? [];
  const data = f.data ?? new Uint8Array(0);
  const out = new Uint8Array(20 + options.length + data.length);
  put16(out, 0, f.fromPort);
  put16(out, 2, f.port);
  put32(out, 4, f.seq);
  put32(out, 8, f.ack ?? 0);
  out[12] = ((20 + options.length) / 4) << 4;
  out[13] = f.flags;
  put16(out, 14, f.window ?? 0xffff);
  out.set(options, 20);
  out.set(data, 20 + options.length);
  put16(out, 16, checksum(out, 0, out.length, pseudoSum(from, to, PROTOCOL.TCP, out.length)));
  return out;
}

/** A scripted guest at the card's end of the cable. Checks every checksum that it gets. */
export class TestGuest {
  readonly net: NetBackend;
  readonly frames: SeenFrame[] = [];
  /** Frames that the card has no room for are offered again after `net.ready()`. */
  accepting = true;
  /** Loses or keeps back what it wants to; default: all pass. */
  filterIn: (frame: Uint8Array, deliver: (frame: Uint8Array) => void) => void = (frame, deliver) => deliver(frame);
  filterOut: (frame: Uint8Array, deliver: (frame: Uint8Array) => void) => void = (frame, deliver) => deliver(frame);
  /** Undefined: frames are only collected. */
  onTcp: ((packet: IpPacket, segment: TcpSegment) => void) | undefined;
  keepFrames = true;
  #udpWaiters: (() => void)[] = [];
  readonly udp: UdpSeen[] = [];

  constructor(net: NetBackend, offloads = { checksum: false, tso4: false }) {
    this.net = net;
    net.setGuestOffloads?.(offloads);
    net.onReceive = (frame, offload) => this.#receive(frame, offload);
  }

  send(frame: Uint8Array, offload?: FrameOffload): void {
    this.filterOut(frame, (f) => {
      this.net.send(f, offload);
      this.net.flush?.();
    });
  }
  sendIp(protocol: number, to: number, payload: Uint8Array, options: { ttl?: number; id?: number; fragment?: number } = {}): void {
    this.send(ipFrame(protocol, to, payload, LAN.GUEST, options));
  }
  sendUdp(fromPort: number, to: number, port: number, data: Uint8Array): void {
    this.sendIp(PROTOCOL.UDP, to, udpPayload(fromPort, to, port, data));
  }
  sendTcp(to: number, fields: TcpFields): void {
    this.sendIp(PROTOCOL.TCP, to, tcpPayload(to, fields));
  }

  /** Frames since the last look. */
  take(): SeenFrame[] {
    return this.frames.splice(0);
  }

  #receive(frame: Uint8Array, offload: FrameOffload | undefined): boolean {
    if (!this.accepting) return false;
    const copy = frame.slice();
    this.filterIn(copy, (f) => this.#deliver(f, offload));
    return true;
  }

  #deliver(frame: Uint8Array, offload: FrameOffload | undefined): void {
    if (this.keepFrames) this.frames.push({ frame, offload: offload === undefined ? undefined : { ...offload } });
    const type = get16(frame, 12);
    // A card's guest reacts later, never inside the delivery.
    if (type === 0x0806) return queueMicrotask(() => this.#arp(frame));
    const packet = emptyPacket();
    const problem = parseIpv4Frame(frame, packet);
    if (problem !== undefined) throw new Error(`the guest got a bad packet: ${problem}`);
    packet.unfinished = offload !== undefined;
    if (offload !== undefined) checkUnfinished(packet, offload);
    if (packet.protocol === PROTOCOL.UDP && packet.unfinished) throw new Error("the guest got a datagram without a checksum");
    if (packet.protocol === PROTOCOL.UDP && packet.fragmentOffset === 0 && !packet.moreFragments) {
      const header = { sourcePort: 0, destinationPort: 0, dataStart: 0, dataEnd: 0 };
      const bad = parseUdp(packet, header);
      if (bad !== undefined) throw new Error(`the guest got a bad datagram: ${bad}`);
      const data = frame.slice(header.dataStart, header.dataEnd);
      this.udp.push({ from: packet.source, fromPort: header.sourcePort, port: header.destinationPort, data });
      for (const wake of this.#udpWaiters.splice(0)) wake();
    }
    if (packet.protocol === PROTOCOL.TCP) {
      const segment = emptySegment();
      const bad = parseTcp(packet, segment);
      if (bad !== undefined) throw new Error(`the guest got a bad segment: ${bad}`);
      queueMicrotask(() => this.onTcp?.(packet, segment));
    }
  }

  /** A guest answers for its address. */
  #arp(frame: Uint8Array): void {
    if (get16(frame, 20) !== 1 || get32(frame, 38) !== LAN.GUEST) return;
    const reply = new Uint8Array(60);
    putMac(reply, 0, getMac(frame, 6));
    putMac(reply, 6, GUEST_MAC);
    put16(reply, 12, 0x0806);
    reply.set([0, 1, 8, 0, 6, 4, 0, 2], 14);
    putMac(reply, 22, GUEST_MAC);
    put32(reply, 28, LAN.GUEST);
    putMac(reply, 32, getMac(frame, 22));
    put32(reply, 38, get32(frame, 28));
    this.send(reply);
  }

  async nextUdp(): Promise<UdpSeen> {
    for (;;) {
      const seen = this.udp.shift();
      if (seen !== undefined) return seen;
      await new Promise<void>((resolve) => this.#udpWaiters.push(resolve));
    }
  }
}

function checkUnfinished(packet: IpPacket, offload: FrameOffload): void {
  const length = packet.end - packet.start;
  const pseudo = fold(pseudoSum(packet.source, packet.destination, packet.protocol, length));
  const field = get16(packet.bytes, offload.csumStart + offload.csumOffset);
  if (offload.csumStart !== packet.start || field !== pseudo) throw new Error("the unfinished checksum does not hold the pseudo header's sum");
  if (offload.gsoSize !== 0 && offload.headerBytes <= packet.start) throw new Error("no header length in a large frame");
}

/** One's complement sum of a range, for assertions. */
export function sumOf(bytes: Uint8Array, start: number, end: number): number {
  return fold(sumWords(bytes, start, end, 0));
}

const RTO_MS = 80;

/** The guest's TCP in small: one connection with retransmission, a window and reassembly, enough to live with loss and reordering. */
export class TestTcp {
  readonly #guest: TestGuest;
  readonly #to: number;
  readonly #port: number;
  readonly #fromPort: number;
  readonly #mss: number;
  readonly #window: number;
  #state: "closed" | "syn-sent" | "syn-received" | "open" | "reset" = "closed";
  #una: number;
  #nxt: number;
  #peerWindow = 0;
  #peerScale = 0;
  #rcv = 0;
  #out: Uint8Array = new Uint8Array(0);
  /** Sequence number of `#out[0]`. */
  #outSeq: number;
  #finWanted = false;
  #duplicates = 0;
  #early = new OutOfOrder();
  #finAt: number | undefined;
  #timer: ReturnType<typeof globalThis.setInterval> | undefined;
  #progressMs = 0;
  readonly received: Uint8Array[] = [];
  receivedBytes = 0;
  peerEnded = false;
  /** False: the application does not read, the window closes. */
  reading = true;
  #unread = 0;
  #changed: (() => void)[] = [];

  constructor(guest: TestGuest, to: number, port: number, fromPort: number, options: { mss?: number; window?: number } = {}) {
    this.#guest = guest;
    this.#to = to;
    this.#port = port;
    this.#fromPort = fromPort;
    this.#mss = options.mss ?? 1460;
    this.#window = options.window ?? 1 << 20;
    this.#una = 0xfffff000;
    this.#nxt = this.#una;
    this.#outSeq = add(this.#una, 1);
  }

  get state(): string {
    return this.#state;
  }
  get unacknowledged(): number {
    return distance(this.#nxt, this.#una);
  }

  /** Takes the guest's segments for this connection from now on. */
  attach(): void {
    const before = this.#guest.onTcp;
    this.#guest.onTcp = (packet, segment) => {
      const mine = packet.source === this.#to && segment.sourcePort === this.#port && segment.destinationPort === this.#fromPort;
      if (mine) this.#receive(segment);
      else before?.(packet, segment);
    };
    this.#timer = setInterval(() => this.#tick(), 20);
  }

  detach(): void {
    clearInterval(this.#timer);
  }

  async connect(): Promise<void> {
    this.attach();
    this.#state = "syn-sent";
    this.#sendSyn();
    await this.until(() => this.#state !== "syn-sent");
    if (this.state !== "open") throw new Error("connection refused");
  }

  #sendSyn(): void {
    this.#nxt = add(this.#una, 1);
    this.#progressMs = Date.now();
    const flags = this.#state === "syn-sent" ? TCP.SYN : TCP.SYN | TCP.ACK;
    this.#emit(flags, this.#una, new Uint8Array(0), [2, 4, this.#mss >> 8, this.#mss & 0xff, 3, 3, 7, 1]);
  }

  write(bytes: Uint8Array): void {
    const out = new Uint8Array(this.#out.length + bytes.length);
    out.set(this.#out);
    out.set(bytes, this.#out.length);
    this.#out = out;
    this.#output();
  }

  /** No more data from the guest. */
  end(): void {
    this.#finWanted = true;
    this.#output();
  }

  read(): void {
    this.#unread = 0;
    this.#emit(TCP.ACK, this.#nxt);
  }

  reset(): void {
    this.#emit(TCP.RST | TCP.ACK, this.#nxt);
    this.#state = "reset";
    this.detach();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#changed.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#changed.splice(0)) resolve();
  }

  #output(): void {
    if (this.#state !== "open") return;
    for (;;) {
      const from = distance(this.#nxt, this.#outSeq);
      const room = this.#peerWindow - distance(this.#nxt, this.#una);
      const bytes = Math.min(this.#out.length - from, room, this.#mss);
      const fin = this.#finWanted && from + Math.max(0, bytes) === this.#out.length;
      if (from > this.#out.length || (bytes <= 0 && !(fin && from === this.#out.length))) return;
      if (this.#nxt === this.#una) this.#progressMs = Date.now();
      const seq = this.#nxt;
      this.#nxt = add(this.#nxt, Math.max(0, bytes) + (fin ? 1 : 0));
      this.#emit(TCP.ACK | (fin ? TCP.FIN : 0), seq, this.#out.subarray(from, from + Math.max(0, bytes)));
      if (fin) return;
    }
  }

  #emit(flags: number, seq: number, data: Uint8Array = new Uint8Array(0), options: readonly number[] = []): void {
    const space = Math.max(0, this.#window - this.#unread - this.#early.bytes);
    const window = (flags & TCP.SYN) !== 0 ? Math.min(0xffff, space) : Math.min(0xffff, space >> 7);
    this.#guest.sendTcp(this.#to, { fromPort: this.#fromPort, port: this.#port, seq, ack: this.#rcv, flags, window, data, options });
  }

  #receive(s: TcpSegment): void {
    if ((s.flags & TCP.RST) !== 0) {
      this.#state = "reset";
      this.detach();
      return this.#wake();
    }
    if (this.#state === "closed" && (s.flags & TCP.SYN) !== 0) {
      this.#rcv = add(s.seq, 1);
      this.#peerScale = Math.max(0, s.windowScale);
      this.#state = "syn-received";
      return this.#sendSyn();
    }
    if (this.#state === "syn-sent") {
      if ((s.flags & TCP.SYN) === 0) return;
      this.#rcv = add(s.seq, 1);
      this.#una = s.ack;
      this.#peerScale = Math.max(0, s.windowScale);
      this.#peerWindow = s.window;
      this.#state = "open";
      this.#emit(TCP.ACK, this.#nxt);
      return this.#wake();
    }
    if (this.#state === "syn-received" && (s.flags & TCP.ACK) !== 0 && s.ack === this.#nxt) {
      this.#una = s.ack;
      this.#state = "open";
    }
    this.#takeAck(s);
    this.#takeData(s);
    this.#output();
    this.#wake();
  }

  #takeAck(s: TcpSegment): void {
    const acked = distance(s.ack, this.#una);
    if ((s.flags & TCP.SYN) === 0) this.#peerWindow = s.window << this.#peerScale;
    if (acked > 0) {
      this.#una = s.ack;
      if (distance(s.ack, this.#nxt) > 0) this.#nxt = s.ack;
      this.#progressMs = Date.now();
      this.#duplicates = 0;
      const done = Math.min(this.#out.length, distance(s.ack, this.#outSeq));
      if (done > 4 << 20 || done === this.#out.length) {
        this.#out = this.#out.subarray(done);
        this.#outSeq = add(this.#outSeq, done);
      }
    } else if (acked === 0 && s.dataStart === s.dataEnd && this.unacknowledged > 0 && ++this.#duplicates === 3) this.#repeat();
  }

  #takeData(s: TcpSegment): void {
    const length = s.dataEnd - s.dataStart;
    const fin = (s.flags & TCP.FIN) !== 0;
    if (length === 0 && !fin) return;
    if (fin) this.#finAt = add(s.seq, length);
    const room = distance(this.#rcv, s.seq) + Math.max(0, this.#window - this.#unread);
    if (room > 0) this.#early.add(s.seq, s.bytes, s.dataStart, Math.min(s.dataEnd, s.dataStart + room));
    for (let next = this.#early.take(this.#rcv); next !== undefined; next = this.#early.take(this.#rcv)) {
      this.#rcv = add(this.#rcv, next.length);
      this.received.push(next);
      this.receivedBytes += next.length;
      if (!this.reading) this.#unread += next.length;
    }
    if (this.#finAt === this.#rcv && !this.peerEnded) {
      this.peerEnded = true;
      this.#rcv = add(this.#rcv, 1);
    }
    this.#emit(TCP.ACK, this.#nxt);
  }

  #repeat(): void {
    const from = distance(this.#una, this.#outSeq);
    if (from < 0) return this.#sendSyn();
    const data = this.#out.subarray(from, from + Math.min(this.#mss, distance(this.#nxt, this.#una)));
    const fin = this.#finWanted && from + data.length === this.#out.length;
    this.#emit(TCP.ACK | (fin ? TCP.FIN : 0), this.#una, data);
  }

  #tick(): void {
    if (this.#state === "closed" || this.#state === "reset") return;
    const waiting = this.unacknowledged > 0 || (this.#peerWindow === 0 && this.#out.length > distance(this.#nxt, this.#outSeq));
    if (!waiting || Date.now() - this.#progressMs < RTO_MS) return;
    this.#progressMs = Date.now();
    this.#duplicates = 0;
    if (this.#state === "syn-sent" || this.#state === "syn-received") return this.#sendSyn();
    if (this.unacknowledged === 0) {
      // The window is closed: a byte asks.
      const from = distance(this.#nxt, this.#outSeq);
      return this.#emit(TCP.ACK, this.#nxt, this.#out.subarray(from, from + 1));
    }
    this.#nxt = this.#una;
    this.#output();
    if (this.#nxt === this.#una) this.#repeat();
  }
}
