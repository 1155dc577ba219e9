import type { FrameOffload } from "../../../backends/api/index.ts";

/** Feature bits. Source: VIRTIO 1.2 §5.1.3. */
export const NET_F = {
  CSUM: 1n << 0n,
  GUEST_CSUM: 1n << 1n,
  CTRL_GUEST_OFFLOADS: 1n << 2n,
  MTU: 1n << 3n,
  MAC: 1n << 5n,
  GUEST_TSO4: 1n << 7n,
  HOST_TSO4: 1n << 11n,
  MRG_RXBUF: 1n << 15n,
  STATUS: 1n << 16n,
  CTRL_VQ: 1n << 17n,
  CTRL_RX: 1n << 18n,
  CTRL_VLAN: 1n << 19n,
  CTRL_RX_EXTRA: 1n << 20n,
  GUEST_ANNOUNCE: 1n << 21n,
  CTRL_MAC_ADDR: 1n << 23n,
  SPEED_DUPLEX: 1n << 63n,
} as const;
/** The transport's: with it the header always has `num_buffers`. */
export const VERSION_1 = 1n << 32n;

const NEEDS_CSUM = 1;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
export const LONG_HEADER = 12;
const SHORT_HEADER = 10;

/** struct virtio_net_hdr is longer with mergeable buffers and in modern devices (§5.1.6.1). */
export function headerBytes(features: bigint): 10 | 12 {
  return (features & (NET_F.MRG_RXBUF | VERSION_1)) === 0n ? SHORT_HEADER : LONG_HEADER;
}

interface MutableOffload extends FrameOffload {
  csumStart: number;
  csumOffset: number;
  gsoSize: number;
  headerBytes: number;
}

/** What the guest said of a frame it sends: fills `into`. "plain": nothing is left to do; "bad": nonsense, the frame goes nowhere. */
export function parseHeader(header: DataView, frameBytes: number, negotiated: bigint, into: MutableOffload): "plain" | "unfinished" | "bad" {
  const gso = header.getUint8(1);
  if ((negotiated & NET_F.CSUM) === 0n || (header.getUint8(0) & NEEDS_CSUM) === 0) return gso === GSO_NONE ? "plain" : "bad";
  into.csumStart = header.getUint16(6, true);
  into.csumOffset = header.getUint16(8, true);
  into.gsoSize = 0;
  into.headerBytes = 0;
  if (into.csumStart === 0 || into.csumStart + into.csumOffset + 2 > frameBytes) return "bad";
  if (gso === GSO_NONE) return "unfinished";
  into.gsoSize = header.getUint16(4, true);
  into.headerBytes = header.getUint16(2, true);
  return gso === GSO_TCPV4 && (negotiated & NET_F.HOST_TSO4) !== 0n && into.gsoSize > 0 ? "unfinished" : "bad";
}

/** The header of a frame for the guest, all but `num_buffers` (§5.1.6.4). */
export function writeHeader(header: DataView, offload: FrameOffload | undefined): void {
  header.setUint8(0, offload === undefined ? 0 : NEEDS_CSUM);
  header.setUint8(1, offload === undefined || offload.gsoSize === 0 ? GSO_NONE : GSO_TCPV4);
  header.setUint16(2, offload?.headerBytes ?? 0, true);
  header.setUint16(4, offload?.gsoSize ?? 0, true);
  header.setUint16(6, offload?.csumStart ?? 0, true);
  header.setUint16(8, offload?.csumOffset ?? 0, true);
}
