import type { IrqPin } from "../../bus/index.ts";
import { PciFunction } from "./config-space.ts";

/** A shadow-RAM segment of the 440FX: where reads and writes of C0000-FFFFF go. */
export interface PamSegment {
  readonly start: number;
  readonly sizeBytes: number;
  /** True: reads come from RAM; false: from the ROM on PCI. */
  readonly readRam: boolean;
  readonly writeRam: boolean;
}

/** PAM0..PAM6 (59h-5Fh): low nibble, high nibble. PAM0's low nibble is reserved. Source: Intel 440FX PMC data sheet (290549) §3.2.18. */
const PAM_SEGMENTS: readonly (readonly [number, number])[] = [
  [0, 0],
  [0xf0000, 0x10000],
  [0xc0000, 0x4000],
  [0xc4000, 0x4000],
  [0xc8000, 0x4000],
  [0xcc000, 0x4000],
  [0xd0000, 0x4000],
  [0xd4000, 0x4000],
  [0xd8000, 0x4000],
  [0xdc000, 0x4000],
  [0xe0000, 0x4000],
  [0xe4000, 0x4000],
  [0xe8000, 0x4000],
  [0xec000, 0x4000],
];

/** The 440FX host bridge (8086:1237, 0:0.0). */
export class I440fxHostBridge extends PciFunction {
  readonly #onPam: (segment: PamSegment) => void;
  readonly #pam = new Uint8Array(7);

  /** `onPam` is called for each segment whose attributes change. */
  constructor(options: { readonly onPam?: (segment: PamSegment) => void } = {}) {
    super({
      name: "i440fx",
      vendorId: 0x8086,
      deviceId: 0x1237,
      revision: 0x02,
      classCode: 0x060000,
      commandMask: 0x0140,
      commandReset: 0x0006,
    });
    this.#onPam = options.onPam ?? (() => {});
    this.defineRegister(0x50, 2, 0x0100, 0xefb8); // PMC configuration
    this.defineRegister(0x52, 1, 0x00, 0x03); // deterministic latency
    this.defineRegister(0x54, 1, 0x00, 0xff); // DRAM extended features
    this.defineRegister(0x57, 1, 0x01, 0xff); // DRAM control
    this.defineRegister(0x58, 1, 0x10, 0xff); // DRAM timing
    this.defineRegister(0x59, 1, 0x00, 0x30); // PAM0
    for (let i = 0x5a; i <= 0x5f; i++) this.defineRegister(i, 1, 0x00, 0x33);
    for (let i = 0x60; i <= 0x67; i++) this.defineRegister(i, 1, 0x01, 0xff); // DRAM row boundaries
    this.defineRegister(0x68, 1, 0x00, 0xc0); // fixed hole
    this.defineRegister(0x70, 1, 0x00, 0xff); // multi-transaction timer
    this.defineRegister(0x72, 1, 0x02, 0x78); // SMRAM
    this.defineRegister(0x90, 1, 0x00, 0xff); // error command
    this.defineRegister(0x91, 1, 0x00, 0x00); // error status
    this.defineRegister(0x93, 1, 0x00, 0x06); // turbo reset
  }

  protected override onConfigWrite(offset: number, size: number): void {
    if (offset + size <= 0x59 || offset > 0x5f) return;
    for (let i = 0; i < 7; i++) {
      const now = this.config[0x59 + i] ?? 0;
      const before = this.#pam[i] ?? 0;
      this.#pam[i] = now;
      for (const nibble of [0, 1]) {
        const attributes = (now >>> (4 * nibble)) & 3;
        const [start, sizeBytes] = PAM_SEGMENTS[2 * i + nibble] ?? [0, 0];
        if (sizeBytes === 0 || attributes === ((before >>> (4 * nibble)) & 3)) continue;
        this.#onPam({ start, sizeBytes, readRam: (attributes & 1) !== 0, writeRam: (attributes & 2) !== 0 });
      }
    }
  }
}

/**
 * The PIIX3's ISA bridge (8086:7000, function 0): routes PIRQA#-PIRQD# by registers 60h-63h (bit 7 off, bits 3-0 IRQ) to
 * the ISA interrupt wires. Source: Intel 82371SB data sheet (290550) §2.2.
 */
export class Piix3IsaBridge extends PciFunction {
  readonly #pins: readonly IrqPin[];
  readonly #levels = [false, false, false, false];
  /** IRQs that PCI pulls now, a bit each. */
  #pulled = 0;

  /** `pins`: one wire for each ISA IRQ 0..15; share them with the ISA devices by `SharedIrqLine`. */
  constructor(options: { readonly pins: readonly IrqPin[] }) {
    super({ name: "piix3-isa", vendorId: 0x8086, deviceId: 0x7000, classCode: 0x060100, commandMask: 0x0008, commandReset: 0x0007 });
    this.#pins = options.pins;
    this.setMultiFunction();
    this.defineRegister(0x4c, 1, 0x4d, 0xff); // ISA I/O recovery
    this.defineRegister(0x4e, 2, 0x0003, 0x07ff); // X-bus chip select
    for (let i = 0x60; i <= 0x63; i++) this.defineRegister(i, 1, 0x80, 0x8f);
    this.defineRegister(0x69, 1, 0x02, 0xfe); // top of memory
    this.defineRegister(0x6a, 2, 0x0000, 0x8037); // miscellaneous status
    this.defineRegister(0x70, 1, 0x80, 0xef); // motherboard IRQ routing
    this.defineRegister(0x76, 1, 0x0c, 0x8f); // motherboard DMA
    this.defineRegister(0x77, 1, 0x0c, 0x8f);
    this.defineRegister(0x78, 2, 0x0002, 0xfffb); // programmable chip select
    this.defineRegister(0x80, 1, 0x00, 0x7f); // APIC base relocation
    this.defineRegister(0x82, 1, 0x00, 0x0f); // deterministic latency
    this.defineRegister(0xa0, 1, 0x08, 0x1f); // SMI control
    this.defineRegister(0xa2, 2, 0x0000, 0x01ff); // SMI enable
    this.defineRegister(0xa4, 4, 0x00000000, 0xe000fffb); // system event enable
    this.defineRegister(0xa8, 1, 0x0f, 0xff); // fast off timer
    this.defineRegister(0xaa, 2, 0x0000, 0x0000); // SMI request
    this.defineRegister(0xac, 1, 0x00, 0xff);
    this.defineRegister(0xae, 1, 0x00, 0xff);
  }

  /** A PIRQ wire from the PCI bus, 0..3. */
  setPirq(pirq: number, level: boolean): void {
    this.#levels[pirq & 3] = level;
    this.#route();
  }

  protected override onConfigWrite(offset: number, size: number): void {
    if (offset + size > 0x60 && offset <= 0x63) this.#route();
  }

  #route(): void {
    let pulled = 0;
    for (const [i, level] of this.#levels.entries()) {
      const route = this.config[0x60 + i] ?? 0x80;
      if (level && (route & 0x80) === 0) pulled |= 1 << (route & 15);
    }
    const changed = pulled ^ this.#pulled;
    this.#pulled = pulled;
    for (let irq = 0; irq < 16; irq++) if ((changed & (1 << irq)) !== 0) this.#pins[irq]?.set((pulled & (1 << irq)) !== 0);
  }
}

/**
 * The PIIX3's IDE function (8086:7010, function 1): legacy channels, bus master registers in BAR4. Both channels decode
 * at reset, as firmware would have set them. Source: Intel 82371SB data sheet §2.3.
 */
export class Piix3Ide extends PciFunction {
  readonly #onDecode: (channel: number, enabled: boolean) => void;
  readonly #decoded = [true, true];

  constructor(options: {
    /** Where the 16 bus master ports are; undefined: nowhere. */
    readonly onBusMasterMap: (base: number | undefined) => void;
    /** IDETIM bit 15 of a channel: its legacy ports answer. */
    readonly onDecode?: (channel: number, enabled: boolean) => void;
  }) {
    super({
      name: "piix3-ide",
      vendorId: 0x8086,
      deviceId: 0x7010,
      classCode: 0x010180,
      commandMask: 0x0005,
      commandReset: 0x0001,
      bars: [{ index: 4, kind: "io", sizeBytes: 16, onMap: options.onBusMasterMap }],
    });
    this.#onDecode = options.onDecode ?? (() => {});
    this.defineRegister(0x40, 2, 0x8000, 0xf3ff);
    this.defineRegister(0x42, 2, 0x8000, 0xf3ff);
    this.defineRegister(0x44, 1, 0x00, 0xff);
  }

  protected override onConfigWrite(offset: number, size: number): void {
    if (offset + size <= 0x40 && offset > 0x05) return;
    for (const channel of [0, 1]) {
      const enabled = (this.command & 1) !== 0 && ((this.config[0x41 + 2 * channel] ?? 0) & 0x80) !== 0;
      if (enabled === this.#decoded[channel]) continue;
      this.#decoded[channel] = enabled;
      this.#onDecode(channel, enabled);
    }
  }
}

/** The display adapter on PCI (1234:1111, class VGA): BAR0 is the linear frame buffer, prefetchable; BAR2 its registers in memory. */
export class PciVga extends PciFunction {
  constructor(options: {
    readonly frameBufferBytes: number;
    readonly onFrameBufferMap: (address: number | undefined) => void;
    /** The registers' BAR. */
    readonly registers?: { readonly sizeBytes: number; readonly onMap: (address: number | undefined) => void };
    /** The video BIOS image's size and place, when it is also to be had by the ROM BAR. */
    readonly rom?: { readonly sizeBytes: number; readonly onMap: (address: number | undefined) => void };
  }) {
    super({
      name: "pci-vga",
      vendorId: 0x1234,
      deviceId: 0x1111,
      revision: 0x02,
      classCode: 0x030000,
      subsystemVendorId: 0x1af4,
      subsystemId: 0x1100,
      commandReset: 0x0003,
      bars: [
        { index: 0, kind: "prefetchable", sizeBytes: options.frameBufferBytes, onMap: options.onFrameBufferMap },
        ...(options.registers === undefined
          ? []
          : [{ index: 2, kind: "memory", sizeBytes: options.registers.sizeBytes, onMap: options.registers.onMap } as const]),
        ...(options.rom === undefined ? [] : [{ index: "rom", kind: "memory", sizeBytes: options.rom.sizeBytes, onMap: options.rom.onMap } as const]),
      ],
    });
  }
}
