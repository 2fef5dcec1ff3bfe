import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Position } from 'geojson';
import { z } from 'zod';
import { type Bounds, dataRoot, readJson } from '../ard/index.ts';
import { RequestError } from './fault.ts';
import type { ChangeAnswer } from './page/shapes.ts';

const day = z.iso.date();
const schema = z.object({
  type: z.literal('FeatureCollection'),
  features: z.array(
    z.object({
      type: z.literal('Feature'),
      id: z.string().optional(),
      geometry: z.object({ type: z.literal('Polygon'), coordinates: z.array(z.array(z.array(z.number()).min(2)).min(4)).min(1) }),
      properties: z.looseObject({
        rank: z.number(), probability: z.number().min(0).max(1), before: day, beforeCatid: z.string(), after: day, afterCatid: z.string(),
      }),
    }),
  ),
  licences: z.array(z.looseObject({})).default([]),
}); // prettier-ignore
type ChangeFile = z.infer<typeof schema>;

export const MOST_CHANGES = 5000;

/** The change list that is served: a file, else the newest of `embeddings/changes/`. */
export class Changes {
  readonly #dataPath: string;
  readonly #file: string | undefined;
  #read: { key: string; list: Promise<ChangeFile> } | undefined;

  constructor(dataPath: string, file?: string) {
    this.#dataPath = dataPath;
    this.#file = file;
  }

  get folder(): string {
    return join(dataRoot(this.#dataPath), 'embeddings', 'changes');
  }

  /** How to make a list. */
  get remedy(): string {
    return `no change list in ${this.#file ?? this.folder}: make one with imagesim change --to ${this.#file ?? join(this.folder, 'changes.geojson')}, or notebook 07-similarity`;
  }

  /** The path of the list; nothing where there is none. */
  path(): string | undefined {
    if (this.#file !== undefined) return existsSync(this.#file) ? this.#file : undefined;
    if (!existsSync(this.folder)) return undefined;
    const paths = readdirSync(this.folder).filter((name) => name.endsWith('.geojson')).map((name) => join(this.folder, name)); // prettier-ignore
    const times = new Map(paths.map((path) => [path, statSync(path).mtimeMs]));
    return paths.sort((a, b) => times.get(b)! - times.get(a)!)[0];
  }

  /**
   * The squares of a probability or more, within some bounds, the most probable first.
   *
   * @throws {RequestError} 404 where no list was made
   * @throws {Error} naming a list that is damaged
   */
  async within({ bbox, least, most }: { bbox?: Bounds | undefined; least: number; most: number }): Promise<ChangeAnswer> {
    const path = this.path();
    if (path === undefined) throw new RequestError(404, this.remedy);
    const { features, licences } = await this.#list(path);
    const asked = features
      .filter(({ properties: { probability }, geometry }) => probability >= least && (!bbox || touches(geometry.coordinates[0], bbox)))
      .sort((a, b) => b.properties.probability - a.properties.probability);
    const shown = asked.slice(0, most).map((feature) => ({ ...feature, properties: { ...feature.properties, id: feature.id } }));
    return { type: 'FeatureCollection', features: shown, licences, name: basename(path, '.geojson'), of: features.length, leftOut: asked.length - shown.length };
  } // prettier-ignore

  #list(path: string): Promise<ChangeFile> {
    const key = `${path} ${statSync(path).mtimeMs}`;
    if (this.#read?.key !== key) this.#read = { key, list: readList(path) };
    return this.#read.list;
  }
}

async function readList(path: string): Promise<ChangeFile> {
  const { success, data, error } = schema.safeParse(await readJson(path));
  if (success) return data;
  throw new Error(`${path} is no change list (at ${error.issues[0].path.join('.') || 'the top'}): make it again with imagesim change --to`); // prettier-ignore
}

function touches(ring: readonly Position[], [west, south, east, north]: Bounds): boolean {
  const [xs, ys] = [ring.map(([x]) => x), ring.map(([, y]) => y)];
  return Math.min(...xs) <= east && Math.max(...xs) >= west && Math.min(...ys) <= north && Math.max(...ys) >= south;
}
