import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Builder } from "./bytes.ts";
import { loadKernel } from "./index.ts";
import type { KernelRequest, LoadEnvironment, LoadedKernel } from "./index.ts";
import { videoMode } from "./linux-header.ts";

const MB = 0x100000;
const PC: LoadEnvironment = {
  memoryMap: [
    { start: 0, length: 0x9fc00, type: 1 },
    { start: 0x9fc00, length: 0x400, type: 2 },
    { start: MB, length: 63 * MB, type: 1 },
  ],
  rsdp: undefined,
};

/** A bzImage with `sectors` of setup and `body` bytes of kernel. */
function bzImage(o: { protocol?: number; body?: number; flags?: number; xload?: number; init?: number; initrdMax?: number } = {}): Uint8Array {
  const image = new Uint8Array(5 * 512 + (o.body ?? 0x2000));
  const view = new DataView(image.buffer);
  image[0x1f1] = 4;
  view.setUint32(0x1f4, (o.body ?? 0x2000) / 16, true);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint16(0x200, 0x6aeb, true);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, o.protocol ?? 0x20f, true);
  image[0x211] = o.flags ?? 1;
  view.setUint32(0x22c, o.initrdMax ?? 0x7fffffff, true);
  view.setUint32(0x230, 0x200000, true);
  image[0x234] = 1;
  view.setUint16(0x236, o.xload ?? 1, true);
  view.setUint32(0x238, 2047, true);
  view.setBigUint64(0x258, 0x1000000n, true);
  view.setUint32(0x260, o.init ?? 0x100000, true);
  return image;
}

function request(bytes: Uint8Array, rest: Partial<KernelRequest> = {}): KernelRequest {
  return { kernel: { name: "k", bytes }, modules: [], commandLine: "quiet", ...rest };
}
const at = (loaded: LoadedKernel, gpa: number): Uint8Array => {
  const piece = loaded.pieces.find((p) => p.gpa <= gpa && gpa < p.gpa + p.bytes.length);
  return piece === undefined ? new Uint8Array() : piece.bytes.subarray(gpa - piece.gpa);
};
const u32 = (b: Uint8Array, offset: number): number => new DataView(b.buffer, b.byteOffset).getUint32(offset, true);
const initrd = (length: number): KernelRequest["modules"][number] => ({ name: "i", bytes: new Uint8Array(length).fill(0x77), commandLine: "" });

describe("Linux", () => {
  it("enters real-mode code at 1020:0 with the initrd on top of RAM and the command line where the header says", () => {
    const loaded = loadKernel(request(bzImage(), { modules: [initrd(5000)] }), PC);
    expect(loaded.entry).toMatchObject({ mode: 16, ip: 0, segment: 0x1000 });
    const setup = at(loaded, 0x10000);
    expect(setup[0x210]).toBe(0xff);
    expect((setup[0x211] ?? 0) & 0x80).toBe(0x80);
    expect(u32(setup, 0x218)).toBe(64 * MB - 8192);
    expect(u32(setup, 0x21c)).toBe(5000);
    expect(String.fromCharCode(...at(loaded, u32(setup, 0x228)).subarray(0, 6))).toBe("quiet\0");
    expect(at(loaded, MB).length).toBe(0x2000);
  });
  it("joins initrds on 4-byte borders and keeps below the kernel's limit", () => {
    const loaded = loadKernel(request(bzImage({ initrdMax: 0x1ffffff }), { modules: [initrd(5), initrd(3)] }), PC);
    const setup = at(loaded, 0x10000);
    expect(u32(setup, 0x21c)).toBe(11);
    expect(u32(setup, 0x218)).toBe(0x1fff000);
  });
  it("fills in boot_params for the 32- and 64-bit entries", () => {
    for (const linuxEntry of [32, 64] as const) {
      const loaded = loadKernel(request(bzImage(), { linuxEntry }), PC);
      expect(loaded.entry.ip).toBe(0x1000000 + (linuxEntry === 64 ? 0x200 : 0));
      const params = at(loaded, loaded.entry.registers.esi ?? 0);
      expect(params[0x1e8]).toBe(3);
      expect(u32(params, 0x2d0 + 40)).toBe(MB);
      expect(loaded.entry.pageTable !== undefined).toBe(linuxEntry === 64);
    }
  });
  it("moves a relocatable kernel down when its preferred place is not RAM", () => {
    const small: LoadEnvironment = {
      ...PC,
      memoryMap: [PC.memoryMap[0] ?? { start: 0, length: 0, type: 1 }, { start: MB, length: 7 * MB, type: 1 }],
    };
    expect(loadKernel(request(bzImage(), { linuxEntry: 32 }), small).entry.ip).toBe(0x200000);
  });
  it.each([
    ["no 64-bit entry", bzImage({ xload: 0 }), { linuxEntry: 64 as const }],
    ["truncated", bzImage().subarray(0, 5 * 512 + 100), {}],
    ["ends inside", bzImage().subarray(0, 5 * 512), {}],
    ["command line of 3000 bytes", bzImage(), { commandLine: "x".repeat(3000) }],
    ["no room in RAM for the initrd", bzImage(), { modules: [initrd(64 * MB)] }],
    ["no free RAM", bzImage({ init: 512 * MB }), {}],
    ["protocol 1.0", bzImage({ protocol: 0x100 }), {}],
  ])("says %s", (message, bytes, rest) => {
    expect(() => loadKernel(request(bytes, rest), PC)).toThrow(message);
  });
  it("reads vga= as a loader must", () => {
    expect(["", "vga=normal", "a vga=ext", "vga=ask b", "vga=0x317", "vga=791", "novga=1"].map(videoMode)).toEqual([
      0xffff, 0xffff, 0xfffe, 0xfffd, 0x317, 791, 0xffff,
    ]);
  });
});

/** An ELF32 with one segment at 1 MiB whose bytes are `body`. */
function elf32(body: Uint8Array, physical = MB): Uint8Array {
  return new Builder()
    .u8(0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0)
    .u64(0)
    .u16(2, 3)
    .u32(1, physical + 12, 52, 0, 0)
    .u16(52, 32, 1, 40, 0, 0)
    .u32(1, 84, physical, physical, body.length, body.length + 0x1000, 7, 4)
    .raw(body)
    .done();
}

describe("multiboot", () => {
  const header1 = (flags: number, ...rest: readonly number[]): Uint8Array =>
    new Builder().u32(0x1badb002, flags, -(0x1badb002 + flags) >>> 0, ...rest).done();
  it("loads an ELF kernel with modules, memory map and strings (version 1)", () => {
    const modules = [{ name: "m", bytes: new Uint8Array(10).fill(1), commandLine: "x=1" }];
    const loaded = loadKernel(request(elf32(header1(3)), { modules }), PC);
    expect(loaded.entry).toMatchObject({ mode: 32, ip: MB + 12, registers: { eax: 0x2badb002 } });
    const info = at(loaded, loaded.entry.registers.ebx ?? 0);
    expect([u32(info, 4), u32(info, 8), u32(info, 20)]).toEqual([639, 63 * 1024, 1]);
    expect(String.fromCharCode(...at(loaded, u32(info, 16)).subarray(0, 8))).toBe("k quiet\0");
    const module = at(loaded, u32(info, 24));
    expect(u32(module, 0) % 4096).toBe(0);
    expect(u32(module, 4) - u32(module, 0)).toBe(10);
    expect(String.fromCharCode(...at(loaded, u32(module, 8)).subarray(0, 6))).toBe("m x=1\0");
    expect(u32(info, 44)).toBe(3 * 24);
  });
  it("follows the address fields of a flat image (version 1)", () => {
    const image = new Builder()
      .raw(header1(0x10003, 0x200000, 0x200000, 0, 0x210000, 0x200020))
      .raw(new Uint8Array(64))
      .done();
    const loaded = loadKernel(request(image), PC);
    expect(loaded.entry.ip).toBe(0x200020);
    expect(loaded.pieces.find((p) => p.gpa === 0x200000)?.zeroBytes).toBe(0x10000 - image.length);
  });
  it("gives version 2 its tags, each on an 8-byte border", () => {
    const header = new Builder()
      .u32(0xe85250d6, 0, 24, -(0xe85250d6 + 24) >>> 0)
      .u16(0, 0)
      .u32(8)
      .done();
    const loaded = loadKernel(request(elf32(new Builder().raw(new Uint8Array(4)).raw(header).done())), PC);
    expect(loaded.entry.registers.eax).toBe(0x36d76289);
    const info = at(loaded, loaded.entry.registers.ebx ?? 0);
    const seen: number[] = [];
    for (let tag = 8; tag < u32(info, 0); tag += Math.ceil(u32(info, tag + 4) / 8) * 8) seen.push(u32(info, tag));
    expect(seen).toEqual([1, 2, 4, 6, 8, 0]);
  });
  it.each([
    ["requires features 8h", elf32(header1(8))],
    ["neither ELF nor says", header1(3)],
    ["no free RAM", elf32(header1(3), 0xa0000)],
    ["reaches past the end", elf32(new Builder().raw(header1(3)).raw(new Uint8Array(40)).done()).subarray(0, 100)],
  ])("says %s", (message, bytes) => {
    expect(() => loadKernel(request(bytes), PC)).toThrow(message);
  });
});

describe("hostile files", () => {
  it("end in a kernel inside RAM or in one line, never in anything else", () => {
    const seeds = [bzImage(), elf32(new Builder().u32(0x1badb002, 3, -(0x1badb002 + 3) >>> 0).done())];
    const change = fc.record({ offset: fc.nat(0x300), value: fc.nat(255) });
    fc.assert(
      fc.property(
        fc.nat(1),
        fc.array(change, { maxLength: 12 }),
        fc.constantFrom(undefined, 32, 64),
        fc.nat(20000),
        (seed, changes, linuxEntry, cut) => {
          const bytes = (seeds[seed] ?? new Uint8Array()).slice(0, cut < 10000 ? undefined : cut - 10000);
          for (const { offset, value } of changes) if (offset < bytes.length) bytes[offset] = value;
          try {
            const loaded = loadKernel(
              request(bytes, { modules: [initrd(100)], ...(linuxEntry === undefined ? {} : { linuxEntry: linuxEntry === 32 ? 32 : 64 }) }),
              PC,
            );
            for (const p of loaded.pieces) expect(p.gpa >= 0x1000 && p.gpa + p.bytes.length + p.zeroBytes <= 64 * MB).toBe(true);
          } catch (error) {
            expect(error).toMatchObject({ name: "VmmError" });
            expect(String(error)).not.toContain("\n");
          }
        },
      ),
      { seed: 7, numRuns: 3000 },
    );
  });
});
