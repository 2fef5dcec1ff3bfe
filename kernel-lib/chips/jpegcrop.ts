import { BitWriter, Room } from './bitwriter.ts';
import {
  type Decoder, type Encoder, PEEK, STEP_BITS, STEP_ENDS, STEP_PASSES,
  decoderOf, encoderOf, firstCode, oncePerTable, passedBy, stepsOf, withAllCategories,
} from './huffman.ts'; // prettier-ignore
import { type Frame, type Photometric, damaged, readFrame, writeFrame } from './jpegframe.ts';

/** Options of {@link cropQuarters}. */
export interface CropOptions {
  /** What the samples are; the block itself may not say. Default `ycbcr`. */
  photometric?: Photometric;
  /** Which quarters are made, row by row: 0 north-west, 1 north-east, 2 south-west, 3 south-east. Default: all. */
  quarters?: readonly number[];
}

/** Side of a chip, as `ard` has it. Threads run this file, and cannot enter there: geotiff takes them for its own. */
const CHIP_PIXELS = 256;
/** Side of a block: two chips. */
const BLOCK = 2 * CHIP_PIXELS;

/**
 * Cuts the four chips out of a JPEG block of 512 px without decoding it: what is kept, is kept to the last bit.
 *
 * A crop in the DCT domain, as `jpegtran -crop` makes it: 256 px are a whole number of MCUs, so the code stream of a
 * quarter is made of stretches of the block's. Only the DC differences at the left edge have another predecessor and are
 * coded again. The decoded pixels are the block's, but for chroma beside the new edges where a decoder interpolates it.
 *
 * @param block as it lies in the TIFF, restarts and tables of its own included
 * @param tables of the TIFF tag JPEGTables, with its start and end marks or without; may be empty. What they hold is read once for all
 *   blocks that come with the same array
 * @returns whole JPEG files of 256 px in the order of `quarters`; `undefined` where this cannot be done and the block must
 *   be decoded: progressive, arithmetic or 12-bit coding, several scans, MCUs that do not fit, another number of
 *   components, a Huffman table without room for a code that a new edge needs
 * @throws {RangeError} when a quarter is none of 0–3
 * @throws {Error} when the block is damaged or not 512 px square
 * @see https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex F
 */
export function cropQuarters(
  block: Uint8Array,
  tables: Uint8Array,
  options: CropOptions = {},
): (Uint8Array | undefined)[] {
  return quarterViews(block, tables, options).map((view) => view?.slice());
}

/** As {@link cropQuarters}; what it returns holds only until it is called again. */
export function quarterViews(
  block: Uint8Array,
  tables: Uint8Array,
  { photometric = 'ycbcr', quarters = [0, 1, 2, 3] }: CropOptions = {},
): (Uint8Array | undefined)[] {
  const stranger = quarters.find((quarter) => ![0, 1, 2, 3].includes(quarter));
  if (stranger !== undefined) throw new RangeError(`cropQuarters requires quarters of 0–3, got ${stranger}`);
  const frame = readFrame(block, tables);
  if (!frame || !isCroppable(frame, photometric)) return quarters.map(() => undefined);
  const scan = openScan(frame, block);
  const stretches = walk(scan);
  const dcs = frame.dcs.map((table) => wholeTable(table));
  const head = writeFrame({ ...frame, dcs }, CHIP_PIXELS, CHIP_PIXELS, photometric);
  const encoders = frame.components.map(({ dc }) => encoder(dcs[dc]));
  const parts = quarters.map((quarter) => stretches.filter((stretch) => stretch.quarter === quarter));
  const sizes = parts.map((own) => head.length + mostBytes(own));
  const bytes = chipRoom.of(sizes.reduce((sum, size) => sum + size, 0));
  let end = 0;
  return parts.map((own, index) => {
    const start = end;
    end += sizes[index];
    return writeQuarter(scan, own, { bytes: bytes.subarray(start, end), head, encoders });
  });
}

function isCroppable({ width, height, components }: Frame, photometric: Photometric): boolean {
  if (width !== BLOCK || height !== BLOCK) throw damaged(`it is ${width} × ${height} px: expected ${BLOCK} square`);
  if (components.length !== (photometric === 'grey' ? 1 : 3)) return false;
  if (components.length === 1) return true;
  const squares = components.reduce((sum, { across, down }) => sum + across * down, 0);
  if (squares > MCU_SQUARES) throw damaged(`its MCU has ${squares} squares: expected ${MCU_SQUARES} at most`);
  return [mcuWidth(components), mcuHeight(components)].every((side) => CHIP_PIXELS % side === 0);
}

/** Most 8 × 8 squares of an MCU of several components (T.81, B.2.3). */
const MCU_SQUARES = 10;

/** A scan of one component is not interleaved: its MCU is one square, whatever its sampling. */
function mcuWidth(components: Frame['components']): number {
  return components.length === 1 ? 8 : 8 * Math.max(...components.map(({ across }) => across));
}

function mcuHeight(components: Frame['components']): number {
  return components.length === 1 ? 8 : 8 * Math.max(...components.map(({ down }) => down));
}

/** A code stream that can be walked. */
interface Scan {
  /** The stream without stuffing and restart marks, and zeros after it: more than any MCU takes. */
  view: DataView;
  /** From restart to restart: first and last byte of the stream, the last one not included. */
  segments: [from: number, to: number][];
  components: { squares: number; dc: Decoder; ac: Decoder; steps: Uint16Array }[];
  mcusAcross: number;
  mcusDown: number;
  restart: number;
}

function openScan(frame: Frame, block: Uint8Array): Scan {
  const { components, dcs, acs, quantisations, restart, dataAt } = frame;
  return {
    ...unstuff(block, dataAt),
    components: components.map(({ across, down, dc, ac, quantisation }) => {
      if (!dcs[dc] || !acs[ac] || !quantisations[quantisation]) throw damaged('it lacks a table that it names');
      return { squares: components.length === 1 ? 1 : across * down, dc: decoder(dcs[dc]), ...acReader(acs[ac]) };
    }),
    mcusAcross: BLOCK / mcuWidth(components),
    mcusDown: BLOCK / mcuHeight(components),
    restart,
  };
}

// Of the tables that blocks share, what is made is kept: it took an eighth of the time of all.
const wholeTable = oncePerTable(withAllCategories);
const encoder = oncePerTable(encoderOf);
const decoder = oncePerTable(decoderOf);
const acReader = oncePerTable((table) => ({ ac: decoder(table), steps: stepsOf(decoder(table)) }));

/** More bytes than any MCU takes: 10 squares of 64 codes with values of 31 bits. */
const MARGIN = 4096;

/** Where code streams are laid down, block after block, and chips before it is known how long they are: new memory takes longer. */
const [streamRoom, chipRoom] = [new Room(), new Room()];

/** Takes the zero bytes after bytes of ones out of a code stream, and the restart marks. @param from where it begins */
function unstuff(block: Uint8Array, from: number): Pick<Scan, 'view' | 'segments'> {
  const source = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const bytes = streamRoom.of(block.length - from + MARGIN);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const segments: Scan['segments'] = [];
  let start = 0;
  let to = 0;
  for (let at = from; at + 1 < block.length;) {
    const word = at + 4 <= block.length ? source.getUint32(at) : 0xffffffff;
    if (((~word - 0x01010101) & word & 0x80808080) === 0) {
      view.setUint32(to, word);
      at += 4;
      to += 4;
    } else if (block[at] !== 0xff || block[at + 1] === 0) {
      bytes[to++] = block[at];
      at += block[at] === 0xff ? 2 : 1;
    } else if (block[at + 1] === 0xff) {
      at++; // a mark may be filled up with ones
    } else {
      const marker = block[at + 1];
      segments.push([start, to]);
      if (marker === 0xd9) {
        bytes.fill(0, to, to + MARGIN);
        return { view, segments };
      }
      if (marker !== 0xd0 + ((segments.length - 1) & 7)) throw damaged(`its data are broken by marker ${marker}`);
      start = to;
      at += 2;
    }
  }
  throw damaged('it is cut short');
}

/** A stretch of MCUs that lie side by side in one quarter and, in the block, one after the other. */
interface Stretch {
  quarter: number;
  /** Of each component: its first DC difference, and the DC before and after it. */
  parts: Part[];
  /** Bit after its last one. */
  to: number;
}

interface Part {
  /** Bit where the code of its first DC difference begins, and the one after it. */
  from: number;
  rest: number;
  /** DC of its first square and of its last. */
  first: number;
  last: number;
}

/** Finds the stretches of all quarters, in the order of the code stream, by passing over every code once. */
function walk(scan: Scan): Stretch[] {
  const { mcusAcross, mcusDown, restart, segments, components } = scan;
  const count = mcusAcross * mcusDown;
  const half = mcusAcross / 2;
  const interval = restart || count;
  if (segments.length !== Math.ceil(count / interval)) throw damaged(`it has ${segments.length - 1} restarts`);
  const stretches: Stretch[] = [];
  const dcs = new Int32Array(components.length);
  for (let mcu = 0, at = 0; mcu < count;) {
    const [from, to] = segments[Math.floor(mcu / interval)];
    if (mcu % interval === 0) {
      at = from * 8;
      dcs.fill(0);
    }
    const end = Math.min(mcu + half - (mcu % half), mcu + interval - (mcu % interval));
    const quarter = (mcu >= count / 2 ? 2 : 0) + (mcu % mcusAcross >= half ? 1 : 0);
    const stretch = { quarter, parts: components.map(() => ({ from: 0, rest: 0, first: 0, last: 0 })), to: at };
    pass(scan, stretch, end - mcu, to * 8, dcs);
    stretches.push(stretch);
    at = stretch.to;
    mcu = end;
    if (mcu % interval === 0 || mcu === count) if (to * 8 - at > 7) throw damaged('its data hold more than its pixels');
  }
  return stretches;
}

/**
 * Passes over some MCUs from `stretch.to` on and fills in the stretch.
 *
 * @param limit bit that the data end before
 * @param dcs of each component's last square; kept up
 */
function pass({ view, components }: Scan, stretch: Stretch, mcus: number, limit: number, dcs: Int32Array): void {
  let at = stretch.to;
  for (let mcu = 0; mcu < mcus; mcu++) {
    for (let index = 0; index < components.length; index++) {
      const { squares, dc, ac, steps } = components[index];
      let level = dcs[index];
      for (let square = 0; square < squares; square++) {
        const from = at;
        let word = view.getUint32(at >>> 3) << (at & 7);
        const code = dc.firsts[word >>> (32 - PEEK)] || firstCode(dc, word);
        const category = code & 255;
        at += code >> 8;
        const value = ((view.getUint32(at >>> 3) << (at & 7)) >>> 1) >>> (31 - category);
        level += value - (((1 << category) - 1) & ((value >> (category - 1)) - 1)); // no branch: its sign is anyone's guess
        at += category;
        if (mcu === 0 && square === 0) startPart(stretch.parts[index], from, at, level);
        for (let passed = 1; ;) {
          word = view.getUint32(at >>> 3) << (at & 7); // 25 bits are real
          let step = steps[word >>> (32 - PEEK)];
          let next = passed + (step >> STEP_PASSES);
          if (next <= 64) {
            at += step & STEP_BITS;
            if (step & STEP_ENDS || next === 64) break;
            passed = next;
            if ((step & STEP_BITS) > 25 - PEEK) continue;
            word <<= step & STEP_BITS;
            step = steps[word >>> (32 - PEEK)];
            next = passed + (step >> STEP_PASSES);
            if (next > 64) continue;
            at += step & STEP_BITS;
            if (step & STEP_ENDS || next === 64) break;
            passed = next;
          } else {
            const symbol = firstCode(ac, word);
            const passes = passedBy(symbol & 255);
            at += (symbol >> 8) + (symbol & 15);
            passed += passes;
            if (passes === 0 || passed > 64) throw damaged('a square of its data holds more than 64 values');
            if (passed === 64 || (symbol & 255) === 0) break;
          }
        }
      }
      dcs[index] = level;
    }
    if (at > limit) throw damaged('its data end before its pixels do');
  }
  for (const [index, part] of stretch.parts.entries()) part.last = dcs[index];
  stretch.to = at;
}

function startPart(part: Part, from: number, rest: number, first: number): void {
  part.from = from;
  part.rest = rest;
  part.first = first;
}

/** Bytes that a quarter's code stream may take: all ones would take two for each. */
function mostBytes(stretches: readonly Stretch[]): number {
  const bits = stretches.reduce((sum, { parts, to }) => sum + to - parts[0].from + 32 * parts.length, 0);
  return (bits >> 2) + 16;
}

/** Joins a quarter's stretches to a file. @returns the bytes that it takes; `undefined` where a DC table has no code for a difference */
function writeQuarter(
  { view }: Scan,
  stretches: readonly Stretch[],
  { bytes, head, encoders }: { bytes: Uint8Array; head: Uint8Array; encoders: readonly Encoder[] },
): Uint8Array | undefined {
  bytes.set(head);
  const writer = new BitWriter(bytes, head.length);
  const before = encoders.map(() => 0);
  for (const { parts, to } of stretches) {
    for (const [index, { rest, first, last }] of parts.entries()) {
      if (!putDifference(writer, encoders[index], first - before[index])) return undefined;
      writer.copy(view, rest, index + 1 < parts.length ? parts[index + 1].from : to);
      before[index] = last;
    }
  }
  return bytes.subarray(0, writer.end());
}

/** Writes a DC difference (T.81, F.1.2.1). @returns whether there is a code for it */
function putDifference(writer: BitWriter, { codes, lengths }: Encoder, difference: number): boolean {
  const category = 32 - Math.clz32(Math.abs(difference));
  if (lengths[category] === 0) return false;
  writer.put(codes[category], lengths[category]);
  if (category > 0) writer.put(difference > 0 ? difference : difference + (1 << category) - 1, category);
  return true;
}
