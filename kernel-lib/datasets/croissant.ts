import type { DatasetManifest, Licence } from './manifest.ts';
import { type Column, columnsOf } from './row.ts';

/** Terms whose text is known under an address. */
const LICENCE_URLS: Record<string, string> = {
  'CC0-1.0': 'https://creativecommons.org/publicdomain/zero/1.0/',
  'CC-BY-4.0': 'https://creativecommons.org/licenses/by/4.0/',
  'CC-BY-NC-4.0': 'https://creativecommons.org/licenses/by-nc/4.0/',
  'ODbL-1.0': 'https://opendatacommons.org/licenses/odbl/1-0/',
};

/** The context that the specification recommends, its appendix 1, with the two prefixes that it leaves to the writer. */
const CONTEXT = {
  '@language': 'en',
  '@vocab': 'https://schema.org/',
  sc: 'https://schema.org/',
  cr: 'http://mlcommons.org/croissant/',
  dct: 'http://purl.org/dc/terms/',
  conformsTo: 'dct:conformsTo',
  citeAs: 'cr:citeAs',
  column: 'cr:column',
  data: { '@id': 'cr:data', '@type': '@json' },
  dataType: { '@id': 'cr:dataType', '@type': '@vocab' },
  extract: 'cr:extract',
  field: 'cr:field',
  fileObject: 'cr:fileObject',
  fileProperty: 'cr:fileProperty',
  fileSet: 'cr:fileSet',
  format: 'cr:format',
  includes: 'cr:includes',
  isLiveDataset: 'cr:isLiveDataset',
  key: 'cr:key',
  recordSet: 'cr:recordSet',
  references: 'cr:references',
  source: 'cr:source',
};

const SPLITS = { train: 'cr:TrainingSplit', validation: 'cr:ValidationSplit', test: 'cr:TestSplit' };

/** What a description says beside the manifest. */
export interface CroissantFacts {
  /** When the version was made. */
  made: Date;
  /** Bytes of chips.parquet. */
  bytes: number;
  /** Where the dataset is, or is going to be, published. Default: a name that is no address, `urn:imagesim:<name>:<version>` */
  url?: string | undefined;
}

/**
 * Describes a version as MLCommons Croissant 1.0 asks: its table, a field a column, its splits, terms and citation.
 *
 * @returns JSON-LD; chips.parquet is expected to lie beside it
 * @see http://mlcommons.org/croissant/1.0
 */
export function croissantOf(manifest: DatasetManifest, { made, bytes, url }: CroissantFacts): object {
  const { name, version, zone, labels, counts, licences, sha256 } = manifest;
  const day = made.toISOString().slice(0, 10);
  const chips = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const address = url ?? `urn:imagesim:${encodeURIComponent(name)}:${version}`;
  const attributions = [...new Set(licences.map(({ attribution }) => attribution).filter(Boolean))];
  return {
    '@context': CONTEXT,
    '@type': 'sc:Dataset',
    conformsTo: 'http://mlcommons.org/croissant/1.0',
    name,
    description: `${chips} chips of 256 × 256 pixels, 78 m a side, of satellite imagery in UTM zone ${zone}, with ${labels.length} labels from map tags, split by place. ${attributions.join('; ')}`.trim(),
    version,
    license: [...new Map(licences.map((licence) => [licence.licence, licenceOf(licence)])).values()],
    url: address,
    creator: (attributions.length > 0 ? attributions : ['not stated']).map((attribution) => ({ '@type': 'sc:Organization', name: attribution })),
    datePublished: day,
    citeAs: citation({ name, version }, attributions, day, address),
    isLiveDataset: false,
    distribution: [{ '@type': 'cr:FileObject', '@id': 'chips.parquet', name: 'chips.parquet', description: 'One row a chip', contentUrl: 'chips.parquet', contentSize: `${bytes} B`, encodingFormat: 'application/x-parquet', sha256 }],
    recordSet: [splitSet(), { '@type': 'cr:RecordSet', '@id': 'chips', name: 'chips', description: 'One record a chip: a square of ground in one acquisition', key: [{ '@id': 'chips/id' }, { '@id': 'chips/catid' }, { '@id': 'chips/date' }], field: columnsOf(labels).map(fieldOf) }],
  }; // prettier-ignore
}

function licenceOf({ licence, source }: Licence): string | object {
  const known = LICENCE_URLS[licence.replaceAll(' ', '-')];
  return known ?? { '@type': 'sc:CreativeWork', name: licence, description: `of ${source}` };
}

function citation({ name, version }: { name: string; version: string }, authors: string[], day: string, url: string): string {
  const author = authors.map((words) => `{${words.replaceAll(/[{}]/g, '')}}`).join(' and ');
  return `@misc{${name}-${version}, title = {${name}}, version = {${version}}, author = {${author}}, year = {${day.slice(0, 4)}}, url = {${url}}}`;
} // prettier-ignore

/** The splits, each with what the specification calls it; what lies between them is none of its kinds. */
function splitSet(): object {
  const field = ['name', 'url'].map((name) => ({ '@type': 'cr:Field', '@id': `splits/${name}`, name, dataType: name === 'name' ? 'sc:Text' : 'cr:Split' })); // prettier-ignore
  const data = Object.entries(SPLITS).map(([split, url]) => ({ 'splits/name': split, 'splits/url': url }));
  const buffer = { 'splits/name': 'buffer', 'splits/url': null };
  return { '@type': 'cr:RecordSet', '@id': 'splits', name: 'splits', dataType: 'cr:Split', key: { '@id': 'splits/name' }, field, data: [...data, buffer] }; // prettier-ignore
}

function fieldOf({ name, type, about }: Column): object {
  const dataTypes = { text: 'sc:Text', number: 'sc:Float', label: ['sc:Integer', 'cr:Label'] };
  return {
    '@type': 'cr:Field',
    '@id': `chips/${name}`,
    name,
    description: about,
    dataType: name === 'date' ? 'sc:Date' : dataTypes[type],
    source: { fileObject: { '@id': 'chips.parquet' }, extract: { column: name } },
    ...(name === 'split' ? { references: { '@id': 'splits/name' } } : {}),
  };
}
