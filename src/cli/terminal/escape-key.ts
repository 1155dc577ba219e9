import { MENU_KEY } from "./keyboard.ts";

/** What a chunk of raw input asks for. */
export interface Filtered {
  /** What goes to the guest. */
  readonly pass: Buffer;
  /** Ctrl-] was pressed, and the next key decides. */
  readonly asks: boolean;
  readonly quit: boolean;
}

const MENU_BYTE = MENU_KEY.charCodeAt(0);

/** What a person is told when Ctrl-] was pressed on a line that passes every key. `end` is what q does: "end the run". */
export function escapeHelp(end: string): string {
  return `q: ${end}; Ctrl-]: send Ctrl-]; any other key: back`;
}

/** Every key goes through as it is, but for Ctrl-]: with q it ends, twice it is sent. */
export class EscapeKey {
  #armed = false;

  feed(bytes: Uint8Array): Filtered {
    const pass: number[] = [];
    for (const byte of bytes) {
      if (!this.#armed) {
        if (byte === MENU_BYTE) this.#armed = true;
        else pass.push(byte);
        continue;
      }
      this.#armed = false;
      if (byte === MENU_BYTE) pass.push(byte);
      else if (byte === 0x71 || byte === 0x51) return { pass: Buffer.from(pass), asks: false, quit: true };
    }
    return { pass: Buffer.from(pass), asks: this.#armed, quit: false };
  }
}
