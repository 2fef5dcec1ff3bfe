import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';

let packed: string | undefined;

/**
 * plotly.js as a script element, for the first chart of a notebook.
 *
 * Gzipped, 2 MB instead of 5: Jupyter drops what exceeds 1 MB a second over three seconds. Browsers unpack it
 * themselves (DecompressionStream, 2023 and later). It runs as a function that hides `define` and `module`, for plotly
 * would otherwise hand itself to the require.js of older pages and never show up. Charts that are drawn before it is
 * there wait in `window.imagesimCharts.waiting`.
 */
export function plotlyScript(): string {
  packed ??= gzipSync(readFileSync(createRequire(import.meta.url).resolve('plotly.js-dist')), { level: 9 }).toString(
    'base64',
  );
  return `<script>(function () {
  var charts = window.imagesimCharts = window.imagesimCharts || { waiting: [] };
  if (charts.plotly || charts.loading) return;
  charts.loading = true;
  var bytes = Uint8Array.from(atob('${packed}'), function (sign) { return sign.charCodeAt(0); });
  new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text().then(function (source) {
    var module = { exports: {} }, before = window.Plotly;
    new Function('module', 'exports', 'define', source)(module, module.exports, undefined);
    window.Plotly = before;
    charts.plotly = module.exports;
    charts.waiting.splice(0).forEach(function (draw) { draw(); });
  });
})();</script>`;
}

/**
 * Draws a chart into the element `id`, as soon as plotly and the element are there.
 *
 * What has the colour `ink` takes that of the text around it, so that the chart reads on Jupyter's light and dark
 * themes.
 *
 * @param figure plotly's `{data, layout, config}`
 */
export function drawScript(id: string, figure: object): string {
  return `<script>(function () {
  var charts = window.imagesimCharts = window.imagesimCharts || { waiting: [] };
  var text = ${scriptText(JSON.stringify(figure, plain))};
  var draw = function (tries) {
    var place = document.getElementById('${id}');
    if (!place) { if (tries < 300) setTimeout(draw, 100, tries + 1); return; }
    place.textContent = '';
    var figure = JSON.parse(text.replaceAll('${ink}', getComputedStyle(place).color));
    charts.plotly.newPlot(place, figure.data, figure.layout, figure.config);
  };
  if (charts.plotly) draw(0); else charts.waiting.push(function () { draw(0); });
})();</script>`;
}

/** A colour of a figure: that of the text around the chart. */
export const ink = 'imagesim:ink';

/** Typed arrays as arrays, as plotly reads them. */
function plain(_: string, part: unknown): unknown {
  if (typeof part === 'bigint') return Number(part);
  return ArrayBuffer.isView(part) ? Array.from(part as unknown as ArrayLike<number>) : part;
}

/** A string as it may stand inside a script element. */
function scriptText(text: string): string {
  return JSON.stringify(text)
    .replaceAll('<', '\\u003c')
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029');
}
