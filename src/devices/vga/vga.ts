import { shape } from "../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../base/index.ts";
import type { AccessSize, BusDevice, IrqPin } from "../../bus/index.ts";
import { Dac, DAC_STATE } from "./dac.ts";
import { DISPI } from "../../isa/index.ts";
import { Dispi, DISPI_STATE } from "./dispi.ts";
import { VideoMemory, type MemoryControls } from "./memory.ts";
import { renderFrame, videoMode, type Frame, type RenderOptions, type ScanoutSource, type VideoMode } from "./render.ts";
import { snapshotText, type TextScreen } from "./text-screen.ts";
import { computeTiming, statusAt, type VideoTiming } from "./timing.ts";

export interface VgaOptions {
  /** Video memory, borrowed: the region that is also mapped as linear frame buffer. 256 KB to 16 MB, a power of two, 4-byte aligned. */
  readonly vram: Uint8Array;
  readonly clock: Clock;
  /** The vertical retrace interrupt (IRQ 2/9 on boards that wire it). */
  readonly irq?: IrqPin;
}

/** A status port read takes this long on the ISA bus; keeps polling loops moving when the clock stands still between reads. */
const PORT_READ_NS = 400;

/** Writable bits of sequencer registers 0..4 and graphics registers 0..8. */
const SEQ_MASK = [0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0, 0, 0];
const GC_MASK = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff];
const CRTC_COUNT = 0x19;

export const VGA_STATE = shape.record({
  v: shape.oneOf(1),
  misc: shape.byte,
  feature: shape.byte,
  seqIndex: shape.byte,
  seq: shape.bytes(8),
  crtcIndex: shape.byte,
  crtc: shape.bytes(32),
  gcIndex: shape.byte,
  gc: shape.bytes(16),
  attrIndex: shape.byte,
  attrFlip: shape.flag,
  attr: shape.bytes(32),
  latch: shape.bits32,
  retracePending: shape.flag,
  dac: DAC_STATE,
  dispi: DISPI_STATE,
});
export type VgaStateV1 = Shaped<typeof VGA_STATE>;

/**
 * VGA with Bochs VBE extensions. Register semantics: IBM PS/2 Video Subsystem technical reference (VGA function);
 * dispi: `dispi.ts`. Video memory contents are the owner's to save; `saveState` holds the registers.
 */
export class Vga implements MemoryControls, ScanoutSource {
  readonly memory: VideoMemory;
  readonly dac = new Dac();
  readonly dispi: Dispi;
  readonly seq = new Uint8Array(8);
  readonly crtc = new Uint8Array(0x20);
  readonly gc = new Uint8Array(16);
  readonly attr = new Uint8Array(0x20);
  misc = 0;
  readonly #clock: Clock;
  readonly #irq: IrqPin | undefined;
  readonly #retraceTimer: Timer | undefined;
  #feature = 0;
  #seqIndex = 0;
  #crtcIndex = 0;
  #gcIndex = 0;
  #attrIndex = 0;
  #attrFlip = false;
  #timing: VideoTiming | undefined;
  #lastStatusNs = -1;
  #statusSkewNs = 0;
  #diagnostic = 0;
  #retracePending = false;
  #retraceSinceNs = 0;
  #colorPorts = true;

  /** Ports 3B0-3DF; offsets count from 3B0. */
  readonly ports: BusDevice;
  /** Bochs VBE ports 1CE (index), 1CF and 1D0 (data, words both, so 1D1 belongs to them too); offsets count from 1CE. */
  readonly dispiPorts: BusDevice;
  /** Guest-physical A0000-BFFFF; offsets count from A0000. */
  readonly window: BusDevice;

  constructor(options: VgaOptions) {
    this.memory = new VideoMemory(options.vram);
    this.dispi = new Dispi(options.vram.length);
    this.#clock = options.clock;
    this.#irq = options.irq;
    if (options.irq !== undefined) this.#retraceTimer = options.clock.createTimer("vga-retrace", () => this.#retrace());
    const memory = this.memory;
    this.window = {
      name: "vga-window",
      read: (offset, size) => (size === 1 ? memory.read8(offset) : memory.read(offset, size)),
      write: (offset, size, value) => {
        if (size === 1) memory.write8(offset, value & 0xff);
        else memory.write(offset, size, value);
      },
    };
    this.ports = {
      name: "vga",
      read: (offset, size) => this.#portRead(0x3b0 + offset, size),
      write: (offset, size, value) => this.#portWrite(0x3b0 + offset, size, value),
    };
    this.dispiPorts = {
      name: "vga-dispi",
      read: (offset, size) => this.#dispiRead(offset, size),
      write: (offset, size, value) => this.#dispiWrite(offset, size, value),
    };
    this.reset();
  }

  /** Power-on state; video memory keeps its contents. */
  reset(): void {
    this.misc = 0;
    this.#feature = 0;
    this.seq.fill(0);
    this.crtc.fill(0);
    this.gc.fill(0);
    this.attr.fill(0);
    this.#seqIndex = 0;
    this.#crtcIndex = 0;
    this.#gcIndex = 0;
    this.#attrIndex = 0;
    this.#attrFlip = false;
    this.#retracePending = false;
    this.#retraceTimer?.cancel();
    this.#irq?.set(false);
    this.dac.reset();
    this.dispi.reset();
    this.#changed();
  }

  // ---- fast access for BIOS services; addresses are guest-physical -------------------------------------------------

  read8(gpa: number): number {
    return this.memory.read8(gpa - 0xa0000);
  }
  write8(gpa: number, value: number): void {
    this.memory.write8(gpa - 0xa0000, value & 0xff);
  }
  fill16(gpa: number, count: number, value: number): void {
    this.memory.fill16(gpa - 0xa0000, count, value);
  }
  move(to: number, from: number, bytes: number): void {
    this.memory.move(to - 0xa0000, from - 0xa0000, bytes);
  }
  /** The CRTC's cursor address, as two 16-bit writes to its ports set it. */
  setCursor(port: number, address: number): void {
    if (!this.#active(port)) return;
    this.crtc[0x0e] = address >>> 8;
    this.crtc[0x0f] = address & 0xff;
    this.#crtcIndex = 0x0f;
  }

  /** Byte offset in video memory shown one to one at A0000-AFFFF, or -1 (then accesses must come through `window`). */
  get linearWindow(): number {
    return this.memory.linearWindow;
  }

  // ---- what the screen shows -------------------------------------------------------------------------------------------

  get vbeEnabled(): boolean {
    return this.dispi.enabled;
  }
  get vbeBpp(): number {
    return this.dispi.bpp;
  }
  get vbeBank(): number {
    return this.dispi.bank;
  }
  /** Palette address source: off while the attribute palette is loaded, the screen shows the border. */
  get screenOn(): boolean {
    return (this.#attrIndex & 0x20) !== 0 && ((this.seq[1] ?? 0) & 0x20) === 0 && ((this.crtc[0x17] ?? 0) & 0x80) !== 0;
  }
  /** Frames since power-on, for blinking. */
  get frameCount(): number {
    return Math.floor(this.#clock.nowNs() / this.timing.frameNs);
  }

  mode(): VideoMode {
    return videoMode(this);
  }
  /** The text screen, or undefined in graphics modes. */
  snapshotText(): TextScreen | undefined {
    return snapshotText(this);
  }
  renderFrame(options?: RenderOptions): Frame {
    return renderFrame(this, options);
  }

  get timing(): VideoTiming {
    return (this.#timing ??= computeTiming(this.misc, this.seq, this.crtc));
  }

  // ---- ports ---------------------------------------------------------------------------------------------------------------

  #portRead(port: number, size: AccessSize): number {
    if (size === 1) return this.#read(port);
    let v = this.#read(port) | (this.#read(port + 1) << 8);
    if (size === 4) v |= (this.#read(port + 2) << 16) | (this.#read(port + 3) << 24);
    return v >>> 0;
  }

  #portWrite(port: number, size: AccessSize, value: number): void {
    this.#write(port, value & 0xff);
    if (size === 1) return;
    this.#write(port + 1, (value >>> 8) & 0xff);
    if (size === 2) return;
    this.#write(port + 2, (value >>> 16) & 0xff);
    this.#write(port + 3, value >>> 24);
  }

  #read(port: number): number {
    switch (port) {
      case 0x3c0:
        // The address register, whatever the flip-flop says; the data is at 3C1.
        return this.#attrIndex;
      case 0x3c1:
        return this.attr[this.#attrIndex & 0x1f] ?? 0;
      case 0x3c2:
        return this.#inputStatus0();
      case 0x3c4:
        return this.#seqIndex;
      case 0x3c5:
        return this.seq[this.#seqIndex] ?? 0;
      case 0x3c6:
        return this.dac.mask;
      case 0x3c7:
        return this.dac.state;
      case 0x3c8:
        return this.dac.writeIndex;
      case 0x3c9:
        return this.dac.readData();
      case 0x3ca:
        return this.#feature;
      case 0x3cc:
        return this.misc;
      case 0x3ce:
        return this.#gcIndex;
      case 0x3cf:
        return this.#gcIndex < 9 ? (this.gc[this.#gcIndex] ?? 0) : 0;
      case 0x3b4:
      case 0x3d4:
        return this.#active(port) ? this.#crtcIndex : 0xff;
      case 0x3b5:
      case 0x3d5:
        return this.#active(port) ? this.#readCrtc() : 0xff;
      case 0x3ba:
      case 0x3da:
        return this.#active(port) ? this.#inputStatus1() : 0xff;
      default:
        return 0xff;
    }
  }

  /** The CRTC ports answer at 3Dx or 3Bx as misc output bit 0 says. */
  #active(port: number): boolean {
    return port >= 0x3d0 === this.#colorPorts;
  }

  #write(port: number, v: number): void {
    switch (port) {
      case 0x3c0:
        this.#writeAttr(v);
        return;
      case 0x3c2:
        this.misc = v & 0xef;
        this.#colorPorts = (v & 1) !== 0;
        this.#timing = undefined;
        this.memory.update(this);
        return;
      case 0x3c4:
        this.#seqIndex = v & 7;
        return;
      case 0x3c5:
        this.#writeSeq(v);
        return;
      case 0x3c6:
        this.dac.mask = v;
        return;
      case 0x3c7:
        this.dac.setReadIndex(v);
        return;
      case 0x3c8:
        this.dac.setWriteIndex(v);
        return;
      case 0x3c9:
        this.dac.writeData(v);
        return;
      case 0x3ce:
        this.#gcIndex = v & 15;
        return;
      case 0x3cf:
        if (this.#gcIndex < 9) {
          this.gc[this.#gcIndex] = v & (GC_MASK[this.#gcIndex] ?? 0);
          this.memory.update(this);
        }
        return;
      case 0x3b4:
      case 0x3d4:
        if (this.#active(port)) this.#crtcIndex = v & 0x3f;
        return;
      case 0x3b5:
      case 0x3d5:
        if (this.#active(port)) this.#writeCrtc(v);
        return;
      case 0x3ba:
      case 0x3da:
        if (this.#active(port)) this.#feature = v & 0x0b;
        return;
      default:
    }
  }

  #writeSeq(v: number): void {
    const i = this.#seqIndex;
    this.seq[i] = v & (SEQ_MASK[i] ?? 0);
    if (i === 2 || i === 4) this.memory.update(this);
    else if (i === 1) this.#timing = undefined;
  }

  #writeAttr(v: number): void {
    if (!this.#attrFlip) this.#attrIndex = v & 0x3f;
    else {
      const i = this.#attrIndex & 0x1f;
      if (i < 0x10) this.attr[i] = v & 0x3f;
      else if (i === 0x10) this.attr[i] = v & 0xef;
      else if (i === 0x11) this.attr[i] = v;
      else if (i === 0x12) this.attr[i] = v & 0x3f;
      else if (i === 0x13 || i === 0x14) this.attr[i] = v & 0x0f;
    }
    this.#attrFlip = !this.#attrFlip;
  }

  #readCrtc(): number {
    return this.#crtcIndex < CRTC_COUNT ? (this.crtc[this.#crtcIndex] ?? 0) : this.#crtcIndex === 0x22 ? this.#latchByte() : 0;
  }

  /** Undocumented CRTC 22h: the latch of the plane that read map select names. */
  #latchByte(): number {
    return (this.memory.latch >> (((this.gc[4] ?? 0) & 3) << 3)) & 0xff;
  }

  #writeCrtc(v: number): void {
    const i = this.#crtcIndex;
    const crtc = this.crtc;
    if (i >= 0x0c && i <= 0x0f) {
      crtc[i] = v;
      return;
    }
    if (i >= CRTC_COUNT) return;
    if (((crtc[0x11] ?? 0) & 0x80) !== 0 && i <= 7) {
      // Protected: only line compare bit 8 of the overflow register can change.
      if (i === 7) crtc[7] = ((crtc[7] ?? 0) & ~0x10) | (v & 0x10);
      return;
    }
    crtc[i] = v;
    this.#timing = undefined;
    if (i === 0x11) this.#retraceControl();
  }

  #inputStatus0(): number {
    this.#updateRetracePending();
    // Switch sense: the DAC comparator sees the level of the border colour (monitor detection at POST).
    const c = this.dac.colors;
    const level = (c[0] ?? 0) + (c[1] ?? 0) + (c[2] ?? 0);
    return (level >= 0x4e ? 0 : 0x10) | (this.#retracePending ? 0x80 : 0);
  }

  #inputStatus1(): number {
    this.#attrFlip = false;
    const now = this.#clock.nowNs();
    if (now === this.#lastStatusNs) this.#statusSkewNs += PORT_READ_NS;
    else {
      this.#statusSkewNs = Math.max(0, this.#statusSkewNs - (now - this.#lastStatusNs));
      this.#lastStatusNs = now;
    }
    let status = statusAt(this.timing, now + this.#statusSkewNs);
    // The two diagnostic bits show video output: they move while the beam draws.
    if ((status & 1) === 0) this.#diagnostic ^= 0x30;
    status |= this.#diagnostic;
    return status;
  }

  // ---- vertical retrace interrupt (CRTC 11h bits 4 and 5) -------------------------------------------------------------------

  #retraceControl(): void {
    const v = this.crtc[0x11] ?? 0;
    if ((v & 0x10) === 0) {
      this.#retracePending = false;
      this.#irq?.set(false);
      this.#retraceTimer?.cancel();
      return;
    }
    this.#retraceSinceNs = this.#clock.nowNs();
    if ((v & 0x20) === 0) this.#retraceTimer?.arm(this.#nextRetraceNs(this.#retraceSinceNs));
    else {
      this.#retraceTimer?.cancel();
      this.#irq?.set(false);
    }
  }

  #nextRetraceNs(now: number): number {
    const t = this.timing;
    const start = t.retraceStart * t.lineNs;
    const frame = Math.floor((now - start) / t.frameNs) + 1;
    return Math.max(now + 1, Math.ceil(frame * t.frameNs + start));
  }

  #updateRetracePending(): void {
    if (((this.crtc[0x11] ?? 0) & 0x10) !== 0 && !this.#retracePending && this.#clock.nowNs() >= this.#nextRetraceNs(this.#retraceSinceNs))
      this.#retracePending = true;
  }

  #retrace(): void {
    if (((this.crtc[0x11] ?? 0) & 0x30) !== 0x10) return;
    this.#retracePending = true;
    this.#irq?.set(true);
  }

  // ---- Bochs VBE ---------------------------------------------------------------------------------------------------------------

  #dispiRead(offset: number, size: AccessSize): number {
    const value = offset === 0 ? this.dispi.index : this.dispi.read();
    if (size === 4 && offset === 0) return ((this.dispi.index | (this.dispi.read() << 16)) >>> 0) as number;
    return size === 1 ? value & 0xff : value;
  }

  #dispiWrite(offset: number, size: AccessSize, value: number): void {
    if (offset === 0) {
      this.dispi.index = value & 0xffff;
      if (size === 4) this.#dispiData(value >>> 16);
      return;
    }
    this.#dispiData(value & 0xffff);
  }

  #dispiData(value: number): void {
    const index = this.dispi.index;
    const turnedOn = this.dispi.write(value);
    if (index === DISPI.ENABLE) this.dac.eightBit = this.dispi.dac8;
    if (turnedOn && !this.dispi.noClear) {
      const bytes = this.dispi.strideBytes * this.dispi.height * (this.dispi.bpp === 4 ? 4 : 1);
      this.memory.bytes.fill(0, 0, Math.min(bytes, this.memory.bytes.length));
    }
    this.memory.update(this);
  }

  // ---- state -------------------------------------------------------------------------------------------------------------------

  #changed(): void {
    this.#colorPorts = (this.misc & 1) !== 0;
    this.#timing = undefined;
    this.memory.update(this);
  }

  saveState(): VgaStateV1 {
    this.#updateRetracePending();
    return {
      v: 1,
      misc: this.misc,
      feature: this.#feature,
      seqIndex: this.#seqIndex,
      seq: this.seq.slice(),
      crtcIndex: this.#crtcIndex,
      crtc: this.crtc.slice(),
      gcIndex: this.#gcIndex,
      gc: this.gc.slice(),
      attrIndex: this.#attrIndex,
      attrFlip: this.#attrFlip,
      attr: this.attr.slice(),
      latch: this.memory.latch,
      retracePending: this.#retracePending,
      dac: this.dac.saveState(),
      dispi: this.dispi.saveState(),
    };
  }

  loadState(s: VgaStateV1): void {
    this.misc = s.misc;
    this.#feature = s.feature;
    this.#seqIndex = s.seqIndex;
    this.seq.set(s.seq);
    this.#crtcIndex = s.crtcIndex;
    this.crtc.set(s.crtc);
    this.#gcIndex = s.gcIndex;
    this.gc.set(s.gc);
    this.#attrIndex = s.attrIndex;
    this.#attrFlip = s.attrFlip;
    this.attr.set(s.attr);
    this.dac.loadState(s.dac);
    this.dispi.loadState(s.dispi);
    this.memory.latch = s.latch;
    this.#changed();
    this.#retraceControl();
    this.#retracePending = s.retracePending;
  }
}
