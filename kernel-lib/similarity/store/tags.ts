/** What the map has in the chips of a cell, as tags to search by. */
import { type Cell, chipIds } from '../../ard/index.ts';
import { labelChips, listDatasets } from '../../datasets/index.ts';
import { type Outbox, lentInBucket } from '../../infra/index.ts';
import { type Element, chipCoverage, elements, primaryKey, readOsm } from '../../osm/index.ts';
import { type ChipTag, type LabelSchema, nearPoints } from '../../statistics/index.ts';
import type { ModelCard } from '../../training/index.ts';

/** Tags of the chips of a cell by chip id; chips that have none are not there. */
export type CellTags = ReadonlyMap<string, string[]>;

/** Where tags come from. */
export interface Tagger {
  /** In a few words; where it is the same, and the map is, so are the tags. */
  rule: string;
  /** Tags of a cell, from its `osm_data.json`. @param root data folder that it lies in */
  tagsOf(root: string, cell: Cell): Promise<CellTags>;
}

/**
 * Tags as the model knows them: the labels of the dataset that it was trained on, by that one's schema. Where the dataset is not there, what the mapped
 * things are, `building=house` say: of each the tag of its primary key, however little of it lies in the chip.
 *
 * @param outbox of a bucket, where the dataset is looked for that the data folder has not
 */
export async function taggerOf(dataPath: string, { datasetVersion }: Pick<ModelCard, 'datasetVersion'>, outbox?: Outbox): Promise<Tagger> {
  const schema = (await schemaOf(dataPath, datasetVersion)) ?? (outbox && (await heldSchema(outbox, datasetVersion)));
  const usesNear = schema?.labels.some(({ measure }) => measure === 'near') ?? false;
  return {
    rule: schema ? `labels of ${datasetVersion}` : 'primary tags',
    tagsOf: async (root, cell) => {
      const { elements: found } = elements(await readOsm(root, cell));
      if (!schema) return primaryTags(found, cell);
      const rows = coveredTags(found, cell);
      const labelled = labelChips(chipIds(cell), rows, schema, { near: usesNear ? nearPoints(found, cell) : [] });
      const present = [...labelled].map(([id, { labels }]) => [id, Object.keys(labels).filter((label) => labels[label] === 1)] as const);
      return new Map(present.filter(([, tags]) => tags.length > 0));
    },
  };
} // prettier-ignore

/** The label schema of a dataset version; none where that is not in the data folder. @throws {Error} naming a manifest that is damaged */
async function schemaOf(dataPath: string, datasetVersion: string): Promise<LabelSchema | undefined> {
  const [name, version] = datasetVersion.split('@');
  const listed = (await listDatasets(dataPath)).find((each) => each.name === name && each.version === version);
  if (listed?.fault !== undefined) throw new Error(listed.fault);
  return listed?.manifest?.schema;
}

/** The same of one that a bucket holds, of which the manifest alone is brought. */
async function heldSchema(outbox: Outbox, datasetVersion: string): Promise<LabelSchema | undefined> {
  const here = outbox.at(outbox.inbox);
  const key = `datasets/${datasetVersion.replace('@', '/')}/manifest.json`;
  const file = (await here.list(key)).get(key);
  return file && lentInBucket(outbox, file).read((_, root) => schemaOf(root, datasetVersion));
}

function primaryTags(found: readonly Element[], cell: Cell): CellTags {
  const ids = chipIds(cell);
  const perChip = new Map<string, Set<string>>();
  for (const { chip, element } of chipCoverage(found, cell)) {
    const { tags } = found[element];
    const key = primaryKey(tags);
    if (key === 'other') continue;
    const known = perChip.get(ids[chip]) ?? new Set();
    perChip.set(ids[chip], known.add(`${key}=${tags[key]}`));
  }
  return new Map([...perChip].map(([id, tags]) => [id, [...tags].sort()]));
}

/** How much of each tag lies in each chip of a cell, as `chipTags` says it of a zone. */
function coveredTags(found: readonly Element[], cell: Cell): ChipTag[] {
  const ids = chipIds(cell);
  const rows = new Map<string, ChipTag>();
  for (const { chip, element, area, length, points } of chipCoverage(found, cell)) {
    for (const [key, value] of Object.entries(found[element].tags)) {
      const tag = `${key}=${value}`;
      const row = rows.get(`${chip} ${tag}`) ?? { chip: ids[chip], tag, elements: 0, area: 0, length: 0, points: 0 };
      row.elements++;
      row.area = Math.min(1, row.area + area);
      row.length += length;
      row.points += points;
      rows.set(`${chip} ${tag}`, row);
    }
  }
  return [...rows.values()];
}
