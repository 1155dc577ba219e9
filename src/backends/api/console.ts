/** A byte stream out of the guest (serial port, debug port, parallel port). Must not block or throw. */
export interface ByteSink {
  /** One byte, 0..255. */
  writeByte(value: number): void;
}

/** Both directions of a serial line. Host input is pushed by calling the handler the device installed. */
export interface ConsoleBackend extends ByteSink {
  /** The device installs its receiver here; undefined until it does. Called with one byte, 0..255. */
  onInput: ((value: number) => void) | undefined;
}

/** Swallows output; never produces input. */
export class NullConsole implements ConsoleBackend {
  onInput: ((value: number) => void) | undefined;
  writeByte(): void {}
}
