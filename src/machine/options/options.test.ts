import { describe, expect, it } from "vitest";
import { checkArguments, checkOptions, kinds, VmmError } from "../../base/index.ts";
import type { Kind } from "../../base/index.ts";
import { BOOT_OPTIONS, MACHINE_OPTIONS, RUN_OPTIONS, TYPE_OPTIONS, WAIT_OPTIONS } from "./tables.ts";

const { integer } = kinds;

function complaint(table: Readonly<Record<string, Kind>>, options: unknown): string {
  try {
    checkOptions("call()", table, options, "CONFIG_OPTIONS");
  } catch (error) {
    if (error instanceof VmmError) return error.message;
    throw error;
  }
  return "accepted";
}

const TABLES: Readonly<Record<string, Readonly<Record<string, Kind>>>> = { BOOT_OPTIONS, MACHINE_OPTIONS, RUN_OPTIONS, TYPE_OPTIONS, WAIT_OPTIONS };

describe("options of the API", () => {
  for (const [name, table] of Object.entries(TABLES)) {
    it(`${name}: a slip in any name is answered with the right one`, () => {
      for (const option of Object.keys(table)) {
        if (option.length < 4) continue;
        const slip = option.slice(0, 2) + option.slice(3);
        expect(complaint(table, { [slip]: 1 })).toBe(`call(): there is no option "${slip}" (did you mean ${option}?)`);
      }
    });

    it(`${name}: no option takes a value of no kind, and undefined is as good as nothing`, () => {
      for (const [option, kind] of Object.entries(table)) {
        expect(complaint(table, { [option]: undefined })).toBe("accepted");
        if (kind.says === "anything") continue;
        expect(complaint(table, { [option]: Symbol("no") })).toMatch(/^call\(\): \w+ is a symbol; use [^\n]+$/);
      }
    });
  }

  it.each([
    [{ dsk: "a.img" }, 'call(): there is no option "dsk" (did you mean disk?)'],
    [{ mem: 64 }, 'call(): there is no option "mem" (did you mean memoryBytes?)'],
    [{ memoryBytes: "64M" }, 'call(): memoryBytes is "64M"; use a number of bytes such as 67108864'],
    [{ net: "user" }, 'call(): net is "user"; use { kind: "user" }, { kind: "tap" } or { backend, mac }'],
    [{ net: { kind: "user", loopbak: true } }, 'call(): there is no option "net.loopbak" (did you mean loopback?)'],
    [{ net: { kind: "wifi" } }, 'call(): net is an object; use { kind: "user" }, { kind: "tap" } or { backend, mac }'],
    [{ shares: "x" }, 'call(): shares is "x"; use an array of { tag, path }'],
    [{ shares: [{ tag: "x" }] }, 'call(): shares[0] has no "path"; use { tag, path } or { tag, tree }'],
    [{ kernel: "vmlinuz" }, 'call(): kernel is "vmlinuz"; use { kernel: "vmlinuz", initrd, append }'],
    [{ kernel: { kernel: "vmlinuz", inird: [] } }, 'call(): there is no option "kernel.inird" (did you mean initrd?)'],
    [{ images: ["a.img", { path: "b.img", buss: "ide" }] }, 'call(): there is no option "images[1].buss" (did you mean bus?)'],
    [{ images: [{ path: "b.img", bus: "scsi" }] }, 'call(): images[0].bus is "scsi"; use "ide" or "virtio"'],
    [{ boot: ["cd", "hd1", "usb"] }, 'call(): boot[2] is "usb"; use hd, fd, cd, or one drive such as hd1'],
    [{ engine: {} }, "call(): engine is an object; use a CpuEngine"],
    ["a.img", 'call() takes an object such as {}, not "a.img"'],
    [null, "call() takes an object such as {}, not null"],
  ])("%j", (options, message) => {
    expect(complaint(BOOT_OPTIONS, options)).toBe(message);
  });

  it("names all of a few options when none is close", () => {
    expect(complaint(TYPE_OPTIONS, { xyzzy: 1 })).toBe('call(): there is no option "xyzzy"; there is literal');
    expect(complaint(WAIT_OPTIONS, { timeout: 5 })).toBe('call(): there is no option "timeout" (did you mean timeoutMs?)');
  });

  it("arguments are named with what is right", () => {
    const address = integer(0, 9, "a digit");
    expect(() => checkArguments("read()", ["gpa", address, -1])).toThrow("read(): gpa is -1; use a digit");
    expect(() => checkArguments("read()", ["gpa", address, 0.5])).toThrow(VmmError);
    expect(() => checkArguments("read()", ["gpa", address, 9])).not.toThrow();
  });
});
