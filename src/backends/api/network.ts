/**
 * What the sender of a frame left undone, in the terms of VIRTIO 1.2 §5.1.6: fields that a real card would have completed on the way to the
 * wire. A frame without it is complete. Borrowed like the frame itself.
 */
export interface FrameOffload {
  /**
   * Where the range of the unfinished Internet checksum begins (the TCP or UDP header), in bytes from the frame's start; the field at
   * `csumStart + csumOffset` holds the pseudo header's sum. 0: the checksum is complete.
   */
  readonly csumStart: number;
  readonly csumOffset: number;
  /** A TCP/IPv4 frame that stands for many: payload bytes of each segment it is to be cut into before a wire. 0: one ordinary frame. */
  readonly gsoSize: number;
  /** Bytes of all headers of such a frame. */
  readonly headerBytes: number;
}

/** Which unfinished work a receiver of frames takes on. */
export interface NetOffloads {
  /** Frames with an unfinished TCP or UDP checksum. */
  readonly checksum: boolean;
  /** TCP/IPv4 frames of up to 64 KiB (implies `checksum`). */
  readonly tso4: boolean;
}

/** Takes complete frames only. */
export const NO_OFFLOADS: NetOffloads = { checksum: false, tso4: false };

/**
 * The far end of a guest network card's cable: whole Ethernet frames without FCS, 14 to 65550 bytes. Must not block or throw. Frames
 * that cannot be taken are dropped, as on a wire.
 */
export interface NetBackend {
  /** What messages call it ("user", "tap0"). */
  readonly name: string;
  /** What `send` may leave undone. Undefined: nothing, every frame is complete. */
  readonly offloads?: NetOffloads;
  /** A frame from the guest. The buffer is borrowed: copy what is kept. */
  send(frame: Uint8Array, offload?: FrameOffload): void;
  /** A batch of `send` is over: time for answers that were held back. */
  flush?(): void;
  /**
   * The card installs its receiver here. False: no room now; offer the frame again after `ready()`. The receiver never calls `send`:
   * a guest reacts later.
   */
  onReceive: ((frame: Uint8Array, offload?: FrameOffload) => boolean) | undefined;
  /** The card says what its guest's driver lets `onReceive` leave undone; nothing before the first call. */
  setGuestOffloads?(accepted: NetOffloads): void;
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
