/** What a running machine needs of the place where it runs. */
export interface Host {
  /** Monotonic milliseconds with a fraction. */
  now(): number;
  /** Fills with bytes that nobody can guess. */
  random(into: Uint8Array): void;
  /** Resolves after the event loop has had a turn: keys, time-outs and network get through. */
  yield(): Promise<void>;
  /** Resolves after `ms`, or as soon as the returned `wake` is called. */
  sleep(ms: number): { readonly done: Promise<void>; readonly wake: () => void };
  /** Calls back after `ms` (at most 2^31 - 1) unless it is cancelled before. */
  after(ms: number, callback: () => void): { readonly cancel: () => void };
}
