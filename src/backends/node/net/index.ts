import { UserNet } from "../../net-user/index.ts";
import type { UserNetOptions } from "../../net-user/index.ts";
import { NodeSockets } from "./sockets.ts";

/** A user-mode network over this process's sockets. Rejects with a `VmmError` of one line when a forwarded port cannot be had. */
export function openUserNet(options: UserNetOptions = {}): Promise<UserNet> {
  return UserNet.open(new NodeSockets(), options);
}

export { NodeSockets } from "./sockets.ts";
export type { NameServiceOptions } from "./names.ts";
export { openTap } from "./tap.ts";
