/** What the MMU knows of decoded code: where it lies, and whom to tell when it is written. Pages and addresses are guest-physical. */
export interface CodeBlocks {
  /** Wasm address of a page's bitmap of decoded bytes, 0: no decoded code there. */
  bitmap(page: number): number;
  /** Whether a decoded byte lies in [gpa, gpa+bytes), within one page. */
  touches(gpa: number, bytes: number): boolean;
  /** Guest memory [gpa, gpa+bytes) is about to change. */
  written(gpa: number, bytes: number): void;
}

/** What a CPU remembers about the linear addresses of its code. */
export interface CodeLookups {
  /** Translations changed; with `keepGlobal`, those of global pages did not. */
  linearChanged(keepGlobal: boolean): void;
  /** One page's translation changed. */
  pageChanged(la: number): void;
  /** Code size, CPL or CS limit changed. */
  modeChanged(): void;
}

/** For an MMU by itself. */
export const NO_BLOCKS: CodeBlocks = { bitmap: () => 0, touches: () => false, written() {} };
export const NO_LOOKUPS: CodeLookups = { linearChanged() {}, pageChanged() {}, modeChanged() {} };
