import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../errors.ts";
import { parseRun } from "./run-options.ts";
import type { RunRequest } from "./run-options.ts";
import { RUN_OPTIONS } from "./run-table.ts";

function parse(...argv: string[]): RunRequest {
  const request = parseRun(argv);
  if (request === "help") throw new Error("help");
  return request;
}

function complaint(...argv: string[]): string {
  try {
    parseRun(argv);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return "accepted";
}

describe("whyve run's command line", () => {
  it("takes images by kind and by position", () => {
    const { media } = parse("a.img", "--hd", "b.img", "--cd=c.iso", "--fd", "d.img", "--hd", "e.img");
    expect(media).toEqual([
      { kind: undefined, path: "a.img" },
      { kind: "hard-disk", path: "b.img" },
      { kind: "cdrom", path: "c.iso" },
      { kind: "floppy", path: "d.img" },
      { kind: "hard-disk", path: "e.img" },
    ]);
  });

  it("takes the bus off a hard disk's name, and only that", () => {
    expect(parse("--hd", "a,b.img,bus=virtio", "--hd", "c.img,bus=ide", "--hd", "d,x=1").media).toEqual([
      { kind: "hard-disk", path: "a,b.img", bus: "virtio" },
      { kind: "hard-disk", path: "c.img", bus: "ide" },
      { kind: "hard-disk", path: "d,x=1" },
    ]);
    expect(complaint("--hd", "a.img,bus=scsi")).toBe('--hd "a.img,bus=scsi": bus=scsi: use virtio or ide');
    expect(complaint("--hd", ",bus=ide")).toMatch(/name is empty/);
  });

  it("shares directories under tags", () => {
    expect(parse("a.img", "--share", "/srv", "--share", "b,c,ro", "--share", "d,ro,tag=data").shares).toEqual([
      { path: "/srv", tag: "share", readOnly: false },
      { path: "b,c", tag: "share2", readOnly: true },
      { path: "d", tag: "data", readOnly: true },
    ]);
    expect(complaint("a.img", "--share", ",ro")).toMatch(/name is empty/);
    expect(complaint("a.img", "--share", "x", "--share", "y,tag=share")).toMatch(/another share has the tag/);
    expect(complaint("a.img", "--share", "x,tag=a b")).toMatch(/use up to 31/);
  });

  it("fills in the defaults", () => {
    expect(parse("a.img")).toMatchObject({
      clock: "host",
      snapshotDisk: false,
      trapStyle: "vmcall",
      type: [],
      serial: [],
      trace: [],
      display: undefined,
    });
  });

  it("understands sizes, boot orders, times and engines", () => {
    expect(parse("a", "--mem", "1.5G").memoryBytes).toBe(1536 * 2 ** 20);
    expect(parse("a", "--mem", "64").memoryBytes).toBe(64 * 2 ** 20);
    expect(parse("a", "--mem", "64MiB").memoryBytes).toBe(64 * 2 ** 20);
    expect(parse("a", "--boot", "cd,hd").boot).toEqual(["cd", "hd"]);
    expect(parse("a", "--rtc", "2026-02-03T04:05:06").rtcMs).toBe(Date.UTC(2026, 1, 3, 4, 5, 6));
    expect(parse("a", "--engine", "soft,jit=on").engine).toEqual({ kind: "soft", jit: true });
    expect(parse("a", "--timeout", "1.5").timeoutMs).toBe(1500);
  });

  it("reads --type as pattern and text with escapes", () => {
    expect(parse("a", "--type", "=>C:\\\\ \\{x} \\x7b \\' {{").type).toEqual([{ when: undefined, text: "C:\\ {{x} {{ ' {{" }]);
    const [first, second] = parse("a", "--type", "login:=>root\\n", "--type", "=>a=>b\\t{F1}\\x41").type;
    expect(first).toEqual({ when: /login:/m, text: "root\n" });
    expect(second).toEqual({ when: undefined, text: "a=>b\t{F1}A" });
  });

  it("reads patterns with and without slashes", () => {
    expect(parse("a", "--until", "^C:\\\\>").until).toEqual(/^C:\\>/m);
    expect(parse("a", "--until", "/ready/i").until).toEqual(/ready/im);
  });

  it("reads trace requests with filters and files", () => {
    expect(parse("a", "--trace", "bios", "--trace", "insn:mode=16,addr=7c00-7dff=out.txt", "--trace", "io=/tmp/x").trace).toEqual([
      { what: "bios", filter: { modes: undefined, from: 0, to: Number.MAX_SAFE_INTEGER }, path: undefined },
      { what: "insn", filter: { modes: [16], from: 0x7c00, to: 0x7dff }, path: "out.txt" },
      { what: "io", filter: { modes: undefined, from: 0, to: Number.MAX_SAFE_INTEGER }, path: "/tmp/x" },
    ]);
  });

  it.each([
    [["--snapshot"], "unknown option --snapshot (did you mean --snapshot-disk?)"],
    [["--xyzzy"], "unknown option --xyzzy (see --help)"],
    [["-q"], "unknown option -q (see --help)"],
    [["--mem"], "--mem needs a value: --mem SIZE"],
    [["--until", "(?s)x"], '--until "(?s)x": not a regular expression as JavaScript has them (Invalid group); flags stand behind slashes: /text/is'],
    [["--hd", "--cd"], "--hd needs a value before --cd (a value that looks like this: --hd=--cd)"],
    [["--mem", "100T"], '--mem "100T": at most 3072M'],
    [["--mem", "0"], '--mem "0": at least 1M'],
    [["--type", "=>{nope}"], '--type "nope": no key is called "nope" (examples: F1, Enter, ArrowDown, ctrl-alt-del, shift-Tab)'],
    [["--type", "=>\\q"], '--type "\\q": unknown escape \\q; use \\n, \\r, \\t, \\b, \\e, \\0, \\x41, and \\\\ for a backslash'],
    [["--type", "=>a\\"], /unknown escape/],
    [["--screenshot", "x.jpg"], "--screenshot x.jpg: screenshots are PNG; use x.png"],
    [["--engine", "qemu"], '--engine "qemu": use soft or auto'],
    [["--mem", "lots"], '--mem "lots": use a size such as 64M or 1G'],
    [["--mem", "1.3k"], '--mem "1.3k": must be a whole number of megabytes'],
    [["--mem", "1M", "--mem", "2M"], "--mem is given twice"],
    [["--snapshot-disk=yes"], "--snapshot-disk takes no value"],
    [["--clock", "fast"], '--clock "fast": use host, virtual, or virtual,ns=N with the nanoseconds an instruction takes'],
    [["--boot", "usb"], '--boot "usb": use hd, fd, cd, one drive such as hd1, or an order such as cd,hd'],
    [["--until", "a("], '--until "a(": not a regular expression as JavaScript has them (Unterminated group)'],
    [
      ["--until", "x".repeat(70_000)],
      `--until "${"x".repeat(80)}...": not a regular expression as JavaScript has them (Regular expression too large)`,
    ],
    [["--type", "hello"], "--type \"hello\": use 'REGEX=>TEXT', for example --type 'login:=>root\\n'"],
    [["--timeout", "soon"], '--timeout "soon": use a number of seconds'],
    [["--timeout", "0"], '--timeout "0": use a number of seconds between 0 and 2147483'],
    [["--cpus", "17"], '--cpus "17": use 1 to 16'],
    [["--cpus", "two"], '--cpus "two": use 1 to 16'],
    [["--clock", "virtual,ns=0", "a.img"], '--clock "virtual,ns=0": ns is outside 1..1000'],
    [["--append", "x", "a.img"], "--append needs --kernel FILE"],
    [["--net", "wifi"], '--net "wifi": use none, user or tap (see whyve run --help)'],
    [["--engine", "kvm"], "not yet: --engine kvm; use soft"],
    [["--display", "web"], "not yet: --display web; use terminal or none"],
    [["--serial", "pty"], "--serial pty: Node has no pseudo-terminals; use unix:PATH with socat PTY,link=NAME UNIX:PATH"],
    [["--serial", "stdio", "--serial", "stdio"], "only one of --serial, --console and --debug-port can have stdio"],
    [["--trace", "everything"], '--trace "everything": use bios, insn, io or exits, each with =FILE if wanted; insn:mode=16,addr=7c00-7dff filters'],
    [["--rtc", "2026-02-30"], '--rtc "2026-02-30": use utc, local, or a time such as 2026-01-31T12:00:00'],
    [["--name", "a b"], '--name "a b": use up to 64 letters, digits, dots, dashes, underscores, a letter or digit first'],
  ])("refuses %j with one clear line", (argv, message) => {
    if (typeof message === "string") expect(complaint("disk.img", ...argv)).toBe(message);
    else expect(complaint("disk.img", ...argv)).toMatch(message);
  });

  it("asks for an image when none is given", () => {
    expect(complaint()).toBe("no disk image given: whyve run disk.img (see whyve run --help, or try whyve demo)");
  });

  it("answers any words with a request, help or one usage line", () => {
    const word = fc.oneof(fc.constantFrom(...Object.keys(RUN_OPTIONS).map((n) => `--${n}`)), fc.string({ maxLength: 12 }));
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (argv) => {
        const said = complaint(...argv);
        expect(said.split("\n")).toHaveLength(1);
      }),
      { seed: 7, numRuns: 2000 },
    );
  });
});
