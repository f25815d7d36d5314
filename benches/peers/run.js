// The work of benches/log.rs and benches/sync.rs, done by the official JavaScript packages. Prints a JSON object: name → ns for each action.
//
// The packages come from tests/interop. Their memory store walks its list at each add, so the time of n adds grows with n²: the larger
// counts are left out.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

let require = createRequire(new URL('../../tests/interop/package.json', import.meta.url))
let core = await import(pathToFileURL(require.resolve('@logux/core')))
let { Log, MemoryStore, ServerNode } = core

const ACTION = { type: 'tasks/change', id: 'abc', fields: { title: 'Tea' } }
const START = 1564508138460
const NODES = ['10:a:x', '10:b:x', '20:c:x', '20:d:x']

function ids(count) {
  return Array.from({ length: count }, (_, n) => [START + n, `${START + n} ${NODES[n % 4]} 0`])
}

function shuffled(list) {
  let state = 42n
  for (let n = list.length - 1; n > 0; n--) {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn
    let other = Number(state >> 33n) % (n + 1)
    ;[list[n], list[other]] = [list[other], list[n]]
  }
  return list
}

async function fill(list) {
  let log = new Log({ nodeId: 'server:x', store: new MemoryStore() })
  for (let [time, id] of list) {
    await log.add({ ...ACTION }, { id, time, reasons: ['kept'] })
  }
  return log
}

// The median of several runs, in ns for each of `units`.
async function measure(units, prepare, work, least = 5, ms = 1000) {
  let times = []
  let begin = performance.now()
  while (times.length < least || performance.now() - begin < ms) {
    let prepared = await prepare()
    let start = process.hrtime.bigint()
    await work(prepared)
    times.push(Number(process.hrtime.bigint() - start))
    if (times.length >= 2 && performance.now() - begin > 20000) break
  }
  times.sort((a, b) => a - b)
  return times[times.length >> 1] / units
}

let results = {}

for (let count of [1000, 10000]) {
  let orders = {
    'add in order': ids(count),
    'add in reverse': ids(count).reverse(),
    'add at random': shuffled(ids(count))
  }
  for (let name in orders) {
    results[`${name}/${count}`] = await measure(count, () => orders[name], fill)
  }
  let log = await fill(orders['add in reverse'])
  results[`walk/${count}`] = await measure(count, () => log, l => l.each({ order: 'created' }, (action, meta) => void meta.added))
  let [time, id] = ids(count)[count / 2]
  results[`remove_reason of half/${count}`] = await measure(
    count / 2,
    () => fill(orders['add in reverse']),
    l => l.removeReason('kept', { olderThan: { id, time } })
  )
}

// A server's end with a connection that only writes and parses JSON.
class Connection {
  constructor() {
    this.connected = true
    this.listeners = {}
  }
  on(event, listener) {
    this.listeners[event] = listener
    return () => {}
  }
  send(message) {
    this.sent = JSON.stringify(message)
  }
  receive(text) {
    this.listeners.message(JSON.parse(text))
  }
  disconnect() {
    throw new Error('The message was refused')
  }
}

async function server() {
  let connection = new Connection()
  let log = new Log({ nodeId: 'server:x', store: new MemoryStore() })
  let node = new ServerNode('server:x', log, connection, { ping: 0, timeout: 0 })
  await node.initializing
  node.onConnect()
  connection.receive(JSON.stringify(['connect', 5, '10:client:tab', 0]))
  await new Promise(resolve => setTimeout(resolve, 10))
  node.baseTime = START
  // What becomes of the actions is not measured.
  delete node.received
  node.log = { add() {}, store: { setLastSynced() {} } }
  return [node, connection]
}

for (let count of [1, 100]) {
  let [node, connection] = await server()
  let entries = Array.from({ length: count }, (_, n) => [
    ACTION,
    { id: `${START + 5} 20:other:tab ${n + 1}`, time: START + 4, added: n + 1 }
  ])
  let repeats = Math.ceil(20000 / count)
  results[`encode sync/${count}`] = await measure(count * repeats, () => {}, () => {
    for (let i = 0; i < repeats; i++) {
      node.sendSync(7, entries)
      connection.receive('["synced",7]')
    }
  }, 20)
  let frame = JSON.stringify(
    ['sync', 7].concat(...Array.from({ length: count }, () => [ACTION, { id: [5, '10:client:tab', 3], time: 4 }]))
  )
  results[`decode sync/${count}`] = await measure(count * repeats, () => {}, () => {
    for (let i = 0; i < repeats; i++) connection.receive(frame)
  }, 20)
}

console.log(JSON.stringify(results))
process.exit(0)
