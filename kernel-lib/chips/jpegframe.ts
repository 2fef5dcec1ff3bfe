import type { HuffmanTable } from './huffman.ts';

/** How the three bands of a JPEG are to be read; a TIFF says it in its PhotometricInterpretation: 6, 2 and 1. */
export type Photometric = 'ycbcr' | 'rgb' | 'grey';

/** One component of a JPEG. */
export interface Component {
  id: number;
  /** How many 8 × 8 squares it has across and down in each MCU. */
  across: number;
  down: number;
  quantisation: number;
  dc: number;
  ac: number;
}

/** Tables by their number, 0–3. */
export interface Tables {
  /** Each as DQT holds it: precision and number, then 64 values. */
  quantisations: Uint8Array[];
  dcs: HuffmanTable[];
  acs: HuffmanTable[];
  /** MCUs from restart to restart; 0 for none. */
  restart: number;
}

/** What precedes the code stream of a sequential JPEG that has one scan. */
export interface Frame extends Tables {
  /** 0xc0 baseline, 0xc1 extended sequential. */
  kind: number;
  width: number;
  height: number;
  components: Component[];
  /** Where the code stream begins. */
  dataAt: number;
}

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const DHT = 0xc4;
const DQT = 0xdb;
const DRI = 0xdd;

/** An error about bytes that no JPEG encoder writes. */
export function damaged(what: string): Error {
  return new Error(`damaged JPEG: ${what}`);
}

/**
 * Reads a block's headers, its own tables over the shared ones.
 *
 * @param tables of the TIFF tag JPEGTables, with its start and end marks or without; may be empty
 * @returns `undefined` for a JPEG that is not sequential Huffman-coded of 8 bits in a single scan
 * @throws {Error} when a header is damaged
 */
export function readFrame(block: Uint8Array, tables: Uint8Array): Frame | undefined {
  const known = readShared(tables);
  if (block[0] !== 0xff || block[1] !== SOI) throw damaged('it does not begin as one');
  let frame: Pick<Frame, 'kind' | 'width' | 'height' | 'components'> | undefined;
  for (const segment of segmentsOf(block)) {
    const { marker, from, to } = segment;
    readTable(known, block, segment);
    if (isFrame(marker)) {
      if (frame) throw damaged('it has two frames');
      if (marker > 0xc1 || block[from] === 12) return undefined;
      frame = { kind: marker, ...readSize(block.subarray(from, to)) };
    }
    if (marker === SOS) {
      if (!frame) throw damaged('its data come before its frame');
      return readScan(block.subarray(from, to), frame.components) ? { ...frame, ...known, dataAt: to } : undefined;
    }
  }
  throw damaged('it holds no data');
}

const shared = new WeakMap<Uint8Array, Tables>();

/** The tables that blocks share: of each the same object every time. */
function readShared(bytes: Uint8Array): Tables {
  const tables: Tables = shared.get(bytes) ?? { quantisations: [], dcs: [], acs: [], restart: 0 };
  if (!shared.has(bytes)) for (const segment of segmentsOf(bytes)) readTable(tables, bytes, segment);
  shared.set(bytes, tables);
  const { quantisations, dcs, acs, restart } = tables;
  return { quantisations: quantisations.slice(), dcs: dcs.slice(), acs: acs.slice(), restart }; // gaps and all
}

/** SOF0–SOF15, and the two that announce a hierarchy of frames. */
function isFrame(marker: number): boolean {
  if (marker === 0xde || marker === 0xdf) return true;
  return marker >= 0xc0 && marker <= 0xcf && marker !== DHT && marker !== 0xc8 && marker !== 0xcc;
}

/** A header: its marker, and from where to where its content lies. */
interface Segment {
  marker: number;
  from: number;
  to: number;
}

/** Headers one after the other, up to the start of the data or the end. */
function* segmentsOf(bytes: Uint8Array): Generator<Segment> {
  let at = bytes[0] === 0xff && bytes[1] === SOI ? 2 : 0;
  while (at < bytes.length) {
    if (bytes[at] !== 0xff) throw damaged(`byte ${at} is no marker`);
    while (bytes[at] === 0xff) at++;
    const marker = bytes[at++];
    if (marker === EOI) return;
    const from = at + 2;
    const to = at + ((bytes[at] << 8) | bytes[at + 1]);
    if (!(marker >= 0xc0) || (marker >= 0xd0 && marker <= SOI) || !(to >= from) || to > bytes.length)
      throw damaged(`the header at byte ${at} is cut short or none`);
    yield { marker, from, to };
    if (marker === SOS) return;
    at = to;
  }
}

function readTable(known: Tables, bytes: Uint8Array, { marker, from, to }: Segment): void {
  const content = bytes.subarray(from, to);
  if (marker === DQT) readQuantisations(known.quantisations, content);
  if (marker === DHT) readHuffmanTables(known, content);
  if (marker !== DRI) return;
  if (content.length !== 2) throw damaged('its restart interval is no number');
  known.restart = (content[0] << 8) | content[1];
}

function readQuantisations(quantisations: Uint8Array[], content: Uint8Array): void {
  for (let at = 0; at < content.length;) {
    const end = at + (content[at] >> 4 ? 129 : 65);
    if (content[at] >> 4 > 1 || (content[at] & 15) > 3 || end > content.length)
      throw damaged('a quantisation table is cut short or none');
    quantisations[content[at] & 15] = content.subarray(at, end);
    at = end;
  }
}

function readHuffmanTables({ dcs, acs }: Tables, content: Uint8Array): void {
  for (let at = 0; at < content.length;) {
    const counts = content.subarray(at + 1, at + 17);
    const end = at + 17 + counts.reduce((sum, count) => sum + count, 0);
    const symbols = content.subarray(at + 17, end);
    const isDc = content[at] >> 4 === 0;
    if (content[at] >> 4 > 1 || (content[at] & 15) > 3 || end > content.length || (isDc && Math.max(...symbols) > 15))
      throw damaged('a Huffman table is cut short or none');
    (isDc ? dcs : acs)[content[at] & 15] = { counts, symbols };
    at = end;
  }
}

function readSize(content: Uint8Array): Pick<Frame, 'width' | 'height' | 'components'> {
  const count = content[5];
  if (content[0] !== 8 || !(count > 0) || content.length !== 6 + 3 * count) throw damaged('its frame makes no sense');
  const components = Array.from({ length: count }, (_, index) => {
    const [id, sampling, quantisation] = content.subarray(6 + 3 * index);
    return { id, across: sampling >> 4, down: sampling & 15, quantisation, dc: 0, ac: 0 };
  });
  const inRange = (side: number): boolean => side >= 1 && side <= 4;
  if (!components.every(({ across, down }) => inRange(across) && inRange(down)))
    throw damaged('its frame makes no sense');
  return { height: (content[1] << 8) | content[2], width: (content[3] << 8) | content[4], components };
}

/** Fills in the components' Huffman tables. @returns whether the scan holds all components, and all of them */
function readScan(content: Uint8Array, components: Component[]): boolean {
  const count = content[0];
  if (content.length !== 4 + 2 * count) throw damaged('its scan makes no sense');
  if (count !== components.length) return false;
  for (const [index, component] of components.entries()) {
    const [id, tables] = content.subarray(1 + 2 * index);
    if (id !== component.id) throw damaged('its scan names a component that its frame does not');
    component.dc = tables >> 4;
    component.ac = tables & 15;
  }
  const [first, last, bits] = content.subarray(1 + 2 * count);
  if (first !== 0 || last !== 63 || bits !== 0) throw damaged('its scan makes no sense');
  return true;
}

/**
 * Headers of a whole JPEG file of another size, up to where its data begin; without restarts.
 *
 * Components are named so that every decoder takes them for what they are: JFIF stands for YCbCr or grey; for RGB there
 * is Adobe's segment with transform 0, and the names R, G, B.
 */
export function writeFrame(frame: Frame, width: number, height: number, photometric: Photometric): Uint8Array {
  const { kind, components, quantisations, dcs, acs } = frame;
  const names = photometric === 'rgb' ? [0x52, 0x47, 0x42] : [1, 2, 3];
  const size = [8, height >> 8, height & 255, width >> 8, width & 255, components.length];
  const sampling = components.flatMap((c, index) => [names[index], (c.across << 4) | c.down, c.quantisation]);
  const tables = components.flatMap(({ dc, ac }, index) => [names[index], (dc << 4) | ac]);
  return Buffer.concat([
    Uint8Array.of(0xff, SOI),
    photometric === 'rgb' ? ADOBE : JFIF,
    ...distinct(components.map(({ quantisation }) => quantisation)).map((n) => segmentOf(DQT, quantisations[n])),
    segmentOf(kind, size, sampling),
    ...distinct(components.map(({ dc }) => dc)).map((n) => segmentOf(DHT, [n], dcs[n].counts, dcs[n].symbols)),
    ...distinct(components.map(({ ac }) => ac)).map((n) => segmentOf(DHT, [16 | n], acs[n].counts, acs[n].symbols)),
    segmentOf(SOS, [components.length], tables, [0, 63, 0]),
  ]);
}

function distinct(numbers: number[]): number[] {
  return [...new Set(numbers)];
}

function segmentOf(marker: number, ...parts: ArrayLike<number>[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 2);
  const bytes = new Uint8Array(length + 2);
  bytes.set([0xff, marker, length >> 8, length & 255]);
  let at = 4;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Version 1.1, square pixels, no thumbnail. */
const JFIF = segmentOf(0xe0, Buffer.from('JFIF\0'), [1, 1, 0, 0, 1, 0, 1, 0, 0]);
/** Version 100, no flags, transform 0. */
const ADOBE = segmentOf(0xee, Buffer.from('Adobe'), [0, 100, 0, 0, 0, 0, 0]);
