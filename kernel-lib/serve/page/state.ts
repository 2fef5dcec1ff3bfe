/** Layers above the pictures. */
export const LAYERS = ['grid', 'tags', 'change'] as const;
export type Layer = (typeof LAYERS)[number];

/** How answers follow from verdicts, and what that is called. */
export const METHODS: Record<string, string> = {
  rocchio: 'towards what is liked',
  probe: 'learn what is liked',
  uncertain: 'ask what is unclear',
};

/** What narrows the answers. */
export interface Filter {
  k: number;
  since?: string;
  until?: string;
  tags?: string;
  maxCloud?: number;
  maxOffNadir?: number;
  awayMetres?: number;
  apartMetres?: number;
  /** `west,south,east,north`. */
  bbox?: string;
}

/** All that an address holds: who opens it sees the same. */
export interface State {
  view?: { zoom: number; lat: number; lon: number };
  /** Newest day shown, and on the left when two are compared. Default: the last, and the first. */
  day?: string;
  before?: string;
  /** Where the divider stands, 0–1; not there: nothing is compared. */
  swipe?: number;
  /** Chip asked with, `Z33-…@day@acquisition`; or a tag. */
  chip?: string;
  tag?: string;
  like: string[];
  unlike: string[];
  method: string;
  filter: Filter;
  layers: Layer[];
  /** Least probability of the change layer. */
  least: number;
}

/** Filters that are numbers, texts. */
const NUMBERS = ['maxCloud', 'maxOffNadir', 'awayMetres', 'apartMetres'] as const;
const TEXTS = ['since', 'until', 'tags', 'bbox'] as const;
const DAY = /^\d{4}-\d\d-\d\d$/;
const CHIP = /^Z\d{2}-[0-3]{18}(@\d{4}-\d\d-\d\d(@[\w-]{1,40})?)?$/;

export const DEFAULT_K = 12;

/** Reads the part of an address behind `#`; what means nothing there is left out. */
export function readHash(hash: string): State {
  const words = new URLSearchParams(hash.replace(/^#/, ''));
  const get = (name: string): string | undefined => words.get(name) ?? undefined;
  const chips = (name: string): string[] => (get(name)?.split(',') ?? []).filter((one) => CHIP.test(one));
  const [zoom, lat, lon] = (get('map') ?? '').split('/').map(Number);
  const [swipe, least] = [numberIn(get('swipe'), 0, 1), numberIn(get('least'), 0, 1)];
  const [chip, tag, method = ''] = [get('chip'), get('tag'), get('method')];
  return {
    ...([zoom, lat, lon].every(Number.isFinite) && Math.abs(lat) <= 90 && { view: { zoom, lat, lon } }),
    ...dayOf('day', get('day')),
    ...dayOf('before', get('before')),
    ...(swipe !== undefined && { swipe }),
    ...(chip !== undefined && CHIP.test(chip) ? { chip } : tag ? { tag } : {}),
    like: chips('like'),
    unlike: chips('unlike'),
    method: method in METHODS ? method : 'rocchio',
    filter: filterIn(get),
    layers: LAYERS.filter((layer) => get('layers')?.split(',').includes(layer)),
    least: least ?? 0.5,
  };
}

function filterIn(get: (name: string) => string | undefined): Filter {
  const filter: Filter = { k: Math.round(numberIn(get('k'), 1, 200) ?? DEFAULT_K) };
  for (const name of NUMBERS) {
    const value = numberIn(get(name), 0, 2e7);
    if (value !== undefined) filter[name] = value;
  }
  for (const name of TEXTS) {
    const value = get(name === 'tags' ? 'with' : name);
    if (value) filter[name] = value;
  }
  return filter;
}

function dayOf(name: 'day' | 'before', text: string | undefined): { day?: string; before?: string } {
  return text !== undefined && DAY.test(text) ? { [name]: text } : {};
}

function numberIn(text: string | undefined, least: number, most: number): number | undefined {
  const value = text === undefined || text === '' ? Number.NaN : Number(text);
  return value >= least && value <= most ? value : undefined;
}

/** The part of an address behind `#`: what is as it is by default is not in it. */
export function writeHash({ view, day, before, swipe, chip, tag, like, unlike, method, filter, layers, least }: State): string {
  const words: [string, string | number | undefined][] = [
    ['map', view && `${round(view.zoom, 2)}/${round(view.lat, 6)}/${round(view.lon, 6)}`],
    ['day', day], ['before', swipe === undefined ? undefined : before], ['swipe', swipe === undefined ? undefined : round(swipe, 3)],
    ['chip', chip], ['tag', tag], ['like', like.join(',')], ['unlike', unlike.join(',')],
    ['method', method === 'rocchio' ? undefined : method],
    ['k', filter.k === DEFAULT_K ? undefined : filter.k],
    ...NUMBERS.map((name): [string, number | undefined] => [name, filter[name]]),
    ...TEXTS.map((name): [string, string | undefined] => [name === 'tags' ? 'with' : name, filter[name]]),
    ['layers', layers.join(',')], ['least', least === 0.5 ? undefined : least],
  ];
  const set = words.filter(([, value]) => value !== undefined && value !== '');
  return set.map(([name, value]) => `${name}=${encodeURIComponent(String(value)).replaceAll('%2F', '/').replaceAll('%2C', ',').replaceAll('%40', '@')}`).join('&');
} // prettier-ignore

const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** Whether anything is asked. */
export function isAsked({ chip, tag, like }: State): boolean {
  return chip !== undefined || tag !== undefined || like.length > 0;
}

/** The question as `/search` takes it. */
export function questionOf({ chip, tag, like, unlike, method, filter }: State): object {
  const { tags, ...rest } = filter;
  const judged = like.length + unlike.length > 0;
  return { ...(chip ? { chip } : tag ? { tag } : {}), ...(judged && { like, unlike, method }), ...rest, ...(tags && { tags: [tags] }) }; // prettier-ignore
}
