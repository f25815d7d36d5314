// What the log of an official client keeps of documents and records.

/** The action that has the last answer to a subscription to a document. */
let SINCE = 'logux-web/since'

/** The verbs of the actions that a state is made of, after the kind or the plural and a slash. */
let VERBS = ['change', 'changed', 'create', 'created', 'delete', 'deleted', 'edit', 'snapshot']

/** Why an action is kept, and the index under which it is found. */
let reasonOf = name => `logux-web ${name}`

/** Whether the meta of an action is that of one of documents or records. */
export let isOfDocuments = ({ reasons }) => reasons.some(it => it.startsWith(reasonOf('')))

/**
 * The actions of documents and records in the log of an official client. Their *name* is the
 * channel of the document, such as `notes/7`, or the plural of the records.
 */
export class OfficialLog {
  #official
  /** How often each name is open. */
  #users = new Map()
  /** The names of actions, by id. An undo has the name of its action. */
  #names = new Map()
  /** The ids of actions whose reason is to be removed. */
  #forgotten = new Set()
  /** The last answers to subscriptions, by channel: everything before them is kept. */
  #since = new Map()
  /** Asks the other tabs of the browser. `undefined`: the store is common to all of them. */
  #tabs

  /** `receive`: called with entries that another tab has. */
  constructor(official, receive) {
    this.#official = official
    if (this.isInMemory && official.role && globalThis.BroadcastChannel) this.#askTabs(receive)
  }

  /** Whether the store is the `MemoryStore` of `@logux/core`, which each tab has for itself. */
  get isInMemory() {
    let { added, entries } = this.#official.log.store
    return Array.isArray(added) && Array.isArray(entries)
  }

  isOpen(name) {
    return this.#users.get(name) > 0
  }

  /** Returns whether it is open now, and was not before. */
  open(name) {
    let users = this.#users.get(name) ?? 0
    this.#users.set(name, users + 1)
    return users === 0
  }

  close(name) {
    this.#users.set(name, this.#users.get(name) - 1)
  }

  /** Returns the name of an action. `undefined`: it is of nothing that was open here. */
  nameOf(action) {
    let known = action.type === 'logux/undo' ? this.#names.get(action.id) : undefined
    return known ?? possibleNames(action).find(name => this.#users.has(name))
  }

  /** Whether an action is about something that is open, and is no part of its state. */
  isAbout({ channel, id, type }) {
    return (
      type === 'logux/subscribed' ||
      (type === 'presence/changed' && this.isOpen(channel)) ||
      (type.endsWith('/access') && this.isOpen(type.slice(0, -'access'.length) + id))
    )
  }

  /** Lets the log keep an action that is about to be added. */
  mark(action, meta) {
    let name = this.nameOf(action)
    if (name === undefined) return
    this.#names.set(meta.id, name)
    let reason = reasonOf(name)
    if (meta.reasons.includes(reason)) return
    meta.reasons.push(reason)
    meta.indexes = [...(meta.indexes ?? []), reason]
  }

  /** Records that an action has a name. */
  know(id, name) {
    this.#names.set(id, name)
  }

  /** Keeps an action that another tab has added to its log without a reason. */
  async keep(action, meta, name) {
    let reason = reasonOf(name)
    if (meta.reasons?.includes(reason)) return
    let kept = { ...meta, reasons: [...(meta.reasons ?? []), reason] }
    kept.indexes = [...(meta.indexes ?? []), reason]
    await this.#official.log.store.add(action, kept)
  }

  /** Whether an own action of this device waits for the server's answer. */
  async isWaiting(id) {
    let [, meta] = await this.#official.log.byId(id)
    return meta?.reasons.includes('syncing') ?? false
  }

  /** Ends that an action is kept, since it is a part of a snapshot, or obsolete. */
  async forget(id) {
    let name = this.#names.get(id)
    // What is closed here may be open in another tab.
    if (this.isOpen(name)) this.#forgotten.add(id)
    for (let id of this.#forgotten) {
      // The official client is about to remove its reason, and the later one of two changes at the
      // same time would win: again with the next one.
      if (await this.isWaiting(id)) continue
      this.#forgotten.delete(id)
      await this.#official.log.removeReason(reasonOf(this.#names.get(id)), { id })
      this.#names.delete(id)
    }
  }

  /** Returns the entries of a name that are kept, oldest first. */
  async load(name) {
    let entries = await this.#entries(name)
    for (let [, meta] of entries) this.#names.set(meta.id, name)
    this.#tabs?.postMessage({ asked: name })
    return entries
  }

  /** Returns since when a document is needed. `undefined`: nothing is kept of it. */
  since(channel) {
    return this.#since.get(channel)
  }

  /** The server has answered a subscription to a document that is open. */
  async subscribed(channel, answer) {
    if (!this.isOpen(channel)) return
    // By the clock of the server.
    let since = { id: answer, time: parseInt(answer) }
    this.#since.set(channel, since)
    let { log, tabId } = this.#official
    let keepLast = `logux-web since ${channel}`
    // Another tab with a log in memory does not have what this one has.
    let meta = { indexes: [reasonOf(channel)], keepLast, tab: tabId }
    await log.add({ channel, since, type: SINCE }, meta)
  }

  end() {
    this.#tabs?.close()
  }

  async #entries(name) {
    // Copies of other tabs in memory have no index.
    let index = this.isInMemory ? undefined : reasonOf(name)
    let all = []
    await this.#official.log.each({ index, order: 'added' }, (action, meta) => {
      all.push([action, meta])
    })
    let ids = new Set()
    return all.reverse().filter(([action, { id }]) => {
      if (action.type === SINCE) this.#since.set(action.channel, action.since)
      let isUndo = action.type === 'logux/undo' && ids.has(action.id)
      let isOfName = isUndo || possibleNames(action).includes(name)
      if (isOfName) ids.add(id)
      return isOfName
    })
  }

  /**
   * The log of the tab that leads drops what it has, so a tab that is new hears nothing of it from
   * the server: it asks the others.
   */
  #askTabs(receive) {
    let { clientId, log } = this.#official
    this.#tabs = new BroadcastChannel(`logux-web ${clientId}`)
    this.#tabs.onmessage = async ({ data: { asked, entries, name } }) => {
      if (asked !== undefined) {
        this.#tabs.postMessage({ entries: await this.#entries(asked), name: asked })
      } else if (this.isOpen(name)) {
        for (let [action, meta] of entries) {
          this.#names.set(meta.id, name)
          await log.store.add(action, meta)
        }
        receive(entries)
      }
    }
    // In Node.js, it does not keep the process running.
    this.#tabs.unref?.()
  }
}

/** Returns the names that an action may have. */
function possibleNames({ action, id, type }) {
  // Most undos have what they undo.
  if (type === 'logux/undo') return action ? possibleNames(action) : []
  let slash = type.lastIndexOf('/')
  if (!VERBS.includes(type.slice(slash + 1))) return []
  let kind = type.slice(0, slash)
  return [`${kind}/${id}`, kind]
}
