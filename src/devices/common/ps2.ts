/** What a PS/2 port carries: bytes both ways. The controller pulls, so that it can inhibit the device's clock. */
export interface Ps2Device {
  readonly name: string;
  /** One byte from the controller. */
  receive(value: number): void;
  /** True when a byte waits to be sent. */
  hasOutput(): boolean;
  /** Takes the oldest byte (only when `hasOutput()`). */
  takeOutput(): number;
  /** The controller installs this; the device calls it when its output stops being empty. */
  onOutput: (() => void) | undefined;
}
