import type { NetBackend } from "../../backends/api/index.ts";
import { VirtioNet } from "../../devices/virtio/net/index.ts";
import type { VirtioSlots } from "./virtio.ts";

/** A network card and what its cable leads to. The machine owns the backend: it closes it when it is disposed of. */
export interface NetConfig {
  readonly backend: NetBackend;
  /** The card's address, six bytes. */
  readonly mac: Uint8Array;
}

/** The address of a card that is not told another one: QEMU's prefix, so that guests' rules for virtual cards apply. */
export const DEFAULT_MAC: Uint8Array = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);

/** Plugs a virtio network card in. `wake` is called for each frame that reaches the guest: frames come while it sleeps. */
export function plugVirtioNet(slots: VirtioSlots, net: NetConfig | undefined, wake: () => void): void {
  if (net !== undefined) slots.plug(new VirtioNet({ name: "net0", backend: net.backend, mac: net.mac, onDelivered: wake }));
}
