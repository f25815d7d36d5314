// A text of a document. Indexes count UTF-16 code units, as in a string.

export class LoguxText {
  #ask
  #edit
  #listeners = new Set()
  /** The number of the engine for this text, while there are listeners. */
  #watch
  #unsubscribe
  /** The version of the document that the listeners know. */
  #known

  constructor(document, ask, edit, path) {
    this.document = document
    this.#ask = ask
    this.#edit = edit
    this.path = path
  }

  get() {
    let value = this.document.get(this.path)
    return typeof value === 'string' ? value : ''
  }

  /** Makes the text equal to another one, by the smallest changes. */
  set(value) {
    let isNew = this.document.get(this.path) === undefined
    if (isNew && value === '') return this.#make([])
    return this.#make([
      isNew
        ? { op: 'insertText', path: this.path, text: value }
        : { op: 'set', path: this.path, value }
    ])
  }

  insert(index, text) {
    return this.edit([{ from: index, insert: text }])
  }

  remove(index, count = 1) {
    return this.edit([{ from: index, to: index + count }])
  }

  /** Replaces a part in one action. */
  replace(from, to, text) {
    return this.edit([{ from, insert: text, to }])
  }

  /** Makes changes in one action. All indexes are those of the text before. */
  edit(changes) {
    let ops = []
    let fromTheEnd = [...changes].sort((one, other) => one.from - other.from).reverse()
    for (let { from, to = from, insert = '' } of fromTheEnd) {
      if (to > from) ops.push({ op: 'removeText', path: this.path, at: from, count: to - from })
      if (insert) ops.push({ op: 'insertText', path: this.path, at: from, text: insert })
    }
    return this.#make(ops)
  }

  /** Returns who has written what: `[{ from, to, author, time }]`. */
  authors() {
    return this.#ask({ authors: { channel: this.document.channel, path: this.path } })
  }

  /** Returns a value of JSON that stays at the letter before an index. */
  anchor(index) {
    return this.#ask({ anchor: { channel: this.document.channel, path: this.path, index } })
  }

  /** Returns the index of an anchor now. */
  indexOf(anchor) {
    let at = { anchor, channel: this.document.channel, path: this.path }
    return this.#ask({ anchorIndex: at }) ?? undefined
  }

  /**
   * Calls a function with the changes of the text that were not made by this object, as
   * `[{ from, to, insert }]` with the indexes of the text before. Returns what ends that.
   */
  listen(listener) {
    if (this.#listeners.size === 0) this.#begin()
    this.#listeners.add(listener)
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#end()
    }
  }

  #begin() {
    this.#watch = this.#ask({
      watchText: { channel: this.document.channel, path: this.path }
    })
    this.#known = this.document.version
    this.#unsubscribe = this.document.watch(() => this.tell())
  }

  #end() {
    this.#unsubscribe()
    this.#ask({ unwatchText: { watch: this.#watch } })
    this.#watch = undefined
  }

  /** Tells the listeners at once what has changed, before the document does. */
  tell() {
    let { version } = this.document
    if (this.#watch === undefined || this.#known === version) return
    this.#known = version

    let changes = this.#ask({ textChanges: { watch: this.#watch } })
    if (changes.length === 0) return
    for (let listener of [...this.#listeners]) listener(changes)
  }

  /** Makes an edit, of which the own listeners are not told. */
  #make(ops) {
    // Another listener of the document may edit before this object has told its own.
    this.tell()
    // What the edit changes is known. A listener of the document may change more meanwhile.
    this.#known = this.document.version + 1
    try {
      return this.#edit(ops, this.#watch)
    } finally {
      this.#known = Math.min(this.#known, this.document.version)
    }
  }
}
