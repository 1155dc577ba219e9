import { get16, put16, put32 } from "./bytes.ts";

/** DNS messages (RFC 1035 §4), as far as a forwarder makes some of its own. */
export const RCODE = { OK: 0, FORMAT: 1, SERVER_FAILURE: 2, NO_NAME: 3, NOT_IMPLEMENTED: 4, REFUSED: 5 } as const;
export const RECORD = { A: 1, PTR: 12, TXT: 16, AAAA: 28 } as const;

const HEADER = 12;
const MAX_NAME = 255;

export interface DnsQuestion {
  readonly id: number;
  /** Lower case labels joined by dots, without the last dot. */
  readonly name: string;
  readonly type: number;
  /** End of the question in the message. */
  readonly end: number;
}

/** The question of a query; undefined when the message is no query with exactly one readable question. */
export function parseQuestion(message: Uint8Array): DnsQuestion | undefined {
  if (message.length < HEADER + 5) return undefined;
  // QR clear, opcode 0 (standard query), one question.
  if (((message[2] ?? 0) & 0xf8) !== 0 || get16(message, 4) !== 1) return undefined;
  let at = HEADER;
  let name = "";
  for (;;) {
    const length = message[at] ?? 0;
    if (length > 63 || at + 1 + length >= message.length || at - HEADER > MAX_NAME) return undefined;
    at++;
    if (length === 0) break;
    if (name !== "") name += ".";
    for (let i = 0; i < length; i++) name += String.fromCharCode(message[at + i] ?? 0);
    at += length;
  }
  if (at + 4 > message.length) return undefined;
  return { id: get16(message, 0), name: name.toLowerCase(), type: get16(message, at), end: at + 4 };
}

/** An answer to `query` with records of the question's own type; their data is already in wire form. */
export function dnsReply(query: Uint8Array, rcode: number, records: readonly Uint8Array[] = [], ttlSeconds = 60): Uint8Array {
  const question = parseQuestion(query);
  const head = query.slice(0, question?.end ?? Math.min(HEADER, query.length));
  const room = 512 - head.length;
  const kept: Uint8Array[] = [];
  let bytes = 0;
  for (const record of records) {
    if (question === undefined || bytes + HEADER + record.length > room) break;
    kept.push(record);
    bytes += HEADER + record.length;
  }
  const out = new Uint8Array(Math.max(HEADER, head.length) + bytes);
  out.set(head);
  // QR, opcode and RD as asked; RA.
  out[2] = 0x80 | ((query[2] ?? 0) & 0x79) | (kept.length < records.length ? 2 : 0);
  out[3] = 0x80 | rcode;
  put16(out, 4, question === undefined ? 0 : 1);
  put16(out, 6, kept.length);
  put32(out, 8, 0);
  let at = head.length;
  for (const record of kept) {
    // A pointer to the question's name.
    put16(out, at, 0xc000 | HEADER);
    put16(out, at + 2, question?.type ?? 0);
    put16(out, at + 4, 1);
    put32(out, at + 6, ttlSeconds);
    put16(out, at + 10, record.length);
    out.set(record, at + HEADER);
    at += HEADER + record.length;
  }
  return out;
}

/** A name in wire form, for PTR data; undefined when it is no name. */
export function encodeName(name: string): Uint8Array | undefined {
  const labels = name.replace(/\.$/, "").split(".");
  const out: number[] = [];
  for (const label of labels) {
    if (label.length === 0 || label.length > 63) return undefined;
    out.push(label.length);
    for (const char of label) out.push(char.charCodeAt(0) & 0xff);
  }
  out.push(0);
  return out.length > MAX_NAME ? undefined : Uint8Array.from(out);
}
