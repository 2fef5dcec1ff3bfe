/** Rules of the page: steps of 8 pixels, the system's own type, light or dark as the system is or as was chosen. */
export const pageCss: string = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#fbfbfa, #16181b); --raised: light-dark(#ffffff, #1e2125); --sunk: light-dark(#f0f1ef, #101214);
  --text: light-dark(#191b1e, #e7e9eb); --faint: light-dark(#5b6167, #a0a7ae); --line: light-dark(#e1e3e1, #2d3136);
  --accent: light-dark(#0b6e69, #5fd3c8); --on-accent: light-dark(#ffffff, #06211f); --wash: light-dark(#e3f1ef, #1b3231);
  --good: light-dark(#147a3c, #54d38a); --bad: light-dark(#b3341f, #ff8a73); --shade: light-dark(rgb(20 24 28 / .16), rgb(0 0 0 / .5));
  --panel: 376px; --r: 8px;
}
:root[data-theme=light] { color-scheme: light; }
:root[data-theme=dark] { color-scheme: dark; }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: flex; background: var(--sunk); color: var(--text); font: 14px/20px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif; font-variant-numeric: tabular-nums; overflow: hidden; }
h1, h2, p, dl, dd, ul, ol { margin: 0; padding: 0; }
[hidden] { display: none !important; }
button, input, select { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: 8px; top: -48px; z-index: 20; background: var(--raised); padding: 8px 16px; border-radius: var(--r); }
.skip:focus { top: 8px; }
.icon { width: 20px; height: 20px; display: block; fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round; }
kbd { font: 11px/16px ui-monospace, 'SF Mono', Menlo, Consolas, monospace; border: 1px solid var(--line); border-bottom-width: 2px; border-radius: 4px; padding: 0 5px; color: var(--faint); background: var(--raised); }

#panel { width: var(--panel); flex: none; display: flex; flex-direction: column; min-height: 0; background: var(--ground); border-right: 1px solid var(--line); z-index: 5; transition: margin-left .18s ease; }
#panel:focus { outline: none; }
body.bare #panel { margin-left: calc(-1 * var(--panel)); visibility: hidden; transition: margin-left .18s ease, visibility 0s .18s; }
#panel header { display: grid; grid-template-columns: 1fr auto; padding: 16px 16px 16px 24px; border-bottom: 1px solid var(--line); align-items: center; }
h1 { font-size: 17px; line-height: 24px; font-weight: 650; letter-spacing: -.01em; }
#subject { grid-row: 2; color: var(--faint); font-size: 12px; line-height: 16px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
#hide { grid-row: 1 / 3; grid-column: 2; }
.scroll { flex: 1; overflow-y: auto; overscroll-behavior: contain; scrollbar-width: thin; }
section, .fold { padding: 16px 24px; border-bottom: 1px solid var(--line); }
section:empty { display: none; }
.fold { padding: 0 24px; }
.fold[open] { padding-bottom: 16px; }
summary { cursor: pointer; padding: 12px 0; font-weight: 600; list-style: none; display: flex; align-items: center; gap: 8px; }
summary::after { content: ''; margin-left: auto; width: 7px; height: 7px; border: solid var(--faint); border-width: 0 1.6px 1.6px 0; transform: rotate(45deg) translate(-2px, -2px); transition: transform .15s; }
details[open] > summary::after { transform: rotate(225deg) translate(-2px, -2px); }
summary::-webkit-details-marker { display: none; }
.count { color: var(--accent); font-weight: 600; }
.count:empty { display: none; }
.note { color: var(--faint); font-size: 12px; line-height: 16px; overflow-wrap: anywhere; }
.hint { color: var(--faint); }
.hint b { color: var(--text); font-weight: 600; }

.bare { border: 0; background: none; padding: 6px; border-radius: var(--r); cursor: pointer; color: var(--faint); }
.bare:hover { color: var(--text); background: var(--sunk); }
.act { border: 0; border-radius: var(--r); background: var(--accent); color: var(--on-accent); font-weight: 600; padding: 8px 16px; cursor: pointer; }
.act:hover { filter: brightness(1.08); }
.act:disabled { opacity: .45; cursor: default; filter: none; }
.quiet { border: 1px solid var(--line); border-radius: var(--r); background: var(--raised); padding: 7px 12px; cursor: pointer; }
.quiet:hover { border-color: var(--faint); }

.asked { display: grid; grid-template-columns: 96px 1fr auto; gap: 16px; align-items: start; }
.asked img { width: 96px; height: 96px; border-radius: var(--r); background: var(--sunk); display: block; }
.asked .words { min-width: 0; }
.asked h2, .tagged h2 { font-size: 14px; line-height: 20px; font-weight: 650; }
.asked p { font-size: 12px; line-height: 16px; color: var(--faint); overflow-wrap: anywhere; margin-top: 4px; }
.asked .what { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; }
.asked code { font: 11px/16px ui-monospace, Menlo, Consolas, monospace; }
.bytag { display: flex; gap: 8px; margin-top: 16px; align-items: center; color: var(--faint); font-size: 13px; white-space: nowrap; }
.bytag select { flex: 1; min-width: 0; }
.tagged { display: grid; grid-template-columns: 1fr auto; gap: 8px; align-items: center; }
.judged { margin-top: 16px; display: flex; flex-wrap: wrap; gap: 4px; align-items: center; }
.judged span { font-size: 12px; color: var(--faint); width: 100%; }
.judged button { border: 2px solid var(--good); border-radius: 6px; padding: 0; width: 40px; height: 40px; overflow: hidden; cursor: pointer; background: var(--sunk); }
.judged button.no { border-color: var(--bad); border-style: dashed; }
.judged img { width: 100%; height: 100%; display: block; }

.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 12px 16px; }
.fields label:not(.check) { display: grid; gap: 4px; font-size: 12px; line-height: 16px; color: var(--faint); }
.fields .wide { grid-column: 1 / 3; }
input[type=number], select { height: 32px; border: 1px solid var(--line); border-radius: 6px; background: var(--raised); padding: 0 8px; color: var(--text); width: 100%; font-size: 13px; }
.check { display: flex; align-items: center; gap: 8px; padding: 4px 0; cursor: pointer; }
.check kbd { margin-left: auto; }
input[type=checkbox], input[type=range] { accent-color: var(--accent); }
input[type=checkbox] { width: 16px; height: 16px; margin: 0; }
.range { display: grid; grid-template-columns: 1fr auto; font-size: 12px; color: var(--faint); gap: 4px; }
.range input { grid-column: 1 / 3; width: 100%; margin: 0; }
#tagsMore, #changeMore { padding: 4px 0 8px 24px; display: grid; gap: 8px; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 12px; font-size: 12px; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; border: 1px solid rgb(128 128 128 / .5); }
.ramp { display: grid; grid-template-columns: 1fr 1fr 1fr; font-size: 11px; line-height: 16px; color: var(--faint); }
.ramp i { grid-column: 1 / 4; height: 8px; border-radius: 4px; background: linear-gradient(90deg, #fff1a8, #fb8b3c 50%, #d4006a); }
.ramp span:nth-of-type(2) { text-align: center; } .ramp span:nth-of-type(3) { text-align: right; }

.told { display: flex; justify-content: space-between; gap: 8px; align-items: baseline; margin-bottom: 12px; }
.told h2 { font-size: 14px; font-weight: 600; }
.told .note { text-align: right; }
.grid { list-style: none; display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.hit { position: relative; border-radius: var(--r); background: var(--raised); box-shadow: 0 0 0 1px var(--line); overflow: hidden; cursor: pointer; transition: box-shadow .12s; }
.hit:hover, .hit.at { box-shadow: 0 0 0 2px var(--accent); }
.hit:focus-visible { outline-offset: 3px; }
.hit img { width: 100%; aspect-ratio: 1; display: block; background: var(--sunk); }
.hit .rank { position: absolute; left: 8px; top: 8px; min-width: 20px; height: 20px; border-radius: 10px; padding: 0 6px; background: rgb(12 14 16 / .72); color: #fff; font-size: 11px; font-weight: 600; text-align: center; }
.hit .line { display: flex; justify-content: space-between; gap: 4px; padding: 8px 8px 0; font-size: 12px; line-height: 16px; }
.hit .line span { color: var(--faint); white-space: nowrap; }
.hit .tags { padding: 0 8px; font-size: 12px; line-height: 16px; height: 16px; color: var(--faint); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.hit .verdict { display: flex; padding: 4px; }
.hit .verdict button { flex: 1; display: grid; place-items: center; height: 28px; border: 0; border-radius: 6px; background: none; color: var(--faint); cursor: pointer; }
.hit .verdict button:hover { background: var(--sunk); color: var(--text); }
.hit .verdict .icon { width: 16px; height: 16px; }
.hit .verdict [aria-pressed=true].yes { background: var(--good); color: var(--ground); }
.hit .verdict [aria-pressed=true].no { background: var(--bad); color: var(--ground); }
.hit.accepted { box-shadow: 0 0 0 2px var(--good); }
.hit.rejected { box-shadow: 0 0 0 2px var(--bad); }
.hit.rejected img { opacity: .45; filter: grayscale(.6); }
.blank { aspect-ratio: .74; border-radius: var(--r); background: linear-gradient(100deg, var(--sunk) 40%, var(--line) 50%, var(--sunk) 60%) 0 / 220% 100%; animation: pass 1.2s linear infinite; list-style: none; }
@keyframes pass { from { background-position: 110% 0; } to { background-position: -110% 0; } }
.fault { border-left: 3px solid var(--bad); padding: 4px 0 4px 12px; overflow-wrap: anywhere; }
.empty { text-align: center; color: var(--faint); padding: 16px 0; }
#refine { padding: 12px 24px; border-top: 1px solid var(--line); background: var(--raised); display: grid; grid-template-columns: 1fr auto; gap: 8px; align-items: center; }
#refine p { grid-column: 1 / 3; font-size: 12px; line-height: 16px; color: var(--faint); }

#stage { position: relative; flex: 1; min-width: 0; background: #0c0e10; }
.map { position: absolute; inset: 0; }
.maplibregl-canvas:focus-visible { outline: 2px solid var(--accent); outline-offset: -4px; }
.maplibregl-ctrl-scale { background: rgb(12 14 16 / .6); color: #fff; border-color: #fff; font: 11px/14px system-ui, sans-serif; }
#stage .maplibregl-ctrl-bottom-left { bottom: 4px; left: 4px; }
#marks { position: absolute; inset: 0; overflow: hidden; pointer-events: none; }
#marks span { position: absolute; transform: translate(-50%, -50%); min-width: 20px; height: 20px; border-radius: 10px; padding: 0 6px; background: #ffd23f; color: #1b1400; font-size: 11px; font-weight: 700; text-align: center; box-shadow: 0 0 0 1.5px rgb(0 0 0 / .65); }
#marks.far span { width: 12px; min-width: 0; height: 12px; padding: 0; font-size: 0; }
#marks span.asked { background: #fff; display: block; }
#marks span.accepted { background: #5fe39a; } #marks span.rejected { background: #ff9b87; }
#marks span.at { box-shadow: 0 0 0 3px #fff, 0 0 0 5px rgb(0 0 0 / .6); z-index: 1; }
#cross { position: absolute; left: 50%; top: 50%; width: 24px; height: 24px; margin: -12px; pointer-events: none; opacity: 0; background: linear-gradient(#fff, #fff) 50% / 2px 100% no-repeat, linear-gradient(#fff, #fff) 50% / 100% 2px no-repeat; filter: drop-shadow(0 0 1px #000) drop-shadow(0 0 1px #000); }
#after:has(.maplibregl-canvas:focus-visible) ~ #cross { opacity: .9; }
#divider { position: absolute; top: 0; bottom: 0; width: 24px; margin-left: -12px; cursor: ew-resize; touch-action: none; z-index: 2; }
#divider::before { content: ''; position: absolute; left: 11px; top: 0; bottom: 0; width: 2px; background: #fff; box-shadow: 0 0 0 1px rgb(0 0 0 / .4); }
#divider i { position: absolute; left: -8px; top: 50%; width: 40px; height: 40px; margin-top: -20px; border-radius: 20px; background: #fff; color: #16181b; display: grid; place-items: center; box-shadow: 0 1px 8px rgb(0 0 0 / .5); }
#divider:focus-visible { outline: none; } #divider:focus-visible i { outline: 3px solid var(--accent); outline-offset: 2px; }

.tool { width: 40px; height: 40px; display: grid; place-items: center; border: 0; background: var(--ground); cursor: pointer; color: var(--text); }
.tool:hover { background: var(--sunk); }
.tool[aria-pressed=true] { background: var(--accent); color: var(--on-accent); }
.tools { position: absolute; right: 16px; top: 16px; display: grid; gap: 8px; z-index: 3; }
.tools > div, #show { border-radius: var(--r); overflow: hidden; box-shadow: 0 1px 6px var(--shade); display: grid; }
.tools > div > * + * { border-top: 1px solid var(--line); }
.tool:focus-visible { outline-offset: -3px; }
#show { position: absolute; left: 16px; top: 16px; z-index: 3; }

#time { position: absolute; left: 50%; bottom: 40px; transform: translateX(-50%); z-index: 3; display: grid; gap: 4px; width: min(560px, calc(100% - 48px)); background: var(--ground); border-radius: 12px; padding: 8px 16px; box-shadow: 0 2px 12px var(--shade); }
#time .day { display: grid; grid-template-columns: 104px auto 1fr auto; gap: 8px; align-items: center; }
#time .day b { font-weight: 600; font-size: 13px; white-space: nowrap; }
#time .day .note { grid-column: 1 / -1; }
#time .day small { font-size: 11px; color: var(--faint); display: block; line-height: 12px; }
#time .rail { position: relative; height: 24px; }
#time .rail input { position: absolute; inset: 0; width: 100%; margin: 0; height: 24px; }
#time .ticks { position: absolute; left: 8px; right: 8px; bottom: 0; height: 4px; pointer-events: none; }
#time .ticks i { position: absolute; width: 1px; height: 4px; background: var(--faint); }
#time .bare { padding: 4px; }
#credit { position: absolute; right: 0; bottom: 0; z-index: 2; max-width: 100%; background: rgb(12 14 16 / .62); color: #fff; font-size: 11px; line-height: 16px; padding: 2px 8px; border-top-left-radius: 6px; }
#credit a { color: inherit; }
#state { position: absolute; left: 50%; top: 16px; transform: translateX(-50%); z-index: 3; max-width: calc(100% - 160px); background: var(--ground); border-radius: 16px; padding: 6px 16px; font-size: 13px; box-shadow: 0 1px 6px var(--shade); }
#tip { position: absolute; z-index: 4; pointer-events: none; max-width: 280px; background: rgb(12 14 16 / .86); color: #fff; font-size: 12px; line-height: 16px; padding: 4px 8px; border-radius: 6px; white-space: pre-line; overflow-wrap: anywhere; }
#card { position: absolute; left: 16px; bottom: 136px; z-index: 3; width: 320px; max-width: calc(100% - 32px); background: var(--ground); border-radius: 12px; box-shadow: 0 2px 16px var(--shade); padding: 16px; }
#card header { display: flex; justify-content: space-between; align-items: start; margin-bottom: 8px; }
#card h2 { font-size: 14px; line-height: 20px; font-weight: 650; }
#card .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; margin: 8px 0; }
#card img { width: 100%; aspect-ratio: 1; border-radius: 6px; background: var(--sunk); display: block; }
#card figure { margin: 0; } #card figcaption { font-size: 12px; color: var(--faint); margin-top: 4px; }
#card .quiet { font-size: 13px; padding: 5px 12px; }
#card .row { display: flex; gap: 8px; flex-wrap: wrap; margin-top: 8px; }
body:not(.bare) #show { display: none; }

dialog { border: 0; border-radius: 12px; background: var(--ground); color: var(--text); padding: 24px; width: min(520px, calc(100% - 32px)); box-shadow: 0 8px 48px rgb(0 0 0 / .4); }
dialog::backdrop { background: rgb(8 10 12 / .5); }
dialog form { display: flex; justify-content: space-between; align-items: center; margin-bottom: 16px; }
dialog h2 { font-size: 17px; line-height: 24px; }
dialog dl > div { display: grid; grid-template-columns: 112px 1fr; gap: 16px; padding: 6px 0; border-top: 1px solid var(--line); }
dialog dt { color: var(--faint); font-size: 13px; }
noscript { position: fixed; inset: 40% 0 auto; text-align: center; }

@media (max-width: 720px) {
  body { flex-direction: column-reverse; }
  #panel { width: 100%; height: 46%; border-right: 0; border-top: 1px solid var(--line); transition: none; }
  body.bare #panel { margin-left: 0; display: none; }
  #panel header { padding: 4px 16px; grid-template-columns: auto 1fr auto; gap: 12px; } #subject { grid-row: 1; } #hide { grid-row: 1; grid-column: 3; }
  #hide svg { transform: rotate(-90deg); }
  section { padding: 12px 16px; } .fold { padding: 0 16px; }
  .grid { grid-template-columns: 1fr 1fr 1fr; gap: 8px; }
  .tools { right: 8px; top: 8px; } #time { width: calc(100% - 16px); bottom: 32px; padding: 4px 12px; }
  .tool { width: 36px; height: 36px; }
  #time .day { grid-template-columns: 92px auto 1fr auto; gap: 4px; }
  #show { left: 8px; top: 8px; } #card { bottom: 96px; left: 8px; }
}
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
`;
