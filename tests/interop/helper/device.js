// The official client, unmodified, with what tests need around it: an inbox of
// all that came to its log, and waiting.

import {
  changeSyncMapById,
  Client,
  createFilter,
  createSyncMap,
  deleteSyncMapById,
  syncMapTemplate
} from '@logux/client'

import { TracedWebSocket } from './trace.js'
import { Inbox, show, within } from './wait.js'

globalThis.WebSocket = TracedWebSocket

// The client prints each `debug` of a development server, the frames of a
// failed test have them anyway.
let { error } = console
console.error = (...args) => {
  if (!String(args[0]).startsWith('Error on Logux server')) error(...args)
}

/**
 * Waits until the value of a store is as `check` wants it, also if it is so
 * already: changes that come together are one, so a test cannot count them.
 * `what` returns what was wanted, for the error.
 */
export function shows(store, check, what) {
  let shown = new Promise(resolve => {
    store.subscribe(value => {
      if (check(value)) resolve(value)
    })
  })
  return within(shown, () => `${what()}; shown: ${show(store.get())}`)
}

export class Device {
  errors = new Inbox()
  /** `[action, meta]` of all that was added to the log, also the own. */
  inbox = new Inbox()
  #templates = {}

  constructor(server, userId, { Class = Client, ...options } = {}) {
    this.client = new Class({
      maxDelay: 200,
      minDelay: 50,
      server: server.url,
      subprotocol: 3,
      token: 'good',
      userId,
      ...options
    })
    // Without a listener the node throws in the callback of a socket.
    this.client.node.catch(error => this.errors.push(error))
    this.client.log.on('add', (action, meta) => {
      this.inbox.push([action, meta])
    })
  }

  get userId() {
    return this.client.options.userId
  }

  async start() {
    this.client.start()
    await this.state('synchronized')
    return this
  }

  state(state) {
    return within(
      this.client.node.waitFor(state),
      () =>
        `${this.userId} to be ${state}, it is ${this.client.node.state}; ` +
        `errors: ${show(this.errors.all)}`
    )
  }

  async offline() {
    this.client.node.connection.disconnect()
    await this.state('disconnected')
  }

  async online() {
    this.client.node.connection.connect()
    await this.state('synchronized')
  }

  /** Sends and waits: `processed`, or the action `logux/undo`. */
  send(action, meta) {
    return this.outcome(this.client.sync(action, meta), show(action))
  }

  outcome(sent, what = 'the action') {
    let outcome = sent.then(
      () => 'processed',
      error => {
        if (error.name !== 'LoguxUndoError') throw error
        return error.action
      }
    )
    return within(outcome, () => `processed or undo of ${what}`)
  }

  subscribe(channel, more = {}) {
    return this.send({ channel, type: 'logux/subscribe', ...more })
  }

  /** The next `[action, meta]` of the type. */
  hears(type) {
    return this.inbox.next(
      ([action]) => action.type === type,
      `${type} at ${this.userId}`
    )
  }

  /** All actions of the type that have come. */
  heard(type) {
    return this.inbox.all.map(i => i[0]).filter(i => i.type === type)
  }

  // Templates of the official client cache stores by id alone, so each client
  // of a process needs templates of its own.
  template(plural) {
    this.#templates[plural] ??= syncMapTemplate(plural)
    return this.#templates[plural]
  }

  create(plural, value) {
    let made = createSyncMap(this.client, this.template(plural), value)
    return this.outcome(made, `create ${show(value)}`)
  }

  change(plural, id, fields) {
    let template = this.template(plural)
    let made = changeSyncMapById(this.client, template, id, fields)
    return this.outcome(made, `change ${id} ${show(fields)}`)
  }

  delete(plural, id) {
    let made = deleteSyncMapById(this.client, this.template(plural), id)
    return this.outcome(made, `delete ${id}`)
  }

  /** The store of one record, mounted and loaded. */
  async record(plural, id) {
    let store = this.template(plural)(id, this.client)
    store.listen(() => {})
    await within(store.loading, `${plural}/${id} to load for ${this.userId}`)
    return store
  }

  /** The store of a filter, mounted and loaded. */
  async filter(plural, filter) {
    let store = createFilter(this.client, this.template(plural), filter)
    store.listen(() => {})
    await within(store.loading, `${plural} to load for ${this.userId}`)
    return store
  }

  destroy() {
    this.client.destroy()
  }
}

/** Waits until the record has these fields. */
export function has(store, fields) {
  let check = value => Object.keys(fields).every(i => value[i] === fields[i])
  return shows(store, check, () => `a record with ${show(fields)}`)
}

/** Waits until the filter lists these ids. */
export function lists(store, ...ids) {
  let wanted = ids.sort().join()
  let check = value => value.list.map(i => i.id).sort().join() === wanted
  return shows(store, check, () => `a list of ${show(ids)}`)
}
