import { make } from './element.ts';
import type { Ground } from './ground.ts';

/** A number on the map. */
export interface Mark {
  lon: number;
  lat: number;
  text: string;
  kind: string;
}

/** The zoom from which the numbers have room. */
const NUMBERS_ZOOM = 14;

/** Numbers of the answers on the map: text of the page, for which the map needs no fonts. */
export class Marks {
  readonly #place: HTMLElement;
  readonly #ground: Ground;
  #marks: { mark: Mark; element: HTMLElement }[] = [];

  constructor(place: HTMLElement, ground: Ground) {
    this.#place = place;
    this.#ground = ground;
    ground.after.on('move', () => this.#lay());
    ground.after.on('resize', () => this.#lay());
  }

  show(marks: readonly Mark[]): void {
    this.#marks = marks.map((mark) => ({ mark, element: make('span', { class: mark.kind }, mark.text) }));
    this.#place.replaceChildren(...this.#marks.map(({ element }) => element));
    this.#lay();
  }

  #lay(): void {
    this.#place.classList.toggle('far', this.#ground.after.getZoom() < NUMBERS_ZOOM);
    for (const { mark, element } of this.#marks) {
      const { x, y } = this.#ground.after.project([mark.lon, mark.lat]);
      element.style.left = `${x.toFixed(1)}px`;
      element.style.top = `${y.toFixed(1)}px`;
    }
  }
}
