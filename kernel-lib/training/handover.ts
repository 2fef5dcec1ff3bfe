/** Parts of embeddings that stay in the data folder, or go to a bucket; and a model that lies there. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type SourceFile, SourceError, dataRoot } from '../ard/index.ts';
import { type LentFile, type Outbox, lentInBucket, lentOnDisk } from '../infra/index.ts';
import { findModel, isModelName, versionMeant } from './name.ts';
import { type PartFacts, heldPartFacts, partFolder, partsIn, readPartFacts } from './part.ts';

/** Where the parts of a zone are written, and where they go from there. */
export interface PartPlace {
  /** Folder that they are written in. */
  folder: string;
  /** Where they lie in the end: the folder, or an s3:// prefix. */
  address: string;
  /** Quadkeys of those that are there, in order. */
  quadkeys: () => Promise<string[]>;
  /** A part, here or in the bucket; nothing where there is none. */
  lent: (quadkey: string) => Promise<LentFile | undefined>;
  /** What a part says of itself, here or in the bucket; nothing where there is none, or it is damaged. @throws {SourceError} when the bucket does not hand it out */
  facts: (quadkey: string) => Promise<PartFacts | undefined>;
  /** Puts a part into the bucket, if it is here, and removes it here. @throws {Error} naming the object: then it stays here */
  hand: (quadkey: string) => Promise<void>;
}

/** @param outbox of the bucket that parts go to. Default: they stay in the data folder */
export async function partPlace(dataPath: string, facts: Pick<PartFacts, 'model' | 'version'>, zone: number, outbox?: Outbox): Promise<PartPlace> {
  const folder = partFolder(outbox?.root ?? dataPath, facts, zone);
  const pathOf = (quadkey: string): string => join(folder, `${quadkey}.parquet`);
  const factsHere = async (quadkey: string): Promise<PartFacts | undefined> => existsSync(pathOf(quadkey)) ? readPartFacts(pathOf(quadkey)).catch(() => undefined) : undefined;
  const lentHere = (quadkey: string): Promise<LentFile | undefined> => lentOnDisk(folder, `${quadkey}.parquet`);
  if (!outbox) return { folder, address: folder, quadkeys: () => partsIn(folder), lent: lentHere, facts: factsHere, hand: async () => undefined };
  const keyOf = (quadkey: string): string => `${outbox.keyOf(folder)}/${quadkey}.parquet`;
  const there: ReadonlyMap<string, SourceFile> = await outbox.list(`${outbox.keyOf(folder)}/`);
  const held = (quadkey: string): SourceFile | undefined => there.get(keyOf(quadkey));
  return {
    folder,
    address: `${outbox.address}/${outbox.keyOf(folder)}`,
    quadkeys: async () => {
      const names = [...there.keys()].flatMap((key) => /^([0-3]{12})\.parquet$/.exec(basename(key))?.[1] ?? []);
      return [...new Set([...names, ...(await partsIn(folder))])].sort();
    },
    lent: async (quadkey) => {
      const file = held(quadkey);
      return (await lentHere(quadkey)) ?? (file && lentInBucket(outbox, file));
    },
    facts: async (quadkey) => {
      const file = held(quadkey);
      const here = await factsHere(quadkey); // one that is here could not be put
      return here ?? (file && heldPartFacts(outbox, file).catch(asNone));
    },
    hand: async (quadkey) => {
      if (existsSync(pathOf(quadkey))) await outbox.put({ files: [], record: pathOf(quadkey), there });
    },
  };
} // prettier-ignore

/** A damaged part is as none; that a bucket does not hand it out is another thing. */
function asNone(error: unknown): undefined {
  if (error instanceof SourceError) throw error;
}

/**
 * Folder of a model, as {@link findModel} finds it in the data folder; where there is none of the name, it is brought from the bucket.
 *
 * @throws {Error} when it is in neither, or several are meant
 */
export async function modelFolder(dataPath: string, text: string, outbox?: Outbox): Promise<string> {
  const [name, wanted, ...more] = text.split('@');
  const isNamed = isModelName(name) && more.length === 0; // else the refusal is the same
  if (!outbox || !isNamed || text.includes('/') || existsSync(join(dataRoot(dataPath), 'models', name)))
    return findModel(dataPath, text);
  const here = outbox.at(outbox.inbox);
  const home = `models/${name}`;
  const there = await here.list(`${home}/`);
  const named = [...there.keys()].flatMap((key) => /^[^/]+\/[^/]+\/([^/]+)\/card\.json$/.exec(key)?.[1] ?? []);
  const versions = named.filter(isModelName).sort();
  if (versions.length === 0) throw new Error(`no model ${name} in ${dataRoot(dataPath)}/models, nor in ${outbox.address}/models: put it there with imagesim sync models/${name} ${outbox.address}`);
  const latest = wanted === undefined ? await here.read(`${home}/latest`) : undefined;
  const version = versionMeant(`${outbox.address}/${home}`, versions, wanted, latest && Buffer.from(latest).toString());
  await here.bring([...there.values()].filter(({ key }) => key.startsWith(`${home}/${version}/`)));
  return join(here.root, home, version);
} // prettier-ignore
