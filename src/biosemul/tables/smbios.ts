import type { BiosConfig } from "../config.ts";
import { ByteWriter, fixChecksum } from "./bytes.ts";

const ROM_BYTES = 0x10000;
const MB = 0x100000;
const VENDOR = "whyve";
/** A memory device structure can tell at most 32767 MB. */
const MAX_DEVICE_MB = 0x7fff;
/** Handles, by type. */
const CHASSIS = 0x300;
const PROCESSOR = 0x400;
const CACHE = 0x700;
const ARRAY = 0x1000;
const MODULE = 0x1100;
/** What the processor's CPUID leaf 4 says: level, KB, SMBIOS system type (3 instruction, 4 data, 5 unified), ways code. */
const CACHES = [
  { level: 1, kb: 32, type: 4, ways: 7 },
  { level: 2, kb: 256, type: 5, ways: 7 },
  { level: 3, kb: 8192, type: 5, ways: 8 },
] as const;

/** One structure: formatted part with its strings (numbered from 1). */
function structure(type: number, handle: number, body: (w: ByteWriter) => void, strings: readonly string[] = []): Uint8Array {
  const formatted = new ByteWriter();
  body(formatted);
  const w = new ByteWriter()
    .u8(type, 4 + formatted.length)
    .u16(handle)
    .bytes(formatted.done());
  for (const s of strings) w.text(s).u8(0);
  if (strings.length === 0) w.u8(0);
  return w.u8(0).done();
}

const firmware = (config: BiosConfig, date: string): Uint8Array =>
  structure(
    0,
    0,
    (w) => {
      w.u8(1, 2)
        .u16(0xf000)
        .u8(3, ROM_BYTES / 0x10000 - 1);
      // PCI, shadowing, boot from CD, selectable boot; EDD, INT 9, 14h, 17h, 10h services; ACPI; virtual machine.
      w.u32(0xf009_9080, 0).u8(config.acpi ? 0x01 : 0x00, 0x10);
      w.u8(1, 0, 0xff, 0xff);
    },
    [VENDOR, "whyve biosemul", date],
  );

const processor = (n: number): Uint8Array =>
  structure(
    4,
    PROCESSOR + n,
    (w) => {
      w.u8(1, 3, 0x01, 2).u32(0, 0).u8(3, 0x8a).u16(100, 1000, 1000).u8(0x41, 1); // 1 V, socket with a working CPU, no upgrade
      w.u16(CACHE, CACHE + 1, CACHE + 2)
        .u8(0, 0, 0, 1, 1, 1)
        .u16(0x0024, 1); // 64-bit, execute protection; family "other"
    },
    [`CPU ${n}`, VENDOR, "virtual processor"],
  );

const cache = (index: number, { level, kb, type, ways }: (typeof CACHES)[number]): Uint8Array =>
  structure(
    7,
    CACHE + index,
    (w) =>
      w
        .u8(1)
        .u16(0x0180 | (level - 1), kb, kb, 0x0020, 0x0020)
        .u8(0, 3, type, ways),
    [`L${level}`],
  );

/** SMBIOS 2.8 structures: firmware, system, board, enclosure, processors, caches, memory, boot state. Source: DMTF DSP0134 2.8. */
export function smbiosStructures(config: BiosConfig, date: string): { readonly bytes: Uint8Array; readonly count: number; readonly longest: number } {
  const ramMb = Math.floor(config.ramBytes / MB);
  const ramKb = Math.ceil(config.ramBytes / 1024);
  const lowKb = Math.ceil(Math.min(config.ramBytes, config.lowRamLimit) / 1024);
  const all: Uint8Array[] = [
    firmware(config, date),
    structure(
      1,
      0x100,
      (w) =>
        w
          .u8(1, 2, 3, 4)
          .bytes(config.uuid.subarray(0, 16))
          .pad(4 + 16)
          .u8(6, 0, 0),
      [VENDOR, config.productName, "1", "0"],
    ),
    structure(2, 0x200, (w) => w.u8(1, 2, 3, 4, 0, 0x01, 0).u16(CHASSIS).u8(0x0a, 0), [VENDOR, config.productName, "1", "0"]),
    structure(3, CHASSIS, (w) => w.u8(1, 1, 0, 0, 0, 3, 3, 3, 2).u32(0).u8(0, 0, 0, 0, 0), [VENDOR]),
  ];
  for (let n = 0; n < config.cpus; n++) all.push(processor(n));
  CACHES.forEach((row, i) => all.push(cache(i, row)));
  all.push(structure(16, ARRAY, (w) => w.u8(1, 3, 3).u32(Math.min(0x7fffffff, ramKb)).u16(0xfffe, 1).u64(0)));
  all.push(
    structure(
      17,
      MODULE,
      (w) => {
        w.u16(ARRAY, 0xfffe, 64, 64, Math.min(ramMb, MAX_DEVICE_MB)).u8(9, 0, 1, 0, 7).u16(0x0002, 0).u8(2, 0, 0, 0);
        w.u8(0).u32(0).u16(0, 0, 0, 0);
      },
      ["DIMM 0", VENDOR],
    ),
  );
  const range = (handle: number, fromKb: number, toKb: number): Uint8Array =>
    structure(19, handle, (w) =>
      w
        .u32(fromKb, toKb - 1)
        .u16(ARRAY)
        .u8(1)
        .u64(0)
        .u64(0),
    );
  all.push(range(0x1300, 0, Math.max(1, lowKb)));
  if (ramKb > lowKb) all.push(range(0x1301, 0x400000, 0x400000 + ramKb - lowKb));
  all.push(structure(32, 0x2000, (w) => w.u8(0, 0, 0, 0, 0, 0, 0)));
  all.push(structure(127, 0x7f00, () => {}));
  const out = new ByteWriter();
  for (const s of all) out.bytes(s);
  return { bytes: out.done(), count: all.length, longest: Math.max(...all.map((s) => s.length)) };
}

/** `_SM_` with its `_DMI_` part. */
export function smbiosEntry(at: number, length: number, count: number, longest: number): Uint8Array {
  const w = new ByteWriter().text("_SM_").u8(0, 0x1f, 2, 8).u16(longest).u8(0, 0, 0, 0, 0, 0);
  w.text("_DMI_").u8(0).u16(length).u32(at).u16(count).u8(0x28);
  const bytes = w.done();
  fixChecksum(bytes, 0x15, 0x10, 15);
  return fixChecksum(bytes, 4);
}
