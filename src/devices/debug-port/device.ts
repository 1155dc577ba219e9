import type { ByteSink } from "../../backends/api/index.ts";
import type { AccessSize, BusDevice } from "../../bus/index.ts";

/** The debug console of virtual PCs: bytes written to E9h (or 402h) go to the host; reading gives E9h, which says that it is there. */
export class DebugPort implements BusDevice {
  readonly name = "debug-port";
  readonly #sink: ByteSink;

  constructor(options: { readonly sink: ByteSink }) {
    this.#sink = options.sink;
  }

  read(_offset: number, _size: AccessSize): number {
    return 0xe9;
  }

  write(_offset: number, _size: AccessSize, value: number): void {
    this.#sink.writeByte(value & 0xff);
  }
}
