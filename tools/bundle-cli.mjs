// Makes dist/bin from dist/cli: one script instead of 150 modules, and V8's compiled form of it, which together halve the time from
// `whyve run` to the boot sector's first byte. Run by `npm run build`, after the interpreter is in dist/.
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));

/** The interpreter lies beside the script as it is, not as a string inside it: nothing to unpack, and the code cache stays small. */
const interpreterFile = {
  name: "interpreter-file",
  setup(bundle) {
    bundle.onLoad({ filter: /soft[/\\]prebuilt\.js$/ }, async ({ path }) => {
      const { prebuilt } = await import(pathToFileURL(path).href);
      const { wasm, ...rest } = prebuilt();
      fs.mkdirSync(`${dist}bin`, { recursive: true });
      fs.writeFileSync(`${dist}bin/interpreter.wasm`, wasm);
      fs.writeFileSync(`${dist}bin/interpreter.json`, JSON.stringify(rest));
      return {
        contents: `import * as fs from "node:fs";
const file = (end) => fs.readFileSync(__dirname + "/interpreter." + end);
export const prebuilt = () => ({
  get wasm() { return file("wasm"); }, compiled: interpreterModule, ...JSON.parse(file("json").latin1Slice()) });`,
      };
    });
  },
};
/** Node's own modules that a plain run does not touch are loaded at their first use. */
const LAZY = ["child_process", "crypto", "dgram", "dns", "net", "os", "perf_hooks", "readline", "v8", "zlib"];
const lazyBuiltins = {
  name: "lazy-builtins",
  setup(bundle) {
    bundle.onResolve({ filter: new RegExp(`^node:(${LAZY.join("|")})$`) }, ({ path, namespace }) =>
      namespace === "lazy" ? { path, external: true } : { path, namespace: "lazy" },
    );
    bundle.onLoad({ filter: /./, namespace: "lazy" }, async ({ path }) => {
      const names = JSON.stringify(Object.keys(await import(path)).filter((name) => name !== "default"));
      return {
        contents: `for (const name of ${names}) Object.defineProperty(exports, name, { enumerable: true, get: () => require("${path}")[name] });`,
      };
    });
  },
};

/**
 * Doors of rooms that a plain run of a disk does not enter: what they export is fetched at its first use, so that a start neither runs
 * nor reads their modules. Only for what is not on a hot path: each use goes through a getter.
 */
const LAZY_ROOMS =
  /dist\/(devices\/(virtio\/\w+|testdev)\/index|backends\/((formats|net-user)\/index|formats\/(qcow2\/open|vhd\/image|vmdk\/open|vhdx\/open|vdi)|node\/(share|evidence|net\/index))|engine\/soft\/(translate\/index|interp\/build|sys\/task)|machine\/snapshot\/\w+|loaders\/index|isa\/(disassemble|coverage))\.js$/;
const lazyRooms = {
  name: "lazy-rooms",
  setup(bundle) {
    bundle.onResolve({ filter: /^\./ }, ({ path, importer, namespace }) => {
      const full = fileURLToPath(new URL(path, pathToFileURL(importer)));
      return namespace === "file" && LAZY_ROOMS.test(full) ? { path: full, namespace: "lazy-room" } : undefined;
    });
    bundle.onLoad({ filter: /./, namespace: "lazy-room" }, async ({ path }) => {
      const names = JSON.stringify(Object.keys(await import(pathToFileURL(path).href)));
      return {
        contents: `for (const name of ${names}) Object.defineProperty(exports, name, { enumerable: true, get: () => require(${JSON.stringify(path)})[name] });`,
        resolveDir: dist,
      };
    });
  },
};

/** Modules of constant bytes that are computed from something easier to read: the result goes into the bundle. */
const BAKED = ["biosemul/font/index.js"];
const bakedBytes = {
  name: "baked-bytes",
  setup(bundle) {
    bundle.onLoad({ filter: new RegExp(`dist/(${BAKED.join("|")})$`) }, async ({ path }) => {
      const constant = ([name, bytes]) =>
        `export const ${name} = new Uint8Array(Buffer.from(${JSON.stringify(Buffer.from(bytes).toString("base64"))}, "base64"));`;
      return {
        contents: Object.entries(await import(pathToFileURL(path).href))
          .map(constant)
          .join("\n"),
      };
    });
  },
};

await build({
  entryPoints: [`${dist}cli/main.js`],
  outfile: `${dist}bin/main.cjs`,
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node20",
  charset: "ascii",
  // Names stay, so that the stack in a report of an internal error can be read.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: "eof",
  // A native module, and optional; WebAssembly that few runs need.
  external: ["koffi", "xz-decompress"],
  plugins: [interpreterFile, lazyBuiltins, lazyRooms, bakedBytes],
  // import() of a Node module becomes require(): the launcher's script has no module loader.
  supported: { "dynamic-import": false },
  define: { "import.meta.url": "importMetaUrl" },
  banner: { js: 'const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
});
// The launcher's function around the script, one byte a character and no "#!" inside it. `interpreterModule` is the launcher's to give.
const script = fs.readFileSync(`${dist}bin/main.cjs`, "latin1").replace(/^#!.*\n/, "");
fs.writeFileSync(`${dist}bin/main.cjs`, `(function (exports, require, module, __filename, __dirname, interpreterModule) {${script}\n})`, "latin1");

/**
 * When V8 optimises: small functions not at once, but once their callers have taken them in; all of them later, and baseline code sooner. The
 * many short functions between a guest's instruction and a chip otherwise cost a core more to compile than a short run has to do.
 */
const WANTED = ["--max-bytecode-size-for-early-opt=0", "--ticks-before-optimization=12", "--baseline-batch-compilation-threshold=1024"];
const known = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
const TIERING = WANTED.filter((flag) => known.includes(`${flag.replace(/=.*/, "")} `)).join(" ");
fs.writeFileSync(
  `${dist}bin/whyve.cjs`,
  `#!/usr/bin/env node
// Generated by tools/bundle-cli.mjs. Runs main.cjs with V8's code cache; a cache of another V8 is refused by V8 itself and costs nothing.
"use strict";
const fs = require("node:fs");
const vm = require("node:vm");
const filename = __dirname + "/main.cjs";
let interpreterModule;
if (process.argv[2] === "run" || process.argv[2] === "demo") {
  // V8 checks the interpreter on another thread while this one gets ready.
  interpreterModule = WebAssembly.compile(fs.readFileSync(__dirname + "/interpreter.wasm"));
}
const cache = filename + ".cache";
let cachedData;
try {
  cachedData = fs.readFileSync(cache);
} catch {}
const script = new vm.Script(fs.readFileSync(filename, "latin1"), { filename, cachedData });
if (process.env.WHYVE_WRITE_CODE_CACHE === "1") process.on("exit", () => fs.writeFileSync(cache, script.createCachedData()));
else if ((process.argv[2] === "run" || process.argv[2] === "demo") && process.versions.v8 === "${process.versions.v8}") {
  // After the cache was read, which is for V8 as it comes. Another V8 may not know the flags, and would say so on stderr.
  require("node:v8").setFlagsFromString("${TIERING}");
}
script.runInThisContext()(exports, require, module, filename, __dirname, interpreterModule);
`,
);
for (const program of ["bin/whyve.cjs", "cli/main.js"]) fs.chmodSync(`${dist}${program}`, 0o755);
// The cache holds what a real start has compiled: the demonstration disk in a file, as anybody's disk, up to its first page.
fs.rmSync(`${dist}bin/main.cjs.cache`, { force: true });
const work = fs.mkdtempSync(path.join(os.tmpdir(), "whyve-cache-"));
const image = path.join(work, "demo.img");
const { demoDisk } = await import("../dist/cli/demo/disk.js");
const disk = demoDisk(false);
const bytes = new Uint8Array(disk.sizeBytes);
disk.read(0, bytes);
fs.writeFileSync(image, bytes);
const demo = ["run", image, "--snapshot-disk", "--display", "none", "--clock", "virtual", "--serial", "null", "--until", "BIOS"];
const env = { ...process.env, WHYVE_WRITE_CODE_CACHE: "1" };
try {
  execFileSync(process.execPath, [`${dist}bin/whyve.cjs`, ...demo, "--timeout", "60"], { env, stdio: ["ignore", "ignore", "inherit"] });
} catch {
  console.error("bundle-cli: the demonstration did not run; start-up will be slower, and the tests will say why");
}
fs.rmSync(work, { recursive: true });
console.log(
  `dist/bin: ${fs
    .readdirSync(`${dist}bin`)
    .map((name) => `${name} ${Math.round(fs.statSync(`${dist}bin/${name}`).size / 1024)} KiB`)
    .join(", ")}`,
);
