import { shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import type { AccessSize, BusDevice, MsiSink } from "../../bus/index.ts";
import { readBytes } from "../common/byte-access.ts";
import { configU16, configU32 } from "./bytes.ts";

/** Capability identifiers. Source: PCI Local Bus Specification 3.0, appendix H. */
export const PCI_CAPABILITY = { POWER: 0x01, MSI: 0x05, VENDOR: 0x09, MSIX: 0x11 } as const;

/** A function's message-signalled interrupts, one vector each (PCI 3.0 §6.8.1). */
export interface MsiOptions {
  /** Vectors asked for: a power of two, at most 32. */
  readonly vectors: 1 | 2 | 4 | 8 | 16 | 32;
  readonly sink: MsiSink;
}

/** MSI-X: a table of messages in a memory BAR (PCI 3.0 §6.8.2). The table is at 0 of the BAR, the pending bits at half of it. */
export interface MsixOptions {
  /** 1..2048, as far as the BAR has room: 16 bytes a vector in its lower half. */
  readonly vectors: number;
  /** The BAR that the chip maps `PciFunction.msixTable` in. */
  readonly bar: number;
  readonly barBytes: number;
  readonly sink: MsiSink;
}

/** Bytes of the MSI capability with 64-bit address and per-vector masks, without its two header bytes. */
export const MSI_BODY_BYTES = 0x16;

const MAX_VECTORS = 2048;

export const MSIX_STATE = shape.record({
  v: shape.oneOf(1),
  table: shape.list(shape.dword, 4 * MAX_VECTORS, 0),
  pending: shape.list(shape.dword, MAX_VECTORS / 32, 0),
});
export type MsixStateV1 = Shaped<typeof MSIX_STATE>;

/** The MSI capability's registers in a function's configuration space. */
export class MsiCapability {
  readonly #config: Uint8Array;
  readonly #at: number;
  readonly #sink: MsiSink;

  constructor(config: Uint8Array, at: number, sink: MsiSink) {
    this.#config = config;
    this.#at = at;
    this.#sink = sink;
  }

  /** Initial bytes and writable masks behind the header. */
  static layout(vectors: number): { readonly body: Uint8Array; readonly writable: Uint8Array } {
    const body = new Uint8Array(MSI_BODY_BYTES);
    const writable = new Uint8Array(MSI_BODY_BYTES);
    // Control: bit 0 enable, 3:1 vectors that can be, 6:4 vectors that are on, 7 64-bit address, 8 per-vector masks.
    body[0] = 0x80 | ((31 - Math.clz32(vectors)) << 1);
    body[1] = 0x01;
    writable[0] = 0x71;
    writable.set([0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 2);
    const mask = vectors === 32 ? 0xffffffff : (1 << vectors) - 1;
    for (let i = 0; i < 4; i++) writable[0x0e + i] = (mask >>> (8 * i)) & 0xff;
    return { body, writable };
  }

  get enabled(): boolean {
    return ((this.#config[this.#at + 2] ?? 0) & 1) !== 0;
  }

  /** The chip's event: sent now, or pending while masked or while the function may not master the bus. */
  fire(vector: number, mayMaster: boolean): void {
    const enabledVectors = 1 << Math.min(5, ((this.#config[this.#at + 2] ?? 0) >>> 4) & 7);
    const v = vector & (enabledVectors - 1);
    const bit = (1 << v) >>> 0;
    if (!mayMaster || (configU32(this.#config, this.#at + 0x10) & bit) !== 0) this.#setPending(configU32(this.#config, this.#at + 0x14) | bit);
    else this.#send(v, enabledVectors);
  }

  /** After a write to the capability: what was pending and is no longer masked goes out. */
  written(mayMaster: boolean): void {
    const pending = configU32(this.#config, this.#at + 0x14);
    if (pending === 0 || !this.enabled || !mayMaster) return;
    const enabledVectors = 1 << Math.min(5, ((this.#config[this.#at + 2] ?? 0) >>> 4) & 7);
    const ready = pending & ~configU32(this.#config, this.#at + 0x10);
    this.#setPending(pending & ~ready);
    for (let v = 0; v < enabledVectors; v++) if ((ready & (1 << v)) !== 0) this.#send(v, enabledVectors);
  }

  #send(vector: number, enabledVectors: number): void {
    if (configU32(this.#config, this.#at + 8) !== 0) return;
    const data = configU16(this.#config, this.#at + 0x0c);
    this.#sink.write(configU32(this.#config, this.#at + 4), (data & ~(enabledVectors - 1)) | vector);
  }

  #setPending(bits: number): void {
    for (let i = 0; i < 4; i++) this.#config[this.#at + 0x14 + i] = (bits >>> (8 * i)) & 0xff;
  }
}

/** The MSI-X table and pending bits, as the memory range that software programs. */
export class MsixTable implements BusDevice {
  readonly name: string;
  readonly vectors: number;
  readonly #sink: MsiSink;
  /** Address, address high, data, control (bit 0 masked) of each vector. */
  readonly #table: Uint32Array;
  readonly #pending: Uint32Array;
  readonly #pbaOffset: number;
  /** Message control: enable and function mask; bus mastering as well. Set by the function. */
  #open = false;

  constructor(name: string, options: MsixOptions) {
    this.name = `${name}-msix`;
    this.vectors = options.vectors;
    this.#sink = options.sink;
    this.#table = new Uint32Array(4 * options.vectors);
    this.#pending = new Uint32Array(Math.ceil(options.vectors / 32));
    this.#pbaOffset = options.barBytes / 2;
    this.reset();
  }

  reset(): void {
    this.#table.fill(0);
    for (let v = 0; v < this.vectors; v++) this.#table[4 * v + 3] = 1;
    this.#pending.fill(0);
    this.#open = false;
  }

  /** The function's gate: enabled, not masked as a whole, allowed to master the bus. */
  setOpen(open: boolean): void {
    this.#open = open;
    if (open) for (let v = 0; v < this.vectors; v++) this.#release(v);
  }

  /** The chip's event for a vector: a message now, or a pending bit. A vector that does not exist is ignored. */
  fire(vector: number): void {
    if (vector < 0 || vector >= this.vectors) return;
    const word = vector >>> 5;
    this.#pending[word] = (this.#pending[word] ?? 0) | (1 << (vector & 31));
    this.#release(vector);
  }

  #release(vector: number): void {
    if (!this.#open) return;
    const word = vector >>> 5;
    const bit = 1 << (vector & 31);
    const at = 4 * vector;
    if (((this.#pending[word] ?? 0) & bit) === 0 || ((this.#table[at + 3] ?? 1) & 1) !== 0) return;
    this.#pending[word] = (this.#pending[word] ?? 0) & ~bit;
    if (this.#table[at + 1] === 0) this.#sink.write(this.#table[at] ?? 0, this.#table[at + 2] ?? 0);
  }

  read(offset: number, size: AccessSize): number {
    return readBytes(offset, size, (at) => this.#byte(at));
  }

  #byte(offset: number): number {
    const at = offset >>> 2;
    const shift = 8 * (offset & 3);
    if (offset < this.#pbaOffset) return ((this.#table[at] ?? 0) >>> shift) & 0xff;
    return ((this.#pending[at - this.#pbaOffset / 4] ?? 0) >>> shift) & 0xff;
  }

  write(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) {
      const at = (offset + i) >>> 2;
      if (at >= this.#table.length) return; // pending bits are read-only
      const shift = 8 * ((offset + i) & 3);
      const mask = (at & 3) === 3 ? 1 : (at & 3) === 0 ? 0xfffffffc : 0xffffffff;
      const writable = (0xff << shift) & mask;
      this.#table[at] = ((this.#table[at] ?? 0) & ~writable) | ((((value >>> (8 * i)) & 0xff) << shift) & writable);
    }
    this.#release(offset >>> 4);
  }

  saveState(): MsixStateV1 {
    return { v: 1, table: Array.from(this.#table), pending: Array.from(this.#pending) };
  }

  loadState(state: MsixStateV1): void {
    for (let i = 0; i < this.#table.length; i++) this.#table[i] = state.table[i] ?? ((i & 3) === 3 ? 1 : 0);
    for (let i = 0; i < this.#pending.length; i++) this.#pending[i] = state.pending[i] ?? 0;
  }
}
