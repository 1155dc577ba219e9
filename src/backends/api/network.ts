/**
 * The far end of a guest network card's cable: whole Ethernet frames without FCS, 14 to 65550 bytes. Must not block or throw. Frames
 * that cannot be taken are dropped, as on a wire.
 */
export interface NetBackend {
  /** What messages call it ("user", "tap0"). */
  readonly name: string;
  /** A frame from the guest. The buffer is borrowed: copy what is kept. */
  send(frame: Uint8Array): void;
  /** The card installs its receiver here. False: no room now; offer the frame again after `ready()`. */
  onReceive: ((frame: Uint8Array) => boolean) | undefined;
  /** The card calls this when it has room again. */
  ready(): void;
  close(): void;
}

/** An unplugged cable. */
export class NullNet implements NetBackend {
  readonly name = "none";
  onReceive: ((frame: Uint8Array) => boolean) | undefined;
  send(): void {}
  ready(): void {}
  close(): void {}
}
