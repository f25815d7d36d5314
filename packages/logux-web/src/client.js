// The client: the engine, the timers, a database, and a connection or what takes its place.

import { openDatabase } from './database.js'
import { LoguxDocument } from './document.js'
import { Events } from './events.js'
import { ClientLog, ClientNode } from './log.js'
import { random } from './random.js'
import { OpenLists } from './records.js'
import { Socket } from './socket.js'
import { Value } from './store.js'

/** The user has lost an action: the server has undone it, for this reason. */
export class UndoneError extends Error {
  constructor(reason, action) {
    super(`the server has undone the action: ${reason}`)
    this.name = 'UndoneError'
    this.reason = reason
    this.action = action
  }
}

/** Returns the token that the application has given, or that its function returns. */
export async function tokenOf({ token }) {
  return typeof token === 'function' ? token() : token
}

/** The name of the value of the database with the client id. */
let CLIENT = 'web client'

/**
 * A client. `tabs` are what it leads or follows: the tabs of its store, or the official client of
 * the application, which leads. While it follows, they have its connection and its database.
 */
export class Client {
  #engine
  #number
  #options
  #database
  #tabs
  #socket
  #timer
  #documents = new Map()
  #lists = new OpenLists(this)
  #events = new Events()
  #waiting = new Map()
  /** Everything that waits for the database, in order. */
  #written = Promise.resolve()
  /** What to call when the tab that leads has everything. */
  #keeping = []
  /** What to call when the server has everything. */
  #saving = []
  #isClosed = false
  #closing
  /** Why, if the application has not closed it. */
  #problem
  /** Whether the database has failed. */
  #isLost = false

  /** A store of `disconnected`, `connecting`, `sending` or `synchronized`. */
  $state = new Value('disconnected')
  /** A store of what to show about the connection. */
  $status = new Value('disconnected')

  constructor(engine, options, database, saved, tabs) {
    this.#engine = engine
    let { renew, ...given } = options
    /** What `open` was called with. */
    this.options = { ...given, token: renew }
    let { userId, token, subprotocol = 0 } = options
    this.#options = options
    this.#socket = new Socket(this, options)
    this.#database = database
    this.#tabs = tabs
    let follows = tabs?.follows ?? false
    let known = saved.find(({ name }) => name === CLIENT)?.value
    let client = (follows ? tabs.leader.client : known) ?? random(8)
    this.clientId = `${userId}:${client}`
    this.tabId = random(8)
    this.nodeId = `${this.clientId}:${this.tabId}`
    this.log = new ClientLog(this)
    this.node = new ClientNode(this)
    saved = saved.filter(({ name }) => name !== CLIENT)
    let node = this.nodeId
    this.#number = engine.start({ follows, node, saved, subprotocol, token: token ?? null })
    this.#written = this.#write([{ change: 'value', name: CLIENT, value: client }])
    this.#listen('addEventListener')
    tabs?.attach(this)
    this.ask('resume')
  }

  get state() {
    return this.$state.get()
  }

  get status() {
    return this.$status.get()
  }

  get isClosed() {
    return this.#isClosed
  }

  get connected() {
    return this.state === 'sending' || this.state === 'synchronized'
  }

  /** Whether a database keeps what this tab does: its own, or that of the tab that leads. */
  get isKept() {
    return this.#follows ? this.#tabs.leader.isKept : this.#database.isKept
  }

  /** Whether this tab has the database and the connection, for the other tabs of its store too. */
  get isLeader() {
    return !this.#follows
  }

  /** `leader` or `follower`, as in `@logux/client`. */
  get role() {
    return this.#follows ? 'follower' : 'leader'
  }

  /** The number of actions of this device that the server has not confirmed. */
  get unsaved() {
    let own = this.ask('unconfirmed')
    return this.#follows ? own + this.#tabs.leader.unsaved : own
  }

  /** Resolves when everything so far is kept on this device. */
  get kept() {
    if (!this.#follows || this.ask('unconfirmed') === 0) return this.#written
    return new Promise(resolve => this.#keeping.push(resolve))
  }

  /** Resolves when the server has everything that this device has changed. */
  get saved() {
    if (this.unsaved === 0) return Promise.resolve()
    return new Promise(resolve => this.#saving.push(resolve))
  }

  get #follows() {
    return this.#tabs?.follows ?? false
  }

  /** What connects this client. */
  get #peer() {
    return this.#follows ? this.#tabs : this.#socket
  }

  /** Opens a document, or returns the open one. */
  document(kind, id) {
    let channel = `${kind}/${id}`
    let open = this.#documents.get(channel)
    if (!open) {
      open = new LoguxDocument(this, kind, id)
      this.#documents.set(channel, open)
      this.askToOpen({ open: { kind, id } })
    }
    open.users += 1
    return open
  }

  /** The open documents. */
  get documents() {
    return [...this.#documents.values()]
  }

  /** Returns all entries of the log in their order. */
  entries() {
    return this.ask('entries')
  }

  /** Opens the records of a kind that match a filter, or returns the open list. */
  records(plural, { filter = {} } = {}) {
    return this.#lists.list(plural, filter)
  }

  /** Opens one record, or returns the open one. */
  record(plural, id) {
    return this.#lists.record(plural, id)
  }

  /** Adds an action and sends it. The result has `id`, and is a promise of the server's answer. */
  sync(action, meta = {}) {
    return this.act({ sync: { action, meta: this.log.draft(action, meta) } })
  }

  /** Adds an action that stays on this device. See `index.d.ts`. */
  add(action, meta) {
    return this.log.add(action, meta)
  }

  /** Calls a function at an event. See `index.d.ts`. Returns what ends that. */
  on(event, listener) {
    let isOfLog = event === 'preadd' || event === 'add' || event === 'clean'
    return (isOfLog ? this.log : this.#events).on(event, listener)
  }

  /** Calls a function at each action of a type. */
  type(type, listener, options) {
    return this.log.type(type, listener, options)
  }

  /** Resolves when the connection has a state. */
  waitFor(state) {
    return new Promise(resolve => {
      let unsubscribe
      let decide = () => {
        if (this.state !== state) return false
        unsubscribe?.()
        resolve()
        return true
      }
      if (!decide()) unsubscribe = this.on('state', decide)
    })
  }

  /**
   * Ends the client, when everything is kept. Calls throw the problem afterwards, if there is one,
   * and what waits for answers is rejected with it.
   */
  close(problem) {
    this.#closing ??= this.#close(problem)
    return this.#closing
  }

  async #close(problem) {
    // What was typed last leaves a tab that follows.
    for (let { channel } of this.documents) this.ask({ closeStep: { channel } })
    this.#tabs?.finish?.()
    this.ask('pause')
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#listen('removeEventListener')
    if (problem) {
      this.#problem = problem
      for (let { reject } of this.#waiting.values()) reject(problem)
      this.#emit('error', problem)
    }
    await this.#written.catch(() => {})
    this.#peer.disconnect()
    this.#engine.end(this.#number)
    this.#database.close()
    await this.#tabs?.leave()
  }

  /** Calls the engine, does what it asks for, and returns its answer. */
  ask(call) {
    if (this.#isClosed) throw this.#problem ?? new Error('the client is closed')
    let turn = this.#engine.call(this.#number, call)
    let { changes, events = [], changed = [], deadline, value, error } = turn
    clearTimeout(this.#timer)
    if (deadline !== undefined) {
      let after = Math.max(0, deadline - performance.now() + 1)
      this.#timer = setTimeout(() => this.ask('wake'), Math.min(after, 0x7fffffff))
    }
    if (changes || events.length > 0) {
      let kept = changes ? this.#write(changes) : undefined
      this.#written = this.#written.then(() => kept)
      this.#written = this.#written.then(() => this.#handle(events)).catch(problem => {
        this.#emit('error', problem)
      })
    }
    // What is shown changes at once; what leaves the device waits until it is kept. A listener may
    // make further calls, whose changes the database gets after these.
    for (let channel of changed) {
      let document = this.#documents.get(channel)
      if (document) document.version += 1
    }
    for (let channel of changed) {
      this.#documents.get(channel)?.changed()
      this.#lists.changed(channel)
    }
    if (error) throw new Error(error)
    return value
  }

  /** Writes changes. When the database is full or gone, the client goes on without it. */
  async #write(changes) {
    try {
      await this.#database.write(changes)
    } catch (cause) {
      if (this.#isLost) return
      this.#isLost = true
      let error = new Error(`the database cannot be written: ${cause.message}`, { cause })
      this.#emit('error', Object.assign(error, { kind: 'not-kept' }))
      this.#tabs?.announce()
    }
  }

  /** Calls the engine for an action. */
  act(call) {
    let id = this.ask(call)
    if (id === undefined || id === null) return Object.assign(Promise.resolve(), { id: undefined })
    let answered = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    // Nobody has to wait for the answer.
    answered.catch(() => {})
    return Object.assign(answered, { id, kept: this.kept })
  }

  hasOpen(document) {
    return !this.#isClosed && this.#documents.get(document.channel) === document
  }

  closeDocument(closed) {
    if (!this.hasOpen(closed) || --closed.users > 0) return
    this.#documents.delete(closed.channel)
    let { channel, id, kind } = closed
    this.ask({ close: { channel } })
    this.closed({ open: { kind, id } })
  }

  /** Calls the engine to open something, which the tab that leads opens too. */
  askToOpen(call) {
    let answer = this.ask(call)
    this.#tabs?.opened(call)
    return answer
  }

  /** What a call has opened is closed. */
  closed(call) {
    this.#tabs?.closed(call)
  }

  /** Leads from now on, because the tab that led is gone. */
  async lead() {
    try {
      let database = await openDatabase(this.#options.store)
      let saved = (await database.read()).filter(({ name }) => name !== CLIENT)
      let token = await tokenOf({ token: this.#options.renew })
      if (this.#isClosed) return database.close()
      this.#database = database
      this.#isLost = false
      this.#tabs.leads()
      this.#emit('role', this.role)
      this.ask({ lead: { saved, token: token ?? null } })
      for (let document of this.#documents.values()) {
        document.version += 1
        document.moved()
      }
      this.#lists.moved()
      for (let resolve of this.#keeping.splice(0)) this.#written.then(resolve)
    } catch (error) {
      this.#emit('error', error)
    }
  }

  /** What the other tabs show. */
  tabNews() {
    let { userId } = this.#options
    let { isKept, nodeId: node, state, status, unsaved } = this
    let client = this.clientId.slice(userId.length + 1)
    return { client, isKept, node, state, status, unsaved, userId }
  }

  /** Tells the application of a problem. */
  report(problem) {
    this.#emit('error', problem)
  }

  /** The tab that leads says what to show. */
  leaderSays({ state, status }) {
    if (state !== this.state) this.#set('state', state)
    if (status !== this.status) this.#set('status', status)
    this.#resolveSaved()
  }

  handleEvent({ type }) {
    let isHidden = globalThis.document?.visibilityState === 'hidden'
    if (type === 'online') this.ask({ device: { device: 'online' } })
    else if (type === 'visibilitychange' && !isHidden) this.ask({ device: { device: 'visible' } })
    else if (type === 'freeze' || type === 'pagehide') this.ask({ device: { device: 'asleep' } })
  }

  /** Begins or ends to hear of the device. Outside of a page, there is nothing to hear. */
  #listen(method) {
    for (let event of ['online', 'freeze', 'pagehide']) globalThis[method]?.(event, this)
    globalThis.document?.[method]('visibilitychange', this)
  }

  #handle(events) {
    // Before frames: a follower whose edits are confirmed knows that the server does not have them.
    if (!this.#isClosed && this.#tabs?.hasFollowers) this.#tabs.announce()
    for (let it of events) {
      if (it.event === 'send') this.#peer.send(it.frame)
      else if (this.#isClosed) continue
      else if (it.event === 'connect') this.#peer.connect()
      else if (it.event === 'disconnect') this.#disconnectFor(it)
      else if (it.event === 'followerSend') this.#tabs?.sendTo(it.tab, it.frame)
      else if (it.event === 'followerDisconnect') this.#tabs?.disconnectFrom(it.tab)
      else if (it.event === 'state') this.#shows('state', it.state)
      else if (it.event === 'status') this.#shows('status', it.status)
      else if (it.event === 'confirmed') this.#confirmed()
      else if (it.event === 'added') this.log.emit('add', it.action, it.meta)
      else if (it.event === 'cleaned') this.log.emit('clean', it.action, it.meta)
      else if (it.event === 'processed') this.#answer(it.id, ({ resolve }) => resolve())
      else if (it.event === 'undone') this.#undone(it)
      else if (it.event === 'document') this.#documents.get(it.channel)?.statusChanged()
      else if (it.event === 'presence') this.#documents.get(it.channel)?.presenceChanged()
      else if (it.event === 'serverError') this.#serverError(it.kind)
      else if (it.event === 'stopped') this.#emit('error', new Error(it.reason))
      else if (it.event === 'debug') this.#debug(it.text)
    }
  }

  /** Shows something about the connection, unless the tab that leads knows it. */
  #shows(name, value) {
    if (this.#follows) return
    this.#set(name, value)
    this.#tabs?.announce()
  }

  #resolveSaved() {
    if (this.#saving.length === 0 || this.unsaved > 0) return
    for (let resolve of this.#saving.splice(0)) resolve()
  }

  #confirmed() {
    this.#resolveSaved()
    if (this.#keeping.length === 0 || this.ask('unconfirmed') > 0) return
    for (let resolve of this.#keeping.splice(0)) resolve()
  }

  #set(name, value) {
    this[`$${name}`].set(value)
    this.#emit(name, value)
    if (name === 'state') this.node.emit('state', value)
  }

  #emit(event, ...values) {
    this.#events.emit(event, ...values)
  }

  #debug(text) {
    this.#emit('debug', text)
    this.node.emit('debug', 'error', text)
  }

  #answer(id, decide) {
    let waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (waiting) decide(waiting)
  }

  #undone({ id, reason, action }) {
    let error = new UndoneError(reason, action)
    this.#answer(id, ({ reject }) => reject(error))
    this.#emit('undone', error, id)
  }

  async #serverError(kind) {
    let error = Object.assign(new Error(`the server refuses: ${kind}`), { kind, type: kind })
    this.#emit('error', error)
    this.node.emit('error', error)
    if (kind === 'wrong-credentials' && typeof this.#options.renew === 'function') {
      let token = await this.#options.renew()
      if (!this.#isClosed) this.ask({ setToken: { token: token ?? null } })
    }
  }

  #disconnectFor({ isViolation, reason }) {
    if (isViolation) {
      let error = new Error(`the server violates the protocol: ${reason}`)
      this.node.emit('clientError', Object.assign(error, { type: 'wrong-format' }))
    }
    if (this.#peer.disconnect()) this.ask('closed')
  }
}
