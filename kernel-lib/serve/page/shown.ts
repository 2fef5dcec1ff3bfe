import { askShown } from './ask.ts';
import type { Ground } from './ground.ts';
import type { Timeline, Which } from './timeline.ts';

/** Asks of which day the picture in the middle of the map is: where there is none of the chosen day, an earlier one shows. */
export class Shown {
  readonly #ground: Ground;
  readonly #timeline: Timeline;
  #stop = new AbortController();

  constructor(ground: Ground, timeline: Timeline) {
    this.#ground = ground;
    this.#timeline = timeline;
  }

  /** @param days the chosen ones that are to be seen */
  async tell(days: Partial<Record<Which, string>>): Promise<void> {
    this.#stop.abort();
    const { signal } = (this.#stop = new AbortController());
    const place = this.#ground.after.getCenter().wrap();
    const ask = async ([which, day]: [string, string]): Promise<void> => {
      const { shown } = await askShown(place, day, signal);
      this.#timeline.tell(which as Which, day, shown?.date ?? null);
    };
    await Promise.all(Object.entries(days).map(ask)).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
