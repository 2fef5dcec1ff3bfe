import { askFacts } from './ask.ts';
import { make, the } from './element.ts';
import type { Facts } from './shapes.ts';

/** How long a word about something that was done stays; how often it is asked whether overviews are made. */
const [SAID_MS, ASK_MS] = [4000, 2000];

/** Words at the top of the map, and whose data it shows at its foot. */
export class Notice {
  #saying: ReturnType<typeof setTimeout> | undefined;
  #isWaiting = false;

  say(words: string): void {
    clearTimeout(this.#saying);
    const state = the('state');
    state.hidden = false;
    state.textContent = words;
    this.#saying = setTimeout(() => (state.hidden = true), SAID_MS);
  }

  /** Low zooms need overviews that may still be made: says so, and tells when they are there. */
  async waitForOverviews(onReady: (facts: Facts) => void): Promise<void> {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    try {
      let facts = await askFacts();
      for (; facts.overviews.making; facts = await askFacts()) {
        this.say(`Overviews for low zooms are being made: ${facts.overviews.ready} of ${facts.overviews.total}`);
        await new Promise((resolve) => setTimeout(resolve, ASK_MS));
      }
      onReady(facts);
      if (facts.overviews.fault) this.say(facts.overviews.fault);
    } catch (error) {
      this.say((error as Error).message);
    } finally {
      this.#isWaiting = false;
    }
  }

  /** @param attribution of the pictures @param other of what lies above them, with an address at its end where it has one */
  credit(attribution: string, other: string): void {
    const [words, address] = other.split(/, (?=https:)/);
    const link = (href: string, text: string): HTMLElement => make('a', { href, target: '_blank', rel: 'noreferrer' }, text); // prettier-ignore
    const above = other === '' ? [] : [' · ', address ? link(address, words) : words];
    the('credit').replaceChildren(attribution, ...above, ' · ', link('https://maplibre.org/', 'MapLibre'));
  }
}
