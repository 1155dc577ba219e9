import { MEM } from "../../isa/index.ts";
import { VIDEO_ROM_BYTES } from "../../biosemul/index.ts";
import type { PamSegment } from "../../devices/pci/index.ts";
import type { Vm } from "../../vmm/index.ts";

const ROM_BYTES = 0x10000;
/** The video option ROM's place, C0000-C3FFF. */
const VIDEO_ROM_GPA = MEM.VIDEO_ROM;
/** The display's memory. */
export const VRAM_BYTES = 16 * 1024 * 1024;
/** The reset vector's copy of the ROM, just below 4 GiB. */
const ROM_TOP = 0x100000000 - ROM_BYTES;

/** Memory of a PC besides its RAM. */
export const MEMORY_REGIONS = [
  { name: "rom", sizeBytes: ROM_BYTES },
  { name: "video-rom", sizeBytes: VIDEO_ROM_BYTES },
  { name: "vram", sizeBytes: VRAM_BYTES },
] as const;

type RegionName = "ram" | (typeof MEMORY_REGIONS)[number]["name"];

/** What is at which physical address: RAM, ROM and its shadow, the frame buffer. Device memory needs no place here: it is where nothing else is. */
export class MemoryMap {
  readonly #vm: Vm;
  readonly #ramBytes: number;
  #frameBuffer: number | undefined;

  /** RAM below A0000 and from 1 MiB; the display window is the VGA's; ROM at F0000 and below 4 GiB. */
  constructor(vm: Vm, ramBytes: number) {
    this.#vm = vm;
    this.#ramBytes = ramBytes;
    const ram = this.#region("ram");
    const rom = this.#region("rom");
    vm.mapSlot({ gpa: 0, region: ram, regionOffset: 0, sizeBytes: MEM.VGA, access: "rw" });
    vm.mapSlot({ gpa: MEM.HIGH, region: ram, regionOffset: MEM.HIGH, sizeBytes: ramBytes - MEM.HIGH, access: "rw" });
    vm.mapSlot({ gpa: MEM.ROM_F, region: rom, regionOffset: 0, sizeBytes: ROM_BYTES, access: "ro" });
    vm.mapSlot({ gpa: ROM_TOP, region: rom, regionOffset: 0, sizeBytes: ROM_BYTES, access: "ro" });
    vm.mapSlot({ gpa: VIDEO_ROM_GPA, region: this.#region("video-rom"), regionOffset: 0, sizeBytes: VIDEO_ROM_BYTES, access: "ro" });
  }

  /** The display's memory, on the host. */
  get vram(): Uint8Array {
    return this.#region("vram").bytes;
  }

  /** Where the guest sees the linear frame buffer; undefined: nowhere. */
  get frameBuffer(): number | undefined {
    return this.#frameBuffer;
  }

  /** The linear frame buffer follows its BAR; undefined: the BAR is switched off. */
  moveFrameBuffer(address: number | undefined): void {
    if (this.#frameBuffer !== undefined) this.#vm.unmapSlot(this.#frameBuffer, VRAM_BYTES);
    // A guest may put the BAR over RAM or ROM; those keep their addresses then, as the host bridge decodes them first.
    const free = address !== undefined && address >= this.#ramBytes && address + VRAM_BYTES <= ROM_TOP;
    this.#frameBuffer = free ? address : undefined;
    if (this.#frameBuffer !== undefined) {
      this.#vm.mapSlot({ gpa: this.#frameBuffer, region: this.#region("vram"), regionOffset: 0, sizeBytes: VRAM_BYTES, access: "rw" });
    }
  }

  /**
   * Shadow RAM in C0000-FFFFF (440FX PAM). Write-only shadowing, in which software copies the ROM onto itself, is done here at
   * once: the RAM gets the ROM's content, and writes vanish until reads are switched over.
   */
  shadow({ start, sizeBytes, readRam, writeRam }: PamSegment): void {
    const ram = this.#region("ram");
    if (readRam) {
      this.#vm.mapSlot({ gpa: start, region: ram, regionOffset: start, sizeBytes, access: writeRam ? "rw" : "ro" });
      return;
    }
    this.#unshadow(start, sizeBytes);
    if (!writeRam) return;
    const content = new Uint8Array(sizeBytes);
    this.#vm.memory.read(start, content);
    ram.bytes.set(content, start);
  }

  /** All of C0000-FFFFF as at power-on. */
  unshadowAll(): void {
    for (let start: number = VIDEO_ROM_GPA; start < MEM.ROM_F; start += VIDEO_ROM_BYTES) this.#unshadow(start, VIDEO_ROM_BYTES);
    this.#unshadow(MEM.ROM_F, ROM_BYTES);
  }

  #unshadow(start: number, sizeBytes: number): void {
    const [name, size] =
      start === MEM.ROM_F ? (["rom", ROM_BYTES] as const) : start === VIDEO_ROM_GPA ? (["video-rom", VIDEO_ROM_BYTES] as const) : [undefined, 0];
    if (name === undefined) this.#vm.unmapSlot(start, sizeBytes);
    else this.#vm.mapSlot({ gpa: start, region: this.#region(name), regionOffset: 0, sizeBytes: size, access: "ro" });
  }

  #region(name: RegionName): ReturnType<Vm["region"]> & object {
    const region = this.#vm.region(name);
    if (region === undefined) throw new Error(`the engine did not make the region ${name}`);
    return region;
  }
}
