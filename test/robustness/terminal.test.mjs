// oxlint-disable no-control-regex -- escape sequences are what this looks at
// The terminal as a person has it: a machine's screen on one that is small, colourless or of unknown size, the Ctrl-] menu, and `whyve ctl` looking in.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { canDraw } from "../../dist/cli/terminal/can-draw.js";
import { coloursOf, sizeOf } from "../../dist/cli/terminal/host-terminal.js";
import { TerminalDisplay } from "../../dist/cli/terminal/terminal.js";
import { bootDisk } from "../support/floppy.mjs";
import { boot } from "../support/machine.mjs";
import { until } from "../support/until.mjs";

const CLI = fileURLToPath(new URL("../../dist/bin/whyve.cjs", import.meta.url));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-tty-"));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

// Shows every key that is typed: mov ah,0; int 16h; mov ah,0Eh; int 10h; jmp
const ECHO_KEYS = [0xb4, 0x00, 0xcd, 0x16, 0xb4, 0x0e, 0xcd, 0x10, 0xeb, 0xf6];
// Sends back every byte on COM1: mov dx,3FDh; in al,dx; test al,1; jz; mov dx,3F8h; in al,dx; out dx,al; jmp
const ECHO_SERIAL = [0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf8, 0xba, 0xf8, 0x03, 0xec, 0xee, 0xeb, 0xf1];
const keys = path.join(dir, "keys.img");
const serial = path.join(dir, "serial.img");
fs.writeFileSync(keys, bootDisk(ECHO_KEYS));
fs.writeFileSync(serial, bootDisk(ECHO_SERIAL));

/** Cells of a terminal that understands cursor positions and nothing else. */
class FakeTerminal {
  backlog = 0;
  closed = false;
  written = "";
  #cells = new Map();
  constructor(columns, rows, colours = "none") {
    Object.assign(this, { columns, rows, colours });
  }
  write(text) {
    this.written += text;
    let [x, y] = [0, 0];
    for (const [, row, column, other, char] of text.matchAll(/\x1b\[(\d+);(\d+)H|(\x1b\[[\d;?]*[A-Za-z]|\x1b\[\d+ q)|([^\x1b])/gu)) {
      if (row !== undefined) [x, y] = [Number(column), Number(row)];
      else if (other === undefined) this.#cells.set(`${x++},${y}`, char);
    }
  }
  close() {
    this.closed = true;
  }
  line(y) {
    return Array.from({ length: this.columns }, (_, x) => this.#cells.get(`${x + 1},${y}`) ?? " ")
      .join("")
      .trimEnd();
  }
  text() {
    return Array.from({ length: this.rows }, (_, y) => this.line(y + 1)).join("\n");
  }
  type(text) {
    this.onInput(Buffer.from(text, "latin1"));
  }
}

async function display(t, terminal) {
  const vm = await boot({ disk: keys, snapshot: true, memoryBytes: 4 << 20 });
  let quits = 0;
  const shown = new TerminalDisplay(vm, terminal, { onQuit: () => quits++, quitWord: "quit", saveScreenshot: async () => "a.png" });
  t.after(async () => {
    shown.close();
    await vm.dispose();
  });
  return { vm, quits: () => quits };
}

test("a terminal that is smaller than the screen says so until a key is pressed", async (t) => {
  const terminal = new FakeTerminal(40, 10);
  await display(t, terminal);
  await until(
    () => /the screen is 80x25, this terminal 40x10: the part around the cursor shows/.test(terminal.text().replace(/\s+/g, " ")),
    "the words",
  );
  terminal.type("a");
  await until(() => terminal.line(1) === "a" && !terminal.text().includes("80x25"), "the guest's screen");
  terminal.rows = 5;
  terminal.onChange();
  await until(() => terminal.text().includes("40x5"), "the new size");
});

test("Ctrl-] while paused is the menu; any other key goes on and is not the guest's", async (t) => {
  const terminal = new FakeTerminal(100, 25);
  const { vm, quits } = await display(t, terminal);
  terminal.type("a");
  await until(() => terminal.line(1) === "a", "the first key");
  terminal.type("\x1dp");
  await until(() => terminal.text().includes("paused; Ctrl-] opens the menu"), "the pause");
  terminal.type("\x1d");
  await until(() => terminal.text().includes("[p] go on"), "the menu");
  assert.equal(vm.state, "paused");
  terminal.type("\x1b");
  await until(() => terminal.text().includes("paused; Ctrl-] opens"), "the pause again");
  terminal.type("xyz");
  assert.equal(vm.state, "running");
  terminal.type("b");
  await until(() => terminal.line(1) === "ab", "the next key");
  terminal.type("\x1d\x1d");
  await until(() => /^ab.$/u.test(terminal.line(1)), "Ctrl-] itself");
  terminal.type("\x1dq");
  assert.equal(quits(), 1);
});

test("the menu changes a medium by its file's name, and says what is wrong with it", async (t) => {
  const terminal = new FakeTerminal(120, 25);
  const { vm } = await display(t, terminal);
  terminal.type("\x1d");
  await until(() => terminal.text().includes("[a] floppy A"), "the menu");
  assert.ok(!terminal.text().includes("CD"));
  terminal.type(`a${path.join(dir, "nope.img")}\r`);
  await until(() => terminal.text().includes("nope.img: no such file"), "the message");
  terminal.type(`\x1da${serial}x\x7f\r`);
  await until(() => vm.pc.drives[0].backend?.name === serial, "the other floppy");
  terminal.type("\x1da\r");
  await until(() => vm.pc.drives[0].backend === undefined, "the empty drive");
});

test("without colours only reverse video is used; with 16 or all of them, those", async (t) => {
  for (const [colours, sgr] of [
    ["none", /^0(;7)?$/],
    ["16", /^0(;\d+;\d+)?$/],
    ["true", /^(0|38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+)$/],
  ]) {
    const terminal = new FakeTerminal(60, 20, colours);
    await display(t, terminal);
    await until(() => terminal.written.includes("80x25"), "a picture");
    for (const [, code] of terminal.written.matchAll(/\x1b\[([\d;]*)m/g)) assert.match(code, sgr, colours);
  }
  const output = { getColorDepth: () => 4 };
  assert.deepEqual(
    [{ NO_COLOR: "1", COLORTERM: "truecolor" }, { NO_COLOR: "", COLORTERM: "truecolor" }, {}].map((env) => coloursOf(output, env)),
    ["none", "true", "16"],
  );
  assert.deepEqual([canDraw({ TERM: "dumb" }), canDraw({ TERM: "xterm" }), canDraw({})], [false, true, true]);
  assert.deepEqual([{ columns: 0, rows: 0 }, {}, { columns: 132, rows: 50 }].map(sizeOf), [
    { columns: 80, rows: 24 },
    { columns: 80, rows: 24 },
    { columns: 132, rows: 50 },
  ]);
});

test("whyve ctl lists as JSON, changes media, and joins screen and serial line of a running machine", async (t) => {
  const env = { ...process.env, HOME: dir, XDG_RUNTIME_DIR: dir };
  const ctl = (input, ...args) => spawnSync(process.execPath, [CLI, "ctl", ...args], { cwd: dir, env, input, encoding: "utf8", timeout: 20_000 });
  const child = spawn(process.execPath, [CLI, "run", serial, "--display", "none", "--name", "joined"], { cwd: dir, env, stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const socket = path.join(dir, "whyve/joined.sock");
  await until(() => fs.existsSync(socket), "the machine's socket");
  assert.deepEqual(JSON.parse(ctl("", "list", "--json").stdout), [{ name: "joined", state: "running", pid: child.pid, memoryBytes: 256 << 20 }]);
  assert.match(ctl("", "joined", "insert", "cd", keys).stderr, /there is no cdrom drive 0; there is floppy 0/);
  assert.match(ctl("", "joined", "insert", "hd", keys).stderr, /drive "hd": use cd, cd1, fd or fd1/);
  assert.equal(ctl("", "joined", "insert", "fd", "keys.img").status, 0);
  assert.match(ctl("", "joined", "status").stdout, /^floppy +.*keys\.img$/m);
  assert.match(ctl("", "joined", "console", "hvc0").stderr, /^whyve: there is no line "hvc0"; there are com1, com2, com3, com4\n$/);

  /** Attaches as the client does; the answer line is taken off. */
  const attach = async (...args) => {
    const connection = net.connect(socket);
    let text = "";
    connection.on("data", (bytes) => (text += bytes));
    t.after(() => connection.destroy());
    connection.write(`${JSON.stringify({ command: "attach", args })}\n`);
    await until(() => text.includes("\n"), "an answer");
    const answer = JSON.parse(text.slice(0, text.indexOf("\n")));
    const type = (input) => connection.write(`${JSON.stringify({ input: Buffer.from(input).toString("base64") })}\n`);
    return { answer, connection, type, text: () => text.slice(text.indexOf("\n") + 1) };
  };
  const line = await attach("console", "com1");
  line.type("hello");
  await until(() => line.text().endsWith("hello"), "the echo");
  const other = await attach("console", "com1");
  await until(() => other.text() === "hello", "what was printed before");
  other.type("\0\xff");
  await until(() => line.text().length > 5 && other.text().length > 5, "bytes for both");
  for (const wrong of [["screen"], ["screen", "0", "0", "16"], ["screen", "80", "25", "pink"], ["console"], []])
    assert.equal((await attach(...wrong)).answer.ok, false);
  const screen = await attach("screen", "50", "12", "none");
  await until(() => screen.text().includes("80x25"), "the small terminal's words");
  screen.connection.write(`${JSON.stringify({ size: [90, 30] })}\n`);
  screen.type("\x1d");
  await until(() => screen.text().includes("[q] detach"), "the menu");
  screen.type("q");
  await until(() => screen.connection.closed || screen.connection.readableEnded, "the end of the connection");
  const rude = await attach("console", "com1");
  rude.connection.write("no json\n");
  await until(() => rude.connection.closed || rude.connection.readableEnded, "the end of a rude connection");
  assert.equal(ctl("", "joined", "destroy").status, 0);
  assert.equal(await ended, 0);
  await until(() => line.connection.closed || line.connection.readableEnded, "the end of the line");
});
