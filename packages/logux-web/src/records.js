// Lists of records, and single ones. The engine tells what has changed in them.

import { newId } from './random.js'
import { loaded, Part, Store } from './store.js'

/** The lists that a client has open. */
export class OpenLists {
  #client
  #lists = new Map()

  constructor(client) {
    this.#client = client
  }

  list(plural, filter) {
    // The order of the keys of a filter does not matter.
    let key = JSON.stringify([plural, Object.entries(filter).sort()])
    return this.#open(key, { openRecords: { plural, filter } }, LoguxRecords, plural)
  }

  record(plural, id) {
    let key = JSON.stringify([plural, id])
    return this.#open(key, { openRecord: { plural, id } }, LoguxRecord, plural, id)
  }

  /** Called when records of a kind have changed, or the status of their lists. */
  changed(plural) {
    for (let list of [...this.#lists.values()]) {
      if (list.plural === plural) list.changed()
    }
  }

  /** Called when the client has another store. */
  moved() {
    for (let list of [...this.#lists.values()]) list.changed()
  }

  #open(key, call, Type, ...about) {
    let open = this.#lists.get(key)
    if (!open) {
      let number = this.#client.askToOpen(call)
      let close = () => {
        if (this.#lists.get(key) !== open || --open.users > 0) return
        this.#lists.delete(key)
        if (this.#client.isClosed) return
        this.#client.ask({ closeList: { list: number } })
        this.#client.closed(call)
      }
      open = new Type({ client: this.#client, number, close }, ...about)
      this.#lists.set(key, open)
      open.changed()
    }
    open.users += 1
    return open
  }
}

/** What lists and single records share. */
class RecordStore extends Store {
  #open
  /** How often the application has it open. */
  users = 0
  /** `loading`, `ready`, `missing`, `forbidden`, or another reason of the server. */
  status = 'loading'
  /** A store of the status. */
  $status = new Part(this, () => this.status)

  constructor(open, plural) {
    super()
    this.#open = open
    this.plural = plural
  }

  /** Resolves with the status when the server has answered for the first time. */
  get loading() {
    return loaded(this)
  }

  get canUndo() {
    return this.#open.client.ask({ info: { channel: this.plural } }).canUndo
  }

  get canRedo() {
    return this.#open.client.ask({ info: { channel: this.plural } }).canRedo
  }

  /** Undoes the latest own step in the records of the kind. */
  undo() {
    this.#open.client.ask({ undo: { channel: this.plural } })
  }

  redo() {
    this.#open.client.ask({ redo: { channel: this.plural } })
  }

  /** Ends the current step, so that undo does not take back what follows with it. */
  closeStep() {
    this.#open.client.ask({ closeStep: { channel: this.plural } })
  }

  /** Ends the subscription, when it was called as often as the list was opened. */
  close() {
    this.#open.close()
  }

  /** Called by the client. */
  changed() {
    let changes = this.#open.client.ask({ listChanges: { list: this.#open.number } })
    let { status, changed, removed } = changes
    let isNew = changed.length + removed.length > 0
    if (isNew) this.take(changed, removed)
    if (!isNew && status === this.status) return
    this.status = status
    this.notify()
  }

  /** Adds an action on a record. */
  edit(verb, id, fields) {
    let action = { type: `${this.plural}/${verb}`, id, fields }
    return this.#open.client.act({ editRecord: { plural: this.plural, action } })
  }
}

/** The records that match a filter, in the order of their ids. */
export class LoguxRecords extends RecordStore {
  #records = []

  get() {
    return this.#records
  }

  /** Creates a record. Returns its id: that of the fields, or a new one. */
  create({ id = newId(), ...fields }) {
    this.edit('create', id, fields)
    return id
  }

  /** Changes fields of a record. */
  change(id, { id: _, ...fields }) {
    return this.edit('change', id, fields)
  }

  delete(id) {
    return this.edit('delete', id)
  }

  take(changed, removed) {
    this.#records = merge(this.#records, changed, removed)
  }
}

/** One record. */
export class LoguxRecord extends RecordStore {
  #record

  constructor(open, plural, id) {
    super(open, plural)
    this.id = id
  }

  get() {
    return this.#record
  }

  create({ id: _, ...fields }) {
    return this.edit('create', this.id, fields)
  }

  /** Changes fields. */
  change({ id: _, ...fields }) {
    return this.edit('change', this.id, fields)
  }

  delete() {
    return this.edit('delete', this.id)
  }

  take([record]) {
    this.#record = record
  }
}

let before = (a, b) => a.id < b.id

/** Returns the index of the record with an id in a sorted list, or where it would be. */
function indexOf(list, id) {
  let [from, to] = [0, list.length]
  while (from < to) {
    let middle = (from + to) >> 1
    if (list[middle].id < id) from = middle + 1
    else to = middle
  }
  return from
}

/** Returns a sorted list with changes. Records that have not changed are the same objects. */
function merge(list, changed, removed) {
  // Thousands of records may arrive one after the other: for each, a copy and a search is enough.
  if ((changed.length + removed.length) * 16 < list.length) return replace(list, changed, removed)
  let old = new Set([...removed, ...changed.map(({ id }) => id)])
  let kept = list.filter(({ id }) => !old.has(id))
  let added = [...changed].sort((a, b) => (before(a, b) ? -1 : 1))
  let merged = []
  let at = 0
  for (let record of kept) {
    while (at < added.length && before(added[at], record)) merged.push(added[at++])
    merged.push(record)
  }
  return merged.concat(added.slice(at))
}

/** Returns a sorted list with few changes. */
function replace(list, changed, removed) {
  let replaced = [...list]
  for (let id of removed) {
    let at = indexOf(replaced, id)
    if (replaced[at]?.id === id) replaced.splice(at, 1)
  }
  for (let record of changed) {
    let at = indexOf(replaced, record.id)
    replaced.splice(at, replaced[at]?.id === record.id ? 1 : 0, record)
  }
  return replaced
}
