import { describe, expect, it } from "vitest";
import { VmmError } from "../../base/index.ts";
import { MemoryByteFile } from "./byte-file.ts";
import { fixVhdx, makeVdi, makeVhdx, makeVmdkDescriptor, makeVmdkSparse } from "./foreign.testing.ts";
import { openImageFile } from "./index.ts";
import type { DiskImage } from "./index.ts";
import { memorySurroundings, seeded } from "./images.testing.ts";

const MIB = 1024 * 1024;

/** A disk with holes, and blocks that differ. */
function content(bytes: number, seed: number): Uint8Array {
  const disk = new Uint8Array(bytes);
  const next = seeded(seed);
  for (let i = 0; i < 12; i++) {
    const at = next(bytes);
    for (let k = at; k < Math.min(bytes, at + 1 + next(9000)); k++) disk[k] = next(200) < 150 ? i + 1 : next(256);
  }
  return disk;
}

function open(bytes: Uint8Array, files: Readonly<Record<string, Uint8Array>> = {}): DiskImage {
  return openImageFile(new MemoryByteFile("image", bytes, { readOnly: true }), memorySurroundings(files));
}

function complaint(bytes: Uint8Array, files: Readonly<Record<string, Uint8Array>> = {}): string {
  try {
    open(bytes, files).close();
  } catch (error) {
    if (error instanceof VmmError) return `${error.code} ${error.message}`;
    throw error;
  }
  return "opened";
}

const small = content(600 * 1024 + 512, 1);
const large = content(5 * MIB + 512, 2);
const half = small.length / 2;
const parts = { "x-s001.vmdk": makeVmdkSparse(small.subarray(0, half - 256), { descriptor: false }), "x-f002.vmdk": small.subarray(half - 256) };
const described = makeVmdkDescriptor("custom", [
  `RW ${(half - 256) / 512} SPARSE "x-s001.vmdk"`,
  "RW 7 ZERO",
  `RDONLY ${(half + 256) / 512 - 3} FLAT "x-f002.vmdk" 3`,
]);

const IMAGES: Readonly<
  Record<string, readonly [image: Uint8Array, disk: Uint8Array, variant: string, files?: Readonly<Record<string, Uint8Array>>]>
> = {
  vdi: [makeVdi(small), small, "vdi dynamic"],
  "vdi with block extras": [makeVdi(small, { extra: 1024, blockBytes: 8192 }), small, "vdi dynamic"],
  "vmdk sparse": [makeVmdkSparse(small), small, "vmdk monolithicSparse"],
  "vmdk of two tables": [makeVmdkSparse(large, { grainSectors: 8 }), large, "vmdk monolithicSparse"],
  "vmdk stream": [makeVmdkSparse(small, { stream: true }), small, "vmdk streamOptimized"],
  "vmdk of parts": [
    described,
    Uint8Array.from([...small.subarray(0, half - 256), ...new Uint8Array(7 * 512), ...small.subarray(half - 256 + 3 * 512)]),
    "vmdk custom",
    parts,
  ],
  vhdx: [makeVhdx(large), large, "vhdx dynamic"],
  "vhdx fixed": [makeVhdx(large, { flags: 1 }), large, "vhdx fixed"],
};

describe("images of formats that are only read", () => {
  it.each(Object.entries(IMAGES))("%s: every byte, by any reads", (_, [image, disk, variant, files]) => {
    const opened = open(image, files);
    const { format, variant: found, virtualBytes } = opened.facts();
    expect([`${format} ${found}`, virtualBytes, opened.sizeBytes]).toEqual([variant, disk.length, disk.length]);
    const whole = new Uint8Array(disk.length);
    expect(opened.read(0, whole)).toBe(true);
    expect(Buffer.compare(whole, disk)).toBe(0);
    const next = seeded(7);
    for (let i = 0; i < 200; i++) {
      const at = next(disk.length);
      const part = new Uint8Array(1 + next(Math.min(20_000, disk.length - at)));
      expect(opened.read(at, part)).toBe(true);
      expect(Buffer.compare(part, disk.subarray(at, at + part.length))).toBe(0);
    }
    for (let at = 0; at < disk.length; ) {
      const { bytes, zero } = opened.extent(at, disk.length - at);
      expect(bytes).toBeGreaterThan(0);
      if (zero) expect(disk.subarray(at, at + bytes).every((b) => b === 0)).toBe(true);
      at += bytes;
    }
    expect(opened.check()).toMatchObject({ errorCount: 0 });
    expect([opened.readOnly, opened.write(0, new Uint8Array(512)), opened.read(disk.length, new Uint8Array(1))]).toEqual([true, false, false]);
    expect(() => opened.resize(MIB)).toThrow(VmmError);
    opened.close();
    expect(opened.read(0, new Uint8Array(512))).toBe(false);
  });

  it("refuse to be opened for writing, with what to do", () => {
    for (const [image, , , files] of Object.values(IMAGES)) {
      const file = new MemoryByteFile("a b.img", image);
      expect(() => openImageFile(file, memorySurroundings(files))).toThrow(
        /are read here, not written; add --snapshot-disk .* convert 'a b\.img' disk\.qcow2$/,
      );
    }
  });

  const patched = (image: Uint8Array, at: number, ...bytes: readonly number[]): Uint8Array => {
    const copy = image.slice();
    copy.set(bytes, at);
    return copy;
  };
  const vdi = makeVdi(small);
  const stream = makeVmdkSparse(small, { stream: true });
  it.each([
    ["a differencing VDI", patched(vdi, 0x4c, 4), /differencing VDI; make it whole with VBoxManage/],
    ["VDI version 0", patched(vdi, 0x44, 1, 0, 0, 0), /VDI version 0\.1 is not supported/],
    ["a VDI with a huge map", patched(vdi, 0x180, 0xff, 0xff, 0xff, 0x7f), /tables are larger|block map is outside/],
    ["a delta VMDK", Buffer.from(Buffer.from(described).toString("latin1").replace("parentCID=ffffffff", "parentCID=abcdef01")), /delta VMDK/],
    ["VMDK on VMFS", makeVmdkDescriptor("vmfs", ['RW 100 VMFS "x-flat.vmdk"']), /type VMFS is not supported/],
    ["a VMDK without access", makeVmdkDescriptor("x", ['NOACCESS 100 FLAT "a" 0']), /without access/],
    ["a VMDK without extents", makeVmdkDescriptor("x", []), /names no extents/],
    ["a VMDK whose part is missing", makeVmdkDescriptor("x", ['RW 100 FLAT "gone" 0']), /gone: no such file/],
    ["a VMDK whose part is cut", makeVmdkDescriptor("x", ['RW 1000000 FLAT "x-f002.vmdk" 0']), /has \d+ bytes, not 512000000/],
    ["a stream that was cut", stream.subarray(0, stream.length - 512), /footer is missing/],
    ["a VHDX with a log", makeVhdx(large, { dirtyLog: true }), /was not closed, and its log is to be replayed/],
    ["a differencing VHDX", makeVhdx(large, { flags: 2 }), /differencing VHDX; merge it/],
    ["a VHDX of 4K sectors", makeVhdx(large, { sectorBytes: 4096 }), /sectors of 4096 bytes/],
    ["a VHDX with wrong sums", patched(patched(makeVhdx(large), 65536 + 100, 1), 131072 + 100, 1), /neither header has a correct checksum/],
    [
      "a VHDX with an unknown region",
      fixVhdx(patched(patched(makeVhdx(large), 192 * 1024 + 16, 1), 256 * 1024 + 16, 1)),
      /region that is not known here/,
    ],
  ])("%s is refused by name", (_, image, pattern) => {
    expect(complaint(image, parts)).toMatch(pattern);
    expect(complaint(image, parts)).not.toContain("\n");
  });

  it.each(["../x-f002.vmdk", "/etc/passwd", "sub/x-f002.vmdk", "..\\x-f002.vmdk", "..", ".", "", "a\0b"])(
    "an extent called %j leads nowhere",
    (name) => {
      expect(complaint(makeVmdkDescriptor("x", [`RW 10 FLAT "${name}" 0`]), { [name]: small })).toMatch(/is not a file beside it|names no extents/);
    },
  );
});

describe("hostile images of these formats", () => {
  const seeds = Object.values(IMAGES);
  const VALUES = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 512, 65536];

  function harm(image: Uint8Array, next: (below: number) => number): Uint8Array {
    const bytes = image.slice();
    const view = new DataView(bytes.buffer);
    for (let i = 1 + next(4); i > 0; i--) {
      const near = [0x40, 0x150, 600, 65536, 131072, 196608, MIB, 2 * MIB, 2 * MIB + 65536][next(9)] ?? 0;
      const at = Math.min(bytes.length - 8, (next(3) === 0 ? next(bytes.length) : near + next(160)) & ~3);
      if (at < 0) continue;
      const choice = next(4);
      if (choice === 0) bytes[at] = next(256);
      else if (choice === 1) view.setUint32(at, VALUES[next(VALUES.length)] ?? 0, true);
      else if (choice === 2) view.setBigUint64(at, 1n << BigInt(next(64)), true);
      else view.setUint32(at, next(bytes.length / 512), true);
    }
    const cut = next(8) === 0 ? bytes.subarray(0, next(bytes.length)) : bytes;
    return next(4) === 0 ? cut : fixVhdx(cut);
  }

  it("are refused in one line, or answer within bounds", () => {
    let opened = 0;
    for (let round = 0; round < 1500; round++) {
      const next = seeded(round + 1);
      const [image, , , files] = seeds[next(seeds.length)] ?? seeds[0] ?? [new Uint8Array(0)];
      let disk: DiskImage;
      try {
        const harmed = files === undefined || next(2) === 0 ? files : { ...files, "x-s001.vmdk": harm(files["x-s001.vmdk"] ?? image, next) };
        disk = open(harm(image, next), harmed);
      } catch (error) {
        expect(error).toBeInstanceOf(VmmError);
        expect(String(error)).not.toContain("\n");
        continue;
      }
      opened++;
      const sector = new Uint8Array(4096);
      for (let i = 0; i < 12; i++) {
        const at = next(Math.min(disk.sizeBytes, 2 ** 31) / 512) * 512;
        disk.read(at, sector);
        expect(disk.extent(at, disk.sizeBytes - at).bytes).toBeGreaterThan(0);
      }
      disk.facts();
      if (round % 4 === 0) disk.check();
      disk.close();
    }
    expect(opened).toBeGreaterThan(300);
  });

  it("a descriptor of any text is refused or opened", () => {
    const next = seeded(99);
    const words = [
      "RW",
      "RDONLY",
      "FLAT",
      "SPARSE",
      "ZERO",
      '"x-f002.vmdk"',
      '"x-s001.vmdk"',
      "0",
      "7",
      "999999999999999",
      "\n",
      " ",
      "=",
      "parentCID",
      "createType",
    ];
    for (let round = 0; round < 400; round++) {
      let text = "# Disk DescriptorFile\n";
      for (let i = next(30); i > 0; i--) text += `${words[next(words.length)] ?? ""}${next(3) === 0 ? "\n" : " "}`;
      expect(complaint(Buffer.from(text), parts)).toMatch(/^(?:IMAGE_\w+ image|opened)/);
    }
  });
});
