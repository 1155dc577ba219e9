#!/usr/bin/env node
/**
 * The same disk and the same keys in whyve and in QEMU, and where their text screens differ at each milestone. To be looked at by a person: clocks,
 * sizes and names of the machine differ rightly.
 *
 *   node tools/guests/compare.mjs STEPS.mjs [NAME-REGEX] [--only whyve|qemu] [--show]
 *
 * STEPS.mjs exports `guests`: `{ name, disk | images | kernel..., memoryMiB?, qemu?: string[], steps }`, where a step is a RegExp (awaited on the text
 * screen), a string (typed), an array of key names (pressed), or `{ serial: RegExp | string }` (awaited on, or written to, COM1).
 */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { boot, cp437Char, parseChord, parseTyped } = await import(path.join(ROOT, "dist/node/index.js"));

const { values, positionals } = parseArgs({ allowPositionals: true, options: { only: { type: "string" }, show: { type: "boolean" } } });
const WAIT_MS = 60_000;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** What a test can do with a machine: `text()`, `serial()`, `press(chords)`, `write(text)`, `seconds()` of CPU, `close()`. */
async function openWhyve(guest) {
  const vm = await boot({
    ...(guest.images === undefined ? (guest.disk === undefined ? {} : { disk: guest.disk }) : { images: guest.images }),
    ...(guest.kernel === undefined ? {} : { kernel: guest.kernel }),
    snapshot: true,
    clock: guest.clock ?? "virtual",
    memoryBytes: (guest.memoryMiB ?? 128) * 2 ** 20,
    engine: guest.engine ?? "soft",
    ...guest.whyve,
  });
  let ended;
  vm.ended.then((end) => (ended = end));
  const began = process.cpuUsage();
  return {
    vm,
    text: () => vm.screen.text(),
    serial: () => vm.serial.text(),
    press: (chords) => vm.press(chords),
    write: (text) => vm.serial.write(text),
    ended: () => ended,
    async idle(seconds) {
      const until = vm.timeNs + seconds * 1e9;
      while (vm.timeNs < until && ended === undefined) await sleep(5);
    },
    seconds() {
      const { user, system } = process.cpuUsage(began);
      return (user + system) / 1e6;
    },
    close: () => vm.dispose(),
  };
}

const QCODES = {
  Enter: "ret",
  Escape: "esc",
  Space: "spc",
  Backspace: "backspace",
  Tab: "tab",
  Minus: "minus",
  Equal: "equal",
  BracketLeft: "bracket_left",
  BracketRight: "bracket_right",
  Semicolon: "semicolon",
  Quote: "apostrophe",
  Backquote: "grave_accent",
  Backslash: "backslash",
  Comma: "comma",
  Period: "dot",
  Slash: "slash",
  ArrowUp: "up",
  ArrowDown: "down",
  ArrowLeft: "left",
  ArrowRight: "right",
  ControlLeft: "ctrl",
  ShiftLeft: "shift",
  AltLeft: "alt",
  ControlRight: "ctrl_r",
  ShiftRight: "shift_r",
  AltRight: "alt_r",
  Insert: "insert",
  Delete: "delete",
  Home: "home",
  End: "end",
  PageUp: "pgup",
  PageDown: "pgdn",
}; // prettier-ignore
const qcode = (key) => QCODES[key] ?? key.replace(/^(?:Key|Digit)/, "").toLowerCase();

async function openQemu(guest) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-compare-"));
  const serialFile = path.join(dir, "serial");
  const args = ["-M", "pc", "-m", String(guest.memoryMiB ?? 128), "-display", "none", "-net", "none", "-no-reboot", "-snapshot"];
  args.push("-qmp", `unix:${dir}/qmp,server=on,wait=off`, "-chardev", `socket,id=s,path=${dir}/com1,server=on,wait=off,logfile=${serialFile}`);
  args.push("-serial", "chardev:s");
  for (const image of guest.images ?? (guest.disk === undefined ? [] : [guest.disk])) {
    const file = typeof image === "string" ? image : image.path;
    const kind =
      (typeof image === "string" ? undefined : image.kind) ??
      (/\.iso$/.test(file) ? "cdrom" : fs.statSync(file).size <= 2949120 ? "floppy" : "hard-disk");
    const format = /\.qcow2$/.test(file) ? "qcow2" : "raw";
    args.push("-drive", `file=${file},format=${format},if=${kind === "floppy" ? "floppy" : "ide"}${kind === "cdrom" ? ",media=cdrom" : ""}`);
    if (!args.includes("-boot")) args.push("-boot", kind === "floppy" ? "a" : kind === "cdrom" ? "d" : "c");
  }
  if (guest.kernel !== undefined) {
    args.push("-kernel", guest.kernel.path ?? guest.kernel.kernel);
    if (guest.kernel.initrds) args.push("-initrd", guest.kernel.initrds.join(","));
    if (guest.kernel.append) args.push("-append", guest.kernel.append);
  }
  const child = spawn("qemu-system-x86_64", [...args, ...(guest.qemu ?? [])], { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (d) => (stderr += d));
  let ended;
  child.on("close", () => (ended = `qemu ended: ${stderr}`));
  const connect = async (name) => {
    for (let i = 0; ; i++) {
      const socket = net.connect(path.join(dir, name));
      const error = await new Promise((done) => {
        socket.once("connect", () => done(undefined));
        socket.once("error", done);
      });
      if (error === undefined) return socket;
      if (i > 100 || ended) throw new Error(ended ?? String(error));
      await sleep(50);
    }
  };
  const qmp = await connect("qmp");
  const com = await connect("com1");
  com.on("data", () => {});
  for (const socket of [qmp, com]) socket.on("error", () => {});
  let buffer = "";
  const waiting = [];
  qmp.on("data", (d) => {
    buffer += d;
    for (let at = buffer.indexOf("\n"); at >= 0; at = buffer.indexOf("\n")) {
      const message = JSON.parse(buffer.slice(0, at));
      buffer = buffer.slice(at + 1);
      if ("return" in message || "error" in message) waiting.shift()?.(message);
    }
  });
  qmp.on("close", () => waiting.splice(0).forEach((done) => done({})));
  const command = (execute, args = {}) =>
    new Promise((done) => {
      waiting.push(done);
      qmp.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
  await command("qmp_capabilities");
  const monitor = async (line) => String((await command("human-monitor-command", { "command-line": line })).return);
  const port = async (address) => Number(/= (0x[0-9a-f]+)/.exec(await monitor(`i /1xb ${address}`))?.[1] ?? 0);
  /** A CRTC register; the guest, which stands still, finds the index register as it was. */
  const crtc = async (index) => {
    const before = await port(0x3d4);
    await monitor(`o /1xb 0x3d4 ${index}`);
    const value = await port(0x3d5);
    await monitor(`o /1xb 0x3d4 ${before}`);
    return value;
  };
  const page = path.join(dir, "page");
  const read = async (address, size) => {
    await command("pmemsave", { val: address, size, filename: page });
    return fs.existsSync(page) ? fs.readFileSync(page) : Buffer.alloc(size);
  };
  return {
    async text() {
      await command("stop");
      const bda = await read(0x44a, 0x40);
      const columns = bda.readUInt16LE(0) === 40 ? 40 : 80;
      const bytes = await read(0xb8000, 0x8000);
      const start = (await crtc(0xc)) * 512 + (await crtc(0xd)) * 2;
      await command("cont");
      const lines = [];
      for (let row = 0; row < 25; row++) {
        let line = "";
        for (let column = 0; column < columns; column++) line += cp437Char(bytes[(start + (row * columns + column) * 2) & 0x7fff] ?? 0);
        lines.push(line.replaceAll("\u00a0", " ").trimEnd());
      }
      return lines.join("\n").trimEnd();
    },
    serial: () => (fs.existsSync(serialFile) ? fs.readFileSync(serialFile, "latin1") : ""),
    async press(chords) {
      for (const chord of chords) {
        await command("send-key", { keys: chord.map((key) => ({ type: "qcode", data: qcode(key) })), "hold-time": 30 });
        await sleep(70);
      }
    },
    write: (text) => com.write(text),
    ended: () => ended,
    idle: (seconds) => sleep(seconds * 1000),
    seconds() {
      const stat = fs.existsSync(`/proc/${child.pid}/stat`) ? fs.readFileSync(`/proc/${child.pid}/stat`, "latin1").split(" ") : [];
      return (Number(stat[13] ?? 0) + Number(stat[14] ?? 0)) / 100;
    },
    async close() {
      child.kill("SIGKILL");
      qmp.destroy();
      com.destroy();
      while (ended === undefined) await sleep(10);
      fs.rmSync(dir, { recursive: true });
    },
  };
}

/** The text once it stands still for a moment. */
async function settled(machine, look) {
  let before = await look();
  for (let i = 0; i < 12 && machine.ended() === undefined; i++) {
    await machine.idle(0.4);
    const now = await look();
    if (now === before) break;
    before = now;
  }
  return before;
}

/** Does the steps; gives what was seen at each milestone. */
async function play(open, guest) {
  const machine = await open(guest);
  const shots = [];
  let seen = 0;
  try {
    for (const step of guest.steps) {
      const name = step instanceof RegExp ? String(step) : step?.serial instanceof RegExp ? `serial ${step.serial}` : undefined;
      if (typeof step === "string") await machine.press(parseTyped(step.replaceAll("{", "{{")));
      else if (Array.isArray(step)) await machine.press(step.map(parseChord));
      else if (typeof step.idle === "number") await machine.idle(step.idle);
      else if (typeof step.serial === "string") machine.write(step.serial);
      else {
        const onSerial = !(step instanceof RegExp);
        const pattern = onSerial ? step.serial : step;
        const look = onSerial ? () => machine.serial().slice(seen) : () => machine.text();
        const giveUp = Date.now() + (guest.waitMs ?? WAIT_MS);
        let text = await look();
        while (!pattern.test(text)) {
          const why = machine.ended() === undefined ? (Date.now() > giveUp ? "timeout" : undefined) : JSON.stringify(machine.ended());
          if (why !== undefined) {
            shots.push({ name, failed: why, text: await machine.text(), serial: machine.serial().slice(-1500), seconds: machine.seconds() });
            return shots;
          }
          await sleep(50);
          text = await look();
        }
        if (onSerial) {
          const match = pattern.exec(text);
          seen += match.index + match[0].length;
          shots.push({ name, text: match[0], seconds: machine.seconds() });
        } else shots.push({ name, text: await settled(machine, look), seconds: machine.seconds() });
      }
    }
    if (guest.screenshot && machine.vm) fs.writeFileSync(guest.screenshot, await machine.vm.screenshot());
    return shots;
  } finally {
    await machine.close();
  }
}

/** Lines that only one of them shows, in order (longest common subsequence). */
function difference(ours, theirs) {
  const a = ours.split("\n");
  const b = theirs.split("\n");
  const length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) length[i][j] = a[i] === b[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
  }
  const lines = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      i++;
      j++;
    } else if (j === b.length || (i < a.length && length[i + 1][j] >= length[i][j + 1])) lines.push(`    whyve |${a[i++]}`);
    else lines.push(`    qemu  |${b[j++]}`);
  }
  return lines;
}

const [stepsFile, filter = ""] = positionals;
if (stepsFile === undefined) {
  process.stderr.write("usage: node tools/guests/compare.mjs STEPS.mjs [NAME-REGEX] [--only whyve|qemu] [--show]\n");
  process.exit(1);
}
const { guests } = await import(pathToFileURL(path.resolve(stepsFile)).href);
for (const guest of guests.filter(({ name }) => new RegExp(filter).test(name))) {
  console.log(`\n=== ${guest.name}`);
  const ours =
    values.only === "qemu" ? undefined : await play(openWhyve, guest).catch((e) => [{ name: "open", failed: String(e), text: "", seconds: 0 }]);
  const theirs =
    values.only === "whyve" ? undefined : await play(openQemu, guest).catch((e) => [{ name: "open", failed: String(e), text: "", seconds: 0 }]);
  const shots = Math.max(ours?.length ?? 0, theirs?.length ?? 0);
  for (let i = 0; i < shots; i++) {
    const [a, b] = [ours?.[i], theirs?.[i]];
    console.log(
      `  ${(a ?? b).name}: whyve ${a === undefined ? "-" : `${a.seconds.toFixed(1)} s`}, qemu ${b === undefined ? "-" : `${b.seconds.toFixed(1)} s`}`,
    );
    for (const [who, shot] of [
      ["whyve", a],
      ["qemu", b],
    ]) {
      if (shot?.failed) console.log(`    ${who} FAILED: ${shot.failed}\n${shot.text}\n--- serial\n${shot.serial}`);
    }
    if (a && b && !a.failed && !b.failed) {
      const lines = difference(a.text, b.text);
      console.log(lines.length === 0 ? "    equal" : lines.join("\n"));
    }
    if (values.show) console.log((a ?? b).text);
  }
}
