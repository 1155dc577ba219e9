/** Bytes of a whole CD sector (ECMA-130 §14). */
export const RAW_SECTOR = 2352;

const ECC_FORWARD = new Uint8Array(256);
const ECC_BACKWARD = new Uint8Array(256);
const EDC = new Uint32Array(256);
for (let i = 0; i < 256; i++) {
  const doubled = (i << 1) ^ ((i & 0x80) !== 0 ? 0x11d : 0);
  ECC_FORWARD[i] = doubled;
  ECC_BACKWARD[(i ^ doubled) & 0xff] = i;
  let edc = i;
  for (let bit = 0; bit < 8; bit++) edc = (edc >>> 1) ^ ((edc & 1) !== 0 ? 0xd8018001 : 0);
  EDC[i] = edc;
}

const bcd = (v: number): number => (Math.floor(v / 10) << 4) | (v % 10);

/** Minute, second, frame of a block, 150 frames after the lead-in's end. */
export function msf(lba: number): readonly [number, number, number] {
  const frames = lba + 150;
  return [Math.floor(frames / (75 * 60)), Math.floor(frames / 75) % 60, frames % 75];
}

/** One of the two Reed-Solomon product codes over the 2064+ bytes after the sync (ECMA-130 annex A). */
function parity(sector: Uint8Array, majors: number, minors: number, majorStep: number, minorStep: number, target: number): void {
  const size = majors * minors;
  for (let major = 0; major < majors; major++) {
    let index = (major >>> 1) * majorStep + (major & 1);
    let a = 0;
    let b = 0;
    for (let minor = 0; minor < minors; minor++) {
      const v = sector[12 + index] ?? 0;
      index += minorStep;
      if (index >= size) index -= size;
      a ^= v;
      b ^= v;
      a = ECC_FORWARD[a] ?? 0;
    }
    a = ECC_BACKWARD[(ECC_FORWARD[a] ?? 0) ^ b] ?? 0;
    sector[target + major] = a;
    sector[target + major + majors] = a ^ b;
  }
}

/** Completes a mode 1 sector whose user data is at 16..2063: sync, header, EDC, zeros, ECC. */
export function sealRawSector(sector: Uint8Array, lba: number): void {
  sector.fill(0xff, 1, 11);
  sector[0] = 0;
  sector[11] = 0;
  const [m, s, f] = msf(lba);
  sector[12] = bcd(m % 100);
  sector[13] = bcd(s);
  sector[14] = bcd(f);
  sector[15] = 1;
  let edc = 0;
  for (let i = 0; i < 2064; i++) edc = (edc >>> 8) ^ (EDC[(edc ^ (sector[i] ?? 0)) & 0xff] ?? 0);
  for (let i = 0; i < 4; i++) sector[2064 + i] = (edc >>> (8 * i)) & 0xff;
  sector.fill(0, 2068, 2076);
  parity(sector, 86, 24, 2, 86, 2076);
  parity(sector, 52, 43, 86, 88, 2248);
}
