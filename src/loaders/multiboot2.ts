import { VmmError } from "../base/index.ts";
import type { KernelRequest, LoadEnvironment, LoadedKernel } from "./api.ts";
import { Builder, Fields } from "./bytes.ts";
import { flatDescriptors } from "./flat.ts";
import { basicMemory, INFO_FROM, INFO_TO, kernelCommandLine, LOADER_NAME, placeImage, placeModules, placeSections } from "./multiboot.ts";
import type { LoadAddresses } from "./multiboot.ts";
import { Placement } from "./placement.ts";

/** Multiboot2 Specification 2.0. */
const MAGIC = 0xe85250d6;
const BOOT_MAGIC = 0x36d76289;
const HEADER_WITHIN = 32768;

/** Header tags. */
const TAG = {
  END: 0,
  REQUEST: 1,
  ADDRESS: 2,
  ENTRY: 3,
  CONSOLE: 4,
  FRAMEBUFFER: 5,
  ALIGN: 6,
  EFI_SERVICES: 7,
  EFI_ENTRY32: 8,
  EFI_ENTRY64: 9,
  RELOCATABLE: 10,
};
/** Information tags. */
const INFO = { LINE: 1, LOADER: 2, MODULE: 3, BASIC: 4, MAP: 6, FRAMEBUFFER: 8, SECTIONS: 9, ACPI_OLD: 14, ACPI_NEW: 15, LOAD_BASE: 21 };
const SUPPLIED: ReadonlySet<number> = new Set(Object.values(INFO));

/** Offset of the header, or -1. */
export function findMultiboot2(bytes: Uint8Array): number {
  const f = new Fields(bytes);
  for (let at = 0; at + 16 <= Math.min(bytes.length, HEADER_WITHIN); at += 8) {
    if (f.u32(at) === MAGIC && (f.u32(at) + f.u32(at + 4) + f.u32(at + 8) + f.u32(at + 12)) % 0x100000000 === 0) return at;
  }
  return -1;
}

interface Header {
  readonly addresses: LoadAddresses | undefined;
  readonly entry: number;
}

function readHeader(request: KernelRequest, at: number): Header {
  const { name, bytes } = request.kernel;
  const f = new Fields(bytes);
  const bad = (what: string): never => {
    throw new VmmError("KERNEL_FORMAT", `${name}: ${what}`);
  };
  if (f.u32(at + 4) !== 0) bad(`multiboot2 header for architecture ${f.u32(at + 4)}, not for x86`);
  const end = at + f.u32(at + 8);
  if (end > bytes.length || end < at + 16) bad("multiboot2 header reaches past the end of the file");
  let addresses: LoadAddresses | undefined;
  let entry = 0;
  for (let tag = at + 16; tag + 8 <= end; ) {
    const type = f.u16(tag);
    const optional = (f.u16(tag + 2) & 1) !== 0;
    const size = f.u32(tag + 4);
    if (type === TAG.END) break;
    if (size < 8 || tag + size > end) bad(`multiboot2 header tag ${type} has size ${size}`);
    if (type === TAG.REQUEST) {
      for (let i = tag + 8; i + 4 <= tag + size; i += 4) {
        if (!optional && !SUPPLIED.has(f.u32(i))) bad(`the kernel requires multiboot2 information ${f.u32(i)}, which this loader cannot give`);
      }
    } else if (type === TAG.ADDRESS) addresses = { header: f.u32(tag + 8), load: f.u32(tag + 12), loadEnd: f.u32(tag + 16), bssEnd: f.u32(tag + 20) };
    else if (type === TAG.ENTRY) entry = f.u32(tag + 8);
    // A console, a frame buffer of any size and page alignment are there; EFI tags do not concern a BIOS machine.
    else if (type > TAG.RELOCATABLE && !optional) bad(`the kernel requires multiboot2 header tag ${type}, which this loader does not know`);
    tag += Math.ceil(size / 8) * 8;
  }
  return { addresses, entry };
}

export function loadMultiboot2(request: KernelRequest, environment: LoadEnvironment, headerAt: number): LoadedKernel {
  const { kernel } = request;
  const header = readHeader(request, headerAt);
  const placement = new Placement(kernel.name, environment.memoryMap);
  const image = placeImage(kernel, placement, headerAt, header.addresses, header.entry);
  const modules = placeModules(request.modules, placement, image.end);
  const sections = placeSections(kernel, image.elf, placement);

  const info = new Builder().u32(0, 0);
  const tag = (type: number, body: (b: Builder) => void): void => {
    const at = info.length;
    info.u32(type, 0);
    body(info);
    info.patch32(at + 4, info.length - at);
    info.align(8);
  };
  tag(INFO.LINE, (b) => b.text(kernelCommandLine(request)));
  tag(INFO.LOADER, (b) => b.text(LOADER_NAME));
  for (const m of modules) tag(INFO.MODULE, (b) => b.u32(m.start, m.end).text(m.commandLine));
  const { lower, upper } = basicMemory(environment.memoryMap);
  tag(INFO.BASIC, (b) => b.u32(lower, upper));
  tag(INFO.MAP, (b) => {
    b.u32(24, 0);
    for (const row of environment.memoryMap) b.u64(row.start, row.length).u32(row.type, 0);
  });
  tag(INFO.FRAMEBUFFER, (b) => b.u64(0xb8000).u32(160, 80, 25).u8(16, 2, 0, 0));
  if (sections !== undefined && image.elf !== undefined) {
    const { count, entryBytes, names } = image.elf.sections;
    tag(INFO.SECTIONS, (b) => b.u32(count, entryBytes, names).raw(sections.bytes));
  }
  const rsdp = environment.rsdp?.bytes;
  if (rsdp !== undefined) {
    tag(INFO.ACPI_OLD, (b) => b.raw(rsdp.subarray(0, 20)));
    if ((rsdp[15] ?? 0) >= 2) tag(INFO.ACPI_NEW, (b) => b.raw(rsdp.subarray(0, 36)));
  }
  if (header.addresses !== undefined) {
    const base = header.addresses.load;
    tag(INFO.LOAD_BASE, (b) => b.u32(base));
  }
  tag(0, () => {});
  info.patch32(0, info.length);
  const low = info.length <= INFO_TO - INFO_FROM;
  const infoAt = low
    ? placement.low("the boot information", info.length, 8, INFO_FROM, INFO_TO)
    : placement.low("the boot information", info.length, 8, image.end);
  placement.put("the boot information", infoAt, info.done());
  return {
    description: `multiboot2 kernel (${image.elf === undefined ? "address tag" : image.elf.is64 ? "64-bit ELF" : "32-bit ELF"})`,
    pieces: placement.pieces,
    entry: { mode: 32, ip: image.entry, gdt: flatDescriptors(placement, 32), registers: { eax: BOOT_MAGIC, ebx: infoAt } },
  };
}
