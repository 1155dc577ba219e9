/**
 * whyve's automation API: `boot()` makes a PC from disk images, lets it run, and gives a program its screen, keyboard,
 * serial lines, memory and registers.
 */
export { ERROR_CODES, VmmError } from "../base/index.ts";
export type { ErrorCode } from "../base/index.ts";
export { boot, createMachine } from "./boot.ts";
export type { BootOptions, ShareSource } from "./boot.ts";
export type { ImageSource } from "./media.ts";
export type { CableRequest, FileContent, ImageRequest, Platform } from "./platform.ts";
export type { Host } from "./run/host.ts";
export type { Packer } from "./snapshot/container.ts";
export type { KernelBoot } from "./kernel.ts";
export { parseMac } from "./net.ts";
export type { NetConfig, NetRequest } from "./net.ts";
export { isBootDevice, parseBootDevice } from "./boot-device.ts";
export type { BootDevice } from "./boot-device.ts";
export { DEFAULT_CONFIG, machineConfig, MAX_MEMORY_BYTES, MIN_MEMORY_BYTES } from "./config.ts";
export type { ClockKind, DriveConfig, MachineConfig, MachineOptions, TrapStyle } from "./config.ts";
export { VirtualMachine } from "./automation/virtual-machine.ts";
export { Screen } from "./automation/screen.ts";
export { SerialPort } from "./automation/serial-port.ts";
export { MemoryAccess } from "./automation/memory-access.ts";
export { describeEnd } from "./automation/describe-end.ts";
export type { Evidence } from "./automation/evidence.ts";
export type { TypeOptions, VirtualMachineOptions, WaitOptions } from "./automation/options.ts";
export type { BoardRequest, MachineEnd } from "./run/board.ts";
export type { ExitObserver, ExitResponder } from "./run/doors.ts";
export type { Pattern, WatchMatch } from "./automation/watch.ts";
export { parseChord, parseTyped } from "./automation/keys.ts";
export type { KeyChord, KeyName } from "./automation/keys.ts";
export { codeSize, cpuMode, formatRegisters } from "./automation/registers.ts";
export type { CpuMode, Registers } from "./automation/registers.ts";
export type { Pc } from "./pc.ts";
export { cp437Char, cp437Code } from "../devices/vga/index.ts";
export type { Frame, TextScreen, VideoMode } from "../devices/vga/index.ts";
