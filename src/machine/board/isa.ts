import { DebugPort, Dma8237, I8042, Lpt, Ps2Keyboard, Ps2Mouse, SystemPorts, Uart16550 } from "../../devices/index.ts";
import { IRQ, PORT } from "../../isa/index.ts";
import type { Backplane } from "./backplane.ts";

/** Where each serial port is, by PC convention. */
export const COM_PORTS = [
  { port: PORT.COM1, irq: IRQ.COM1 },
  { port: PORT.COM2, irq: IRQ.COM2 },
  { port: PORT.COM3, irq: IRQ.COM1 },
  { port: PORT.COM4, irq: IRQ.COM2 },
] as const;

export function buildDma(on: Backplane): Dma8237 {
  const dma = new Dma8237({ memory: on.wires.dma });
  on.claimBytes(PORT.DMA1, 16, dma.controller1);
  on.claimBytes(PORT.DMA2, 32, dma.controller2);
  on.claimBytes(PORT.DMA_PAGE, 16, dma.pages);
  return dma;
}

export function buildKeyboard({ wires }: Backplane): Ps2Keyboard {
  return new Ps2Keyboard({ clock: wires.clock });
}

export function buildMouse({ wires }: Backplane): Ps2Mouse {
  return new Ps2Mouse({ clock: wires.clock });
}

/** One A20 latch with two handles, keyboard controller and port 92h; whoever moves it, the other follows. */
function moveA20({ chips, wires }: Backplane, enabled: boolean): void {
  chips.kbc.setA20(enabled);
  chips.system.setA20(enabled);
  wires.a20(enabled);
}

export function buildKbc(on: Backplane): I8042 {
  const kbc = new I8042({
    clock: on.wires.clock,
    keyboard: on.chips.keyboard,
    aux: on.chips.mouse,
    keyboardPin: on.pin(IRQ.KBD),
    auxPin: on.pin(IRQ.MOUSE),
    a20: (enabled) => moveA20(on, enabled),
    reset: () => on.wires.reset("cpu", "keyboard controller"),
  });
  on.pio.register(PORT.KBC_DATA, 1, kbc.data);
  on.pio.register(PORT.KBC_STATUS, 1, kbc.command);
  return kbc;
}

/** Ports 92h, CF9h, F0h. */
export function buildSystemPorts(on: Backplane): SystemPorts {
  const system = new SystemPorts({
    a20: (enabled) => moveA20(on, enabled),
    fpuPin: on.pin(IRQ.FPU),
    clearFpuBusy: on.wires.clearFpuBusy,
    reset: (kind) => on.wires.reset(kind, kind === "cpu" ? "port 92h" : "port CF9h"),
  });
  on.pio.register(PORT.SYSTEM_A, 1, system.portA);
  on.pio.register(PORT.RESET_CONTROL, 1, system.resetControl, { overlay: true });
  on.claimBytes(PORT.FPU_BUSY, 2, system.fpu);
  return system;
}

export function buildUarts(on: Backplane): readonly Uart16550[] {
  return on.wires.serial.map((line, i) => {
    const { port, irq } = COM_PORTS[i] ?? COM_PORTS[0];
    const uart = new Uart16550({ name: line.name, clock: on.wires.clock, pin: on.pin(irq), console: line });
    line.canReceive = () => uart.pendingInput < 16;
    on.claimBytes(port, 8, uart);
    return uart;
  });
}

export function buildLpt(on: Backplane): Lpt | undefined {
  const { printer } = on.config;
  if (printer === undefined) return undefined;
  const lpt = new Lpt({ name: "lpt1", sink: printer, pin: on.pin(IRQ.LPT1) });
  on.claimBytes(PORT.LPT1, 3, lpt);
  return lpt;
}

export function buildDebugPort({ config, pio }: Backplane): DebugPort | undefined {
  if (config.debugPort === undefined) return undefined;
  const port = new DebugPort({ sink: config.debugPort });
  pio.register(PORT.DEBUG_E9, 1, port);
  return port;
}
