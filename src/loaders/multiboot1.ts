import { VmmError } from "../base/index.ts";
import type { KernelRequest, LoadEnvironment, LoadedKernel } from "./api.ts";
import { Builder, Fields } from "./bytes.ts";
import { flatDescriptors } from "./flat.ts";
import { basicMemory, INFO_FROM, INFO_TO, kernelCommandLine, LOADER_NAME, placeImage, placeModules, placeSections } from "./multiboot.ts";
import { Placement } from "./placement.ts";

/** Multiboot Specification 0.6.96. */
const MAGIC = 0x1badb002;
const BOOT_MAGIC = 0x2badb002;
const HEADER_WITHIN = 8192;
/** Requirements we meet: page-aligned modules, memory information, video mode (a text mode is given), address fields. */
const KNOWN_REQUIRED = 0x0007;
const ADDRESS_FIELDS = 0x10000;

/** Offset of the header, or -1. */
export function findMultiboot1(bytes: Uint8Array): number {
  const f = new Fields(bytes);
  for (let at = 0; at + 12 <= Math.min(bytes.length, HEADER_WITHIN); at += 4) {
    if (f.u32(at) === MAGIC && (f.u32(at) + f.u32(at + 4) + f.u32(at + 8)) >>> 0 === 0) return at;
  }
  return -1;
}

export function loadMultiboot1(request: KernelRequest, environment: LoadEnvironment, headerAt: number): LoadedKernel {
  const { kernel } = request;
  const f = new Fields(kernel.bytes);
  const flags = f.u32(headerAt + 4);
  const unknown = flags & 0xffff & ~KNOWN_REQUIRED;
  if (unknown !== 0)
    throw new VmmError(
      "KERNEL_FORMAT",
      `${kernel.name}: multiboot header requires features ${unknown.toString(16)}h, which version 1 does not define`,
    );
  const placement = new Placement(kernel.name, environment.memoryMap);
  const fields = (flags & ADDRESS_FIELDS) !== 0;
  const addresses = fields
    ? { header: f.u32(headerAt + 12), load: f.u32(headerAt + 16), loadEnd: f.u32(headerAt + 20), bssEnd: f.u32(headerAt + 24) }
    : undefined;
  const image = placeImage(kernel, placement, headerAt, addresses, fields ? f.u32(headerAt + 28) : 0);
  const modules = placeModules(request.modules, placement, image.end);
  const sections = placeSections(kernel, image.elf, placement);
  if (sections !== undefined) placement.put("section headers", sections.at, sections.bytes);

  const text = new Builder();
  const strings: number[] = [];
  for (const s of [kernelCommandLine(request), LOADER_NAME, ...modules.map((m) => m.commandLine)]) {
    strings.push(text.length);
    text.text(s);
  }
  const textAt = placement.low("command lines", text.length, 16, INFO_FROM, INFO_TO);
  placement.put("command lines", textAt, text.done());
  const string = (i: number): number => textAt + (strings[i] ?? 0);

  const list = new Builder();
  modules.forEach((m, i) => list.u32(m.start, m.end, string(2 + i), 0));
  const listAt = placement.low("the module list", Math.max(16, list.length), 16, INFO_FROM, INFO_TO);
  placement.put("the module list", listAt, list.done());

  const map = new Builder();
  for (const row of environment.memoryMap) map.u32(20).u64(row.start, row.length).u32(row.type);
  const mapAt = placement.low("the memory map", map.length, 16, INFO_FROM, INFO_TO);
  placement.put("the memory map", mapAt, map.done());

  const { lower, upper } = basicMemory(environment.memoryMap);
  // mem, command line, modules, ELF sections, memory map, loader name, frame buffer.
  const present = 1 | 4 | 8 | (sections === undefined ? 0 : 0x20) | 0x40 | 0x200 | 0x1000;
  const elf = image.elf?.sections;
  const info = new Builder()
    .u32(present, lower, upper, 0, string(0), modules.length, listAt)
    .u32(elf?.count ?? 0, elf?.entryBytes ?? 0, sections?.at ?? 0, elf?.names ?? 0)
    .u32(map.length, mapAt, 0, 0, 0, string(1), 0)
    .u32(0, 0)
    .u16(0, 0, 0, 0)
    // EGA text, 80x25 cells of 16 bits at B8000h.
    .u64(0xb8000)
    .u32(160, 80, 25)
    .u8(16, 2, 0, 0, 0, 0, 0, 0);
  const infoAt = placement.low("the boot information", info.length, 16, INFO_FROM, INFO_TO);
  placement.put("the boot information", infoAt, info.done());
  return {
    description: `multiboot kernel (${image.elf === undefined ? "address fields" : image.elf.is64 ? "64-bit ELF" : "32-bit ELF"})`,
    pieces: placement.pieces,
    entry: { mode: 32, ip: image.entry, gdt: flatDescriptors(placement, 32), registers: { eax: BOOT_MAGIC, ebx: infoAt } },
  };
}
