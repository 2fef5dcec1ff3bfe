import type { Feature } from 'geojson';
import {
  type Verdict,
  hitsOf,
  markPointed,
  markVerdicts,
  nameOf,
  showAnswers,
  showFault,
  showWaiting,
} from './answers.ts';
import { askSearch } from './ask.ts';
import { showChange } from './change.ts';
import { make, the } from './element.ts';
import { drawingOf } from './drawing.ts';
import { filtersOf, showFilter } from './filters.ts';
import { Ground, type Overlay } from './ground.ts';
import { listen } from './keys.ts';
import { Layers } from './layers.ts';
import { Marks } from './marks.ts';
import { Notice } from './notice.ts';
import { showQuestion } from './question.ts';
import { showRefine } from './refine.ts';
import type { AnswerCollection, ChangeProperties, Facts, HitProperties } from './shapes.ts';
import { type Layer, type State, isAsked, questionOf, readHash, writeHash } from './state.ts';
import { dividerOf } from './swipe.ts';
import { switchTheme } from './theme.ts';
import { Shown } from './shown.ts';
import { Timeline } from './timeline.ts';

/** The page: what is asked and shown, kept in its address. */
export class Page {
  #facts: Facts;
  #state: State;
  readonly #ground: Ground;
  readonly #layers: Layers;
  readonly #marks: Marks;
  readonly #timeline: Timeline;
  readonly #shown: Shown;
  readonly #divide: (at: number) => void;
  #answers: AnswerCollection | undefined;
  #at: number | undefined;
  #stop = new AbortController();
  readonly #notice = new Notice();

  constructor(facts: Facts) {
    this.#facts = facts;
    this.#state = readHash(location.hash);
    this.#ground = new Ground({ after: the('after'), before: the('before') }, facts, this.#state, this.#days, {
      onClick: (place, under) => this.#click(place, under),
      onPoint: (under, at) => this.#point(under, at),
      onMoved: () => this.#moved(),
      onTileFault: (status, reason) => (status === 503 ? this.#wait() : this.#notice.say(`A map tile cannot be shown: ${reason}`)), // prettier-ignore
    });
    this.#layers = new Layers(this.#ground, () => this.#notice.credit(this.#facts.attribution, this.#layers.credit));
    this.#marks = new Marks(the('marks'), this.#ground);
    this.#timeline = new Timeline(the('time'), facts.days, (which, day) => this.#set({ [which === 'after' ? 'day' : 'before']: day }, 'days')); // prettier-ignore
    this.#shown = new Shown(this.#ground, this.#timeline);
    this.#divide = dividerOf(the('divider'), the('stage'), (at, isDone) => {
      this.#state.swipe = at;
      this.#clip();
      if (isDone) this.#write();
    });
  }

  /** The days that are shown, and compared. */
  get #days(): { after: string; before: string } {
    const { days } = this.#facts;
    const known = (day: string | undefined): string | undefined => days.find((one) => one.day === day)?.day;
    return { after: known(this.#state.day) ?? days.at(-1)!.day, before: known(this.#state.before) ?? days[0].day };
  }

  /** Shows low zooms when their overviews are made. */
  #wait(): void {
    void this.#notice.waitForOverviews((facts) => {
      this.#facts = facts;
      this.#ground.reload(facts);
    });
  }

  start(): void {
    const { store, title } = this.#facts;
    document.title = title;
    if ('remedy' in store) the('filters').hidden = true;
    else {
      the('subject').textContent = `${store.rows.toLocaleString()} chips · ${store.table} ${store.version}`;
      the('subject').title = store.model;
      filtersOf(store, this.#state.filter, () => this.#ground.bounds.map((degrees) => degrees.toFixed(6)).join(','), (filter) => this.#set({ filter }, 'ask')); // prettier-ignore
    }
    if (innerWidth <= 720 && !isAsked(this.#state)) document.body.classList.add('bare');
    if (new URLSearchParams(location.search).has('bare')) document.body.classList.add('bare');
    this.#listen();
    this.#notice.credit(this.#facts.attribution, this.#layers.credit);
    this.#showAll();
    void this.#ask();
    if (this.#facts.overviews.making) this.#wait();
    addEventListener('hashchange', () => this.#restore());
  }

  #listen(): void {
    const on = (id: string, work: () => void): void => the(id).addEventListener('click', work);
    const keys = { p: () => this.#togglePanel(), d: switchTheme, c: () => this.#toggleCompare(), l: () => void this.#share(), '0': () => this.#home(), '?': () => the<HTMLDialogElement>('help').showModal(), '+': () => this.#ground.after.zoomIn(), '-': () => this.#ground.after.zoomOut() }; // prettier-ignore
    for (const [id, key] of [['hide', 'p'], ['show', 'p'], ['theme', 'd'], ['compare', 'c'], ['share', 'l'], ['home', '0'], ['helpOpen', '?'], ['in', '+'], ['out', '-']] as const) on(id, keys[key]); // prettier-ignore
    const layers: [string, Layer, string][] = [['g', 'grid', 'gridOn'], ['t', 'tags', 'tagsOn'], ['h', 'change', 'changeOn']]; // prettier-ignore
    for (const [, layer, id] of layers) {
      the(id).addEventListener('change', () => this.#toggleLayer(layer));
      on(`${layer}Tool`, () => this.#toggleLayer(layer));
    }
    the('least').addEventListener('input', () => this.#set({ least: Number(the<HTMLInputElement>('least').value) }, 'layers')); // prettier-ignore
    listen({
      ...keys,
      ...Object.fromEntries(layers.map(([key, layer]) => [key, () => this.#toggleLayer(layer)])),
      '[': () => this.#stepDay(-1), ']': () => this.#stepDay(1),
      j: () => this.#step(1), k: () => this.#step(-1),
      y: () => this.#judge(this.#at, 'accepted'), n: () => this.#judge(this.#at, 'rejected'),
      f: () => this.#askLike(this.#at), r: () => void this.#ask(), escape: () => this.#escape(),
    }); // prettier-ignore
    for (const id of ['after', 'before'])
      the(id).addEventListener('keydown', (event) => {
        if (event.key !== 'Enter') return;
        const { lng, lat } = this.#ground.after.getCenter();
        void this.#askAt([lng, lat]);
      });
  }

  /** Takes over some of a new state, and shows what follows from it. */
  #set(part: Partial<State>, what: 'days' | 'layers' | 'ask' | 'nothing'): void {
    this.#state = { ...this.#state, ...part };
    this.#write();
    if (what === 'days') this.#showDays();
    if (what === 'layers') void this.#layers.show(this.#state);
    if (what === 'ask') void this.#ask();
  }

  #write(): void {
    history.replaceState(history.state, '', `#${writeHash(this.#state)}`);
  }

  #restore(): void {
    this.#state = readHash(location.hash);
    const { view, filter } = this.#state;
    if (view) this.#ground.after.jumpTo({ center: [view.lon, view.lat], zoom: view.zoom });
    if (!('remedy' in this.#facts.store)) showFilter(filter);
    this.#showAll();
    void this.#ask();
  }

  #showAll(): void {
    this.#showDays();
    this.#showQuestion();
    void this.#layers.show(this.#state);
  }

  #showDays(): void {
    const isComparing = this.#state.swipe !== undefined;
    const { after, before } = this.#days;
    this.#timeline.show({ after, before: isComparing ? before : undefined });
    this.#ground.setDays({ after, before }, isComparing);
    the('compare').setAttribute('aria-pressed', String(isComparing));
    the('divider').hidden = !isComparing;
    if (isComparing) this.#divide(this.#state.swipe!);
    this.#clip();
    this.#tellShown();
  }

  /** Says of which days the pictures are that show, where they are not of the chosen ones. */
  #tellShown(): void {
    const { after, before } = this.#days;
    const days = this.#state.swipe === undefined ? { after } : { after, before };
    this.#shown.tell(days).catch((error: unknown) => this.#notice.say((error as Error).message));
  }

  /** The picture on the right is seen right of the divider only. */
  #clip(): void {
    const { swipe } = this.#state;
    the('after').style.clipPath = swipe === undefined ? '' : `inset(0 0 0 ${(100 * swipe).toFixed(2)}%)`;
  }

  #moved(): void {
    const { lng, lat } = this.#ground.after.getCenter();
    this.#set({ view: { zoom: this.#ground.after.getZoom(), lat, lon: lng } }, 'layers');
    this.#offerView();
    this.#tellShown();
  }

  // What is asked

  #click(place: [number, number], under: { overlay: Overlay; feature: Feature }[]): void {
    const hit = under.find(({ overlay }) => overlay === 'hits');
    if (hit) return this.#choose(Number(hit.feature.properties!['rank']) - 1, false);
    const changed = under.find(({ overlay }) => overlay === 'change');
    if (changed) return this.#showChange(changed.feature.properties as ChangeProperties);
    void this.#askAt(place);
  }

  async #askAt(at: [number, number]): Promise<void> {
    if ('remedy' in this.#facts.store) return;
    const { chip: _, tag: __, ...rest } = this.#state;
    this.#state = { ...rest, like: [], unlike: [] };
    await this.#ask({ at, asOf: this.#days.after });
  }

  #askLike(at: number | undefined): void {
    const hit = this.#hits[at ?? -1];
    if (hit) this.#askChip(nameOf(hit));
  }

  #askChip(chip: string): void {
    const { tag: _, ...rest } = this.#state;
    this.#state = rest;
    this.#set({ chip, like: [], unlike: [] }, 'ask');
  }

  get #hits(): HitProperties[] {
    return this.#answers ? hitsOf(this.#answers) : [];
  }

  /** Asks what the state asks, or at a place; what was asked before is stopped. */
  async #ask(place?: { at: [number, number]; asOf: string }): Promise<void> {
    this.#stop.abort();
    const stop = (this.#stop = new AbortController());
    if ('remedy' in this.#facts.store || (!place && !isAsked(this.#state))) return this.#showNothing();
    document.body.classList.remove('bare');
    if (this.#state.layers.length === 0) the<HTMLDetailsElement>('layers').open = false;
    const answers = the('answers');
    showWaiting(answers, this.#state.filter.k);
    this.#showQuestion();
    try {
      const found = await askSearch({ ...questionOf(this.#state), ...place }, stop.signal);
      const [asked] = found.asked.features;
      if (place && asked) this.#state.chip = nameOf(asked.properties as HitProperties);
      this.#write();
      this.#showFound(found);
    } catch (error) {
      if (stop.signal.aborted) return;
      this.#showNothing();
      showFault(answers, (error as Error).message);
    }
  }

  #showFound(found: AnswerCollection): void {
    this.#answers = found;
    this.#at = undefined;
    this.#showQuestion(found.asked.features[0]?.properties as HitProperties | undefined);
    showAnswers(the('answers'), found, (name) => this.#verdictOf(name), {
      onChoose: (at) => this.#choose(at, true),
      onPoint: (at) => this.#pointAt(at, false),
      onJudge: (at, verdict) => this.#judge(at, verdict),
      onAskLike: (at) => this.#askLike(at),
    });
    this.#drawAnswers();
    this.#showRefine();
  }

  #showNothing(): void {
    this.#answers = undefined;
    this.#at = undefined;
    the('answers').replaceChildren();
    the('answers').removeAttribute('aria-busy');
    this.#showQuestion();
    this.#drawAnswers();
    this.#showRefine();
  }

  #showQuestion(asked?: HitProperties): void {
    showQuestion(the('question'), this.#facts, this.#state, asked, {
      onTag: (tag) => this.#set({ tag }, 'ask'),
      onClear: () => this.#clear(),
      onGo: () => asked && this.#fly(asked),
      onForget: (name) => this.#set({ like: this.#state.like.filter((one) => one !== name), unlike: this.#state.unlike.filter((one) => one !== name) }, 'ask'), // prettier-ignore
    });
  }

  #clear(): void {
    const { chip: _, tag: __, ...rest } = this.#state;
    this.#state = { ...rest, like: [], unlike: [] };
    this.#set({}, 'ask');
  }

  #drawAnswers(): void {
    const { hits, asked, marks } = drawingOf(this.#answers, (name) => this.#verdictOf(name), this.#at);
    this.#ground.setData('hits', hits);
    this.#ground.setData('asked', asked);
    this.#marks.show(marks);
  }

  // What is done with the answers

  #verdictOf(name: string): Verdict | undefined {
    if (this.#state.like.includes(name)) return 'accepted';
    return this.#state.unlike.includes(name) ? 'rejected' : undefined;
  }

  #judge(at: number | undefined, verdict: Verdict): void {
    const hit = this.#hits[at ?? -1];
    if (!hit || !this.#answers) return;
    const name = nameOf(hit);
    const isBack = this.#verdictOf(name) === verdict;
    const without = (names: string[]): string[] => names.filter((one) => one !== name);
    const [like, unlike] = [without(this.#state.like), without(this.#state.unlike)];
    if (!isBack) (verdict === 'accepted' ? like : unlike).push(name);
    this.#set({ like, unlike }, 'nothing');
    markVerdicts(the('answers'), this.#answers, (one) => this.#verdictOf(one));
    this.#drawAnswers();
    this.#showRefine();
  }

  #showRefine(): void {
    showRefine(the('refine'), this.#state, (method) => this.#set({ method }, 'nothing'), () => void this.#ask()); // prettier-ignore
  }

  #step(by: number): void {
    const hits = this.#hits;
    if (hits.length === 0) return;
    const next = this.#at === undefined ? (by > 0 ? 0 : hits.length - 1) : Math.max(0, Math.min(hits.length - 1, this.#at + by)); // prettier-ignore
    this.#pointAt(next, true);
    the('answers').querySelector<HTMLElement>(`[data-at="${next}"]`)?.focus();
  }

  #choose(at: number, flies: boolean): void {
    this.#pointAt(at, !flies);
    const hit = this.#hits[at];
    if (hit && flies) this.#fly(hit);
  }

  #fly({ lon, lat }: HitProperties): void {
    const map = this.#ground.after;
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    map.easeTo({ center: [lon, lat], zoom: Math.max(map.getZoom(), 17), duration: isCalm ? 0 : 600 });
  }

  #pointAt(at: number | undefined, scrolls: boolean): void {
    if (at === undefined || at === this.#at) return;
    this.#at = at;
    markPointed(the('answers'), at, scrolls);
    this.#drawAnswers();
  }

  /** What the pointer is above: an answer shows in the list, other things say what they are. */
  #point(under: { overlay: Overlay; feature: Feature }[], at: { x: number; y: number } | undefined): void {
    const of = (overlay: Overlay): Feature | undefined => under.find((one) => one.overlay === overlay)?.feature;
    const [hit, changed, tag] = [of('hits'), of('change'), of('tags')];
    if (hit) this.#pointAt(Number(hit.properties!['rank']) - 1, true);
    this.#layers.point(of('grid')?.properties?.['id'] as string | undefined);
    const words = changed ? `Changed: ${(changed.properties as ChangeProperties).probability.toFixed(2)}` : (tag?.properties?.['tags'] as string | undefined); // prettier-ignore
    const tip = the('tip');
    tip.hidden = words === undefined || at === undefined;
    if (tip.hidden) return;
    tip.textContent = words!;
    tip.style.left = `${Math.min(at!.x + 16, the('stage').clientWidth - 296)}px`;
    tip.style.top = `${at!.y + 16}px`;
    this.#ground.maps.forEach((map) => (map.getCanvas().style.cursor = hit || changed ? 'pointer' : ''));
  }

  #showChange(properties: ChangeProperties): void {
    const card = the('card');
    showChange(card, properties, {
      onClose: () => (card.hidden = true),
      onCompare: ({ before, after }) => this.#set({ before, day: after, swipe: this.#state.swipe ?? 0.5 }, 'days'),
      onAsk: (chip) => this.#askChip(chip),
    });
  }

  /** Offers to look again where only this view was asked for and another is seen. */
  #offerView(): void {
    const told = the('answers').querySelector('.told');
    const { bbox } = this.#state.filter;
    const now = this.#ground.bounds.map((degrees) => degrees.toFixed(6)).join(',');
    if (!told || bbox === undefined || bbox === now || the('answers').querySelector('.again')) return;
    told.after(make('button', { type: 'button', class: 'quiet again', style: 'width:100%;margin-bottom:12px', onclick: () => this.#set({ filter: { ...this.#state.filter, bbox: this.#ground.bounds.map((degrees) => degrees.toFixed(6)).join(',') } }, 'ask') }, 'Look again in this view')); // prettier-ignore
  }

  // What is shown

  #toggleLayer(layer: Layer): void {
    const { layers } = this.#state;
    the<HTMLDetailsElement>('layers').open = true;
    if (layer === 'change') the('card').hidden = true;
    this.#set({ layers: layers.includes(layer) ? layers.filter((one) => one !== layer) : [...layers, layer] }, 'layers'); // prettier-ignore
  }

  #toggleCompare(): void {
    const { swipe, ...rest } = this.#state;
    if (swipe === undefined) {
      this.#set({ swipe: 0.5, before: this.#days.before }, 'days');
      return the('divider').focus();
    }
    this.#state = rest;
    this.#set({}, 'days');
  }

  #stepDay(by: number): void {
    const { days } = this.#facts;
    const at = days.findIndex(({ day }) => day === this.#days.after) + by;
    if (days[at]) this.#set({ day: days[at].day }, 'days');
  }

  #togglePanel(): void {
    const isBare = document.body.classList.toggle('bare');
    (isBare ? the('show') : the('hide')).focus();
    setTimeout(() => this.#ground.resize(), 200);
  }

  #home(): void {
    const [west, south, east, north] = this.#facts.bounds;
    this.#ground.after.fitBounds([west, south, east, north], { padding: 48, duration: 400 });
  }

  #escape(): void {
    if (!the('card').hidden) return void (the('card').hidden = true);
    if (isAsked(this.#state)) this.#clear();
  }

  async #share(): Promise<void> {
    this.#write();
    try {
      await navigator.clipboard.writeText(location.href);
      this.#notice.say('The address of this view is copied.');
    } catch {
      this.#notice.say(`Copy the address: ${location.href}`); // browsers let no page copy that came without TLS
    }
  }
}
