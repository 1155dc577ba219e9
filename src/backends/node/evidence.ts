import * as fs from "node:fs";
import * as path from "node:path";
import { VmmError } from "../../base/index.ts";
import { hostReason } from "./host-error.ts";
import { writeWholeFile } from "./new-file.ts";

/** What a machine looked like. */
interface Evidence {
  readonly screenshot: Uint8Array;
  readonly screen: string;
  readonly serial: Readonly<Record<string, string>>;
  readonly registers: string;
  readonly biosCalls: readonly string[];
}

/** Writes it into a directory, under a name that is made fit for files ("shows its version" of a test runner). Gives the files' names. */
export async function writeEvidence(evidence: Evidence, directory: string, name: string): Promise<readonly string[]> {
  try {
    fs.mkdirSync(directory, { recursive: true });
  } catch (cause) {
    throw new VmmError("FILE_UNWRITABLE", `${directory}: cannot be made (${hostReason(cause)})`, { cause });
  }
  const base = path.join(directory, name.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 100) || "whyve");
  const calls = evidence.biosCalls.length === 0 ? "" : `--- last BIOS calls ---\n${evidence.biosCalls.join("\n")}\n`;
  const text = `--- screen ---\n${evidence.screen}\n--- registers ---\n${evidence.registers}\n${calls}`;
  const files: [string, Uint8Array][] = [
    [`${base}.png`, evidence.screenshot],
    [`${base}.txt`, Buffer.from(text)],
    ...Object.entries(evidence.serial).map(([line, printed]): [string, Uint8Array] => [`${base}-${line}.txt`, Buffer.from(printed)]),
  ];
  for (const [file, bytes] of files) await writeWholeFile(file, bytes);
  return files.map(([file]) => file);
}
