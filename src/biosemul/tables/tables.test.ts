import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Bench } from "../bench.testing.ts";
import { DEFAULT_BIOS_CONFIG } from "../config.ts";
import type { BiosConfig } from "../config.ts";
import { acpiTables } from "./acpi.ts";
import { mpConfig } from "./mp.ts";

const FULL: Partial<BiosConfig> = {
  ramBytes: 4 << 20,
  pci: true,
  apic: true,
  hpet: true,
  acpi: true,
  cpus: 2,
  comPorts: [0x3f8, 0x2f8],
  lptPorts: [0x378],
  floppyTypes: [4],
};
const sum = (bytes: Uint8Array): number => bytes.reduce((a, byte) => a + byte, 0) & 0xff;

function find(b: Bench, tag: string): number {
  for (let at = 0xf0000; at < 0x100000; at += 16) {
    if (String.fromCharCode(...b.ram.bytes.subarray(at, at + tag.length)) === tag) return at;
  }
  throw new Error(`${tag} not found`);
}

describe("tables that operating systems search for", () => {
  const b = new Bench({ config: FULL });
  const bytes = (at: number, length: number): Uint8Array => b.ram.bytes.subarray(at, at + length);

  it("RSDP leads to tables with good checksums inside the ACPI memory range", () => {
    const rsdp = find(b, "RSD PTR ");
    expect([sum(bytes(rsdp, 20)), sum(bytes(rsdp, 36)), b.ram.read8(rsdp + 15)]).toEqual([0, 0, 2]);
    const rsdt = b.ram.read32(rsdp + 16);
    expect(rsdt).toBeGreaterThanOrEqual((4 << 20) - 0x10000);
    const signatures: string[] = [];
    for (let at = rsdt + 36; at < rsdt + b.ram.read32(rsdt + 4); at += 4) {
      const table = b.ram.read32(at);
      signatures.push(String.fromCharCode(...bytes(table, 4)));
      expect(sum(bytes(table, b.ram.read32(table + 4)))).toBe(0);
    }
    expect(signatures).toEqual(["FACP", "APIC", "HPET"]);
  });
  it("HPET has its registers and an I/O APIC input for each timer in its resources", () => {
    const interrupts = [0x89, 14, 0, 0x0d, 3, 20, 0, 0, 0, 21, 0, 0, 0, 22, 0, 0, 0, 0x79, 0];
    const pattern = [0x86, 9, 0, 1, 0x00, 0x00, 0xd0, 0xfe, 0x00, 0x04, 0x00, 0x00, ...interrupts].join();
    const rsdt = b.ram.read32(find(b, "RSD PTR ") + 16);
    const dsdt = b.ram.read32(b.ram.read32(rsdt + 36) + 40);
    expect([...bytes(dsdt, b.ram.read32(dsdt + 4))].join()).toContain(pattern);
  });
  it("$PIR, _SM_, _DMI_, _MP_ and _32_ have good checksums", () => {
    const pir = find(b, "$PIR");
    expect(sum(bytes(pir, b.ram.read16(pir + 6)))).toBe(0);
    const sm = find(b, "_SM_");
    expect([sum(bytes(sm, 0x1f)), sum(bytes(sm + 16, 15))]).toEqual([0, 0]);
    const mp = find(b, "_MP_");
    expect(sum(bytes(mp, 16))).toBe(0);
    const table = b.ram.read32(mp + 4);
    expect(sum(bytes(table, b.ram.read16(table + 4)))).toBe(0);
    expect(sum(bytes(find(b, "_32_"), 16))).toBe(0);
  });
  it("SMBIOS structures can be walked to the end marker", () => {
    const sm = find(b, "_SM_");
    let at = b.ram.read32(sm + 0x18);
    const end = at + b.ram.read16(sm + 0x16);
    const types: number[] = [];
    while (at < end) {
      types.push(b.ram.read8(at));
      at += b.ram.read8(at + 1);
      while (b.ram.read16(at) !== 0) at++;
      at += 2;
    }
    expect(at).toBe(end);
    expect(types).toEqual([0, 1, 2, 3, 4, 4, 7, 7, 7, 16, 17, 19, 32, 127]);
    expect(b.ram.read16(sm + 0x1c)).toBe(types.length);
  });
  it("MP entries are as many as the header says", () => {
    const table = mpConfig({ ...DEFAULT_BIOS_CONFIG, ...FULL });
    const view = new DataView(table.buffer);
    let entries = 0;
    for (let at = 44; at < table.length; entries++) at += table[at] === 0 ? 20 : 8;
    expect(entries).toBe(view.getUint16(34, true));
  });
  it("without the devices there are no tables", () => {
    const plain = new Bench();
    for (const tag of ["RSD PTR ", "_MP_", "$PIR", "_32_"]) expect(() => find(plain, tag)).toThrow();
  });
});

function hasTool(name: string): boolean {
  try {
    execFileSync(name, ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const made: string[] = [];
afterEach(() => {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** Every table in a file of its own, `SSSS.aml`, in a directory that lasts as long as the test. */
function dumpTables(config: Partial<BiosConfig>): string {
  const { tables } = acpiTables({ ...DEFAULT_BIOS_CONFIG, ...config }, 0x3f0000);
  const dir = mkdtempSync(join(tmpdir(), "whyve-acpi-"));
  made.push(dir);
  for (const { bytes } of tables) writeFileSync(join(dir, `${String.fromCharCode(...bytes.subarray(0, 4))}.aml`), bytes);
  return dir;
}
/** What iasl warns of and we want all the same: `Processor` objects and `_ADR` beside `_HID`, both for systems before ACPI 3. */
const KNOWN_WARNINGS = ["-vw", "3168", "-vw", "3073"];
function run(dir: string, tool: string, ...args: string[]): string {
  return execFileSync(tool, args, { cwd: dir, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

describe("ACPI tables", () => {
  it.skipIf(!hasTool("iasl"))("are accepted by iasl, and compile again without a remark", () => {
    const dir = dumpTables(FULL);
    for (const file of readdirSync(dir)) {
      const name = file.replace(".aml", "");
      expect(run(dir, "iasl", "-d", file)).not.toMatch(/error|invalid|warning/i);
      expect(run(dir, "iasl", ...KNOWN_WARNINGS, "-p", `again-${name}`, `${name}.dsl`)).toMatch(/0 Errors, 0 Warnings, 0 Remarks/);
    }
    expect(readFileSync(join(dir, "DSDT.dsl"), "utf8")).toMatch(/_PRT/);
  });

  it.skipIf(!hasTool("iasl"))("are accepted by iasl for the smallest machine and for the largest", () => {
    for (const config of [
      { acpi: true, mouse: false, fpu: false, comPorts: [] },
      { ...FULL, cpus: 16, ramBytes: 0x180000000, comPorts: [0x3f8, 0x2f8, 0x3e8, 0x2e8] },
    ]) {
      const dir = dumpTables(config);
      run(dir, "iasl", "-d", "DSDT.aml");
      expect(run(dir, "iasl", ...KNOWN_WARNINGS, "-p", "again", "DSDT.dsl")).toMatch(/0 Errors, 0 Warnings, 0 Remarks/);
    }
  });

  it.skipIf(!hasTool("acpiexec"))("route PCI interrupts to inputs 16 to 19 of the I/O APIC, and by links for the 8259s", () => {
    const dir = dumpTables(FULL);
    const out = run(dir, "acpiexec", "-b", "evaluate \\_PIC 1;evaluate \\_SB.PCI0._PRT", "DSDT.aml");
    expect(out).not.toMatch(/ACPI (BIOS )?(Error|Warning)|AE_(?!OK)/);
    const rows = [...out.matchAll(/\[Integer\] = ([0-9A-F]+)\s+\[Integer\] = ([0-9A-F]+)\s+\[Integer\] = 0+\s+\[Integer\] = ([0-9A-F]+)/g)];
    expect(rows).toHaveLength(31 * 4);
    for (const [, address = "", pin = "", gsi = ""] of rows) {
      const slot = Number.parseInt(address, 16) >>> 16;
      expect(Number.parseInt(gsi, 16)).toBe(16 + ((slot + Number.parseInt(pin, 16) + 3) & 3));
    }
    // The debugger has no room for the package with links.
    run(dir, "iasl", "-d", "DSDT.aml");
    const links = [...readFileSync(join(dir, "DSDT.dsl"), "utf8").matchAll(/(0x00[01][0-9A-F]FFFF),\s+(\w+),\s+\\_SB\.LNK([A-D]),/g)];
    expect(links).toHaveLength(31 * 4);
    expect(links.slice(0, 5).map(([, , , letter]) => letter)).toEqual(["A", "B", "C", "D", "B"]);
  });

  it.skipIf(!hasTool("acpiexec"))("have links that can be set, read back and disabled", () => {
    const dir = dumpTables(FULL);
    const out = run(
      dir,
      "acpiexec",
      "-b",
      // IRQ 11 for LNKB, then off.
      "evaluate \\_SB.LNKB._SRS (23 00 08 18 79 00);evaluate \\_SB.LNKB._CRS;evaluate \\_SB.LNKB._STA;evaluate \\_SB.LNKB._DIS;evaluate \\_SB.LNKB._STA",
      "DSDT.aml",
    );
    expect(out).not.toMatch(/ACPI (BIOS )?(Error|Warning)|AE_(?!OK)/);
    expect(out).toMatch(/0000: 23 00 08 18 79 00/);
    expect([...out.matchAll(/\[Integer\] = ([0-9A-F]+)/g)].map((m) => Number.parseInt(m[1] ?? "", 16))).toEqual([0x0b, 0x09]);
  });

  it.skipIf(!hasTool("acpiexec"))("have methods that all run", () => {
    const out = run(
      dumpTables(FULL),
      "acpiexec",
      "-b",
      "namespace;methods;execute predefined;evaluate \\_SB.LNKA._CRS;evaluate \\_S5;evaluate \\_SB.PCI0._CRS",
      "DSDT.aml",
    );
    // acpiexec itself calls _SRS with an integer.
    const complaints = out.split("\n").filter((l) => /ACPI (BIOS )?(Error|Warning)|AE_(?!OK)/.test(l) && !/_SRS: Argument #1 type mismatch/.test(l));
    expect(complaints).toEqual([]);
    expect(out).toMatch(/No outstanding allocations/);
  });
});
