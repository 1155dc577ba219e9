import { ByteWriter } from "./bytes.ts";
import { FUNCREF, type WasmType } from "./opcodes.ts";

export interface Signature {
  readonly params: readonly WasmType[];
  readonly results: readonly WasmType[];
}

/** An `if` or `br_if` at this offset of the code that is hardly ever taken (branch hinting proposal; engines may ignore it). */
export type UnlikelyBranch = number;

interface FunctionBody {
  readonly type: number;
  readonly locals: readonly WasmType[];
  readonly code: Uint8Array;
  readonly unlikely: readonly UnlikelyBranch[];
}

/** Builds one module: imported memory and functions, own functions, an own table filled with functions, exports. */
export class ModuleBuilder {
  readonly #types: Signature[] = [];
  readonly #imports: { module: string; name: string; type: number }[] = [];
  readonly #functions: (FunctionBody | undefined)[] = [];
  readonly #exports: { name: string; index: number }[] = [];
  #memory: { module: string; name: string; pages: number; maximum: number } | undefined;
  #tableImport: { module: string; name: string; slots: number } | undefined;
  #tableExport = "";
  #table: number[] = [];

  type(signature: Signature): number {
    const found = this.#types.findIndex((t) => String(t.params) === String(signature.params) && String(t.results) === String(signature.results));
    if (found >= 0) return found;
    this.#types.push(signature);
    return this.#types.length - 1;
  }
  importMemory(module: string, name: string, pages: number, maximum: number): void {
    this.#memory = { module, name, pages, maximum };
  }
  /** Imports table 0 instead of having an own one; nothing is filled in. */
  importTable(module: string, name: string, slots: number): void {
    this.#tableImport = { module, name, slots };
  }
  /** Exports the own table, which JavaScript may then grow. */
  exportTable(name: string): void {
    this.#tableExport = name;
  }
  /** All imports come before the first `declare`. Returns the function index. */
  importFunction(module: string, name: string, signature: Signature): number {
    if (this.#functions.length > 0) throw new Error("imports come before functions");
    this.#imports.push({ module, name, type: this.type(signature) });
    return this.#imports.length - 1;
  }
  /** Reserves a function index; the body follows with `define`. */
  declare(): number {
    this.#functions.push(undefined);
    return this.#imports.length + this.#functions.length - 1;
  }
  /** `code` without the final `end`. */
  define(index: number, signature: Signature, locals: readonly WasmType[], code: Uint8Array, unlikely: readonly UnlikelyBranch[] = []): void {
    this.#functions[index - this.#imports.length] = { type: this.type(signature), locals, code: code.slice(), unlikely };
  }
  /** Appends a function to table 0 and returns its slot. */
  tableSlot(index: number): number {
    this.#table.push(index);
    return this.#table.length - 1;
  }
  export(name: string, index: number): void {
    this.#exports.push({ name, index });
  }

  build(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    out.bytes(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
    const section = (id: number, write: (w: ByteWriter) => void): void => {
      const w = new ByteWriter();
      write(w);
      out.u8(id);
      out.leb(w.length);
      out.bytes(w.view());
    };
    section(1, (w) => {
      w.leb(this.#types.length);
      for (const t of this.#types) {
        w.u8(0x60);
        w.leb(t.params.length);
        for (const p of t.params) w.u8(p);
        w.leb(t.results.length);
        for (const r of t.results) w.u8(r);
      }
    });
    section(2, (w) => {
      w.leb(this.#imports.length + (this.#memory === undefined ? 0 : 1) + (this.#tableImport === undefined ? 0 : 1));
      if (this.#memory !== undefined) {
        w.name(this.#memory.module);
        w.name(this.#memory.name);
        w.u8(2);
        w.u8(1);
        w.leb(this.#memory.pages);
        w.leb(this.#memory.maximum);
      }
      if (this.#tableImport !== undefined) {
        w.name(this.#tableImport.module);
        w.name(this.#tableImport.name);
        w.u8(1);
        w.u8(FUNCREF);
        w.u8(0);
        w.leb(this.#tableImport.slots);
      }
      for (const i of this.#imports) {
        w.name(i.module);
        w.name(i.name);
        w.u8(0);
        w.leb(i.type);
      }
    });
    section(3, (w) => {
      w.leb(this.#functions.length);
      for (const f of this.#functions) w.leb(this.#body(f).type);
    });
    if (this.#table.length > 0) {
      section(4, (w) => {
        w.leb(1);
        w.u8(FUNCREF);
        w.u8(0);
        w.leb(this.#table.length);
      });
    }
    section(7, (w) => {
      w.leb(this.#exports.length + (this.#tableExport === "" ? 0 : 1));
      if (this.#tableExport !== "") {
        w.name(this.#tableExport);
        w.u8(1);
        w.leb(0);
      }
      for (const e of this.#exports) {
        w.name(e.name);
        w.u8(0);
        w.leb(e.index);
      }
    });
    if (this.#table.length > 0) {
      section(9, (w) => {
        w.leb(1);
        w.u8(0);
        w.u8(0x41);
        w.sleb(0);
        w.u8(0x0b);
        w.leb(this.#table.length);
        for (const f of this.#table) w.leb(f);
      });
    }
    const bodies = this.#functions.map((f0) => {
      const f = this.#body(f0);
      const b = new ByteWriter();
      const runs: { type: WasmType; count: number }[] = [];
      for (const l of f.locals) {
        const last = runs.at(-1);
        if (last !== undefined && last.type === l) last.count++;
        else runs.push({ type: l, count: 1 });
      }
      b.leb(runs.length);
      for (const r of runs) {
        b.leb(r.count);
        b.u8(r.type);
      }
      const start = b.length;
      b.bytes(f.code);
      b.u8(0x0b);
      return { bytes: b.view(), start, unlikely: f.unlikely };
    });
    if (bodies.some((b) => b.unlikely.length > 0)) {
      section(0, (w) => {
        w.name("metadata.code.branch_hint");
        w.leb(bodies.filter((b) => b.unlikely.length > 0).length);
        bodies.forEach((b, i) => {
          if (b.unlikely.length === 0) return;
          w.leb(this.#imports.length + i);
          w.leb(b.unlikely.length);
          for (const at of b.unlikely) {
            w.leb(b.start + at);
            w.leb(1);
            w.u8(0);
          }
        });
      });
    }
    section(10, (w) => {
      w.leb(bodies.length);
      for (const b of bodies) {
        w.leb(b.bytes.length);
        w.bytes(b.bytes);
      }
    });
    return new Uint8Array(out.view());
  }
  #body(f: FunctionBody | undefined): FunctionBody {
    if (f === undefined) throw new Error("function declared but not defined");
    return f;
  }
}
