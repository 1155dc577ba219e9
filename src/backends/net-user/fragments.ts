import type { Counters } from "./counters.ts";
import { MAX_IP_PACKET } from "./packet.ts";
import type { IpPacket } from "./packet.ts";

/** Datagrams in pieces at a time: 1 MiB at most. */
const MAX_DATAGRAMS = 16;
/** RFC 1122 §3.3.2 wants 60 to 120 s; a guest on a virtual wire needs none of it. */
const TIMEOUT_MS = 15_000;

interface Datagram {
  readonly startedMs: number;
  readonly data: Uint8Array;
  /** A bit for each eight bytes that have come. */
  readonly have: Uint8Array;
  filled: number;
  /** Undefined until the last fragment has come. */
  length: number | undefined;
}

/** Puts fragmented datagrams of the guest together (RFC 791), bounded; what overlaps is thrown away whole (as RFC 5722 has it for IPv6). */
export class Reassembly {
  readonly #counters: Counters;
  readonly #datagrams = new Map<string, Datagram>();
  readonly #whole = new Uint8Array(14 + 20 + MAX_IP_PACKET);

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  get pending(): number {
    return this.#datagrams.size;
  }

  expire(nowMs: number): void {
    for (const [key, datagram] of this.#datagrams) {
      if (nowMs - datagram.startedMs < TIMEOUT_MS) continue;
      this.#datagrams.delete(key);
      this.#counters.add("fragment-timeout");
    }
  }

  /** Takes a fragment. True: `packet` is now the whole datagram, valid until the next call. */
  add(packet: IpPacket, nowMs: number): boolean {
    const { bytes, start, end, fragmentOffset, moreFragments } = packet;
    const length = end - start;
    if (length === 0 || fragmentOffset + length > MAX_IP_PACKET - 20 || (moreFragments && (length & 7) !== 0)) {
      this.#counters.add("fragment-bounds");
      return false;
    }
    const key = `${packet.source} ${packet.destination} ${packet.protocol} ${packet.id}`;
    const datagram = this.#datagrams.get(key) ?? this.#open(key, nowMs);
    if (!insert(datagram, bytes, start, length, fragmentOffset, moreFragments)) {
      this.#counters.add("fragment-overlap");
      this.#datagrams.delete(key);
      return false;
    }
    if (datagram.length === undefined || datagram.filled !== datagram.length) return false;
    this.#datagrams.delete(key);
    const header = start - packet.ipAt;
    this.#whole.set(bytes.subarray(packet.ipAt, start), 14);
    this.#whole.set(datagram.data.subarray(0, datagram.length), 14 + header);
    packet.bytes = this.#whole;
    packet.ipAt = 14;
    packet.start = 14 + header;
    packet.end = packet.start + datagram.length;
    packet.fragmentOffset = 0;
    packet.moreFragments = false;
    return true;
  }

  #open(key: string, nowMs: number): Datagram {
    if (this.#datagrams.size >= MAX_DATAGRAMS) {
      const [oldest] = this.#datagrams.keys();
      if (oldest !== undefined) this.#datagrams.delete(oldest);
      this.#counters.add("fragment-timeout");
    }
    const datagram: Datagram = {
      startedMs: nowMs,
      data: new Uint8Array(MAX_IP_PACKET + 1),
      have: new Uint8Array((MAX_IP_PACKET + 1) >> 3),
      filled: 0,
      length: undefined,
    };
    this.#datagrams.set(key, datagram);
    return datagram;
  }
}

function insert(d: Datagram, bytes: Uint8Array, start: number, length: number, offset: number, more: boolean): boolean {
  const end = offset + length;
  if (d.length !== undefined && (end > d.length || (!more && end !== d.length))) return false;
  const [first, last] = [offset >> 3, (end + 7) >> 3];
  for (let i = first; i < last; i++) if (d.have[i] !== 0) return false;
  if (!more) {
    for (let i = last; i < d.have.length; i++) if (d.have[i] !== 0) return false;
    d.length = end;
  }
  d.have.fill(1, first, last);
  d.data.set(bytes.subarray(start, start + length), offset);
  d.filled += length;
  return true;
}
