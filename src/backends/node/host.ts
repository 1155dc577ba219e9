import * as path from "node:path";

/** What the machine's platform asks for without a file, socket or directory being opened: time, chance, sleep, names. */
export const nodeHost = {
  absolutePath: (name: string): string => path.resolve(name),
  now: (): number => performance.now(),
  random(into: Uint8Array): void {
    // One call gives at most 65536 bytes.
    for (let at = 0; at < into.length; at += 65536) crypto.getRandomValues(into.subarray(at, at + 65536));
  },
  yield: (): Promise<void> => new Promise((resolve) => void setImmediate(resolve)),
  sleep(ms: number): { readonly done: Promise<void>; readonly wake: () => void } {
    let wake = (): void => {};
    const done = new Promise<void>((resolve) => {
      // Whole milliseconds, upwards: Node cuts them, and a guest that ticks would be woken up twice a tick.
      const timer = setTimeout(resolve, Math.min(Math.ceil(ms), 0x7fffffff));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    return { done, wake };
  },
  after(ms: number, callback: () => void): { readonly cancel: () => void } {
    const timer = setTimeout(callback, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};
