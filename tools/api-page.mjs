// docs/api.md: what the package's doors export, from the declarations and doc comments in dist/. Declarations are printed as the compiler writes them,
// so the page cannot say anything that is not so.
import * as fs from "node:fs";
import * as path from "node:path";

const DECLARATION = /^export (?:declare )?(?:abstract )?(interface|class|function|const|type|enum) (\w+)/;

/** Top-level declarations of a .d.ts file by name: doc comment, kind and text. */
function declarations(file) {
  const lines = fs.readFileSync(file, "utf8").split("\n");
  const found = new Map();
  for (let i = 0; i < lines.length; i++) {
    const match = DECLARATION.exec(lines[i]);
    if (match === null) continue;
    const end = endOf(lines, i);
    const text = lines
      .slice(i, end + 1)
      .filter((line) => !/^\s*#private;$|^\s*private /.test(line))
      .join("\n");
    const [, kind, name] = match;
    // Overloads follow each other.
    const before = found.get(name);
    if (before === undefined) found.set(name, { kind, text, doc: docAbove(lines, i) });
    else before.text += `\n${text}`;
    i = end;
  }
  return found;
}

/** The line on which a declaration that begins at `start` ends: brackets are closed, and a semicolon or a brace is reached. */
function endOf(lines, start) {
  let depth = 0;
  for (let i = start; i < lines.length; i++) {
    const code = lines[i].replace(/\/\*.*?\*\/|\/\/.*|"(?:[^"\\]|\\.)*"|^\s*\*.*/g, "");
    for (const c of code) depth += "{([".includes(c) ? 1 : "})]".includes(c) ? -1 : 0;
    if (depth === 0 && /[;}]\s*$/.test(code)) return i;
  }
  return lines.length - 1;
}

function docAbove(lines, at) {
  if (!/\*\/\s*$/.test(lines[at - 1] ?? "")) return "";
  let from = at - 1;
  while (from > 0 && !lines[from].startsWith("/**")) from--;
  return lines
    .slice(from, at)
    .map((line) => line.replace(/^\/\*\* ?| ?\*\/$|^ \* ?/g, ""))
    .join("\n")
    .trim();
}

/** Every name that a door exports, with its declaration, in the door's order. */
export function doorExports(file, wanted) {
  const text = fs.readFileSync(file, "utf8");
  const own = declarations(file);
  const out = new Map();
  for (const name of wanted ?? own.keys()) if (own.has(name)) out.set(name, own.get(name));
  for (const [, names, from] of text.matchAll(/export (?:type )?\{([^}]*)\} from "([^"]+)"/g)) {
    const list = names
      .split(",")
      .map((n) =>
        n
          .trim()
          .replace(/^type /, "")
          .split(" as "),
      )
      .filter(([n]) => n !== "");
    for (const [inner, outer = inner] of list) {
      if (wanted !== undefined && !wanted.includes(outer)) continue;
      const found = doorExports(declarationFile(file, from), [inner]).get(inner);
      if (found === undefined) throw new Error(`${file}: ${outer} is declared nowhere in ${from}`);
      out.set(outer, found);
    }
  }
  // A local import that is exported again under its name.
  for (const [, names] of text.matchAll(/export (?:type )?\{([^}]*)\};/g))
    for (const name of names.split(",").map((n) => n.trim())) {
      if (name === "" || out.has(name) || (wanted !== undefined && !wanted.includes(name))) continue;
      const from = new RegExp(`import (?:type )?\\{[^}]*\\b${name}\\b[^}]*\\} from "([^"]+)"`).exec(text)?.[1];
      if (from !== undefined) out.set(name, doorExports(declarationFile(file, from), [name]).get(name));
    }
  // What a file declares itself takes the place of the names that are the same in what it passes on.
  for (const [, from] of text.matchAll(/export \* from "([^"]+)"/g))
    for (const [name, found] of doorExports(declarationFile(file, from), wanted)) if (!out.has(name)) out.set(name, found);
  return out;
}

const declarationFile = (file, from) => path.join(path.dirname(file), from.replace(/\.[jt]s$/, ".d.ts"));

/** The first sentence of a doc comment, on one line. */
const sentence = (doc) => (/^[\s\S]*?[.:](?=\s|$)/.exec(doc)?.[0] ?? doc).replace(/\s+/g, " ").replace(/:$/, ".").replaceAll("|", "\\|");

const ORDER = ["function", "class", "interface", "type", "const", "enum"];

/** `doors`: the package's `exports`, name to path of the declarations. The first is written out, the others are lists. */
export function apiMarkdown(root, doors) {
  const [[, main], ...others] = doors;
  const exported = [...doorExports(path.join(root, main))].sort(([, a], [, b]) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  const contents = exported.map(([name, { doc }]) => `| [\`${name}\`](#${name.toLowerCase()}) | ${sentence(doc)} |`);
  const sections = exported.map(([name, { doc, text }]) => `### ${name}\n\n${doc === "" ? "" : `${doc}\n\n`}\`\`\`ts\n${text}\n\`\`\``);
  const lists = others.map(([door, file]) => {
    const rows = [...doorExports(path.join(root, file))].map(([name, { kind, doc }]) => `| \`${name}\` | ${kind} | ${sentence(doc)} |`);
    return `## \`${door}\`\n\n| name | | |\n| --- | --- | --- |\n${rows.join("\n")}`;
  });
  return `# API

Made from the declarations and their comments (\`npm run docs\`). An introduction with examples: [automation.md](automation.md).

## \`whyve\`

| name | |
| --- | --- |
${contents.join("\n")}

${sections.join("\n\n")}

${lists.join("\n\n")}
`;
}
