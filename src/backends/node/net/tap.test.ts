import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openTap } from "./tap.ts";

const HELPER = fileURLToPath(new URL("tap-namespace.testing.mjs", import.meta.url));

/** What these tests need: root in a network namespace of their own, TAP interfaces, the built backends, and curl. */
function missing(): string | undefined {
  if (process.platform !== "linux") return "not Linux";
  if (!fs.existsSync("/dev/net/tun")) return "no /dev/net/tun";
  if (!fs.existsSync(path.join(path.dirname(HELPER), "../../../../dist/backends/node/index.js"))) return "dist is not built";
  try {
    execFileSync("unshare", ["-n", "ip", "link"], { stdio: "ignore" });
    execFileSync("curl", ["--version"], { stdio: "ignore" });
  } catch {
    return "no root, iproute2 or curl";
  }
  return undefined;
}

/** Runs the helper as root of a new network namespace, in which it makes its interfaces; they go away with it. */
async function inNamespace(scenario: string): Promise<string> {
  const child = spawn("unshare", ["-n", process.execPath, HELPER, scenario], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  child.stdout.on("data", (d: Buffer) => (out += d.toString()));
  child.stderr.on("data", (d: Buffer) => (out += d.toString()));
  await new Promise((resolve) => child.on("close", resolve));
  return out;
}

describe("tap", () => {
  it("refuses bad names in one line", async () => {
    await expect(openTap("a/b")).rejects.toMatchObject({ code: "NET_TAP_NAME" });
    await expect(openTap("")).rejects.toMatchObject({ code: "NET_TAP_NAME" });
    await expect(openTap("x".repeat(16))).rejects.toMatchObject({ code: "NET_TAP_NAME" });
  });

  const reason = missing();
  it.skipIf(reason !== undefined)(
    `carries frames between a namespace and a backend, large ones whole${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    async () => {
      expect(await inNamespace("frames")).toContain("frames ok");
    },
  );

  // The Linux kernel's own stack is the guest of the user-mode network here.
  it.skipIf(reason !== undefined)(
    `gives Linux a network: 100 MB down with the right sum, up, a forward, a refusal${reason === undefined ? "" : ` (skipped: ${reason})`}`,
    async () => {
      const out = await inNamespace("linux-guest");
      expect(out).toContain("download ok");
      expect(out).toContain("upload ok");
      expect(out).toContain("forward ok");
      expect(out).toContain("refused ok");
    },
  );
});
