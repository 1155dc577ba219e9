/** What the video services know beyond the guest's own state. */
export interface VideoEnv {
  /** Guest-physical address of the linear frame buffer as it is mapped now. */
  readonly lfbBase: () => number;
  readonly vramBytes: number;
  /** INT 10h wrote a BEL character. */
  readonly onBell?: (() => void) | undefined;
}
