// Keys that follow each other as one row of the log: while others are in a document, each key is an
// action, so that they see it at once.

import { nodeOf } from './describe.js'

/** The time without a key after which another row begins, in milliseconds. */
const PAUSE = 2000

let isTyping = ({ action: { ops = [], type } }) =>
  type === 'demo/edit' &&
  ops.every(({ op, path }) => path === '/text' && (op === 'insertText' || op === 'removeText'))

/** Returns the edit that an undo, or the undo of an undo, is about. */
function editOf(entry, byId) {
  let edit = entry
  for (let depth = 0; edit?.action.type === 'logux/undo' && depth < 8; depth += 1) {
    edit = byId.get(edit.action.id)
  }
  return edit
}

/** Returns what has to be equal in a row. `undefined`: the entry has a row of its own. */
function kindOf(entry, byId) {
  let { action, at, id } = entry
  let edit = editOf(entry, byId)
  if (!edit || !isTyping(edit)) return
  let isUndone = Object.values(at).some(({ fate }) => fate === 'undone')
  let target = action.type === 'logux/undo' ? byId.get(action.id).action.type : ''
  return [nodeOf(id), target, isUndone].join()
}

/**
 * Returns the rows of a log: `{ entries, find }`. `find` returns an entry by its id: in place of an
 * edit of the row, all of them as one.
 */
export function rowsOf(entries) {
  let byId = new Map(entries.map(entry => [entry.id, entry]))
  let rows = []
  let last
  for (let entry of entries) {
    let kind = kindOf(entry, byId)
    if (kind && last?.kind === kind && entry.time - last.entries.at(-1).time < PAUSE) {
      last.entries.push(entry)
    } else {
      last = { entries: [entry], kind }
      rows.push(last)
    }
  }
  let place = new Map(entries.map(({ id }, index) => [id, index]))
  return rows.map(({ entries }) => {
    if (entries.length === 1) return { entries, find: id => byId.get(id) }
    let edits = entries.map(entry => editOf(entry, byId))
    edits.sort((one, other) => place.get(one.id) - place.get(other.id))
    let ops = edits.flatMap(({ action }) => action.ops)
    let ids = new Set(edits.map(({ id }) => id))
    let joined = { ...edits[0], action: { ...edits[0].action, ops } }
    return { entries, find: id => (ids.has(id) ? joined : byId.get(id)) }
  })
}
