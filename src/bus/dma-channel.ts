/** What a device does with its channel. Lengths are in bytes; 16-bit channels (5..7) move whole words only. */
export interface DmaChannel {
  /** The DREQ line; shown in the status register. A transfer needs no line. */
  setRequest(level: boolean): void;
  /**
   * Device to memory. Moves at most `bytes.length` and never past terminal count; returns the bytes moved: 0 when the channel is masked,
   * disabled, in cascade mode or programmed for the other direction. In verify mode it counts and stores nothing.
   */
  transferToMemory(bytes: Uint8Array): number;
  /** Memory to device; fills `into`. In verify mode it counts and leaves `into` alone. */
  transferFromMemory(into: Uint8Array): number;
  /** The last transfer of this channel reached terminal count (the TC line to the device). */
  readonly terminalCount: boolean;
  /** Bytes left before terminal count, 1..131072. */
  readonly remaining: number;
  /** True when a transfer would move something. */
  readonly ready: boolean;
}
