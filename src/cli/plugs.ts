import { FileConsole, SocketConsole, StdioConsole } from "../backends/node/index.ts";
import type { ConsoleBackend } from "../backends/api/index.ts";
import type { VirtualMachine } from "../node/index.ts";
import type { Losses } from "./losses.ts";
import type { RunRequest } from "./options/run-options.ts";
import type { SinkRequest } from "./options/sink-options.ts";

/** The host's ends of a machine's lines. */
export interface Plugs {
  readonly serial: readonly (ConsoleBackend | undefined)[];
  readonly consoles: readonly (ConsoleBackend | undefined)[];
  readonly debugPort: ConsoleBackend | undefined;
  readonly printer: ConsoleBackend | undefined;
  readonly stdio: StdioConsole | undefined;
  /** Lets input that arrives from elsewhere wake the machine. */
  attach(vm: VirtualMachine): void;
  /** Writes what is left, and closes; a second time does nothing. */
  close(): Promise<void>;
}

/** Opens what `--serial`, `--console`, `--debug-port` and `--printer` ask for. Throws, with everything closed again, when one cannot be opened. */
export async function plug(request: RunRequest, losses: Losses): Promise<Plugs> {
  const opened: (() => void | Promise<void>)[] = [];
  const sockets: SocketConsole[] = [];
  let stdio: StdioConsole | undefined;
  const open = async (flag: string, sink: SinkRequest | undefined): Promise<ConsoleBackend | undefined> => {
    switch (sink?.kind) {
      case undefined:
      case "null":
        return undefined;
      case "stdio": {
        const console = new StdioConsole(losses.teller(`${flag} stdio`));
        opened.push(() => console.finish());
        stdio = console;
        return console;
      }
      case "file": {
        const console = new FileConsole(sink.path, losses.teller(`${flag} file:${sink.path}`), `${flag} `);
        opened.push(() => console.close());
        return console;
      }
      case "unix":
      case "tcp": {
        const console = await SocketConsole.listen(sink, `${flag} `);
        opened.push(() => console.close());
        sockets.push(console);
        if (sink.kind === "tcp" && sink.port === 0) process.stderr.write(`whyve: ${flag} listens on ${sink.host}, port ${console.port}\n`);
        return console;
      }
    }
  };
  const close = async (): Promise<void> => {
    for (const one of opened.splice(0)) await one();
  };
  try {
    const serial: (ConsoleBackend | undefined)[] = [];
    for (const sink of request.serial) serial.push(await open("--serial", sink));
    const consoles: (ConsoleBackend | undefined)[] = [];
    for (const sink of request.consoles) consoles.push(await open("--console", sink));
    const debugPort = await open("--debug-port", request.debugPort);
    const printer = await open("--printer", request.printer);
    return {
      serial,
      consoles,
      debugPort,
      printer,
      stdio,
      attach(vm) {
        const lines = [...serial.map((s, i) => [s, vm.pc.serial[i]] as const), ...consoles.map((s, i) => [s, vm.pc.consoles[i]] as const)];
        for (const socket of sockets) {
          const line = lines.find(([end]) => end === socket)?.[1];
          socket.onArrival = () => vm.wake();
          socket.waitingInput = () => line?.waitingInput ?? 0;
        }
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
