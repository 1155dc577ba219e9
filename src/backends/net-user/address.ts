/** IPv4 addresses as unsigned 32-bit numbers, and the fixed addresses of the guest's network. */

/** `a.b.c.d`; undefined when it is anything else (no leading zeros: some read those as octal). */
export function parseIpv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith("0"))) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatIpv4(ip: number): string {
  return `${ip >>> 24}.${(ip >>> 16) & 0xff}.${(ip >>> 8) & 0xff}.${ip & 0xff}`;
}

/** The network that the guest is on, 10.0.2.0/24, and who answers there. */
export const LAN = {
  NETWORK: 0x0a000200,
  MASK: 0xffffff00,
  /** Router, DHCP server, and the host itself under `loopback=on`. */
  GATEWAY: 0x0a000202,
  DNS: 0x0a000203,
  /** First address given out by DHCP: 10.0.2.15. */
  GUEST: 0x0a00020f,
  BROADCAST: 0x0a0002ff,
  /** 52:55:0a:00:02:02: locally administered, with the address in it. */
  GATEWAY_MAC: 0x52550a000202,
  DNS_MAC: 0x52550a000203,
} as const;

export const ANY_BROADCAST = 0xffffffff;

export function onLan(ip: number): boolean {
  return (ip & LAN.MASK) >>> 0 === LAN.NETWORK;
}

/** An address that a guest may have: on the network, and nobody else's. */
export function isGuestAddress(ip: number): boolean {
  return onLan(ip) && ip !== LAN.NETWORK && ip !== LAN.BROADCAST && ip !== LAN.GATEWAY && ip !== LAN.DNS;
}

const block = (address: number, bits: number): { readonly address: number; readonly mask: number } => ({
  address,
  mask: bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0,
});

/** RFC 6890: what never leaves a host, or never should. */
const NEVER = [block(0, 8), block(0xe0000000, 4), block(0xf0000000, 4)];
/** The host itself and its link: 127/8, and 169.254/16, where clouds keep their secrets. */
const HOST_ONLY = [block(0x7f000000, 8), block(0xa9fe0000, 16)];

const inside = (ip: number, list: readonly { readonly address: number; readonly mask: number }[]): boolean =>
  list.some((b) => (ip & b.mask) >>> 0 === b.address);

/** Unspecified, multicast, reserved and broadcast addresses: nobody to connect to. */
export function isUnroutable(ip: number): boolean {
  return inside(ip, NEVER);
}

export function isHostOnly(ip: number): boolean {
  return inside(ip, HOST_ONLY);
}
