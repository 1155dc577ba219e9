import { describe, expect, it } from "vitest";
import { Bench } from "../bench.testing.ts";
import { TRAP } from "../rom/layout.ts";
import { KEY_ACTION } from "./int09.ts";

/** Types scan codes through INT 09h's trap; returns the last action. */
function type(b: Bench, ...codes: number[]): number {
  let last = 0;
  const saved = { eax: b.regs.eax, rip: b.regs.rip, cs: b.raw.getSegment("cs") };
  for (const code of codes) {
    b.regs.al = code;
    b.trap(TRAP.KEY);
    last = b.regs.ax;
  }
  b.regs.eax = saved.eax;
  b.regs.rip = saved.rip;
  b.raw.setSegment("cs", saved.cs);
  return last;
}
/** What INT 16h gives for these codes. */
function keys(b: Bench, ah = 0x10): number[] {
  const out: number[] = [];
  for (;;) {
    b.regs.ax = (ah + 1) << 8;
    b.int(0x16);
    if (b.zero) return out;
    b.regs.ax = ah << 8;
    b.int(0x16);
    out.push(b.regs.ax);
  }
}
const press = (code: number): number[] => [code, code | 0x80];
const grey = (code: number): number[] => [0xe0, code, 0xe0, code | 0x80];
const hold = (modifier: number, ...codes: number[]): number[] => [modifier, ...codes, modifier | 0x80];

describe("INT 09h", () => {
  it("defect 16: gives scan codes with ASCII, in all shift states", () => {
    const b = new Bench();
    type(b, ...press(0x1e), ...hold(0x2a, ...press(0x1e)), ...hold(0x1d, ...press(0x1e)), ...hold(0x38, ...press(0x1e)));
    expect(keys(b)).toEqual([0x1e61, 0x1e41, 0x1e01, 0x1e00]);
    type(b, ...press(0x02), ...hold(0x36, ...press(0x02)), ...hold(0x38, ...press(0x02)), ...press(0x01), ...press(0x1c), ...press(0x0e));
    expect(keys(b)).toEqual([0x0231, 0x0221, 0x7800, 0x011b, 0x1c0d, 0x0e08]);
    type(
      b,
      ...press(0x3b),
      ...hold(0x2a, ...press(0x3b)),
      ...hold(0x1d, ...press(0x3b)),
      ...hold(0x38, ...press(0x3b)),
      ...press(0x57),
      ...press(0x58),
    );
    expect(keys(b)).toEqual([0x3b00, 0x5400, 0x5e00, 0x6800, 0x8500, 0x8600]);
  });
  it("types every printable character of the US keyboard", () => {
    const b = new Bench();
    const rows = [
      [0x02, "1234567890-=", "!@#$%^&*()_+"],
      [0x10, "qwertyuiop[]", "QWERTYUIOP{}"],
      [0x1e, "asdfghjkl;'`", 'ASDFGHJKL:"~'],
      [0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"],
    ] as const;
    for (const [first, plain, shifted] of rows) {
      const codes = [...plain].map((_, i) => first + i);
      type(b, ...codes.flatMap(press));
      expect(String.fromCharCode(...keys(b).map((k) => k & 0xff))).toBe(plain);
      type(b, ...hold(0x2a, ...codes.flatMap(press)));
      expect(String.fromCharCode(...keys(b).map((k) => k & 0xff))).toBe(shifted);
    }
  });
  it("marks grey keys E0 for the enhanced calls and hides the mark from the old ones", () => {
    const b = new Bench();
    type(b, ...grey(0x48), ...grey(0x1c), ...grey(0x35));
    expect(keys(b)).toEqual([0x48e0, 0xe00d, 0xe02f]);
    type(b, ...grey(0x48), ...grey(0x1c), ...grey(0x35), ...press(0x57), ...press(0x1e));
    expect(keys(b, 0x00)).toEqual([0x4800, 0x1c0d, 0x352f, 0x1e61]);
  });
  it("ignores the fake shifts around grey keys", () => {
    const b = new Bench();
    type(b, 0xe0, 0x2a, 0xe0, 0x53, 0xe0, 0xd3, 0xe0, 0xaa);
    expect(keys(b)).toEqual([0x53e0]);
    expect(b.ram.read8(0x417)).toBe(0);
  });
  it("keeps left and right Ctrl and Alt apart and reports them in function 12h", () => {
    const b = new Bench();
    type(b, 0xe0, 0x1d, 0x38);
    b.regs.ax = 0x1200;
    b.int(0x16);
    expect(b.regs.ax).toBe(0x060c);
    type(b, 0x1d, 0xe0, 0x9d);
    expect(b.ram.read8(0x417) & 4).toBe(4);
    type(b, 0x9d, 0xb8);
    expect(b.ram.read8(0x417)).toBe(0);
  });
  it("Caps Lock turns letters only, Num Lock the keypad; repeats do not toggle; shift undoes them", () => {
    const b = new Bench();
    type(b, 0x3a, 0x3a, 0xba, ...press(0x1e), ...press(0x02), ...hold(0x2a, ...press(0x1e)));
    expect(keys(b)).toEqual([0x1e41, 0x0231, 0x1e61]);
    type(b, ...press(0x3a), ...press(0x47), ...press(0x45), ...press(0x47), ...hold(0x2a, ...press(0x47)));
    expect(keys(b)).toEqual([0x4700, 0x4737, 0x4700]);
  });
  it("sets the lights: ED, then after the acknowledge the mask", () => {
    const b = new Bench();
    const sent: number[] = [];
    b.ports.onWrite = (port, value) => void (port === 0x60 && sent.push(value));
    type(b, 0x3a);
    expect(sent).toEqual([0xed]);
    type(b, 0xfa);
    expect(sent).toEqual([0xed, 0x04]);
    type(b, 0xfa, 0xba);
    expect(b.ram.read8(0x497)).toBe(0x04);
    expect(keys(b)).toEqual([]);
  });
  it("enters characters by Alt and the keypad", () => {
    const b = new Bench();
    type(b, ...hold(0x38, ...press(0x4f), ...press(0x50), ...press(0x48)));
    expect(keys(b)).toEqual([128]);
  });
  it("Ctrl-Break empties the ring, sets 471h and asks for INT 1Bh", () => {
    const b = new Bench();
    type(b, ...press(0x1e));
    expect(type(b, 0x1d, 0xe0, 0x46) >>> 8).toBe(KEY_ACTION.BREAK);
    expect(b.ram.read8(0x471)).toBe(0x80);
    type(b, 0xe0, 0xc6, 0x9d);
    expect(keys(b)).toEqual([0]);
  });
  it("Pause stops, and the next key ends it and is swallowed", () => {
    const b = new Bench();
    const actions = [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5].map((code) => type(b, code) >>> 8);
    expect(actions).toEqual([0, 0, KEY_ACTION.PAUSE, 0, 0, 0]);
    expect(b.ram.read8(0x418) & 8).toBe(8);
    type(b, ...press(0x1e));
    expect([b.ram.read8(0x418) & 8, ...keys(b)]).toEqual([0]);
  });
  it("Ctrl-Alt-Del marks a warm boot and restarts; PrtSc and SysRq have their calls", () => {
    const b = new Bench();
    expect(type(b, 0x1d, 0x38, 0x53) >>> 8).toBe(KEY_ACTION.REBOOT);
    expect(b.ram.read16(0x472)).toBe(0x1234);
    const c = new Bench();
    expect(type(c, 0xe0, 0x2a, 0xe0, 0x37) >>> 8).toBe(KEY_ACTION.PRINT_SCREEN);
    expect(type(c, 0x38, 0x54)).toBe(KEY_ACTION.SYSREQ << 8);
    expect(type(c, 0xd4)).toBe((KEY_ACTION.SYSREQ << 8) | 1);
  });
  it("defect 17: drops keys when the ring is full, and uses moved bounds", () => {
    const b = new Bench();
    for (let i = 0; i < 20; i++) type(b, ...press(0x1e));
    expect(keys(b).length).toBe(15);
    b.ram.write16(0x480, 0x200);
    b.ram.write16(0x482, 0x280);
    b.ram.write16(0x41a, 0x200);
    b.ram.write16(0x41c, 0x200);
    for (let i = 0; i < 40; i++) type(b, ...press(0x1f));
    expect(b.ram.read16(0x600)).toBe(0x1f73);
    expect(keys(b).length).toBe(40);
  });
});

describe("INT 16h", () => {
  it("defect 15: peek never blocks and sets ZF; read waits with interrupts on until a key comes", () => {
    const b = new Bench();
    let idles = 0;
    b.onIdle = () => idles++;
    b.regs.ax = 0x0100;
    expect(b.int(0x16)).toBe("iret");
    expect([b.zero, b.regs.ax, idles]).toEqual([true, 0x0100, 1]);
    b.onIdle = (kind) => {
      expect(kind).toBe("wait");
      if (++idles === 5) type(b, 0x1e);
    };
    b.regs.ax = 0x0000;
    expect(b.int(0x16)).toBe("iret");
    expect([b.regs.ax, idles]).toEqual([0x1e61, 5]);
  });
  it("peek leaves the key and clears ZF", () => {
    const b = new Bench();
    type(b, 0x1e);
    b.regs.ax = 0x0100;
    b.int(0x16, 0x0246);
    expect([b.zero, b.regs.ax]).toEqual([false, 0x1e61]);
    expect(keys(b)).toEqual([0x1e61]);
  });
  it("stores keys, tells its functions and typematic", () => {
    const b = new Bench();
    b.regs.ax = 0x0500;
    b.regs.cx = 0x3b00;
    b.int(0x16);
    expect([b.regs.al, ...keys(b)]).toEqual([0, 0x3b00]);
    b.regs.ax = 0x0900;
    b.int(0x16);
    expect(b.regs.al & 0x08).toBe(0x08);
    b.regs.ax = 0x0305;
    b.regs.bx = 0x0203;
    b.int(0x16);
    b.regs.ax = 0x0306;
    b.regs.bx = 0;
    b.int(0x16);
    expect(b.regs.bx).toBe(0x0203);
    b.regs.ax = 0x5500;
    b.int(0x16);
    expect(b.regs.ax).toBe(0x5500);
    for (const asked of [0x9200, 0xa200]) {
      b.regs.ax = asked;
      b.int(0x16);
      expect(b.regs.ah).toBe(0x80);
    }
  });
  it("puts a guest that only polls to sleep, but not one that works between its polls", () => {
    let instructions = 0;
    const b = new Bench({ instructionCount: () => instructions });
    b.ports.values.set(0x21, 0xb8); // IRQ0 on
    const stack = b.regs.esp;
    const poll = (gap: number): string[] => {
      const kinds: string[] = [];
      b.onIdle = (kind) => kinds.push(kind);
      for (let i = 0; i < 300; i++) {
        instructions += gap;
        b.regs.ax = 0x0100;
        b.regs.esp = stack;
        b.int(0x16);
        expect(b.zero).toBe(true);
      }
      return kinds;
    };
    expect(poll(5000)).not.toContain("wait");
    expect(poll(100).indexOf("wait")).toBe(199);
    b.regs.ax = 0x0300;
    b.int(0x10);
    expect(poll(100).indexOf("wait")).toBe(199);
    b.regs.si = 0x1234; // a program's pointer moved on
    expect(poll(100).indexOf("wait")).toBe(200);
    type(b, 0x1e);
    expect(keys(b)).toEqual([0x1e61]);
    b.ports.values.set(0x21, 0xff); // nothing would wake it
    expect(poll(100)).not.toContain("wait");
  });
});
