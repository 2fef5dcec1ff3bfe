import type { Feature, FeatureCollection } from 'geojson';
import { Refusal, askChange, askChips, askTags } from './ask.ts';
import { make, numberText, the } from './element.ts';
import { GRID_ZOOM, type Ground, OTHER_TAGS, TAG_COLOURS } from './ground.ts';
import { LAYERS, type Layer, type State } from './state.ts';

const EMPTY: FeatureCollection = { type: 'FeatureCollection', features: [] };
/** The zoom from which tags are asked for: before, a view holds too many cells. */
const TAGS_ZOOM = 13.5;

/** What of a view lies on the map above the pictures: asked anew when the view is another. */
export class Layers {
  readonly #ground: Ground;
  readonly #stops = new Map<Layer, AbortController>();
  #grid: FeatureCollection = EMPTY;
  #at: string | undefined;
  /** Whose data the layers show, that the map must name. */
  credit = '';
  readonly #onCredit: () => void;

  constructor(ground: Ground, onCredit: () => void) {
    this.#ground = ground;
    this.#onCredit = onCredit;
  }

  /** Brings the layers up to a state and a view. */
  async show({ layers, least }: State): Promise<void> {
    for (const layer of LAYERS) {
      the<HTMLInputElement>(`${layer}On`).checked = layers.includes(layer);
      the(`${layer}Tool`).setAttribute('aria-pressed', String(layers.includes(layer)));
    }
    the('tagsMore').hidden = !layers.includes('tags');
    the('changeMore').hidden = !layers.includes('change');
    the<HTMLInputElement>('least').value = String(least);
    the('leastOut').textContent = least.toFixed(2);
    const box = this.#ground.bounds.map((degrees) => degrees.toFixed(6)).join(',');
    await Promise.all([
      this.#ask('grid', layers, (signal) => this.#showGrid(box, signal)),
      this.#ask('tags', layers, (signal) => this.#showTags(box, signal)),
      this.#ask('change', layers, (signal) => this.#showChange(box, least, signal)),
    ]);
  }

  /** Shows which square of the grid is pointed at. */
  point(id: string | undefined): void {
    if (id === this.#at) return;
    this.#at = id;
    if (this.#grid.features.length > 0) this.#ground.setData('grid', marked(this.#grid, id));
  }

  /** Does what a layer needs, or empties it; what was asked before does not matter any more. */
  async #ask(layer: Layer, layers: readonly Layer[], work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#stops.get(layer)?.abort();
    const stop = new AbortController();
    this.#stops.set(layer, stop);
    const note = the(`${layer}Note`);
    if (!layers.includes(layer)) return this.#empty(layer, note, '');
    try {
      await work(stop.signal);
    } catch (error) {
      if (stop.signal.aborted) return;
      this.#empty(layer, note, error instanceof Refusal ? error.message : String(error));
    }
  }

  #empty(layer: Layer, note: HTMLElement, words: string): void {
    if (layer === 'grid') this.#grid = EMPTY;
    if (layer === 'tags') this.#setCredit('');
    this.#ground.setData(layer, EMPTY);
    say(note, words);
  }

  async #showGrid(box: string, signal: AbortSignal): Promise<void> {
    if (this.#ground.after.getZoom() < GRID_ZOOM) return this.#empty('grid', the('gridNote'), 'Zoom in to see single chips.'); // prettier-ignore
    this.#grid = await askChips(box, signal);
    this.#ground.setData('grid', marked(this.#grid, this.#at));
    const stored = this.#grid.features.filter(({ properties }) => (properties!['dates'] as string[]).length > 0).length;
    say(the('gridNote'), `${numberText(this.#grid.features.length)} chips of 78 m in view, ${numberText(stored)} in the store.`); // prettier-ignore
  }

  async #showTags(box: string, signal: AbortSignal): Promise<void> {
    if (this.#ground.after.getZoom() < TAGS_ZOOM) return this.#empty('tags', the('tagsNote'), 'Zoom in to see what is mapped.'); // prettier-ignore
    const found = await askTags(box, signal);
    this.#ground.setData('tags', found);
    const mains = new Set(found.features.map(({ properties }) => groupOf(properties as { main: string })));
    const names = [...Object.keys(TAG_COLOURS), 'other'].filter((name) => mains.has(name));
    the('tagsLegend').replaceChildren(...names.map((name) => make('li', {}, make('i', { style: `background:${TAG_COLOURS[name] ?? OTHER_TAGS}` }), name))); // prettier-ignore
    const words = [
      `${numberText(found.features.length)} things mapped here.`,
      found.leftOut > 0 ? `${numberText(found.leftOut)} smaller ones are not drawn: zoom in.` : '',
      found.missing.length > 0 ? `${found.missing.length === 1 ? 'A cell' : `${found.missing.length} cells`} without a map: ${found.remedy}.` : '',
    ]; // prettier-ignore
    say(the('tagsNote'), words.filter(Boolean).join(' '));
    this.#setCredit(found.attribution);
  }

  async #showChange(box: string, least: number, signal: AbortSignal): Promise<void> {
    const { features, of, leftOut, name } = await askChange(box, least, signal);
    this.#ground.setData('change', { type: 'FeatureCollection', features: features.toReversed() });
    say(the('changeNote'), `${numberText(features.length)} squares here, of ${numberText(of)} in ${name}.${leftOut > 0 ? ` ${numberText(leftOut)} less probable ones are not drawn.` : ''}`); // prettier-ignore
  }

  #setCredit(credit: string): void {
    if (credit === this.credit) return;
    this.credit = credit;
    this.#onCredit();
  }
}

function groupOf({ main }: { main: string }): string {
  return main in TAG_COLOURS ? main : 'other';
}

function say(note: HTMLElement, words: string): void {
  note.hidden = words === '';
  note.textContent = words;
}

function marked(grid: FeatureCollection, id: string | undefined): FeatureCollection {
  const features = grid.features.map((feature): Feature => {
    const { id: own, dates } = feature.properties as { id: string; dates: string[] };
    return { ...feature, properties: { ...feature.properties, at: own === id, stored: dates.length > 0 } };
  });
  return { ...grid, features };
}
