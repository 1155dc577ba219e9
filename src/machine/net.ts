import { VmmError } from "../base/index.ts";
import type { HostForward } from "../backends/net-user/index.ts";
import type { NetBackend } from "../backends/api/index.ts";
import type { Platform } from "./platform.ts";

/** A network card and what its cable leads to. The machine owns the backend: it closes it when it is disposed of. */
export interface NetConfig {
  readonly backend: NetBackend;
  /** The card's address, six bytes. */
  readonly mac: Uint8Array;
}

/** The address of a card that is not told another one: QEMU's prefix, so that guests' rules for virtual cards apply. */
const DEFAULT_MAC: Uint8Array = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);

/**
 * What a network card's cable leads to. `user`: a network of its own with DHCP, whose way out are ordinary sockets of this process; the
 * host itself is out of reach unless `loopback` is set. `tap`: a Linux TAP interface.
 */
export type NetRequest =
  | {
      readonly kind: "user";
      /** `52:54:00:12:34:56` when it is not given. */
      readonly mac?: string;
      readonly forwards?: readonly HostForward[];
      /** The gateway 10.0.2.2 is the host's 127.0.0.1, and its own addresses can be reached. */
      readonly loopback?: boolean;
      /** No way out: only forwards work. */
      readonly restrict?: boolean;
    }
  | { readonly kind: "tap"; readonly ifname?: string; readonly mac?: string }
  | NetConfig;

/** Opens the cable's other end. Failures are `VmmError`s of one line. */
export async function openNet(request: NetRequest, platform: Platform): Promise<NetConfig> {
  if (!("kind" in request)) return request;
  const mac = request.mac === undefined ? DEFAULT_MAC : parseMac(request.mac);
  if (mac === undefined) throw new VmmError("CONFIG_NET", `"${request.mac}" is no card address: use six pairs of hex digits, the first one even`);
  if (request.kind === "tap") return { backend: await platform.openNetwork({ kind: "tap", ifname: request.ifname ?? "tap0" }), mac };
  const { kind, loopback = false, restrict = false, forwards = [] } = request;
  return { backend: await platform.openNetwork({ kind, loopback, restrict, forwards }), mac };
}

/** `52:54:00:12:34:56`; undefined for anything else, group addresses and zero included. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined;
  const bytes = Uint8Array.from(text.split(/[:-]/), (part) => Number.parseInt(part, 16));
  return ((bytes[0] ?? 0) & 1) === 1 || bytes.every((b) => b === 0) ? undefined : bytes;
}
