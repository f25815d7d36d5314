// The documents of a log that was exported, without a server and without edits.

import { LoguxDocument } from './document.js'
import { loadEngine } from './engine.js'

/** Returns the documents of a log. See `replay.d.ts`. */
export async function replay(entries, { wasm } = {}) {
  let engine = await loadEngine(wasm)
  let saved = entries.map(({ action, added, id, reasons, time }) => ({
    action: JSON.stringify(action),
    added,
    change: 'put',
    id,
    // An entry is found by the reasons for which the documents keep it.
    indexes: reasons.filter(reason => reason !== 'syncing'),
    reasons,
    time
  }))
  let last = entries.reduce((last, { added }) => Math.max(last, added), 0)
  saved.push({ change: 'numbers', lastAdded: last, received: 0, sent: last })
  let node = 'replay:0:0'
  return new Replay(engine, engine.start({ node, saved, subprotocol: 0, token: null }))
}

class Replay {
  #documents = new Map()
  #engine
  #number

  constructor(engine, number) {
    this.#engine = engine
    this.#number = number
  }

  document(kind, id) {
    let channel = `${kind}/${id}`
    let open = this.#documents.get(channel)
    if (!open) {
      this.ask({ open: { id, kind } })
      open = new LoguxDocument(this, kind, id)
      this.#documents.set(channel, open)
    }
    return open
  }

  close() {
    if (this.#number !== undefined) this.#engine.end(this.#number)
    this.#number = undefined
    this.#documents.clear()
  }

  ask(call) {
    if (this.#number === undefined) throw new Error('the replay is closed')
    let { error, value } = this.#engine.call(this.#number, call)
    if (error) throw new Error(error)
    return value
  }

  act() {
    throw new Error('a replay cannot be edited')
  }

  hasOpen(document) {
    return this.#documents.get(document.channel) === document
  }

  closeDocument() {}
}
