// Writes edits of a text to a server, from Node.js. Each is an action.

import { WebSocket } from 'ws'

import { open } from '../src/index.js'

/** The number of actions after which the server is waited for. */
const BATCH = 500

/**
 * Writes edits to the document `notes/ID` of a server, as `makeHistory` returns them. Resolves with
 * the text.
 */
export async function writeEdits(server, id, edits) {
  let client = await open({ server, userId: 'writer', WebSocket })
  await client.waitFor('synchronized')
  let note = client.document('notes', id)
  await note.loading
  let text = note.text('text')
  let answers = []
  for (let [index, { from, insert, to }] of edits.entries()) {
    answers.push(text.replace(from, to, insert))
    // A burst of typing would be one action.
    note.closeStep()
    if (answers.length === BATCH || index === edits.length - 1) {
      await Promise.all(answers.splice(0))
    }
  }
  let written = text.get()
  await client.close()
  return written
}
