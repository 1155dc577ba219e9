/** Appends the checksum byte of a SMART structure. */
function seal(b: Uint8Array): Uint8Array {
  let sum = 0;
  for (let i = 0; i < 511; i++) sum += b[i] ?? 0;
  b[511] = -sum & 0xff;
  return b;
}

/** Attributes a healthy drive shows: id, flags, value, threshold. Names are customary (SFF-8035i). */
const ATTRIBUTES = [
  [1, 0x000b, 100, 16],
  [3, 0x0007, 100, 24],
  [4, 0x0012, 100, 20],
  [5, 0x0033, 100, 36],
  [9, 0x0012, 100, 0],
  [12, 0x0032, 100, 0],
  [194, 0x0022, 100, 0],
  [197, 0x0022, 100, 0],
] as const;

/** SMART READ DATA (ATA/ATAPI-6 §8.55.6). */
export function smartData(lastSelfTest: number): Uint8Array {
  const b = new Uint8Array(512);
  b[0] = 0x10;
  for (const [i, [id, flags, value]] of ATTRIBUTES.entries()) {
    const at = 2 + 12 * i;
    b[at] = id;
    b[at + 1] = flags & 0xff;
    b[at + 2] = flags >>> 8;
    b[at + 3] = value;
    b[at + 4] = value;
    if (id === 194) b[at + 5] = 35;
  }
  b[362] = 0x02;
  b[363] = lastSelfTest;
  b[364] = 1;
  b[367] = 0x5b;
  b[368] = 0x03;
  b[370] = 0x01;
  b[372] = 1;
  b[373] = 2;
  return seal(b);
}

/** SMART READ THRESHOLDS. */
export function smartThresholds(): Uint8Array {
  const b = new Uint8Array(512);
  b[0] = 0x10;
  for (const [i, [id, , , threshold]] of ATTRIBUTES.entries()) {
    b[2 + 12 * i] = id;
    b[3 + 12 * i] = threshold;
  }
  return seal(b);
}

/** SMART READ LOG: directory, summary error log, self-test log (all empty); undefined for logs that do not exist. */
export function smartLog(address: number): Uint8Array | undefined {
  const b = new Uint8Array(512);
  switch (address) {
    case 0x00:
      b[0] = 1;
      b[2] = 1;
      b[12] = 1;
      return b;
    case 0x01:
      b[0] = 1;
      return seal(b);
    case 0x06:
      b[0] = 1;
      return seal(b);
    default:
      return undefined;
  }
}
