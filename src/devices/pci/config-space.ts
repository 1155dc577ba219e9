import { assert, shape } from "../../base/index.ts";
import type { Shaped } from "../../base/index.ts";
import { configU16, configU32, setConfig } from "./bytes.ts";
import { MSIX_STATE, MsiCapability, MsixTable, PCI_CAPABILITY } from "./messages.ts";
import type { MsiOptions, MsixOptions } from "./messages.ts";

/** Offsets in a type 0 configuration header. Source: PCI Local Bus Specification 2.2, chapter 6. */
export const PCI_CONFIG = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION: 0x08,
  CLASS: 0x09,
  CACHE_LINE: 0x0c,
  LATENCY: 0x0d,
  HEADER_TYPE: 0x0e,
  BAR0: 0x10,
  SUBSYSTEM_VENDOR: 0x2c,
  SUBSYSTEM_ID: 0x2e,
  ROM_BAR: 0x30,
  CAPABILITIES: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const;

export const PCI_COMMAND_IO = 0x0001;
export const PCI_COMMAND_MEMORY = 0x0002;
export const PCI_COMMAND_MASTER = 0x0004;
export const PCI_COMMAND_INTX_DISABLE = 0x0400;
const PCI_STATUS_INTERRUPT = 0x0008;
const PCI_STATUS_CAPABILITIES = 0x0010;
/** Addresses beyond this are the sizing pattern of a 64-bit BAR, or nowhere. */
const MAX_PHYSICAL = 2 ** 40;

/** The byte-wide bits of STATUS that software clears by writing one. */
const STATUS_W1C_HIGH = 0xf9;

/** A base address register, or the expansion ROM's. Sizes are powers of two: at least 4 for I/O, 16 for memory, 2048 for a ROM. */
export interface BarOptions {
  /** 0..5; "rom" for the expansion ROM at 30h. */
  readonly index: number | "rom";
  readonly kind: "io" | "memory" | "prefetchable";
  /** A memory BAR with a 64-bit address, which takes the next index too. */
  readonly wide?: boolean;
  readonly sizeBytes: number;
  /** Where the range is now; undefined while it is not decoded (disabled, zero, or being sized). Called only on a change. */
  readonly onMap: (address: number | undefined) => void;
}

export interface PciFunctionOptions {
  readonly name: string;
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision?: number;
  /** Class, subclass, programming interface: 24 bits, class highest. */
  readonly classCode: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  /** 0 none, 1 INTA# .. 4 INTD#. */
  readonly interruptPin?: number;
  /** Bits of COMMAND that software can change (default: I/O, memory, master, INTx disable) and that are set at reset. */
  readonly commandMask?: number;
  readonly commandReset?: number;
  readonly bars?: readonly BarOptions[];
  readonly msi?: MsiOptions;
  /** The chip maps `msixTable` where the BAR is. */
  readonly msix?: MsixOptions;
  /** Power states D0 and D3hot; the state is kept over D3hot (PCI Power Management 1.2). */
  readonly powerManagement?: boolean;
}

export const PCI_FUNCTION_STATE = shape.record({
  v: shape.oneOf(1),
  config: shape.list(shape.byte, 256),
  interrupt: shape.flag,
  msix: shape.maybe(MSIX_STATE),
});
export type PciFunctionStateV1 = Shaped<typeof PCI_FUNCTION_STATE>;

interface Bar extends BarOptions {
  readonly offset: number;
  mapped: number | undefined;
}

/**
 * One function on a PCI bus: 256 bytes of configuration space with a writable mask, base address registers with the
 * sizing protocol, INTx. Chips derive from it and add registers with `defineRegister` and `onConfigWrite`.
 */
export class PciFunction {
  readonly name: string;
  readonly interruptPin: number;
  protected readonly config = new Uint8Array(256);
  readonly #writable = new Uint8Array(256);
  readonly #resetValues: Uint8Array;
  readonly #bars: Bar[] = [];
  #interrupt = false;
  #interruptOut = false;
  #intx: (level: boolean) => void = () => {};
  /** Next free byte for a capability, and the byte that links to it. */
  #capabilityEnd = 0x40;
  #capabilityLink: number = PCI_CONFIG.CAPABILITIES;
  #msi: MsiCapability | undefined;
  #msixAt = 0;
  #powerAt = 0;
  /** The memory range behind MSI-X, for the BAR that `msix.bar` names. */
  readonly msixTable: MsixTable | undefined;

  constructor(options: PciFunctionOptions) {
    this.name = options.name;
    this.interruptPin = options.interruptPin ?? 0;
    const c = this.config;
    setConfig(c, PCI_CONFIG.VENDOR_ID, 2, options.vendorId);
    setConfig(c, PCI_CONFIG.DEVICE_ID, 2, options.deviceId);
    setConfig(c, PCI_CONFIG.COMMAND, 2, options.commandReset ?? 0);
    // Medium DEVSEL timing, fast back-to-back capable.
    setConfig(c, PCI_CONFIG.STATUS, 2, 0x0280);
    c[PCI_CONFIG.REVISION] = options.revision ?? 0;
    setConfig(c, PCI_CONFIG.CLASS, 3, options.classCode);
    setConfig(c, PCI_CONFIG.SUBSYSTEM_VENDOR, 2, options.subsystemVendorId ?? 0);
    setConfig(c, PCI_CONFIG.SUBSYSTEM_ID, 2, options.subsystemId ?? 0);
    c[PCI_CONFIG.INTERRUPT_PIN] = this.interruptPin;
    const command =
      options.commandMask ?? PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | (this.interruptPin !== 0 ? PCI_COMMAND_INTX_DISABLE : 0);
    setConfig(this.#writable, PCI_CONFIG.COMMAND, 2, command);
    this.#writable[PCI_CONFIG.CACHE_LINE] = 0xff;
    this.#writable[PCI_CONFIG.LATENCY] = 0xff;
    this.#writable[PCI_CONFIG.INTERRUPT_LINE] = 0xff;
    for (const bar of options.bars ?? []) {
      const offset = bar.index === "rom" ? PCI_CONFIG.ROM_BAR : PCI_CONFIG.BAR0 + 4 * bar.index;
      const addressBits = ~(bar.sizeBytes - 1) >>> 0;
      setConfig(this.#writable, offset, 4, bar.index === "rom" ? (addressBits | 1) >>> 0 : addressBits);
      if (bar.index !== "rom") c[offset] = bar.kind === "io" ? 1 : (bar.kind === "prefetchable" ? 8 : 0) | (bar.wide === true ? 4 : 0);
      if (bar.wide === true) setConfig(this.#writable, offset + 4, 4, 0xffffffff);
      this.#bars.push({ ...bar, offset, mapped: undefined });
    }
    this.#resetValues = c.slice();
    if (options.msix !== undefined) {
      const { msix } = options;
      this.msixTable = new MsixTable(options.name, msix);
      const body = new Uint8Array(10);
      setConfig(body, 0, 2, msix.vectors - 1);
      setConfig(body, 2, 4, msix.bar);
      setConfig(body, 6, 4, (msix.barBytes / 2) | msix.bar);
      this.#msixAt = this.addCapability(PCI_CAPABILITY.MSIX, body, Uint8Array.of(0, 0xc0));
    }
    if (options.msi !== undefined) {
      const { body, writable } = MsiCapability.layout(options.msi.vectors);
      this.#msi = new MsiCapability(c, this.addCapability(PCI_CAPABILITY.MSI, body, writable), options.msi.sink);
    }
    // PMC: version 3, no PME; PMCSR: no soft reset.
    if (options.powerManagement === true) {
      this.#powerAt = this.addCapability(PCI_CAPABILITY.POWER, Uint8Array.of(0x03, 0, 0x08, 0, 0, 0), Uint8Array.of(0, 0, 0x03));
    }
  }

  /**
   * Adds a capability behind the others: its bytes after the two of its header, and which bits of them software can change. Returns
   * where its header is.
   */
  protected addCapability(id: number, body: Uint8Array, writable: Uint8Array = new Uint8Array(0)): number {
    const at = this.#capabilityEnd;
    assert(at + 2 + body.length <= 0x100, `no room for capability ${id} of ${this.name}`);
    this.#capabilityEnd = (at + 2 + body.length + 3) & ~3;
    this.defineRegister(this.#capabilityLink, 1, at, 0);
    this.defineRegister(PCI_CONFIG.STATUS, 2, configU16(this.config, PCI_CONFIG.STATUS) | PCI_STATUS_CAPABILITIES, 0);
    this.defineRegister(at, 2, id, 0);
    for (const [i, byte] of body.entries()) this.defineRegister(at + 2 + i, 1, byte, writable[i] ?? 0);
    this.#capabilityLink = at + 1;
    return at;
  }

  /** Interrupts go out as messages: INTx is silent then. */
  get messagesEnabled(): boolean {
    return this.msixEnabled || this.#msi?.enabled === true;
  }

  get msixEnabled(): boolean {
    return this.#msixAt !== 0 && ((this.config[this.#msixAt + 3] ?? 0) & 0x80) !== 0;
  }

  /** An event, when messages are enabled: `vector` of the MSI-X table, or of the MSI block. */
  signalMessage(vector: number): void {
    if (this.msixEnabled) this.msixTable?.fire(vector);
    else if (this.#msi?.enabled === true) this.#msi.fire(vector, this.#mayMaster);
  }

  get #mayMaster(): boolean {
    return (this.command & PCI_COMMAND_MASTER) !== 0 && this.#powered;
  }

  get #powered(): boolean {
    return this.#powerAt === 0 || ((this.config[this.#powerAt + 4] ?? 0) & 3) === 0;
  }

  /** Adds a chip-specific register of `size` bytes: its reset value and the bits that software can change. */
  protected defineRegister(offset: number, size: number, resetValue: number, writableMask: number): void {
    setConfig(this.config, offset, size, resetValue);
    setConfig(this.#resetValues, offset, size, resetValue);
    setConfig(this.#writable, offset, size, writableMask);
  }

  /** Called after each write with the bytes it covered. */
  protected onConfigWrite(_offset: number, _size: number): void {}

  /** Set by the bus: where INTx goes. */
  connectInterrupt(intx: (level: boolean) => void): void {
    this.#intx = intx;
  }

  /** Set by the bus for function 0 of a device with several. */
  setMultiFunction(): void {
    this.config[PCI_CONFIG.HEADER_TYPE] = 0x80;
    this.#resetValues[PCI_CONFIG.HEADER_TYPE] = 0x80;
  }

  /** The function's interrupt request (before INTx disable); a level. */
  setInterrupt(level: boolean): void {
    this.#interrupt = level;
    this.#updateInterrupt();
  }

  get command(): number {
    return configU16(this.config, PCI_CONFIG.COMMAND);
  }

  /** `size` bytes at `offset`, both inside one dword. */
  readConfig(offset: number, size: number): number {
    return size === 4 ? configU32(this.config, offset) : size === 2 ? configU16(this.config, offset) : (this.config[offset] ?? 0xff);
  }

  writeConfig(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) {
      const at = (offset + i) & 0xff;
      const byte = (value >>> (8 * i)) & 0xff;
      const mask = this.#writable[at] ?? 0;
      let next = ((this.config[at] ?? 0) & ~mask) | (byte & mask);
      // D1 and D2 do not exist: a write of them leaves the power state alone.
      if (this.#powerAt !== 0 && at === this.#powerAt + 4 && (byte & 3) % 3 !== 0) next = this.config[at] ?? 0;
      if (at === PCI_CONFIG.STATUS + 1) next &= ~(byte & STATUS_W1C_HIGH);
      this.config[at] = next;
    }
    this.#refresh(offset);
    this.onConfigWrite(offset, size);
  }

  /** RST#: everything back to power-on; ranges are unmapped. */
  reset(): void {
    this.config.set(this.#resetValues);
    this.#interrupt = false;
    this.msixTable?.reset();
    this.#refresh(0);
    this.onConfigWrite(0, 256);
  }

  saveState(): PciFunctionStateV1 {
    return { v: 1, config: Array.from(this.config), interrupt: this.#interrupt, msix: this.msixTable?.saveState() };
  }

  loadState(value: unknown, at = this.name): void {
    const state = PCI_FUNCTION_STATE(value, at);
    for (let i = 0; i < 256; i++) this.config[i] = state.config[i] ?? 0;
    this.#interrupt = state.interrupt;
    if (state.msix !== undefined) this.msixTable?.loadState(state.msix);
    this.#refresh(0);
    this.onConfigWrite(0, 256);
  }

  /** What follows from the configuration registers, after a write at or behind `offset`. */
  #refresh(offset: number): void {
    if (offset < 0x40 || this.#capabilityEnd > 0x40) {
      this.#updateBars();
      this.#updateInterrupt();
      this.#msi?.written(this.#mayMaster);
      this.msixTable?.setOpen(this.msixEnabled && ((this.config[this.#msixAt + 3] ?? 0) & 0x40) === 0 && this.#mayMaster);
    }
  }

  #updateInterrupt(): void {
    const c = this.config;
    c[PCI_CONFIG.STATUS] = ((c[PCI_CONFIG.STATUS] ?? 0) & ~PCI_STATUS_INTERRUPT) | (this.#interrupt ? PCI_STATUS_INTERRUPT : 0);
    const out = this.#interrupt && (this.command & PCI_COMMAND_INTX_DISABLE) === 0 && !this.messagesEnabled && this.#powered;
    if (out === this.#interruptOut) return;
    this.#interruptOut = out;
    this.#intx(out);
  }

  #updateBars(): void {
    const command = this.command;
    for (const bar of this.#bars) {
      const raw = configU32(this.config, bar.offset);
      const high = bar.wide === true ? configU32(this.config, bar.offset + 4) : 0;
      const address = ((raw & ~(bar.sizeBytes - 1)) >>> 0) + high * 2 ** 32;
      let enabled = this.#powered && (command & (bar.kind === "io" ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) !== 0;
      if (bar.index === "rom") enabled &&= (raw & 1) !== 0;
      // An address of zero is "unassigned"; one that reaches the top of the space is the sizing pattern.
      const limit = bar.kind === "io" ? 0x10000 : high === 0 ? 0xffffffff : MAX_PHYSICAL;
      const mapped = enabled && address !== 0 && address + bar.sizeBytes <= limit ? address : undefined;
      if (mapped === bar.mapped) continue;
      // Unmap before mapping anew: the callbacks never see two ranges at once.
      if (bar.mapped !== undefined && mapped !== undefined) bar.onMap(undefined);
      bar.mapped = mapped;
      bar.onMap(mapped);
    }
  }
}
