/** Arithmetic of 32-bit sequence numbers, which wrap (RFC 9293 §3.4). Numbers are kept unsigned. */

/** How far `a` is behind (negative) or ahead of `b`. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

export function add(seq: number, bytes: number): number {
  return (seq + bytes) >>> 0;
}
