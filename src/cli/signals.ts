/** A signal that ends a run. */
export interface Signal {
  readonly name: string;
  readonly exitCode: number;
}

export interface Signals {
  /** The first signal that arrives. */
  readonly first: Promise<Signal>;
  release(): void;
}

/** From before the images are locked to the end. A second signal does not wait for the tidying up that the first one began. */
export function watchSignals(): Signals {
  let tell: (signal: Signal) => void = () => {};
  const first = new Promise<Signal>((resolve) => (tell = resolve));
  let count = 0;
  const handlers = (
    [
      ["SIGINT", 130],
      ["SIGTERM", 143],
      ["SIGHUP", 129],
    ] as const
  ).map(([name, exitCode]) => {
    const handler = (): void => {
      if (++count > 1) process.exit(exitCode);
      tell({ name, exitCode });
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  return {
    first,
    release() {
      for (const [signal, handler] of handlers) process.off(signal, handler);
    },
  };
}
