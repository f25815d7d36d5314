// The styles of the panel. They are constructed, so that no policy of a page forbids them.

export let css = `
:host { all: initial; color-scheme: light dark; }
* { box-sizing: border-box; }
.launcher, .panel {
  --back: light-dark(#f4f5f7, #15171b);
  --card: light-dark(#fff, #1e2127);
  --line: light-dark(#dfe3e8, #343943);
  --text: light-dark(#1b1f24, #e6e9ee);
  --soft: light-dark(#59636e, #9aa4b2);
  --link: light-dark(#0550ae, #79b8ff);
  --good: light-dark(#116329, #6fdd8b);
  --busy: light-dark(#8a5300, #f2c260);
  --bad: light-dark(#b3261e, #ff8a80);
  position: fixed;
  z-index: 2147483000;
  color: var(--text);
  font: 13px/1.45 system-ui, sans-serif;
}
.launcher {
  right: 12px;
  bottom: 12px;
  padding: 6px 12px;
  border: 1px solid var(--line);
  border-radius: 20px;
  background: var(--card);
  box-shadow: 0 2px 10px #0003;
  cursor: pointer;
}
.state::before { content: "●"; margin-right: .4em; }
.is-online { color: var(--good); }
.is-busy { color: var(--busy); }
.panel {
  inset: auto 0 0;
  display: flex;
  flex-direction: column;
  height: min(46vh, 30rem);
  border-top: 1px solid var(--line);
  background: var(--back);
  box-shadow: 0 -4px 20px #0002;
}
[hidden] { display: none !important; }
header { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: center; padding: 6px 12px; }
header span[role] { display: flex; gap: 4px; }
header .id { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
button, input, select, textarea { color: inherit; font: inherit; }
button, select, input[type="search"] {
  padding: 3px 9px;
  border: 1px solid var(--line);
  border-radius: 6px;
  background: var(--card);
}
button { cursor: pointer; }
button[aria-pressed="true"] { border-color: var(--link); color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
.view { display: flex; flex: 1; flex-direction: column; min-height: 0; padding: 0 12px 8px; }
.bar { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; padding-bottom: 6px; }
.bar input { flex: 0 1 16rem; min-width: 6rem; }
.bar input[type="range"] { flex: 1 1 10rem; accent-color: var(--link); }
.soft, time, .id { color: var(--soft); }
.moment { min-width: 13rem; }
code, pre, time, .id, .node, textarea { font: 12px/1.45 ui-monospace, Menlo, Consolas, monospace; }
ol, ul { margin: 0; padding: 0; list-style: none; }
.log, .tree, .why {
  overflow: auto;
  border: 1px solid var(--line);
  border-radius: 6px;
  background: var(--card);
}
.log { flex: 1; min-height: 0; }
.log li + li { border-top: 1px solid var(--line); }
.row {
  display: grid;
  grid-template-columns: 6.5rem 9rem 8rem minmax(6rem, 1fr) 9rem 5.5rem;
  gap: 0 10px;
  align-items: baseline;
  padding: 3px 8px;
}
.row > * { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.head { color: var(--soft); font-size: 12px; }
summary { cursor: pointer; list-style-position: inside; }
.log summary { list-style: none; }
.log summary:hover { background: var(--back); }
.reasons { color: var(--soft); }
.is-processed { color: var(--good); }
.is-waiting { color: var(--busy); font-weight: 600; }
.is-undone { color: var(--bad); }
pre {
  margin: 4px 8px 8px;
  padding: 8px;
  overflow: auto;
  border-radius: 6px;
  background: var(--back);
  white-space: pre-wrap;
  overflow-wrap: anywhere;
}
.parts {
  display: grid;
  flex: 1;
  grid-template-columns: minmax(0, 3fr) minmax(0, 2fr);
  gap: 8px;
  min-height: 0;
}
.tree, .why { padding: 6px 8px; }
.tree ul { padding-left: 16px; }
.node {
  max-width: 100%;
  padding: 0 4px;
  border-color: transparent;
  background: none;
  text-align: left;
  overflow-wrap: anywhere;
}
.node:hover { border-color: var(--line); }
.node[aria-pressed="true"] { border-color: var(--link); }
.node.changed { background: color-mix(in srgb, var(--good) 18%, transparent); }
.key { color: var(--soft); }
.type-string { color: var(--good); }
.type-number, .type-boolean { color: var(--busy); }
.why h3 { margin: 0 0 6px; font-size: 13px; }
.why p { margin: 2px 0; }
.why li { padding: 4px 0; border-top: 1px solid var(--line); }
.link { padding: 0; border: 0; background: none; color: var(--link); text-decoration: underline; }
ins { color: var(--good); text-decoration: none; }
del { color: var(--bad); text-decoration: none; }
textarea {
  width: 100%;
  border: 1px solid var(--line);
  border-radius: 6px;
  background: var(--back);
}
@media (max-width: 46rem) {
  .panel { height: 60vh; }
  .row { grid-template-columns: 6.5rem minmax(0, 1fr) 5.5rem; }
  .row > :nth-child(2), .row > :nth-child(5), .head { display: none; }
  .row > :nth-child(4) { grid-column: 1 / -1; grid-row: 2; }
  .parts { display: block; overflow: auto; }
  .tree { margin-bottom: 8px; }
}
`
