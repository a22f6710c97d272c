//! How the page looks: light and dark, wide and narrow, on paper.

/// The style; nothing in it is markup, and nothing is fetched.
pub(super) const STYLE: &str = r#":root { color-scheme: light dark;
  --page: #f6f8fa; --card: #fff; --fg: #1f2328; --dim: #59636e; --line: #d1d9e0; --code: #f0f2f5;
  --pass: #1a7f37; --fail: #c5221f; --error: #8250df; --skip: #8a5a00; --ask: #0b62c4; --came: #1a7f37; --miss: #8a5a00;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; }
@media (prefers-color-scheme: dark) { :root {
  --page: #0d1117; --card: #161b22; --fg: #e6edf3; --dim: #9aa4af; --line: #30363d; --code: #21262d;
  --pass: #3fb950; --fail: #ff7b72; --error: #bc8cff; --skip: #d8a02b; --ask: #6cb0ff; --came: #56d364; --miss: #d8a02b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 68rem; background: var(--page); color: var(--fg);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
code, pre { font-family: var(--mono); font-size: .875em; overflow-wrap: anywhere; unicode-bidi: isolate; }
code, .expected, .said, .note, .help { white-space: pre-wrap; }
pre { margin: .25rem 0; padding: .6rem .75rem; overflow: auto; background: var(--code); border-radius: 6px;
  white-space: pre-wrap; }
a { color: var(--ask); overflow-wrap: anywhere; }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 2px solid var(--ask); outline-offset: 2px; }
h1, h2, h3, p, ul, dl, figure { margin: 0; }
h1 { font-size: 1.75rem; line-height: 1.25; }
h2 { font-size: 1.2rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; overflow-wrap: anywhere; }
header { padding: 1.25rem; background: var(--card); border: 1px solid var(--line); border-top: 6px solid var(--own); border-radius: 10px; }
header h1 { color: var(--own); }
.pass { --own: var(--pass); } .fail { --own: var(--fail); } .error { --own: var(--error); } .skip { --own: var(--skip); }
.program { color: var(--dim); font-family: var(--mono); font-size: .875rem; }
.counts { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin-top: .75rem; padding: 0; list-style: none; }
.counts li { color: var(--own); } .counts .none { color: var(--dim); } .counts b { font-size: 1.15em; }
.bar { display: flex; gap: 2px; height: 8px; margin-top: .75rem; }
.bar i { display: block; min-width: 4px; flex-basis: 0; background: var(--own); border-radius: 2px; }
nav, .spec { margin-top: 1.25rem; padding: 1.25rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
nav ul { margin-top: .5rem; padding: 0; list-style: none; } nav li { padding: .15rem 0; }
nav a { font-family: var(--mono); font-size: .875em; }
.about, .name, .time { color: var(--dim); font-size: .875rem; }
.about { overflow-wrap: anywhere; }
.tag { padding: 0 .4rem; border: 1px solid var(--line); border-radius: 1rem; }
.verdict { display: inline-block; padding: 0 .5rem; border: 1px solid var(--own); border-radius: 1rem; color: var(--own);
  font-size: .8125rem; font-weight: 600; white-space: nowrap; }
.trial, .passes, .line { margin-top: 1rem; }
.trial { padding: .1rem 0 .1rem 1rem; border-left: 4px solid var(--own); }
.trial:target, li:target, .line:target { outline: 2px solid var(--ask); outline-offset: 6px; }
.failure { margin-top: .75rem; padding: .6rem .75rem; border: 1px solid var(--line); border-radius: 8px; }
.path { font-weight: 600; }
dl { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr); gap: .15rem .75rem; margin-top: .25rem; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.expected, .seen { font-family: var(--mono); font-size: .875em; padding-top: .1em; } .seen code { font-size: 1em; }
.seen > code { color: var(--own); }
.source { margin-left: .5rem; color: var(--dim); }
.said { margin-top: .5rem; overflow-wrap: anywhere; color: var(--own); }
.help, .note { margin-top: .35rem; padding: .35rem .75rem; background: var(--code); border-radius: 6px; overflow-wrap: anywhere; }
.left-out { color: var(--dim); font-style: italic; }
details pre { max-height: 26rem; } details { margin-top: .5rem; } summary { cursor: pointer; }
.passes ul { margin-top: .5rem; padding: 0; list-style: none; }
.passes li { padding: .2rem 0; border-top: 1px solid var(--line); }
.files { margin-top: .5rem; } .files ul { padding-left: 1.25rem; }
.walk { margin-top: .75rem; padding: .75rem; border: 1px solid var(--line); border-radius: 8px; }
.walk figcaption { margin-bottom: .5rem; font-weight: 600; overflow-wrap: anywhere; }
footer { margin: 1.25rem 0 .5rem; color: var(--dim); font-size: .875rem; text-align: center; }
svg { display: block; max-width: 100%; height: auto; font-family: var(--mono); }
svg.narrow { display: none; }
svg text { fill: var(--fg); paint-order: stroke; stroke: var(--card); stroke-width: 4px; stroke-linejoin: round; white-space: pre; }
svg .role { font-weight: 600; } svg .of, svg .dim { fill: var(--dim); } svg .of { font-size: 12px; }
svg .head { fill: var(--code); stroke: var(--line); } svg .in { stroke-width: 0; }
svg .life { stroke: var(--line); stroke-width: 1.5; stroke-dasharray: 4 4; }
svg .own { stroke: var(--dim); stroke-width: 3; stroke-dasharray: none; }
svg text.asked { fill: var(--ask); } svg text.came { fill: var(--came); } svg text.miss { fill: var(--miss); }
svg line.arrow { stroke-width: 1.75; } svg path.arrow { stroke: none; }
svg line.ask { stroke: var(--ask); } svg path.ask { fill: var(--ask); }
svg line.came { stroke: var(--came); stroke-dasharray: 7 4; } svg path.came { fill: var(--came); }
svg line.miss { stroke: var(--miss); stroke-dasharray: 2 4; } svg path.miss { fill: var(--miss); }
svg .badge { fill: var(--card); stroke: var(--dim); } svg .number { font-size: 11px; stroke-width: 0; }
svg .arrived { --own: var(--pass); } svg .stopped { --own: var(--fail); } svg .elsewhere { --own: var(--skip); }
svg rect.end { fill: none; stroke: var(--own); stroke-width: 1.5; } svg line.arrived, svg line.stopped, svg line.elsewhere { stroke: var(--own); }
svg .mark { fill: var(--own); } svg .sign { stroke: var(--card); fill: none; stroke-width: 2.5; stroke-linecap: round; }
svg .goes { fill: var(--card); stroke: none; }
svg text.name { fill: var(--own); font-weight: 700; }
@media (max-width: 46rem) {
  body { padding: .5rem; } header, nav, .spec { padding: .75rem; border-radius: 8px; }
  .source { margin-left: 0; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .3rem; }
  .trial { padding-left: .6rem; border-left-width: 3px; } .walk { padding: .35rem 0; border: 0; }
  svg.wide { display: none; } svg.narrow { display: block; width: 100%; max-width: 30rem; }
}
@media print {
  :root { --page: #fff; --card: #fff; --fg: #000; --dim: #444; --line: #bbb; --code: #f4f4f4;
    --pass: #1a7f37; --fail: #c5221f; --error: #8250df; --skip: #8a5a00; --ask: #0b62c4; --came: #1a7f37; --miss: #8a5a00; }
  body { max-width: none; padding: 0; font-size: 11pt; } pre { max-height: none; overflow: visible; }
  .failure, .walk, header { break-inside: avoid; } h2, h3 { break-after: avoid; }
  svg.wide { display: block; } svg.narrow { display: none; }
}
"#;
