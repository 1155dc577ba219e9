import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, it } from "vitest";
import { ERROR_CODES } from "./error-codes.ts";

const SRC = path.join(import.meta.dirname, "..");

describe("error codes", () => {
  it("are all in use: the table promises no error that nothing makes", () => {
    const files = fs
      .readdirSync(SRC, { recursive: true, encoding: "utf8" })
      .filter((f) => f.endsWith(".ts") && !/\.test\.ts$|error-codes\.ts$/.test(f));
    const text = files.map((file) => fs.readFileSync(path.join(SRC, file), "utf8")).join("\n");
    for (const code of Object.keys(ERROR_CODES)) expect(text.includes(`"${code}"`), code).toBe(true);
  });
});
