import { type Hash, createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { chipIds, parseCell, readJson } from '../ard/index.ts';
import { type CellRecord, chipsOf } from './record.ts';

/** Which acquisitions are real at every pixel of a chip, by chip id (`Z33-<18 digits>`), in order. */
export interface NodataIndex {
  version: '0.2';
  chips: Record<string, string[]>;
}

const schema = z.object({
  version: z.literal('0.2'),
  chips: z.record(z.string().regex(/^Z\d\d-[0-3]{18}$/), z.array(z.string())),
});

/**
 * Reads `nodata-index.json`; a file that is not there is an empty index.
 *
 * @throws {Error} when the file is damaged or of another version: it is never overwritten
 */
export async function readNodataIndex(path: string): Promise<NodataIndex> {
  if (!existsSync(path)) return { version: '0.2', chips: {} };
  const json = await readJson(path).catch((cause: unknown) => {
    throw new Error(`${path} is no no-data index: ${causeOf(cause)}; delete it and chip again`, { cause });
  });
  const version = (json as { version?: unknown } | null)?.version;
  if (version !== '0.2') {
    throw new Error(
      `${path} is a no-data index of version ${JSON.stringify(version)}: expected "0.2"; move it away, it is not overwritten`,
    );
  }
  const { success, data, error } = schema.safeParse(json);
  if (!success) {
    const [issue] = error.issues;
    throw new Error(`${path} is damaged at ${issue.path.join('.')}: ${issue.message}; delete it and chip again`);
  }
  return data;
}

/** How an index that was written here begins and ends. */
const [START, END] = ['{"version":"0.2","chips":{', '}}\n'];

/**
 * Refuses an index of another version or one that is cut short, as {@link readNodataIndex} does; of one that was written here only both ends are read.
 *
 * @throws {Error} naming the file
 */
export async function checkIndex(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const read = async (bytes: number, from: number): Promise<string> => (await file.read(Buffer.alloc(bytes), 0, bytes, from)).buffer.toString();
    const isWhole = size >= START.length + END.length && (await read(START.length, 0)) === START && (await read(END.length, size - END.length)) === END;
    if (!isWhole) await readNodataIndex(path);
  } finally {
    await file.close();
  }
} // prettier-ignore

/** What readJson found, without its remedy: nothing of this is fetched. */
function causeOf(error: unknown): string {
  return (error as Error).message.replace(/: fetch it again$/, '');
}

/** Length of a cell's id, with which the ids of its chips begin: `Z33-` and twelve digits. */
const CELL_ID = 16;
const ENTRY = /^"Z\d\d-[0-3]{18}":\[(?:"[^"\\]*"(?:,"[^"\\]*")*)?\]$/;

/** Chips of cells that have no record, as the index lists them, and the sum of its bytes. */
export interface Listed {
  /** `"<id>":["<catid>", …]` with commas between, by cell. */
  cells: Map<string, string>;
  /** SHA-256; none where there is no index. */
  sha256?: string | undefined;
}

/**
 * Reads what an index says of cells that have no record: it stays as it is. An index that was written here is read piece by piece, for it may be
 * longer than a text can be.
 *
 * @throws {Error} as {@link readNodataIndex}
 */
export async function listedBeside(path: string, recorded: ReadonlySet<string>): Promise<Listed> {
  if (!existsSync(path)) return { cells: new Map() };
  const hash = createHash('sha256');
  const kept = new Map<string, string[]>();
  for await (const entry of entriesIn(path, hash)) {
    const cell = entry?.slice(1, 1 + CELL_ID);
    if (cell === undefined) return { cells: cellTexts(await readNodataIndex(path), recorded), sha256: 'of another hand' };
    if (!recorded.has(cell)) addTo(kept, cell, entry!);
  }
  return { cells: joinedTexts(kept), sha256: hash.digest('hex') };
} // prettier-ignore

/** The entries of an index that was written here; `undefined` where it is not as such a one is. */
async function* entriesIn(path: string, hash: Hash): AsyncGenerator<string | undefined> {
  let [rest, isBegun] = ['', false];
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: 2 ** 20 }) as AsyncIterable<string>) {
    hash.update(chunk);
    rest += chunk;
    if (!isBegun && rest.length < START.length) continue;
    if (!isBegun && !rest.startsWith(START)) {
      yield undefined;
      return;
    }
    const entries = (isBegun ? rest : rest.slice(START.length)).split('],');
    isBegun = true;
    rest = entries.pop()!;
    for (const entry of entries) yield ENTRY.test(`${entry}]`) ? `${entry}]` : undefined;
  }
  const last = rest.slice(0, -END.length);
  if (isBegun && rest.endsWith(END) && ENTRY.test(last)) yield last;
  else if (!isBegun || rest !== END) yield undefined; // that is how one of no chip ends
} // prettier-ignore

function cellTexts({ chips }: NodataIndex, recorded: ReadonlySet<string>): Map<string, string> {
  const kept = new Map<string, string[]>();
  for (const [id, catids] of Object.entries(chips)) {
    const cell = id.slice(0, CELL_ID);
    if (!recorded.has(cell)) addTo(kept, cell, `"${id}":${JSON.stringify(catids.toSorted())}`);
  }
  return joinedTexts(kept);
} // prettier-ignore

function addTo(kept: Map<string, string[]>, cell: string, entry: string): void {
  const entries = kept.get(cell);
  if (entries) entries.push(entry);
  else kept.set(cell, [entry]);
}

function joinedTexts(kept: ReadonlyMap<string, readonly string[]>): Map<string, string> {
  return new Map([...kept].map(([cell, entries]) => [cell, entries.toSorted().join(',')]));
}

/**
 * The text of the index, a cell at a time: of cells that have a record nothing else counts, of others what was there stays. Keys and acquisitions are
 * in order, so that equal contents are equal bytes.
 */
export function* indexPieces(listed: ReadonlyMap<string, string>, records: readonly CellRecord[]): Generator<string> {
  const texts = new Map<string, () => string>(records.map((record) => [record.cell, () => textOf(record)]));
  for (const [cell, text] of listed) texts.set(cell, () => text);
  yield START;
  let isFirst = true;
  for (const cell of [...texts.keys()].sort()) {
    const text = texts.get(cell)!();
    if (text === '') continue;
    yield isFirst ? text : `,${text}`;
    isFirst = false;
  }
  yield END;
} // prettier-ignore

function textOf({ cell, tiles }: CellRecord): string {
  const inOrder = tiles.toSorted((a, b) => (a.catid < b.catid ? -1 : 1));
  const real = inOrder.map((tile) => new Set(chipsOf(tile)));
  const names = inOrder.map(({ catid }) => JSON.stringify(catid));
  const entries: string[] = [];
  for (const [chip, ending] of endings()) {
    const catids = names.filter((_, at) => real[at].has(chip));
    if (catids.length > 0) entries.push(`"${cell}${ending}":[${catids.join(',')}]`);
  }
  return entries.join(',');
}

let known: [chip: number, ending: string][] | undefined;

/** What the ids of a cell's chips end in, in order, and which chip it is: the same of every cell. */
function endings(): [chip: number, ending: string][] {
  const order = (): [number, string][] => chipIds(parseCell('Z33-000000000000')).map((id, chip): [number, string] => [chip, id.slice(CELL_ID)]);
  return (known ??= order().sort(([, a], [, b]) => (a < b ? -1 : 1)));
} // prettier-ignore
