import type { AnswerCollection, ChangeAnswer, Facts, ShownAnswer, TagCollection } from './shapes.ts';
import type { FeatureCollection } from 'geojson';

/** Where the page lies, behind a tunnel or a proxy's prefix too. */
export const BASE: string = new URL('.', document.baseURI).href;

/** A refusal by the server, in its own words. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, reason: string) {
    super(reason);
    this.status = status;
  }
}

async function answered<Answer>(path: string, init: RequestInit): Promise<Answer> {
  const answer = await fetch(BASE + path, init).catch((cause: unknown) => {
    if (init.signal?.aborted) throw cause;
    throw new Refusal(0, 'the server does not answer: is imagesim serve still running?');
  });
  const value = (await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }))) as Answer & { error?: string }; // prettier-ignore
  if (!answer.ok) throw new Refusal(answer.status, value.error ?? `the server answered ${answer.status}`);
  return value;
}

export const askFacts = (): Promise<Facts> => answered('facts.json', {});

export function askSearch(question: object, signal: AbortSignal): Promise<AnswerCollection> {
  const headers = { 'Content-Type': 'application/json' };
  return answered('search', { method: 'POST', headers, body: JSON.stringify(question), signal });
}

export const askChips = (bbox: string, signal: AbortSignal): Promise<FeatureCollection> => answered(`chips?bbox=${bbox}`, { signal }); // prettier-ignore
export const askTags = (bbox: string, signal: AbortSignal): Promise<TagCollection> => answered(`tags?bbox=${bbox}`, { signal }); // prettier-ignore

export const askChange = (bbox: string, least: number, signal: AbortSignal): Promise<ChangeAnswer> => answered(`change?bbox=${bbox}&least=${least}`, { signal }); // prettier-ignore

/** What shows at a place as of a day. */
export const askShown = ({ lng, lat }: { lng: number; lat: number }, day: string, signal: AbortSignal): Promise<ShownAnswer> => answered(`shown/${lng.toFixed(6)},${lat.toFixed(6)}?to=${day}`, { signal }); // prettier-ignore

/** Address of the picture of a chip in one acquisition. @param name `Z33-…@day@acquisition` */
export function pictureOf(name: string): string {
  const [chip, day, catid] = name.split('@');
  return `${BASE}thumbnails/${chip}/${day}/${catid}.jpg`;
}
