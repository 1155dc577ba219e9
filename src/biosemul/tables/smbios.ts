import type { BiosConfig } from "../config.ts";
import { ByteWriter, fixChecksum } from "./bytes.ts";

const ROM_BYTES = 0x10000;
const MB = 0x100000;
const VENDOR = "whyve";
/** A memory device structure can tell at most 32767 MB. */
const MAX_DEVICE_MB = 0x7fff;

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

/** SMBIOS 2.4 structures: firmware, system, enclosure, processors, memory, boot state. Source: DMTF DSP0134 2.4. */
export function smbiosStructures(config: BiosConfig, date: string): { readonly bytes: Uint8Array; readonly count: number; readonly longest: number } {
  const ramMb = Math.floor(config.ramBytes / MB);
  const all: Uint8Array[] = [
    structure(
      0,
      0,
      (w) => {
        w.u8(1, 2)
          .u16(0xf000)
          .u8(3, ROM_BYTES / 0x10000 - 1);
        w.u32(0x00000098, 0).u8(config.acpi ? 0x01 : 0x00, 0x04, 0, 1, 0xff, 0xff); // PCI-age machine, boot selectable, virtual machine off-spec bit
      },
      [VENDOR, "whyve biosemul", date],
    ),
    structure(
      1,
      1,
      (w) => {
        w.u8(1, 2, 3, 4)
          .bytes(config.uuid.subarray(0, 16))
          .pad(4 + 16)
          .u8(6, 0, 0);
      },
      [VENDOR, config.productName, "1", "0"],
    ),
    structure(3, 3, (w) => w.u8(1, 1, 0, 0, 0, 3, 3, 3, 2).u32(0).u8(0, 0, 0, 0), [VENDOR]),
  ];
  for (let n = 0; n < config.cpus; n++) {
    all.push(
      structure(
        4,
        0x400 + n,
        (w) => {
          w.u8(1, 3, 1, 2).u32(0, 0).u8(3, 0).u16(0, 1000, 1000).u8(0x41, 1).u16(0xffff, 0xffff, 0xffff).u8(0, 0, 0, 1, 1, 1).u16(0);
        },
        [`CPU ${n}`, VENDOR, "virtual processor"],
      ),
    );
  }
  all.push(
    structure(16, 0x1000, (w) =>
      w
        .u8(1, 3, 3)
        .u32(Math.min(0x7fffffff, Math.ceil(config.ramBytes / 1024)))
        .u16(0xfffe, 1),
    ),
  );
  all.push(
    structure(17, 0x1100, (w) => w.u16(0x1000, 0xfffe, 64, 64, Math.min(ramMb, MAX_DEVICE_MB)).u8(9, 0, 1, 0, 7).u16(0, 0).u8(0, 0, 0, 0), [
      "DIMM 0",
    ]),
  );
  all.push(
    structure(19, 0x1300, (w) =>
      w
        .u32(0, Math.max(0, Math.ceil(config.ramBytes / 1024) - 1))
        .u16(0x1000)
        .u8(1),
    ),
  );
  all.push(structure(32, 0x2000, (w) => w.u8(0, 0, 0, 0, 0, 0, 0)));
  all.push(structure(127, 0x7f00, () => {}));
  const out = new ByteWriter();
  for (const s of all) out.bytes(s);
  return { bytes: out.done(), count: all.length, longest: Math.max(...all.map((s) => s.length)) };
}

/** `_SM_` with its `_DMI_` part. */
export function smbiosEntry(at: number, length: number, count: number, longest: number): Uint8Array {
  const w = new ByteWriter().text("_SM_").u8(0, 0x1f, 2, 4).u16(longest).u8(0, 0, 0, 0, 0, 0);
  w.text("_DMI_").u8(0).u16(length).u32(at).u16(count).u8(0x24);
  const bytes = w.done();
  fixChecksum(bytes, 0x15, 0x10, 15);
  return fixChecksum(bytes, 4);
}
