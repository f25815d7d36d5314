// The log of a client and its connection, as applications and functions of `@logux/client` see
// them.

import { Events } from './events.js'

/** What has happened in the log of a client. */
export class ClientLog {
  #client
  #events = new Events()
  #isObserved = false

  constructor(client) {
    this.#client = client
  }

  get nodeId() {
    return this.#client.nodeId
  }

  /** Calls a function with the action and its meta at `preadd`, `add` or `clean`. */
  on(event, listener) {
    if (!this.#isObserved && event !== 'preadd') {
      this.#isObserved = true
      this.#client.ask('observeLog')
    }
    return this.#events.on(event, listener)
  }

  /** Calls a function at the actions of a type, or of one thing. */
  type(type, listener, { event = 'add', id } = {}) {
    // A creator of actions has the type of its actions.
    let wanted = typeof type === 'string' ? type : type.type
    return this.on(event, (action, meta) => {
      if (action.type !== wanted || (id !== undefined && action.id !== id)) return
      listener(action, meta)
    })
  }

  /** Returns the id for an action that is added later. */
  generateId() {
    return this.#client.ask('generateId')
  }

  /** Adds an action. Resolves with its meta, or `false`, if the log has an action with its id. */
  async add(action, meta = {}) {
    if (meta.sync) {
      let { id, kept } = this.#client.sync(action, meta)
      await kept
      return { ...meta, id }
    }
    let added = this.#client.ask({ add: { action, meta: this.draft(action, meta) } })
    await this.#client.kept
    return added ?? false
  }

  /** Returns the meta of an own action, which listeners may change. */
  draft(action, meta) {
    let draft = { ...meta, reasons: [...(meta.reasons ?? [])] }
    this.#events.emit('preadd', action, draft)
    return draft
  }

  /** Called by the client. */
  emit(event, action, meta) {
    this.#events.emit(event, action, meta)
  }
}

/** The connection of a client, with the properties that a node of `@logux/core` has. */
export class ClientNode {
  #client
  #events = new Events()

  constructor(client) {
    this.#client = client
    this.connection = {
      get connected() {
        return client.connected
      },
      url: client.options.server
    }
  }

  get localNodeId() {
    return this.#client.nodeId
  }

  /** The node id of the server, or of the tab that leads. */
  get remoteNodeId() {
    return this.#client.ask('server') ?? undefined
  }

  get state() {
    return this.#client.state
  }

  get connected() {
    return this.#client.connected
  }

  /** Calls a function at `state`, `error`, `clientError` or `debug`. */
  on(event, listener) {
    return this.#events.on(event, listener)
  }

  /** Called by the client. */
  emit(event, ...values) {
    this.#events.emit(event, ...values)
  }
}
