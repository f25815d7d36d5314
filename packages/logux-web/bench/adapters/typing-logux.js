// A text of logux-web, kept in IndexedDB.

import { EditorView } from '@codemirror/view'
import { open as openClient } from 'logux-web'
import { collaboration } from 'logux-web/codemirror'

export async function open(parameters) {
  let client = await openClient({
    server: parameters.get('server'),
    store: 'app',
    userId: parameters.get('user'),
    wasm: fetch('/logux.wasm')
  })
  let note = client.document('notes', parameters.get('room'))
  await note.loading
  let text = note.text('text')
  let extensions = [collaboration(text)]
  if (parameters.get('each')) {
    // The end of a step ends the burst of typing, which is sent then.
    let send = EditorView.updateListener.of(({ docChanged, transactions }) => {
      if (docChanged && transactions.some(it => it.isUserEvent('input'))) note.closeStep()
    })
    extensions.push(send)
  }
  return { extensions, text: text.get() }
}
