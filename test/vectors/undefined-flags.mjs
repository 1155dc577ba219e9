/** Arithmetic flags that the manual leaves undefined, by instruction (SDM vol. 2, "Flags Affected"). */
const CF = 1,
  PF = 4,
  AF = 16,
  ZF = 64,
  SF = 128,
  OF = 0x800;

function shiftCount(row, c) {
  const last = row.operands.at(-1)?.code;
  if (last === "1") return 1;
  if (last === "CL") return Number(c.input.gpr[1] & 0xffn);
  return c.code.at(-1);
}

/** Mask of flags not compared for this case. */
export function undefinedFlags(row, c, form) {
  switch (row.sem) {
    case "and":
    case "or":
    case "xor":
    case "test":
      return AF;
    case "mul":
    case "imul":
    case "imul1":
      return SF | ZF | AF | PF;
    case "div":
    case "idiv":
      return CF | OF | SF | ZF | AF | PF;
    case "aaa":
    case "aas":
      return OF | SF | ZF | PF;
    case "aam":
    case "aad":
      return OF | AF | CF;
    case "daa":
    case "das":
      return OF;
    case "bt":
    case "bts":
    case "btr":
    case "btc":
      return OF | SF | AF | PF;
    case "bsf":
    case "bsr":
      return CF | OF | SF | AF | PF;
    case "shl":
    case "shr":
    case "sar":
    case "rol":
    case "ror":
    case "rcl":
    case "rcr":
    case "shld":
    case "shrd": {
      const wide = form.rexW && form.codeSize === 64;
      const count = shiftCount(row, c) & (wide ? 63 : 31);
      const shift = row.sem.startsWith("sh") || row.sem === "sar";
      let mask = count === 1 ? 0 : OF;
      if (shift) mask |= AF;
      if (row.sem !== "sar" && shift && row.operands[0].code === "Eb" && count > 8) mask |= CF;
      const sixteen = (form.codeSize === 16) !== form.p66 && !wide;
      if (shift && row.sem !== "sar" && sixteen && count > 16) mask |= CF;
      if (row.sem.length === 4 && sixteen && count > 16) mask |= CF | OF | SF | ZF | AF | PF;
      return mask;
    }
    default:
      return 0;
  }
}
