import { UserNet } from "../../net-user/index.ts";
import type { UserNetOptions } from "../../net-user/index.ts";
import type { NameServiceOptions } from "./names.ts";
import { NodeSockets } from "./sockets.ts";

/**
 * A user-mode network over this process's sockets; names are resolved as on this computer, or as `names` says. Rejects with a `VmmError`
 * of one line when a forwarded port cannot be had.
 */
export function openUserNet(options: UserNetOptions = {}, names: NameServiceOptions = {}): Promise<UserNet> {
  return UserNet.open(new NodeSockets(names), options);
}

export { NodeSockets } from "./sockets.ts";
export type { NameServiceOptions } from "./names.ts";
export { openTap } from "./tap.ts";
