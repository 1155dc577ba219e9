import type { Frame, TextScreen, VideoMode } from "../../devices/vga/index.ts";
import type { DisplayPort } from "../board/sockets.ts";
import type { WaitOptions } from "./options.ts";
import { screenLines, screenText } from "./screen-text.ts";
import type { Pattern, WatchMatch } from "./watch.ts";

/** Waits on some of a machine's outputs. */
export type Wait = (pattern: Pattern, options?: WaitOptions) => Promise<WatchMatch>;

/** What a person would see. */
export class Screen {
  readonly #display: () => DisplayPort;
  readonly #wait: Wait;
  /** The display is asked for at each look: a reset makes a new one. */
  constructor(display: () => DisplayPort, wait: Wait) {
    this.#display = display;
    this.#wait = wait;
  }
  /** The text screen, rows joined by newlines, trailing blanks cut off; empty in graphics modes. */
  text(): string {
    const snapshot = this.#display().snapshotText();
    return snapshot === undefined ? "" : screenText(snapshot);
  }
  /** The rows of the text screen. */
  lines(): string[] {
    const snapshot = this.#display().snapshotText();
    return snapshot === undefined ? [] : screenLines(snapshot);
  }
  /** Characters with colours and cursor; undefined in graphics modes. */
  snapshot(): TextScreen | undefined {
    return this.#display().snapshotText();
  }
  mode(): VideoMode {
    return this.#display().mode();
  }
  /** The pixels, in text modes too. Blinking things are shown lit. */
  frame(): Frame {
    return this.#display().renderFrame({ blinkPhase: true });
  }
  /** Waits until the text screen shows the pattern. */
  waitFor(pattern: Pattern, options?: WaitOptions): Promise<WatchMatch> {
    return this.#wait(pattern, options);
  }
}
