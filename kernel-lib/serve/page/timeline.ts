import { dayText, icon, make } from './element.ts';
import type { Facts } from './shapes.ts';

export type Which = 'after' | 'before';

/** A day that is shown, and what shows it. */
interface Row {
  element: HTMLElement;
  show(day: string): void;
  tell(words: string): void;
}

/** The days as a slider; as two where days are compared. */
export class Timeline {
  readonly #place: HTMLElement;
  readonly #days: string[];
  readonly #onDay: (which: Which, day: string) => void;
  #rows: Partial<Record<Which, Row>> = {};

  constructor(place: HTMLElement, days: Facts['days'], onDay: (which: Which, day: string) => void) {
    this.#place = place;
    this.#days = days.map(({ day }) => day);
    this.#onDay = onDay;
  }

  /** @param before the day on the left, where two are compared */
  show({ after, before }: { after: string; before?: string | undefined }): void {
    const isTwo = before !== undefined;
    if (!this.#rows.after || isTwo !== (this.#rows.before !== undefined)) {
      this.#rows = isTwo ? { before: this.#row('before', 'Left'), after: this.#row('after', 'Right') } : { after: this.#row('after', 'As of') }; // prettier-ignore
      this.#place.replaceChildren(...Object.values(this.#rows).map(({ element }) => element));
    }
    this.#rows.after?.show(after);
    if (isTwo) this.#rows.before?.show(before);
  }

  /** Says of which day the picture is that shows in the middle of the map, where it is not the chosen one; null: none is there. */
  tell(which: Which, day: string, shown: string | null): void {
    const words = shown === null ? 'no picture until then' : dayText(shown);
    this.#rows[which]?.tell(day === shown ? '' : `In the middle of the map: ${words}`);
  }

  #row(which: Which, label: string): Row {
    const days = this.#days;
    let at = 0;
    const words = make('span');
    const go = (to: number): void => this.#onDay(which, days[Math.max(0, Math.min(days.length - 1, to))]);
    const input = make('input', {
      type: 'range', min: 0, max: Math.max(1, days.length - 1), step: 1, 'aria-label': `${label}: day`, disabled: days.length < 2,
      oninput: () => go(Number(input.value)),
    }); // prettier-ignore
    const step = (by: number, name: string, title: string): HTMLElement =>
      make('button', { type: 'button', class: 'bare', 'aria-label': `${title} (${label})`, title, onclick: () => go(at + by) }, icon(name)); // prettier-ignore
    const ticks = days.length > 80 ? [] : days.map((_, tick) => make('i', { style: `left:${(100 * tick) / Math.max(1, days.length - 1)}%` })); // prettier-ignore
    const rail = make('div', { class: 'rail' }, input, make('div', { class: 'ticks' }, ...ticks));
    const title = make('b', {}, make('small', {}, label), words);
    const note = make('p', { class: 'note', hidden: true });
    const element = make('div', { class: 'day' }, title, step(-1, 'back', 'Earlier day'), rail, step(1, 'forth', 'Later day'), note); // prettier-ignore
    const tell = (told: string): void => {
      note.textContent = told;
      note.hidden = told === '';
    };
    const show = (day: string): void => {
      at = Math.max(0, days.indexOf(day));
      input.value = String(at);
      input.setAttribute('aria-valuetext', dayText(day));
      words.textContent = dayText(day);
    };
    return { element, show, tell };
  }
}
