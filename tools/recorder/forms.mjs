/**
 * Makes cases for every row of the opcode tables that can run alone at CPL 3: each row x code size x operand size x register or
 * memory form (x repeat prefix), with edge-case and random operands from a fixed seed. `makeForms()` lists the forms,
 * `makeCase()` one case of a form.
 */
import { decode, OPCODE_ROWS } from "../../dist/isa/index.js";
import * as env from "../../test/vectors/environment.mjs";
import { prepare } from "./operands.mjs";

const REP_F2 = 0xf2,
  REP_F3 = 0xf3;
const SIZED = new Set([
  "Ev",
  "Ey",
  "Ez",
  "Gv",
  "Gy",
  "Gz",
  "Rv/Mw",
  "Rv",
  "Ry",
  "Mv",
  "My",
  "Mp",
  "Ov",
  "sIb",
  "Iz",
  "Iv",
  "Jb",
  "Jz",
  "Ap",
  "Zv",
  "eAX",
  "rAX",
]);

export const rowKey = (row) => `${row.mnemonic} ${row.encoding} ${row.operands.map((o) => o.code).join(",")}`.trim();

/** Why a row has no vectors from user mode, or "". */
export function excludedAtCpl3(row) {
  const { sem, facts } = row;
  if (facts.feature === "vmx" || facts.feature === "svm" || facts.feature === "smx")
    return "a VM exit in every mode of a guest; #UD outside VMX on the recording machine";
  if (sem === "rsm") return "a VM exit in a guest; SMM does not exist here";
  if (["cpuid", "rdtsc", "rdtscp", "rdpmc", "rdrand", "rdseed", "xgetbv", "rdpid"].includes(sem))
    return "the answer belongs to the machine, not to the instruction";
  if (["sgdt", "sidt", "smsw", "sldt", "str"].includes(sem)) return "UMIP: Linux answers in software; in the system set";
  if (["syscall", "sysenter"].includes(sem)) return "would call Linux; in the system set";
  if (["monitor", "mwait"].includes(sem)) return "feature MONITOR is absent from recorder and engine";
  if (["xsave", "xsaveopt", "xsavec"].includes(facts.feature))
    return "XCR0 decides, which user mode cannot set; in the system set and in fpu/image.test.ts";
  if (["smap", "fsgsbase"].includes(facts.feature)) return "CR4 decides; in the system set";
  if (facts.feature === "invpcid") return "privileged; in sys/features.test.ts";
  if (facts.feature === "clflushopt") return "changes nothing; as CLFLUSH";
  if (["xsaves", "pku", "adx", "clwb", "sha"].includes(facts.feature)) {
    return `CPUID feature ${facts.feature} is not offered by the engine`;
  }
  return "";
}

/** The encoding column as data. */
export function parseEncoding(row) {
  const spec = { mandatory: 0, np: false, rexW: false, opcode: [], plus: false, modrm: undefined, immediates: [] };
  for (const token of row.encoding.split(" ")) {
    if (token === "NP") spec.np = true;
    else if (token === "NFx") spec.np = false;
    else if (token === "REX.W") spec.rexW = true;
    else if (
      /^(66|F2|F3)$/.test(token) &&
      spec.opcode.length === 0 &&
      row.encoding.split(" ").length > 1 &&
      /^(NP|NFx|66|F2|F3|REX\.W)?/.test(token)
    ) {
      spec.mandatory = Number.parseInt(token, 16);
    } else if (/^[0-9A-F]{2}$/.test(token)) spec.opcode.push(Number.parseInt(token, 16));
    else if (/^[0-9A-F]{2}\+[ri]$/.test(token)) {
      spec.opcode.push(Number.parseInt(token, 16));
      spec.plus = true;
    } else if (token === "/r") spec.modrm = -1;
    else if (/^\/[0-7]$/.test(token)) spec.modrm = Number(token[1]);
    else if (/^[ic][a-z]$/.test(token)) spec.immediates.push(token);
    else throw new Error(`unknown token ${token} in ${rowKey(row)}`);
  }
  return spec;
}

function codeSizes(row) {
  if (row.facts.mode === "only64") return [64];
  return row.facts.mode === "no64" ? [16, 32] : [16, 32, 64];
}

/** All forms: { row, spec, codeSize, p66, rexW, shape: "none"|"reg"|"mem", rep, cases }. */
export function makeForms(rows = OPCODE_ROWS) {
  const forms = [];
  for (const row of rows) {
    if (excludedAtCpl3(row) !== "") continue;
    const spec = parseEncoding(row);
    const codes = row.operands.map((o) => o.code);
    const registerOnly = codes.some((c) => /^[RUN][a-z]+$/.test(c) && c !== "Rd/Mb");
    const memoryOnly = codes.some((c) => /^M/.test(c));
    const shapes = spec.modrm === undefined ? ["none"] : registerOnly ? ["reg"] : memoryOnly ? ["mem"] : ["reg", "mem"];
    const implicit = row.operands.length === 0 && row.facts.bits === 0;
    const sized =
      codes.some((c) => SIZED.has(c)) ||
      (implicit && row.facts.feature === "base") ||
      row.sem.startsWith("push") ||
      row.sem.startsWith("pop") ||
      /^M(14|94)/.test(codes[0] ?? "");
    for (const codeSize of codeSizes(row)) {
      const sizes = [{ p66: false, rexW: spec.rexW }];
      if (sized && spec.mandatory !== 0x66 && !spec.np) sizes.push({ p66: true, rexW: spec.rexW });
      if (codeSize === 64 && sized && !spec.rexW) sizes.push({ p66: false, rexW: true });
      if (codeSize === 64 && !sized && row.facts.feature === "fxsr") sizes.push({ p66: false, rexW: true });
      for (const size of sizes) {
        for (const shape of shapes) {
          for (const rep of row.facts.rep ? [0, REP_F3, REP_F2] : [0]) forms.push({ row, spec, codeSize, ...size, shape, rep });
        }
      }
    }
  }
  return forms;
}

/** x87 or MMX state matters. */
export function usesFpu(row) {
  return (
    row.facts.feature === "fpu" ||
    row.facts.feature === "mmx" ||
    row.facts.feature === "fxsr" ||
    row.sem === "fwait" ||
    row.operands.some((o) => /^(Pq|Qq|Qd|Nq|ST)/.test(o.code)) ||
    (/^f/.test(row.sem) && /^D[8-F]/.test(row.encoding))
  );
}

/** XMM registers or MXCSR matter. */
export function usesSse(row) {
  return row.operands.some((o) => /^[VWU]|^XMM/.test(o.code)) || row.sem === "ldmxcsr" || row.sem === "stmxcsr";
}

function immediateBytes(token, addressing, size, random, row) {
  const bytes =
    token === "ib" || token === "cb"
      ? 1
      : token === "iw"
        ? 2
        : token === "iz" || token === "cz"
          ? Math.min(4, size >> 3)
          : token === "iv"
            ? size >> 3
            : 2 + Math.min(4, size >> 3);
  if (token === "ib" && /shl|shr|sar|ro[lr]|rc[lr]|shld|shrd|^ps[lr]/.test(row.sem) && random.chance(60)) return [random.below(35)];
  if (token === "cb") return [random.u32() >>> 24];
  if (token === "cz" && random.chance(92)) {
    const d = random.below(0xe00) - 0x700;
    return [0, 1, 2, 3].slice(0, bytes).map((i) => (d >> (i * 8)) & 0xff);
  }
  if (token === "cp") {
    const { selector, offset } = farTarget(random, addressing.codeSize, addressing.environment);
    const out = [];
    for (let i = 0; i < bytes - 2; i++) out.push((offset >>> (i * 8)) & 0xff);
    out.push(selector & 0xff, selector >> 8);
    return out;
  }
  const v = env.operandValue(random);
  const out = [];
  for (let i = 0; i < bytes; i++) out.push(Number((v >> BigInt(i * 8)) & 0xffn));
  return out;
}

/** A selector and offset for far transfers: mostly good ones. */
export function farTarget(random, codeSize, environment) {
  const good = [env.ldtSelector(1), env.ldtSelector(12), env.ldtSelector(13), env.ldtSelector(17), env.ldtSelector(9), env.CS32, env.CS64];
  const any = [
    0,
    3,
    env.ldtSelector(2),
    env.ldtSelector(18),
    env.ldtSelector(19),
    env.ldtSelector(14),
    env.DS_USER,
    0x10,
    0x18,
    0x08,
    0x107,
    0xff7f,
    env.ldtSelector(1) & ~3,
    env.ldtSelector(13) & ~1,
  ];
  const selector = random.chance(70) ? random.pick(good) : random.pick(any);
  const h = env.hidden(selector);
  const base = h?.base ?? 0;
  const linear = env.CODE + 0x20 + random.below(env.CODE_SIZE - 0x40);
  const offset = random.chance(85) ? (linear - base) >>> 0 : random.pick([0xffff, 0x10000, 0xffffffff, 0x1000, 0]);
  void codeSize;
  void environment;
  return { selector, offset };
}

/** Bytes of one instruction. Returns undefined when the drawn bits do not make this row. */
function assemble(form, choice) {
  const { spec } = form;
  const out = [...choice.prefixes];
  if (spec.mandatory !== 0) out.push(spec.mandatory);
  if (choice.rex !== 0) out.push(choice.rex);
  out.push(...spec.opcode.slice(0, -1), spec.opcode.at(-1) + (spec.plus ? choice.low : 0));
  if (spec.modrm !== undefined) {
    out.push((choice.mod << 6) | ((spec.modrm < 0 ? choice.reg : spec.modrm) << 3) | choice.rm);
    if (choice.mod !== 3) {
      const a16 = choice.addrSize === 16;
      if (!a16 && choice.rm === 4) out.push(choice.sib);
      const noBase = a16 ? choice.mod === 0 && choice.rm === 6 : choice.mod === 0 && (choice.rm === 5 || (choice.rm === 4 && (choice.sib & 7) === 5));
      const bytes = choice.mod === 1 ? 1 : choice.mod === 2 || noBase ? (a16 ? 2 : 4) : 0;
      for (let i = 0; i < bytes; i++) out.push((choice.disp >> (i * 8)) & 0xff);
    }
  } else if (choice.moffs !== undefined) {
    for (let i = 0; i < choice.addrSize / 8; i++) out.push(Number((BigInt(choice.moffs) >> BigInt(i * 8)) & 0xffn));
  }
  out.push(...choice.immediate);
  return out;
}

const SEGMENT_PREFIX = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/** One case of a form: see `Case` in record.mjs. */
export function makeCase(form, random, nextSeed = () => random.u32()) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const made = tryCase(form, random, nextSeed());
    if (made !== undefined) return made;
  }
  return undefined;
}

function tryCase(form, random, seed) {
  const { row, spec, codeSize } = form;
  const environment = codeSize !== 64 && !random.safe && random.chance(15) ? 1 : 0;
  const state = env.expandRegisters(seed);
  const set = env.segmentSet(codeSize, environment);
  const moffs = row.operands.some((o) => o.code === "Ob" || o.code === "Ov");
  const stringy = [
    "movs",
    "cmps",
    "stos",
    "lods",
    "scas",
    "xlat",
    "maskmovq",
    "maskmovdqu",
    "jcxz",
    "loop",
    "loope",
    "loopne",
    "ins",
    "outs",
  ].includes(row.sem);
  const memory = form.shape === "mem" || moffs || stringy;
  const p67 = memory ? random.chance(15) : random.chance(2);
  const addrSize = codeSize === 64 ? (p67 ? 32 : 64) : p67 ? 48 - codeSize : codeSize;
  const prefixes = [];
  let override = memory && random.chance(15) ? random.below(6) : -1;
  if (memory && codeSize === 32 && addrSize === 16 && environment === 0 && random.chance(90)) override = 4 + random.below(2);
  if (override >= 0) prefixes.push(SEGMENT_PREFIX[override]);
  if (form.p66) prefixes.push(0x66);
  if (p67) prefixes.push(0x67);
  if (form.rep !== 0) prefixes.push(form.rep);
  else if (
    row.facts.rep === false &&
    spec.mandatory === 0 &&
    !spec.np &&
    random.chance(2) &&
    row.encoding !== "90" &&
    codeSize !== 64 &&
    row.facts.feature === "base" &&
    spec.opcode[0] !== 0x0f
  )
    prefixes.push(REP_F2);
  if (form.shape === "mem" ? row.facts.lock && random.chance(20) : random.chance(1)) prefixes.push(0xf0);
  let rex = 0;
  if (codeSize === 64) {
    rex = (form.rexW ? 8 : 0) | (random.chance(50) ? random.below(8) : 0);
    if (rex !== 0 || random.chance(20)) rex |= 0x40;
    else rex = 0;
  }
  const opSize =
    codeSize === 64
      ? form.rexW || (row.facts.size64 !== "v" && row.facts.size64 !== "z" && !form.p66)
        ? 64
        : form.p66
          ? 16
          : 32
      : form.p66
        ? 48 - codeSize
        : codeSize;
  const choice = {
    prefixes,
    rex,
    addrSize,
    low: random.below(8),
    reg: random.below(8),
    rm: random.below(8),
    mod: form.shape === "reg" ? 3 : random.below(3),
    sib: random.below(256),
    disp: random.chance(70) ? random.below(256) - 128 : random.u32() | 0,
    immediate: [],
    moffs: moffs ? 0 : undefined,
  };
  const addressing = { codeSize, environment };
  const immSize = row.facts.size64 === "f64" && codeSize === 64 ? 32 : opSize;
  for (const token of spec.immediates) choice.immediate.push(...immediateBytes(token, addressing, immSize, random, row));
  if (addrSize === 16) choice.disp = choice.mod === 1 ? random.below(256) - 128 : random.chance(70) ? random.below(0x200) : random.u32() & 0xffff;
  let code = assemble(form, choice);
  if (code.length > 15) return undefined;
  let insn = decode(Uint8Array.from(code), 0, code.length, codeSize);
  const invalid = "failure" in insn;
  if (invalid ? insn.failure !== "ud" || !prefixes.includes(0xf0) : insn.row !== row || insn.length !== code.length) return undefined;
  const context = {
    row,
    insn,
    random,
    codeSize,
    environment,
    segments: set,
    gpr: state.gpr,
    rflags: state.rflags,
    overrides: new Map(),
    patches: [],
    fpu: usesFpu(row),
    sse: usesSse(row) ? env.sseStyle(rowKey(row)) : undefined,
    setFlags: undefined,
    seed,
    target: 0,
    start: codeSize === 64 || set[0] === env.ldtSelector(13) ? env.CODE + env.START : env.START,
    again(disp, moffsValue) {
      if (disp !== undefined) choice.disp = disp;
      if (moffsValue !== undefined) choice.moffs = moffsValue;
      code = assemble(form, choice);
      insn = decode(Uint8Array.from(code), 0, code.length, codeSize);
      return insn;
    },
  };
  if (!invalid && prepare(context) === false) return undefined;
  return finish(context, form, code);
}

function finish(context, form, code) {
  return {
    codeSize: context.codeSize,
    environment: context.environment,
    code,
    seed: context.seed,
    overrides: [...context.overrides].map(([index, value]) => ({ index, value: BigInt.asUintN(64, value) })),
    flags: context.setFlags,
    patches: context.patches,
    fpu: context.fpu,
    sse: context.sse,
    repeat: form.rep !== 0,
  };
}
