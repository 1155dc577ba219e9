import type { GuestIo } from "../vmm/index.ts";
import { GuestRegisters, PhysicalMemory } from "../vmm/index.ts";
import type { BiosDrive, BiosHandler, PortIo } from "./api.ts";
import { BiosEmul } from "./biosemul.ts";
import { DEFAULT_BIOS_CONFIG } from "./config.ts";
import type { BiosConfig } from "./config.ts";
import { ByteMemory, FakeRegisters } from "./fakes.testing.ts";

/** Plain memory: `bytes` from 0, reads beyond give ones. */
export class FlatMemory extends ByteMemory {
  readonly bytes: Uint8Array;
  constructor(sizeBytes: number) {
    super();
    this.bytes = new Uint8Array(sizeBytes);
  }
  override get sizeBytes(): number {
    return this.bytes.length;
  }
  override read8(at: number): number {
    return this.bytes[at] ?? 0xff;
  }
  override write8(at: number, value: number): void {
    if (at < this.bytes.length) this.bytes[at] = value;
  }
  override writeRom(at: number, from: Uint8Array): void {
    this.write(at, from);
  }
  override viewForWrite(at: number, length: number): Uint8Array | undefined {
    return at + length <= this.bytes.length ? this.bytes.subarray(at, at + length) : undefined;
  }
  override viewForRead(at: number, length: number): Uint8Array | undefined {
    return this.viewForWrite(at, length);
  }
}

/** Ports that remember writes; CMOS and a byte map behind them; reads elsewhere give `idle`. */
export class FakePorts implements PortIo {
  readonly cmos = new Uint8Array(128);
  readonly writes: { readonly port: number; readonly value: number }[] = [];
  readonly values = new Map<number, number>();
  onRead: ((port: number) => number | undefined) | undefined;
  onWrite: ((port: number, value: number) => void) | undefined;
  #index = 0;
  constructor() {
    this.cmos[0x0d] = 0x80;
    this.cmos[4] = 0x01; // 01:00:00
    this.values.set(0x64, 0);
    this.values.set(0x92, 0x02);
  }
  in8(port: number): number {
    const own = this.onRead?.(port);
    if (own !== undefined) return own;
    if (port === 0x71) return this.cmos[this.#index & 0x7f] ?? 0;
    return this.values.get(port) ?? 0xff;
  }
  in16(port: number): number {
    return this.onRead?.(port) ?? 0xffff;
  }
  in32(port: number): number {
    return this.onRead?.(port) ?? 0xffffffff;
  }
  out8(port: number, value: number): void {
    this.writes.push({ port, value });
    this.onWrite?.(port, value);
    if (port === 0x70) this.#index = value;
    else if (port === 0x71 && (this.#index & 0x7f) !== 0x0c && (this.#index & 0x7f) !== 0x0d) this.cmos[this.#index & 0x7f] = value;
    else if (port !== 0x64 && port !== 0x60) this.values.set(port, value);
  }
  out16(port: number, value: number): void {
    this.writes.push({ port, value });
    this.onWrite?.(port, value);
  }
  out32(port: number, value: number): void {
    this.writes.push({ port, value });
    this.onWrite?.(port, value);
  }
}

const NO_IO: GuestIo = { portRead: () => -1, portWrite: () => false, mmioRead: () => 0xff, mmioWrite: () => true, interruptAcknowledge: () => 0xff };

/** The selector, offset and FLAGS that a test's INT pushes. */
export const CALLER = { cs: 0x1234, ip: 0x5678 } as const;

/** A BIOS on fakes; `int` does what the CPU does on INT n up to the stub, calls the BIOS, and goes round its wait arms. */
export class Bench {
  readonly ram = new FlatMemory(0x400000);
  readonly raw = new FakeRegisters();
  readonly regs = new GuestRegisters(this.raw);
  readonly ports = new FakePorts();
  readonly memory = new PhysicalMemory(this.ram, NO_IO);
  readonly bios: BiosEmul;
  readonly events: string[] = [];
  a20 = true;
  /** Called each time the stub sleeps or polls; tests bring keys and time here. */
  onIdle: ((kind: "wait" | "poll") => void) | undefined;

  constructor(
    options: {
      config?: Partial<BiosConfig>;
      drives?: readonly BiosDrive[];
      services?: Readonly<Record<number, BiosHandler>>;
      instructionCount?: () => number;
    } = {},
  ) {
    this.bios = new BiosEmul({
      regs: this.regs,
      memory: this.memory,
      ports: this.ports,
      drives: options.drives ?? [],
      config: { ...DEFAULT_BIOS_CONFIG, ramBytes: 64 << 20, ...options.config },
      display: { lfbBase: () => 0, vramBytes: 1 << 20 },
      services: { 0x10: () => "done", 0x13: () => "done", 0x40: () => "done", ...options.services },
      ...(options.instructionCount !== undefined && { instructionCount: options.instructionCount }),
      a20Enabled: () => this.a20,
      powerOff: () => void this.events.push("off"),
      systemReset: () => void this.events.push("reset"),
    });
    this.bios.init();
    this.ports.writes.length = 0;
    this.regs.resetRealSegment("ss", 0x2000);
    this.regs.esp = 0x0100;
    this.regs.resetRealSegment("ds", 0x3000);
    this.regs.resetRealSegment("es", 0x3000);
    this.raw.setRflags(0x202);
  }

  /** Stack frame as INT leaves it, CS:IP at the vector's target. */
  enter(vector: number, flags = 0x0202): void {
    this.push(flags);
    this.push(CALLER.cs);
    this.push(CALLER.ip);
    this.regs.resetRealSegment("cs", this.ram.read16(vector * 4 + 2));
    this.regs.rip = BigInt(this.ram.read16(vector * 4));
    this.#followJump();
    if (this.regs.base("cs") + Number(this.regs.rip) === 0xf0000 + this.bios.rom.address("int13")) this.#dispatchDisk();
  }
  /** What the ROM's code does between INT 13h and the trap; test/guest/bios.test.mjs runs the code itself. */
  #dispatchDisk(): void {
    const { ah, dl } = this.regs;
    if (dl >= 0x80 || (ah >= 0x4a && ah <= 0x4d)) {
      this.regs.rip = BigInt(this.bios.rom.address("int13_disk"));
      return;
    }
    this.regs.resetRealSegment("cs", this.ram.read16(0x40 * 4 + 2));
    this.regs.rip = BigInt(this.ram.read16(0x40 * 4));
  }
  push(value: number): void {
    this.regs.sp = this.regs.sp - 2;
    this.ram.write16(this.regs.base("ss") + this.regs.sp, value);
  }
  #followJump(): void {
    const at = this.regs.base("cs") + Number(this.regs.rip);
    if (this.ram.read8(at) === 0xe9) this.regs.rip = BigInt((Number(this.regs.rip) + 3 + this.ram.read16(at + 1)) & 0xffff);
  }
  /** FLAGS image of the frame. */
  get flags(): number {
    return this.ram.read16(this.regs.base("ss") + ((this.regs.sp + 4) & 0xffff));
  }
  get carry(): boolean {
    return (this.flags & 1) !== 0;
  }
  get zero(): boolean {
    return (this.flags & 0x40) !== 0;
  }
  byteAtRip(): number {
    return this.ram.read8(this.regs.base("cs") + Number(this.regs.rip));
  }

  /** One INT until its IRET; the frame is left on the stack for the flag getters. At most `limit` rounds of waiting. */
  int(vector: number, flags = 0x0202, limit = 2000): "iret" | "waiting" | "elsewhere" | "not-ours" {
    this.enter(vector, flags);
    for (let i = 0; i <= limit; i++) {
      const result = this.bios.call();
      if (result === "not-ours") return result;
      const byte = this.byteAtRip();
      if (byte === 0xcf) return "iret";
      if (byte !== 0xfb) return "elsewhere";
      if (i === limit) return "waiting";
      const kind = this.ram.read8(this.regs.base("cs") + Number(this.regs.rip) + 1) === 0xf4 ? "wait" : "poll";
      this.onIdle?.(kind);
      this.regs.rip = BigInt(Number(this.regs.rip) + (kind === "wait" ? 2 : -4));
    }
    return "waiting";
  }
  /** Puts the CPU at a trap inside ROM code and runs it. */
  trap(id: number): "handled" | "not-ours" {
    const site = this.bios.rom.sites.find((s) => s.id === id && !s.resumed);
    if (site === undefined) throw new Error(`no trap ${id}`);
    this.regs.resetRealSegment("cs", 0xf000);
    this.regs.rip = BigInt(site.offset);
    return this.bios.call();
  }
}
