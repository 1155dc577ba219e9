// Test-only modules (`*.testing.ts`) are in no build: tools that want one take it from here.
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The module of a file below `src`; what it imports of the rooms is what `dist` has. */
export async function fromSource(file) {
  const built = {
    name: "built",
    setup(bundle) {
      bundle.onResolve({ filter: /^\./ }, ({ path: name, resolveDir }) => {
        const full = path.join(resolveDir, name);
        if (full.endsWith(".testing.ts")) return undefined;
        const compiled = path.join(root, "dist", path.relative(path.join(root, "src"), full)).replace(/\.ts$/, ".js");
        return { path: pathToFileURL(compiled).href, external: true };
      });
    },
  };
  const { outputFiles } = await build({ entryPoints: [path.join(root, "src", file)], bundle: true, format: "esm", write: false, plugins: [built] });
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-source-"));
  try {
    const script = path.join(directory, "module.mjs");
    fs.writeFileSync(script, outputFiles[0].contents);
    return await import(pathToFileURL(script).href);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}
