import { make } from './element.ts';
import { METHODS, type State } from './state.ts';

/** Offers to look again by what was liked and what was not; nothing where neither was. */
export function showRefine(place: HTMLElement, { like, unlike, method }: State, onMethod: (method: string) => void, onRefine: () => void): void {
  place.hidden = like.length + unlike.length === 0;
  if (place.hidden) return;
  const ways = Object.entries(METHODS).map(([value, words]) => make('option', { value, selected: value === method }, words));
  const select = make('select', { 'aria-label': 'How to refine', onchange: () => onMethod(select.value) }, ...ways);
  const act = make('button', { type: 'button', class: 'act', title: 'Refine (R)', onclick: onRefine }, 'Refine');
  place.replaceChildren(make('p', {}, `${like.length} liked, ${unlike.length} not: look again`), select, act);
} // prettier-ignore
