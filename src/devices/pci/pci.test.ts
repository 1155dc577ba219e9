import fc from "fast-check";
import { expect, test } from "vitest";
import type { IrqPin } from "../../bus/index.ts";
import { I440fxHostBridge, PciBus, PciFunction, Piix3Ide, Piix3IsaBridge, PciVga } from "./index.ts";
import type { PamSegment } from "./index.ts";

function machine() {
  const maps = { busMaster: [] as (number | undefined)[], lfb: [] as (number | undefined)[], nic: [] as (number | undefined)[] };
  const pam: PamSegment[] = [];
  const irqs = Array.from({ length: 16 }, () => false);
  const pins: IrqPin[] = irqs.map((_, irq) => ({ set: (level) => (irqs[irq] = level) }));
  const isa = new Piix3IsaBridge({ pins });
  const bus = new PciBus({ onPirq: (pirq, level) => isa.setPirq(pirq, level) });
  const nic = new PciFunction({
    name: "nic",
    vendorId: 0x1af4,
    deviceId: 0x1000,
    classCode: 0x020000,
    interruptPin: 1,
    bars: [{ index: 0, kind: "io", sizeBytes: 32, onMap: (a) => maps.nic.push(a) }],
  });
  bus.attach(0, 0, new I440fxHostBridge({ onPam: (s) => pam.push(s) }));
  bus.attach(1, 0, isa);
  bus.attach(1, 1, new Piix3Ide({ onBusMasterMap: (a) => maps.busMaster.push(a) }));
  bus.attach(2, 0, new PciVga({ frameBufferBytes: 16 << 20, onFrameBufferMap: (a) => maps.lfb.push(a) }));
  bus.attach(3, 0, nic);
  const select = (slot: number, fn: number, reg: number): void =>
    bus.addressPort.write(0, 4, (0x80000000 | (slot << 11) | (fn << 8) | (reg & 0xfc)) >>> 0);
  const read = (slot: number, fn: number, reg: number, size: 1 | 2 | 4): number => {
    select(slot, fn, reg);
    return bus.dataPort.read(reg & 3, size);
  };
  const write = (slot: number, fn: number, reg: number, size: 1 | 2 | 4, value: number): void => {
    select(slot, fn, reg);
    bus.dataPort.write(reg & 3, size, value);
  };
  return { bus, isa, nic, maps, pam, irqs, read, write };
}

test("mechanism #1 finds the functions and gives all ones elsewhere", () => {
  const { bus, read } = machine();
  expect([read(0, 0, 0, 4), read(1, 0, 0, 4), read(1, 1, 0, 4), read(2, 0, 0, 4)]).toEqual([0x12378086, 0x70008086, 0x70108086, 0x11111234]);
  expect([read(0, 0, 2, 2), read(0, 0, 1, 1), read(1, 0, 0x0e, 1), read(1, 1, 0x08, 4)]).toEqual([0x1237, 0x80, 0x80, 0x01018000]);
  expect([read(9, 0, 0, 4), read(1, 2, 0, 2), read(2, 1, 0, 1)]).toEqual([0xffffffff, 0xffff, 0xff]);
  bus.addressPort.write(0, 4, 0x80010000);
  expect(bus.dataPort.read(0, 4)).toBe(0xffffffff);
  bus.addressPort.write(0, 4, 0x00000000);
  expect(bus.dataPort.read(0, 4)).toBe(0xffffffff);
});

test("the address register takes dwords only and keeps its reserved bits zero", () => {
  const { bus } = machine();
  bus.addressPort.write(0, 4, 0xffffffff);
  expect(bus.addressPort.read(0, 4)).toBe(0x80fffffc);
  bus.addressPort.write(0, 1, 0);
  expect(bus.addressPort.read(0, 4)).toBe(0x80fffffc);
});

test("a BAR answers the sizing protocol without being mapped by it, then follows relocation", () => {
  const { maps, read, write } = machine();
  write(2, 0, 0x10, 4, 0xffffffff);
  expect(read(2, 0, 0x10, 4)).toBe(0xff000008);
  write(2, 0, 0x10, 4, 0xe0000000);
  write(2, 0, 0x10, 4, 0xd1234567);
  expect(maps.lfb).toEqual([0xe0000000, undefined, 0xd1000000]);
  write(2, 0, 4, 2, 0);
  expect(maps.lfb.at(-1)).toBeUndefined();
  write(1, 1, 0x20, 4, 0xffffffff);
  expect(read(1, 1, 0x20, 4)).toBe(0xfffffff1);
  write(1, 1, 0x14, 4, 0xffffffff);
  expect(read(1, 1, 0x14, 4)).toBe(0);
});

test("INTA# of slot 3 is PIRQC; 62h routes it to an IRQ, INTx disable and reset take it away", () => {
  const { bus, nic, irqs, read, write } = machine();
  nic.setInterrupt(true);
  expect(irqs.some(Boolean)).toBe(false);
  write(1, 0, 0x62, 1, 0x0b);
  expect([irqs[11], read(3, 0, 6, 2) & 8]).toEqual([true, 8]);
  write(1, 0, 0x62, 1, 0x05);
  expect([irqs[11], irqs[5]]).toEqual([false, true]);
  write(3, 0, 4, 2, 0x400);
  expect(irqs[5]).toBe(false);
  write(3, 0, 4, 2, 0);
  expect(irqs[5]).toBe(true);
  bus.reset();
  expect(irqs.some(Boolean)).toBe(false);
});

test("PAM registers report each segment that changes", () => {
  const { pam, write } = machine();
  write(0, 0, 0x59, 1, 0x30);
  expect(pam).toEqual([{ start: 0xf0000, sizeBytes: 0x10000, readRam: true, writeRam: true }]);
  write(0, 0, 0x5a, 1, 0x21);
  expect(pam.slice(1)).toEqual([
    { start: 0xc0000, sizeBytes: 0x4000, readRam: true, writeRam: false },
    { start: 0xc4000, sizeBytes: 0x4000, readRam: false, writeRam: true },
  ]);
});

test("state survives a save and load, mappings included", () => {
  const a = machine();
  a.write(2, 0, 0x10, 4, 0xe0000000);
  a.write(2, 0, 4, 2, 3);
  const b = machine();
  b.bus.loadState(structuredClone(a.bus.saveState()));
  expect(b.maps.lfb).toEqual([0xe0000000]);
  expect(b.bus.saveState()).toEqual(a.bus.saveState());
});

test("random configuration accesses never throw and values fit their size", () => {
  const { bus } = machine();
  const size = fc.constantFrom<1 | 2 | 4>(1, 2, 4);
  fc.assert(
    fc.property(fc.nat(0xffffffff), size, fc.nat(3), fc.nat(0xffffffff), fc.boolean(), (address, s, offset, value, write) => {
      bus.addressPort.write(0, 4, (address | 0x80000000) >>> 0);
      const at = Math.min(offset, 4 - s);
      if (write) bus.dataPort.write(at, s, value % 2 ** (8 * s));
      else expect(bus.dataPort.read(at, s)).toBeLessThan(2 ** (8 * s));
    }),
    { seed: 8, numRuns: 5000 },
  );
});
