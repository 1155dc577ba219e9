import type { BiosConfig } from "../config.ts";
import * as aml from "./aml.ts";
import type { Aml } from "./aml.ts";

/** I/O APIC inputs of PIRQA#..PIRQD#; the machine wires them. */
export const PIRQ_GSI = 16;
const SLOTS = 32;
const LETTERS = ["A", "B", "C", "D"] as const;
/** IRQs that a link may be set to: free on an AT but for a second printer port. */
const POSSIBLE = (1 << 5) | (1 << 10) | (1 << 11);
/** Bit 7 of a PIRQ route control register: not routed. */
const OFF = 0x80;

/** The PIRQ route control registers of the ISA bridge, for its own scope: PIRA..PIRD. */
export function pirqRegisters(): readonly Aml[] {
  return [aml.pciRegion("PRRC", 0x60, 4), aml.byteFields("PRRC", ...LETTERS.map((l) => `PIR${l}`))];
}

/**
 * LNKA..LNKD: interrupt link devices over those registers, for systems that use the 8259s (ACPI 5.0, 6.2.12). `bridge` is the path of the
 * scope that holds the registers.
 */
export function linkDevices(config: BiosConfig, bridge: string): readonly Aml[] {
  const possible = config.pirqIrqs.reduce((mask, irq) => mask | (1 << irq), POSSIBLE);
  return LETTERS.map((letter, i) => {
    const register = aml.name(`${bridge}.PIR${letter}`);
    const isOff = aml.and(register, aml.integer(OFF));
    const word = aml.name("IRQW");
    return aml.device(
      `LNK${letter}`,
      aml.defName("_HID", aml.eisaId("PNP0C0F")),
      aml.defName("_UID", aml.integer(i + 1)),
      aml.defName("BUFR", aml.resources(aml.sharedIrq(0))),
      aml.defName("_PRS", aml.resources(aml.sharedIrq(possible))),
      aml.method("_STA", 0, aml.when(isOff, aml.giveBack(aml.integer(0x09))), aml.giveBack(aml.integer(0x0b))),
      aml.method("_DIS", 0, aml.or(register, aml.integer(OFF), register)),
      aml.serialMethod(
        "_CRS",
        0,
        aml.wordField(aml.name("BUFR"), 1, "IRQW"),
        aml.store(aml.integer(0), word),
        aml.when(aml.not(isOff), aml.shiftLeft(aml.integer(1), aml.and(register, aml.integer(0x0f)), word)),
        aml.giveBack(aml.name("BUFR")),
      ),
      aml.serialMethod(
        "_SRS",
        1,
        aml.wordField(aml.ARG0, 1, "IRQW"),
        aml.findSetRightBit(word, aml.LOCAL0),
        aml.when(aml.LOCAL0, aml.subtract(aml.LOCAL0, aml.integer(1), register)),
      ),
    );
  });
}

/** Rows of a _PRT: pin P (0 = INTA#) of slot S is PIRQ (P + S - 1) mod 4. `row` gives source and index of a PIRQ. */
function rows(row: (pirq: number) => readonly [Aml, Aml]): number[] {
  const out: number[][] = [];
  const ends = LETTERS.map((_, pirq) => row(pirq));
  for (let slot = 1; slot < SLOTS; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      out.push(aml.packageOf(aml.integer(slot * 0x10000 + 0xffff), aml.integer(pin), ...(ends[(slot + pin + 3) & 3] ?? [])));
    }
  }
  return aml.packageOf(...out);
}

/** Interrupt routing of bus 0: hard-wired I/O APIC inputs when the system said that it uses them (`PICM`), links otherwise. */
export function routing(config: BiosConfig, linkScope: string): readonly Aml[] {
  const links = aml.defName(
    "PRTP",
    rows((pirq) => [aml.name(`${linkScope}.LNK${LETTERS[pirq & 3] ?? "A"}`), aml.integer(0)]),
  );
  const viaLinks = aml.giveBack(aml.name("PRTP"));
  if (!config.apic) return [links, aml.method("_PRT", 0, viaLinks)];
  const wired = aml.defName(
    "PRTA",
    rows((pirq) => [aml.integer(0), aml.integer(PIRQ_GSI + pirq)]),
  );
  return [links, wired, aml.method("_PRT", 0, aml.when(aml.name("\\PICM"), aml.giveBack(aml.name("PRTA"))), viaLinks)];
}
