// A text of Yjs, kept by y-indexeddb.

import { yCollab } from 'y-codemirror.next'
import { IndexeddbPersistence } from 'y-indexeddb'
import { WebsocketProvider } from 'y-websocket'
import { Doc } from 'yjs'

export async function open(parameters) {
  let room = parameters.get('room')
  let doc = new Doc()
  await new IndexeddbPersistence(room, doc).whenSynced
  let provider = new WebsocketProvider(parameters.get('server'), room, doc)
  await new Promise(resolve => provider.once('sync', resolve))
  let text = doc.getText('text')
  return { extensions: yCollab(text, null), text: text.toString() }
}
