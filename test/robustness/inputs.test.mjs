// What people give for a disk: compressed files, archives, other programs' images, what a server sent instead. Each is named with the command that helps.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as zlib from "node:zlib";
import { runCommand } from "../../dist/cli/run.js";
import { bootDisk } from "../support/floppy.mjs";

const CLI = fileURLToPath(new URL("../../dist/bin/whyve.cjs", import.meta.url));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-in-"));
after(() => fs.rmSync(dir, { recursive: true, force: true }));

const disk = bootDisk([0xb8, 0x41, 0x0e, 0xcd, 0x10, 0xfa, 0xf4]); // prints A, halts
const write = (name, bytes) => (fs.writeFileSync(path.join(dir, name), bytes), name);
write("a.img", disk);

function whyve(...args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [CLI, ...args], { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (d) => (stdout += d));
    child.stderr.on("data", (d) => (stderr += d));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Bytes at places in a kilobyte of zeros. */
function file(...pieces) {
  const bytes = Buffer.alloc(2048);
  for (const [at, text] of pieces) bytes.write(text, at, "latin1");
  return bytes;
}
const LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
const RAW_CD = "\0" + "\xff".repeat(10) + "\0";

const KINDS = {
  "a.img.gz": [zlib.gzipSync(disk), /is compressed with gzip; add --snapshot-disk .* or --read-only .*: gunzip -k a\.img\.gz/],
  "a.img.xz": [file([0, "\xfd7zXZ\0"]), /is compressed with xz; add --snapshot-disk .*: unxz -k a\.img\.xz/],
  "a.img.zst": [file([0, "\x28\xb5\x2f\xfd"]), /is compressed with zstd; add --snapshot-disk .*: unzstd a\.img\.zst/],
  "a.img.bz2": [file([0, "BZh91AY&SY"]), /is compressed with bzip2; unpack it: bunzip2 -k a\.img\.bz2/],
  "a.img.lz4": [file([0, "\x04\x22\x4d\x18"]), /compressed with LZ4; unpack it: unlz4/],
  "a.img.lz": [file([0, "LZIP\x01"]), /compressed with lzip/],
  "a.img.Z": [file([0, "\x1f\x9d\x90"]), /compressed with compress/],
  "a.img.lzo": [file([0, "\x89LZO\0\r\n\x1a\n"]), /compressed with lzop/],
  "a.zip": [file([0, "PK\x03\x04"]), /is a ZIP archive; unpack it: unzip a\.zip/],
  "none.zip": [file([0, "PK\x05\x06"]), /an empty ZIP archive/],
  "a.7z": [file([0, "7z\xbc\xaf\x27\x1c"]), /is a 7-Zip archive; unpack it: 7z x a\.7z/],
  "a.rar": [file([0, "Rar!\x1a\x07\x01\0"]), /is a RAR archive; unpack it: unrar x/],
  "a.tar": [file([0, "disk.img"], [257, "ustar\x0000"]), /is a tar archive; unpack it: tar xf a\.tar/],
  "a.cab": [file([0, "MSCF\0\0\0\0"]), /a Cabinet archive/],
  "a.deb": [file([0, "!<arch>\ndebian-binary"]), /an ar archive/],
  "a.rpm": [file([0, "\xed\xab\xee\xdb"]), /an RPM package/],
  "initrd.cpio": [file([0, "070701"]), /is a cpio archive; .*--initrd initrd\.cpio/],
  "kernel.elf": [file([0, "\x7fELF\x02"]), /is an ELF program; .*whyve run --kernel kernel\.elf/],
  vmlinuz: [
    file([0, "MZ"], [0x3c, "\x80"], [0x80, "PE\0\0"], [510, "\x55\xaa"], [0x202, "HdrS"]),
    /is a Linux kernel; start it: whyve run --kernel vmlinuz/,
  ],
  "setup.exe": [file([0, "MZ"], [0x3c, "\x80"], [0x80, "PE\0\0"]), /is a Windows or EFI program \(PE\)/],
  "dos.exe": [file([0, "MZ"]), /is a DOS program \(MZ\); .*mcopy -i disk\.img dos\.exe ::/],
  "page.img": [Buffer.from("\ufeff\n <!DOCTYPE HTML><html>"), /is a web page; download the file itself/],
  "error.img": [Buffer.from('<?xml version="1.0"?><Error/>'), /is an XML document; download/],
  "api.img": [Buffer.from('{\n  "message": "Not Found"\n}\n'), /is a JSON document; download/],
  "lfs.img": [Buffer.from(LFS), /is a Git LFS pointer, not the file itself; fetch it: git lfs pull/],
  "luks.img": [file([0, "LUKS\xba\xbe\0\x02"]), /is an encrypted LUKS volume; open it \(cryptsetup open luks\.img NAME\)/],
  "a.qed": [file([0, "QED\0"]), /is a QED image; convert it: qemu-img convert a\.qed disk\.img/],
  "a.hdd": [file([0, "WithoutFreeSpace"]), /is a Parallels image; convert it/],
  "b.hdd": [file([0, "WithouFreSpacExt"]), /is a Parallels image; convert it/],
  "a.dmg": [file([2048 - 512, "koly"]), /is a DMG image; convert it: qemu-img convert -f dmg a\.dmg disk\.img/],
  "esx.vmdk": [file([0, "COWD"]), /is a VMDK image of an ESX host; convert it/],
  "bochs.img": [file([0, "Bochs Virtual HD Image"]), /is a Bochs growing image; convert it: bximage/],
  "android.img": [file([0, "\x3a\xff\x26\xed"]), /is an Android sparse image; convert it: simg2img/],
  "a.e01": [file([0, "EVF\x09\x0d\x0a\xff\0"]), /EnCase/],
  "a.wim": [file([0, "MSWIM\0\0\0"]), /Windows image \(WIM\)/],
  "a.bin": [file([0, RAW_CD]), /is a CD image of raw sectors \(BIN, MDF\); convert it to an ISO: bchunk/],
  "a.imd": [file([0, "IMD 1.18"]), /an ImageDisk floppy/],
  "a.hfe": [file([0, "HXCPICFE"]), /an HFE floppy/],
  "a.pdf": [file([0, "%PDF-1.7"]), /a PDF document/],
  "a.png": [file([0, "\x89PNG\r\n\x1a\n"]), /a PNG picture/],
  "a.jpg": [file([0, "\xff\xd8\xff\xe0"]), /a JPEG picture/],
  "a.db": [file([0, "SQLite format 3\0"]), /an SQLite database/],
};

test("everything that is no disk is named, with what to do, and format=raw takes it all the same", async () => {
  const before = process.cwd();
  process.chdir(dir);
  try {
    // All that `whyve run` does, but for a process each.
    for (const [name, [bytes, pattern]] of Object.entries(KINDS)) {
      write(name, bytes);
      await assert.rejects(runCommand("run", [name, "--display", "none"]), ({ message }) => {
        assert.match(message, pattern, name);
        assert.match(message, /^[^\n]+ \(--format raw takes it for a disk all the same\)$/, name);
        return message.startsWith(`${name}: `);
      });
      assert.ok(!fs.existsSync(`${name}.lock`) && fs.readFileSync(name).equals(bytes));
    }
  } finally {
    process.chdir(before);
  }
  const { code, stdout, stderr } = await whyve("run", "a.zip");
  assert.match(stderr, /^whyve: a\.zip: is a ZIP archive; [^\n]+\n$/);
  assert.deepEqual([code, stdout], [1, ""]);
  for (const args of [
    ["--format", "raw", "kernel.elf"],
    ["--hd", "a.zip,format=raw"],
    ["--cd", "a.tar,format=raw"],
  ]) {
    const { stderr } = await whyve("run", ...args, "--read-only", "--timeout", "0.3");
    assert.doesNotMatch(stderr, /takes it for a disk/);
  }
  assert.match((await whyve("run", "a.img", "--format", "iso")).stderr, /^whyve: --format "iso": use raw, qcow2, vhd, vmdk, vdi or vhdx\n$/);
});

test("what is a disk stays one, whatever else its bytes look like", async () => {
  const iso = Buffer.alloc(40960);
  iso.write("<html>not a page</html>", 0);
  iso.write("\x01CD001", 32768, "latin1");
  write("hybrid.iso", iso);
  // dec bp; pop dx; then the rest: an MZ that boots
  const mz = bootDisk([0x4d, 0x5a, 0xb8, 0x42, 0x0e, 0xcd, 0x10, 0xfa, 0xf4]);
  write("mz.img", mz);
  const ustar = bootDisk([0xb8, 0x43, 0x0e, 0xcd, 0x10, 0xfa, 0xf4]);
  ustar.set(Buffer.from("ustar"), 257);
  write("ustar.img", ustar);
  assert.equal((await whyve("run", "mz.img", "--until", "B")).code, 0);
  assert.equal((await whyve("run", "ustar.img", "--until", "C")).code, 0);
  // pop ds; mov cx, [bx+di] are gzip's first bytes
  write("gz.img", bootDisk([0x1f, 0x8b, 0x08, 0xb8, 0x44, 0x0e, 0xcd, 0x10, 0xfa, 0xf4]));
  assert.equal((await whyve("run", "gz.img", "--until", "D")).code, 0);
  assert.match((await whyve("run", "hybrid.iso", "--until", "not a bootable disc", "--timeout", "20")).stderr, /nothing to boot \(hybrid\.iso/);
});

test("gzip, xz and Zstandard are read where nothing is written, and leave nothing behind", async (t) => {
  write("ok.img.gz", zlib.gzipSync(disk));
  const have = (tool) => spawnSync(tool, ["--version"]).status === 0;
  const packed = ["ok.img.gz"];
  if (have("xz")) packed.push(write("ok.img.xz", spawnSync("xz", ["-c", path.join(dir, "a.img")]).stdout));
  else t.diagnostic("no xz here");
  if (have("zstd")) packed.push(write("ok.img.zst", spawnSync("zstd", ["-qc", path.join(dir, "a.img")]).stdout));
  else t.diagnostic("no zstd here");
  const temporary = fs.readdirSync(os.tmpdir()).filter((name) => name.endsWith(".unpacked"));
  for (const name of packed) {
    for (const flag of ["--snapshot-disk", "--read-only"]) {
      const { code, stderr } = await whyve("run", name, flag, "--until", "A", "--timeout", "30");
      assert.deepEqual([code, stderr], [0, ""], name);
    }
    assert.equal((await whyve("image", "convert", "--force", name, "back.img")).code, 0);
    assert.ok(fs.readFileSync(path.join(dir, "back.img")).equals(Buffer.from(disk)));
    // Cut, and damaged in the middle.
    const bytes = fs.readFileSync(path.join(dir, name));
    write(`cut-${name}`, bytes.subarray(0, bytes.length - 10));
    const damaged = Buffer.from(bytes);
    damaged.fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 8);
    write(`bad-${name}`, damaged);
    for (const broken of [`cut-${name}`, `bad-${name}`]) {
      const { code, stderr } = await whyve("run", broken, "--snapshot-disk", "--timeout", "20");
      assert.match(stderr, /^whyve: (?:cut|bad)-\S+: cannot be unpacked with \w+ \(damaged, or cut\)\n$/, broken);
      assert.equal(code, 1);
    }
  }
  write("tar.gz", zlib.gzipSync(KINDS["a.tar"][0]));
  assert.match((await whyve("run", "tar.gz", "--snapshot-disk")).stderr, /^whyve: tar\.gz: is a tar archive; unpack it: tar xf tar\.gz/);
  write("twice.gz", zlib.gzipSync(zlib.gzipSync(disk)));
  assert.match((await whyve("run", "twice.gz", "--snapshot-disk")).stderr, /^whyve: twice\.gz: is compressed twice \(gzip, gzip\)/);
  write("empty.gz", zlib.gzipSync(Buffer.alloc(0)));
  assert.match((await whyve("run", "empty.gz", "--snapshot-disk")).stderr, /^whyve: empty\.gz: the image in it is empty/);
  assert.deepEqual(
    fs.readdirSync(os.tmpdir()).filter((name) => name.endsWith(".unpacked")),
    temporary,
  );
});

test("VMDK, VDI and VHDX of qemu-img boot where nothing is written; no extent leads out of the descriptor's directory", async (t) => {
  if (spawnSync("qemu-img", ["--version"]).status !== 0) return t.skip("no qemu-img here");
  for (const [name, ...options] of [
    ["q.vdi", "-O", "vdi"],
    ["q.vhdx", "-O", "vhdx"],
    ["q.vmdk", "-O", "vmdk"],
    ["stream.vmdk", "-O", "vmdk", "-o", "subformat=streamOptimized"],
    ["flat.vmdk", "-O", "vmdk", "-o", "subformat=monolithicFlat"],
    ["split.vmdk", "-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"],
  ]) {
    assert.equal(spawnSync("qemu-img", ["convert", "-f", "raw", ...options, "a.img", name], { cwd: dir }).status, 0);
    assert.match(
      (await whyve("run", name)).stderr,
      /^whyve: \S+: (?:VMDK|VDI|VHDX) images are read here, not written; add --snapshot-disk .* whyve image convert \S+ disk\.qcow2\n$/,
    );
    assert.equal((await whyve("run", name, "--snapshot-disk", "--until", "A", "--timeout", "30")).code, 0, name);
    assert.match((await whyve("image", "check", name)).stdout, /no errors|nothing to check/);
    assert.equal((await whyve("image", "convert", "--force", name, "back.img")).code, 0);
    assert.ok(fs.readFileSync(path.join(dir, "back.img")).equals(Buffer.from(disk)), name);
  }
  const outside = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-out-"));
  t.after(() => fs.rmSync(outside, { recursive: true, force: true }));
  fs.writeFileSync(path.join(outside, "secret"), disk);
  fs.symlinkSync(path.join(outside, "secret"), path.join(dir, "link"));
  for (const extent of ["link", "../secret", path.join(outside, "secret"), "/etc/passwd"]) {
    write("evil.vmdk", `# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2880 FLAT "${extent}" 0\n`);
    const { code, stderr } = await whyve("run", "--fd", "evil.vmdk", "--snapshot-disk");
    assert.match(stderr, /^whyve: evil\.vmdk: .*(?:is not a file beside it|is a link, not a file beside it)\n$/);
    assert.equal(code, 1);
  }
});
