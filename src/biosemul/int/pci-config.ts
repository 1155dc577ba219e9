import { PORT } from "../../isa/index.ts";
import type { PortIo } from "../api.ts";

function select(ports: PortIo, bus: number, devfn: number, register: number): void {
  ports.out32(PORT.PCI_ADDRESS, (0x80000000 | ((bus & 0xff) << 16) | ((devfn & 0xff) << 8) | (register & 0xfc)) >>> 0);
}

/** PCI configuration space by mechanism 1. `devfn`: device << 3 | function. */
export function pciRead8(ports: PortIo, bus: number, devfn: number, register: number): number {
  select(ports, bus, devfn, register);
  return ports.in8(PORT.PCI_DATA + (register & 3)) & 0xff;
}
export function pciRead16(ports: PortIo, bus: number, devfn: number, register: number): number {
  select(ports, bus, devfn, register);
  return ports.in16(PORT.PCI_DATA + (register & 2)) & 0xffff;
}
export function pciRead32(ports: PortIo, bus: number, devfn: number, register: number): number {
  select(ports, bus, devfn, register);
  return ports.in32(PORT.PCI_DATA) >>> 0;
}
export function pciWrite8(ports: PortIo, bus: number, devfn: number, register: number, value: number): void {
  select(ports, bus, devfn, register);
  ports.out8(PORT.PCI_DATA + (register & 3), value & 0xff);
}
export function pciWrite16(ports: PortIo, bus: number, devfn: number, register: number, value: number): void {
  select(ports, bus, devfn, register);
  ports.out16(PORT.PCI_DATA + (register & 2), value & 0xffff);
}
export function pciWrite32(ports: PortIo, bus: number, devfn: number, register: number, value: number): void {
  select(ports, bus, devfn, register);
  ports.out32(PORT.PCI_DATA, value >>> 0);
}

/** Calls `visit` for every function present on buses 0..lastBus until it returns true. */
export function eachPciFunction(ports: PortIo, lastBus: number, visit: (bus: number, devfn: number, id: number) => boolean): boolean {
  for (let bus = 0; bus <= lastBus; bus++) {
    for (let slot = 0; slot < 32; slot++) {
      let functions = 1;
      for (let fn = 0; fn < functions; fn++) {
        const devfn = (slot << 3) | fn;
        const id = pciRead32(ports, bus, devfn, 0);
        if ((id & 0xffff) === 0xffff) continue;
        if (fn === 0 && (pciRead8(ports, bus, devfn, 0x0e) & 0x80) !== 0) functions = 8;
        if (visit(bus, devfn, id)) return true;
      }
    }
  }
  return false;
}
