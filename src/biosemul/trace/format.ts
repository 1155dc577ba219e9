import type { Context } from "../context.ts";

const hex = (value: number, digits: number): string => (value >>> 0).toString(16).toUpperCase().padStart(digits, "0");

/** Reads a register by its name; undefined for other words. */
function register(ctx: Context, name: string): { readonly value: number; readonly digits: number } | undefined {
  const { regs } = ctx;
  switch (name) {
    case "al":
      return { value: regs.al, digits: 2 };
    case "ah":
      return { value: regs.ah, digits: 2 };
    case "bl":
      return { value: regs.bl, digits: 2 };
    case "bh":
      return { value: regs.bh, digits: 2 };
    case "cl":
      return { value: regs.cl, digits: 2 };
    case "ch":
      return { value: regs.ch, digits: 2 };
    case "dl":
      return { value: regs.dl, digits: 2 };
    case "dh":
      return { value: regs.dh, digits: 2 };
    case "ax":
      return { value: regs.ax, digits: 4 };
    case "bx":
      return { value: regs.bx, digits: 4 };
    case "cx":
      return { value: regs.cx, digits: 4 };
    case "dx":
      return { value: regs.dx, digits: 4 };
    case "si":
      return { value: regs.si, digits: 4 };
    case "di":
      return { value: regs.di, digits: 4 };
    case "bp":
      return { value: regs.bp, digits: 4 };
    case "eax":
      return { value: regs.eax, digits: 8 };
    case "ebx":
      return { value: regs.ebx, digits: 8 };
    case "ecx":
      return { value: regs.ecx, digits: 8 };
    case "edx":
      return { value: regs.edx, digits: 8 };
    case "es":
      return { value: regs.selector("es"), digits: 4 };
    case "ds":
      return { value: regs.selector("ds"), digits: 4 };
    default:
      return undefined;
  }
}

const address = (ctx: Context, name: string): string =>
  name
    .split(":")
    .map((part) => hex(register(ctx, part)?.value ?? 0, 4))
    .join(":");

function character(code: number): string {
  return code >= 0x20 && code < 0x7f ? `'${String.fromCharCode(code)}'` : hex(code, 2);
}

function u64(ctx: Context, at: number): string {
  return (BigInt(ctx.mem.read32(at + 4)) * 0x100000000n + BigInt(ctx.mem.read32(at))).toString();
}

/** Structures and register pairs in braces. */
function structure(ctx: Context, name: string): string {
  const { regs, mem } = ctx;
  switch (name) {
    case "chs":
      return `chs=${((regs.cl & 0xc0) << 2) | regs.ch}/${regs.dh}/${regs.cl & 0x3f}`;
    case "us":
      return `us=${regs.cx * 0x10000 + regs.dx}`;
    case "ticks":
      return `ticks=${regs.cx * 0x10000 + regs.dx}`;
    case "dap": {
      const at = ctx.linear(regs.selector("ds"), regs.si);
      const flat = mem.read32(at + 4) === 0xffffffff;
      const buffer = flat ? hex(mem.read32(at + 16), 8) : `${hex(mem.read16(at + 6), 4)}:${hex(mem.read16(at + 4), 4)}`;
      return `lba=${u64(ctx, at + 8)} n=${mem.read16(at + 2)} → ${buffer}`;
    }
    case "smap": {
      const at = ctx.linear(regs.selector("es"), regs.di);
      return `start=${hex(mem.read32(at + 4), 1)}${hex(mem.read32(at), 8)} length=${hex(mem.read32(at + 12), 1)}${hex(mem.read32(at + 8), 8)} type=${mem.read32(at + 16)}`;
    }
    case "move": {
      const at = ctx.linear(regs.selector("es"), regs.si);
      const base = (entry: number): string => hex(mem.read16(entry + 2) + mem.read8(entry + 4) * 0x10000 + mem.read8(entry + 7) * 0x1000000, 8);
      return `${base(at + 0x10)} → ${base(at + 0x18)}`;
    }
    default:
      return name;
  }
}

/** Prints the words of a service row with the registers as they are. */
export function formatWords(ctx: Context, words: string): string {
  if (words === "") return "";
  const out: string[] = [];
  for (const word of words.split(" ")) {
    const brace = /^\{(\w+)\}$/.exec(word);
    if (brace !== null) {
      out.push(structure(ctx, brace[1] ?? ""));
      continue;
    }
    const parts = /^(?:(\w+)([=#']))?([a-z:]+)$/.exec(word);
    const source = parts?.[3];
    if (parts === null || source === undefined) {
      out.push(word);
      continue;
    }
    const label = parts[1] === undefined ? (source.includes(":") ? "" : `${source}=`) : `${parts[1]}=`;
    if (source.includes(":")) {
      out.push(label + address(ctx, source));
      continue;
    }
    const value = register(ctx, source);
    if (value === undefined) out.push(word);
    else if (parts[2] === "#") out.push(`${label}${value.value}`);
    else if (parts[2] === "'") out.push(label + character(value.value));
    else out.push(label + hex(value.value, value.digits));
  }
  return out.join(" ");
}
