import { isGuestAddress, LAN, parseIpv4 } from "../../backends/net-user/index.ts";
import type { HostForward } from "../../backends/net-user/index.ts";
import { parseMac } from "../../node/index.ts";
import type { NetRequest } from "../../node/index.ts";
import { UsageError } from "../errors.ts";
import { suggestion } from "./options.ts";

const FORWARD_SYNTAX = "use hostfwd=tcp|udp:[HOSTADDR:]PORT-[GUESTADDR:]PORT, for example hostfwd=tcp:2222-22";
const SETTINGS = {
  user: ["hostfwd", "loopback", "restrict", "mac"],
  tap: ["ifname", "mac"],
} as const;

/** `none`, `user[,...]` or `tap[,...]`. Undefined: no network card. */
export function parseNet(value: string): NetRequest | undefined {
  const [kind = "", ...settings] = value.split(",");
  if (kind === "none" && settings.length === 0) return undefined;
  if (kind !== "user" && kind !== "tap") throw new UsageError(`--net "${value}": use none, user or tap (see whyve run --help)`);
  const forwards: HostForward[] = [];
  const given = new Map<string, string>();
  for (const setting of settings) {
    const equals = setting.indexOf("=");
    const name = equals < 0 ? setting : setting.slice(0, equals);
    const text = equals < 0 ? "" : setting.slice(equals + 1);
    const known: readonly string[] = SETTINGS[kind];
    if (!known.includes(name)) throw new UsageError(`--net ${kind}: unknown setting "${name}"${suggestion(name, known, "")}`);
    if (text === "") throw new UsageError(`--net ${kind}: ${name} needs a value`);
    if (name === "hostfwd") forwards.push(parseForward(text));
    else if (given.has(name)) throw new UsageError(`--net ${kind}: ${name} is given twice`);
    else given.set(name, text);
  }
  const mac = given.get("mac");
  if (mac !== undefined && parseMac(mac) === undefined) {
    throw new UsageError(`--net mac=${mac}: use six pairs of hex digits such as 52:54:00:12:34:56, the first one even`);
  }
  const address = mac === undefined ? {} : { mac };
  if (kind === "tap") return { kind, ifname: given.get("ifname") ?? "tap0", ...address };
  const twice = forwards.find((f, i) => forwards.some((g, j) => j < i && sameHostPort(f, g)));
  if (twice !== undefined) throw new UsageError(`--net user: ${twice.protocol} port ${twice.hostPort} is forwarded twice`);
  return { kind, forwards, loopback: onOff(given, "loopback"), restrict: onOff(given, "restrict"), ...address };
}

function onOff(given: ReadonlyMap<string, string>, name: string): boolean {
  const value = given.get(name) ?? "off";
  if (value !== "on" && value !== "off") throw new UsageError(`--net ${name}=${value}: use on or off`);
  return value === "on";
}

const sameHostPort = (a: HostForward, b: HostForward): boolean =>
  a.protocol === b.protocol && a.hostPort === b.hostPort && a.hostAddress === b.hostAddress;

/** QEMU's grammar with optional addresses: `tcp:2222-22`, `tcp::2222-:22`, `udp:127.0.0.1:69-10.0.2.15:69`, `tcp:[::1]:80-80`. */
function parseForward(text: string): HostForward {
  const match = /^(tcp|udp):(?:(\[[0-9a-fA-F:.]+\]|[\d.]*):)?(\d{1,5})-(?:([\d.]*):)?(\d{1,5})$/.exec(text);
  if (match === null) throw new UsageError(`--net hostfwd=${text}: ${FORWARD_SYNTAX}`);
  const [, protocol, host = "", hostPort, guest = "", guestPort] = match;
  const hostAddress = host === "" ? "127.0.0.1" : host.replace(/[[\]]/g, "");
  if (!hostAddress.includes(":") && parseIpv4(hostAddress) === undefined) throw new UsageError(`--net hostfwd=${text}: ${hostAddress} is no address`);
  const guestIp = guest === "" ? LAN.GUEST : parseIpv4(guest);
  if (guestIp === undefined || !isGuestAddress(guestIp)) {
    throw new UsageError(`--net hostfwd=${text}: the guest's address is on 10.0.2.0/24 (10.0.2.15 by default)`);
  }
  for (const port of [hostPort, guestPort]) {
    if (Number(port) < 1 || Number(port) > 65_535) throw new UsageError(`--net hostfwd=${text}: ports are 1 to 65535`);
  }
  return { protocol: protocol === "udp" ? "udp" : "tcp", hostAddress, hostPort: Number(hostPort), guestIp, guestPort: Number(guestPort) };
}
