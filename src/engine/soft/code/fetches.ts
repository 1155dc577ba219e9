/** Translations known. A power of two. */
const ENTRIES = 2048;
const GENERATIONS = 0x4000000;

/**
 * What a CPU knows about where its code lies: translations of pages that were fetched from, and the generations that say which of them, and
 * which entries of the jump cache, are valid. User and supervisor code have their own, so that a switch of address spaces leaves a kernel on
 * global pages alone.
 */
export class Fetches {
  /** Generations in force. */
  user = 1;
  supervisor = 2;
  /** Every supervisor page known in this generation was global. */
  supervisorGlobal = true;
  #next = 3;
  readonly #page = new Float64Array(ENTRIES);
  readonly #generation = new Uint32Array(ENTRIES);
  readonly #gpa = new Float64Array(ENTRIES);
  /** Pages that code was run on in the generations in force. */
  readonly #seenUser = new Set<number>();
  readonly #seenSupervisor = new Set<number>();

  /** Guest-physical address of linear address `la`, or -1: not known. */
  find(la: number, user: boolean): number {
    const page = Math.floor(la / 4096);
    const i = page & (ENTRIES - 1);
    if (this.#page[i] !== page || this.#generation[i] !== (user ? this.user : this.supervisor)) return -1;
    return this.#gpa[i] + (la - page * 4096);
  }
  remember(la: number, user: boolean, gpa: number, global: boolean): void {
    const page = Math.floor(la / 4096);
    const i = page & (ENTRIES - 1);
    this.#page[i] = page;
    this.#gpa[i] = gpa - (la - page * 4096);
    this.#generation[i] = user ? this.user : this.supervisor;
    if (user) this.#seenUser.add(page);
    else {
      this.#seenSupervisor.add(page);
      if (!global) this.supervisorGlobal = false;
    }
  }
  /** Whether code may have been run on this page in the generation in force. */
  seen(la: number, user: boolean): boolean {
    return (user ? this.#seenUser : this.#seenSupervisor).has(Math.floor(la / 4096));
  }
  /** New generations. False: the numbers started over, old jump-cache entries must go. */
  renew(user: boolean, supervisor: boolean): boolean {
    const again = this.#next + 2 >= GENERATIONS;
    if (again) {
      this.#next = 1;
      this.#generation.fill(0);
    }
    if (user || again) {
      this.user = this.#next++;
      this.#seenUser.clear();
    }
    if (supervisor || again) {
      this.supervisor = this.#next++;
      this.#seenSupervisor.clear();
      this.supervisorGlobal = true;
    }
    return !again;
  }
}
