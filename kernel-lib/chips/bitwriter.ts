/** The same memory, again and again: what it is given for holds until the next time. */
export class Room {
  #bytes = new Uint8Array(1 << 16);

  /** So many bytes, of which nobody knows what they hold. */
  of(length: number): Uint8Array {
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(2 * length);
    return this.#bytes.subarray(0, length);
  }
}

/** Writes the code stream of a JPEG: bits from the top, a zero byte after each byte of ones. */
export class BitWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  /** Bits that are not written yet, from the top. */
  #word = 0;
  /** How many, 0–31. */
  #held = 0;

  /**
   * @param bytes to write into, with room for the worst: all bytes ones
   * @param at where to begin
   */
  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  /** @param count of bits, 1–32 @param value its bits above those are 0 */
  put(value: number, count: number): void {
    const held = this.#held + count;
    if (held < 32) {
      this.#word |= value << (32 - held);
      this.#held = held;
      return;
    }
    this.#held = held - 32;
    this.#at = this.#write(this.#word | (value >>> this.#held), this.#at);
    this.#word = this.#held === 0 ? 0 : value << (32 - this.#held);
  }

  /** Copies bits of another stream, which goes on for 8 bytes after them. */
  copy(source: DataView, from: number, to: number): void {
    const lead = Math.min((32 - this.#held) & 31, to - from);
    if (lead > 0) this.put(bitsAt(source, from) >>> (32 - lead), lead);
    let at = from + lead;
    let written = this.#at;
    const shift = at & 7;
    let above = source.getUint32(at >>> 3);
    for (; to - at >= 32; at += 32) {
      const below = source.getUint32((at >>> 3) + 4);
      written = this.#write((above << shift) | ((below >>> 1) >>> (31 - shift)), written);
      above = below;
    }
    this.#at = written;
    if (to > at) this.put(bitsAt(source, at) >>> (32 - (to - at)), to - at);
  }

  /** Fills the last byte with ones and ends the file. @returns how long it is */
  end(): number {
    const rest = -this.#held & 7;
    if (rest > 0) this.put((1 << rest) - 1, rest);
    for (; this.#held > 0; this.#held -= 8, this.#word <<= 8) this.#writeByte(this.#word >>> 24);
    this.#bytes[this.#at++] = 0xff;
    this.#bytes[this.#at++] = 0xd9;
    return this.#at;
  }

  #write(word: number, at: number): number {
    if (((~word - 0x01010101) & word & 0x80808080) === 0) {
      this.#view.setUint32(at, word);
      return at + 4;
    }
    this.#at = at;
    for (let shift = 24; shift >= 0; shift -= 8) this.#writeByte((word >>> shift) & 255);
    return this.#at;
  }

  #writeByte(byte: number): void {
    this.#bytes[this.#at++] = byte;
    if (byte === 0xff) this.#bytes[this.#at++] = 0;
  }
}

/** 32 bits from a bit on. */
function bitsAt(source: DataView, at: number): number {
  const shift = at & 7;
  return (source.getUint32(at >>> 3) << shift) | (source.getUint8((at >>> 3) + 4) >>> (8 - shift));
}
