// The protocol by hand, for what an official client never does: say a thing
// twice, forge, speak out of order. Frames are as on the wire; `sync` and
// `heard` translate ids and times, which the wire tells relative to the moment
// of `connected`.

import { TracedWebSocket } from './trace.js'
import { Inbox, within } from './wait.js'

export class RawClient {
  /** All frames except `debug` and `synced` which answers nothing of ours. */
  frames = new Inbox()
  /** `[action, meta]` of all syncs, ids and times made absolute. */
  heard = new Inbox()
  /** Whether received actions are confirmed. */
  confirms = true
  #syncs = 0
  #times = new Map()

  constructor(url) {
    this.url = url
  }

  async open() {
    this.ws = new TracedWebSocket(this.url)
    this.closed = new Promise(resolve => {
      this.ws.once('close', resolve)
    })
    this.ws.on('message', data => this.#read(JSON.parse(data)))
    this.ws.on('error', () => {})
    let opened = new Promise(resolve => {
      this.ws.once('open', resolve)
    })
    await within(opened, `a connection to ${this.url}`)
    return this
  }

  #read(frame) {
    if (frame[0] === 'connected') {
      this.serverId = frame[2]
      this.baseTime = frame[3][1]
    } else if (frame[0] === 'sync') {
      for (let i = 2; i < frame.length; i += 2) {
        let meta = frame[i + 1]
        this.heard.push([frame[i], { ...meta, ...this.#absolute(meta) }])
      }
      if (this.confirms) this.send(['synced', frame[1]])
    }
    if (frame[0] !== 'debug') this.frames.push(frame)
  }

  #absolute({ id, time }) {
    let parts = typeof id === 'number' ? [id] : id
    let [shift, node, seq] =
      parts.length === 3 ? parts : [parts[0], this.serverId, parts[1] ?? 0]
    return {
      id: `${shift + this.baseTime} ${node} ${seq}`,
      time: time + this.baseTime
    }
  }

  text(text) {
    this.ws.send(text)
  }

  send(frame) {
    this.text(JSON.stringify(frame))
  }

  frame(type) {
    return this.frames.next(i => i[0] === type, `the frame ${type}`)
  }

  /** Sends `connect`, gives what is answered: `connected` or `error`. */
  async connect(
    nodeId,
    { options = { subprotocol: 3, token: 'good' }, protocol = 5 } = {}
  ) {
    this.nodeId = nodeId
    this.send(['connect', protocol, nodeId, 0, options])
    let answers = ['connected', 'error']
    return this.frames.next(i => answers.includes(i[0]), 'an answer to connect')
  }

  /** A new id of this node, or of another one. */
  id(node = this.nodeId) {
    let now = Date.now()
    let seq = this.#times.get(now) ?? 0
    this.#times.set(now, seq + 1)
    return `${now} ${node} ${seq}`
  }

  /** Sends the action without waiting; gives its id. */
  sync(action, { id = this.id(), meta = {} } = {}) {
    let [time, node, seq] = id.split(' ')
    let shift = Number(time) - this.baseTime
    this.#syncs += 1
    this.send([
      'sync',
      this.#syncs,
      action,
      { id: [shift, node, Number(seq)], time: shift, ...meta }
    ])
    return id
  }

  /** Waits for the next `logux/processed` or `logux/undo` of the id. */
  async answer(id) {
    let types = ['logux/processed', 'logux/undo']
    let [action] = await this.heard.next(
      i => types.includes(i[0].type) && i[0].id === id,
      `processed or undo of ${id} at ${this.nodeId}`
    )
    return action
  }

  /** Sends the action and waits for the answer. */
  ask(action, options) {
    return this.answer(this.sync(action, options))
  }

  subscribe(channel, more) {
    return this.ask({ channel, type: 'logux/subscribe', ...more })
  }

  async hears(type) {
    let [action, meta] = await this.heard.next(
      i => i[0].type === type,
      `${type} at ${this.nodeId}`
    )
    return { action, meta }
  }

  /** All actions of the type that have come. */
  all(type) {
    return this.heard.all.map(i => i[0]).filter(i => i.type === type)
  }

  ends() {
    return within(this.closed, `${this.nodeId} to be disconnected`)
  }

  async destroy() {
    this.ws.terminate()
    await this.closed
  }
}
