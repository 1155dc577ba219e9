import * as fs from "node:fs";

/** Files that must not outlive this process. */
const files = new Set<string>();
/** What ends a process that does nothing about it, and lets it tidy up before. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
let installed = false;

function removeAll(): void {
  for (const file of files) unlinkQuietly(file);
  files.clear();
}

/** A program that handles a signal ends in its own way, by an exit; one that does not ends by the signal as ever, but tidied up. */
function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  removeAll();
  process.off(signal, onSignal);
  process.kill(process.pid, signal);
}

function install(): void {
  if (installed) return;
  installed = true;
  process.on("exit", removeAll);
  for (const signal of SIGNALS) {
    try {
      process.on(signal, onSignal);
    } catch {
      // A worker or a system without this signal.
    }
  }
}

function uninstall(): void {
  installed = false;
  process.off("exit", removeAll);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

/** The file goes when this process ends, unless it is killed outright; or at once by what is returned: true when it was this call that did it. */
export function removeAtExit(file: string): { remove(): boolean; keep(): void } {
  files.add(file);
  install();
  const forget = (): boolean => {
    const had = files.delete(file);
    if (files.size === 0 && installed) uninstall();
    return had;
  };
  return {
    remove() {
      // Removed while it is still ours: the same name may be somebody else's right after.
      const mine = files.has(file);
      if (mine) unlinkQuietly(file);
      forget();
      return mine;
    },
    keep() {
      forget();
    },
  };
}

/** Whether this process has promised to remove the file. */
export function isRemovedAtExit(file: string): boolean {
  return files.has(file);
}

export function unlinkQuietly(file: string): void {
  try {
    fs.unlinkSync(file);
  } catch {
    // Gone already.
  }
}
