/** Rules of the report page: one column, light or dark as the reader's system is. */
export const pageCss = `
:root { color-scheme: light dark; --ground: #fcfcfb; --text: #1c1d1f; --faint: #5d6166; --line: rgba(128, 128, 128, 0.3); --mark: #eef3f8; }
@media (prefers-color-scheme: dark) { :root { --ground: #17191c; --text: #e4e6e8; --faint: #a3a8ae; --mark: #20262d; } }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 900px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 19px; margin: 38px 0 6px; }
h3 { font-size: 15px; margin: 20px 0 4px; }
p { margin: 6px 0; }
.of { color: var(--faint); margin-top: 2px; overflow-wrap: anywhere; }
.verdict { font-size: 17px; background: var(--mark); border-radius: 6px; padding: 12px 16px; margin: 14px 0; }
.notes li { margin: 4px 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; margin: 6px 0; }
th, td { text-align: left; vertical-align: top; padding: 5px 16px 5px 0; border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { font-weight: 600; font-size: 13px; }
tbody th { min-width: 130px; }
tbody th p { color: var(--faint); font-size: 12.5px; line-height: 1.4; margin: 0; max-width: 380px; }
td.n { white-space: nowrap; }
small { color: var(--faint); font-size: 12.5px; }
summary { cursor: pointer; color: var(--faint); margin: 6px 0; }
code { font-size: 13px; overflow-wrap: anywhere; }
.forest svg { display: inline-block; vertical-align: -2px; max-width: 100%; overflow: visible; }
.forest > svg { display: block; width: 100%; height: auto; }
.forest text { font-size: 13px; fill: var(--text); }
.forest .tick { font-size: 11px; fill: var(--faint); }
.forest .grid { stroke: var(--line); fill: none; }
.forest .chance { stroke: var(--text); stroke-width: 1.6; stroke-dasharray: 3 2; fill: none; }
.forest .key { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; }
@media print { main { max-width: none; } details { display: none; } }`;
