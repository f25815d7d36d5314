// A text of Yjs, kept by y-indexeddb.

import { yCollab } from 'y-codemirror.next'
import { IndexeddbPersistence, storeState } from 'y-indexeddb'
import { applyUpdate, Doc, mergeUpdates } from 'yjs'

import { pause } from './pause.js'

export async function open() {
  let doc = new Doc()
  await new IndexeddbPersistence('text', doc).whenSynced
  let text = doc.getText('text')
  return { extensions: yCollab(text, null), text: text.toString() }
}

/** How many updates y-indexeddb has not merged: half of the rows that there can be. */
const NEWEST = 250

/** Receives the updates of a writer, the older ones in batches, which are merged afterwards. */
export async function fill({ edits, text: expected }) {
  let [writer, doc] = [new Doc(), new Doc()]
  let persistence = await new IndexeddbPersistence('text', doc).whenSynced
  let updates = []
  writer.on('update', update => updates.push(update))
  let text = writer.getText('text')
  for (let [index, { from, insert, to }] of edits.entries()) {
    writer.transact(() => {
      if (to > from) text.delete(from, to - from)
      if (insert) text.insert(from, insert)
    })
    let isLast = index === edits.length - NEWEST - 1
    if (isLast || (index % 1000 === 0 && index < edits.length - NEWEST)) {
      applyUpdate(doc, mergeUpdates(updates.splice(0)))
      await pause()
    }
    if (isLast) await storeState(persistence)
  }
  for (let update of updates) applyUpdate(doc, update)
  while ((await kept()) !== expected) await pause(500)
}

/** Returns the text that the database has. */
async function kept() {
  let doc = new Doc()
  let persistence = await new IndexeddbPersistence('text', doc).whenSynced
  let text = doc.getText('text').toString()
  await persistence.destroy()
  return text
}
