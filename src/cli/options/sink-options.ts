import type { SocketPlace } from "../../backends/node/index.ts";
import { UsageError } from "../errors.ts";

/** Where a line of the machine goes. */
export type SinkRequest = { readonly kind: "stdio" } | { readonly kind: "null" } | { readonly kind: "file"; readonly path: string } | SocketPlace;

export function parseSink(flag: string, value: string): SinkRequest {
  if (value === "stdio" && flag !== "--printer") return { kind: "stdio" };
  if (value === "null" || value === "none") return { kind: "null" };
  const twoWay = flag === "--serial" || flag === "--console";
  if (value === "pty")
    throw new UsageError(
      `${flag} pty: Node has no pseudo-terminals; use ${twoWay ? "unix:PATH with socat PTY,link=NAME UNIX:PATH" : "stdio or file:PATH"}`,
    );
  if (value.startsWith("file:") && value.length > 5) return { kind: "file", path: value.slice(5) };
  if (twoWay && value.startsWith("unix:") && value.length > 5) return { kind: "unix", path: value.slice(5) };
  if (twoWay && value.startsWith("tcp:")) return parseTcp(flag, value);
  throw new UsageError(`${flag} "${value}": use stdio, null or file:PATH${twoWay ? ", unix:PATH or tcp:HOST:PORT" : ""}`);
}

/** `tcp:HOST:PORT`, `tcp:[::1]:PORT`, `tcp::PORT` (this computer alone). */
function parseTcp(flag: string, value: string): SocketPlace {
  const [, v6, host = v6, port = ""] = /^tcp:(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(value) ?? [];
  if (host === undefined || Number(port) > 65535)
    throw new UsageError(`${flag} "${value}": use tcp:HOST:PORT, for example tcp:127.0.0.1:4555 (port 0: any that is free)`);
  return { kind: "tcp", host: host === "" ? "127.0.0.1" : host, port: Number(port) };
}
