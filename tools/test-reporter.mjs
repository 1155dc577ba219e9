// A reporter for node:test: one line a test, the reason of each skipped one, the error of each failed one; at the end the counts
// as JSON into the file that WHYVE_TEST_SUMMARY names.
import { writeFileSync } from "node:fs";

const seconds = (ms) => (ms >= 1000 ? ` (${(ms / 1000).toFixed(1)} s)` : "");

/** The error that a test threw, below the runner's own wrapping. */
const cause = (error) => (error?.code === "ERR_TEST_FAILURE" && error.cause !== undefined ? error.cause : error);

export default async function* reporter(source) {
  const count = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  const groups = [];
  for await (const { type, data } of source) {
    if (type === "test:start") groups[data.nesting] = data.name;
    if (type !== "test:pass" && type !== "test:fail") continue;
    const name = [...groups.slice(0, data.nesting), data.name].join(" > ");
    if (type === "test:fail") {
      const error = cause(data.details?.error);
      // A group that fails only because of what is in it was reported already.
      if (data.details?.error?.failureType === "subtestsFailed") continue;
      count.failed++;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      count.failures.push(name);
      yield `  FAILED  ${name}${seconds(data.details?.duration_ms)}\n${text.replaceAll(/^/gm, "          ")}\n`;
    } else if (data.skip !== undefined || data.todo !== undefined) {
      count.skipped++;
      const why = typeof data.skip === "string" ? data.skip : "";
      count.skips.push(`${name}${why === "" ? "" : `: ${why}`}`);
      yield `  skipped ${name}${why === "" ? "" : `: ${why}`}\n`;
    } else if (data.details?.type !== "suite") {
      count.passed++;
      yield `  ok      ${name}${seconds(data.details?.duration_ms)}\n`;
    }
  }
  const file = process.env["WHYVE_TEST_SUMMARY"];
  if (file !== undefined) writeFileSync(file, JSON.stringify(count));
}
