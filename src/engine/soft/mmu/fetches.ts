/** Translations known, and pages that code was seen on. Powers of two. */
const ENTRIES = 512,
  SEEN = 4096;
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
  /** By hash of the page: the generation in which code was seen there. */
  readonly #seenUser = new Uint32Array(SEEN);
  readonly #seenSupervisor = new Uint32Array(SEEN);

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
    if (user) this.#seenUser[page & (SEEN - 1)] = this.user;
    else {
      this.#seenSupervisor[page & (SEEN - 1)] = this.supervisor;
      if (!global) this.supervisorGlobal = false;
    }
  }
  /** Whether code may have been run on this page in the generation in force. */
  seen(la: number, user: boolean): boolean {
    const i = Math.floor(la / 4096) & (SEEN - 1);
    return user ? this.#seenUser[i] === this.user : this.#seenSupervisor[i] === this.supervisor;
  }
  /** New generations. False: the numbers started over, old jump-cache entries must go. */
  renew(user: boolean, supervisor: boolean): boolean {
    const again = this.#next + 2 >= GENERATIONS;
    if (again) {
      this.#next = 1;
      this.#generation.fill(0);
      this.#seenUser.fill(0);
      this.#seenSupervisor.fill(0);
    }
    if (user || again) this.user = this.#next++;
    if (supervisor || again) {
      this.supervisor = this.#next++;
      this.supervisorGlobal = true;
    }
    return !again;
  }
}
