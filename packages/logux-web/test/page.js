// A page for modules that need a DOM. Import it before them.

import { JSDOM } from 'jsdom'

let { window } = new JSDOM('<!doctype html><title>Test</title>')

// Nothing is drawn.
window.requestAnimationFrame = () => 0
window.cancelAnimationFrame = () => {}

let events = ['CompositionEvent', 'Event', 'InputEvent', 'KeyboardEvent']
let others = ['document', 'getComputedStyle', 'HTMLElement', 'MutationObserver', 'Node', 'Window']
for (let name of [...events, ...others]) {
  globalThis[name] = window[name]
}
globalThis.window = window
// Node.js has one since version 21.
globalThis.navigator ??= window.navigator
