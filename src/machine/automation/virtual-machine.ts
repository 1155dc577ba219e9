import { utf8Bytes, VmmError } from "../../base/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import type { Frame, TextScreen, VideoMode } from "../../devices/vga/index.ts";
import type { Vcpu } from "../../vmm/index.ts";
import { parseChord, parseTyped } from "./keys.ts";
import type { KeyChord, KeyName } from "./keys.ts";
import type { Pc } from "../pc-parts.ts";
import type { Platform } from "../platform.ts";
import { encodePng } from "./png.ts";
import { formatRegisters, readRegisters } from "./registers.ts";
import type { Registers } from "./registers.ts";
import { RunLoop } from "../run/run-loop.ts";
import type { MachineEnd, RunLoopOptions } from "../run/run-loop.ts";
import { screenLines, screenText } from "./screen-text.ts";
import type { OpenSnapshot } from "../snapshot/container.ts";
import { loadDrives, saveDrives } from "../snapshot/media.ts";
import { saveConfig } from "../snapshot/state.ts";
import type { MachineStateV1 } from "../snapshot/state.ts";
import type { SerialLine } from "./serial-line.ts";
import { translateLinear } from "./translate.ts";
import { Typist } from "./typist.ts";
import { WatchList } from "./watch.ts";
import type { Pattern, WatchMatch, WatchSource } from "./watch.ts";

/** How long to wait. */
export interface WaitOptions {
  /** Host time in milliseconds before the wait fails with `WAIT_TIMEOUT`; default 30000, 0 waits for ever. */
  readonly timeoutMs?: number;
}

/** How text is typed. */
export interface TypeOptions {
  /** Braces are braces: for text that is not written for this, such as a program's source. Default false. */
  readonly literal?: boolean;
}

/** How a machine runs, apart from what it is: resets, triple faults. */
export interface VirtualMachineOptions extends Partial<Omit<RunLoopOptions, "host">> {}

/**
 * A running PC under a program's control. A `waitFor` that matches, or keys that were all sent, hold the guest until the awaiting code has
 * had its turn, so `await vm.screen.waitFor(...); await vm.type(...)` types at the same guest instant on every run.
 */
export class VirtualMachine {
  /** The text and graphics screen. */
  readonly screen: Screen;
  /** COM1. */
  readonly serial: SerialPort;
  /** COM1..COM4. */
  readonly serialPorts: readonly SerialPort[];
  /** Virtio consoles: hvc0, hvc1, ... */
  readonly consolePorts: readonly SerialPort[];
  /** Guest-physical memory as the CPU sees it. */
  readonly memory: MemoryAccess;
  readonly #pc: Pc;
  readonly #platform: Platform;
  readonly #loop: RunLoop;
  readonly #watches: WatchList;
  readonly #typist: Typist;
  readonly #sources: readonly WatchSource[];
  #disposed = false;
  #saving: Promise<unknown> = Promise.resolve();

  constructor(pc: Pc, platform: Platform, options: VirtualMachineOptions = {}) {
    this.#pc = pc;
    this.#platform = platform;
    this.#loop = new RunLoop(pc, {
      host: platform,
      stopOnReset: options.stopOnReset ?? false,
      tripleFault: options.tripleFault ?? "stop",
      stayWhenHalted: options.stayWhenHalted ?? false,
    });
    pc.onArrival = () => this.#loop.wake();
    const watches = new WatchList(pc.clock, platform, () => this.#loop.breathe());
    this.#watches = watches;
    this.#typist = new Typist(pc.lineClock, pc.keyboard, () => this.#loop.breathe());
    const screenSource: WatchSource = { name: "screen", text: () => this.screen.text(), consume() {} };
    const serialSources = pc.serial.map(serialSource);
    const consoleSources = pc.consoles.map(serialSource);
    this.#sources = [screenSource, ...serialSources, ...consoleSources];
    const wait = (sources: readonly WatchSource[], pattern: Pattern, options?: WaitOptions): Promise<WatchMatch> =>
      watches.waitFor(sources, pattern, options?.timeoutMs, () => `\n--- screen ---\n${this.screen.text()}`);
    this.screen = new Screen(pc, (pattern, o) => wait([screenSource], pattern, o));
    this.serialPorts = pc.serial.map(
      (line, i) =>
        new SerialPort(
          line,
          (pattern, o) => wait(serialSources.slice(i, i + 1), pattern, o),
          () => this.#loop.wake(),
        ),
    );
    this.consolePorts = pc.consoles.map(
      (line, i) =>
        new SerialPort(
          line,
          (pattern, o) => wait(consoleSources.slice(i, i + 1), pattern, o),
          () => this.#loop.wake(),
        ),
    );
    const [first] = this.serialPorts;
    if (first === undefined) throw new Error("a PC has serial lines");
    this.serial = first;
    this.memory = new MemoryAccess(pc);
    for (const line of [...pc.serial, ...pc.consoles]) line.onBurst = () => watches.lookSoon();
    const stopTyping = (): void => this.#typist.end();
    this.#loop.ended.then(stopTyping, stopTyping);
    this.#loop.ended.then(
      (end) => watches.end(describeEnd(end)),
      (error: unknown) => watches.end(`internal error: ${String(error)}`),
    );
  }

  /** The wired PC behind it: buses, vCPU, chips. */
  get pc(): Pc {
    return this.#pc;
  }
  /** `ready` until started, then `running`, `paused`, at last `ended`. */
  get state(): "ready" | "running" | "pausing" | "paused" | "ended" {
    return this.#loop.state;
  }
  /** Resolves when the guest powered off, crashed or was stopped. */
  get ended(): Promise<MachineEnd> {
    return this.#loop.ended;
  }
  /** Guest time since power-on in nanoseconds. */
  get timeNs(): number {
    return this.#pc.clock.nowNs();
  }

  /** Lets the guest run; returns at once. */
  start(): void {
    this.#loop.start();
  }
  /** Stops the guest between two instructions; resolves when it stands still. */
  pause(): Promise<void> {
    return this.#loop.pause();
  }
  resume(): void {
    this.#loop.resume();
  }
  /** The power button: an ACPI event for a guest in ACPI mode; others are switched off at once. */
  powerButton(): void {
    this.#pc.powerButton();
    this.#loop.wake();
  }
  /** The reset button. */
  reset(): void {
    this.#typist.clear();
    this.#pc.request({ kind: "reset", warm: false, by: "reset button" });
    this.#loop.cutSlice();
    this.#loop.wake();
  }
  /** Pulls the plug: the machine ends, disks are flushed. */
  async powerOff(by = "host"): Promise<MachineEnd> {
    this.#loop.stop(by);
    return await this.ended;
  }

  /** Waits until the pattern shows on the screen or on a serial line. */
  waitFor(pattern: Pattern, options?: WaitOptions): Promise<WatchMatch> {
    return this.#watches.waitFor(this.#sources, pattern, options?.timeoutMs, () => `\n--- screen ---\n${this.screen.text()}`);
  }

  /**
   * Types text on the keyboard (US layout) with key names in braces, as on the command line: `"dir{Enter}"`, `"{ctrl-alt-del}"`; `{{` is a brace.
   * Resolves when the guest was sent the last key, or ended before.
   */
  type(text: string, options: TypeOptions = {}): Promise<void> {
    return this.#send(parseTyped(options.literal === true ? text.replaceAll("{", "{{") : text));
  }
  /** Presses keys or combinations by name: `vm.keys("ctrl-alt-del")`, `vm.keys("F1", "ArrowDown", "Enter")`. */
  keys(...names: readonly string[]): Promise<void> {
    return this.#send(names.map(parseChord));
  }
  /** Presses combinations in order: a person's keyboard, decoded elsewhere. */
  press(chords: readonly KeyChord[]): void {
    void this.#send(chords);
  }
  #send(chords: readonly KeyChord[]): Promise<void> {
    const done = this.#typist.type(chords);
    this.#loop.wake();
    return done;
  }
  /** Key presses that were asked for and that the guest never got because it ended before; 0 while it runs. */
  get unsentKeys(): number {
    return this.#typist.unsentPresses;
  }
  /** One key going down or up, for keyboards that tell both (a browser's). */
  key(name: KeyName, down: boolean): void {
    this.#pc.keyboard.key(name, down);
    this.#loop.wake();
  }
  /** Moves the PS/2 mouse; y grows downwards. `buttons`: bit 0 left, 1 right, 2 middle. */
  mouse(dx: number, dy: number, buttons = 0, wheel = 0): void {
    this.#pc.mouse.move(dx, dy, wheel, buttons);
    this.#loop.wake();
  }
  /** Swaps the medium of a removable drive; undefined takes it out. The machine owns the image from now on. */
  changeMedium(kind: "floppy" | "cdrom", unit: number, image: BlockBackend | undefined): void {
    this.#pc.changeMedium(kind, unit, image);
    this.#loop.wake();
  }

  /** The picture that a monitor would show, as a PNG file. */
  screenshot(): Promise<Uint8Array> {
    return encodePng(this.screen.frame());
  }
  /** A copy of a CPU's registers. Exact while paused; a moment's picture while running. */
  registers(cpu = 0): Registers {
    return readRegisters(this.#cpu(cpu).regs.raw);
  }
  #cpu(cpu: number): Vcpu {
    const vcpu = this.#pc.vcpus[cpu];
    if (vcpu === undefined) throw new VmmError("MACHINE_CPU", `there is no CPU ${cpu}`);
    return vcpu;
  }
  /** Linear to guest-physical address by a CPU's page tables as they are now; undefined where nothing is mapped. */
  translate(linear: bigint, cpu = 0): number | undefined {
    return translateLinear(this.#cpu(cpu).regs.raw, this.#pc.vm.memory, linear);
  }
  /** The registers as text for a person. */
  describeRegisters(cpu = 0): string {
    return formatRegisters(this.registers(cpu));
  }
  /** Counters: instructions of all CPUs, exits by kind, resets, what the engine counts; those of further CPUs with their number. */
  stats(): Readonly<Record<string, number>> {
    const out: Record<string, number> = { instructions: 0, resets: this.#loop.resets, timeNs: this.timeNs };
    this.#pc.vcpus.forEach((vcpu, cpu) => {
      out["instructions"] = (out["instructions"] ?? 0) + vcpu.instructionCount();
      const prefix = cpu === 0 ? "" : `cpu${cpu}.`;
      if (cpu > 0) out[`${prefix}instructions`] = vcpu.instructionCount();
      for (const [kind, count] of vcpu.exitCounts()) out[`${prefix}exit.${kind}`] = count;
      for (const [name, count] of Object.entries(vcpu.stats())) out[`${prefix}engine.${name}`] = count;
    });
    return out;
  }
  /**
   * The whole machine as one file: CPUs, chips, memory, what disks hold in memory. Disk images are flushed but are not in it. The guest stands
   * still meanwhile and goes on afterwards. Several at a time take turns.
   */
  save(): Promise<Uint8Array> {
    const turn = this.#saving.then(() => this.#save());
    this.#saving = turn.catch(() => {});
    return turn;
  }
  async #save(): Promise<Uint8Array> {
    const running = this.state === "running";
    if (running || this.state === "pausing") await this.pause();
    const standing: string = this.state;
    if (standing === "ended") throw new VmmError("MACHINE_ENDED", "the machine has ended; there is nothing to save");
    try {
      const { encodeSnapshot } = await import("../snapshot/container.ts");
      return await encodeSnapshot(this.#captureState(), snapshotRegions(this.#pc), this.#platform.packer);
    } finally {
      const now: string = this.state;
      if (running && now === "paused") this.resume();
    }
  }

  #captureState(): MachineStateV1 {
    const pc = this.#pc;
    // The loop first: it lets the CPUs take in what they were answered.
    const loop = this.#loop.saveState();
    return {
      v: 1,
      config: saveConfig(pc.config),
      drives: saveDrives(pc.config.drives, pc.drives),
      pc: pc.saveState(),
      typist: this.#typist.saveState(),
      loop,
    };
  }

  /** Goes on where a snapshot was saved: before the start, in a machine made from the snapshot's configuration. `boot({ restore })` does it all. */
  async load(snapshot: OpenSnapshot, state: MachineStateV1): Promise<void> {
    if (this.state !== "ready") throw new VmmError("MACHINE_STATE", `a machine that is ${this.state} takes no snapshot`);
    this.#pc.loadState(state.pc);
    this.#typist.loadState(state.typist);
    this.#loop.loadState(state.loop);
    loadDrives(state.drives, this.#pc.drives);
    await snapshot.loadRegions(snapshotRegions(this.#pc));
  }

  /** Watches every exit (tracing). */
  set observer(observer: RunLoop["observer"]) {
    this.#loop.observer = observer;
    this.#loop.cutSlice();
  }
  /** Wakes an idle machine: input arrived by a way of its own. */
  wake(): void {
    this.#loop.wake();
  }

  /** Ends the machine if it runs, writes disks back and frees the guest's memory. Safe to call twice. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#loop.stop("disposed");
    await this.ended.catch(() => {});
    this.#pc.dispose();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

type Wait = (pattern: Pattern, options?: WaitOptions) => Promise<WatchMatch>;

/** What a person would see. */
export class Screen {
  readonly #pc: Pc;
  readonly #wait: Wait;
  constructor(pc: Pc, wait: Wait) {
    this.#pc = pc;
    this.#wait = wait;
  }
  /** The text screen, rows joined by newlines, trailing blanks cut off; empty in graphics modes. */
  text(): string {
    const snapshot = this.#pc.display.snapshotText();
    return snapshot === undefined ? "" : screenText(snapshot);
  }
  /** The rows of the text screen. */
  lines(): string[] {
    const snapshot = this.#pc.display.snapshotText();
    return snapshot === undefined ? [] : screenLines(snapshot);
  }
  /** Characters with colours and cursor; undefined in graphics modes. */
  snapshot(): TextScreen | undefined {
    return this.#pc.display.snapshotText();
  }
  mode(): VideoMode {
    return this.#pc.display.mode();
  }
  /** The pixels, in text modes too. Blinking things are shown lit. */
  frame(): Frame {
    return this.#pc.display.renderFrame({ blinkPhase: true });
  }
  /** Waits until the text screen shows the pattern. */
  waitFor(pattern: Pattern, options?: WaitOptions): Promise<WatchMatch> {
    return this.#wait(pattern, options);
  }
}

/** A serial line: what the guest printed, and a keyboard at the other end. */
export class SerialPort {
  readonly #line: SerialLine;
  readonly #wait: Wait;
  readonly #wake: () => void;
  constructor(line: SerialLine, wait: Wait, wake: () => void) {
    this.#line = line;
    this.#wait = wait;
    this.#wake = wake;
  }
  /** Everything printed so far (the last 4 Mi characters), carriage returns removed. */
  text(): string {
    return this.#line.text();
  }
  /** Waits for output after the last match: asking twice for a prompt waits for two prompts. */
  waitFor(pattern: Pattern, options?: WaitOptions): Promise<WatchMatch> {
    return this.#wait(pattern, options);
  }
  /** Sends text (UTF-8) or bytes to the guest at the speed of a 115200 baud line. */
  write(data: string | Uint8Array): void {
    for (const byte of typeof data === "string" ? utf8Bytes(data) : data) this.#line.push(byte);
    this.#wake();
  }
}

/** Guest-physical memory. */
export class MemoryAccess {
  readonly #pc: Pc;
  constructor(pc: Pc) {
    this.#pc = pc;
  }
  get sizeBytes(): number {
    return this.#pc.config.memoryBytes;
  }
  /** A copy of `length` bytes. Addresses without memory read as FFh. */
  read(gpa: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#pc.vm.memory.read(gpa, bytes);
    return bytes;
  }
  /** Changes RAM; writes to ROM or nowhere vanish. */
  write(gpa: number, bytes: Uint8Array): void {
    this.#pc.vm.memory.write(gpa, bytes);
  }
}

function serialSource(line: SerialLine): WatchSource {
  return { name: line.name, text: (all) => line.unread(all), consume: (after) => line.consume(after) };
}

const REGIONS = ["ram", "vram", "rom", "video-rom"];

function snapshotRegions(pc: Pc): { readonly name: string; readonly bytes: Uint8Array }[] {
  return REGIONS.map((name) => ({ name, bytes: pc.vm.region(name)?.bytes ?? new Uint8Array(0) }));
}

/** One line about how a machine ended. */
export function describeEnd(end: MachineEnd): string {
  switch (end.kind) {
    case "power-off":
      return `the guest powered off (${end.by})`;
    case "reset":
      return `the guest reset the machine (${end.by})`;
    case "crash":
      return `the guest crashed: ${end.message}`;
    case "halted":
      return end.message;
    case "stopped":
      return `the machine was stopped (${end.by})`;
  }
}
