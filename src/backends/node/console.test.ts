import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DescriptorSink, FileConsole, openForWriting } from "./index.ts";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-console-"));
});
afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

const { O_RDONLY, O_NONBLOCK } = fs.constants;
function fifo(): string {
  const file = path.join(dir, "fifo");
  spawnSync("mkfifo", [file]);
  return file;
}
const turn = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(process.platform === "win32")("output to a FIFO", () => {
  it("is refused when nobody reads, instead of waiting for a reader", () => {
    const file = fifo();
    expect(() => openForWriting(file)).toThrow(/nobody reads this FIFO; start its reader first/);
    expect(() => new FileConsole(file)).toThrow(/nobody reads this FIFO/);
  });

  it("is kept while the reader pauses, and arrives whole and in order", async () => {
    const file = fifo();
    const reader = fs.openSync(file, O_RDONLY | O_NONBLOCK);
    const writer = openForWriting(file);
    const sink = new DescriptorSink(writer);
    const sent = Uint8Array.from({ length: 600_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
    const before = performance.now();
    for (const byte of sent) sink.writeByte(byte);
    expect(performance.now() - before).toBeLessThan(2000);
    const got: Buffer[] = [];
    const into = Buffer.alloc(65_536);
    for (let tries = 0; tries < 500 && got.reduce((sum, b) => sum + b.length, 0) < sent.length; tries++) {
      try {
        const n = fs.readSync(reader, into);
        got.push(Buffer.from(into.subarray(0, n)));
      } catch {
        await turn(5);
      }
    }
    expect(Buffer.concat(got).equals(Buffer.from(sent))).toBe(true);
    fs.closeSync(writer);
    fs.closeSync(reader);
  });

  it("ends, told once, when the reader goes away or takes nothing to the end", () => {
    const file = fifo();
    const reader = fs.openSync(file, O_RDONLY | O_NONBLOCK);
    const writer = openForWriting(file);
    const problems: unknown[] = [];
    const stuck = new DescriptorSink(writer, (error) => problems.push(error));
    stuck.write(new Uint8Array(300_000));
    stuck.finish();
    expect(problems).toEqual([new Error("its reader takes nothing")]);
    const gone = new DescriptorSink(writer, (error) => problems.push(error));
    fs.closeSync(reader);
    gone.write(new Uint8Array(10));
    gone.write(new Uint8Array(10));
    expect(problems).toHaveLength(2);
    expect(String(problems[1])).toContain("EPIPE");
    fs.closeSync(writer);
  });
});
