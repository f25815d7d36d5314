// What `automergeSyncPlugin` needs of a document.

import { change, getLastLocalChange } from '@automerge/automerge'

export class Handle {
  #doc
  #listeners = new Set()
  #changed

  /** `changed` is called with the bytes of each own change. */
  constructor(doc, changed = () => {}) {
    this.#doc = doc
    this.#changed = changed
  }

  isReady() {
    return true
  }

  doc() {
    return this.#doc
  }

  change(make) {
    let before = this.#doc
    this.#doc = change(before, make)
    if (this.#doc === before) return
    this.#changed(getLastLocalChange(this.#doc))
    this.#tell()
  }

  /** Replaces the document by one with more changes. */
  receive(doc) {
    this.#doc = doc
    this.#tell()
  }

  on(_event, listener) {
    this.#listeners.add(listener)
  }

  off(_event, listener) {
    this.#listeners.delete(listener)
  }

  #tell() {
    for (let listener of this.#listeners) listener()
  }
}
