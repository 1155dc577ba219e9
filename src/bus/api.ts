/** What a device model sees of the world: offsets, a pin, DMA and a clock (base). Nothing else. */
export type AccessSize = 1 | 2 | 4;

/** A claimed range of I/O ports or of guest-physical memory. Never throws; `value` is unsigned. */
export interface BusDevice {
  readonly name: string;
  /** `offset` from the start of the claimed range. Returns an unsigned integer below 2^(8*size). */
  read(offset: number, size: AccessSize): number;
  write(offset: number, size: AccessSize, value: number): void;
}

/** An interrupt wire. Level semantics: the device says what the wire is now; repeats are harmless. */
export interface IrqPin {
  set(level: boolean): void;
}

/** Bus-master and DMA access to guest-physical memory. Outside RAM: reads give FFh, writes vanish. */
export interface DmaView {
  read(gpa: number, into: Uint8Array): void;
  write(gpa: number, from: Uint8Array): void;
}

/** Where message-signalled interrupts go: a dword write to FEEx_xxxxh (SDM vol. 3A 11.11). Never throws. */
export interface MsiSink {
  write(address: number, data: number): void;
}

/** A pin that goes nowhere. */
export const NO_PIN: IrqPin = { set() {} };
