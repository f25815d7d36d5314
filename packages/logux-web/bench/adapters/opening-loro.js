// A text of Loro, kept as the bytes of a snapshot.

import { LoroSyncPlugin } from 'loro-codemirror'
import initialize, { LoroDoc } from 'loro-crdt'

import { readBytes, writeBytes } from './saved-bytes.js'

let textOf = doc => doc.getText('text')

export async function open() {
  let [bytes] = await Promise.all([readBytes(), initialize()])
  let doc = new LoroDoc()
  doc.import(bytes)
  return { extensions: LoroSyncPlugin(doc, textOf), text: textOf(doc).toString() }
}

export async function fill({ edits, text: expected }) {
  await initialize()
  let doc = new LoroDoc()
  let text = textOf(doc)
  for (let { from, insert, to } of edits) {
    if (to > from) text.delete(from, to - from)
    if (insert) text.insert(from, insert)
    doc.commit()
  }
  if (text.toString() !== expected) throw new Error('another text')
  await writeBytes(doc.export({ mode: 'snapshot' }))
}
