// The network between a client and the server: passes frames, loses those it
// is told to lose, and cuts without a word.

import { WebSocket, WebSocketServer } from 'ws'

import { freePort } from './server.js'
import { trace } from './trace.js'

export class Wire {
  /** `(to, frame) => boolean`: frames to lose; `to` is `client` or `server`. */
  loses = () => false
  #pairs = new Set()

  constructor(target) {
    this.target = target
  }

  async listen() {
    let port = await freePort()
    this.url = `ws://127.0.0.1:${port}/`
    this.server = new WebSocketServer({ host: '127.0.0.1', port })
    this.server.on('connection', client => this.#join(client))
    await new Promise(resolve => {
      this.server.once('listening', resolve)
    })
    return this
  }

  #join(client) {
    let server = new WebSocket(this.target)
    let pair = [client, server]
    this.#pairs.add(pair)
    let early = []
    server.on('open', () => {
      for (let text of early.splice(0)) server.send(text)
    })
    client.on('message', data => {
      if (this.#passes('server', data)) {
        if (server.readyState === WebSocket.OPEN) server.send(String(data))
        else early.push(String(data))
      }
    })
    server.on('message', data => {
      if (this.#passes('client', data)) client.send(String(data))
    })
    for (let socket of pair) {
      socket.on('error', () => {})
      socket.on('close', () => {
        for (let i of pair) i.terminate()
        this.#pairs.delete(pair)
      })
    }
  }

  #passes(to, data) {
    if (!this.loses(to, JSON.parse(data))) return true
    trace('wire', `lost on the way to the ${to}: ${data}`)
    return false
  }

  /** Ends all connections at once; both sides see only that it broke. */
  cut() {
    trace('wire', 'cut')
    for (let pair of this.#pairs) {
      for (let socket of pair) socket.terminate()
    }
  }

  async destroy() {
    this.cut()
    await new Promise(resolve => {
      this.server.close(resolve)
    })
  }
}
