import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ManualClock } from "../../base/index.ts";
import { ApicBus, LocalApic, LocalApicPorts, setVirtualWire } from "./index.ts";
import type { LapicCpu } from "./index.ts";

class FakeCpu implements LapicCpu {
  line = false;
  page: number | undefined = -1;
  readonly log: string[] = [];
  setInterruptLine(level: boolean): void {
    this.line = level;
  }
  raiseNmi(): void {
    this.log.push("nmi");
  }
  raiseInit(): void {
    this.log.push("init");
  }
  raiseStartup(vector: number): void {
    this.log.push(`sipi ${vector.toString(16)}`);
  }
  setApicPage(gpa: number | undefined): void {
    this.page = gpa;
  }
}

/** Time that may have come to a deadline before its timer is called, as a machine's does inside a slice. */
class LateClock extends ManualClock {
  ahead = 0;
  override nowNs(): number {
    return super.nowNs() + this.ahead;
  }
}

function setUp(count = 1) {
  const clock = new LateClock();
  const bus = new ApicBus();
  const pic = { vector: 0x08, acknowledges: 0 };
  const ended: number[] = [];
  const tsc = { offset: 0 };
  bus.attachListener({ endOfInterrupt: (vector) => void ended.push(vector) });
  const cpus = Array.from({ length: count }, () => new FakeCpu());
  const apics = cpus.map(
    (cpu, id) =>
      new LocalApic({
        id,
        bsp: id === 0,
        clock,
        bus,
        cpu,
        acknowledgePic: () => {
          pic.acknowledges++;
          return pic.vector;
        },
        guestTsc: () => clock.nowNs() + tsc.offset,
      }),
  );
  const ports = apics.map((a) => new LocalApicPorts(a));
  const [cpu, apic, port] = [cpus[0], apics[0], ports[0]];
  if (cpu === undefined || apic === undefined || port === undefined) throw new Error("no CPU");
  const write = (offset: number, value: number, n = 0): void => ports[n]?.pageWrite(offset, 4, value >>> 0);
  const read = (offset: number, n = 0): number => ports[n]?.pageRead(offset, 4) ?? -1;
  /** Software-enabled with spurious vector FFh, flat logical ids 1 << n. */
  const enable = (): void => {
    for (let n = 0; n < count; n++) {
      write(0xf0, 0x1ff, n);
      write(0xe0, 0xffffffff, n);
      write(0xd0, 1 << (24 + n), n);
    }
  };
  const enterX2apic = (n = 0): void => {
    ports[n]?.msrWrite(0x1b, (ports[n]?.msrRead(0x1b) ?? 0n) | 0x400n);
  };
  return { clock, bus, pic, ended, tsc, cpus, apics, ports, cpu, apic, port, write, read, enable, enterX2apic };
}

describe("local APIC: registers", () => {
  it("starts in xAPIC mode at FEE00000h, software-disabled, all entries masked", () => {
    const { cpu, port, read } = setUp();
    expect(cpu.page).toBe(0xfee00000);
    expect(port.msrRead(0x1b)).toBe(0xfee00900n);
    expect([read(0x20), read(0x30), read(0xf0), read(0xe0)]).toEqual([0, 0x1050014, 0xff, 0xffffffff]);
    for (let at = 0x320; at <= 0x370; at += 0x10) expect(read(at)).toBe(0x10000);
  });

  it("gives parts of registers to narrow reads and ignores narrow writes", () => {
    const { port, read, write } = setUp();
    write(0xd0, 0xab000000);
    expect([port.pageRead(0xd3, 1), port.pageRead(0xd2, 2), port.pageRead(0xd4, 4)]).toEqual([0xab, 0xab00, 0]);
    port.pageWrite(0xd0, 1, 0x11);
    expect(read(0xd0)).toBe(0xab000000);
  });

  it("keeps entries masked while software-disabled", () => {
    const { read, write } = setUp();
    write(0x350, 0x700);
    expect(read(0x350)).toBe(0x10700);
    write(0xf0, 0x1ff);
    write(0x350, 0x700);
    expect(read(0x350)).toBe(0x700);
    write(0xf0, 0xff);
    expect(read(0x350)).toBe(0x10700);
  });

  it("latches errors at a write to ESR and reports them once", () => {
    const { read, write, enable, cpu, apic } = setUp();
    enable();
    write(0x370, 0x30);
    write(0x300, 0x40005); // vector 5 is illegal
    expect([read(0x280), cpu.line]).toEqual([0, true]);
    write(0x280, 0);
    expect([read(0x280), apic.acknowledge()]).toEqual([0x20, 0x30]);
    write(0x280, 0);
    expect(read(0x280)).toBe(0);
    read(0x400);
    write(0x280, 0);
    expect(read(0x280)).toBe(0x80);
  });
});

describe("local APIC: acceptance", () => {
  it("delivers by priority class and holds back what the processor priority covers", () => {
    const { bus, cpu, apic, port, read, write, enable } = setUp();
    enable();
    bus.deliver(0, false, false, 0, 0x41, false);
    expect([cpu.line, apic.acknowledge(), cpu.line, read(0xa0)]).toEqual([true, 0x41, false, 0x40]);
    bus.deliver(0, false, false, 0, 0x4f, false);
    expect(cpu.line).toBe(false);
    bus.deliver(0, false, false, 0, 0x91, false);
    expect([cpu.line, apic.acknowledge()]).toEqual([true, 0x91]);
    write(0xb0, 0);
    expect(cpu.line).toBe(false);
    write(0xb0, 0);
    expect(cpu.line).toBe(true);
    port.writeTpr(4);
    expect([cpu.line, port.readTpr(), read(0x80)]).toEqual([false, 4, 0x40]);
    port.writeTpr(3);
    expect([cpu.line, apic.acknowledge()]).toEqual([true, 0x4f]);
  });

  it("answers with the spurious vector when nothing is due", () => {
    const { apic, enable, write } = setUp();
    enable();
    write(0xf0, 0x1ef);
    expect(apic.acknowledge()).toBe(0xef);
  });

  it("broadcasts the EOI of level-triggered interrupts only, and not when told to keep it", () => {
    const { bus, apic, write, enable, ended } = setUp();
    enable();
    for (const [vector, level, svr] of [
      [0x31, false, 0x1ff],
      [0x32, true, 0x1ff],
      [0x33, true, 0x11ff],
    ] as const) {
      write(0xf0, svr);
      bus.deliver(0, false, false, 0, vector, level);
      expect(apic.acknowledge()).toBe(vector);
      write(0xb0, 0);
    }
    expect(ended).toEqual([0x32]);
  });

  it("does not accept fixed interrupts while disabled, but NMI, INIT and start-up", () => {
    const { bus, cpu } = setUp();
    expect(bus.deliver(0, false, false, 0, 0x55, false)).toBe(false);
    expect(bus.deliver(0, false, false, 4, 0, false)).toBe(true);
    expect(bus.deliver(0, false, false, 5, 0, false)).toBe(true);
    expect(bus.deliver(0, false, false, 6, 0x9a, false)).toBe(true);
    expect(cpu.log).toEqual(["nmi", "init", "sipi 9a"]);
  });

  it("passes the 8259s through LINT0 in virtual wire mode and when globally disabled, but not when masked", () => {
    const { apic, cpu, pic, port } = setUp();
    apic.setLint(0, true);
    expect(cpu.line).toBe(false);
    setVirtualWire(apic);
    expect(cpu.line).toBe(true);
    expect([apic.acknowledge(), pic.acknowledges]).toEqual([0x08, 1]);
    apic.setLint(0, false);
    expect(cpu.line).toBe(false);
    apic.setLint(0, true);
    apic.write(0x35, 0x10700);
    expect(cpu.line).toBe(false);
    expect(port.msrWrite(0x1b, 0xfee00100n)).toBe(true);
    expect([cpu.line, cpu.page, apic.acknowledge()]).toEqual([true, undefined, 0x08]);
  });

  it("prefers its own interrupts to the 8259s'", () => {
    const { apic, bus, pic } = setUp();
    setVirtualWire(apic);
    apic.setLint(0, true);
    bus.deliver(0, false, false, 0, 0x60, false);
    expect([apic.acknowledge(), pic.acknowledges, apic.acknowledge(), pic.acknowledges]).toEqual([0x60, 0, 0x08, 1]);
  });

  it("takes ExtINT messages and level-triggered LINT0", () => {
    const { apic, bus, cpu, enable, write, read } = setUp();
    enable();
    bus.deliver(0, false, false, 7, 0, false);
    expect([cpu.line, apic.acknowledge(), cpu.line]).toEqual([true, 0x08, false]);
    write(0x350, 0x8041);
    apic.setLint(0, true);
    expect([read(0x350), apic.acknowledge(), cpu.line]).toEqual([0xc041, 0x41, false]);
    write(0xb0, 0);
    expect([cpu.line, apic.acknowledge()]).toEqual([true, 0x41]);
    apic.setLint(0, false);
    write(0xb0, 0);
    expect([cpu.line, read(0x350)]).toEqual([false, 0x8041]);
  });

  it("raises NMI by LINT1's edge", () => {
    const { apic, cpu } = setUp();
    setVirtualWire(apic);
    apic.setLint(1, true);
    apic.setLint(1, true);
    expect(cpu.log).toEqual(["nmi"]);
  });
});

describe("local APIC: IPIs and destinations", () => {
  it("sends by physical id, by flat and cluster logical ids, to all and to all others", () => {
    const { cpus, apics, write, enable } = setUp(4);
    enable();
    const lines = (): string => cpus.map((c) => (c.line ? "1" : "0")).join("");
    const drain = (): void => {
      for (let n = 0; n < 4; n++)
        while (cpus[n]?.line === true) {
          apics[n]?.acknowledge();
          write(0xb0, 0, n);
        }
    };
    const send = (destination: number, low: number): string => {
      write(0x310, destination << 24);
      write(0x300, low);
      const got = lines();
      drain();
      return got;
    };
    expect(send(2, 0x40)).toBe("0010");
    expect(send(0xff, 0x40)).toBe("1111");
    expect(send(0b1010, 0x840)).toBe("0101");
    expect(send(0, 0x40040)).toBe("1000");
    expect(send(0, 0x80040)).toBe("1111");
    expect(send(0, 0xc0040)).toBe("0111");
    for (let n = 0; n < 4; n++) {
      write(0xe0, 0x0fffffff, n);
      write(0xd0, ((n >> 1) * 16 + (1 << (n & 1))) << 24, n);
    }
    expect(send(0x13, 0x840)).toBe("0011");
    expect(send(0x02, 0x840)).toBe("0100");
    expect(send(0xf1, 0x840)).toBe("1010");
  });

  it("does INIT and start-up, ignores the INIT de-assert, resets the target's APIC", () => {
    const { cpus, write, read, enable } = setUp(2);
    enable();
    write(0x310, 1 << 24);
    write(0x300, 0xc500);
    write(0x300, 0x8500);
    write(0x300, 0x4699);
    expect(cpus[1]?.log).toEqual(["init", "sipi 99"]);
    expect([read(0xf0, 1), read(0xf0, 0)]).toEqual([0xff, 0x1ff]);
  });

  it("gives lowest-priority messages to the least busy CPU, in turns among equals", () => {
    const { cpus, bus, write, enable } = setUp(3);
    enable();
    const who = (): number => {
      bus.deliver(0xff, true, false, 1, 0x70, false);
      return cpus.findIndex((c) => c.line);
    };
    write(0x80, 0x20, 0);
    write(0x80, 0x20, 1);
    expect(who()).toBe(2);
    write(0x80, 0x30, 2);
    expect(bus.deliver(0xff, true, false, 1, 0x71, false)).toBe(true);
    expect(cpus.filter((c) => c.line)).toHaveLength(2);
    bus.deliver(0xff, true, false, 1, 0x72, false);
    expect(cpus.filter((c) => c.line)).toHaveLength(3);
  });

  it("decodes message-signalled interrupts", () => {
    const { cpus, bus, apics, write, ended, enable } = setUp(2);
    enable();
    bus.write(0xfee01000, 0x0041);
    expect([cpus[0]?.line, apics[1]?.acknowledge()]).toEqual([false, 0x41]);
    bus.write(0xfee0100c, 0xc052); // logical id 1, level asserted
    expect(apics[0]?.acknowledge()).toBe(0x52);
    write(0xb0, 0, 0);
    expect(ended).toEqual([0x52]);
    bus.write(0xfee00000, 0x8052);
    bus.write(0xfed00000, 0x41);
    expect(cpus[0]?.line).toBe(false);
    bus.write(0xfee00000, 0x0400);
    expect(cpus[0]?.log).toEqual(["nmi"]);
  });
});

describe("local APIC: x2APIC mode", () => {
  it("allows the legal mode changes only", () => {
    const { port, cpu } = setUp();
    expect(port.msrRead(0x802)).toBeUndefined();
    expect(port.msrWrite(0x1b, 0xfee00500n)).toBe(false);
    expect(port.msrWrite(0x1b, 0xfee00200n)).toBe(false);
    expect(port.msrWrite(0x1b, 1n << 40n)).toBe(false);
    expect(port.msrWrite(0x1b, 0xfee00d00n)).toBe(true);
    expect(cpu.page).toBeUndefined();
    expect(port.msrWrite(0x1b, 0xfee00900n)).toBe(false);
    expect(port.msrWrite(0x1b, 0xfee00100n)).toBe(true);
    expect(port.msrWrite(0x1b, 0xfee00d00n)).toBe(false);
    expect(port.msrWrite(0x1b, 0x12345900n)).toBe(true);
    expect(cpu.page).toBe(0x12345000);
  });

  it("has its registers as MSRs with #GP for what is reserved", () => {
    const { ports, enterX2apic } = setUp(20);
    enterX2apic(17);
    const p = ports[17];
    if (p === undefined) throw new Error("no port");
    expect([p.msrRead(0x802), p.msrRead(0x803), p.msrRead(0x80d)]).toEqual([17n, 0x1050014n, 0x10002n]);
    for (const n of [0x800, 0x801, 0x809, 0x80b, 0x80c, 0x80e, 0x82f, 0x831, 0x83f, 0x840, 0x8ff]) expect(p.msrRead(n)).toBeUndefined();
    for (const n of [0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x810, 0x820, 0x831, 0x839]) expect(p.msrWrite(n, 0n)).toBe(false);
    expect(p.msrWrite(0x80b, 1n)).toBe(false);
    expect(p.msrWrite(0x808, 0x100n)).toBe(false);
    expect(p.msrWrite(0x80f, 0x1_0000_01ffn)).toBe(false);
    expect(p.msrWrite(0x832, 0x80000n)).toBe(false);
    expect([p.msrWrite(0x80f, 0x1ffn), p.msrRead(0x80f)]).toEqual([true, 0x1ffn]);
  });

  it("sends to 32-bit destinations, by cluster, and to itself", () => {
    const { ports, cpus, apics, enterX2apic } = setUp(18);
    for (let n = 0; n < 18; n++) {
      enterX2apic(n);
      ports[n]?.msrWrite(0x80f, 0x1ffn);
    }
    const send = (value: bigint): number[] => {
      expect(ports[0]?.msrWrite(0x830, value)).toBe(true);
      const got = cpus.flatMap((c, n) => (c.line ? [n] : []));
      for (const n of got) {
        apics[n]?.acknowledge();
        ports[n]?.msrWrite(0x80b, 0n);
      }
      return got;
    };
    expect(send(0x11_0000_0040n)).toEqual([17]);
    expect(send(0x10003_0000_0840n)).toEqual([16, 17]);
    expect(send(0xffffffff_0000_0040n)).toHaveLength(18);
    expect(send(0x100_0000_0040n)).toEqual([]);
    expect(ports[0]?.msrWrite(0x830, 0x1000000n)).toBe(false);
    ports[3]?.msrWrite(0x83f, 0x55n);
    expect(apics[3]?.acknowledge()).toBe(0x55);
    expect(ports[0]?.msrRead(0x830)).toBe(0x100_0000_0040n);
  });
});

describe("local APIC: timer", () => {
  it("counts down once at the divided clock", () => {
    const { clock, cpu, apic, read, write, enable } = setUp();
    enable();
    write(0x320, 0x41);
    write(0x3e0, 0x3); // by 16: 640 ns
    write(0x380, 1000);
    clock.advanceBy(640 * 400);
    expect([read(0x390), cpu.line]).toEqual([600, false]);
    write(0x3e0, 0xb); // by 1
    clock.advanceBy(40 * 599);
    expect([read(0x390), cpu.line]).toEqual([1, false]);
    clock.advanceBy(40);
    expect([read(0x390), cpu.line, apic.acknowledge()]).toEqual([0, true, 0x41]);
    write(0xb0, 0);
    clock.advanceBy(1e9);
    expect(cpu.line).toBe(false);
  });

  it("fires periodically without drift and stops with count zero", () => {
    const { clock, cpu, apic, read, write, enable } = setUp();
    enable();
    write(0x3e0, 0xb);
    write(0x320, 0x20041);
    write(0x380, 25_000); // 1 ms
    for (let i = 0; i < 5; i++) {
      clock.advanceTo((i + 1) * 1_000_000 - 1);
      expect(cpu.line).toBe(false);
      clock.advanceBy(1);
      expect([cpu.line, apic.acknowledge(), read(0x390)]).toEqual([true, 0x41, 25_000]);
      write(0xb0, 0);
    }
    write(0x380, 0);
    clock.advanceBy(1e9);
    expect([cpu.line, read(0x390)]).toEqual([false, 0]);
  });

  it("merges periods that are too short to be told apart", () => {
    const { clock, apic, cpu, write, enable } = setUp();
    enable();
    write(0x3e0, 0xb);
    write(0x320, 0x20041);
    write(0x380, 1);
    let taken = 0;
    for (let i = 0; i < 1000; i++) {
      clock.advanceBy(100);
      if (!cpu.line) continue;
      taken++;
      apic.acknowledge();
      write(0xb0, 0);
    }
    expect(taken).toBe(20);
  });

  it("does not start an expired count again, whatever is written before the clock calls", () => {
    for (const change of [
      [0x320, 0x20041],
      [0x3e0, 0x0b],
      [0x320, 0x41],
    ] as const) {
      const { clock, cpu, apic, read, write, enable } = setUp();
      enable();
      write(0x320, 0x41);
      write(0x380, 1000);
      clock.ahead = 1e6;
      expect(read(0x390)).toBe(0);
      write(change[0], change[1]);
      expect([cpu.line, apic.acknowledge()]).toEqual([true, 0x41]);
      write(0xb0, 0);
      clock.advanceBy(1e6);
      expect([read(0x390), cpu.line]).toEqual([0, false]);
    }
  });

  it("waits for the guest's time-stamp counter in deadline mode", () => {
    const { clock, cpu, apic, port, tsc, read, write, enable } = setUp();
    enable();
    write(0x320, 0x40041);
    write(0x380, 1000);
    expect(read(0x390)).toBe(0);
    tsc.offset = 1e6;
    port.msrWrite(0x6e0, 3_000_000n);
    expect(port.msrRead(0x6e0)).toBe(3_000_000n);
    clock.advanceTo(1_999_999);
    expect(cpu.line).toBe(false);
    clock.advanceTo(2_000_000);
    expect([cpu.line, apic.acknowledge(), port.msrRead(0x6e0)]).toEqual([true, 0x41, 0n]);
    write(0xb0, 0);
    port.msrWrite(0x6e0, 1n);
    expect([cpu.line, apic.acknowledge(), port.msrRead(0x6e0)]).toEqual([true, 0x41, 0n]);
    port.msrWrite(0x6e0, 1n << 63n);
    write(0x320, 0x41);
    expect(port.msrRead(0x6e0)).toBe(0n);
    port.msrWrite(0x6e0, 5n);
    expect(port.msrRead(0x6e0)).toBe(0n);
  });
});

describe("local APIC: state and hostile guests", () => {
  it("goes on after save and load as if nothing had happened", () => {
    const a = setUp();
    a.enable();
    a.write(0x320, 0x20041);
    a.write(0x3e0, 0xb);
    a.write(0x380, 100_000);
    a.bus.deliver(0, false, false, 0, 0x88, true);
    a.apic.acknowledge();
    a.bus.deliver(0, false, false, 0, 0x99, false);
    const b = setUp();
    b.apic.loadState(a.apic.saveState());
    expect(b.apic.saveState()).toEqual(a.apic.saveState());
    expect(b.cpu.line).toBe(true);
    expect(b.apic.acknowledge()).toBe(0x99);
    b.write(0xb0, 0);
    b.write(0xb0, 0);
    b.clock.advanceBy(4_000_000);
    expect([b.ended, b.cpu.line]).toEqual([[0x88], true]);
  });

  it("never throws, never loops, and raises its line exactly when something is due", () => {
    const step = fc.oneof(
      fc.record({ op: fc.constant("write" as const), at: fc.nat(0xfff), value: fc.integer(), n: fc.nat(2) }),
      fc.record({ op: fc.constant("write" as const), at: fc.nat(0x3f).map((i) => i * 16), value: fc.integer(), n: fc.nat(2) }),
      fc.record({
        op: fc.constantFrom("read", "ack", "lint", "msi", "base", "msr", "time", "deadline"),
        at: fc.nat(0xfff),
        value: fc.integer(),
        n: fc.nat(2),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { ports, cpus, apics, bus, clock } = setUp(3);
        for (const s of steps) {
          const p = ports[s.n];
          if (p === undefined) continue;
          if (s.op === "write") p.pageWrite(s.at, 4, s.value >>> 0);
          else if (s.op === "read") expect(p.pageRead(s.at, 4)).toBeGreaterThanOrEqual(0);
          else if (s.op === "ack") expect(p.interruptAcknowledge()).toBeLessThan(256);
          else if (s.op === "lint") apics[s.n]?.setLint(0, (s.at & 1) !== 0);
          else if (s.op === "msi") bus.write((0xfee00000 | (s.at << 8)) >>> 0, s.value & 0xffff);
          else if (s.op === "base") p.msrWrite(0x1b, BigInt(0xfee00000 | (s.at & 0xf00)));
          else if (s.op === "msr") p.msrWrite(0x800 + (s.at & 0x3f), BigInt(s.value >>> 0));
          else if (s.op === "deadline") p.msrWrite(0x6e0, BigInt(s.value >>> 0) << BigInt(s.at & 31));
          else clock.advanceBy(s.at * 1000);
        }
        for (const [n, cpu] of cpus.entries()) {
          for (let i = 0; i < 600 && cpu.line; i++) {
            apics[n]?.setLint(0, false);
            ports[n]?.interruptAcknowledge();
          }
          expect(cpu.line).toBe(false);
        }
      }),
      { seed: 11, numRuns: 300 },
    );
  });
});
