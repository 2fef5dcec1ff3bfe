import type { Feature, FeatureCollection } from 'geojson';
import { type Verdict, hitsOf, nameOf } from './answers.ts';
import type { Mark } from './marks.ts';
import type { AnswerCollection, HitProperties } from './shapes.ts';

const EMPTY: FeatureCollection = { type: 'FeatureCollection', features: [] };

/** Outlines and numbers of question and answers. */
export interface Drawing {
  hits: FeatureCollection;
  asked: FeatureCollection;
  marks: Mark[];
}

/** What the map shows of answers. @param at the one that is pointed at */
export function drawingOf(answers: AnswerCollection | undefined, verdictOf: (name: string) => Verdict | undefined, at: number | undefined): Drawing {
  if (!answers) return { hits: EMPTY, asked: EMPTY, marks: [] };
  const hits = hitsOf(answers);
  const verdicts = hits.map((hit) => verdictOf(nameOf(hit)));
  const features = answers.features.map((feature, index): Feature => ({ ...feature, properties: { ...feature.properties, verdict: verdicts[index] ?? 'open', at: index === at } }));
  const asked = answers.asked.features.map(({ properties }) => properties as HitProperties);
  return {
    hits: { type: 'FeatureCollection', features },
    asked: answers.asked,
    marks: [
      ...asked.map(({ lon, lat }): Mark => ({ lon, lat, text: '?', kind: 'asked' })),
      ...hits.map(({ lon, lat }, index): Mark => ({ lon, lat, text: String(index + 1), kind: `${verdicts[index] ?? ''} ${index === at ? 'at' : ''}` })),
    ],
  };
} // prettier-ignore
