// What the official package makes of messages, through its own server node on a connection that only remembers.
//
// Each line of the input is a question, each line of the output its answer:
// - `{"text": TEXT}`: a message comes. The answer is `accepts`, `throws`, or the text of the error that is sent.
// - `{"expand": COMPACT, "base": MS, "sender": NODE}`: the text of the id.
// - `{"compact": ID, "base": MS, "sender": NODE}`: the JSON of the short form.

import { BaseNode, Log, MemoryStore, ServerNode } from '@logux/core'
import { createInterface } from 'node:readline'

class Connection {
  connected = true
  listeners = {}
  sent = []

  connect() {}

  disconnect() {}

  emit(event, ...args) {
    this.listeners[event](...args)
  }

  on(event, listener) {
    this.listeners[event] = listener
    return () => {}
  }

  send(message) {
    this.sent.push(message)
  }
}

// The shape is asked for, not what follows from a message.
class Judge extends ServerNode {
  constructor(connection) {
    super('server:judge', new Log({ nodeId: 'server:judge', store: new MemoryStore() }), connection, { ping: 0, timeout: 0 })
    this.connected = true
    for (let name of ['connect', 'connected', 'debug', 'error', 'headers', 'ping', 'pong', 'sync', 'synced', 'duilian']) {
      this[name + 'Message'] = () => {}
    }
    this.authenticated = true
  }
}

function judge(text) {
  let connection = new Connection()
  let node = new Judge(connection)
  node.catch(() => {})
  let message
  try {
    message = JSON.parse(text)
  } catch {
    let error = new Error('Wrong message format')
    error.received = text
    connection.emit('error', error)
    return JSON.stringify(connection.sent[0])
  }
  try {
    connection.emit('message', message)
  } catch {
    return 'throws'
  }
  return connection.sent.length > 0 ? JSON.stringify(connection.sent[0]) : 'accepts'
}

async function expand({ base, expand, sender }) {
  let connection = new Connection()
  let log = new Log({ nodeId: 'server:judge', store: new MemoryStore() })
  let node = new BaseNode('server:judge', log, connection)
  node.authenticated = true
  node.baseTime = base
  node.remoteNodeId = sender
  let id
  log.on('preadd', (action, meta) => {
    id = meta.id
  })
  connection.emit('message', ['sync', 1, { type: 'a' }, { id: expand, time: 0 }])
  await new Promise(resolve => setImmediate(resolve))
  return id
}

function compact({ base, compact, sender }) {
  let connection = new Connection()
  let node = new BaseNode(sender, new Log({ nodeId: sender, store: new MemoryStore() }), connection)
  node.connected = true
  node.baseTime = base
  node.sendSync(1, [[{ type: 'a' }, { id: compact, time: 0 }]])
  return JSON.stringify(connection.sent[0][3].id)
}

let answers = []
for await (let line of createInterface({ input: process.stdin })) {
  let question = JSON.parse(line)
  if ('text' in question) {
    answers.push(judge(question.text))
  } else if ('expand' in question) {
    answers.push(await expand(question))
  } else {
    answers.push(compact(question))
  }
}
process.stdout.write(answers.map(answer => answer + '\n').join(''), () => process.exit())
