import * as fs from "node:fs";
import { VmmError } from "../../../base/index.ts";
import { NO_OFFLOADS } from "../../api/index.ts";
import type { FrameOffload, NetBackend, NetOffloads } from "../../api/index.ts";
import { loadLibc } from "./libc.ts";
import type { Libc } from "./libc.ts";

/** Source: linux/if_tun.h (the numbers are the same on every architecture that Node runs on but MIPS and PowerPC). */
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM = 1;
const TUN_F_TSO4 = 2;

const IFNAMSIZ = 16;
/** struct virtio_net_hdr before each frame: the kernel finishes checksums and cuts large frames for us, and we for the guest. */
const VNET_HEADER = 10;
const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;
const MAX_FRAME = 65_550;
/** Frames taken in one turn before others get theirs. */
const BATCH = 64;
/** A closed network is noticed within this time. */
const POLL_MS = 200;

/**
 * Attaches to the TAP interface `ifname`, making it when this process may. What is at the interface's other side (addresses, a bridge, who
 * may reach whom) is the system's business. Rejects with a `VmmError` of one line.
 */
export async function openTap(ifname: string): Promise<NetBackend> {
  if (!/^[^\s/:]{1,15}$/.test(ifname) || ifname === "." || ifname === "..") {
    throw new VmmError("NET_TAP_NAME", `tap: "${ifname}" is no interface name (1 to 15 characters)`);
  }
  if (process.platform !== "linux") throw new VmmError("NET_TAP_PLATFORM", "tap: there are TAP interfaces on Linux only; use --net user");
  const libc = await loadLibc();
  let fd: number;
  try {
    fd = fs.openSync("/dev/net/tun", fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  } catch (cause) {
    throw new VmmError("NET_TAP_DEVICE", `tap: /dev/net/tun cannot be opened (${codeOf(cause)}); use --net user`, { cause });
  }
  const request = new Uint8Array(40);
  request.set(new TextEncoder().encode(ifname).subarray(0, IFNAMSIZ - 1));
  new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  const failure = libc.ioctlBuffer(fd, TUNSETIFF, request);
  if (failure !== 0) {
    fs.closeSync(fd);
    throw attachError(ifname, failure);
  }
  return new TapNet(ifname, fd, libc);
}

function attachError(ifname: string, errno: number): VmmError {
  switch (errno) {
    case 1:
    case 13:
      return new VmmError(
        "NET_TAP_DENIED",
        `tap: no permission for ${ifname}; make it once as root: ip tuntap add dev ${ifname} mode tap user $USER && ip link set ${ifname} up`,
      );
    case 16:
      return new VmmError("NET_TAP_BUSY", `tap: ${ifname} is in use by another program`);
    case 22:
      return new VmmError("NET_TAP_KIND", `tap: ${ifname} exists and is no single-queue TAP interface`);
    default:
      return new VmmError("NET_TAP", `tap: cannot attach to ${ifname} (errno ${errno})`);
  }
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : String(error));

/** A TAP interface's file descriptor as a network. Frames are read when poll(2), in a thread of its own, says there are some. */
class TapNet implements NetBackend {
  readonly name: string;
  readonly offloads: NetOffloads = { checksum: true, tso4: true };
  readonly #fd: number;
  readonly #libc: Libc;
  readonly #in = Buffer.alloc(VNET_HEADER + MAX_FRAME);
  readonly #outHeader = Buffer.alloc(VNET_HEADER);
  readonly #offload = { csumStart: 0, csumOffset: 0, gsoSize: 0, headerBytes: 0 };
  #receive: ((frame: Uint8Array, offload?: FrameOffload) => boolean) | undefined;
  /** Bytes in `#in` that the card had no room for. */
  #held = 0;
  #polling = false;
  #closed = false;

  constructor(name: string, fd: number, libc: Libc) {
    this.name = name;
    this.#fd = fd;
    this.#libc = libc;
    this.setGuestOffloads(NO_OFFLOADS);
  }

  get onReceive(): ((frame: Uint8Array, offload?: FrameOffload) => boolean) | undefined {
    return this.#receive;
  }
  set onReceive(receiver: ((frame: Uint8Array, offload?: FrameOffload) => boolean) | undefined) {
    this.#receive = receiver;
    this.#poll();
  }

  setGuestOffloads(accepted: NetOffloads): void {
    if (!this.#closed) this.#libc.ioctlValue(this.#fd, TUNSETOFFLOAD, (accepted.checksum ? TUN_F_CSUM : 0) | (accepted.tso4 ? TUN_F_TSO4 : 0));
  }

  send(frame: Uint8Array, offload?: FrameOffload): void {
    if (this.#closed) return;
    const header = this.#outHeader;
    header.fill(0);
    if (offload !== undefined) {
      header[0] = NEEDS_CSUM;
      header[1] = offload.gsoSize === 0 ? 0 : GSO_TCPV4;
      header.writeUInt16LE(offload.headerBytes, 2);
      header.writeUInt16LE(offload.gsoSize, 4);
      header.writeUInt16LE(offload.csumStart, 6);
      header.writeUInt16LE(offload.csumOffset, 8);
    }
    try {
      fs.writevSync(this.#fd, [header, frame]);
    } catch {
      // The interface is down, its queue is full, or the kernel finds the header nonsense: lost, as on a wire.
    }
  }

  ready(): void {
    if (this.#held === 0) return;
    const bytes = this.#held;
    this.#held = 0;
    if (this.#deliver(bytes)) this.#poll();
    else this.#held = bytes;
  }

  #poll(): void {
    if (this.#polling || this.#closed || this.#held !== 0 || this.#receive === undefined) return;
    this.#polling = true;
    this.#libc.pollIn(this.#fd, POLL_MS, (readable) => {
      this.#polling = false;
      if (this.#closed) return fs.closeSync(this.#fd);
      if (readable) this.#readBatch();
      this.#poll();
    });
  }

  #readBatch(): void {
    for (let i = 0; i < BATCH; i++) {
      let bytes: number;
      try {
        bytes = fs.readSync(this.#fd, this.#in);
      } catch {
        return;
      }
      if (bytes <= VNET_HEADER || this.#deliver(bytes)) continue;
      this.#held = bytes;
      return;
    }
  }

  #deliver(bytes: number): boolean {
    const all = this.#in;
    const frame = all.subarray(VNET_HEADER, bytes);
    if (this.#receive === undefined) return true;
    if (((all[0] ?? 0) & NEEDS_CSUM) === 0) return this.#receive(frame);
    this.#offload.csumStart = all.readUInt16LE(6);
    this.#offload.csumOffset = all.readUInt16LE(8);
    const large = all[1] === GSO_TCPV4;
    this.#offload.gsoSize = large ? all.readUInt16LE(4) : 0;
    this.#offload.headerBytes = large ? all.readUInt16LE(2) : 0;
    return this.#receive(frame, this.#offload);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#receive = undefined;
    // A poll that is under way closes the descriptor when it comes back: not under its feet.
    if (!this.#polling) fs.closeSync(this.#fd);
  }
}
