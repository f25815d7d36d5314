// A text of logux-web, which the server of the page's address has.

import { open as openClient } from 'logux-web'
import { collaboration } from 'logux-web/codemirror'

import { pause } from './pause.js'

async function openNote(parameters) {
  let client = await openClient({
    server: parameters.get('server'),
    store: 'app',
    userId: 'reader',
    wasm: fetch('/logux.wasm')
  })
  return { client, note: client.document('notes', parameters.get('id')) }
}

export async function open(parameters) {
  let { note } = await openNote(parameters)
  let stages = { client: performance.now() }
  let text = note.text('text')
  return { extensions: collaboration(text), stages, text: text.get() }
}

/** Receives the text from the server. */
export async function fill({ text }, parameters) {
  let { client, note } = await openNote(parameters)
  while (note.get('text') !== text) await pause(100)
  // The server may settle what is older.
  await pause(3000)
  await client.kept
  let entries = client.entries().length
  await client.close()
  return { entries }
}
