import { pictureOf } from './ask.ts';
import { dayText, icon, make } from './element.ts';
import type { ChangeProperties } from './shapes.ts';

/** What is done with a square that changed. */
export interface ChangeEvents {
  onClose: () => void;
  onCompare: (days: { before: string; after: string }) => void;
  onAsk: (chip: string) => void;
}

/** A square that changed, before and after. */
export function showChange(place: HTMLElement, { id, probability, before, beforeCatid, after, afterCatid }: ChangeProperties, events: ChangeEvents): void {
  const picture = (day: string, catid: string, words: string): HTMLElement =>
    make('figure', {}, make('img', { src: pictureOf(`${id}@${day}@${catid}`), alt: `${words}: ${dayText(day)}` }), make('figcaption', {}, `${words}, ${dayText(day)}`));
  place.hidden = false;
  place.replaceChildren(
    make('header', {}, make('h2', {}, `Changed: probability ${probability.toFixed(2)}`), make('button', { type: 'button', class: 'bare', 'aria-label': 'Close', onclick: events.onClose }, icon('close'))),
    make('div', { class: 'pair' }, picture(before, beforeCatid, 'Before'), picture(after, afterCatid, 'After')),
    make('p', { class: 'note' }, id),
    make('div', { class: 'row' },
      make('button', { type: 'button', class: 'quiet', onclick: () => events.onCompare({ before, after }) }, 'Compare on the map'),
      make('button', { type: 'button', class: 'quiet', onclick: () => events.onAsk(`${id}@${after}@${afterCatid}`) }, 'Places like it')),
  );
} // prettier-ignore
