import { PORT } from "../../isa/index.ts";
import type { PortIo } from "../api.ts";
import type { BiosConfig } from "../config.ts";
import { eachPciFunction, pciRead16, pciRead32, pciRead8, pciWrite16, pciWrite32, pciWrite8 } from "../int/pci-config.ts";

const COMMAND = 0x04;
const BAR0 = 0x10;
const BARS = 6;
const HEADER_TYPE = 0x0e;
const INTERRUPT_LINE = 0x3c;
const INTERRUPT_PIN = 0x3d;
const PIRQ_ROUTE = 0x60;
const IO_SPACE = 1;
const MEMORY_SPACE = 2;
const IO_START = 0xc000;
const IO_END = 0x10000;
const PIIX4_PM = 0x71138086;
const PIIX4_PM_BASE = 0x40;
const PIIX4_PM_ENABLE = 0x80;

/** Gives every function on bus 0 its address ranges and its interrupt line; ranges preset outside our windows are kept. */
export function initPci(ports: PortIo, config: BiosConfig): void {
  if (!config.pci) return;
  let nextIo = IO_START;
  let nextMemory = config.pciMemStart;
  eachPciFunction(ports, 0, (bus, devfn, id) => {
    if ((pciRead8(ports, bus, devfn, HEADER_TYPE) & 0x7f) !== 0) return false;
    let enable = 0;
    for (let i = 0; i < BARS; i++) {
      const register = BAR0 + i * 4;
      const old = pciRead32(ports, bus, devfn, register);
      pciWrite32(ports, bus, devfn, register, 0xffffffff);
      const probe = pciRead32(ports, bus, devfn, register);
      pciWrite32(ports, bus, devfn, register, old);
      if (probe === 0 || probe === 0xffffffff) continue;
      const isIo = (probe & 1) !== 0;
      const wide = !isIo && (probe & 6) === 4;
      const mask = isIo ? (probe & 0xfffffffc) | 0xffff0000 : probe & 0xfffffff0;
      const size = (~mask + 1) >>> 0;
      const current = (isIo ? old & 0xfffc : old & 0xfffffff0) >>> 0;
      const ours = isIo ? current >= IO_START : current >= config.pciMemStart && current < config.pciMemEnd;
      if ((current === 0 || ours) && size > 0) {
        const start = isIo ? nextIo : nextMemory;
        const address = Math.ceil(start / size) * size;
        if (address + size > (isIo ? IO_END : config.pciMemEnd)) {
          if (wide) i++;
          continue; // no room: the range stays off
        }
        pciWrite32(ports, bus, devfn, register, address);
        if (isIo) nextIo = address + size;
        else nextMemory = address + size;
      }
      if (wide) {
        i++;
        pciWrite32(ports, bus, devfn, register + 4, 0);
      }
      enable |= isIo ? IO_SPACE : MEMORY_SPACE;
    }
    if (id === PIIX4_PM) {
      pciWrite32(ports, bus, devfn, PIIX4_PM_BASE, config.pmBase | 1);
      pciWrite8(ports, bus, devfn, PIIX4_PM_ENABLE, 1);
    }
    pciWrite16(ports, bus, devfn, COMMAND, pciRead16(ports, bus, devfn, COMMAND) | enable);
    const pin = pciRead8(ports, bus, devfn, INTERRUPT_PIN);
    if (pin >= 1 && pin <= 4) {
      pciWrite8(ports, bus, devfn, INTERRUPT_LINE, config.pirqIrqs[((devfn >>> 3) + pin - 1 + 3) & 3] ?? 0xff);
    }
    return false;
  });
  const level = config.pirqIrqs.reduce((mask, irq) => mask | (1 << irq), config.acpi ? 1 << config.sciIrq : 0);
  ports.out8(PORT.ELCR, level & 0xf8);
  ports.out8(PORT.ELCR + 1, (level >>> 8) & 0xde);
  const bridge = config.isaBridgeSlot;
  if (bridge !== undefined) config.pirqIrqs.forEach((irq, i) => pciWrite8(ports, 0, bridge << 3, PIRQ_ROUTE + i, irq));
}
