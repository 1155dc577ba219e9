/** A QEMU under test control: QMP for snapshots and registers, the gdb stub for single steps. Only the recording machine needs it. */
import { spawn } from "node:child_process";
import { openSync, readSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function open(path) {
  for (let i = 0; i < 200; i++) {
    try {
      return await new Promise((resolve, reject) => {
        const s = connect(path);
        s.once("connect", () => resolve(s));
        s.once("error", reject);
      });
    } catch {
      await sleep(25);
    }
  }
  throw new Error(`no answer at ${path}`);
}

export class Qemu {
  static async start(directory, ramBytes) {
    const q = new Qemu();
    q.ramFile = join(directory, "ram");
    const disk = join(directory, "disk.qcow2");
    await new Promise((resolve) => spawn("qemu-img", ["create", "-q", "-f", "qcow2", disk, "64M"]).on("close", resolve));
    q.process = spawn(
      "qemu-system-x86_64",
      [
        "-S",
        "-display",
        "none",
        "-nodefaults",
        "-accel",
        "tcg",
        "-machine",
        "pc,memory-backend=ram",
        "-m",
        `${ramBytes >> 20}M`,
        "-object",
        `memory-backend-file,id=ram,size=${ramBytes >> 20}M,mem-path=${q.ramFile},share=on`,
        "-cpu",
        "Westmere,+xsave,+xsaveopt,+fsgsbase,+smep,+smap,+umip,+clflushopt",
        "-drive",
        `if=none,id=d,file=${disk},format=qcow2`,
        "-qmp",
        `unix:${directory}/qmp,server=on,wait=off`,
        "-gdb",
        `unix:${directory}/gdb,server=on,wait=off`,
      ],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    q.qmp = await open(`${directory}/qmp`);
    q.replies = [];
    let text = "";
    q.qmp.on("data", (b) => {
      text += b;
      for (let at; (at = text.indexOf("\n")) >= 0; text = text.slice(at + 1)) {
        const reply = JSON.parse(text.slice(0, at));
        if ("return" in reply || "error" in reply) q.replies.shift()?.(reply);
      }
    });
    await q.command("qmp_capabilities");
    q.gdb = await open(`${directory}/gdb`);
    q.packets = [];
    let buffer = "";
    q.gdb.on("data", (b) => {
      buffer += b.toString("latin1");
      for (;;) {
        const m = /^[+-]*\$([^#]*)#../s.exec(buffer);
        if (m === null) break;
        buffer = buffer.slice(m[0].length);
        q.gdb.write("+");
        q.packets.shift()?.(m[1]);
      }
      buffer = buffer.replace(/^\++$/, "");
    });
    await q.packet("qSupported:xmlRegisters=i386");
    await q.packet("qXfer:features:read:target.xml:0,ffb"); // without it registers cannot be written one by one
    await q.packet("?");
    // Interrupts and timers stay out of single steps: sstep bits 1|2|4 are the default.
    q.fd = openSync(q.ramFile, "r");
    return q;
  }
  command(execute, args) {
    return new Promise((resolve) => {
      this.replies.push(resolve);
      this.qmp.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
  }
  async monitor(line) {
    const r = await this.command("human-monitor-command", { "command-line": line });
    return r.return ?? "";
  }
  packet(body) {
    let sum = 0;
    for (let i = 0; i < body.length; i++) sum = (sum + body.charCodeAt(i)) & 255;
    return new Promise((resolve) => {
      this.packets.push(resolve);
      this.gdb.write(`$${body}#${sum.toString(16).padStart(2, "0")}`, "latin1");
    });
  }
  async write(address, bytes) {
    await this.monitor("gva2gpa 0");
    const r = await this.packet(`M${address.toString(16)},${bytes.length.toString(16)}:${Buffer.from(bytes).toString("hex")}`);
    if (r !== "OK") throw new Error(`memory ${address.toString(16)}: ${r}`);
  }
  /** Physical addresses in gdb's memory packets. */
  async physical() {
    const r = await this.packet("Qqemu.PhyMemMode:1");
    if (r !== "OK") throw new Error("this QEMU has no physical memory mode");
  }
  /** Register `n` of the stub (0..15 GPRs, 16 RIP, 17 EFLAGS, 18.. selectors). */
  async setRegister(n, value, bytes = 8) {
    const b = Buffer.alloc(8);
    b.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
    await this.packet(`P${n.toString(16)}=${b.subarray(0, bytes).toString("hex")}`);
  }
  step() {
    return this.packet("s");
  }
  memory(length) {
    const b = new Uint8Array(length);
    readSync(this.fd, b, 0, length, 0);
    return b;
  }
  async registers() {
    return parse(await this.monitor("info registers"));
  }
  quit() {
    this.process.kill("SIGKILL");
  }
}

/** "info registers" as data: numbers as hexadecimal strings without leading zeros. */
export function parse(text) {
  const out = { gpr: [], seg: {}, tables: {}, control: {} };
  const value = (name) => BigInt(`0x${new RegExp(`\\b${name}\\s*=\\s*([0-9a-f]+)`, "i").exec(text)?.[1] ?? "0"}`);
  const wide = /\bRAX=/.test(text);
  const names = wide
    ? ["RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"]
    : ["EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"];
  for (const n of names) out.gpr.push(value(n.trim()).toString(16));
  while (out.gpr.length < 16) out.gpr.push("0");
  out.rip = value(wide ? "RIP" : "EIP").toString(16);
  out.rflags = value(wide ? "RFL" : "EFL").toString(16);
  out.halted = /HLT=1/.test(text);
  for (const s of ["ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR"]) {
    const m = new RegExp(`^${s.padEnd(3)}=\\s*([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)`, "m").exec(text);
    out.seg[s.toLowerCase()] =
      m === null
        ? undefined
        : {
            selector: Number.parseInt(m[1], 16),
            base: m[2].replace(/^0+(?=.)/, ""),
            limit: Number.parseInt(m[3], 16),
            high: Number.parseInt(m[4], 16),
          };
  }
  for (const t of ["GDT", "IDT"]) {
    const m = new RegExp(`^${t}=\\s*([0-9a-f]+) ([0-9a-f]+)`, "m").exec(text);
    out.tables[t.toLowerCase()] = { base: m[1].replace(/^0+(?=.)/, ""), limit: Number.parseInt(m[2], 16) };
  }
  for (const c of ["CR0", "CR2", "CR3", "CR4", "DR0", "DR1", "DR2", "DR3", "DR6", "DR7", "EFER"])
    out.control[c.toLowerCase()] = value(c).toString(16);
  return out;
}
