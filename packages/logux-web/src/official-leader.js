// The official client in the role of the tab that leads: what the engine sends goes into its log,
// and the engine receives what is added there.

import { isOfDocuments, OfficialLog } from './official-log.js'
import { sendInOrder } from './official-order.js'
import { random } from './random.js'

/** Requests that are sent now or never, and which the official client does not repeat. */
let ONCE = { resubscribe: true, sync: true }

/** The most entries in a message to the engine: of 64 MiB, with actions of at most 8 MiB. */
let MOST_ENTRIES = 7

let nodeOf = id => id.split(' ')[1]
let isServers = id => nodeOf(id).startsWith('server:')
let isRequest = ({ type }) =>
  ['logux/subscribe', 'logux/unsubscribe', 'presence/set'].includes(type)
let isOnlineIn = state => state !== 'disconnected' && state !== 'connecting'

/** An official client, with what `Client` calls of the tabs of a store. */
export class OfficialLeader {
  #official
  #log
  #client
  #ends = []
  /** Everything that waits for the log, in order. */
  #queue = Promise.resolve()
  /** The number of the engine's connection: what belongs to an earlier one is void. */
  #connection = 0
  #isConnected = false
  /** The time to which the times of the connection are relative, in milliseconds. */
  #base = 0
  /** Entries for the engine, until it is connected. */
  #undelivered = []
  /** The number of entries that the engine was sent. */
  #sent = 0
  /** Whether the official client is connected to the server. */
  #isOnline
  /** Requests of the engine, until the official client is connected. */
  #requests = []
  /** The requests of the engine without an answer, by the ids with which they were sent. */
  #asked = new Map()
  /** The channels in which the server has an own subscription or state. */
  #channels = new Set()
  /** The own actions of this device without an answer, by id. */
  #unanswered = new Set()
  /** Those of them that may have an answer. */
  #doubtful = new Set()
  #isForgotten = false
  /** What the engine had without an answer at its end. */
  #last = []

  follows = true
  hasFollowers = false
  /** Called when the documents are closed. */
  ended = () => {}

  constructor(official) {
    this.#official = official
    let { clientId, options } = official
    let client = clientId.slice(options.userId.length + 1)
    this.#log = new OfficialLog(official, entries => this.#feed(entries))
    let isKept = !this.#log.isInMemory
    let unanswered = this.#unanswered
    this.leader = {
      client,
      isKept,
      userId: options.userId,
      get unsaved() {
        return unanswered.size
      }
    }
  }

  /** Rejects if the official client hides all requests from the server. */
  async check() {
    if (await this.#isHidden({ type: 'logux/subscribe' })) {
      throw new Error('`encryptActions` hides requests of documents: see the README of logux-web')
    }
  }

  /** Begins to work for a client. */
  attach(client) {
    this.#client = client
    let official = this.#official
    this.#ends.push(
      sendInOrder(official.node, official.log, isOfDocuments),
      official.on('preadd', (action, meta) => this.#log.mark(action, meta)),
      official.on('add', (action, meta) => this.#added(action, meta)),
      official.on('state', () => this.#stateIs(official.state)),
      client.on('clean', (_, { id }) => this.#later(() => this.#log.forget(id)))
    )
    this.#listenToTabs()
    this.#stateIs(official.state)
  }

  /** The engine is about to end. */
  finish() {
    // It may be between two connections.
    this.#last = this.#client.entries().filter(({ action, id, reasons }) => {
      let isOwn = nodeOf(id) === this.#client.nodeId && reasons.includes('syncing')
      return isOwn && !isRequest(action)
    })
  }

  /** Ends to work. Resolves when the log has everything. */
  async leave() {
    await this.#queue
    for (let { action, id, time } of this.#last) await this.#take(action, { id, time })
    for (let channel of [...this.#channels]) {
      await this.#request({ channel, type: 'logux/unsubscribe' })
    }
    for (let end of this.#ends) end()
    this.#log.end()
    this.ended()
  }

  /** Adds nothing more to the log, which is being cleaned. */
  forget() {
    this.#isForgotten = true
  }

  announce() {}

  // The connection of the engine.

  connect() {
    this.#connection += 1
    this.#client.ask('opened')
  }

  disconnect() {
    this.#isConnected = false
    this.#connection += 1
    this.#requests = []
    return true
  }

  send(frame) {
    let [type, ...message] = JSON.parse(frame)
    if (type === 'connect') {
      this.#isConnected = true
      this.#base = Date.now()
      this.#say(['connected', 5, `server:${random(8)}`, [this.#base, this.#base]])
      this.#feed(this.#undelivered.splice(0))
    } else if (type === 'sync') {
      let [added, ...pairs] = message
      let entries = this.#entriesOf(pairs)
      let connection = this.#connection
      this.#later(() => this.#receive(connection, added, entries))
    }
  }

  /** The client has opened something by a call of the engine. */
  opened(call) {
    let name = nameIn(call)
    // The requests of the engine come after it.
    if (this.#log.open(name)) this.#later(() => this.#load(name))
  }

  closed(call) {
    this.#log.close(nameIn(call))
  }

  async #load(name) {
    let entries = await this.#log.load(name)
    for (let [, { id, reasons }] of entries) {
      if (!reasons.includes('syncing')) continue
      this.#unanswered.add(id)
      this.#doubtful.add(id)
    }
    this.#feed(entries)
  }

  /** Finds the loaded actions whose answers have come while the log was read. */
  async #checkDoubtful() {
    for (let id of this.#doubtful) {
      if (!(await this.#log.isWaiting(id))) this.#isAnswered(id)
    }
    this.#doubtful.clear()
  }

  /** Gives the engine entries of the log. */
  #feed(entries) {
    if (!this.#isConnected) return void this.#undelivered.push(...entries)
    for (let start = 0; start < entries.length; start += MOST_ENTRIES) {
      let message = entries.slice(start, start + MOST_ENTRIES).flatMap(([action, { id, time }]) => {
        let [created, node, sequence] = id.split(' ')
        id = [created - this.#base, node, Number(sequence)]
        return [action, { id, time: time - this.#base }]
      })
      this.#sent += message.length / 2
      this.#say(['sync', this.#sent, ...message])
    }
  }

  #say(message) {
    if (this.#client.isClosed) return
    this.#client.ask({ frame: { frame: JSON.stringify(message) } })
  }

  /** Returns the actions of a message of the engine, with their ids and times. */
  #entriesOf(pairs) {
    let entries = []
    for (let index = 0; index < pairs.length; index += 2) {
      let { id, time } = pairs[index + 1]
      let [created, ...rest] = [id].flat()
      let [node, sequence] = rest.length === 2 ? rest : [this.#client.nodeId, rest[0] ?? 0]
      id = `${created + this.#base} ${node} ${sequence}`
      entries.push([pairs[index], { id, time: time + this.#base }])
    }
    return entries
  }

  async #receive(connection, added, entries) {
    for (let [action, meta] of entries) await this.#take(action, meta)
    if (connection === this.#connection) this.#say(['synced', added])
  }

  async #take(action, meta) {
    let { channel, type } = action
    if (!isRequest(action) && this.#unanswered.has(meta.id)) return
    if (await this.#isHidden(action)) {
      let undo = { action, id: meta.id, reason: 'encrypted', type: 'logux/undo' }
      return this.#feed([[undo, this.#answer()]])
    }
    if (!isRequest(action)) {
      this.#unanswered.add(meta.id)
      this.#tell()
      let isNew = await this.#add(action, { ...meta, sync: true })
      // The engine had it without its answer when it connected.
      if (!isNew && !(await this.#log.isWaiting(meta.id))) this.#isAnswered(meta.id)
    } else if (this.#isOnline) {
      await this.#request(action, meta.id)
    } else if (type === 'logux/unsubscribe') {
      this.#requests = this.#requests.filter(([request]) => request.channel !== channel)
      this.#feed([[{ id: meta.id, type: 'logux/processed' }, this.#answer()]])
    } else {
      this.#requests.push([action, meta.id])
    }
  }

  /** Sends the server a request of this connection, which the engine knows by an id. */
  async #request(action, id) {
    let { channel, type } = action
    if (type === 'logux/unsubscribe') this.#channels.delete(channel)
    else this.#channels.add(channel)
    let since = type === 'logux/subscribe' ? this.#since(action) : undefined
    // A state belongs to the node of the id. A server that knows the id of a subscription does not
    // subscribe another connection for it.
    let sent = type === 'presence/set' ? id : this.#official.log.generateId()
    this.#asked.set(sent, { action, id })
    await this.#add(since ? { ...action, since } : action, { ...ONCE, id: sent })
  }

  /** Returns since when the engine needs a channel. */
  #since({ channel, filter, since }) {
    if (!since) return filter ? undefined : this.#log.since(channel)
    // Its numbers are those of the connection to the engine, its times those of this device.
    return { id: since.id, time: isServers(since.id) ? parseInt(since.id) : since.time }
  }

  async #add(action, meta) {
    if (this.#isForgotten) return false
    let { log, options } = this.#official
    return log.add(action, { ...meta, subprotocol: options.subprotocol })
  }

  /** Returns the meta of an answer that the server does not give. */
  #answer() {
    let [created, , sequence] = this.#official.log.generateId().split(' ')
    return { id: `${created} server:${this.#client.tabId} ${sequence}`, time: Number(created) }
  }

  /** Whether `encryptActions` of the official client hides an action from the server. */
  async #isHidden(action) {
    let { clientId, node } = this.#official
    let { onReceive, onSend } = node.options
    if (!onReceive || !onSend) return false
    let sent = await onSend(action, { id: `0 ${clientId}:0 0`, sync: true, time: 0 })
    return sent && sent[0].type === '0'
  }

  // What the official client tells.

  /** This tab or another one has added an action to the log. */
  #added(action, meta) {
    let { id, type } = action
    let isServer = isServers(meta.id)
    let isAnswer = isServer && (type === 'logux/processed' || type === 'logux/undo')
    if (isAnswer) this.#isAnswered(id)
    if (isAnswer && this.#asked.has(id)) return this.#answered(action, meta)
    // The engine has it.
    if (nodeOf(meta.id) === this.#client.nodeId || this.#asked.has(meta.id)) return
    let name = this.#log.nameOf(action)
    let isOpen = this.#log.isOpen(name)
    if (isOpen && meta.sync && !isServer) this.#unanswered.add(meta.id)
    if (name !== undefined) this.#log.know(meta.id, name)
    if (isOpen) this.#later(() => this.#log.keep(action, meta, name))
    let isForEngine = isAnswer && nodeOf(id) === this.#client.nodeId
    if (isOpen || isForEngine || this.#log.isAbout(action)) this.#feed([[action, meta]])
    // The tabs have one connection.
    if (type === 'logux/unsubscribe' && this.#log.isOpen(action.channel)) this.#reconnect()
  }

  #isAnswered(id) {
    if (this.#unanswered.delete(id)) this.#tell()
  }

  /** The server has answered a request. */
  #answered(answer, meta) {
    let { action, id } = this.#asked.get(answer.id)
    this.#asked.delete(answer.id)
    if (id !== undefined) this.#feed([[{ ...answer, id }, meta]])
    this.#later(() => this.#checkDoubtful())
    let isSubscribed = action.type === 'logux/subscribe' && answer.type === 'logux/processed'
    if (isSubscribed && !action.filter) {
      this.#later(() => this.#log.subscribed(action.channel, meta.id))
    }
  }

  #stateIs(state) {
    if (this.#client.isClosed) return
    this.#tell(state)
    let isOnline = isOnlineIn(state)
    if (isOnline === this.#isOnline) return
    this.#isOnline = isOnline
    if (isOnline) {
      for (let request of this.#requests.splice(0)) this.#later(() => this.#request(...request))
    } else {
      this.#channels.clear()
      this.#asked.clear()
      this.#reconnect()
    }
  }

  /** Tells the client what to show. */
  #tell(state = this.#official.state) {
    if (this.#client.isClosed) return
    let status = state
    if (this.#unanswered.size > 0) {
      status = { connecting: 'connectingAfterWait', disconnected: 'wait' }[state] ?? state
    }
    this.#client.leaderSays({ state, status })
  }

  /** Lets the engine subscribe once more: it knows since when, and who is present is not known. */
  #reconnect() {
    if (!this.#isConnected || this.#client.isClosed) return
    this.disconnect()
    this.#client.ask('closed')
    this.#client.ask({ device: { device: 'online' } })
  }

  /**
   * A tab that follows hears of the last state only, so it may miss that the connection was lost
   * for a moment: the official client reads the state when it hears of a change.
   */
  #listenToTabs() {
    let { prefix, userId } = this.#official.options
    let listener = ({ key, newValue }) => {
      if (key !== `${prefix}:${userId}:state` || !newValue) return
      if (this.#official.role === 'follower') this.#stateIs(JSON.parse(newValue))
    }
    globalThis.window?.addEventListener('storage', listener)
    this.#ends.push(() => globalThis.window?.removeEventListener('storage', listener))
  }

  #later(job) {
    let done = this.#queue.then(job)
    this.#queue = done.catch(problem => this.#client.report(problem))
    return this.#queue
  }
}

/** Returns the name of what a call of the engine opens: a document's channel, or a plural. */
function nameIn({ open, openRecord, openRecords }) {
  if (open) return `${open.kind}/${open.id}`
  return (openRecords ?? openRecord).plural
}
