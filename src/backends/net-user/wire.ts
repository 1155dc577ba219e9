import type { FrameOffload, NetOffloads } from "../api/index.ts";
import { NO_OFFLOADS } from "../api/index.ts";
import { checksum, fold, put16, put32, putMac, pseudoSum } from "./bytes.ts";
import { ETHER, IP_AT, MAX_IP_PACKET, PROTOCOL, sealIpHeader } from "./packet.ts";
import { onLan, LAN } from "./address.ts";
import type { Counters } from "./counters.ts";

/** Where a transport header is in the frames that we make: no IP options. */
export const L4_AT = IP_AT + 20;
/** What a link of this network carries: the usual Ethernet. */
export const MTU = 1500;
/** Small frames that wait for the card: answers to what the guest asked, and datagrams. More are lost, as on a wire. */
const MAX_WAITING = 256;
const MAX_WAITING_BYTES = 1 << 20;
/** Of a TCP header. */
const TCP_CHECKSUM = 16;

/** The network's side of the cable: makes frames in one buffer and hands them to the card, or keeps a few until it has room. */
export class Wire {
  /** The frame being made. */
  readonly frame = new Uint8Array(ETHER.HEADER + MAX_IP_PACKET + 1);
  /** Set by the card. */
  receiver: ((frame: Uint8Array, offload?: FrameOffload) => boolean) | undefined;
  accepted: NetOffloads = NO_OFFLOADS;
  /** The card had no room; `ready` ends that. TCP waits by itself, everything else goes to the waiting list. */
  blocked = false;
  readonly #counters: Counters;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #id = 1;
  readonly #offload: { csumStart: number; csumOffset: number; gsoSize: number; headerBytes: number } = {
    csumStart: 0,
    csumOffset: 0,
    gsoSize: 0,
    headerBytes: 0,
  };

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** The card has room: what waited goes first. True when all of it went. */
  ready(): boolean {
    this.blocked = false;
    let sent = 0;
    for (const frame of this.#waiting) {
      if (!this.#hand(frame)) break;
      this.#waitingBytes -= frame.length;
      sent++;
    }
    if (sent > 0) this.#waiting = this.#waiting.slice(sent);
    return !this.blocked;
  }

  clear(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.blocked = false;
  }

  /** Sends the first `length` bytes of `frame`, which are no TCP data: kept for later when the card is full. */
  sendOrKeep(length: number): void {
    // No wire carries less than 60 bytes (IEEE 802.3 §4.2.3.3, without FCS).
    const padded = Math.max(60, length);
    if (padded > length) this.frame.fill(0, length, padded);
    const bytes = this.frame.subarray(0, padded);
    if (!this.blocked && this.#hand(bytes)) return;
    if (this.receiver === undefined) return;
    if (this.#waiting.length >= MAX_WAITING || this.#waitingBytes + padded > MAX_WAITING_BYTES) {
      this.#counters.add("guest-slow");
      return;
    }
    this.#waiting.push(bytes.slice());
    this.#waitingBytes += padded;
  }

  #hand(frame: Uint8Array, offload?: FrameOffload): boolean {
    const { receiver } = this;
    if (receiver === undefined) return false;
    const taken = offload === undefined ? receiver(frame) : receiver(frame, offload);
    if (taken) {
      this.#counters.toGuestFrames++;
      this.#counters.toGuestBytes += frame.length;
    } else this.blocked = true;
    return taken;
  }

  putEthernet(toMac: number, fromIp: number, type: number): void {
    putMac(this.frame, 0, toMac);
    putMac(this.frame, 6, fromIp === LAN.DNS ? LAN.DNS_MAC : LAN.GATEWAY_MAC);
    put16(this.frame, 12, type);
  }

  /** Ethernet and IP header for `payloadBytes` at `L4_AT`; returns the frame's length. `fragment` is the header's flags and offset. */
  putIp(toMac: number, source: number, destination: number, protocol: number, payloadBytes: number, fragment = 0x4000, id = this.nextId()): number {
    const { frame } = this;
    this.putEthernet(toMac, source, ETHER.IPV4);
    frame[IP_AT] = 0x45;
    frame[IP_AT + 1] = 0;
    put16(frame, IP_AT + 2, 20 + payloadBytes);
    put16(frame, IP_AT + 4, id);
    put16(frame, IP_AT + 6, fragment);
    // One hop less from outside, so that a guest sees the router.
    frame[IP_AT + 8] = onLan(source) ? 64 : 63;
    frame[IP_AT + 9] = protocol;
    put32(frame, IP_AT + 12, source);
    put32(frame, IP_AT + 16, destination);
    sealIpHeader(frame, IP_AT);
    return L4_AT + payloadBytes;
  }

  nextId(): number {
    this.#id = (this.#id + 1) & 0xffff;
    return this.#id;
  }

  /** A TCP segment made at `L4_AT` with its checksum field zero. False: the card is full, nothing was sent. */
  sendTcp(toMac: number, source: number, destination: number, headerBytes: number, dataBytes: number, mss: number): boolean {
    if (this.blocked) return false;
    const length = headerBytes + dataBytes;
    const frameBytes = this.putIp(toMac, source, destination, PROTOCOL.TCP, length);
    const offload = this.#finishTcp(source, destination, length);
    if (offload === undefined) return this.#hand(this.frame.subarray(0, this.#pad(frameBytes)));
    this.#offload.gsoSize = dataBytes > mss ? mss : 0;
    this.#offload.headerBytes = L4_AT + headerBytes;
    return this.#hand(this.frame.subarray(0, this.#pad(frameBytes)), this.#offload);
  }

  /** A UDP datagram whose data is at `L4_AT + 8`; in fragments when it is long. */
  sendUdp(toMac: number, source: number, sourcePort: number, destination: number, port: number, dataBytes: number): void {
    const { frame } = this;
    const length = 8 + dataBytes;
    put16(frame, L4_AT, sourcePort);
    put16(frame, L4_AT + 2, port);
    put16(frame, L4_AT + 4, length);
    put16(frame, L4_AT + 6, 0);
    // Always finished, whatever the card's driver takes: DHCP clients read raw frames, which nobody completes for them.
    const sum = checksum(frame, L4_AT, L4_AT + length, pseudoSum(source, destination, PROTOCOL.UDP, length));
    put16(frame, L4_AT + 6, sum === 0 ? 0xffff : sum);
    if (length <= MTU - 20) return this.sendOrKeep(this.putIp(toMac, source, destination, PROTOCOL.UDP, length));
    const datagram = frame.slice(L4_AT, L4_AT + length);
    const id = this.nextId();
    const step = (MTU - 20) & ~7;
    for (let at = 0; at < length; at += step) {
      const bytes = Math.min(step, length - at);
      frame.set(datagram.subarray(at, at + bytes), L4_AT);
      const more = at + bytes < length ? 0x2000 : 0;
      this.sendOrKeep(this.putIp(toMac, source, destination, PROTOCOL.UDP, bytes, more | (at >> 3), id));
    }
  }

  /** Completes the checksum, or leaves it to a guest that takes it so. */
  #finishTcp(source: number, destination: number, length: number): FrameOffload | undefined {
    const pseudo = pseudoSum(source, destination, PROTOCOL.TCP, length);
    if (!this.accepted.checksum) {
      put16(this.frame, L4_AT + TCP_CHECKSUM, checksum(this.frame, L4_AT, L4_AT + length, pseudo));
      return undefined;
    }
    put16(this.frame, L4_AT + TCP_CHECKSUM, fold(pseudo));
    const offload = this.#offload;
    offload.csumStart = L4_AT;
    offload.csumOffset = TCP_CHECKSUM;
    offload.gsoSize = 0;
    offload.headerBytes = 0;
    return offload;
  }

  #pad(length: number): number {
    if (length >= 60) return length;
    this.frame.fill(0, length, 60);
    return 60;
  }
}
