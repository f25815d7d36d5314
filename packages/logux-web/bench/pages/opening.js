// Opens a text from IndexedDB in an editor, and tells when it can be edited.

import { EditorView } from '@codemirror/view'
import { open } from 'adapter'

import { painted } from './painted.js'

performance.mark('main thread of opening')
window.result = show()

async function show() {
  let { extensions, text, stages = {} } = await open(new URLSearchParams(location.search))
  stages.open = performance.now()
  let writable
  let isWritable = new Promise(resolve => (writable = resolve))
  let look = ({ state }) => {
    if (!state.readOnly) writable()
  }
  let view = new EditorView({
    doc: text,
    extensions: [extensions, EditorView.updateListener.of(look), EditorView.lineWrapping],
    parent: document.body
  })
  view.focus()
  stages.mounted = performance.now()
  window.shown = () => view.state.sliceDoc()
  // Bindings tell in a microtask what the user may do.
  await Promise.resolve()
  await Promise.resolve()
  look(view)
  await isWritable
  stages.writable = performance.now()
  stages.editable = await painted()
  return stages
}
