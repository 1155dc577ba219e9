import { kinds, utf8Bytes } from "../../base/index.ts";
import type { Guard } from "./guard.ts";
import type { WaitOptions } from "./options.ts";
import type { Wait } from "./screen.ts";
import type { SerialLine } from "./serial-line.ts";
import type { Pattern, WatchMatch } from "./watch.ts";

const { kind } = kinds;

const DATA = kind("a string or a Uint8Array", (v) => typeof v === "string" || v instanceof Uint8Array);

/** A serial line: what the guest printed, and a keyboard at the other end. */
export class SerialPort {
  readonly #line: SerialLine;
  readonly #wait: Wait;
  readonly #wake: () => void;
  readonly #guard: Guard;
  constructor(line: SerialLine, wait: Wait, wake: () => void, guard: Guard) {
    this.#line = line;
    this.#wait = wait;
    this.#wake = wake;
    this.#guard = guard;
  }
  /** Everything printed so far (the last 4 Mi characters), carriage returns removed. */
  text(): string {
    return this.#line.text();
  }
  /** "com1", "hvc0". */
  get name(): string {
    return this.#line.name;
  }
  /** Hands over every byte that the guest prints from now on; what is returned ends that. */
  listen(listener: (value: number) => void): () => void {
    this.#guard("serial.listen()");
    this.#line.listeners.add(listener);
    return () => void this.#line.listeners.delete(listener);
  }
  /** Waits for output after the last match: asking twice for a prompt waits for two prompts. */
  waitFor(pattern: Pattern, options?: WaitOptions): Promise<WatchMatch> {
    return this.#wait(pattern, options);
  }
  /** Sends text (UTF-8) or bytes to the guest at the speed of a 115200 baud line. */
  write(data: string | Uint8Array): void {
    this.#guard("serial.write()", ["data", DATA, data]);
    for (const byte of typeof data === "string" ? utf8Bytes(data) : data) this.#line.push(byte);
    this.#wake();
  }
}
