import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decode, disassemble } from "./index.ts";
import type { CodeSize, Insn } from "./index.ts";

/** GNU objdump as a second opinion: same length, same text after both are brought to one spelling. */

const installed = spawnSync("objdump", ["--version"]).status === 0;

const MACHINE: Readonly<Record<CodeSize, readonly string[]>> = {
  16: ["-m", "i8086", "-M", "intel"],
  32: ["-m", "i386", "-M", "intel"],
  64: ["-m", "i386:x86-64", "-M", "intel,intel64"],
};

function generator(seed: number): () => number {
  let x = seed;
  return () => {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    return x >>> 24;
  };
}

const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x36, 0x64, 0x65, 0x66, 0x66, 0xf3];
const REX = [0x40, 0x41, 0x42, 0x44, 0x48, 0x49, 0x4c, 0x4f];

/** Instructions-like bytes: some prefixes, an opcode from a random map, random rest. The tail of each is noise that decodes as something else. */
function stream(size: number, seed: number, codeSize: CodeSize): Uint8Array {
  const next = generator(seed);
  const out: number[] = [];
  while (out.length < size) {
    if (next() < 110) out.push(PREFIXES[next() % PREFIXES.length] ?? 0);
    if (codeSize === 64 && next() < 100) out.push(REX[next() % REX.length] ?? 0);
    const map = next();
    if (map < 150) out.push(0x0f);
    if (map < 40) out.push(map < 24 ? 0x38 : 0x3a);
    for (let i = next() % 9; i >= 0; i--) out.push(next());
  }
  return Uint8Array.from(out.slice(0, size));
}

interface Listed {
  readonly at: number;
  readonly hex: string;
  readonly length: number;
  readonly text: string;
}

function objdump(bytes: Uint8Array, codeSize: CodeSize): Listed[] {
  const folder = mkdtempSync(join(tmpdir(), "isa-"));
  const file = join(folder, "code.bin");
  writeFileSync(file, bytes);
  const listing = execFileSync("objdump", ["-D", "-b", "binary", ...MACHINE[codeSize], "--insn-width=16", "-z", file], {
    maxBuffer: 1 << 30,
  }).toString();
  rmSync(folder, { recursive: true });
  const out: Listed[] = [];
  for (const line of listing.split("\n")) {
    const [address, hex, text] = line.split("\t");
    if (address === undefined || hex === undefined || !/^ *[0-9a-f]+:$/.test(address)) continue;
    out.push({
      at: Number.parseInt(address, 16),
      hex: hex.trim(),
      length: hex.trim().split(/ +/).length,
      text: (text ?? "").trim().replace(/\s+/g, " "),
    });
  }
  return out;
}

const PREFIX_WORD =
  /^((lock|repz|repnz|repe|repne|rep|bnd|notrack|xacquire|xrelease|data16|data32|addr32|addr16|rex(\.\w+)?|[cdesfg]s|o16|o32|o64)( |$))+/;

function shared(text: string): string {
  return text
    .replace(PREFIX_WORD, "")
    .replace(/, */g, ", ")
    .replace(
      /^(j\w+|loop\w*|call) 0x([0-9a-f]+)$/,
      (_all, name: string, target: string) => `${name} ${(Number.parseInt(target, 16) & 0xffff).toString(16)}`,
    )
    .replace(/^(iret|pushf|popf|pusha|popa)[wdq]?$/, "$1")
    .replace(/^(movs|cmps|stos|lods|scas|ins|outs|xlat)(b|w|d|q)?( [^x]*)?$/, "$1")
    .replace(/^(movs|cmps|stos|lods|scas|ins|outs|xlat) .*\[.*$/, "$1");
}

function ours(text: string): string {
  return shared(text)
    .replace(/\b(byte|word|dword|qword|tword|oword|far) /g, "")
    .replace(/\[rel ([fg]s:)?0x[0-9a-f]+\]/, "[$1rip]");
}

function theirs(text: string): string {
  return shared(
    text
      .replace(PREFIX_WORD, "")
      .replace(/ *#.*$/, "")
      .replace(/movabs/, "mov")
      .replace(/^(pcmp.str.)q /, "$1 ")
      .replace(/^(ret|retf|call|jmp|leave|enter|push|pop|sysret|sysexit|sgdt|sidt|lgdt|lidt|fldenv|fnstenv|frstor|fnsave)[wdq]( |$)/, "$1$2"),
  )
    .replace(/\b(BYTE|WORD|DWORD|QWORD|TBYTE|XMMWORD|FWORD|OWORD) PTR /g, "")
    .replace(/([fg]s:)?\[(rip|eip)[+-]0x[0-9a-f]+\]/, "[$1rip]")
    .replace(/\b([cdesfg]s):(0x[0-9a-f]+)/, "[$1:$2]")
    .replace(/\b([cdesfg]s):\[/, "[$1:")
    .replace(/\[ds:(0x|[re]?[abcds][xi]|r\d)/, "[$1")
    .replace(/\[ss:([re]?[bs]p)/, "[$1")
    .replace(/\bst\((\d)\)/g, "st$1")
    .replace(/\bst\b/g, "st0")
    .replace(/\+?[er]iz\*\d/, "")
    .replace(/\*1\b/g, "")
    .replace(/\+0x0\]/, "]");
}

/** What objdump knows and the processor modelled here does not have: other vendors' and newer extensions. */
const EXTENSIONS =
  /^(\(bad\)|femms|pf\w+|pi2f[wd]|pavgusb|pmulhrw|pswapd|v\w+|k\w+|\{|movdir\w+|enqcmds?|gf2p8\w+|wrussd?q?|wrssd?q?|wrussq|incssp[dq]|rdssp[dq]|saveprevssp|rstorssp|setssbsy|clrssbsy|extrq|insertq|movnts[sd]|xbegin\w*|xabort|xend|xtest|encl[suv]|pconfig|wbnoinvd|mcommit|invlpgb|tlbsync|clzero|rdpru|monitorx|mwaitx|vm\w+|skinit|stgi|clgi|invlpga|umonitor|umwait|tpause|ptwrite|serialize|xsusldtrk|xresldtrk|hreset|aes\w+kl|loadiwkey|encodekey\w+|xstore\w*|xcrypt-\w+|montmul|xsha\w+|psmash|pvalidate|rmp\w+|seam\w+|tdcall|uiret|testui|clui|stui|senduipi|cl0|getbv|llwpcb|slwpcb|bextr|bl[cs]\w+|t1mskc|tzmsk|lwp\w+|fsetpm|frstpm|wrmsrns|rdmsrlist|aadd|aand|aor|axor|wrmsrlist|prefetchit\w|prefetchrst2|swapgs|undefined)\b/;

/** Spellings and choices that differ on purpose; the reason beside each. */
const DIFFERENT: readonly (readonly [RegExp, string])[] = [
  [/^mov (\?|cs)|,\?/, "invalid segment register is #UD"],
  [/^mov .*\b(tr\d|cr(1|5|6|7|8|9|1\d)|dr(8|9|1\d|\d\d))\b/, "registers that do not exist are #UD"],
  [/^(bnd|cldemote|rdssp|nop|reservednop|endbr|prefetch|hint)/, "hints are NOP"],
  [/^(tzcnt|lzcnt)/, "without BMI1 and LZCNT these are BSF and BSR"],
  [/^(lsl|lar|movsxd|verr|verw|lldt|ltr|lmsw|smsw|sldt|str|arpl) /, "width of the 16-bit source is spelt otherwise"],
  [/^ud[01]/, "operands are of no interest"],
  [/^(fnsetpm|fneni|fndisi|fwait|wait|f(init|clex|stcw|stenv|stsw|save))\b/, "objdump joins WAIT with the next instruction"],
  [/^xchg ([re]?ax),\1$/, "that is NOP"],
  [/^mov [c-gs]s,/, "the source is 16 bits wide"],
  [/^(pmovmskb|movmskp[sd]|pextrw)/, "a 32-bit destination, whatever REX.W says"],
  [/^(cmp\w+[ps][sd]|pclmul\w+) /, "the immediate is part of the name"],
  [
    /^(f?xsave\w*|f?xrstor\w*|getsec|[lms]fence|clflush|ldmxcsr|stmxcsr|movnti|xgetbv|xsetbv|mwait|monitor|[cs][lt]ac|rdpkru|wrpkru) ?/,
    "66, F2, F3 are #UD (NP)",
  ],
  [/^(rd|wr)[fg]sbase/, "64-bit code only"],
  [/^(jmp|call) .*\[/, "3E is NOTRACK"],
  [/\[[er]?bp\*/, "no base: the default is DS, not SS"],
  [/\[[er]iz/, "no base: an absolute address"],
];

function isPrefixOnly(listed: Listed): boolean {
  // LOCK is allowed by objdump everywhere; decode.test.ts has the rule.
  return listed.text.replace(PREFIX_WORD, "") === "" || /\block\b/.test(listed.text);
}

function disagreement(bytes: Uint8Array, listed: Listed, codeSize: CodeSize): string {
  const bare = listed.text.replace(PREFIX_WORD, "");
  if (isPrefixOnly(listed) || DIFFERENT.some(([pattern]) => pattern.test(bare)) || bare.includes("(bad)") || EXTENSIONS.test(bare)) return "";
  const insn = decode(bytes, listed.at, bytes.length - listed.at, codeSize);
  if ("failure" in insn) return `${listed.hex} | ${listed.text} | ours: ${insn.failure}`;
  if (insn.row.sem === "fwait") return "";
  const text = disassemble(bytes, listed.at, codeSize, BigInt(listed.at)).text;
  if (insn.length !== listed.length) return `${listed.hex} | ${listed.text} | ours: ${text} (${insn.length})`;
  return ours(text) === theirs(listed.text) ? "" : `${listed.hex} | ${theirs(listed.text)} | ${ours(text)} | ${insn.row.encoding}`;
}

/** Where objdump finds nothing, we must not find a row of a documented instruction. */
const OURS_ONLY: ReadonlySet<string> = new Set([
  "salc",
  "lfence",
  "mfence",
  "sfence",
  "nop",
  "bsf",
  "bsr",
  "wbinvd",
  "ud0",
  "ud1",
  "fwait",
  "sha1rnds4",
  "fcom",
  "fcomp",
  "fxch",
  "fstp",
  "prefetch",
  "prefetchw",
  "arpl",
]);
function invented(bytes: Uint8Array, listed: Listed, codeSize: CodeSize): string {
  if (!listed.text.includes("(bad)")) return "";
  const insn = decode(bytes, listed.at, bytes.length - listed.at, codeSize);
  if ("failure" in insn || OURS_ONLY.has(insn.row.sem)) return "";
  const size: Insn = insn;
  return `${listed.hex} | ${listed.text} | ours: ${size.row.mnemonic} ${size.row.encoding}`;
}

describe.skipIf(!installed)(`the decoder beside objdump${installed ? "" : " (objdump is not installed)"}`, () => {
  for (const codeSize of [16, 32, 64] as const) {
    it(`agrees on length and text in ${codeSize}-bit code`, () => {
      const bytes = stream(Number(process.env["ISA_STREAM"] ?? 120_000), Number(process.env["ISA_SEED"] ?? 20) + codeSize, codeSize);
      const listing = objdump(bytes, codeSize).filter((l) => l.at + 16 <= bytes.length);
      expect(listing.length).toBeGreaterThan(10_000);
      expect(listing.map((l) => disagreement(bytes, l, codeSize)).filter((m) => m !== "")).toEqual([]);
      expect(listing.map((l) => invented(bytes, l, codeSize)).filter((m) => m !== "")).toEqual([]);
    });
  }
});
