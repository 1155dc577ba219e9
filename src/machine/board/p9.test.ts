import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { DirectoryTree } from "../../backends/node/share.ts";
import { ManualClock } from "../../base/index.ts";
import { TestDriver } from "../../devices/virtio/driver.testing.ts";
import { P9Server, VirtioP9 } from "../../devices/virtio/p9/index.ts";
import { MessageWriter, T } from "../../devices/virtio/p9/wire.ts";

const made: string[] = [];
afterEach(() => {
  for (const dir of made.splice(0)) fs.rmSync(dir, { recursive: true, force: true });
});

/** A directory to share, with a secret beside it. */
function playground(): { readonly root: string; readonly outside: string } {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-p9-"));
  made.push(base);
  const root = path.join(base, "root");
  fs.mkdirSync(path.join(root, "dir"), { recursive: true });
  fs.writeFileSync(path.join(base, "secret"), "secret");
  fs.writeFileSync(path.join(root, "hello"), "hello, world");
  fs.writeFileSync(path.join(root, "dir", "inner"), "inner");
  fs.symlinkSync("../secret", path.join(root, "way-out"));
  fs.symlinkSync("..", path.join(root, "up"));
  fs.symlinkSync("hello", path.join(root, "link"));
  return { root, outside: base };
}

/** A client: builds requests, checks the frame of answers, takes fields off them. */
class Client {
  readonly server: P9Server;
  readonly tree: DirectoryTree;
  constructor(root: string, options: { readonly readOnly?: boolean; readonly attach?: boolean } = {}) {
    this.tree = new DirectoryTree(root, options);
    this.server = new P9Server(this.tree);
    if (options.attach === false) return;
    this.ok(T.VERSION, (w) => {
      w.u32(65536);
      w.string("9P2000.L");
    });
    this.ok(T.ATTACH, (w) => {
      w.u32(0);
      w.u32(0xffffffff);
      w.string("root");
      w.string("");
      w.u32(0);
    });
  }
  raw(type: number, fill: (w: MessageWriter) => void, room = 65536): Uint8Array {
    const w = new MessageWriter(new Uint8Array(70_000));
    fill(w);
    w.finish(type, 7);
    return this.server.answer(w.bytes.subarray(0, w.length), room).slice();
  }
  /** The error number, 0 when there is none. */
  errno(type: number, fill: (w: MessageWriter) => void): number {
    const answer = this.raw(type, fill);
    const view = new DataView(answer.buffer);
    expect(view.getUint32(0, true)).toBe(answer.length);
    expect(view.getUint16(5, true)).toBe(7);
    return answer[4] === 7 ? view.getUint32(7, true) : 0;
  }
  ok(type: number, fill: (w: MessageWriter) => void): DataView {
    const answer = this.raw(type, fill);
    if (answer[4] !== type + 1) throw new Error(`errno ${new DataView(answer.buffer).getUint32(7, true)} for ${type}`);
    return new DataView(answer.buffer, 7);
  }
  walk(from: number, to: number, ...names: string[]): number {
    return this.errno(T.WALK, (w) => {
      w.u32(from);
      w.u32(to);
      w.u16(names.length);
      for (const name of names) w.string(name);
    });
  }
  lopen(fid: number, flags = 0): number {
    return this.errno(T.LOPEN, (w) => {
      w.u32(fid);
      w.u32(flags);
    });
  }
  clunk(fid: number): number {
    return this.errno(T.CLUNK, (w) => w.u32(fid));
  }
  create(fid: number, name: string, flags = 2, mode = 0o644): number {
    return this.errno(T.LCREATE, (w) => {
      w.u32(fid);
      w.string(name);
      w.u32(flags);
      w.u32(mode);
      w.u32(0);
    });
  }
  read(fid: number, offset: number, count: number): string {
    const v = this.ok(T.READ, (w) => {
      w.u32(fid);
      w.u64(BigInt(offset));
      w.u32(count);
    });
    return Buffer.from(v.buffer, 11, v.getUint32(0, true)).toString();
  }
  write(fid: number, offset: number, text: string): number {
    const answer = this.raw(T.WRITE, (w) => {
      w.u32(fid);
      w.u64(BigInt(offset));
      w.u32(text.length);
      w.reserve(text.length)?.set(Buffer.from(text));
    });
    const n = new DataView(answer.buffer).getUint32(7, true);
    return answer[4] === T.WRITE + 1 ? n : -n;
  }
  names(fid: number, count = 8192): string[] {
    const names: string[] = [];
    for (let offset = 0n; ; ) {
      const v = this.ok(T.READDIR, (w) => {
        w.u32(fid);
        w.u64(offset);
        w.u32(count);
      });
      const end = 4 + v.getUint32(0, true);
      if (end === 4) return names;
      for (let at = 4; at < end; ) {
        offset = v.getBigUint64(at + 13, true);
        const length = v.getUint16(at + 22, true);
        names.push(Buffer.from(v.buffer, 7 + at + 24, length).toString());
        at += 24 + length;
      }
    }
  }
  two(type: number, fid: number, name: string, ...numbers: number[]): number {
    return this.errno(type, (w) => {
      w.u32(fid);
      w.string(name);
      for (const n of numbers) w.u32(n);
    });
  }
}

describe("9P server", () => {
  it("agrees on the version, and on nothing before it", () => {
    const { root } = playground();
    const client = new Client(root, { attach: false });
    expect(client.walk(0, 1)).toBe(71);
    expect(
      client.errno(T.VERSION, (w) => {
        w.u32(100);
        w.string("9P2000.L");
      }),
    ).toBe(90);
    const v = client.ok(T.VERSION, (w) => {
      w.u32(0x7fffffff);
      w.string("9P2000.u");
    });
    expect([v.getUint32(0, true), Buffer.from(v.buffer, 13, v.getUint16(4, true)).toString()]).toEqual([1 << 20, "unknown"]);
  });

  it("reads files and lists directories, also with little room", () => {
    const { root } = playground();
    const client = new Client(root);
    expect([client.walk(0, 1, "hello"), client.lopen(1)]).toEqual([0, 0]);
    expect([client.read(1, 0, 100), client.read(1, 7, 3), client.read(1, 50, 10)]).toEqual(["hello, world", "wor", ""]);
    expect([client.walk(0, 2), client.lopen(2, 0o200000)]).toEqual([0, 0]);
    const all = [".", "..", "dir", "hello", "link", "up", "way-out"];
    expect(client.names(2).toSorted()).toEqual(all);
    expect(client.names(2, 60).toSorted()).toEqual(all);
  });

  it("says what stat says", () => {
    const { root } = playground();
    fs.chmodSync(path.join(root, "hello"), 0o640);
    const client = new Client(root);
    client.walk(0, 1, "hello");
    const v = client.ok(T.GETATTR, (w) => {
      w.u32(1);
      w.u64(0x7ffn);
    });
    const s = fs.statSync(path.join(root, "hello"), { bigint: true });
    expect([v.getBigUint64(13, true), BigInt(v.getUint32(21, true)), v.getBigUint64(49, true)]).toEqual([s.ino, s.mode, 12n]);
    expect([v.getBigUint64(89, true), v.getBigUint64(97, true)]).toEqual([s.mtimeNs / 1_000_000_000n, s.mtimeNs % 1_000_000_000n]);
    expect(v.byteLength).toBe(153);
  });

  it("creates, writes, truncates, renames, links and removes", () => {
    const { root } = playground();
    const client = new Client(root);
    client.walk(0, 1, "dir");
    expect(client.create(1, "new", 2, 0o6755)).toBe(0);
    expect(fs.statSync(path.join(root, "dir/new")).mode & 0o7777).toBe(0o755);
    expect(client.write(1, 3, "abc")).toBe(3);
    expect(fs.readFileSync(path.join(root, "dir/new"), "latin1")).toBe("\0\0\0abc");
    const setattr = (fid: number, valid: number, mode: number, size: bigint, mtime: bigint): number =>
      client.errno(T.SETATTR, (w) => {
        w.u32(fid);
        for (const n of [valid, mode, 0, 0]) w.u32(n);
        for (const n of [size, 0n, 0n, mtime, 500_000_000n]) w.u64(n);
      });
    expect(setattr(1, 8 | 1, 0o4600, 4n, 0n)).toBe(0);
    expect(setattr(1, 0x120, 0, 0n, 1_000_000_000n)).toBe(0);
    const s = fs.statSync(path.join(root, "dir/new"));
    expect([s.size, s.mode & 0o7777, s.mtimeMs]).toEqual([4, 0o600, 1_000_000_000_500]);
    client.walk(0, 2, "dir");
    // A number goes with its file.
    expect(
      client.errno(T.RENAMEAT, (w) => {
        w.u32(2);
        w.string("new");
        w.u32(0);
        w.string("moved");
      }),
    ).toBe(0);
    expect([fs.existsSync(path.join(root, "moved")), client.write(1, 0, "X")]).toEqual([true, 1]);
    expect(setattr(1, 1, 0o644, 0n, 0n)).toBe(0);
    expect(fs.statSync(path.join(root, "moved")).mode & 0o777).toBe(0o644);
    expect(
      client.errno(T.LINK, (w) => {
        w.u32(2);
        w.u32(1);
        w.string("second");
      }),
    ).toBe(0);
    expect(fs.statSync(path.join(root, "moved")).nlink).toBe(2);
    expect(client.two(T.MKDIR, 0, "d2", 0o700, 0)).toBe(0);
    expect(client.two(T.UNLINKAT, 0, "d2", 0)).toBe(21);
    expect([client.two(T.UNLINKAT, 0, "d2", 0x200), client.two(T.UNLINKAT, 0, "moved", 0)]).toEqual([0, 0]);
    expect(client.two(T.UNLINKAT, 0, "dir", 0x200)).toBe(39);
    // The name is gone, the open file is not: it is "second" now.
    expect(client.write(1, 0, "Y")).toBe(1);
    expect(client.clunk(1)).toBe(0);
    expect(client.clunk(1)).toBe(9);
    client.walk(0, 3, "dir", "second");
    expect([client.errno(T.REMOVE, (w) => w.u32(3)), client.clunk(3)]).toEqual([0, 9]);
    expect(client.errno(T.STATFS, (w) => w.u32(0))).toBe(0);
    expect(client.two(T.MKNOD, 0, "pipe", 0o10644, 0, 0, 0)).toBe(1);
    expect([client.two(T.MKNOD, 0, "plain", 0o100644, 0, 0, 0), fs.statSync(path.join(root, "plain")).isFile()]).toEqual([0, true]);
  });

  it("makes and reads symbolic links, but never goes through one", () => {
    const { root, outside } = playground();
    const client = new Client(root);
    expect([client.walk(0, 1, "way-out"), client.walk(0, 2, "up"), client.walk(0, 3, "link")]).toEqual([0, 0, 0]);
    expect([client.lopen(1), client.lopen(2), client.lopen(3), client.lopen(1, 2)]).toEqual([40, 40, 40, 40]);
    expect([client.walk(2, 9, "secret"), client.walk(0, 9, "up", "secret"), client.walk(2, 9, "..", "..")]).toEqual([20, 0, 0]);
    expect(client.two(T.MKDIR, 2, "made", 0o755, 0)).toBe(20);
    expect([client.create(2, "x"), client.two(T.UNLINKAT, 2, "secret", 0)]).toEqual([20, 20]);
    expect(
      client.errno(T.SYMLINK, (w) => {
        w.u32(0);
        w.string("abs");
        w.string("/etc/passwd");
        w.u32(0);
      }),
    ).toBe(0);
    client.walk(0, 4, "abs");
    expect(client.lopen(4)).toBe(40);
    const target = client.ok(T.READLINK, (w) => w.u32(4));
    expect(Buffer.from(target.buffer, 9, target.getUint16(0, true)).toString()).toBe("/etc/passwd");
    // Attributes of a link are its own.
    client.errno(T.SETATTR, (w) => {
      w.u32(1);
      for (const n of [1 | 8, 0o777, 0, 0]) w.u32(n);
      for (let i = 0; i < 5; i++) w.u64(0n);
    });
    expect(fs.readFileSync(path.join(outside, "secret"), "utf8")).toBe("secret");
    expect(fs.readdirSync(outside).toSorted()).toEqual(["root", "secret"]);
  });

  it("stops at the root, and takes no names that are paths", () => {
    const { root } = playground();
    const client = new Client(root);
    expect(client.walk(0, 1, "..", "..", "..", "..")).toBe(0);
    client.lopen(1);
    expect(client.names(1)).toContain("hello");
    for (const name of ["../secret", "dir/inner", "", "a\0b", "/etc"]) {
      expect(client.walk(0, 5, name)).toBe(22);
      expect([client.two(T.MKDIR, 0, name, 0o755, 0), client.two(T.UNLINKAT, 0, name, 0)]).toEqual([22, 22]);
    }
    expect([client.two(T.MKDIR, 0, "..", 0o755, 0), client.two(T.UNLINKAT, 0, "..", 0x200), client.two(T.MKDIR, 0, ".", 0o755, 0)]).toEqual([
      22, 22, 22,
    ]);
    expect(client.walk(0, 5, "x".repeat(256))).toBe(36);
    expect(client.two(T.UNLINKAT, 0, "dir", 0x200)).toBe(39);
  });

  it("changes nothing when read-only", () => {
    const { root } = playground();
    const before = fs.readdirSync(root).toSorted();
    const client = new Client(root, { readOnly: true });
    client.walk(0, 1, "hello");
    expect([client.lopen(1, 1), client.lopen(1, 0o1000), client.lopen(1)]).toEqual([30, 30, 0]);
    expect(client.write(1, 0, "x")).toBe(-9);
    client.walk(0, 2);
    expect([client.create(2, "n"), client.two(T.MKDIR, 0, "n", 0o755, 0), client.two(T.UNLINKAT, 0, "hello", 0)]).toEqual([30, 30, 30]);
    expect(client.read(1, 0, 5)).toBe("hello");
    expect(fs.readdirSync(root).toSorted()).toEqual(before);
  });

  it("opens no pipes and devices", () => {
    const client = new Client("/dev");
    client.walk(0, 1, "null");
    expect([client.lopen(1), client.lopen(1, 1)]).toEqual([6, 6]);
    client.tree.close();
  });

  it("bounds numbers and open files", () => {
    const { root } = playground();
    const client = new Client(root);
    const results = Array.from({ length: 5000 }, (_, i) => client.walk(0, i + 1, "hello"));
    expect(results.filter((r) => r === 0)).toHaveLength(4095);
    const opens = Array.from({ length: 600 }, (_, i) => client.lopen(i + 1));
    expect(opens.filter((r) => r === 0)).toHaveLength(512);
    expect(opens.at(-1)).toBe(24);
    client.server.reset();
  });

  it("answers locks, flushes and what it does not know", () => {
    const { root } = playground();
    const client = new Client(root);
    client.walk(0, 1, "hello");
    const lock = (type: number): DataView =>
      client.ok(type, (w) => {
        w.u32(1);
        w.u8(1);
        if (type === T.LOCK) w.u32(0);
        w.u64(0n);
        w.u64(10n);
        w.u32(42);
        w.string("guest");
      });
    expect([lock(T.LOCK).getUint8(0), lock(T.GETLOCK).getUint8(0)]).toEqual([0, 2]);
    expect([client.errno(T.FLUSH, (w) => w.u16(3)), client.errno(T.XATTRWALK, (w) => w.u32(1)), client.errno(250, () => {})]).toEqual([0, 95, 95]);
    expect(client.errno(T.FSYNC, (w) => w.u32(1))).toBe(0);
  });

  it("keeps its numbers over a save", () => {
    const { root } = playground();
    const client = new Client(root);
    client.walk(0, 1, "hello");
    client.lopen(1, 2);
    client.walk(0, 2, "dir");
    client.lopen(2);
    const other = new Client(root);
    other.server.loadState(JSON.parse(JSON.stringify(client.server.saveState())));
    expect([other.read(1, 0, 5), other.write(1, 0, "J"), other.names(2)]).toEqual(["hello", 1, [".", "..", "inner"]]);
  });

  it("survives anything, and nothing outside changes", () => {
    const { root, outside } = playground();
    const server = new Client(root).server;
    const field = fc.oneof(
      fc.integer({ min: 0, max: 4 }).map((n) => (w: MessageWriter) => w.u32(n)),
      fc.constantFrom(0xffffffff, 0x40000, 0o200000, 2, 65, 0o1102, 0x200).map((n) => (w: MessageWriter) => w.u32(n)),
      fc
        .constantFrom("..", ".", "", "hello", "dir", "up", "way-out", "link", "inner", "../secret", "/", "new", "secret", "..\0")
        .map((s) => (w: MessageWriter) => w.string(s)),
      fc.integer({ min: 0, max: 3 }).map((n) => (w: MessageWriter) => w.u16(n)),
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((n) => (w: MessageWriter) => w.u64(n)),
      fc.uint8Array({ maxLength: 40 }).map((b) => (w: MessageWriter) => w.reserve(b.length)?.set(b)),
    );
    // Not ATTACH and VERSION only: those would make most runs short.
    const types = Object.values(T).filter((t) => t !== T.VERSION);
    const message = fc.record({
      type: fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...types) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) }),
      fields: fc.array(field, { maxLength: 8 }),
      room: fc.constantFrom(0, 11, 64, 8192),
    });
    const run = fc.property(fc.array(message, { minLength: 1, maxLength: 30 }), (messages) => {
      for (const { type, fields, room } of messages) {
        const w = new MessageWriter(new Uint8Array(4096));
        for (const f of fields) f(w);
        w.finish(type, 1);
        const answer = server.answer(w.bytes.subarray(0, w.length), room);
        expect(answer.length <= Math.max(11, room)).toBe(true);
      }
      expect(fs.readFileSync(path.join(outside, "secret"), "utf8")).toBe("secret");
    });
    fc.assert(run, { seed: 20260104, numRuns: 1500 });
    expect(fs.readdirSync(outside).toSorted()).toEqual(["root", "secret"]);
    server.reset();
  });
});

describe("virtio-9p", () => {
  it("carries messages and names its tag", () => {
    const { root } = playground();
    const tree = new DirectoryTree(root);
    const driver = new TestDriver(new VirtioP9({ clock: new ManualClock(), tree, tag: "share" }));
    driver.start();
    expect([driver.read(4, 0, 2), driver.read(4, 2, 4)]).toEqual([5, 0x72616873]);
    const w = new MessageWriter(driver.memory.bytes.subarray(0x8000, 0x8100));
    w.u32(8192);
    w.string("9P2000.L");
    w.finish(T.VERSION, 0xffff);
    driver.put(0, [
      { at: 0x8000, length: w.length },
      { at: 0x9000, length: 64, write: true },
    ]);
    driver.kick(0);
    expect(driver.take(0)).toEqual({ head: 0, length: 21 });
    expect([driver.memory.bytes[0x9004], driver.memory.view.getUint32(0x9007, true)]).toEqual([101, 8192]);
  });
});
