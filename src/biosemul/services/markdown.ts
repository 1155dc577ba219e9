import { SERVICES } from "./rows.ts";

const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, "0");

function describeWords(words: string): string {
  return words
    .replaceAll(/([a-z_]+)[=#']([a-z:]+)/g, "$1 in $2")
    .replaceAll("{dap}", "packet at ds:si")
    .replaceAll(/[{}]/g, "")
    .replaceAll("|", "\\|");
}

/** The page docs/generated/bios-services.md: every service of every vector, from the same rows as the trace. */
export function biosServicesMarkdown(): string {
  const lines = [
    "# BIOS services",
    "",
    "Made from `src/biosemul/services` by `biosServicesMarkdown()`; do not edit. Success and failure: CF means CF=1 with a code in AH is an",
    "error; ZF means ZF=1 says nothing is there; VBE means AX=004Fh is success.",
  ];
  let vector = -1;
  for (const row of SERVICES) {
    if (row.vector !== vector) {
      vector = row.vector;
      lines.push("", `## INT ${hex(vector)}h`, "", "| call | service | in | out | result |", "| --- | --- | --- | --- | --- |");
    }
    const call = row.select === "*" ? "any" : row.select.length === 2 ? `AH=${row.select}` : `AX=${row.select}`;
    lines.push(`| ${call} | ${row.name} | ${describeWords(row.args)} | ${describeWords(row.results)} | ${row.status.toUpperCase()} |`);
  }
  return `${lines.join("\n")}\n`;
}
