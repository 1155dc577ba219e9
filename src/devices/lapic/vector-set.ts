/** A 256-bit register of the local APIC: a set of vectors, and the highest of them at hand. */
export class VectorSet {
  readonly #words = new Uint32Array(8);
  #top = -1;

  /** The highest vector, which has the highest priority; -1: none. */
  get top(): number {
    return this.#top;
  }

  /** Bits 32·`index` to 32·`index` + 31 as the register page shows them. */
  word(index: number): number {
    return this.#words[index] ?? 0;
  }

  has(vector: number): boolean {
    return ((this.#words[vector >>> 5] ?? 0) & (1 << (vector & 31))) !== 0;
  }

  add(vector: number): void {
    const at = vector >>> 5;
    this.#words[at] = (this.#words[at] ?? 0) | (1 << (vector & 31));
    if (vector > this.#top) this.#top = vector;
  }

  remove(vector: number): void {
    const at = vector >>> 5;
    this.#words[at] = (this.#words[at] ?? 0) & ~(1 << (vector & 31));
    if (vector === this.#top) this.#top = this.#highest();
  }

  clear(): void {
    this.#words.fill(0);
    this.#top = -1;
  }

  saveState(): readonly number[] {
    return Array.from(this.#words);
  }
  loadState(words: readonly number[]): void {
    this.#words.set(words.slice(0, 8));
    this.#top = this.#highest();
  }

  #highest(): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.#words[i] ?? 0;
      if (word !== 0) return i * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }
}
