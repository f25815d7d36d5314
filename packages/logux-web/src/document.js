// A document of a client.

import { pointer } from './path.js'
import { loaded, Part, Store } from './store.js'
import { LoguxText } from './text.js'
import { LoguxTree } from './tree.js'

/** Whether two values are the same text of JSON. */
function isEqual(one, other) {
  if (typeof one !== 'object') return one === other
  return JSON.stringify(one) === JSON.stringify(other)
}

/** A document. As a store, its value is its JSON. */
export class LoguxDocument extends Store {
  #client
  /** What was read, by path. Of before the last change, it is kept while it may be equal. */
  #values = new Map()
  #info
  #others
  #presence = null

  /** How often the application has it open. */
  users = 0
  /** A store of the status. */
  $status = new Part(this, () => this.status)
  /** A store of what the others show. */
  $others = new Part(this, () => this.others)
  /** The number of changes of the state, for what is read from it. */
  version = 0

  constructor(client, kind, id) {
    super()
    this.#client = client
    this.kind = kind
    this.id = id
    this.channel = `${kind}/${id}`
  }

  /** Whether the document can be called: neither it nor its client is closed. */
  get isOpen() {
    return this.#client.hasOpen(this)
  }

  /** Resolves when the server has answered for the first time, or has refused. */
  get loading() {
    return loaded(this)
  }

  /** Resolves when the server has everything that this device has changed. */
  get saved() {
    return this.#client.saved
  }

  /** `loading`, `ready`, `readOnly`, `missing`, `forbidden`, `deleted`, or another reason. */
  get status() {
    return this.#getInfo().status
  }

  get canUndo() {
    return this.#getInfo().canUndo
  }

  get canRedo() {
    return this.#getInfo().canRedo
  }

  /** Whether the user may `read`, `create`, `edit`, `comment`, `delete` or `manage`. */
  may(operation) {
    return this.#getInfo().may.includes(operation)
  }

  /**
   * Returns the value at a path, or the whole document: the same object until it changes.
   * `undefined`: there is none.
   */
  get(path = '') {
    let at = pointer(path)
    let read = this.#values.get(at)
    if (read && !read.isOld && this.isOpen) return read.value
    let value = this.#ask({ get: { channel: this.channel, path: at } }) ?? undefined
    // The whole document differs, or it would not be old.
    if (read && at !== '' && isEqual(value, read.value)) value = read.value
    this.#values.set(at, { isOld: false, value })
    return value
  }

  /** Returns a store of the value at a path. */
  part(path) {
    return new Part(this, () => this.get(path))
  }

  /** Lets the document show a value at a path. Texts and lists change where they differ. */
  set(path, value) {
    return this.edit({ op: 'set', path: pointer(path), value })
  }

  delete(path) {
    return this.edit({ op: 'delete', path: pointer(path) })
  }

  /** Adds to the number at a path. */
  increment(path, by = 1) {
    return this.edit({ op: 'increment', path: pointer(path), by })
  }

  list(path) {
    let at = pointer(path)
    return {
      get: () => this.get(at) ?? [],
      insert: (index, ...values) => this.edit({ op: 'insert', path: at, at: index, values }),
      push: (...values) => this.edit({ op: 'insert', path: at, values }),
      remove: (index, count = 1) => this.edit({ op: 'remove', path: at, at: index, count }),
      move: (from, to) => this.edit({ op: 'move', path: at, from, to })
    }
  }

  text(path) {
    let edit = (ops, watch) => {
      return this.#client.act({ edit: { channel: this.channel, ops, watch } })
    }
    return new LoguxText(this, call => this.#ask(call), edit, pointer(path))
  }

  tree(path) {
    return new LoguxTree(this, call => this.#ask(call), pointer(path))
  }

  /** Makes operations in one action, as `KIND/change` of the server has them. */
  edit(...ops) {
    return this.#client.act({ edit: { channel: this.channel, ops } })
  }

  /** The positions to which this device can go back, oldest first. */
  history() {
    return this.#ask({ history: { channel: this.channel } })
  }

  /** Returns the document right after an action. `undefined`: it is not in the history. */
  stateAt(id) {
    return this.#ask({ stateAt: { channel: this.channel, id } }) ?? undefined
  }

  create() {
    return this.#client.act({ create: { channel: this.channel } })
  }

  /** Deletes the document itself, which can be taken back by `create`. */
  deleteDocument() {
    return this.#client.act({ delete: { channel: this.channel } })
  }

  /** Undoes one's own latest step. Returns the selection from before it. */
  undo() {
    return this.#ask({ undo: { channel: this.channel } }) ?? undefined
  }

  redo() {
    return this.#ask({ redo: { channel: this.channel } }) ?? undefined
  }

  /** Records what the user has selected, for the step that the next edit begins. */
  select(selection = null) {
    this.#ask({ select: { channel: this.channel, selection } })
  }

  /** Ends the current step, so that undo does not take back what follows with it. */
  closeStep() {
    this.#ask({ closeStep: { channel: this.channel } })
  }

  /** The states of the others in the document, by node id. The same object until they change. */
  get others() {
    this.#others ??= this.#ask({ presence: { channel: this.channel } })
    return this.#others
  }

  /** Shows the others a state, such as a name and a cursor. `null`: nothing. */
  setPresence(state) {
    this.#ask({ setPresence: { channel: this.channel, state } })
    this.#presence = state
  }

  /** What this device shows the others. `null`: nothing. */
  get presence() {
    return this.#presence
  }

  /** Ends the subscription, when it was called as often as the document was opened. */
  close() {
    this.#client.closeDocument(this)
  }

  /** Called by the client when the content has changed. */
  changed() {
    for (let [at, read] of this.#values) {
      // Nobody has read it since the change before.
      if (read.isOld) this.#values.delete(at)
      read.isOld = true
    }
    this.#info = undefined
    this.notify()
  }

  /** Called when the client has another store. */
  moved() {
    this.#others = undefined
    this.changed()
  }

  /** Called by the client when the status, or what the user may do, has changed. */
  statusChanged() {
    this.#info = undefined
    this.notify()
  }

  /** Called by the client when the others show something else. */
  presenceChanged() {
    this.#others = undefined
    this.notify()
  }

  #getInfo() {
    this.#info ??= this.#ask({ info: { channel: this.channel } })
    return this.#info
  }

  #ask(call) {
    return this.#client.ask(call)
  }
}
