/** Why the network dropped or refused something; the names that `stats()` shows. */
export type DropReason =
  | "frame-short"
  | "frame-type"
  | "frame-source"
  | "frame-not-for-us"
  | "ip-truncated"
  | "ip-version"
  | "ip-checksum"
  | "ip-source"
  | "ip-protocol"
  | "ip-no-route"
  | "fragment-bounds"
  | "fragment-overlap"
  | "fragment-timeout"
  | "icmp-truncated"
  | "icmp-checksum"
  | "udp-truncated"
  | "udp-checksum"
  | "udp-refused"
  | "udp-unasked"
  | "udp-too-many"
  | "tcp-truncated"
  | "tcp-checksum"
  | "tcp-refused"
  | "tcp-too-many"
  | "tcp-stray"
  | "tcp-gave-up"
  | "dns-too-many"
  | "dhcp-malformed"
  | "guest-slow";

/** What passed and what did not. */
export class Counters {
  fromGuestFrames = 0;
  fromGuestBytes = 0;
  toGuestFrames = 0;
  toGuestBytes = 0;
  retransmits = 0;
  readonly #drops = new Map<DropReason, number>();

  add(reason: DropReason): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
  }

  drops(reason: DropReason): number {
    return this.#drops.get(reason) ?? 0;
  }

  /** For listings: traffic, and a `drop.` entry for each reason seen. */
  all(): Readonly<Record<string, number>> {
    const out: Record<string, number> = {
      fromGuestFrames: this.fromGuestFrames,
      fromGuestBytes: this.fromGuestBytes,
      toGuestFrames: this.toGuestFrames,
      toGuestBytes: this.toGuestBytes,
      retransmits: this.retransmits,
    };
    for (const [reason, count] of this.#drops) out[`drop.${reason}`] = count;
    return out;
  }
}
