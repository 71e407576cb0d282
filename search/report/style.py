"""The report's style sheet: readable on a phone, by day and by night, on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --page: #f6f7f9; --ink: #1b2230; --muted: #667085; --grid: #e3e7ee; --found: #1f5fd6; --slope: #d9730d;
  --bad: #c4332f; --good: #12804a; --line: #dfe3ea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171b23; --page: #0f1218; --ink: #e6e9ef; --muted: #97a1b3; --grid: #2a303c; --found: #7aa7ff; --slope: #f2a65a;
    --bad: #ff7b72; --good: #5ccb8f; --line: #2a303c;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
main { max-width: 58rem; margin: 0 auto; padding: 1.2rem 1rem 4rem; }
header { margin: 1.2rem 0 1.6rem; }
.kicker { margin: 0; color: var(--muted); font-size: .85rem; letter-spacing: .06em; text-transform: uppercase; }
h1 { margin: .1rem 0 0; font-size: 1.9rem; line-height: 1.2; }
h2 { margin: 0 0 .8rem; font-size: 1.2rem; }
h3 { margin: 1.8rem 0 .6rem; font-size: 1rem; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 1.3rem 1.4rem; margin: 0 0 1.1rem; }
p { margin: .5rem 0; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .92em; }
.winner { font-size: 1.45rem; margin: .2rem 0 .8rem; color: var(--found); overflow-wrap: anywhere; line-height: 1.35; }
.verdicts { list-style: none; padding: 0; margin: .9rem 0 0; display: grid; gap: .45rem; }
.verdicts b { display: inline-block; min-width: 13rem; }
.verdicts span { color: var(--muted); font-size: .92rem; font-variant-numeric: tabular-nums; }
.better { color: var(--good); } .worse, .bad { color: var(--bad); } .even { color: var(--ink); }
.note { color: var(--muted); font-size: .88rem; margin-top: .8rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--muted); font-weight: 500; font-size: .82rem; }
th, td { padding: .42rem .9rem .42rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:last-child, th:last-child { padding-right: 0; }
td code { overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; overflow: visible; font-family: system-ui, sans-serif; }
.narrow { display: none; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.2rem 1.4rem; }
figure { margin: 0; } figcaption { text-align: center; overflow-wrap: anywhere; line-height: 1.4; font-size: .95rem; }
small { color: var(--muted); font-size: .85rem; }
.legend { color: var(--muted); }
.key { display: inline-block; width: 1.6rem; vertical-align: middle; margin: 0 .2rem 0 .7rem; border-top: 3px solid var(--found); }
.key:first-child { margin-left: 0; }
.key.dashed { border-top: 2px dashed var(--slope); }
pre { margin: 0; padding: 1rem; background: var(--page); border-radius: 8px; overflow-x: auto; line-height: 1.45; }
dl { display: grid; grid-template-columns: 8rem 1fr; gap: .45rem 1rem; margin: 0; font-size: .94rem; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; } details table { margin-top: .8rem; }
@media (max-width: 40rem) {
  section { padding: 1rem; } h1 { font-size: 1.5rem; } .winner { font-size: 1.2rem; }
  .wide { display: none; } .narrow { display: block; }
  .verdicts b { display: block; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .6rem; }
  thead { display: none; } table, tbody, tr, td { display: block; }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
  td { border: 0; padding: .1rem 0; display: grid; grid-template-columns: 8.5rem 1fr; gap: .6rem; }
  td::before { content: attr(data-label); color: var(--muted); font-size: .85rem; }
  td:empty { display: none; }
}
@media print { body { background: none; } section { break-inside: avoid; } }
"""
