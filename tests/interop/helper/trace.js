// Everything that official clients and raw sockets said in the running test,
// for the report of a failure.

import { WebSocket as Ws } from 'ws'

let started = Date.now()
let lines = []

export function clearTrace() {
  started = Date.now()
  lines = []
}

export function readTrace() {
  return lines.slice(-80).join('\n')
}

export function trace(who, text) {
  let line = `${String(Date.now() - started).padStart(6)} ms  ${who} ${text}`
  lines.push(line.length > 600 ? `${line.slice(0, 600)}…` : line)
}

let sockets = 0

/** The socket of `ws`, because Node 20 has no global one. */
export class TracedWebSocket extends Ws {
  constructor(url, protocols) {
    // A browser has a task for each message. With several in one, the filter
    // of the official client loses fields of a record that it just learns of.
    super(url, protocols, { allowSynchronousEvents: false })
    this.who = `socket ${++sockets}`
    this.on('message', data => trace(this.who, `← ${data}`))
    this.on('close', () => trace(this.who, 'closed'))
  }

  send(data, ...args) {
    if (typeof data === 'string' && data.startsWith('["connect"')) {
      this.who = JSON.parse(data)[2]
    }
    trace(this.who, `→ ${data}`)
    super.send(data, ...args)
  }
}
