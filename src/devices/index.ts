export type { Ps2Device } from "./common/ps2.ts";
export { nsOfTick, ticksAt } from "./common/ticks.ts";
export { DebugPort } from "./debug-port/device.ts";
export { Dma8237, DMA8237_STATE } from "./dma8237/device.ts";
export type { Dma8237Options, Dma8237StateV1 } from "./dma8237/device.ts";
export { I8042, I8042_STATE } from "./i8042/device.ts";
export type { I8042Options, I8042StateV1 } from "./i8042/device.ts";
export { Lpt, LPT_STATE } from "./lpt/device.ts";
export type { LptOptions, LptStateV1 } from "./lpt/device.ts";
export { Pic8259, PIC8259_STATE } from "./pic8259/device.ts";
export type { Pic8259Options, Pic8259StateV1 } from "./pic8259/device.ts";
export { Pit8254, PIT8254_STATE } from "./pit8254/device.ts";
export type { Pit8254Options, Pit8254StateV1 } from "./pit8254/device.ts";
export { Ps2Keyboard, PS2_KEYBOARD_STATE } from "./ps2-keyboard/device.ts";
export type { KeyboardLeds, Ps2KeyboardOptions, Ps2KeyboardStateV1 } from "./ps2-keyboard/device.ts";
export { KEYS, isKeyName } from "./ps2-keyboard/keys.ts";
export type { KeyName } from "./ps2-keyboard/keys.ts";
export { charToKeys } from "./ps2-keyboard/us-layout.ts";
export type { TypedKey } from "./ps2-keyboard/us-layout.ts";
export { Ps2Mouse, PS2_MOUSE_STATE } from "./ps2-mouse/device.ts";
export type { Ps2MouseOptions, Ps2MouseStateV1 } from "./ps2-mouse/device.ts";
export { Rtc146818, RTC146818_STATE } from "./rtc146818/device.ts";
export type { Rtc146818Options, Rtc146818StateV1 } from "./rtc146818/device.ts";
export { civilFromSeconds, secondsFromCivil } from "./rtc146818/calendar.ts";
export type { CivilTime } from "./rtc146818/calendar.ts";
export { SystemPorts, SYSTEM_PORTS_STATE } from "./system-ports/device.ts";
export type { ResetKind, SystemPortsOptions, SystemPortsStateV1 } from "./system-ports/device.ts";
export { Uart16550, UART16550_STATE } from "./uart16550/device.ts";
export type { ModemLines } from "./uart16550/chip.ts";
export type { Uart16550Options, Uart16550StateV1 } from "./uart16550/device.ts";
export { I440fxHostBridge, PCI_CONFIG, PciBus, PciFunction, PciVga, Piix3Ide, Piix3IsaBridge } from "./pci/index.ts";
export type { BarOptions, PamSegment, PciBusOptions, PciBusStateV1, PciFunctionOptions, PciFunctionStateV1 } from "./pci/index.ts";
export { cp437Char, cp437Code, cp437ToString, Vga } from "./vga/index.ts";
export type { Frame, RenderOptions, TextScreen, VgaOptions, VgaStateV1, VideoMode } from "./vga/index.ts";
export { AtaDisk, AtapiDrive, busMasterPorts, IdeChannel } from "./ide/index.ts";
export type {
  AtaDiskOptions,
  AtaDiskStateV1,
  AtapiDriveOptions,
  AtapiDriveStateV1,
  IdeChannelOptions,
  IdeChannelStateV1,
  IdeDrive,
} from "./ide/index.ts";
export { Fdc82077 } from "./fdc/index.ts";
export type { Fdc82077Options, Fdc82077StateV1, FloppyMedium } from "./fdc/index.ts";
