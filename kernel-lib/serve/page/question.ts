import { pictureOf } from './ask.ts';
import { dayText, icon, make, numberText } from './element.ts';
import type { Facts, HitProperties } from './shapes.ts';
import type { State } from './state.ts';
import { nameOf } from './answers.ts';

/** What is done with the question. */
export interface QuestionEvents {
  onTag: (tag: string) => void;
  onClear: () => void;
  onForget: (name: string) => void;
  onGo: () => void;
}

/** What is asked, and how to ask; or, without a store, how to make one. */
export function showQuestion(place: HTMLElement, facts: Facts, state: State, asked: HitProperties | undefined, events: QuestionEvents): void {
  const { store } = facts;
  if ('remedy' in store) return place.replaceChildren(make('p', { class: 'hint' }, make('b', {}, 'No store to search yet. '), store.remedy));
  const parts = state.chip !== undefined ? [askedChip(state.chip, asked, events)] : state.tag !== undefined ? [askedTag(state.tag, events)] : [hint(), tagChooser(store.tags, events)];
  place.replaceChildren(...parts, ...judgedRow(state, events));
} // prettier-ignore

function hint(): HTMLElement {
  return make('p', { class: 'hint' }, make('b', {}, 'Click a place on the map'), ' to find places that look like it.');
}

function tagChooser(tags: readonly { tag: string; rows: number }[], { onTag }: QuestionEvents): HTMLElement {
  if (tags.length === 0) return make('span');
  const select = make('select', { 'aria-label': 'Ask by tag', onchange: () => select.value && onTag(select.value) }, make('option', { value: '' }, 'choose a tag'), ...tags.map(({ tag, rows }) => make('option', { value: tag }, `${tag} (${numberText(rows)})`))); // prettier-ignore
  return make('label', { class: 'bytag' }, 'or ask by tag', select);
}

function clearButton({ onClear }: QuestionEvents): HTMLElement {
  return make('button', { type: 'button', class: 'bare', 'aria-label': 'Clear the question', title: 'Clear the question (Esc)', onclick: onClear }, icon('close')); // prettier-ignore
}

function askedChip(chip: string, asked: HitProperties | undefined, events: QuestionEvents): HTMLElement {
  const [id, day] = asked ? [asked.id, asked.date] : chip.split('@');
  const tags = asked?.tags.split(';').filter(Boolean).join(', ') ?? '';
  const picture = make('img', { alt: 'The place asked with', width: 96, height: 96, ...(asked && { src: pictureOf(nameOf(asked)) }) }); // prettier-ignore
  const go = make('button', { type: 'button', class: 'quiet', onclick: events.onGo }, 'Show on the map');
  const words = make('div', { class: 'words' }, make('h2', {}, 'Places like this'), make('p', {}, day ? dayText(day) : ''), make('p', { class: 'what', title: tags }, asked ? tags || 'no tag' : ''), make('p', {}, make('code', {}, id))); // prettier-ignore
  if (asked) words.append(make('p', {}, go));
  return make('div', { class: 'asked' }, picture, words, clearButton(events));
}

function askedTag(tag: string, events: QuestionEvents): HTMLElement {
  return make('div', { class: 'tagged' }, make('h2', {}, `What ${tag} looks like on average`), clearButton(events));
}

/** What was liked and what was not: a click forgets it. */
function judgedRow({ like, unlike }: State, { onForget }: QuestionEvents): HTMLElement[] {
  const judged = [...like.map((name) => ({ name, isLiked: true })), ...unlike.map((name) => ({ name, isLiked: false }))]; // prettier-ignore
  if (judged.length === 0) return [];
  const each = judged.map(({ name, isLiked }) =>
    make('button', { type: 'button', class: isLiked ? 'yes' : 'no', 'aria-label': `Forget ${name.split('@')[0]}, ${isLiked ? 'liked' : 'not liked'}`, title: `${isLiked ? 'Liked' : 'Not liked'}: click to forget`, onclick: () => onForget(name) }, make('img', { src: pictureOf(name), alt: '' }))); // prettier-ignore
  return [make('div', { class: 'judged' }, make('span', {}, `${like.length} liked, ${unlike.length} not`), ...each)];
}
