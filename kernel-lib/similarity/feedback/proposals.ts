import type { Feature, FeatureCollection, Polygon } from 'geojson';
import { chipBounds, parseChip, polygonOf } from '../../ard/index.ts';
import type { DatasetRow, Licence } from '../../datasets/index.ts';
import { OSM_ATTRIBUTION } from '../../osm/index.ts';
import { type Interval, type LabelSchema, adjustP, fisherExact, wilsonInterval } from '../../statistics/index.ts';
import type { ChipKey, SavedSet } from './sets.ts';

/** A label that places of a set have clearly more often than the rest: a proposal, not a finding. */
export interface TagProposal {
  label: string;
  /** OSM tags that the label stands for; one of them, or what whoever maps there sees. */
  tags: string[];
  /** Accepted places that have it, of those where the map tells. */
  accepted: number;
  acceptedKnown: number;
  /** The same of all other places of the dataset. */
  rest: number;
  restKnown: number;
  /** Wilson's 95 % intervals of the two shares. */
  acceptedInterval: Interval;
  restInterval: Interval;
  /** Share among the accepted over that among the rest; `null` where none of the rest has it, for JSON has no infinity. */
  lift: number | null;
  /** Fisher's exact test, and that corrected for the number of labels (Benjamini and Hochberg). */
  p: number;
  falseDiscovery: number;
  /** Accepted places where the map does not show it: candidates for mapping, to be looked at. */
  candidates: string[];
}

/** False proposals among all, at most. */
const FALSE_DISCOVERY = 0.05;

/**
 * Labels that accepted places have clearly more often than the rest of the dataset: their false discovery rate is 5 % at most, and the
 * intervals of the two shares lie apart.
 *
 * Counted by squares of ground, one at several dates once; it has a label where any date has it. Squares where a label is not known count
 * on neither side. Places beside each other are alike, so that p is too small: read the counts first.
 *
 * @param accepted ids of squares, such as `Z33-<18 digits>`
 * @param rows all chips of the dataset
 * @param labels names of the labels to look at
 * @param schema what the labels stand for. Default: each for its own name
 * @returns the strongest first
 */
export function tagProposals(
  accepted: Iterable<string>,
  rows: readonly DatasetRow[],
  labels: readonly string[],
  schema?: LabelSchema,
): TagProposal[] {
  const chosen = new Set(accepted);
  const tested = labels.map((label) => testLabel(label, chosen, placesOf(rows, label), schema));
  const corrected = adjustP(tested.map(({ p }) => p), 'benjamini-hochberg'); // prettier-ignore
  return tested
    .map((one, at) => ({ ...one, falseDiscovery: corrected[at] }))
    .filter((one) => one.falseDiscovery <= FALSE_DISCOVERY && one.acceptedInterval[0] > one.restInterval[1])
    .sort((a, b) => a.p - b.p || (b.lift ?? Number.MAX_VALUE) - (a.lift ?? Number.MAX_VALUE));
}

/** Which squares have a label, 1, which have not, 0, and where nobody knows, null. */
function placesOf(rows: readonly DatasetRow[], label: string): Map<string, 0 | 1 | null> {
  const places = new Map<string, 0 | 1 | null>();
  for (const { id, labels } of rows) {
    const [known, own] = [places.get(id) ?? null, labels[label] ?? null];
    places.set(id, known === 1 || own === 1 ? 1 : (known ?? own));
  }
  return places;
}

function testLabel(
  label: string,
  chosen: ReadonlySet<string>,
  places: ReadonlyMap<string, 0 | 1 | null>,
  schema: LabelSchema | undefined,
): Omit<TagProposal, 'falseDiscovery'> {
  const count = (inSet: boolean, value: 0 | 1): number =>
    [...places].filter(([id, own]) => chosen.has(id) === inSet && own === value).length;
  const [accepted, lacking, rest, without] = [count(true, 1), count(true, 0), count(false, 1), count(false, 0)];
  const [acceptedKnown, restKnown] = [accepted + lacking, rest + without];
  const isKnown = acceptedKnown > 0 && restKnown > 0;
  const interval = (some: number, all: number): Interval => (all === 0 ? [0, 1] : wilsonInterval(some, all));
  return {
    label,
    tags: [...(schema?.labels.find((rule) => rule.label === label)?.tags ?? [label])],
    accepted,
    acceptedKnown,
    rest,
    restKnown,
    acceptedInterval: interval(accepted, acceptedKnown),
    restInterval: interval(rest, restKnown),
    lift: rest === 0 ? null : accepted / acceptedKnown / (rest / restKnown),
    p: isKnown ? fisherExact([[accepted, lacking], [rest, without]]) : Number.NaN,
    candidates: [...chosen].filter((id) => places.has(id) && places.get(id) !== 1).sort(),
  }; // prettier-ignore
}

/** Properties of an exported place. */
export interface SetProperties extends ChipKey {
  /** Labels that the map shows there. */
  mapped: string[];
  /** Labels that like places have and the map does not show here: candidates, nobody has looked. */
  proposed: string[];
  /** Their OSM tags. */
  proposedTags: string[];
}

/** A set as GeoJSON, with what must go with it. */
export interface SetFeatures extends FeatureCollection<Polygon, SetProperties> {
  name: string;
  model: string;
  dataset: string;
  note: string;
  /** Whose data these are: must be said wherever they are shown. */
  attribution: string;
  licences: Licence[];
  about: string;
  proposals: TagProposal[];
}

/**
 * The accepted places of a set as GeoJSON (RFC 7946: WGS 84, rings counter-clockwise), with tags that may be missing in OpenStreetMap.
 *
 * @param rows all chips of the dataset that was searched
 * @param labels names of its labels, as the manifest lists them
 * @param schema what they stand for: `dataset.manifest.schema`
 */
export function setFeatures(
  set: SavedSet,
  rows: readonly DatasetRow[],
  labels: readonly string[],
  schema?: LabelSchema,
): SetFeatures {
  const proposals = tagProposals(set.accepted.map(({ id }) => id), rows, labels, schema); // prettier-ignore
  const licences = set.licences.some(({ attribution }) => attribution.includes('OpenStreetMap')) ? set.licences : [...set.licences, { source: 'labels', licence: 'ODbL 1.0', attribution: OSM_ATTRIBUTION }]; // prettier-ignore
  const said = licences.map(({ attribution }) => attribution).filter(Boolean);
  return {
    type: 'FeatureCollection',
    name: set.name,
    model: set.model,
    dataset: set.dataset,
    note: set.note,
    attribution: [...new Set(said)].join('; '),
    licences,
    about: 'Places that a person accepted among those that look alike. Proposed tags are those that such places have more often than others do: look before you map, and trace only from imagery whose licence allows it.', // prettier-ignore
    proposals,
    features: set.accepted.map((chip) => featureOf(chip, rows, labels, proposals)),
  };
}

function featureOf(
  { id, catid, date }: ChipKey,
  rows: readonly DatasetRow[],
  labels: readonly string[],
  proposals: readonly TagProposal[],
): Feature<Polygon, SetProperties> {
  const own = rows.filter((row) => row.id === id);
  const missing = proposals.filter(({ candidates }) => candidates.includes(id));
  return {
    type: 'Feature',
    id: `${id}_${catid}_${date}`,
    geometry: polygonOf(parseChip(id).cell.epsg, chipBounds(id)),
    properties: {
      id,
      catid,
      date,
      mapped: labels.filter((label) => own.some((row) => row.labels[label] === 1)),
      proposed: missing.map(({ label }) => label),
      proposedTags: [...new Set(missing.flatMap(({ tags }) => tags))],
    },
  };
}
