import { checkOptions, kinds, VmmError } from "../../base/index.ts";
import type { BlockBackend } from "../../backends/api/index.ts";
import type { Vcpu } from "../../vmm/index.ts";
import { describeEnd } from "./describe-end.ts";
import { LastLines } from "./evidence.ts";
import type { Evidence } from "./evidence.ts";
import { asPromise, guardOf } from "./guard.ts";
import type { Guard } from "./guard.ts";
import { isKeyName } from "../../devices/ps2-keyboard/keys.ts";
import { parseChord, parseTyped } from "./keys.ts";
import type { KeyChord, KeyName } from "./keys.ts";
import type { Pc } from "../pc.ts";
import type { Platform } from "../platform.ts";
import { PATTERN, TYPE_OPTIONS, WAIT_OPTIONS } from "../options/tables.ts";
import { MemoryAccess } from "./memory-access.ts";
import type { TypeOptions, VirtualMachineOptions, WaitOptions } from "./options.ts";
import { encodePng } from "./png.ts";
import { formatRegisters, readRegisters } from "./registers.ts";
import type { Registers } from "./registers.ts";
import { RunLoop } from "../run/run-loop.ts";
import type { MachineEnd } from "../run/board.ts";
import type { ExitObserver, ExitResponder } from "../run/doors.ts";
import { Screen } from "./screen.ts";
import type { Wait } from "./screen.ts";
import { SerialPort } from "./serial-port.ts";
import type { OpenSnapshot } from "../snapshot/container.ts";
import { loadDrives, saveDrives } from "../snapshot/media.ts";
import { saveConfig } from "../snapshot/state.ts";
import type { MachineStateV1 } from "../snapshot/state.ts";
import type { SerialLine } from "./serial-line.ts";
import { translateLinear } from "./translate.ts";
import { Typist } from "./typist.ts";
import { WatchList } from "./watch.ts";
import type { Pattern, WatchMatch, WatchSource } from "./watch.ts";

const { anything, choice, either, finite, flag, integer, kind: kindOf, list, text, withMethods } = kinds;

const DEFAULT_WAIT_MS = 4000;
const UNIT = integer(0, 3, "the number of a drive, from 0");
const COUNT = finite("a number");
const OBSERVER = withMethods("{ maxBudget, beforeRun(), afterRun() }", "beforeRun", "afterRun");
const BUDGET = integer(1, Number.MAX_SAFE_INTEGER, "a whole number of instructions, from 1");
const RESPONDER = withMethods("{ kinds, respond() }", "respond");
const EXIT_KINDS = list("an array of kinds of exits", text());
const CPU_NUMBER = integer(0, 15, "the number of a CPU, from 0");
const TEXT = text();
const KEY = kindOf("a key's KeyboardEvent.code, such as KeyA or Enter", (v) => typeof v === "string" && isKeyName(v));
const BUTTONS = integer(0, 7, "a sum of 1 (left), 2 (right) and 4 (middle)");
const REMOVABLE = choice(["floppy", "cdrom"]);
const LINEAR = kindOf("a bigint", (v) => typeof v === "bigint");
const NAME = text("the name of a key, such as F1 or ctrl-alt-del");
const MEDIUM = either("a file name, a BlockBackend, or undefined to take it out", (v) =>
  v === undefined ? anything : typeof v === "string" ? text() : withMethods("a BlockBackend", "read", "write"),
);

/** Opens a file as the medium of a drive. */
export type OpenMedium = (kind: "floppy" | "cdrom", path: string) => Promise<BlockBackend>;

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
  readonly #guard: Guard = guardOf(() => this.#disposed);
  readonly #waitTimeoutMs: number;
  readonly #openMedium: OpenMedium;
  readonly #biosCalls: LastLines;
  #disposed = false;
  #saving: Promise<unknown> = Promise.resolve();

  /** `openMedium`: how `changeMedium` opens a file. */
  constructor(pc: Pc, platform: Platform, options: VirtualMachineOptions, openMedium: OpenMedium) {
    this.#openMedium = openMedium;
    this.#biosCalls = new LastLines(options.keepBiosCalls ?? 0);
    if ((options.keepBiosCalls ?? 0) > 0) pc.traceBios((line) => this.#biosCalls.add(line));
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
    this.#waitTimeoutMs = options.waitTimeoutMs ?? DEFAULT_WAIT_MS;
    const waitOn =
      (...sources: readonly WatchSource[]): Wait =>
      (pattern, o) =>
        this.#wait(sources, pattern, o);
    const wake = (): void => this.#loop.wake();
    const port = (source: WatchSource, line: SerialLine): SerialPort => new SerialPort(line, waitOn(source), wake, this.#guard);
    this.screen = new Screen(() => pc.display, waitOn(screenSource));
    this.serialPorts = pc.serial.map((line) => port(serialSource(line), line));
    this.consolePorts = pc.consoles.map((line) => port(serialSource(line), line));
    const [first] = this.serialPorts;
    if (first === undefined) throw new Error("a PC has serial lines");
    this.serial = first;
    this.memory = new MemoryAccess(pc, this.#guard);
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
    this.#guard("start()");
    this.#loop.start();
  }
  /** Stops the guest between two instructions; resolves when it stands still. */
  pause(): Promise<void> {
    return asPromise(() => {
      this.#guard("pause()");
      return this.#loop.pause();
    });
  }
  resume(): void {
    this.#guard("resume()");
    this.#loop.resume();
  }
  /** The power button: an ACPI event for a guest in ACPI mode; others are switched off at once. */
  powerButton(): void {
    this.#guard("powerButton()");
    this.#pc.powerButton();
    this.#loop.wake();
  }
  /** The reset button. */
  reset(): void {
    this.#guard("reset()");
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
    return this.#wait(this.#sources, pattern, options);
  }
  #wait(sources: readonly WatchSource[], pattern: Pattern, options: WaitOptions = {}): Promise<WatchMatch> {
    return asPromise(() => {
      this.#guard("waitFor()", ["pattern", PATTERN, pattern]);
      checkOptions("waitFor()", WAIT_OPTIONS, options, "WAIT_OPTIONS", "{ timeoutMs: 60000 }");
      const { timeoutMs = this.#waitTimeoutMs, rejectOn, consume } = options;
      return this.#watches.waitFor({ sources, pattern, timeoutMs, rejectOn, consume, describe: () => `\n--- screen ---\n${this.screen.text()}` });
    });
  }

  /**
   * Types text on the keyboard (US layout) with key names in braces, as on the command line: `"dir{Enter}"`, `"{ctrl-alt-del}"`; `{{` is a brace.
   * Resolves when the guest was sent the last key, or ended before.
   */
  type(text: string, options: TypeOptions = {}): Promise<void> {
    return asPromise(() => {
      this.#guard("type()", ["text", TEXT, text]);
      checkOptions("type()", TYPE_OPTIONS, options, "API_ARGUMENT", "{ literal: true }");
      return this.#send(parseTyped(options.literal === true ? text.replaceAll("{", "{{") : text));
    });
  }
  /** Presses keys or combinations by name: `vm.keys("ctrl-alt-del")`, `vm.keys("F1", "ArrowDown", "Enter")`. */
  keys(...names: readonly string[]): Promise<void> {
    return asPromise(() => {
      this.#guard("keys()", ...names.map((name, i) => [`name ${i + 1}`, NAME, name] as const));
      return this.#send(names.map(parseChord));
    });
  }
  /** Presses combinations in order: a person's keyboard, decoded elsewhere. */
  press(chords: readonly KeyChord[]): void {
    this.#guard("press()");
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
    this.#guard("key()", ["name", KEY, name], ["down", flag, down]);
    this.#pc.keyboard.key(name, down);
    this.#loop.wake();
  }
  /** Moves the PS/2 mouse; y grows downwards. `buttons`: bit 0 left, 1 right, 2 middle. */
  mouse(dx: number, dy: number, buttons = 0, wheel = 0): void {
    this.#guard("mouse()", ["dx", COUNT, dx], ["dy", COUNT, dy], ["buttons", BUTTONS, buttons], ["wheel", COUNT, wheel]);
    this.#pc.mouse.move(dx, dy, wheel, buttons);
    this.#loop.wake();
  }
  /**
   * Swaps the medium of a removable drive: another image by its file name, or one that is open already, which the machine owns from then on;
   * undefined takes it out. A file that cannot be opened leaves the old medium in the drive.
   */
  async changeMedium(kind: "floppy" | "cdrom", unit: number, image: string | BlockBackend | undefined): Promise<void> {
    this.#guard("changeMedium()", ["kind", REMOVABLE, kind], ["unit", UNIT, unit], ["image", MEDIUM, image]);
    const removable = this.#pc.drives.filter((d) => d.kind !== "hard-disk");
    if (!removable.some((d) => d.kind === kind && d.unit === unit)) {
      const there = removable.map((d) => `${d.kind} ${d.unit}`).join(", ");
      throw new VmmError(
        "MACHINE_DRIVE",
        `changeMedium(): there is no ${kind} drive ${unit}; ${there === "" ? "the machine has no removable drive" : `there is ${there}`}`,
      );
    }
    const medium = typeof image === "string" ? await this.#openMedium(kind, image) : image;
    if (this.#disposed) {
      medium?.close();
      this.#guard("changeMedium()");
    }
    this.#pc.changeMedium(kind, unit, medium);
    this.#loop.wake();
  }

  /** The picture that a monitor would show, as a PNG file. */
  screenshot(): Promise<Uint8Array> {
    return asPromise(() => {
      this.#guard("screenshot()");
      return encodePng(this.screen.frame());
    });
  }
  /** All that helps to find out why a test failed, in one call; `saveEvidence` of the package's door writes it into a directory. */
  async evidence(): Promise<Evidence> {
    const serial: Record<string, string> = {};
    for (const line of [...this.#pc.serial, ...this.#pc.consoles]) if (line.text() !== "") serial[line.name] = line.text();
    return {
      screenshot: await this.screenshot(),
      screen: this.screen.text(),
      serial,
      registers: this.describeRegisters(),
      biosCalls: this.#biosCalls.lines(),
    };
  }
  /** A copy of a CPU's registers. Exact while paused; a moment's picture while running. */
  registers(cpu = 0): Registers {
    return readRegisters(this.#cpu(cpu).regs.raw);
  }
  #cpu(cpu: number): Vcpu {
    this.#guard("registers", ["cpu", CPU_NUMBER, cpu]);
    const vcpu = this.#pc.vcpus[cpu];
    if (vcpu === undefined) throw new VmmError("MACHINE_CPU", `there is no CPU ${cpu}`);
    return vcpu;
  }
  /** Linear to guest-physical address by a CPU's page tables as they are now; undefined where nothing is mapped. */
  translate(linear: bigint, cpu = 0): number | undefined {
    this.#guard("translate()", ["linear", LINEAR, linear]);
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
    return asPromise(() => {
      this.#guard("save()");
      const turn = this.#saving.then(() => this.#save());
      this.#saving = turn.catch(() => {});
      return turn;
    });
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

  /** Lets somebody watch every run of the processors (a trace, a debugger); several at a time. Returns how to take it away. */
  observe(observer: ExitObserver): () => void {
    this.#guard("observe()", ["observer", OBSERVER, observer]);
    this.#guard("observe()", ["observer.maxBudget", BUDGET, observer.maxBudget]);
    if (!this.#pc.exactBudgets && observer.maxBudget < Number.MAX_SAFE_INTEGER)
      throw new VmmError("ENGINE_TRAIT", "this engine does not run instructions one at a time");
    const remove = this.#loop.doors.addObserver(observer);
    this.#loop.cutSlice();
    return remove;
  }
  /** Lets somebody answer exits before the machine does (a personality, a debugger); asked in the order of coming. Returns how to take it away. */
  answerExits(responder: ExitResponder): () => void {
    this.#guard("answerExits()", ["responder", RESPONDER, responder]);
    this.#guard("answerExits()", ["responder.kinds", EXIT_KINDS, responder.kinds]);
    return this.#loop.doors.addResponder(responder);
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

function serialSource(line: SerialLine): WatchSource {
  return { name: line.name, text: (all) => line.unread(all), consume: (after) => line.consume(after) };
}

const REGIONS = ["ram", "vram", "rom", "video-rom"];

function snapshotRegions(pc: Pc): { readonly name: string; readonly bytes: Uint8Array }[] {
  return REGIONS.map((name) => ({ name, bytes: pc.vm.region(name)?.bytes ?? new Uint8Array(0) }));
}
