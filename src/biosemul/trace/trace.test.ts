import { describe, expect, it } from "vitest";
import { biosServicesMarkdown } from "../services/markdown.ts";
import { SERVICES } from "../services/rows.ts";
import { Bench } from "../bench.testing.ts";
import type { BiosCallRecord } from "./tracer.ts";

describe("BIOS trace", () => {
  it("prints a disk read as strace would", () => {
    const b = new Bench({
      services: {
        0x13: (ctx) => {
          ctx.regs.ah = 0;
          ctx.setCarry(false);
          return "done";
        },
      },
    });
    const lines: BiosCallRecord[] = [];
    b.bios.setTrace((record) => lines.push(record));
    b.regs.setRealSegment("ds", 0x1000);
    b.regs.si = 0;
    b.regs.dl = 0x80;
    b.ram.write(0x10000, Uint8Array.of(16, 0, 1, 0, 0x00, 0x7c, 0, 0, 63, 0, 0, 0, 0, 0, 0, 0));
    b.regs.ax = 0x4200;
    b.int(0x13);
    expect(lines[0]?.text).toBe("13h/42h read dl=80 lba=63 n=1 → 0000:7C00 ok");
    expect([lines[0]?.callerCs, lines[0]?.callerIp, lines[0]?.ok]).toEqual([0x1234, 0x5678, true]);
  });
  it("prints results, errors, unknown functions and nothing-there; one line for a call that waited", () => {
    const b = new Bench();
    const lines: string[] = [];
    b.bios.setTrace((record) => lines.push(record.text));
    const run = (vector: number, ax: number): void => {
      b.regs.ax = ax;
      b.int(vector);
    };
    run(0x12, 0);
    run(0x15, 0x8800);
    run(0x15, 0x5307);
    run(0x15, 0x7700);
    run(0x16, 0x0100);
    b.onIdle = () => b.ram.write32(0x41a, 0x0020001e);
    b.ram.write16(0x41e, 0x1e61);
    run(0x16, 0x0000);
    run(0x10, 0x0e41);
    expect(lines).toEqual([
      "12h get memory size = kb=639",
      "15h/88h extended memory size = kb=64512 ok",
      `15h/5307h APM set power state dev=0000 state=0000 = error 03`,
      "15h/77h unknown ax=7700 = error 86",
      "16h/01h peek key = none",
      "16h/00h read key = key=1E61",
      "10h/0Eh teletype char='A' page=00 = ok",
    ]);
    b.bios.setTrace(undefined);
    run(0x12, 0);
    expect(lines.length).toBe(7);
  });
});

describe("service rows", () => {
  it("name each service once", () => {
    const seen = new Set(SERVICES.map((row) => `${row.vector}/${row.select}`));
    expect(seen.size).toBe(SERVICES.length);
  });
  it("make the reference page", () => {
    const page = biosServicesMarkdown();
    expect(page).toContain("## INT 13h");
    expect(page).toContain("| AX=E820 | memory map |");
  });
});
