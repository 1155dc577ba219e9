/** What the run loop needs of its host beyond the language: present in Node and in browsers alike. */
export interface Host {
  /** Monotonic milliseconds with a fraction. */
  readonly now: () => number;
  /** Fills with bytes that nobody can guess. */
  readonly random: (into: Uint8Array) => void;
  /** Resolves after the event loop has had a turn: keys, time-outs and network get through. */
  yield(): Promise<void>;
  /** Resolves after `ms`, or as soon as the returned `wake` is called. */
  sleep(ms: number): { readonly done: Promise<void>; readonly wake: () => void };
}

declare const setImmediate: ((callback: () => void) => unknown) | undefined;

export const HOST: Host = {
  now: () => performance.now(),
  random: (into) => {
    // One call gives at most 65536 bytes.
    for (let at = 0; at < into.length; at += 65536) crypto.getRandomValues(into.subarray(at, at + 65536));
  },
  yield: () =>
    new Promise((resolve) => {
      if (typeof setImmediate === "function") setImmediate(resolve);
      else setTimeout(resolve, 0);
    }),
  sleep(ms) {
    let wake = (): void => {};
    const done = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(ms, 0x7fffffff));
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    return { done, wake };
  },
};
