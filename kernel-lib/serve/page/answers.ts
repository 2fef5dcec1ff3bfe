import { pictureOf } from './ask.ts';
import { dayText, icon, make, numberText } from './element.ts';
import type { AnswerCollection, HitProperties } from './shapes.ts';

export type Verdict = 'accepted' | 'rejected';

/** What is done with an answer; by its number in the list. */
export interface AnswerEvents {
  onChoose(at: number): void;
  onPoint(at: number | undefined): void;
  onJudge(at: number, verdict: Verdict): void;
  onAskLike(at: number): void;
}

/** An answer's name, as a question has it: `Z33-…@day@acquisition`. */
export function nameOf({ id, date, catid }: Pick<HitProperties, 'id' | 'date' | 'catid'>): string {
  return `${id}@${date}@${catid}`;
}

export const hitsOf = ({ features }: Pick<AnswerCollection, 'features'>): HitProperties[] => features.map(({ properties }) => properties as HitProperties); // prettier-ignore

/** How surely these are the most alike, and how long it took. */
export function howText({ recall, milliseconds, left, rows }: AnswerCollection): string {
  const among = left === undefined ? numberText(rows) : numberText(left);
  const sure = recall.from === 'exact' ? 'exact' : `recall@${recall.k} ${recall.value.toFixed(3)}`;
  return `of ${among} · ${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms · ${sure}`;
}

/** Skeletons, while answers are on their way. */
export function showWaiting(place: HTMLElement, count: number): void {
  const blanks = Array.from({ length: Math.min(count, 8) }, () => make('li', { class: 'blank' }));
  place.setAttribute('aria-busy', 'true');
  place.replaceChildren(make('div', { class: 'told' }, make('h2', {}, 'Looking…')), make('ul', { class: 'grid', 'aria-hidden': 'true' }, ...blanks)); // prettier-ignore
}

export function showFault(place: HTMLElement, reason: string): void {
  place.removeAttribute('aria-busy');
  place.replaceChildren(make('p', { class: 'fault', role: 'alert' }, reason));
}

/** The answers as a list; an empty one says what to do. */
export function showAnswers(place: HTMLElement, answers: AnswerCollection, verdictOf: (name: string) => Verdict | undefined, events: AnswerEvents): void {
  place.removeAttribute('aria-busy');
  const hits = hitsOf(answers);
  if (hits.length === 0) return place.replaceChildren(make('p', { class: 'empty' }, 'Nothing passes the filters. Loosen them, or ask elsewhere.'));
  const told = make('div', { class: 'told' }, make('h2', {}, hits.length === 1 ? '1 place' : `${hits.length} places`), make('span', { class: 'note' }, howText(answers)));
  const list = make('ol', { class: 'grid' }, ...hits.map((hit, at) => card(hit, at, answers.score, events)));
  place.replaceChildren(told, list);
  markVerdicts(place, answers, verdictOf);
} // prettier-ignore

function card(hit: HitProperties, at: number, score: AnswerCollection['score'], events: AnswerEvents): HTMLElement {
  const tags = hit.tags.split(';').filter(Boolean);
  const stop = (work: () => void) => (event: Event) => {
    event.stopPropagation();
    work();
  };
  const verdict = (name: 'like' | 'unlike', of: Verdict, label: string, key: string): HTMLElement =>
    make('button', { type: 'button', class: of === 'accepted' ? 'yes' : 'no', 'aria-pressed': 'false', 'aria-label': `${label}: answer ${at + 1}`, title: `${label} (${key})`, onclick: stop(() => events.onJudge(at, of)) }, icon(name));
  const words = score === 'cosine' ? hit.similarity.toFixed(3) : `${Math.round(100 * hit.similarity)} %`;
  return make(
    'li',
    {
      class: 'hit', tabindex: 0, 'data-at': at, 'aria-label': `Answer ${at + 1}: ${score === 'cosine' ? 'likeness' : 'probability'} ${words}, ${dayText(hit.date)}, ${tags.join(', ') || 'no tag'}`,
      onclick: () => events.onChoose(at), onpointerenter: () => events.onPoint(at), onpointerleave: () => events.onPoint(undefined), onfocus: () => events.onPoint(at),
      onkeydown: (event) => { if (event.key === 'Enter' && event.target === event.currentTarget) events.onChoose(at); },
    },
    make('img', { src: pictureOf(nameOf(hit)), alt: '', loading: 'lazy', width: 156, height: 156, draggable: false }),
    make('span', { class: 'rank' }, String(at + 1)),
    make('div', { class: 'line' }, make('b', { title: score === 'cosine' ? 'likeness, the cosine' : 'probability that it is wanted' }, words), make('span', {}, dayText(hit.date))),
    make('div', { class: 'tags', title: tags.join('\n') }, tags.join(', ') || 'no tag'),
    make('div', { class: 'verdict' },
      verdict('like', 'accepted', 'Like this', 'Y'), verdict('unlike', 'rejected', 'Not like this', 'N'),
      make('button', { type: 'button', 'aria-label': `Ask for places like answer ${at + 1}`, title: 'Ask for places like it (F)', onclick: stop(() => events.onAskLike(at)) }, icon('ask'))),
  );
} // prettier-ignore

/** Shows which answers are liked, and which are not. */
export function markVerdicts(place: HTMLElement, answers: AnswerCollection, verdictOf: (name: string) => Verdict | undefined): void {
  const hits = hitsOf(answers);
  for (const item of place.querySelectorAll<HTMLElement>('.hit')) {
    const verdict = verdictOf(nameOf(hits[Number(item.dataset['at'])]));
    item.classList.toggle('accepted', verdict === 'accepted');
    item.classList.toggle('rejected', verdict === 'rejected');
    item.querySelector('.yes')?.setAttribute('aria-pressed', String(verdict === 'accepted'));
    item.querySelector('.no')?.setAttribute('aria-pressed', String(verdict === 'rejected'));
  }
} // prettier-ignore

/** Shows which answer is pointed at; scrolls to it where that happened on the map. */
export function markPointed(place: HTMLElement, at: number | undefined, scrolls: boolean): void {
  for (const item of place.querySelectorAll<HTMLElement>('.hit')) {
    const isAt = Number(item.dataset['at']) === at;
    item.classList.toggle('at', isAt);
    if (isAt && scrolls) item.scrollIntoView({ block: 'nearest' });
  }
}
