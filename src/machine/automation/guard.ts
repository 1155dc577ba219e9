import { checkArguments, VmmError } from "../../base/index.ts";
import type { Argument } from "../../base/index.ts";

/** Stands before every call that acts on a machine: throws for one that is no more, and for arguments that the types would not allow. */
export type Guard = (call: string, ...args: readonly Argument[]) => void;

export function guardOf(gone: () => boolean): Guard {
  return (call, ...args) => {
    if (gone()) throw new VmmError("MACHINE_ENDED", `${call}: the machine was disposed of`);
    checkArguments(call, ...args);
  };
}

/** What goes wrong at once is told as what goes wrong later: by the promise. */
export function asPromise<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error);
  }
}
