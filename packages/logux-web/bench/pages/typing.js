// An editor of one of the people who type into a text.

import { EditorView } from '@codemirror/view'
import { open } from 'adapter'

import { painted } from './painted.js'

/** From this letter on, each letter is typed once. */
const FIRST = 0x4e00

let now = () => performance.timeOrigin + performance.now()

let parameters = new URLSearchParams(location.search)
performance.mark(`main thread of ${parameters.get('user')}`)

/** When keys were pressed, and when their letters were in this editor and on the screen. */
window.pressed = {}
window.arrived = {}
window.painted = {}

async function show() {
  let { extensions, text } = await open(parameters)
  let note = EditorView.updateListener.of(({ changes, docChanged }) => {
    if (!docChanged) return
    changes.iterChanges((_from, _to, _start, _end, inserted) => {
      for (let letter of inserted.toString()) {
        if (letter.charCodeAt(0) < FIRST) continue
        window.arrived[letter] = now()
        painted().then(time => (window.painted[letter] = performance.timeOrigin + time))
      }
    })
  })
  let view = new EditorView({
    doc: text,
    extensions: [extensions, note, EditorView.lineWrapping],
    parent: document.body
  })
  window.shown = () => view.state.sliceDoc()
  window.goTo = position => {
    view.focus()
    view.dispatch({ selection: { anchor: position }, userEvent: 'select' })
  }
}

window.addEventListener(
  'keydown',
  ({ key, timeStamp }) => (window.pressed[key] = performance.timeOrigin + timeStamp),
  true
)
window.result = show()
