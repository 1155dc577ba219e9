import { put16, put32 } from "../bytes.ts";
import type { TcpEvents, TcpFailure, TcpPeer } from "../host.ts";
import { TCP } from "../packet.ts";
import type { TcpSegment } from "../packet.ts";
import { L4_AT, MTU } from "../wire.ts";
import { OutOfOrder } from "./out-of-order.ts";
import { SendQueue } from "./send-queue.ts";
import { add, distance } from "./sequence.ts";
import { RoundTrip } from "./timing.ts";
import type { TcpWorld } from "./world.ts";

/** The four numbers that name a connection, as the guest sees it. */
export interface TcpNames {
  readonly guestIp: number;
  readonly guestPort: number;
  readonly remoteIp: number;
  readonly remotePort: number;
}

/**
 * `connecting`: the guest asked, the host's socket is on its way. `syn-received`, `syn-sent`: handshake with the guest. `open`: data flows;
 * which sides have ended is in flags of its own. `time-wait`: both have; a lost last acknowledgement can still be repeated.
 */
export type TcpState = "connecting" | "syn-sent" | "syn-received" | "open" | "time-wait" | "closed";

const OUR_MSS = MTU - 40;
/** 64 KiB << 5 is more than one connection may hold. */
const OUR_SCALE = 5;
/** Payload of the largest frame: an IP packet less its headers. */
const MAX_PAYLOAD = 65_535 - 40;
const TIME_WAIT_MS = 2000;
/** About 8 minutes of silence with the back-off of RFC 6298. */
const MAX_RETRIES = 12;
const MAX_SYN_RETRIES = 5;
/** A guest with a closed window that has said nothing for so long is gone. */
const SILENT_MS = 300_000;
/** A window after which nothing is in the way; only after a time-out there is a smaller one. */
const UNLIMITED = 0x7fffffff;

/** One TCP connection of the guest, ended here and continued by a socket of the host (RFC 9293). */
export class TcpConnection implements TcpEvents {
  readonly names: TcpNames;
  readonly #world: TcpWorld;
  #mac: number;
  #peer: TcpPeer | undefined;
  #state: TcpState = "connecting";

  // To the guest.
  readonly #iss: number;
  readonly #queue = new SendQueue();
  #sndUna: number;
  #sndNxt: number;
  /** The highest number ever sent; `#sndNxt` goes back after a time-out. */
  #sndMax: number;
  #sndWnd = 0;
  #sndWl1 = 0;
  #sndWl2 = 0;
  #sndWndMax = 0;
  #sndScale = 0;
  #mss = 536;
  #congestion = UNLIMITED;
  #duplicates = 0;
  #recoverEnd: number | undefined;
  /** The host's side sends no more: FIN after the queue. */
  #hostEnded = false;
  #finSent = false;
  #finAcked = false;
  #peerPaused = false;
  readonly #rtt = new RoundTrip();
  #deadlineMs = 0;

  // From the guest.
  #rcvNxt = 0;
  /** Right edge of the window that the guest was told. */
  #rcvEdge = 0;
  #scaling = false;
  readonly #early = new OutOfOrder();
  /** Number of a FIN that came before data that precedes it. */
  #earlyFin: number | undefined;
  #guestEnded = false;
  #unackedBytes = 0;
  /** Memory accounted for in the budget. */
  #accounted = 0;
  /** IP header and eight bytes of the guest's SYN, for an ICMP error about it. */
  #firstPacket: Uint8Array | undefined;
  lastHeardMs: number;

  private constructor(world: TcpWorld, names: TcpNames, mac: number, iss: number) {
    this.#world = world;
    this.names = names;
    this.#mac = mac;
    this.#iss = iss >>> 0;
    this.#sndUna = this.#iss;
    this.#sndNxt = this.#iss;
    this.#sndMax = this.#iss;
    this.lastHeardMs = world.host.nowMs();
  }

  /** The guest's SYN has come; `connect` makes the host's half. Nothing is answered before the host is connected. */
  static fromGuest(
    world: TcpWorld,
    names: TcpNames,
    mac: number,
    syn: TcpSegment,
    options: { readonly iss: number; readonly quoted: Uint8Array; readonly connect: (events: TcpEvents) => TcpPeer },
  ): TcpConnection {
    const connection = new TcpConnection(world, names, mac, options.iss);
    connection.#takeSyn(syn);
    connection.#firstPacket = options.quoted;
    connection.#peer = options.connect(connection);
    return connection;
  }

  /** The host accepted a connection that leads to the guest. `peer` must hold its data back until it is resumed. */
  static toGuest(world: TcpWorld, names: TcpNames, peer: TcpPeer, iss: number): TcpConnection {
    const connection = new TcpConnection(world, names, 0, iss);
    connection.#peer = peer;
    connection.#peerPaused = true;
    connection.#state = "syn-sent";
    connection.#sendSyn();
    return connection;
  }

  get state(): TcpState {
    return this.#state;
  }

  // The host's socket.

  connected(): void {
    if (this.#state !== "connecting") return;
    this.#state = "syn-received";
    this.#firstPacket = undefined;
    this.#sendSyn();
  }

  data(bytes: Uint8Array): void {
    if (this.#state === "closed" || this.#hostEnded || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#account();
    if (!this.#peerPaused && this.#queue.length >= this.#world.memory.limit) {
      this.#peerPaused = true;
      this.#peer?.pause();
    }
    this.output();
  }

  ended(): void {
    if (this.#state === "closed" || this.#hostEnded) return;
    this.#hostEnded = true;
    this.output();
  }

  drained(): void {
    if (this.#state !== "open" || this.#guestEnded) return;
    this.#account();
    // A window update when it helps: RFC 9293 §3.8.6.2.2.
    const gain = distance(add(this.#rcvNxt, this.#room()), this.#rcvEdge);
    if (gain >= Math.min(this.#world.memory.limit / 2, 128 * 1024)) this.#acknowledge();
  }

  closed(failure: TcpFailure | undefined): void {
    if (this.#state === "closed") return;
    this.#peer = undefined;
    if (failure === undefined) return this.ended();
    if (this.#state === "connecting") {
      const quoted = this.#firstPacket;
      if (failure === "refused" || failure === "reset" || quoted === undefined) this.#sendReset(0, this.#rcvNxt);
      else this.#world.icmp.hostUnreachable(this.#mac, this.names.guestIp, quoted);
      this.#world.counters.add("tcp-refused");
    } else if (this.#state !== "time-wait") this.#sendReset(this.#sndNxt, this.#rcvNxt);
    this.#close();
  }

  // The guest's segments.

  /** RFC 9293 §3.10.7. */
  segment(s: TcpSegment, mac: number): void {
    this.#mac = mac;
    this.lastHeardMs = this.#world.host.nowMs();
    switch (this.#state) {
      case "connecting":
        if ((s.flags & TCP.RST) !== 0 && (s.seq === this.#rcvNxt || add(s.seq, 1) === this.#rcvNxt)) this.abort();
        return;
      case "syn-sent":
        return this.#synSent(s);
      case "syn-received":
      case "open":
      case "time-wait":
        return this.#synchronized(s);
      case "closed":
        return;
    }
  }

  #synSent(s: TcpSegment): void {
    const acks = (s.flags & TCP.ACK) !== 0;
    if (acks && s.ack !== this.#sndMax) {
      if ((s.flags & TCP.RST) === 0) this.#sendReset(s.ack, 0, false);
      return;
    }
    if ((s.flags & TCP.RST) !== 0) {
      // Nobody listens in the guest.
      if (acks) this.abort();
      return;
    }
    if ((s.flags & TCP.SYN) === 0) return;
    this.#takeSyn(s);
    if (!acks) {
      // Both asked at once.
      this.#state = "syn-received";
      this.#sendSyn();
      return;
    }
    this.#sndUna = s.ack;
    this.#open(s);
    this.#acknowledge();
    this.output();
  }

  #takeSyn(s: TcpSegment): void {
    this.#rcvNxt = add(s.seq, 1);
    this.#rcvEdge = this.#rcvNxt;
    this.#scaling = s.windowScale >= 0;
    this.#sndScale = Math.max(0, s.windowScale);
    this.#mss = Math.min(OUR_MSS, s.mss);
    this.#setWindow(s, s.window);
  }

  #open(s: TcpSegment): void {
    this.#state = "open";
    this.#rtt.acknowledged(s.ack, this.#world.host.nowMs());
    this.#deadlineMs = 0;
    this.#setWindow(s, (s.flags & TCP.SYN) !== 0 ? s.window : s.window << this.#sndScale);
    if (this.#peerPaused && this.#queue.length === 0) this.#resumePeer();
  }

  #setWindow(s: TcpSegment, window: number): void {
    this.#sndWnd = window;
    this.#sndWl1 = s.seq;
    this.#sndWl2 = s.ack;
    this.#sndWndMax = Math.max(this.#sndWndMax, window);
  }

  #synchronized(s: TcpSegment): void {
    const syn = (s.flags & TCP.SYN) !== 0;
    if (syn && this.#state === "syn-received" && add(s.seq, 1) === this.#rcvNxt) {
      this.#repeatSyn();
      return;
    }
    const length = s.dataEnd - s.dataStart + ((s.flags & TCP.FIN) !== 0 ? 1 : 0) + (syn ? 1 : 0);
    if (!this.#acceptable(s.seq, length)) {
      // A probe of our closed window still tells what has arrived.
      const probe = s.seq === this.#rcvNxt && (s.flags & (TCP.ACK | TCP.RST | TCP.SYN)) === TCP.ACK;
      if ((s.flags & TCP.RST) !== 0) return;
      if (probe && !this.#takeAck(s)) return;
      this.#acknowledge();
      return;
    }
    if ((s.flags & TCP.RST) !== 0) {
      // RFC 5961: only the exact number resets, others are questioned.
      if (s.seq === this.#rcvNxt) this.abort();
      else this.#acknowledge();
      return;
    }
    if (syn) return this.#acknowledge();
    if ((s.flags & TCP.ACK) === 0 || !this.#takeAck(s)) return;
    this.#takeData(s);
    this.output();
  }

  #acceptable(seq: number, length: number): boolean {
    const window = distance(this.#rcvEdge, this.#rcvNxt);
    const fromNext = distance(seq, this.#rcvNxt);
    if (length === 0) return window === 0 ? fromNext === 0 : fromNext >= 0 && fromNext < window;
    return window > 0 && fromNext < window && fromNext + length > 0;
  }

  /** False: the segment is to be dropped. */
  #takeAck(s: TcpSegment): boolean {
    if (distance(s.ack, this.#sndMax) > 0) {
      if (this.#state === "syn-received") this.#sendReset(s.ack, 0, false);
      else this.#acknowledge();
      return false;
    }
    if (this.#state === "syn-received") {
      if (s.ack !== add(this.#iss, 1)) {
        this.#sendReset(s.ack, 0, false);
        return false;
      }
      this.#sndUna = s.ack;
      this.#open(s);
      return true;
    }
    const acked = distance(s.ack, this.#sndUna);
    if (acked > 0) this.#advance(s.ack, acked);
    else if (acked === 0) this.#countDuplicate(s);
    // RFC 9293: an older segment must not shrink the window.
    const newer = distance(s.seq, this.#sndWl1);
    if (acked >= 0 && (newer > 0 || (newer === 0 && distance(s.ack, this.#sndWl2) >= 0))) this.#setWindow(s, s.window << this.#sndScale);
    return true;
  }

  #advance(ack: number, acked: number): void {
    const now = this.#world.host.nowMs();
    this.#rtt.acknowledged(ack, now);
    this.#queue.release(Math.min(acked, this.#queue.length));
    this.#account();
    this.#sndUna = ack;
    if (distance(ack, this.#sndNxt) > 0) this.#sndNxt = ack;
    if (this.#congestion !== UNLIMITED) this.#congestion += acked;
    this.#duplicates = 0;
    if (this.#finSent && ack === this.#sndMax) this.#finAcked = true;
    if (this.#recoverEnd !== undefined) {
      if (distance(ack, this.#recoverEnd) >= 0) this.#recoverEnd = undefined;
      // The next hole (RFC 6582).
      else this.#repeat();
    }
    this.#deadlineMs = ack === this.#sndMax ? 0 : now + this.#rtt.rtoMs;
    if (this.#peerPaused && this.#queue.length <= this.#world.memory.limit / 2) this.#resumePeer();
    if (this.#finAcked) this.#bothEnded();
  }

  #countDuplicate(s: TcpSegment): void {
    const plain = s.dataStart === s.dataEnd && (s.flags & TCP.FIN) === 0 && s.window << this.#sndScale === this.#sndWnd;
    if (!plain || this.#sndUna === this.#sndMax || this.#recoverEnd !== undefined) return;
    if (++this.#duplicates < 3) return;
    this.#recoverEnd = this.#sndMax;
    this.#repeat();
  }

  #takeData(s: TcpSegment): void {
    let start = s.dataStart;
    let { seq } = s;
    const late = distance(this.#rcvNxt, seq);
    if (late > 0) {
      start = Math.min(s.dataEnd, start + late);
      seq = add(seq, start - s.dataStart);
    }
    const end = Math.min(s.dataEnd, start + Math.max(0, distance(this.#rcvEdge, seq)));
    const fin = (s.flags & TCP.FIN) !== 0 && end === s.dataEnd;
    if (this.#guestEnded) {
      // A repeated FIN wants its acknowledgement again.
      if (start < end || fin) this.#acknowledge();
      return;
    }
    if (end > start && this.#peer === undefined) {
      // The host's socket is gone and the guest still sends.
      this.#sendReset(s.ack, 0, false);
      this.#close();
      return;
    }
    if (seq !== this.#rcvNxt) {
      if (start < end) this.#early.add(seq, s.bytes, start, end);
      if (fin) this.#earlyFin = add(seq, end - start);
      this.#account();
      // A duplicate acknowledgement tells the guest of the hole.
      this.#acknowledge();
      return;
    }
    if (start < end) this.#deliver(s.bytes.slice(start, end));
    const filled = !this.#early.empty;
    for (let next = this.#early.take(this.#rcvNxt); next !== undefined; next = this.#early.take(this.#rcvNxt)) this.#deliver(next);
    this.#account();
    if (fin) this.#earlyFin = add(seq, end - start);
    if (this.#earlyFin === this.#rcvNxt) return this.#takeFin();
    if (filled || this.#unackedBytes >= 2 * this.#mss) this.#acknowledge();
    else if (this.#unackedBytes > 0) this.#world.owesAck(this);
  }

  #deliver(bytes: Uint8Array): void {
    this.#rcvNxt = add(this.#rcvNxt, bytes.length);
    this.#unackedBytes += bytes.length;
    this.#peer?.write(bytes);
  }

  #takeFin(): void {
    this.#guestEnded = true;
    this.#earlyFin = undefined;
    this.#early.clear();
    this.#rcvNxt = add(this.#rcvNxt, 1);
    if (distance(this.#rcvEdge, this.#rcvNxt) < 0) this.#rcvEdge = this.#rcvNxt;
    this.#acknowledge();
    this.#peer?.end();
    this.#bothEnded();
  }

  #bothEnded(): void {
    if (!this.#guestEnded || !this.#finAcked || this.#state === "time-wait") return;
    this.#state = "time-wait";
    this.#deadlineMs = this.#world.host.nowMs() + TIME_WAIT_MS;
    this.#world.ticks();
  }

  // Sending.

  /** Sends what windows and card allow. */
  output(): void {
    if (this.#state !== "open") return;
    for (;;) {
      if (this.#world.wire.blocked) return this.#world.waits(this);
      const inFlight = distance(this.#sndNxt, this.#sndUna);
      const unsent = this.#queue.length - inFlight;
      const window = Math.min(this.#sndWnd, this.#congestion);
      const fin = this.#hostEnded && unsent >= 0 && !(this.#finSent && this.#sndNxt === this.#sndMax);
      if (unsent <= 0 && !fin) return;
      const bytes = Math.max(0, Math.min(unsent, window - inFlight, this.#largest()));
      if (unsent > 0 && bytes === 0) return this.#persist(inFlight);
      // No silly small segments while others are on their way (RFC 9293 §3.8.6.2.1).
      if (bytes < unsent && bytes < this.#mss && bytes < this.#sndWndMax / 2 && inFlight > 0) return;
      const withFin = this.#hostEnded && bytes === unsent;
      if (bytes === 0 && !withFin) return;
      if (!this.#sendData(this.#sndNxt, bytes, withFin)) return this.#world.waits(this);
      this.#sndNxt = add(this.#sndNxt, bytes + (withFin ? 1 : 0));
      if (withFin) this.#finSent = true;
      const now = this.#world.host.nowMs();
      if (distance(this.#sndNxt, this.#sndMax) > 0) {
        this.#sndMax = this.#sndNxt;
        this.#rtt.sent(this.#sndMax, now);
      } else this.#world.counters.retransmits++;
      if (this.#deadlineMs === 0) this.#setDeadline(now + this.#rtt.rtoMs);
      if (withFin) return;
    }
  }

  /** Payload of the largest segment: many in one when the guest takes them so. */
  #largest(): number {
    return this.#world.wire.accepted.tso4 ? MAX_PAYLOAD - (MAX_PAYLOAD % this.#mss) : this.#mss;
  }

  /** The guest's window is closed: somebody has to ask whether it opened. */
  #persist(inFlight: number): void {
    if (inFlight === 0 && this.#deadlineMs === 0) this.#setDeadline(this.#world.host.nowMs() + this.#rtt.rtoMs);
  }

  /** Sends the oldest unacknowledged segment again. */
  #repeat(): void {
    const outstanding = distance(this.#sndMax, this.#sndUna);
    const data = Math.min(this.#queue.length, outstanding, this.#largest());
    const fin = this.#finSent && data === this.#queue.length;
    if (data <= 0 && !fin) return;
    this.#rtt.repeated();
    this.#world.counters.retransmits++;
    this.#sendData(this.#sndUna, data, fin);
  }

  #sendData(seq: number, bytes: number, fin: boolean): boolean {
    this.#queue.copy(distance(seq, this.#sndUna), bytes, this.#world.wire.frame, L4_AT + TCP.HEADER);
    const last = distance(add(seq, bytes), this.#sndUna) === this.#queue.length;
    return this.#send(TCP.ACK | (last && bytes > 0 ? TCP.PSH : 0) | (fin ? TCP.FIN : 0), seq, bytes);
  }

  #acknowledge(): void {
    if (this.#state === "closed" || this.#state === "connecting") return;
    if (!this.#send(TCP.ACK, this.#sndNxt, 0)) this.#world.owesAck(this);
  }

  /** The acknowledgement that was held back. False: the card is full. */
  sendOwedAck(): boolean {
    if (this.#state !== "open" && this.#state !== "time-wait") return true;
    return this.#send(TCP.ACK, this.#sndNxt, 0);
  }

  /** How many bytes we can take of the guest. */
  #room(): number {
    const held = (this.#peer?.unsentBytes ?? 0) + this.#early.bytes;
    return Math.max(0, this.#world.memory.limit - held);
  }

  /** The window field; the right edge never moves back (RFC 9293 §3.8.6). */
  #window(): number {
    const shift = this.#scaling ? OUR_SCALE : 0;
    const open = Math.max(this.#room(), distance(this.#rcvEdge, this.#rcvNxt));
    const field = Math.min(0xffff, open >> shift);
    const edge = add(this.#rcvNxt, field << shift);
    if (distance(edge, this.#rcvEdge) > 0) this.#rcvEdge = edge;
    return field;
  }

  /** Header and checksum around data that is in place. False: the card is full. */
  #send(flags: number, seq: number, dataBytes: number): boolean {
    const { wire } = this.#world;
    const { names } = this;
    if (wire.blocked) return false;
    this.#header(flags, seq, this.#rcvNxt, TCP.HEADER, this.#window());
    const sent = wire.sendTcp(this.#mac, names.remoteIp, names.guestIp, TCP.HEADER, dataBytes, this.#mss);
    if (sent) this.#unackedBytes = 0;
    return sent;
  }

  #header(flags: number, seq: number, ack: number, bytes: number, window: number): void {
    const { frame } = this.#world.wire;
    put16(frame, L4_AT, this.names.remotePort);
    put16(frame, L4_AT + 2, this.names.guestPort);
    put32(frame, L4_AT + 4, seq);
    put32(frame, L4_AT + 8, (flags & TCP.ACK) === 0 ? 0 : ack);
    frame[L4_AT + 12] = (bytes / 4) << 4;
    frame[L4_AT + 13] = flags;
    put16(frame, L4_AT + 14, window);
    put32(frame, L4_AT + 16, 0);
  }

  /** SYN or SYN-ACK with the options that make a fast connection. The first one sets the timer. */
  #sendSyn(): void {
    this.#sndNxt = add(this.#iss, 1);
    this.#sndMax = this.#sndNxt;
    this.#setDeadline(this.#world.host.nowMs() + this.#rtt.rtoMs);
    this.#repeatSyn();
  }

  #repeatSyn(): void {
    const { wire, neighbours } = this.#world;
    const { names } = this;
    const active = this.#state === "syn-sent";
    if (active) {
      const mac = neighbours.macOf(names.guestIp);
      // The guest may not be up yet: the timer tries again.
      if (mac === undefined) return neighbours.ask(names.guestIp);
      this.#mac = mac;
    }
    const { frame } = wire;
    const scaled = active || this.#scaling;
    const bytes = TCP.HEADER + (scaled ? 8 : 4);
    if (!active) this.#rcvEdge = add(this.#rcvNxt, Math.min(0xffff, this.#room()));
    this.#header(active ? TCP.SYN : TCP.SYN | TCP.ACK, this.#iss, this.#rcvNxt, bytes, Math.min(0xffff, this.#room()));
    frame.set([2, 4, OUR_MSS >> 8, OUR_MSS & 0xff], L4_AT + 20);
    if (scaled) frame.set([3, 3, OUR_SCALE, 1], L4_AT + 24);
    wire.sendTcp(this.#mac, names.remoteIp, names.guestIp, bytes, 0, this.#mss);
  }

  /** The guest's card is known now. */
  guestAppeared(): void {
    if (this.#state === "syn-sent") this.#repeatSyn();
  }

  #sendReset(seq: number, ack: number, withAck = true): void {
    const { wire } = this.#world;
    if (this.#mac === 0) return;
    this.#header(withAck ? TCP.RST | TCP.ACK : TCP.RST, seq, ack, TCP.HEADER, 0);
    wire.sendTcp(this.#mac, this.names.remoteIp, this.names.guestIp, TCP.HEADER, 0, this.#mss);
  }

  // Time.

  #setDeadline(atMs: number): void {
    this.#deadlineMs = atMs;
    this.#world.ticks();
  }

  /** True while a timer is set. */
  get timed(): boolean {
    return this.#deadlineMs !== 0;
  }

  /** Called several times a second while timers are set. */
  tick(nowMs: number): void {
    if (this.#deadlineMs === 0 || nowMs < this.#deadlineMs) return;
    if (this.#state === "time-wait") return this.#close();
    // A guest that takes no frames at all (paused, busy) has lost none.
    if (this.#world.wire.blocked) return this.#setDeadline(nowMs + this.#rtt.rtoMs);
    const handshake = this.#state === "syn-sent" || this.#state === "syn-received";
    this.#rtt.backOff();
    // A guest may keep its window closed for as long as it answers.
    const patient = this.#sndWnd === 0 && nowMs - this.lastHeardMs < SILENT_MS;
    if (this.#rtt.retries > (handshake ? MAX_SYN_RETRIES : MAX_RETRIES) && !patient) {
      this.#world.counters.add("tcp-gave-up");
      this.#sendReset(this.#sndNxt, this.#rcvNxt);
      return this.abort();
    }
    this.#setDeadline(nowMs + this.#rtt.rtoMs);
    if (handshake) {
      this.#world.counters.retransmits++;
      return this.#repeatSyn();
    }
    if (this.#sndWnd === 0 || this.#sndMax === this.#sndUna) return this.#probe();
    // Everything in flight counts as lost; it goes out again as fast as acknowledgements come (RFC 5681).
    this.#sndNxt = this.#sndUna;
    this.#recoverEnd = undefined;
    this.#duplicates = 0;
    this.#congestion = Math.max(2 * this.#mss, this.#largest());
    this.output();
  }

  /** A byte beyond the guest's closed window makes it say how large the window is now. */
  #probe(): void {
    if (this.#queue.length === 0 && !this.#finSent) {
      this.#deadlineMs = 0;
      return;
    }
    const bytes = Math.min(1, this.#queue.length);
    const fin = bytes === 0;
    if (!this.#sendData(this.#sndUna, bytes, fin)) return;
    // The byte counts as sent only once it is acknowledged: most guests throw it away.
    const end = add(this.#sndUna, 1);
    if (distance(end, this.#sndMax) > 0) this.#sndMax = end;
  }

  // The end.

  #resumePeer(): void {
    this.#peerPaused = false;
    this.#peer?.resume();
  }

  #account(): void {
    const bytes = this.#queue.length + this.#early.bytes + (this.#peer?.unsentBytes ?? 0);
    this.#world.memory.used += bytes - this.#accounted;
    this.#accounted = bytes;
  }

  /** Ends both halves at once: the guest's is already over or told, the host's gets a reset. */
  abort(): void {
    this.#peer?.reset();
    this.#peer = undefined;
    this.#close();
  }

  /** Ends the connection from our side: the guest gets a reset too. */
  kill(): void {
    if (this.#state !== "connecting" && this.#state !== "time-wait") this.#sendReset(this.#sndNxt, this.#rcvNxt);
    this.abort();
  }

  #close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#world.memory.used -= this.#accounted;
    this.#accounted = 0;
    this.#deadlineMs = 0;
    this.#queue.release(this.#queue.length);
    this.#early.clear();
    this.#world.forget(this);
  }
}
