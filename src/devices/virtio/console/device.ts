import { shape } from "../../../base/index.ts";
import type { Clock, Shaped, Timer } from "../../../base/index.ts";
import type { ConsoleBackend } from "../../../backends/api/index.ts";
import type { VirtioHost, VirtioModel } from "../api.ts";
import { CONSOLE_PORT_STATE, ConsolePort } from "./port.ts";

const F_SIZE = 1n << 0n;
const F_MULTIPORT = 1n << 1n;
const F_EMERG_WRITE = 1n << 2n;

/** Control messages. Source: VIRTIO 1.2 §5.3.6.2. */
const EVENT = { DEVICE_READY: 0, PORT_ADD: 1, PORT_READY: 3, CONSOLE_PORT: 4, RESIZE: 5, PORT_OPEN: 6, PORT_NAME: 7 } as const;
const MESSAGE_BYTES = 8;
const EMERG_WRITE = 8;

const CONTROL_RX = 2;
const CONTROL_TX = 3;
const QUEUE_SIZE = 64;
const MAX_NAME_BYTES = 64;
/** More than any machine has. */
const MAX_PORTS = 64;
/** Messages that wait for buffers of the guest; a driver that never gives any loses the rest. */
const MAX_MESSAGES = 256;
/** Bytes printed, or messages served, inside one notification. */
const BATCH_BYTES = 16 * 1024;
const BATCH_MESSAGES = 64;
const PAUSE_NS = 10_000;

export interface VirtioConsolePort {
  readonly backend: ConsoleBackend;
  /** Default true for the first port, false for others. */
  readonly isConsole?: boolean;
  /** What `/sys/class/virtio-ports/vportNpM/name` shows; up to 64 ASCII characters. */
  readonly name?: string;
}

export const VIRTIO_CONSOLE_STATE = shape.record({
  v: shape.oneOf(1),
  columns: shape.word,
  rows: shape.word,
  resumeNs: shape.moment,
  messages: shape.list(shape.list(shape.byte, MESSAGE_BYTES + MAX_NAME_BYTES, 0), MAX_MESSAGES, 0),
  ports: shape.list(CONSOLE_PORT_STATE, MAX_PORTS, 0),
});
export type VirtioConsoleStateV1 = Shaped<typeof VIRTIO_CONSOLE_STATE>;

/**
 * A console with any number of ports (VIRTIO 1.2 §5.3). Port 0 is hvc0, for drivers without MULTIPORT too; others are consoles or named
 * channels for programs. Queues: receive and transmit of port 0, of the control channel, of port 1, ...
 */
export class VirtioConsole implements VirtioModel {
  readonly name = "virtio-console";
  readonly deviceType = 3;
  readonly classCode = 0x078000;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly configBytes = 12;
  readonly #ports: readonly ConsolePort[];
  readonly #clock: Clock;
  readonly #timer: Timer;
  #columns: number;
  #rows: number;
  #messages: Uint8Array[] = [];
  #host: VirtioHost | undefined;

  /** `ports`: 1..16. `columns` and `rows`: of all consoles, until `resize`. */
  constructor(options: {
    readonly clock: Clock;
    readonly ports: readonly VirtioConsolePort[];
    readonly columns?: number;
    readonly rows?: number;
  }) {
    this.#clock = options.clock;
    this.#timer = options.clock.createTimer("virtio-console", () => this.#printAll());
    this.#columns = options.columns ?? 80;
    this.#rows = options.rows ?? 25;
    this.#ports = options.ports.map(
      (port, i) => new ConsolePort({ backend: port.backend, isConsole: port.isConsole ?? i === 0, name: port.name?.slice(0, MAX_NAME_BYTES) }),
    );
    // A single console needs no control channel; its size is in the configuration space, about which all drivers agree.
    this.features = F_SIZE | F_EMERG_WRITE | (this.#ports.length > 1 ? F_MULTIPORT : 0n);
    this.queueSizes = Array.from({ length: this.#ports.length > 1 ? 2 + 2 * this.#ports.length : 2 }, () => QUEUE_SIZE);
    for (const [i, port] of this.#ports.entries()) {
      port.backend.onInput = (value) => {
        port.push(value);
        this.#feed(i);
      };
    }
  }

  /** Bytes that a port can take from the host now without losing any. */
  room(port: number): number {
    return this.#ports[port]?.room ?? 0;
  }

  /** The host's window changed. */
  resize(columns: number, rows: number): void {
    this.#columns = columns & 0xffff;
    this.#rows = rows & 0xffff;
    if (this.#multiport) {
      for (const [i, port] of this.#ports.entries()) if (port.ready && port.isConsole) this.#tell(i, EVENT.RESIZE, 0, this.#size());
      this.#flushMessages();
    } else this.#host?.configChanged();
  }

  connect(host: VirtioHost): void {
    this.#host = host;
  }
  activate(): void {}
  reset(): void {
    this.#timer.cancel();
    this.#messages = [];
    for (const port of this.#ports) port.reset();
  }

  readConfig(offset: number): number {
    const words = [this.#columns, this.#rows, this.#ports.length, 0, 0, 0];
    return ((words[offset >> 1] ?? 0) >>> (8 * (offset & 1))) & 0xff;
  }
  writeConfig(offset: number, value: number): void {
    // A crashing guest's last words: no queue needed, not even DRIVER_OK.
    if (offset === EMERG_WRITE) this.#ports[0]?.backend.writeByte(value & 0xff);
  }

  notified(index: number): void {
    if (index === CONTROL_RX && this.#multiport) this.#flushMessages();
    else if (index === CONTROL_TX && this.#multiport) this.#readControl();
    else if ((index & 1) !== 0) this.#printAll();
    else this.#feed(portOf(index));
  }

  saveState(): VirtioConsoleStateV1 {
    return {
      v: 1,
      columns: this.#columns,
      rows: this.#rows,
      resumeNs: this.#timer.deadlineNs ?? -1,
      messages: this.#messages.map((m) => Array.from(m)),
      ports: this.#ports.map((p) => p.saveState()),
    };
  }
  loadState(record: unknown, at: string): void {
    const state = VIRTIO_CONSOLE_STATE(record, at);
    this.#columns = state.columns;
    this.#rows = state.rows;
    this.#timer.cancel();
    if (state.resumeNs >= 0) this.#timer.arm(state.resumeNs);
    this.#messages = state.messages.map((m) => Uint8Array.from(m));
    for (const [i, port] of this.#ports.entries()) {
      const saved = state.ports[i];
      if (saved !== undefined) port.loadState(saved);
    }
  }

  get #multiport(): boolean {
    return ((this.#host?.features ?? 0n) & F_MULTIPORT) !== 0n;
  }

  #feed(index: number): void {
    const port = this.#ports[index];
    if (port === undefined || this.#host === undefined) return;
    // A channel's bytes wait for the program that opens it; a console listens as soon as it is there.
    if (this.#multiport ? !(port.isConsole ? port.ready : port.open) : index !== 0) return;
    port.feed(this.#host.queue(queueOf(index)));
  }

  #printAll(): void {
    if (this.#host === undefined || this.#timer.deadlineNs !== undefined) return;
    const ports = this.#multiport ? this.#ports.length : 1;
    let budget = BATCH_BYTES;
    for (let i = 0; i < ports; i++) {
      budget = this.#ports[i]?.print(this.#host.queue(queueOf(i) + 1), budget) ?? budget;
      if (budget > 0) continue;
      this.#timer.arm(this.#clock.nowNs() + PAUSE_NS);
      return;
    }
  }

  #readControl(): void {
    const queue = this.#host?.queue(CONTROL_TX);
    if (queue === undefined) return;
    const bytes = new Uint8Array(MESSAGE_BYTES);
    const view = new DataView(bytes.buffer);
    let served = 0;
    for (; served < BATCH_MESSAGES; served++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      const whole = chain.read(0, bytes) === MESSAGE_BYTES;
      queue.push(chain, 0);
      if (whole) this.#control(view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true));
    }
    if (served > 0) queue.notifyDriver();
    this.#flushMessages();
  }

  #control(id: number, event: number, value: number): void {
    if (event === EVENT.DEVICE_READY) {
      if (value === 1) for (const i of this.#ports.keys()) this.#tell(i, EVENT.PORT_ADD, 1);
      return;
    }
    const port = this.#ports[id];
    if (port === undefined) return;
    if (event === EVENT.PORT_READY && value === 1) {
      port.ready = true;
      if (port.isConsole) this.#tell(id, EVENT.CONSOLE_PORT, 1);
      if (port.name !== undefined)
        this.#tell(
          id,
          EVENT.PORT_NAME,
          1,
          Uint8Array.from(port.name, (c) => c.charCodeAt(0) & 0x7f),
        );
      this.#tell(id, EVENT.PORT_OPEN, 1);
      this.#feed(id);
    } else if (event === EVENT.PORT_OPEN) {
      port.open = value === 1;
      this.#feed(id);
    }
  }

  /** Columns first, as VIRTIO 1.2 §5.3.6.2 has it and Linux since 6.16; older ones swap them, so it is sent for a real change only. */
  #size(): Uint8Array {
    return Uint8Array.of(this.#columns & 0xff, this.#columns >>> 8, this.#rows & 0xff, this.#rows >>> 8);
  }

  #tell(id: number, event: number, value: number, extra: Uint8Array = new Uint8Array(0)): void {
    if (this.#messages.length >= MAX_MESSAGES) return;
    const bytes = new Uint8Array(MESSAGE_BYTES + extra.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, id, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    bytes.set(extra, MESSAGE_BYTES);
    this.#messages.push(bytes);
  }

  #flushMessages(): void {
    const queue = this.#host?.queue(CONTROL_RX);
    if (queue === undefined || this.#messages.length === 0) return;
    let sent = 0;
    for (const message of this.#messages) {
      const chain = queue.pop();
      if (chain === undefined) break;
      queue.push(chain, chain.write(0, message));
      sent++;
    }
    if (sent === 0) return;
    this.#messages.splice(0, sent);
    queue.notifyDriver();
  }
}

/** Receive queue of a port; the transmit queue is the next. */
const queueOf = (port: number): number => (port === 0 ? 0 : 2 + 2 * port);
const portOf = (queue: number): number => (queue === 0 ? 0 : (queue - 2) >> 1);
