import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { UsageError } from "../errors.ts";

/** Longest path that every system takes for a Unix socket (104 bytes on BSD, one for the end). */
const MAX_SOCKET_PATH = 103;

/** Where running machines can be reached: $XDG_RUNTIME_DIR/whyve, else ~/.whyve. */
export function socketDirectory(): string {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  return runtime !== undefined && path.isAbsolute(runtime) ? path.join(runtime, "whyve") : path.join(os.homedir(), ".whyve");
}

export function socketPath(name: string): string {
  const file = path.join(socketDirectory(), `${name}.sock`);
  if (Buffer.byteLength(file) > MAX_SOCKET_PATH)
    throw new UsageError(`--name ${name}: too long for a socket in ${socketDirectory()}; use a shorter name`);
  return file;
}

/** Makes the directory for this user alone; refuses one that others could have prepared. */
export function makeSocketDirectory(): void {
  const directory = socketDirectory();
  let stat: fs.Stats;
  try {
    // Not recursive: Node never comes back from where nothing can be made (/proc).
    if (!fs.existsSync(directory)) fs.mkdirSync(directory, { mode: 0o700 });
    stat = fs.lstatSync(directory);
  } catch (error) {
    throw new UsageError(`--name: ${directory} cannot be made (${error instanceof Error && "code" in error ? String(error.code) : String(error)})`);
  }
  const mine = process.getuid === undefined || stat.uid === process.getuid();
  if (!stat.isDirectory() || !mine || (stat.mode & 0o077) !== 0)
    throw new UsageError(`--name: ${directory} must be a directory of yours that nobody else may enter (chmod 700 ${directory})`);
}

/** Connects; undefined when nobody listens there (a machine that was killed leaves its socket behind). */
export function connectTo(file: string): Promise<net.Socket | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect(file);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", () => resolve(undefined));
  });
}

/** Removes a socket that nobody listens on. */
export function removeStale(file: string): void {
  try {
    if (fs.lstatSync(file).isSocket()) fs.unlinkSync(file);
  } catch {
    // Gone already.
  }
}

/** Names of the sockets that are there. */
export function socketNames(): readonly string[] {
  try {
    return fs
      .readdirSync(socketDirectory())
      .filter((f) => f.endsWith(".sock"))
      .map((f) => f.slice(0, -5))
      .sort();
  } catch {
    return [];
  }
}
