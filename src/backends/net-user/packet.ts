import { checksum, fold, get16, get32, getMac, pseudoSum, sumWords } from "./bytes.ts";

export const ETHER = { HEADER: 14, IPV4: 0x0800, ARP: 0x0806 } as const;
export const PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17 } as const;

/** Where the IP header is in every frame here: no VLAN tags on this network. */
export const IP_AT = ETHER.HEADER;
const IP_HEADER = 20;
export const MAX_IP_PACKET = 65535;

/** An IPv4 packet inside a frame, or a reassembled one. Reused: valid until the next `parseIpv4Frame`. */
export interface IpPacket {
  bytes: Uint8Array;
  sourceMac: number;
  /** Start of the IP header in `bytes`. */
  ipAt: number;
  source: number;
  destination: number;
  protocol: number;
  ttl: number;
  /** Identification, with `fragment` what reassembly needs. */
  id: number;
  /** Offset of this fragment's data in the datagram. */
  fragmentOffset: number;
  moreFragments: boolean;
  /** The payload: from the end of the options to the length that the header states (padding is outside). */
  start: number;
  end: number;
  /** The transport checksum was left to the wire: nothing to check. */
  unfinished: boolean;
}

export function emptyPacket(): IpPacket {
  return {
    bytes: new Uint8Array(0),
    sourceMac: 0,
    ipAt: IP_AT,
    source: 0,
    destination: 0,
    protocol: 0,
    ttl: 0,
    id: 0,
    fragmentOffset: 0,
    moreFragments: false,
    start: 0,
    end: 0,
    unfinished: false,
  };
}

/** RFC 791. Undefined when all is well, else why the packet is dropped. */
export function parseIpv4Frame(frame: Uint8Array, into: IpPacket): "ip-truncated" | "ip-version" | "ip-checksum" | undefined {
  if (frame.length < IP_AT + IP_HEADER) return "ip-truncated";
  const first = frame[IP_AT] ?? 0;
  if (first >>> 4 !== 4) return "ip-version";
  const headerBytes = (first & 15) * 4;
  const totalBytes = get16(frame, IP_AT + 2);
  if (headerBytes < IP_HEADER || totalBytes < headerBytes || IP_AT + totalBytes > frame.length) return "ip-truncated";
  if (fold(sumWords(frame, IP_AT, IP_AT + headerBytes, 0)) !== 0xffff) return "ip-checksum";
  const fragment = get16(frame, IP_AT + 6);
  into.bytes = frame;
  into.sourceMac = getMac(frame, 6);
  into.ipAt = IP_AT;
  into.id = get16(frame, IP_AT + 4);
  into.fragmentOffset = (fragment & 0x1fff) * 8;
  into.moreFragments = (fragment & 0x2000) !== 0;
  into.ttl = frame[IP_AT + 8] ?? 0;
  into.protocol = frame[IP_AT + 9] ?? 0;
  into.source = get32(frame, IP_AT + 12);
  into.destination = get32(frame, IP_AT + 16);
  into.start = IP_AT + headerBytes;
  into.end = IP_AT + totalBytes;
  into.unfinished = false;
  return undefined;
}

/** A UDP header's fields. Reused. */
export interface UdpHeader {
  sourcePort: number;
  destinationPort: number;
  dataStart: number;
  dataEnd: number;
}

export function parseUdp(packet: IpPacket, into: UdpHeader): "udp-truncated" | "udp-checksum" | undefined {
  const { bytes, start, end } = packet;
  if (end - start < 8) return "udp-truncated";
  const length = get16(bytes, start + 4);
  if (length < 8 || start + length > end) return "udp-truncated";
  if (!packet.unfinished && get16(bytes, start + 6) !== 0) {
    const sum = sumWords(bytes, start, start + length, pseudoSum(packet.source, packet.destination, PROTOCOL.UDP, length));
    if (fold(sum) !== 0xffff) return "udp-checksum";
  }
  into.sourcePort = get16(bytes, start);
  into.destinationPort = get16(bytes, start + 2);
  into.dataStart = start + 8;
  into.dataEnd = start + length;
  return undefined;
}

export const TCP = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, HEADER: 20 } as const;

/** A TCP segment's fields. Reused. */
export interface TcpSegment {
  bytes: Uint8Array;
  sourcePort: number;
  destinationPort: number;
  seq: number;
  ack: number;
  flags: number;
  /** As in the header, not scaled. */
  window: number;
  /** Of a SYN: maximum segment size, 536 when it does not say (RFC 9293 §3.7.1). */
  mss: number;
  /** Of a SYN: window scale shift 0..14; -1 without the option (RFC 7323). */
  windowScale: number;
  dataStart: number;
  dataEnd: number;
}

export function emptySegment(): TcpSegment {
  return {
    bytes: new Uint8Array(0),
    sourcePort: 0,
    destinationPort: 0,
    seq: 0,
    ack: 0,
    flags: 0,
    window: 0,
    mss: 536,
    windowScale: -1,
    dataStart: 0,
    dataEnd: 0,
  };
}

export function parseTcp(packet: IpPacket, into: TcpSegment): "tcp-truncated" | "tcp-checksum" | undefined {
  const { bytes, start, end } = packet;
  if (end - start < TCP.HEADER) return "tcp-truncated";
  const headerBytes = ((bytes[start + 12] ?? 0) >>> 4) * 4;
  if (headerBytes < TCP.HEADER || start + headerBytes > end) return "tcp-truncated";
  if (!packet.unfinished) {
    const sum = sumWords(bytes, start, end, pseudoSum(packet.source, packet.destination, PROTOCOL.TCP, end - start));
    if (fold(sum) !== 0xffff) return "tcp-checksum";
  }
  into.bytes = bytes;
  into.sourcePort = get16(bytes, start);
  into.destinationPort = get16(bytes, start + 2);
  into.seq = get32(bytes, start + 4);
  into.ack = get32(bytes, start + 8);
  into.flags = (bytes[start + 13] ?? 0) & 0x3f;
  into.window = get16(bytes, start + 14);
  into.dataStart = start + headerBytes;
  into.dataEnd = end;
  into.mss = 536;
  into.windowScale = -1;
  if ((into.flags & TCP.SYN) !== 0) parseOptions(bytes, start + TCP.HEADER, start + headerBytes, into);
  return undefined;
}

function parseOptions(bytes: Uint8Array, start: number, end: number, into: TcpSegment): void {
  let at = start;
  while (at < end) {
    const kind = bytes[at] ?? 0;
    if (kind === 0) return;
    if (kind === 1) {
      at++;
      continue;
    }
    const length = at + 1 < end ? (bytes[at + 1] ?? 0) : 0;
    if (length < 2 || at + length > end) return;
    // A tiny MSS would make us send a frame a byte.
    if (kind === 2 && length === 4) into.mss = Math.max(88, get16(bytes, at + 2));
    if (kind === 3 && length === 3) into.windowScale = Math.min(14, bytes[at + 2] ?? 0);
    at += length;
  }
}

/** Fills in an IP header's checksum. */
export function sealIpHeader(bytes: Uint8Array, at: number): void {
  bytes[at + 10] = 0;
  bytes[at + 11] = 0;
  const sum = checksum(bytes, at, at + IP_HEADER);
  bytes[at + 10] = sum >>> 8;
  bytes[at + 11] = sum;
}
