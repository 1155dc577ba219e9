export { formatIpv4, isGuestAddress, LAN, parseIpv4 } from "./address.ts";
export { dnsReply, encodeName, parseQuestion, RCODE, RECORD } from "./dns.ts";
export type { DnsQuestion } from "./dns.ts";
export type { HostEndpoint, HostListener, SocketHost, TcpEvents, TcpFailure, TcpPeer, UdpPeer, UdpReceiver } from "./host.ts";
export { UserNet } from "./user-net.ts";
export type { HostForward, UserNetOptions } from "./user-net.ts";
