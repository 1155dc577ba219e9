// Guests on the user-mode network: Linux and iPXE, each with a TCP of its own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import * as dgram from "node:dgram";
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as path from "node:path";
import { test } from "node:test";
import { openUserNet } from "../../dist/backends/node/index.js";
import { boot } from "../support/machine.mjs";
import { debianGuest, needsDebian, ROOT } from "./support.mjs";

const LONG = { timeoutMs: 900_000 };
const FILES = path.join(ROOT, ".cache/guests/network");
const MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);

/** Why this cannot run here, or undefined. The kernel and its ramdisk are made once. */
function missing() {
  const tools = ["apt-get", "dpkg-deb", "cpio"].filter((tool) => spawnSync("which", [tool]).status !== 0);
  if (tools.length > 0) return `cannot be made without ${tools.join(", ")}`;
  if (fs.existsSync(path.join(FILES, "initrd.gz"))) return undefined;
  const made = spawnSync("bash", [path.join(ROOT, "tools/guests/make-net-initrd.sh"), FILES], { encoding: "utf8", timeout: 300_000 });
  return made.status === 0 ? undefined : `Debian packages cannot be had: ${made.stderr.trim().split("\n").at(-1)}`;
}

const md5 = (...pieces) => {
  const hash = createHash("md5");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
};

/** A web server on the host's loopback. */
async function serve(t, answer) {
  const server = http.createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return server.address().port;
}

/** A resolver that knows guest.test, and nobody else. */
async function resolver(t) {
  const socket = dgram.createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.after(() => socket.close());
  socket.on("message", (query, from) => {
    const known = query.includes("\x05guest\x04test\0") && query.readUInt16BE(query.length - 4) === 1;
    const head = Buffer.from(query);
    head[2] = 0x81;
    head[3] = 0x80;
    head[7] = known ? 1 : 0;
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 99]);
    socket.send(known ? Buffer.concat([head, record]) : head, from.port, from.address);
  });
  return { address: "127.0.0.1", port: socket.address().port };
}

const get = (port) =>
  new Promise((resolve, reject) => {
    http
      .get({ host: "127.0.0.1", port, timeout: 120_000 }, (response) => {
        let text = "";
        response.on("data", (d) => (text += d));
        response.on("end", () => resolve(text));
      })
      .on("error", reject);
  });

const why = missing();
for (const [mode, megabytes] of [
  ["modern", 100],
  ["legacy", 10],
]) {
  test(`Linux with a ${mode} card: DHCP, ping, names, ${megabytes} MB down, up, a forward in`, why === undefined ? {} : { skip: why }, async (t) => {
    const large = randomBytes(megabytes << 20);
    let asked = 0;
    const port = await serve(t, (request, response) => {
      if (request.url === "/large") {
        asked = performance.now();
        return response.end(large);
      }
      const parts = [];
      request.on("data", (d) => parts.push(d));
      request.on("end", () => response.end(md5(...parts)));
    });
    const forward = { protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 0, guestIp: 0x0a00020f, guestPort: 80 };
    const backend = await openUserNet({ loopback: true, forwards: [forward] }, { resolvers: [await resolver(t)] });
    const append = `console=ttyS0 quiet nt.port=${port}${mode === "legacy" ? " nt.legacy" : ""}`;
    const vm = await boot({
      kernel: { kernel: path.join(FILES, "vmlinuz"), initrd: [path.join(FILES, "initrd.gz")], append },
      engine: "soft,jit=on",
      memoryBytes: 256 * 2 ** 20,
      net: { backend, mac: MAC },
    });
    t.after(() => vm.dispose());
    await vm.serial.waitFor("NT: card 52:54:00:12:34:56 carrier 1", LONG);
    await vm.serial.waitFor("NT: bound 10.0.2.15 router 10.0.2.2 dns 10.0.2.3 mtu 1500", LONG);
    await vm.serial.waitFor("NT: ping 3 packets received", LONG);
    await vm.serial.waitFor("NT: name 192.0.2.99", LONG);
    await vm.serial.waitFor("NT: refused", LONG);
    await vm.serial.waitFor(`NT: large ${md5(large)}`, LONG);
    const { groups } = /NT: up (?<here>\w+) (?<there>\w+)/.exec((await vm.serial.waitFor(/NT: up \w+ \w+/, LONG)).match[0]);
    assert.equal(groups.here, groups.there);
    await vm.serial.waitFor("NT: errors 0 0", LONG);
    await vm.serial.waitFor("NT: ready", LONG);
    await vm.serial.waitFor("NT: done", LONG);
    t.diagnostic(`${(megabytes / ((performance.now() - asked) / 1000)).toFixed(1)} MB/s into /dev/null`);
    assert.equal(await get(backend.forwardedPorts[0]), "hello from the guest\n");
    const stats = backend.stats();
    assert.ok(stats.retransmits < 20, `${stats.retransmits} segments were sent again, though nothing gets lost on the virtual wire`);
    if (mode === "modern") assert.ok(stats.toGuestFrames < 40 * megabytes * 2, `${stats.toGuestFrames} frames: large ones were not used`);
  });
}

test("iPXE boots over the network: DHCP and HTTP without offloads", needsDebian("ipxe-floppy.img"), async (t) => {
  const script = `#!ipxe\n${"# padding\n".repeat(20_000)}echo NETWORK BOOT \${net0/ip} \${net0/mac}\nshell\n`;
  const port = await serve(t, (_request, response) => response.end(script));
  const [disk] = debianGuest("ipxe-floppy.img");
  const backend = await openUserNet({ loopback: true });
  const vm = await boot({ disk, snapshot: true, clock: "virtual", memoryBytes: 128 * 2 ** 20, net: { backend, mac: MAC } });
  t.after(() => vm.dispose());
  await vm.screen.waitFor(/Ctrl-B/, LONG);
  await vm.keys("ctrl-b");
  await vm.screen.waitFor(/iPXE> *$/, LONG);
  await vm.type("dhcp\n");
  await vm.screen.waitFor(/ok\n[\s\S]*iPXE> *$/, LONG);
  await vm.type(`chain http://10.0.2.2:${port}/boot.ipxe\n`);
  await vm.screen.waitFor(/NETWORK BOOT 10\.0\.2\.15 52:54:00:12:34:56/, LONG);
});
