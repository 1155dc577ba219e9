#!/usr/bin/env node
// Writes the pages that are made from the code in dist/ (PAGES), and says which paths named in a page do not exist and which room has no README: that ends
// it with 1. With --check nothing is written, and a page that is out of date ends it with 1 too.
import * as fs from "node:fs";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { errorsMarkdown } from "../dist/base/index.js";
import { biosServicesMarkdown } from "../dist/biosemul/index.js";
import { implementedNames } from "../dist/engine/soft/code/semantics.js";
import { manPage } from "../dist/cli/reference/man.js";
import { optionsMarkdown } from "../dist/cli/reference/markdown.js";
import { apiMarkdown } from "./api-page.mjs";
import { opcodeCoverageMarkdown } from "../dist/isa/index.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const { version, exports: doors } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
const typed = Object.entries(doors).filter(([, door]) => door.types !== undefined);
const PAGES = {
  "docs/generated/bios-services.md": biosServicesMarkdown(),
  "docs/generated/opcodes.md": opcodeCoverageMarkdown(implementedNames()),
  "docs/generated/whyve.1": manPage(version),
  "docs/api.md": apiMarkdown(
    ROOT,
    typed.map(([name, { types }]) => [path.posix.join("whyve", name), types]),
  ),
  "docs/errors.md": errorsMarkdown(),
  "docs/options.md": optionsMarkdown(),
};

/** Every file of ours, from the repository's folder on. */
function ourFiles(folder = "") {
  const entries = fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true });
  const kept = entries.filter(({ name }) => !/^(\.(?!ci$|oxlintrc)|node_modules$|dist$)/.test(name));
  return kept.flatMap((entry) => (entry.isDirectory() ? ourFiles(path.posix.join(folder, entry.name)) : [path.posix.join(folder, entry.name)]));
}

/** Rooms (folders of `src` with a TypeScript project) that no README explains. */
function roomsWithoutReadme(files) {
  const rooms = files.filter((file) => /^src\/.+\/tsconfig\.json$/.test(file)).map((file) => path.dirname(file));
  return rooms.filter((room) => !files.includes(`${room}/README.md`)).map((room) => `${room} has no README.md`);
}

/** Paths in the pages (code spans that look like files or folders of ours, and links) that lead nowhere. Built files (`dist/`) are not looked for. */
function pathsThatLeadNowhere(files) {
  const known = new Set(files);
  for (const file of files) for (let folder = path.dirname(file); folder !== "."; folder = path.dirname(folder)) known.add(folder);
  const exists = (name) => {
    if (!/[*{]/.test(name)) return known.has(name);
    const pattern = name
      .replace(/[.+]/g, "\\$&")
      .replaceAll("*", "[^/]*")
      .replace(/\{([^}]*)\}/g, (_, words) => `(?:${words.replaceAll(",", "|")})`);
    const wanted = new RegExp(`^${pattern}$`);
    return files.some((file) => wanted.test(file));
  };
  const missing = [];
  // The change log names things as they were.
  for (const page of files.filter((file) => file.endsWith(".md") && file !== "CHANGELOG.md")) {
    // A page names files from where it stands, from the repository, from src, and of the processor from its room.
    const roots = [path.dirname(page), ".", "src", "src/engine/soft"];
    for (const [, code, link] of fs.readFileSync(path.join(ROOT, page), "utf8").matchAll(/`([\w.{},*/-]+)`|\]\(([^)#\s]+)[^)]*\)/g)) {
      const name = code ?? link;
      const isPath =
        link === undefined
          ? /\.(ts|mjs|md|sh|asm|json)$|^[a-z][a-z0-9.-]*(\/[a-z0-9.-]+)*\/$|^(src|test|tools|docs|bench|demo)\//.test(name)
          : !/^\w+:/.test(name);
      if (!isPath || /^(dist|node_modules)\//.test(name)) continue;
      if (!roots.some((root) => exists(path.normalize(path.join(root, name)).replace(/\/$/, "")))) missing.push(`${page}: ${name} does not exist`);
    }
  }
  return missing;
}

let stale = 0;
for (const [name, text] of Object.entries(PAGES)) {
  const file = path.join(ROOT, name);
  if (fs.existsSync(file) && fs.readFileSync(file, "utf8") === text) continue;
  if (process.argv.includes("--check")) {
    console.error(`${name} is not what the code gives: run npm run docs`);
    stale++;
  } else {
    fs.writeFileSync(file, text);
    console.log(`${name}: ${text.length} characters`);
  }
}
const files = ourFiles();
const findings = [...roomsWithoutReadme(files), ...pathsThatLeadNowhere(files)];
for (const line of findings) console.error(line);
process.exit(stale === 0 && findings.length === 0 ? 0 : 1);
