/** Where the page's script finds MapLibre: a browser resolves it from the page's own address, behind a proxy's prefix too. */
export const IMPORT_MAP: string = '{"imports":{"maplibre-gl":"./page/maplibre-gl.mjs"}}';

/** Line drawings of 20 × 20, by name. */
const ICONS: Record<string, string> = {
  plus: 'M10 4v12M4 10h12',
  minus: 'M4 10h12',
  home: 'M3 9.5 10 4l7 5.5M5 8.5V16h10V8.5',
  swipe: 'M10 3v14M7 7l-3 3 3 3M13 7l3 3-3 3',
  theme: 'M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14',
  help: 'M7.5 7.7a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M10 14.6v.4',
  panel: 'M3 4h14v12H3zM8 4v12',
  back: 'M12 4 6 10l6 6',
  forth: 'm8 4 6 6-6 6',
  close: 'M5 5l10 10M15 5 5 15',
  like: 'M4 10.5 8.5 15 16 6',
  unlike: 'M5 5l10 10M15 5 5 15',
  grid: 'M3 3h14v14H3zM3 7.7h14M3 12.3h14M7.7 3v14M12.3 3v14',
  tags: 'M3 4v6l7.500 7.500 6.500-6.500L9.500 3.500H3.500zM6.500 7v.01',
  change: 'M4 8a6.500 6.500 0 0 1 11-2.500L17 8M17 4v4h-4M16 12a6.500 6.500 0 0 1-11 2.500L3 12M3 16v-4h4',
  ask: 'M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4',
  link: 'M8 12a3 3 0 0 0 4.3 0l3-3A3 3 0 0 0 11 4.700l-.8.8M12 8a3 3 0 0 0-4.300 0l-3 3A3 3 0 0 0 9 15.300l.8-.8',
};

function symbols(): string {
  const each = Object.entries(ICONS).map(([name, path]) => `<symbol id="i-${name}" viewBox="0 0 20 20"><path d="${path}"/></symbol>`); // prettier-ignore
  return `<svg hidden>${each.join('')}</svg>`;
}

const icon = (name: string): string => `<svg class="icon" aria-hidden="true"><use href="#i-${name}"/></svg>`;

const tool = (id: string, name: string, label: string, key: string, pressed = false): string =>
  `<button type="button" id="${id}" class="tool" aria-label="${label}" title="${label} (${key})"${pressed ? ' aria-pressed="false"' : ''}>${icon(name)}</button>`;

/** Keys, or what is done where it is no key, and what for. */
const KEYS: [keys: string[], what: string][] = [
  [['Click the map'], 'Ask for places like the one there'],
  [['Enter'], 'On the map: ask for places like the one in the middle'],
  [['J', 'K'], 'Next and previous answer'],
  [['Y', 'N'], 'The answer is wanted, is not wanted'],
  [['F'], 'Ask for places like the answer'],
  [['R'], 'Refine by what was marked'],
  [['C', '←', '→'], 'Compare two days; move the divider'],
  [['[', ']'], 'Earlier and later day'],
  [['G', 'T', 'H'], 'Chip grid, map tags, change'],
  [['P', 'D'], 'Panel, dark or light'],
  [['+', '−', '0'], 'Zoom in, zoom out, the whole delivery'],
  [['L'], 'Copy the address of this view'],
  [['Esc'], 'Close, or clear the question'],
];

const keyText = (key: string): string => (key.includes(' ') ? key : `<kbd>${key}</kbd>`);

/** The page, without what a server knows: its script asks for that. */
export const pageHtml: string = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>imagesim</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page/maplibre-gl.css">
<link rel="stylesheet" href="page/page.css">
<script type="importmap">${IMPORT_MAP}</script>
<script type="module" src="page/main.js"></script>
</head>
<body>
${symbols()}
<a class="skip" href="#panel">Skip to the search</a>
<aside id="panel" aria-label="Search" tabindex="-1">
  <header>
    <h1>imagesim</h1>
    <p id="subject">places that look alike</p>
    <button type="button" class="bare" id="hide" aria-label="Hide the panel" title="Hide the panel (P)">${icon('back')}</button>
  </header>
  <div class="scroll">
    <section id="question" aria-label="Question"></section>
    <details id="filters" class="fold"><summary>Filters <span class="count" id="filterCount"></span></summary>
      <form id="filterForm" class="fields">
        <label>From<select name="since"></select></label>
        <label>To<select name="until"></select></label>
        <label class="wide">Has the tag<select name="tags"></select></label>
        <label>Cloud at most, %<input name="maxCloud" type="number" min="0" max="100" step="1" placeholder="any"></label>
        <label>Off nadir at most, °<input name="maxOffNadir" type="number" min="0" max="90" step="1" placeholder="any"></label>
        <label>Away from it, m<input name="awayMetres" type="number" min="0" max="100000" step="50" placeholder="0"></label>
        <label>Answers<input name="k" type="number" min="1" max="200" step="1" value="12"></label>
        <label class="check wide"><input name="view" type="checkbox"> Only in this view</label>
        <label class="check wide"><input name="apart" type="checkbox"> One hit a place (250 m apart)</label>
        <button type="reset" class="quiet wide">Clear filters</button>
      </form>
    </details>
    <details id="layers" class="fold" open><summary>Map layers</summary>
      <label class="check"><input type="checkbox" id="gridOn"> Chip grid <kbd>G</kbd></label>
      <p class="note" id="gridNote" hidden></p>
      <label class="check"><input type="checkbox" id="tagsOn"> OpenStreetMap tags <kbd>T</kbd></label>
      <div id="tagsMore" hidden><ul class="legend" id="tagsLegend"></ul><p class="note" id="tagsNote"></p></div>
      <label class="check"><input type="checkbox" id="changeOn"> Change <kbd>H</kbd></label>
      <div id="changeMore" hidden>
        <label class="range">Probability at least <output id="leastOut">0.50</output><input type="range" id="least" min="0" max="1" step="0.05" value="0.5"></label>
        <div class="ramp" aria-hidden="true"><i></i><span>0</span><span>0.5</span><span>1</span></div>
        <p class="note" id="changeNote"></p>
      </div>
    </details>
    <section id="answers" aria-label="Answers" aria-live="polite"></section>
  </div>
  <footer id="refine" hidden></footer>
</aside>
<main id="stage" aria-label="Map">
  <div id="before" class="map" hidden></div>
  <div id="after" class="map"></div>
  <div id="marks" aria-hidden="true"></div>
  <div id="cross" aria-hidden="true"></div>
  <div id="divider" role="slider" tabindex="0" aria-label="Divider between the two days" aria-valuemin="0" aria-valuemax="100" aria-valuenow="50" hidden><i>${icon('swipe')}</i></div>
  <div id="tip" role="status" hidden></div>
  <button type="button" id="show" class="tool" aria-label="Show the panel" title="Show the panel (P)" hidden>${icon('panel')}</button>
  <nav class="tools" aria-label="Map tools">
    <div>${tool('in', 'plus', 'Zoom in', '+')}${tool('out', 'minus', 'Zoom out', '−')}${tool('home', 'home', 'The whole delivery', '0')}</div>
    <div>${tool('compare', 'swipe', 'Compare two days', 'C', true)}${tool('gridTool', 'grid', 'Chip grid', 'G', true)}${tool('tagsTool', 'tags', 'OpenStreetMap tags', 'T', true)}${tool('changeTool', 'change', 'Change', 'H', true)}</div>
    <div>${tool('share', 'link', 'Copy the address of this view', 'L')}${tool('theme', 'theme', 'Dark or light', 'D')}${tool('helpOpen', 'help', 'Keys', '?')}</div>
  </nav>
  <div id="time" role="group" aria-label="Days"></div>
  <div id="state" role="status" hidden></div>
  <p id="credit"></p>
  <div id="card" hidden></div>
</main>
<dialog id="help" aria-labelledby="helpTitle">
  <form method="dialog"><h2 id="helpTitle">Keys</h2><button class="bare" aria-label="Close">${icon('close')}</button></form>
  <dl>${KEYS.map(([keys, what]) => `<div><dt>${keys.map(keyText).join(' ')}</dt><dd>${what}</dd></div>`).join('')}</dl>
</dialog>
<noscript>This page needs a script to draw the map. The tiles are at <code>tiles/{z}/{x}/{y}.png</code>.</noscript>
</body>
</html>
`; // prettier-ignore
