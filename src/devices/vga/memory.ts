/**
 * Video memory as the CPU sees it through A0000-BFFFF: the data path of sequencer and graphics controller.
 *
 * Storage: plane p of plane address a is `vram[a * 4 + p]`, so the four planes of one address are one 32-bit word and
 * every graphics-controller operation works on whole words. VBE modes of 8 bits and more use `vram` linearly.
 * As on the IBM VGA, odd/even and chain-4 addressing clear the address bits that select the plane (text cell n has its
 * character at plane 0 of address 2n; mode 13h pixel n is in plane n&3 of address n&~3).
 * The "extended memory" bit of the memory mode register is not modelled: all 256 KB are always there.
 */

/** Four bits to four bytes: bit p set gives FFh in byte p. */
export const EXPAND = Int32Array.from(
  { length: 16 },
  (_, i) => (i & 1 ? 0xff : 0) | (i & 2 ? 0xff00 : 0) | (i & 4 ? 0xff0000 : 0) | (i & 8 ? 0xff000000 : 0),
);

/** How accesses of one direction are carried out; recomputed when a register changes. */
const KIND_NONE = 0;
const KIND_TEXT = 1;
const KIND_CHAIN4 = 2;
const KIND_PLANAR = 3;
const KIND_LINEAR = 4;
const KIND_GENERAL = 5;

/** The registers that steer the data path. */
export interface MemoryControls {
  readonly misc: number;
  readonly seq: Uint8Array;
  readonly gc: Uint8Array;
  readonly vbeEnabled: boolean;
  readonly vbeBpp: number;
  readonly vbeBank: number;
}

export class VideoMemory {
  #u8: Uint8Array;
  #u16: Uint16Array;
  #u32: Int32Array;
  #readKind = KIND_NONE;
  #writeKind = KIND_NONE;
  /** Window start (offset from A0000) and size. */
  #base = 0;
  #size = 0;
  /** Added to a window offset: bytes in linear modes, plane addresses in planar VBE modes. */
  #bankBase = 0;
  #addressMask = 0xffff;
  #odd128 = false;
  #latch = 0;
  #mapMask = 0;
  #planeMask = 0;
  #writeMode = 0;
  #rotate = 0;
  #logic = 0;
  #enableSetReset = 0;
  #setReset = 0;
  #setResetBits = 0;
  #bitMask = 0;
  #bitMask8 = 0;
  #readMap = 0;
  #readMode = 0;
  #compare = 0;
  #dontCare = 0;
  #writeChain4 = false;
  #writeOddEven = false;
  #readOddEven = false;

  constructor(vram: Uint8Array) {
    if (vram.length < 0x40000 || vram.byteOffset % 4 !== 0) throw new RangeError("video memory must be at least 256 KB and 4-byte aligned");
    this.#u8 = vram;
    this.#u16 = new Uint16Array(vram.buffer, vram.byteOffset, vram.length >>> 1);
    this.#u32 = new Int32Array(vram.buffer, vram.byteOffset, vram.length >>> 2);
  }

  get bytes(): Uint8Array {
    return this.#u8;
  }
  /** Word a: the four planes of plane address a, plane 0 in the low byte. */
  get words(): Int32Array {
    return this.#u32;
  }
  get latch(): number {
    return this.#latch;
  }
  set latch(v: number) {
    this.#latch = v | 0;
  }
  /** Byte offset in video memory that A0000-AFFFF shows one to one, or -1: accesses need the data path. */
  get linearWindow(): number {
    return this.#readKind === KIND_LINEAR && this.#writeKind === KIND_LINEAR ? this.#bankBase : -1;
  }

  /** Recomputes the access paths. Cheap: planar programs change the bit mask for every byte they draw. */
  update(c: MemoryControls): void {
    const { gc, seq } = c;
    const gc5 = gc[5] ?? 0;
    this.#mapMask = (seq[2] ?? 0) & 15;
    this.#planeMask = EXPAND[this.#mapMask] ?? 0;
    this.#setResetBits = EXPAND[(gc[0] ?? 0) & 15] ?? 0;
    this.#enableSetReset = EXPAND[(gc[1] ?? 0) & 15] ?? 0;
    this.#setReset = this.#setResetBits & this.#enableSetReset;
    this.#compare = EXPAND[(gc[2] ?? 0) & 15] ?? 0;
    this.#rotate = (gc[3] ?? 0) & 7;
    this.#logic = ((gc[3] ?? 0) >> 3) & 3;
    this.#readMap = (gc[4] ?? 0) & 3;
    this.#writeMode = gc5 & 3;
    this.#readMode = (gc5 >> 3) & 1;
    this.#dontCare = EXPAND[(gc[7] ?? 0) & 15] ?? 0;
    this.#bitMask8 = gc[8] ?? 0;
    this.#bitMask = Math.imul(this.#bitMask8, 0x01010101);
    if ((c.misc & 2) === 0 && !c.vbeEnabled) {
      this.#readKind = KIND_NONE;
      this.#writeKind = KIND_NONE;
      this.#size = 0;
      return;
    }
    if (c.vbeEnabled && c.vbeBpp >= 8) {
      this.#base = 0;
      this.#size = 0x10000;
      this.#bankBase = c.vbeBank << 16;
      const inside = this.#bankBase + 0x10000 <= this.#u8.length;
      this.#readKind = inside ? KIND_LINEAR : KIND_NONE;
      this.#writeKind = this.#readKind;
      return;
    }
    const map = ((gc[6] ?? 0) >> 2) & 3;
    this.#base = map < 2 ? 0 : map === 2 ? 0x10000 : 0x18000;
    this.#size = map === 0 ? 0x20000 : map === 1 ? 0x10000 : 0x8000;
    this.#odd128 = map === 0;
    this.#bankBase = c.vbeEnabled ? c.vbeBank << 16 : 0;
    this.#addressMask = c.vbeEnabled ? ((this.#u32.length - 1) & ~0xffff) | 0xffff : 0xffff;
    if (this.#bankBase + 0x10000 > this.#u32.length) this.#bankBase = 0;
    const seq4 = seq[4] ?? 0;
    this.#writeChain4 = (seq4 & 8) !== 0;
    this.#writeOddEven = (seq4 & 4) === 0 && !this.#writeChain4;
    const readOddEven = (gc5 & 0x10) !== 0;
    const plain = this.#writeMode === 0 && this.#rotate === 0 && this.#logic === 0 && this.#enableSetReset === 0 && this.#bitMask8 === 0xff;
    if (this.#writeChain4) this.#writeKind = plain && this.#mapMask === 15 && !this.#odd128 ? KIND_CHAIN4 : KIND_GENERAL;
    else if (this.#writeOddEven)
      this.#writeKind = plain && (this.#mapMask & 3) === 3 && (this.#mapMask & 12) === 0 && !this.#odd128 ? KIND_TEXT : KIND_GENERAL;
    else this.#writeKind = plain && !this.#odd128 ? KIND_PLANAR : KIND_GENERAL;
    if (this.#readMode === 1 || this.#odd128) this.#readKind = KIND_GENERAL;
    else if (this.#writeChain4) this.#readKind = KIND_CHAIN4;
    else if (readOddEven) this.#readKind = (this.#readMap & 2) === 0 ? KIND_TEXT : KIND_GENERAL;
    else this.#readKind = KIND_PLANAR;
    this.#readOddEven = readOddEven;
    // Banked planar VBE modes: the fast cell and pixel paths know no bank.
    if (c.vbeEnabled && this.#readKind !== KIND_PLANAR) this.#readKind = KIND_GENERAL;
    if (c.vbeEnabled && this.#writeKind !== KIND_PLANAR) this.#writeKind = KIND_GENERAL;
  }

  /** Reads `size` bytes at `offset` from A0000. */
  read(offset: number, size: number): number {
    const o = offset - this.#base;
    if (o >>> 0 < this.#size - 3) {
      switch (this.#readKind) {
        case KIND_TEXT:
          if (size === 2 && (o & 1) === 0) {
            this.#latch = this.#u32[o] ?? 0;
            return this.#u16[o << 1] ?? 0;
          }
          if (size === 4 && (o & 1) === 0) {
            this.#latch = this.#u32[o + 2] ?? 0;
            return ((this.#u16[o << 1] ?? 0) | ((this.#u16[(o + 2) << 1] ?? 0) << 16)) >>> 0;
          }
          break;
        case KIND_CHAIN4:
          if (size === 4 && (o & 3) === 0) return (this.#latch = this.#u32[o] ?? 0) >>> 0;
          if (size === 2 && (o & 1) === 0) {
            this.#latch = this.#u32[o & ~3] ?? 0;
            return this.#u16[((o & ~3) << 1) | ((o & 2) >> 1)] ?? 0;
          }
          break;
        case KIND_LINEAR: {
          const a = this.#bankBase + o;
          if (size === 4 && (a & 3) === 0) return (this.#u32[a >> 2] ?? 0) >>> 0;
          if (size === 2 && (a & 1) === 0) return this.#u16[a >> 1] ?? 0;
          break;
        }
        default:
          break;
      }
    }
    if (size === 1) return this.read8(offset);
    let value = this.read8(offset) | (this.read8(offset + 1) << 8);
    if (size === 4) value |= (this.read8(offset + 2) << 16) | (this.read8(offset + 3) << 24);
    return value >>> 0;
  }

  write(offset: number, size: number, value: number): void {
    const o = offset - this.#base;
    if (o >>> 0 < this.#size - 3) {
      switch (this.#writeKind) {
        case KIND_TEXT:
          if (size === 2 && (o & 1) === 0) {
            this.#u16[o << 1] = value;
            return;
          }
          if (size === 4 && (o & 1) === 0) {
            this.#u16[o << 1] = value;
            this.#u16[(o + 2) << 1] = value >>> 16;
            return;
          }
          break;
        case KIND_CHAIN4:
          if (size === 4 && (o & 3) === 0) {
            this.#u32[o] = value;
            return;
          }
          if (size === 2 && (o & 1) === 0) {
            this.#u16[((o & ~3) << 1) | ((o & 2) >> 1)] = value;
            return;
          }
          break;
        case KIND_PLANAR: {
          const a = this.#bankBase + o;
          const keep = ~this.#planeMask;
          const set = this.#planeMask;
          const w = this.#u32;
          w[a] = ((w[a] ?? 0) & keep) | (Math.imul(value & 0xff, 0x01010101) & set);
          if (size === 1) return;
          w[a + 1] = ((w[a + 1] ?? 0) & keep) | (Math.imul((value >>> 8) & 0xff, 0x01010101) & set);
          if (size === 2) return;
          w[a + 2] = ((w[a + 2] ?? 0) & keep) | (Math.imul((value >>> 16) & 0xff, 0x01010101) & set);
          w[a + 3] = ((w[a + 3] ?? 0) & keep) | (Math.imul(value >>> 24, 0x01010101) & set);
          return;
        }
        case KIND_LINEAR: {
          const a = this.#bankBase + o;
          if (size === 4 && (a & 3) === 0) {
            this.#u32[a >> 2] = value;
            return;
          }
          if (size === 2 && (a & 1) === 0) {
            this.#u16[a >> 1] = value;
            return;
          }
          break;
        }
        default:
          break;
      }
    }
    this.write8(offset, value & 0xff);
    if (size === 1) return;
    this.write8(offset + 1, (value >>> 8) & 0xff);
    if (size === 2) return;
    this.write8(offset + 2, (value >>> 16) & 0xff);
    this.write8(offset + 3, value >>> 24);
  }

  read8(offset: number): number {
    const o = offset - this.#base;
    if (o >>> 0 >= this.#size) return 0xff;
    switch (this.#readKind) {
      case KIND_TEXT: {
        const word = this.#u32[o & 0xfffe] ?? 0;
        this.#latch = word;
        return (o & 1) === 0 ? word & 0xff : (word >> 8) & 0xff;
      }
      case KIND_CHAIN4: {
        const word = this.#u32[o & 0xfffc] ?? 0;
        this.#latch = word;
        return (word >> ((o & 3) << 3)) & 0xff;
      }
      case KIND_PLANAR: {
        const word = this.#u32[this.#bankBase + o] ?? 0;
        this.#latch = word;
        return (word >> (this.#readMap << 3)) & 0xff;
      }
      case KIND_LINEAR:
        return this.#u8[this.#bankBase + o] ?? 0xff;
      case KIND_GENERAL:
        return this.#readGeneral(o);
      default:
        return 0xff;
    }
  }

  #readGeneral(o: number): number {
    let a: number;
    let plane = this.#readMap;
    if (this.#writeChain4) {
      a = (o & 0xfffc) | ((o >> 16) & 3);
      plane = o & 3;
    } else if (this.#readOddEven) {
      a = (o & 0xfffe) | (o >> 16);
      plane = (plane & 2) | (o & 1);
    } else a = o & 0xffff;
    const word = this.#u32[(this.#bankBase + a) & this.#addressMask] ?? 0;
    this.#latch = word;
    if (this.#readMode === 0) return (word >> (plane << 3)) & 0xff;
    // Read mode 1: a pixel matches when all planes that are cared for equal the compare colour.
    let differ = (word ^ this.#compare) & this.#dontCare;
    differ |= differ >>> 16;
    differ |= differ >>> 8;
    return ~differ & 0xff;
  }

  write8(offset: number, value: number): void {
    const o = offset - this.#base;
    if (o >>> 0 >= this.#size) return;
    switch (this.#writeKind) {
      case KIND_TEXT:
        this.#u8[((o & 0xfffe) << 2) | (o & 1)] = value;
        return;
      case KIND_CHAIN4:
        this.#u8[((o & 0xfffc) << 2) | (o & 3)] = value;
        return;
      case KIND_PLANAR: {
        const a = this.#bankBase + o;
        const w = this.#u32;
        w[a] = ((w[a] ?? 0) & ~this.#planeMask) | (Math.imul(value & 0xff, 0x01010101) & this.#planeMask);
        return;
      }
      case KIND_LINEAR:
        this.#u8[this.#bankBase + o] = value;
        return;
      case KIND_GENERAL:
        this.#writeGeneral(o, value & 0xff);
        return;
      default:
    }
  }

  #writeGeneral(o: number, value: number): void {
    let a: number;
    let planes = this.#planeMask;
    if (this.#writeChain4) {
      a = (o & 0xfffc) | ((o >> 16) & 3);
      planes &= 0xff << ((o & 3) << 3);
    } else if (this.#writeOddEven) {
      a = (o & 0xfffe) | (o >> 16);
      planes &= (o & 1) === 0 ? 0x00ff00ff : 0xff00ff00;
    } else a = o & 0xffff;
    a = (this.#bankBase + a) & this.#addressMask;
    const latch = this.#latch;
    let data: number;
    let mask = this.#bitMask;
    switch (this.#writeMode) {
      case 0: {
        const r = this.#rotate;
        const rotated = ((value >> r) | (value << (8 - r))) & 0xff;
        data = (Math.imul(rotated, 0x01010101) & ~this.#enableSetReset) | this.#setReset;
        break;
      }
      case 1:
        data = latch;
        break;
      case 2:
        data = EXPAND[value & 15] ?? 0;
        break;
      default: {
        const r = this.#rotate;
        const rotated = ((value >> r) | (value << (8 - r))) & 0xff;
        mask = Math.imul(rotated & this.#bitMask8, 0x01010101);
        data = this.#setResetBits;
      }
    }
    if (this.#writeMode !== 1) {
      if (this.#logic === 1) data &= latch;
      else if (this.#logic === 2) data |= latch;
      else if (this.#logic === 3) data ^= latch;
      data = (data & mask) | (latch & ~mask);
    }
    const w = this.#u32;
    w[a] = ((w[a] ?? 0) & ~planes) | (data & planes);
  }

  /** `count` 16-bit units of `value` from `offset`. */
  fill16(offset: number, count: number, value: number): void {
    const o = offset - this.#base;
    const n = Math.min(count, 0x10000);
    if (this.#writeKind === KIND_TEXT && (o & 1) === 0 && o >= 0 && o + n * 2 <= this.#size) {
      const cells = this.#u16;
      for (let i = o << 1, end = (o + n * 2) << 1; i < end; i += 4) cells[i] = value;
      return;
    }
    if (this.#writeKind === KIND_LINEAR && o >= 0 && o + n * 2 <= this.#size && (o & 1) === 0) {
      const from = (this.#bankBase + o) >> 1;
      this.#u16.fill(value, from, from + n);
      return;
    }
    for (let i = 0; i < n; i++) this.write(offset + i * 2, 2, value & 0xffff);
  }

  /** Moves bytes inside the window as memmove does; in write mode 1 this is the latched four-plane copy. */
  move(to: number, from: number, bytes: number): void {
    const n = Math.min(bytes, 0x20000);
    const t = to - this.#base;
    const f = from - this.#base;
    const inside = t >= 0 && f >= 0 && t + n <= this.#size && f + n <= this.#size;
    if (inside && this.#writeKind === KIND_TEXT && this.#readKind === KIND_TEXT && ((t | f | n) & 1) === 0) {
      const cells = this.#u16;
      if (t <= f) for (let d = t << 1, s = f << 1, end = (t + n) << 1; d < end; d += 4, s += 4) cells[d] = cells[s] ?? 0;
      else for (let d = (t + n - 2) << 1, s = (f + n - 2) << 1, end = t << 1; d >= end; d -= 4, s -= 4) cells[d] = cells[s] ?? 0;
      return;
    }
    if (inside && this.#writeKind === KIND_LINEAR) {
      this.#u8.copyWithin(this.#bankBase + t, this.#bankBase + f, this.#bankBase + f + n);
      return;
    }
    if (inside && this.#writeKind === KIND_CHAIN4 && this.#readKind === KIND_CHAIN4 && ((t | f | n) & 3) === 0) {
      const w = this.#u32;
      if (t <= f) for (let i = 0; i < n; i += 4) w[t + i] = w[f + i] ?? 0;
      else for (let i = n - 4; i >= 0; i -= 4) w[t + i] = w[f + i] ?? 0;
      return;
    }
    if (inside && this.#writeMode === 1 && !this.#writeChain4 && !this.#writeOddEven && this.#writeKind === KIND_GENERAL && !this.#odd128) {
      const w = this.#u32;
      const planes = this.#planeMask;
      const base = this.#bankBase;
      const back = t > f;
      for (let k = 0; k < n; k++) {
        const i = back ? n - 1 - k : k;
        w[base + t + i] = ((w[base + t + i] ?? 0) & ~planes) | ((w[base + f + i] ?? 0) & planes);
      }
      return;
    }
    if (to <= from) for (let i = 0; i < n; i++) this.write8(to + i, this.read8(from + i));
    else for (let i = n - 1; i >= 0; i--) this.write8(to + i, this.read8(from + i));
  }
}
