import type { OpcodeRow } from "./insn.ts";
import { OPCODE_ROWS } from "./tables/index.ts";

function line(row: OpcodeRow, implemented: ReadonlySet<string> | undefined): string {
  const operands = row.operands.map((o) => o.code).join(", ");
  const { facts } = row;
  const notes = [
    facts.mode === "any" ? "" : facts.mode,
    facts.lock ? "lock" : "",
    facts.rep ? "rep" : "",
    facts.cpl0 ? "cpl0" : "",
    facts.protectedOnly ? "protected" : "",
    facts.exits === "" ? "" : `exits: ${facts.exits}`,
  ].filter((note) => note !== "");
  const done = implemented === undefined ? "" : ` ${implemented.has(row.sem) ? "yes" : "**no**"} |`;
  return `| \`${row.encoding}\` | ${row.mnemonic} | ${operands} | ${row.sem} | ${facts.feature} | ${notes.join(", ")} |${done}`;
}

/** Every semantic name that the tables use, sorted. */
export function semanticNames(): string[] {
  return [...new Set(OPCODE_ROWS.map((row) => row.sem))].toSorted();
}

/** The opcode coverage page: one line a row. `implemented`: semantic names an engine has. */
export function opcodeCoverageMarkdown(implemented?: ReadonlySet<string>): string {
  const names = semanticNames();
  const missing = implemented === undefined ? [] : names.filter((name) => !implemented.has(name));
  const out = ["# Opcode coverage", "", `${OPCODE_ROWS.length} rows, ${names.length} semantic names.`];
  if (implemented !== undefined) out.push("", `Not implemented: ${missing.length === 0 ? "none" : missing.join(", ")}.`);
  const extra = implemented === undefined ? "" : " done |";
  out.push(
    "",
    `| encoding | mnemonic | operands | semantics | feature | notes |${extra}`,
    `|---|---|---|---|---|---|${implemented === undefined ? "" : "---|"}`,
  );
  for (const row of OPCODE_ROWS) out.push(line(row, implemented));
  return `${out.join("\n")}\n`;
}
