// A text of logux-web, kept in IndexedDB.

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
  return { extensions: [collaboration(text)], text: text.get() }
}
