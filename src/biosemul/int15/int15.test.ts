import { describe, expect, it } from "vitest";
import { Bench } from "../bench.testing.ts";
import { TRAP } from "../rom/layout.ts";

function call(b: Bench, ax: number, set: Partial<Record<"bx" | "cx" | "dx" | "si" | "di" | "ebx" | "ecx" | "edx" | "eax", number>> = {}): string {
  b.regs.ax = ax;
  for (const [name, value] of Object.entries(set)) Reflect.set(b.regs, name, value);
  return b.int(0x15, 0x0203); // callers set CF first
}

describe("INT 15h", () => {
  it("answers unknown functions with CF=1 and AH=86h", () => {
    const b = new Bench();
    for (const ax of [0x0000, 0x0300, 0x4100, 0xbf02, 0xc300, 0xc400, 0xd800, 0xe980, 0xe8aa, 0x24ff, 0x8400]) {
      call(b, ax);
      expect([ax.toString(16), b.carry, b.regs.ah]).toEqual([ax.toString(16), true, 0x86]);
    }
  });
  it("defect 12: 88h, E801h, E881h give the memory, with CF cleared", () => {
    const b = new Bench({ config: { ramBytes: 128 << 20 } });
    call(b, 0x8800);
    expect([b.regs.ax, b.carry]).toEqual([0xfc00, false]);
    call(b, 0xe801);
    expect([b.regs.ax, b.regs.bx, b.regs.cx, b.regs.dx, b.carry]).toEqual([0x3c00, 112 * 16, 0x3c00, 112 * 16, false]);
    call(b, 0xe881);
    expect([b.regs.eax, b.regs.ebx]).toEqual([0x3c00, 112 * 16]);
    const small = new Bench({ config: { ramBytes: 4 << 20 } });
    call(small, 0x8800);
    expect(small.regs.ax).toBe(3072);
  });
  it("gives the E820 map with small continuation values and no overlap", () => {
    const b = new Bench({ config: { ramBytes: 0x180000000, acpi: true } });
    const rows: { start: number; length: number; type: number }[] = [];
    let ebx = 0;
    do {
      b.regs.setRealSegment("es", 0x1000);
      call(b, 0, { eax: 0xe820, ebx, ecx: 24, edx: 0x534d4150, di: 0 });
      expect([b.carry, b.regs.eax, b.regs.ecx]).toEqual([false, 0x534d4150, 24]);
      const u64 = (at: number): number => b.ram.read32(at) + b.ram.read32(at + 4) * 0x100000000;
      rows.push({ start: u64(0x10000), length: u64(0x10008), type: b.ram.read32(0x10010) });
      ebx = b.regs.ebx;
      expect(ebx).toBeLessThan(100);
    } while (ebx !== 0);
    expect(rows[0]).toEqual({ start: 0, length: 0x9fc00, type: 1 });
    for (let i = 1; i < rows.length; i++) expect(rows[i]?.start).toBeGreaterThanOrEqual((rows[i - 1]?.start ?? 0) + (rows[i - 1]?.length ?? 0));
    expect(rows.at(-1)).toEqual({ start: 0x100000000, length: 0xc0000000, type: 1 });
    expect(rows.some((r) => r.type === 3)).toBe(true);
  });
  it("E820 refuses a wrong signature, a short buffer and a bad continuation", () => {
    const b = new Bench();
    for (const set of [
      { edx: 0, ecx: 20, ebx: 0 },
      { edx: 0x534d4150, ecx: 19, ebx: 0 },
      { edx: 0x534d4150, ecx: 20, ebx: 50 },
    ]) {
      call(b, 0, { eax: 0xe820, ...set });
      expect([b.carry, b.regs.ah]).toEqual([true, 0x86]);
    }
  });
  it("switches and reports A20 through port 92h without touching the reset bit", () => {
    const b = new Bench();
    call(b, 0x2400);
    expect(b.ports.values.get(0x92)).toBe(0);
    call(b, 0x2402);
    expect(b.regs.ax).toBe(0);
    b.ports.values.set(0x92, 0x01);
    call(b, 0x2401);
    expect(b.ports.values.get(0x92)).toBe(2);
    call(b, 0x2403);
    expect([b.regs.bx, b.regs.ah, b.carry]).toEqual([3, 0, false]);
  });
  it("keeps CF set on the keyboard intercept", () => {
    const b = new Bench();
    call(b, 0x4f1e);
    expect([b.carry, b.regs.ax]).toEqual([true, 0x4f1e]);
  });
  it("points C0h at the ROM table and C1h at the EBDA", () => {
    const b = new Bench();
    call(b, 0xc000);
    expect([b.regs.selector("es"), b.regs.bx, b.regs.ah, b.carry]).toEqual([0xf000, 0xe6f5, 0, false]);
    expect([b.ram.read16(0xfe6f5), b.ram.read8(0xfe6f7), b.ram.read8(0xfe6fb) & 0x40]).toEqual([8, 0xfc, 0x40]);
    call(b, 0xc100);
    expect([b.regs.selector("es"), b.regs.base("es")]).toEqual([0x9fc0, 0x9fc00]);
  });
  it("moves blocks by the caller's descriptors, and refuses more than 64 KB or short limits", () => {
    const b = new Bench();
    b.ram.write(0x5000, new TextEncoder().encode("hello!"));
    b.regs.setRealSegment("es", 0x1000);
    const descriptor = (at: number, base: number, limit: number): void => {
      b.ram.write16(at, limit);
      b.ram.write32(at + 2, base | 0x93000000);
      b.ram.write16(at + 6, (base >>> 24) << 8);
    };
    descriptor(0x10010, 0x5000, 0xffff);
    descriptor(0x10018, 0x200000, 0xffff);
    call(b, 0x8700, { cx: 3, si: 0 });
    expect([b.carry, b.regs.ah]).toEqual([false, 0]);
    expect(new TextDecoder().decode(b.ram.bytes.subarray(0x200000, 0x200006))).toBe("hello!");
    call(b, 0x8700, { cx: 0x8001, si: 0 });
    expect([b.carry, b.regs.ah]).toEqual([true, 2]);
    descriptor(0x10018, 0x200000, 3);
    call(b, 0x8700, { cx: 3, si: 0 });
    expect(b.carry).toBe(true);
  });
  it("moves blocks past a closed A20 gate, and leaves it closed", () => {
    const b = new Bench();
    b.a20 = false;
    b.regs.setRealSegment("es", 0x1000);
    for (const [at, base] of [
      [0x10010, 0x5000],
      [0x10018, 0x100000],
    ] as const) {
      b.ram.write16(at, 0xffff);
      b.ram.write32(at + 2, base | 0x93000000);
    }
    b.ram.write32(0, 0x11111111);
    b.ram.write32(0x5000, 0x12345678);
    b.ports.writes.length = 0;
    call(b, 0x8700, { cx: 2, si: 0 });
    expect([b.carry, b.ram.read32(0x100000), b.ram.read32(0)]).toEqual([false, 0x12345678, 0x11111111]);
    expect(b.ports.writes).toEqual([]);
  });
  it("enters protected mode with the caller's table", () => {
    const b = new Bench();
    b.regs.setRealSegment("es", 0x1000);
    b.ram.write16(0x10008, 0x3f);
    b.ram.write32(0x1000a, 0x10000);
    for (const [at, access] of [
      [0x18, 0x93],
      [0x20, 0x93],
      [0x28, 0x93],
      [0x30, 0x9b],
    ] as const) {
      b.ram.write16(0x10000 + at, 0xffff);
      b.ram.write8(0x10005 + at, access);
    }
    b.regs.sp = 0x100;
    expect(call(b, 0x8900, { si: 0, bx: 0x5058 })).toBe("elsewhere");
    expect([b.raw.getControl("cr0") & 1n, b.regs.rip, b.raw.getSegment("cs").selector, b.regs.sp]).toEqual([1n, 0x5678n, 0x30, 0x100]);
    expect(b.raw.getDescriptorTable("gdtr")).toEqual({ base: 0x10000n, limit: 0x3f });
    const bad = new Bench();
    call(bad, 0x8900, { si: 0 });
    expect([bad.carry, bad.regs.ah]).toEqual([true, 0xff]);
  });
});

describe("INT 15h waits", () => {
  /** The RTC interrupt as INT 70h's ROM code runs it. */
  function rtcTick(b: Bench): void {
    b.ports.cmos[0x0c] = 0x40;
    const { eax } = b.regs;
    const [rip, cs] = [b.regs.rip, b.raw.getSegment("cs")];
    b.trap(TRAP.RTC);
    b.regs.eax = eax;
    b.regs.rip = rip;
    b.raw.setSegment("cs", cs);
  }
  it("86h sleeps until enough periodic interrupts have come, with interrupts on", () => {
    const b = new Bench();
    let sleeps = 0;
    b.onIdle = () => {
      sleeps++;
      rtcTick(b);
    };
    expect(call(b, 0x8600, { cx: 0, dx: 10000 })).toBe("iret");
    expect(sleeps).toBe(Math.ceil(10000 / 976));
    expect([b.carry, (b.ports.cmos[0x0b] ?? 0) & 0x40, b.ram.read8(0x4a0)]).toEqual([false, 0, 0]);
  });
  it("86h still ends by the tick clock when the guest took INT 70h away", () => {
    const b = new Bench();
    b.onIdle = () => b.ram.write32(0x46c, b.ram.read32(0x46c) + 1);
    expect(call(b, 0x8600, { cx: 1, dx: 0 })).toBe("iret");
    expect(b.carry).toBe(false);
  });
  it("83h sets the caller's flag; a second wait is refused with 83h; AL=1 cancels", () => {
    const b = new Bench();
    b.regs.setRealSegment("es", 0x1000);
    call(b, 0x8300, { cx: 0, dx: 1500, bx: 0x20 });
    expect(b.carry).toBe(false);
    call(b, 0x8600, { cx: 0, dx: 100 });
    expect([b.carry, b.regs.ah]).toEqual([true, 0x83]);
    rtcTick(b);
    expect(b.ram.read8(0x10020)).toBe(0);
    rtcTick(b);
    expect(b.ram.read8(0x10020)).toBe(0x80);
    call(b, 0x8300, { cx: 9, dx: 0, bx: 0x20 });
    call(b, 0x8301);
    expect([b.carry, b.ram.read8(0x4a0)]).toEqual([false, 0]);
  });
});

describe("APM", () => {
  it("connects, reports, and powers off as GRUB, SYSLINUX and iPXE ask", () => {
    const b = new Bench();
    call(b, 0x5300, { bx: 0 });
    expect([b.regs.ax, b.regs.bx, b.regs.cx & 3, b.carry]).toEqual([0x0102, 0x504d, 3, false]);
    call(b, 0x5304, { bx: 0 });
    expect([b.carry, b.regs.ah]).toEqual([true, 3]);
    call(b, 0x5301, { bx: 0 });
    expect(b.carry).toBe(false);
    call(b, 0x5302, { bx: 0 });
    expect([b.carry, b.regs.ah]).toEqual([true, 2]);
    call(b, 0x530e, { bx: 0, cx: 0x0102 });
    expect([b.regs.ax, b.carry]).toEqual([0x0102, false]);
    call(b, 0x530b);
    expect([b.carry, b.regs.ah]).toEqual([true, 0x80]);
    expect(call(b, 0x5307, { bx: 1, cx: 3 })).toBe("elsewhere");
    expect(b.events).toEqual(["off"]);
    expect(b.ram.read16(0xf0000 + Number(b.regs.rip))).toBe(0xf4fa); // CLI; HLT: it does not return
  });
  it("idles with one HLT", () => {
    const b = new Bench();
    call(b, 0x5301, { bx: 0 });
    let sleeps = 0;
    b.onIdle = () => sleeps++;
    expect(call(b, 0x5305)).toBe("iret");
    expect(sleeps).toBe(1);
  });
  it("gives the 32-bit entry, which answers in live flags", () => {
    const b = new Bench();
    call(b, 0x5303, { bx: 0 });
    expect([b.regs.ax, b.regs.ebx]).toEqual([0xf000, b.bios.rom.address("apm32")]);
    expect(b.ram.read8(0xf0003 + b.regs.ebx)).toBe(0xcb);
    b.regs.ax = 0x5304;
    b.regs.bx = 0;
    b.raw.setRflags(3);
    b.trap(TRAP.APM32);
    expect([b.raw.getRflags() & 1, b.regs.ah]).toEqual([0, 0]);
  });
});

describe("pointing device", () => {
  /** An 8042 with a mouse that answers at once. */
  function mouse(b: Bench): { sent: number[]; queue: number[] } {
    const state = { sent: [] as number[], queue: [] as number[] };
    let toMouse = false;
    let toCommand = false;
    let parameter = false;
    b.ports.onWrite = (port, value) => {
      if (port === 0x64) {
        toMouse = value === 0xd4;
        toCommand = value === 0x60;
      } else if (port === 0x60 && toCommand) toCommand = false;
      else if (port === 0x60 && toMouse) {
        toMouse = false;
        state.sent.push(value);
        state.queue.push(0xfa);
        if (parameter) parameter = false;
        else if (value === 0xff) state.queue.push(0xaa, 0x00);
        else if (value === 0xf2) state.queue.push(0x00);
        else if (value === 0xe9) state.queue.push(0x00, 0x02, 0x64);
        else parameter = value === 0xf3 || value === 0xe8;
      }
    };
    b.ports.onRead = (port) => (port === 0x64 ? (state.queue.length > 0 ? 0x21 : 0) : port === 0x60 ? (state.queue.shift() ?? 0) : undefined);
    return state;
  }
  it("resets, identifies, sets and enables", () => {
    const b = new Bench();
    const m = mouse(b);
    call(b, 0xc201);
    expect([b.carry, b.regs.bx, b.regs.ah]).toEqual([false, 0x00aa, 0]);
    call(b, 0xc204);
    expect(b.regs.bh).toBe(0);
    call(b, 0xc202, { bx: 0x0500 });
    expect(m.sent.slice(-2)).toEqual([0xf3, 100]);
    call(b, 0xc206, { bx: 0 });
    expect([b.regs.bl, b.regs.cl, b.regs.dl]).toEqual([0, 2, 100]);
    call(b, 0xc200, { bx: 0x0100 });
    expect([b.carry, b.regs.ah]).toEqual([true, 5]);
    b.regs.setRealSegment("es", 0x1234);
    call(b, 0xc207, { bx: 0x10 });
    call(b, 0xc205, { bx: 0x0300 });
    call(b, 0xc200, { bx: 0x0100 });
    expect([b.carry, m.sent.at(-1)]).toEqual([false, 0xf4]);
    for (const [ax, bx, code] of [
      [0xc20a, 0, 1],
      [0xc202, 0x0700, 2],
      [0xc203, 0x0400, 2],
      [0xc205, 0x0900, 2],
    ] as const) {
      call(b, ax, { bx });
      expect([b.carry, b.regs.ah]).toEqual([true, code]);
    }
  });
  it("gives up on a mouse that does not answer", () => {
    const b = new Bench();
    b.ports.onRead = (port) => (port === 0x64 ? 0 : undefined);
    expect(b.int(0x15, 0x203, 20000)).toBe("iret");
    b.regs.ax = 0xc201;
    expect(b.int(0x15, 0x203, 20000)).toBe("iret");
    expect([b.carry, b.regs.ah]).toEqual([true, 3]);
  });
  it("assembles packets for the handler and skips bytes out of step", () => {
    const b = new Bench();
    const m = mouse(b);
    b.regs.setRealSegment("es", 0x1234);
    call(b, 0xc207, { bx: 0x10 });
    m.queue.push(0x00, 0x09, 0x05, 0xfb);
    for (let i = 0; i < 3; i++) {
      b.trap(TRAP.MOUSE);
      expect(b.regs.si).toBe(0);
    }
    b.trap(TRAP.MOUSE);
    expect([b.regs.si, b.regs.ax, b.regs.bx, b.regs.cx, b.regs.dx, b.regs.selector("ds")]).toEqual([1, 0x09, 0x05, 0xfb, 0, 0x9fc0]);
    expect(b.ram.read32(0x9fc22)).toBe(0x12340010);
  });
  it("follows an extended data area that a memory manager has moved (40Eh)", () => {
    const b = new Bench();
    const m = mouse(b);
    b.ram.write16(0x40e, 0x9000);
    call(b, 0xc100);
    expect([b.carry, b.regs.selector("es")]).toEqual([false, 0x9000]);
    b.ram.write8(0x90027, 2);
    b.regs.setRealSegment("es", 0x1234);
    call(b, 0xc207, { bx: 0x10 });
    expect([b.ram.read32(0x90022), b.ram.read16(0x9fc22)]).toEqual([0x12340010, b.bios.rom.address("mouse_nothing")]);
    m.queue.push(0x09, 0x05, 0xfb);
    for (let i = 0; i < 3; i++) b.trap(TRAP.MOUSE);
    expect([b.regs.si, b.regs.ax, b.regs.selector("ds"), b.ram.read8(0x90028)]).toEqual([1, 0x09, 0x9000, 0x09]);
  });
  it("answers interface error when there is no mouse", () => {
    const b = new Bench({ config: { mouse: false } });
    call(b, 0xc201);
    expect([b.carry, b.regs.ah]).toEqual([true, 3]);
    expect(b.ram.read16(0x410) & 4).toBe(0);
  });
});
