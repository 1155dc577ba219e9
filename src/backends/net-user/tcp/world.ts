import type { Counters } from "../counters.ts";
import type { Neighbours } from "../neighbours.ts";
import type { SocketHost } from "../host.ts";
import type { Wire } from "../wire.ts";
import type { Icmp } from "../icmp.ts";
import type { TcpConnection } from "./connection.ts";

/** What a connection needs of the network around it. */
export interface TcpWorld {
  readonly wire: Wire;
  readonly host: SocketHost;
  readonly neighbours: Neighbours;
  readonly icmp: Icmp;
  readonly counters: Counters;
  readonly memory: MemoryBudget;
  /** An acknowledgement may wait until the guest's batch of frames is through. */
  owesAck(connection: TcpConnection): void;
  /** The card is full: `output` again when it is not. */
  waits(connection: TcpConnection): void;
  /** A timer is set: ticks are wanted. */
  ticks(): void;
  /** The connection is over. */
  forget(connection: TcpConnection): void;
}

/** Buffered bytes of all connections; when many hold much, each may hold less. */
export class MemoryBudget {
  /** What one connection may hold in each direction. */
  static readonly LARGE = 1 << 20;
  static readonly SMALL = 1 << 16;
  static readonly PLENTY = 32 << 20;
  used = 0;

  get limit(): number {
    return this.used < MemoryBudget.PLENTY ? MemoryBudget.LARGE : MemoryBudget.SMALL;
  }
}
