// Runs inside a network namespace of its own (see tap.test.ts): makes a TAP interface and plays one scenario on it.
import { execFile, execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as http from "node:http";
import * as net from "node:net";
import { openTap, openUserNet } from "../../../../dist/backends/node/index.js";

const ip = (...args) => execFileSync("ip", args, { stdio: ["ignore", "ignore", "inherit"] });
const run = (command, ...args) =>
  new Promise((resolve) => {
    execFile(command, args, { encoding: "buffer", maxBuffer: 1 << 30 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : (error.code ?? 1), stdout, stderr: stderr.toString() }),
    );
  });
const say = (line) => process.stdout.write(`${line}\n`);
const sha = (bytes) => createHash("sha256").update(bytes).digest("hex");
const listen = (server, host) =>
  new Promise((resolve) => {
    server.listen(0, host, () => resolve(server.address().port));
  });

ip("link", "set", "lo", "up");
const tap = await openTap("tap0");

async function frames() {
  ip("addr", "add", "192.0.2.1/24", "dev", "tap0");
  const seen = [];
  tap.onReceive = (frame) => {
    seen.push(frame.slice());
    return true;
  };
  ip("link", "set", "tap0", "up");
  // The kernel asks for its neighbour by ARP.
  void run("curl", "-s", "--max-time", "2", "http://192.0.2.2/");
  for (let i = 0; i < 100 && !seen.some((f) => f[12] === 8 && f[13] === 6); i++) await new Promise((r) => setTimeout(r, 50));
  const arp = seen.find((f) => f[12] === 8 && f[13] === 6);
  if (arp === undefined) throw new Error("no ARP request came");
  if (Buffer.from(arp.subarray(38, 42)).join(".") !== "192.0.2.2") throw new Error("ARP for somebody else");
  say("frames ok");
}

async function linuxGuest() {
  const content = randomBytes(100 << 20);
  const server = http.createServer((request, response) => {
    if (request.method === "GET") return response.end(content);
    const parts = [];
    request.on("data", (d) => parts.push(d));
    request.on("end", () => response.end(sha(Buffer.concat(parts))));
  });
  const port = await listen(server, "127.0.0.1");
  const forward = { protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 0, guestIp: 0x0a00020f, guestPort: 8080 };
  const user = await openUserNet({ loopback: true, forwards: [forward] });
  // The cable: tap0 is the guest's card.
  const offloads = process.env.NO_OFFLOADS === "1" ? { checksum: false, tso4: false } : { checksum: true, tso4: true };
  tap.setGuestOffloads(offloads);
  user.setGuestOffloads(offloads);
  tap.onReceive = (frame, offload) => {
    user.send(frame, offload);
    user.flush();
    return true;
  };
  user.onReceive = (frame, offload) => {
    tap.send(frame, offload);
    return true;
  };
  ip("link", "set", "tap0", "up");
  ip("addr", "add", "10.0.2.15/24", "dev", "tap0");
  ip("route", "add", "default", "via", "10.0.2.2");
  const started = performance.now();
  const download = await run("curl", "-sS", "--max-time", "60", `http://10.0.2.2:${port}/`);
  const ms = performance.now() - started;
  say(sha(download.stdout) === sha(content) ? `download ok ${Math.round(100 / (ms / 1000))} MB/s` : `download failed ${download.stderr}`);
  const upload = await run("curl", "-sS", "--max-time", "60", "-X", "POST", "--data-binary", "@/proc/self/exe", `http://10.0.2.2:${port}/`);
  const { readFileSync } = await import("node:fs");
  say(
    upload.stdout.toString() === sha(readFileSync(execFileSync("which", ["curl"]).toString().trim()))
      ? "upload ok"
      : `upload failed ${upload.stderr}`,
  );
  const inside = net.createServer((socket) => socket.end(`hello from the guest, ${socket.remoteAddress}`));
  await new Promise((resolve) => {
    inside.listen(8080, "10.0.2.15", resolve);
  });
  const said = await new Promise((resolve) => {
    let text = "";
    net
      .connect(user.forwardedPorts[0], "127.0.0.1")
      .on("data", (d) => (text += d))
      .on("end", () => resolve(text));
  });
  say(said === "hello from the guest, 10.0.2.2" ? "forward ok" : `forward failed: ${said}`);
  const refused = await run("curl", "-sS", "--max-time", "10", "http://10.0.2.2:1/");
  say(refused.code === 7 ? "refused ok" : `refused failed: ${refused.code} ${refused.stderr}`);
  say(JSON.stringify(user.stats()));
  user.close();
  inside.close();
  server.closeAllConnections();
  server.close();
}

try {
  if (process.argv[2] === "frames") await frames();
  else await linuxGuest();
} finally {
  tap.close();
}
process.exit(0);
