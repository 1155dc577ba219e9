import type { StdioConsole } from "../../backends/node/index.ts";
import type { VirtualMachine } from "../../node/index.ts";
import { EscapeKey, escapeHelp } from "./escape-key.ts";

/** Node takes longer to open standard input than the BIOS to start: the guest's first words go out before. */
const FIRST_MS = 60;

/** Standard input becomes the serial line's input. On a terminal every key goes through as it is; Ctrl-] q ends the run. */
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
  const escape = new EscapeKey();
  const onData = (data: Buffer): void => {
    const { pass, asks, quit } = raw ? escape.feed(data) : { pass: data, asks: false, quit: false };
    if (pass.length > 0) {
      stdio.push(pass);
      vm.wake();
    }
    if (asks) process.stderr.write(`\r\n[whyve: ${escapeHelp("end the run")}]\r\n`);
    if (quit) {
      process.stderr.write("\r\n");
      onQuit();
    }
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
