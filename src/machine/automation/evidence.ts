/** What a machine looked like when something went wrong: for the files that a CI keeps. */
export interface Evidence {
  /** The picture on the screen, a PNG file. */
  readonly screenshot: Uint8Array;
  /** The text on the screen; empty in graphics modes. */
  readonly screen: string;
  /** What each serial line and virtio console has printed, by name: com1, hvc0. Lines that printed nothing are left out. */
  readonly serial: Readonly<Record<string, string>>;
  /** The boot CPU's registers as text. */
  readonly registers: string;
  /** The last BIOS calls, oldest first; none without `keepBiosCalls`. */
  readonly biosCalls: readonly string[];
}

/** The last lines of something that never ends. */
export class LastLines {
  readonly #most: number;
  #lines: string[] = [];

  constructor(most: number) {
    this.#most = most;
  }
  add(line: string): void {
    this.#lines.push(line);
    // Cut now and then, not at every line.
    if (this.#lines.length > 2 * this.#most) this.#lines = this.lines();
  }
  lines(): string[] {
    return this.#lines.slice(-this.#most);
  }
}
