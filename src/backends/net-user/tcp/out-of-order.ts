import { add, distance } from "./sequence.ts";

/** Pieces kept; a guest that sends more holes than this has them sent again. */
const MAX_PIECES = 1024;

interface Piece {
  seq: number;
  bytes: Uint8Array;
}

/** Segments that came before what should precede them, in order and without overlaps. The window bounds their bytes. */
export class OutOfOrder {
  #pieces: Piece[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }
  get empty(): boolean {
    return this.#pieces.length === 0;
  }

  /** Keeps a copy of what is new in the segment. */
  add(seq: number, source: Uint8Array, start: number, end: number): void {
    let from = start;
    let at = seq;
    let i = 0;
    while (from < end) {
      const piece = this.#pieces[i];
      const toNext = piece === undefined ? end - from : distance(piece.seq, at);
      if (toNext > 0) {
        const length = Math.min(toNext, end - from);
        if (this.#pieces.length >= MAX_PIECES) return;
        this.#pieces.splice(i, 0, { seq: at, bytes: source.slice(from, from + length) });
        this.#bytes += length;
        at = add(at, length);
        from += length;
        i++;
        continue;
      }
      if (piece !== undefined) {
        const skip = distance(add(piece.seq, piece.bytes.length), at);
        if (skip > 0) {
          at = add(at, skip);
          from += skip;
        }
      }
      i++;
    }
  }

  /** The bytes that continue at `next`, taken out; undefined when there is a hole. */
  take(next: number): Uint8Array | undefined {
    for (;;) {
      const [piece] = this.#pieces;
      if (piece === undefined) return undefined;
      const skip = distance(next, piece.seq);
      if (skip < 0) return undefined;
      this.#pieces.shift();
      this.#bytes -= piece.bytes.length;
      if (skip < piece.bytes.length) return skip === 0 ? piece.bytes : piece.bytes.subarray(skip);
    }
  }

  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }
}
