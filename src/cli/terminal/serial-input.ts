import type { StdioConsole } from "../../backends/node/index.ts";
import type { VirtualMachine } from "../../node/index.ts";
import { MENU_KEY } from "./keyboard.ts";

/** Node takes longer to open standard input than the BIOS to start: the guest's first words go out before. */
const FIRST_MS = 60;

/** Standard input becomes the serial line's input. On a terminal every key goes through as it is; Ctrl-] ends the run. */
export function attachSerialInput(stdio: StdioConsole, vm: VirtualMachine, onQuit: () => void): () => void {
  let detach: (() => void) | undefined;
  let over = false;
  const timer = setTimeout(() => {
    // Behind what the guest has written in the meantime.
    setImmediate(() => {
      if (!over) detach = attach(stdio, vm, onQuit);
    });
  }, FIRST_MS);
  return () => {
    over = true;
    clearTimeout(timer);
    detach?.();
  };
}

function attach(stdio: StdioConsole, vm: VirtualMachine, onQuit: () => void): () => void {
  const input = process.stdin;
  const raw = input.isTTY;
  const onData = (data: Buffer): void => {
    const end = raw ? data.indexOf(MENU_KEY) : -1;
    stdio.push(end < 0 ? data : data.subarray(0, end));
    vm.wake();
    if (end >= 0) onQuit();
  };
  // A closed standard input is no error: nobody types, that is all.
  const onError = (): void => {};
  // After a stop the terminal is in the shell's mode, and Node believes it is still in ours.
  const onContinue = (): void => void input.setRawMode(false).setRawMode(true);
  if (raw) {
    input.setRawMode(true);
    process.on("SIGCONT", onContinue);
  }
  input.on("data", onData);
  input.on("error", onError);
  input.resume();
  return () => {
    input.off("data", onData);
    input.off("error", onError);
    process.off("SIGCONT", onContinue);
    if (raw) input.setRawMode(false);
    input.pause();
  };
}
