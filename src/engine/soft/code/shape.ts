import type { Insn } from "../../../isa/insn.ts";
import type { OpSize } from "../ir/emit.ts";

/** What makes two instructions share a handler: see handlerKey. */
export interface Shape {
  readonly sem: string;
  readonly size: OpSize;
  readonly addrSize: 16 | 32 | 64;
  readonly codeSize: 16 | 32 | 64;
  readonly cc: number;
  /** Works on the MMX registers: availability is checked before, tags and TOP are set after. */
  readonly mm: boolean;
  /** Works on the XMM registers: CR0.EM, CR0.TS and CR4.OSFXSR are looked at before. */
  readonly xmm: boolean;
  /** Sixteen bytes in memory must lie on a 16-byte boundary. */
  readonly aligned: boolean;
  readonly operands: readonly {
    readonly kind: "reg" | "mem" | "imm" | "rel" | "none";
    readonly size: OpSize;
    readonly access: "r" | "w" | "rw" | "n";
    readonly mm?: boolean;
    readonly xmm?: boolean;
    /** Sixteen bytes in memory (`size` says 64); an immediate that takes all 64 bits, in the fields disp and imm. */
    readonly wide?: boolean;
  }[];
}

/** What a semantic function looked at besides size and operands: part of the key only then. */
export interface KeyParts {
  readonly addrSize: boolean;
  readonly codeSize: boolean;
  readonly cc: boolean;
}
export interface SemanticUses extends KeyParts {
  /** It may leave the work to its helper: its records keep their instruction. */
  readonly defers: boolean;
}

/** Text by which equal handlers are found again at decode time. */
export function handlerKey(shape: Shape, uses: KeyParts): string {
  let key = `${shape.sem}/${shape.size}`;
  for (const o of shape.operands)
    key +=
      o.kind === "mem"
        ? `,m${o.wide === true ? 128 : o.size}${o.access}`
        : o.kind === "imm" && o.wide === true
          ? ",wide"
          : `,${o.xmm === true ? "v" : o.mm === true ? "x" : o.kind[0]}${o.kind === "rel" || o.xmm === true ? "" : o.size}`;
  if (uses.addrSize) key += `;a${shape.addrSize}`;
  if (uses.codeSize) key += `;c${shape.codeSize}`;
  if (uses.cc) key += `;${shape.cc}`;
  return key;
}

/** Instructions that could have a handler: repeat prefixes that repeat go to helpers, so do odd operands. */
export function handlerShape(insn: Insn): Shape | undefined {
  if (insn.rep !== 0 && insn.row.facts.rep) return undefined;
  for (const o of insn.operands) {
    // Loads of CS and SS have effects of their own; there are no more than six segments.
    if (o.kind === "reg" && o.cls === "sreg" && (o.index > 5 || (o.access !== "r" && (o.index === 1 || o.index === 2)))) return undefined;
  }
  return recordShape(insn);
}
/** The handler shape of a decoded instruction; undefined when an operand cannot be put in a record (helpers take those). */
function recordShape(insn: Insn): Shape | undefined {
  const operands: Shape["operands"][number][] = [];
  let registers = 0;
  let immediates = 0;
  let mm = false;
  let xmm = false;
  for (const o of insn.operands) {
    const isXmm = o.kind === "reg" && o.cls === "xmm";
    const wide = (o.size === 128 && o.kind === "mem") || (o.kind === "imm" && o.size === 64 && o.hi !== o.lo >> 31);
    // CMPXCHG16B names 128 bits of memory and uses only its address.
    const size = (o.size === 0 ? insn.opSize : wide || isXmm ? 64 : o.size) as OpSize; // oxlint-disable-line no-unsafe-type-assertion -- checked next
    if (size !== 8 && size !== 16 && size !== 32 && size !== 64) return undefined;
    if (o.kind === "far") return undefined;
    if (o.kind === "reg") {
      if (o.cls !== "gpr" && o.cls !== "gpr8h" && o.cls !== "sreg" && o.cls !== "mm" && !isXmm) return undefined;
      if (o.cls === "mm") mm = true;
      if (isXmm) xmm = true;
      registers++;
    }
    // ENTER's second immediate is packed into the upper half of the first.
    if (o.kind === "imm" && immediates++ > 0) continue;
    // Below 64 bits the displacement is cut to the address size.
    if (o.kind === "mem" && insn.addrSize === 64 && o.dispHi !== o.disp >> 31) return undefined;
    operands.push({ kind: o.kind, size, access: o.access, mm: o.kind === "reg" && o.cls === "mm", xmm: isXmm, wide });
  }
  if (registers > 3 || (registers === 3 && immediates > 0)) return undefined;
  return {
    sem: insn.row.sem,
    // Vector instructions have no operand size of their own.
    size: mm || xmm ? 32 : (insn.opSize as OpSize), // oxlint-disable-line no-unsafe-type-assertion
    addrSize: insn.addrSize,
    codeSize: insn.codeSize,
    cc: insn.row.facts.cc,
    mm,
    xmm,
    aligned: insn.row.facts.aligned,
    operands,
  };
}
