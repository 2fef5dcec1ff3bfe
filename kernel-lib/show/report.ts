import type { CardFigure, CardGroup, CardScores, FigureName, Report, ReportCard } from '../similarity/index.ts';
import { forestHtml } from './forest.ts';
import { likenessHtml } from './likeness.ts';
import { escapeHtml } from './look.ts';
import { shareText } from './number.ts';
import { pageCss } from './pagestyle.ts';

/** What each figure is called, and what it means. */
function figureWords({ k, recallK }: ReportCard): Record<FigureName, [name: string, meaning: string]> {
  return {
    mAP: ['mAP', 'Every chip asks with each of its tags; average precision rewards right answers that come early. 1: all with the tag come first. Every tag counts the same.'],
    rarityWeightedMAP: ['mAP, rare tags weighted', 'The same, a tag counting the more the rarer it is in the training ground: ln((1 + chips) / (1 + with it)) + 1.'],
    sharedTagMAP: ['mAP by shared tags', 'Answers are graded by the share of the asking chip’s tags that they have, rare ones counting more; average precision of grades (wMAP, Zhao et al. 2015). Asks for likeness as a whole, where mAP flatters.'],
    gain: [`nDCG@${k}`, `How near the first ${k} answers come to the best order possible by the same grades (Järvelin & Kekäläinen 2002).`],
    precisionAtTen: ['precision@10', 'Of the first ten answers, the share with the tag: what the first screen looks like.'],
    recall: [`recall@${recallK}`, `Of all chips with the tag, the share among the first ${recallK} answers. It cannot reach 1 for a tag that more chips have.`],
    accuracy: [`${k}-NN accuracy`, `A chip’s nearest ${k} vote on each tag; the share of votes that are right. By chance: who always says the commoner.`],
    balancedAccuracy: [`${k}-NN accuracy, balanced`, 'The same, chips with the tag and chips without counting half each, so that a rare tag cannot be ignored. By chance ½.'],
  };
} // prettier-ignore

/** A report as one HTML page, light and dark, that needs nothing from outside. */
export function reportPage(report: Report): string {
  const { model, dataset, card, view } = report;
  const sections = [
    headHtml(report),
    trustHtml(report),
    figuresHtml(card),
    labelsHtml(card),
    ...card.groups.map(groupHtml),
    viewSection(view && likenessHtml(view, { id: 'all-chips' })),
    aboutHtml(report),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${escapeHtml(`${model} on ${dataset}: report card`)}</title><style>${pageCss}</style></head>
<body><main>${sections.filter(Boolean).join('\n')}</main></body></html>
`;
}

function headHtml({ model, dataset, card, testChips }: Report): string {
  const scored = card.chips < testChips ? `${count(card.chips, 'chip')} of ${testChips}, whole places drawn at random,` : count(card.chips, 'chip'); // prettier-ignore
  const facts = `${scored} of ${count(card.places, 'place')} in ${count(card.cells, 'cell')}, of ${count(card.dates, 'date')}; ${card.labels.length} of ${count(card.labelCount, 'tag')} can be scored.`;
  return `<header><h1>Report card</h1><p class="of"><b>${escapeHtml(model)}</b> on the test ground of <b>${escapeHtml(dataset)}</b>, which was kept apart from training</p>
<p class="verdict">${verdict(card)}</p><p>${escapeHtml(facts)}</p></header>`;
}

/** The main finding in a sentence or two. */
function verdict({ embeddings: [own, ...others], ahead, labels }: ReportCard): string {
  if (labels.length === 0) return 'Nothing could be scored: see below for the reasons.';
  const { mAP } = own;
  const sides = others.map((other) => `${shareText(other.mAP.value)} of the ${escapeHtml(other.name)}`);
  const first = `mAP is <b>${figureText(mAP)}</b>, beside ${[...sides, `${shareText(mAP.chance)} by chance`].join(' and ')}.`;
  return [first, ...ahead.map(aheadText)].join(' ');
}

function aheadText({ of, by: { value, low, high } }: ReportCard['ahead'][number]): string {
  const name = escapeHtml(of);
  if (low > 0) return `It is ahead of the ${name} by ${shareText(value)} (${shareText(low)} to ${shareText(high)}): better, as far as this ground can tell.`; // prettier-ignore
  if (high < 0)
    return `It is <b>behind</b> the ${name} by ${shareText(-value)} (${shareText(-high)} to ${shareText(-low)}).`;
  return `Whether it is better than the ${name} cannot be told (difference ${shareText(value)}, ${shareText(low)} to ${shareText(high)}).`;
}

function trustHtml({ card, absent }: Report): string {
  const notes = [...card.notes, ...absent].map((note) => `<li>${escapeHtml(note)}</li>`);
  return `<section><h2>How far to trust this</h2>
<p>In brackets stand 95 % intervals: places are drawn anew a thousand times, with all their chips and questions. They tell how much another choice of places from the same ground would change a figure. They do not tell of other cells, seasons or sensors; and places beside each other are alike, so that the truth is less certain than they say. A tag none of whose places is drawn is left out of that draw: where many tags have few places, intervals of means lean to one side.</p>
<p>The judge is the map. What OpenStreetMap lacks counts as a wrong answer though it may be right, so a figure is a lower bound where the map is patchy; tags that are not known of a chip are left out. The same ground at another date is never an answer.</p>
${notes.length > 0 ? `<ul class="notes">${notes.join('')}</ul>` : ''}</section>`;
}

function figuresHtml(card: ReportCard): string {
  if (card.chips === 0) return '';
  const words = Object.entries(figureWords(card)) as [FigureName, [string, string]][];
  const names = card.embeddings.map(({ name }) => `<th>${escapeHtml(name)}</th>`).join('');
  const lines = words.map(([figure, [name, meaning]]) => {
    const cells = card.embeddings.map((scores: CardScores) => `<td class="n">${figureText(scores[figure])}</td>`);
    return `<tr><th scope="row">${escapeHtml(name)}<p>${escapeHtml(meaning)}</p></th>${cells.join('')}<td class="n">${shareText(card.embeddings[0][figure].chance)}</td></tr>`;
  });
  return `<section><h2>Figures</h2><div class="wide"><table><thead><tr><th></th>${names}<th>chance</th></tr></thead><tbody>${lines.join('')}</tbody></table></div></section>`;
}

function labelsHtml(card: ReportCard): string {
  const series = card.embeddings.map(({ name }) => name);
  const sorted = card.labels.toSorted((a, b) => b.mAP[0].value - a.mAP[0].value);
  const rows = sorted.map(({ label, places, mAP }) => ({ name: label, about: String(places), marks: mAP, chance: mAP[0].chance })); // prettier-ignore
  const lines = sorted.map(({ label, queries, places, mAP, precisionAtTen, recall, balancedAccuracy }) => {
    const cells = [...mAP, precisionAtTen, recall, balancedAccuracy].map((figure) => `<td class="n">${figureText(figure)}</td>`); // prettier-ignore
    return `<tr><th scope="row">${escapeHtml(label)}</th><td class="n">${queries}</td><td class="n">${places}</td>${cells.join('')}<td class="n">${shareText(mAP[0].chance)}</td></tr>`;
  });
  const heads = ['tag', 'chips', 'places', ...series.map((name) => `mAP, ${name}`), 'precision@10', `recall@${card.recallK}`, 'balanced accuracy', 'chance (mAP)']; // prettier-ignore
  const table = `<details><summary>As a table</summary><div class="wide"><table><thead><tr>${heads.map((head) => `<th>${escapeHtml(head)}</th>`).join('')}</tr></thead><tbody>${lines.join('')}</tbody></table></div></details>`;
  const left = card.undefinedLabels.map(({ label, reason }) => `<li><b>${escapeHtml(label)}</b>: ${escapeHtml(reason)}</li>`); // prettier-ignore
  return `<section><h2>Tag by tag</h2>
${rows.length === 0 ? '<p>No tag can be scored.</p>' : `<p>Mean average precision of each tag, the best first; behind its name the number of places that ask. A common tag is found more easily by chance: look at the distance from the stroke.</p>${forestHtml(rows, series, 'mean average precision by tag')}${table}`}
${left.length === 0 ? '' : `<h3>Not scored</h3><ul>${left.join('')}</ul>`}</section>`;
}

function groupHtml({ by, rows, note }: CardGroup): string {
  const title = `<h2>By ${escapeHtml(by)}</h2>`;
  const said = note === undefined ? '' : `<p>${escapeHtml(note)}</p>`;
  if (rows.length < 2) return `<section>${title}${said}</section>`;
  const lines = rows.map(({ name, places, mAP }) => ({ name, about: count(places, 'place'), marks: [mAP], chance: mAP.chance })); // prettier-ignore
  return `<section>${title}${said}<p>mAP of the model, for questions asked from there; answers come from everywhere. The strokes differ because tags do: compare each with its own.</p>${forestHtml(lines, ['model'], `mean average precision by ${by}`)}</section>`;
}

function viewSection(view: string | undefined): string {
  return view === undefined ? '' : `<section><h2>All chips, by likeness</h2>${view}</section>`;
}

function aboutHtml({ model, dataset, modelCard, licences }: Report): string {
  const { architecture, parameters, backend, datasetVersion, embeddingWidth, settings } = modelCard;
  const facts: Record<string, string> = {
    model,
    dataset,
    'trained on': datasetVersion,
    architecture,
    'trained weights': String(parameters),
    embedding: `${embeddingWidth} numbers`,
    losses: Object.entries(settings.losses).map(([name, weight]) => `${name} × ${weight}`).join(', '),
    backend,
  }; // prettier-ignore
  const lines = Object.entries(facts).map(([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`); // prettier-ignore
  const terms = licences.map(({ source, licence, attribution }) => `<tr><th scope="row">${escapeHtml(source)}</th><td>${escapeHtml(licence)}</td><td>${escapeHtml(attribution)}</td></tr>`); // prettier-ignore
  return `<section><h2>Model and data</h2><div class="wide"><table>${lines.join('')}</table></div>
<h3>Licences</h3><p>These hold for the thumbnails and figures of this page as well.</p><div class="wide"><table>${terms.join('')}</table></div>
<p>Made again by <code>imagesim report --model ${escapeHtml(model)} --dataset ${escapeHtml(dataset)}</code></p></section>`;
}

/** `0.412 (0.380–0.447)`; without the interval where there is none. */
function figureText({ value, low, high }: Pick<CardFigure, 'value' | 'low' | 'high'>): string {
  if (!Number.isFinite(value)) return '–';
  return Number.isFinite(low) ? `${shareText(value)} <small>(${shareText(low)}–${shareText(high)})</small>` : shareText(value); // prettier-ignore
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
