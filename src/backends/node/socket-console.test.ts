import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SocketConsole } from "./index.ts";

let dir: string;
const open: { close(): Promise<void> }[] = [];
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "whs-"));
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  fs.rmSync(dir, { recursive: true, force: true });
});
const turn = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await turn(5);
}
function print(line: SocketConsole, text: string): void {
  for (const byte of Buffer.from(text, "latin1")) line.writeByte(byte);
}
async function tcp(): Promise<SocketConsole> {
  const line = await SocketConsole.listen({ kind: "tcp", host: "127.0.0.1", port: 0 });
  open.push(line);
  return line;
}
interface Client {
  readonly socket: net.Socket;
  readonly text: () => string;
}
async function client(where: net.NetConnectOpts): Promise<Client> {
  const socket = net.connect(where);
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (d) => (text += String(d)));
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, text: () => text };
}

describe("a serial line on a socket", () => {
  it("carries raw bytes both ways", async () => {
    const line = await tcp();
    const got: number[] = [];
    let woken = 0;
    line.onInput = (byte) => got.push(byte);
    line.onArrival = () => woken++;
    const { socket, text } = await client({ host: "127.0.0.1", port: line.port ?? 0 });
    print(line, "login:\xff\0");
    socket.write(Buffer.from([0xff, 0, 13]));
    await until(() => got.length === 3 && text().length === 8);
    expect([text(), got, woken > 0]).toEqual(["login:\xff\0", [0xff, 0, 13], true]);
    socket.destroy();
  });

  it("keeps the last 256 KiB while nobody is connected", async () => {
    const line = await tcp();
    print(line, "first".padEnd(300_000, "."));
    print(line, "last");
    await turn(20);
    const { socket, text } = await client({ host: "127.0.0.1", port: line.port ?? 0 });
    await until(() => text().endsWith("last"));
    expect(text().endsWith("....last")).toBe(true);
    expect(text().length).toBeLessThanOrEqual(256 * 1024);
    expect(text().length).toBeGreaterThan(250 * 1024);
    expect(text()).not.toContain("first");
    socket.destroy();
  });

  it("has one client at a time; after it the next", async () => {
    const line = await tcp();
    const where = { host: "127.0.0.1", port: line.port ?? 0 };
    const first = await client(where);
    await turn(20);
    const second = await client(where);
    await until(() => second.socket.destroyed || second.socket.readableEnded);
    print(line, "a");
    await until(() => first.text() === "a");
    expect([first.text(), second.text()]).toEqual(["a", ""]);
    first.socket.destroy();
    await turn(50);
    const third = await client(where);
    print(line, "b");
    await until(() => third.text() === "b");
    expect(third.text()).toBe("b");
    third.socket.destroy();
  });

  it("does not keep more than a bound for a client that does not read", async () => {
    const line = await tcp();
    const { socket, text } = await client({ host: "127.0.0.1", port: line.port ?? 0 });
    socket.pause();
    for (let i = 0; i < 64; i++) {
      print(line, "x".repeat(1024 * 1024));
      await turn(0);
    }
    print(line, "last");
    socket.resume();
    await until(() => text().endsWith("last"));
    // The rest is what the system's own buffers hold.
    expect(text().length).toBeLessThan(16 * 1024 * 1024);
    expect(text().endsWith("xlast")).toBe(true);
    socket.destroy();
  });

  it("holds a client up that sends more than the guest reads", async () => {
    const line = await tcp();
    let waiting = 0;
    line.onInput = () => waiting++;
    line.waitingInput = () => waiting;
    const { socket } = await client({ host: "127.0.0.1", port: line.port ?? 0 });
    socket.write(Buffer.alloc(16 * 1024 * 1024));
    await turn(300);
    expect(waiting).toBeGreaterThan(65_536);
    expect(waiting).toBeLessThan(1024 * 1024);
    const held = waiting;
    waiting = 0;
    await until(() => waiting > 0);
    expect(waiting).toBeGreaterThan(0);
    expect(held).toBeLessThan(1024 * 1024);
    socket.destroy();
  });

  it("sends its last words before it closes", async () => {
    const line = await tcp();
    const { socket, text } = await client({ host: "127.0.0.1", port: line.port ?? 0 });
    print(line, "y".repeat(200_000));
    await line.close();
    await until(() => socket.readableEnded);
    expect(text().length).toBe(200_000);
  });
});

describe.skipIf(process.platform === "win32")("a Unix socket", () => {
  it("is this user's alone, gone afterwards, and takes the place of one that nobody listens on", async () => {
    const file = path.join(dir, "com1");
    const stale = net.createServer().listen(file);
    await new Promise((resolve) => stale.once("listening", resolve));
    await expect(SocketConsole.listen({ kind: "unix", path: file }, "--serial ")).rejects.toThrow(
      `--serial unix:${file}: somebody listens there already`,
    );
    fs.renameSync(file, `${file}2`);
    await new Promise((resolve) => stale.close(resolve));
    fs.renameSync(`${file}2`, file);
    const line = await SocketConsole.listen({ kind: "unix", path: file });
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    await line.close();
    expect(fs.readdirSync(dir)).toEqual([]);
  });

  it("is refused where a file is, or no directory, or the path is too long", async () => {
    fs.writeFileSync(path.join(dir, "a"), "");
    const listen = (name: string): Promise<SocketConsole> => SocketConsole.listen({ kind: "unix", path: path.join(dir, name) });
    await expect(listen("a")).rejects.toThrow("exists and is no socket");
    await expect(listen("b/c")).rejects.toThrow("cannot listen");
    await expect(listen("x".repeat(120))).rejects.toThrow("at most 103 bytes");
    expect(fs.readdirSync(dir)).toEqual(["a"]);
  });

  it("says when a TCP port is in use", async () => {
    const line = await tcp();
    await expect(SocketConsole.listen({ kind: "tcp", host: "127.0.0.1", port: line.port ?? 0 })).rejects.toThrow(
      `tcp:127.0.0.1:${line.port}: cannot listen (the address is in use)`,
    );
  });
});
