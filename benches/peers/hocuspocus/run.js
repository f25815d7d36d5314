// The load of `logux bench typing` on Hocuspocus: people who type into documents, each key an
// update of its own. Prints the latency from when a key was due to its arrival at another person,
// and the CPU time of the server, in cores.
//
//     npm ci && node run.js [PEOPLE] [DOCUMENTS] [KEYS_PER_SECOND] [SECONDS] [RUNS]
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import { fork } from 'node:child_process'
import { readFileSync } from 'node:fs'
import WebSocket from 'ws'
import * as Y from 'yjs'

let [people, documents, keys, seconds, runs] = [200, 20, 5, 5, 3].map((otherwise, index) =>
  Number(process.argv[2 + index] ?? otherwise)
)
let port = Number(process.env.PORT ?? 21950)

/** Returns the CPU time of a process, in seconds. */
function cpuTime(pid) {
  let stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  let fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

let server = fork(new URL('server.js', import.meta.url), [String(port)])
await new Promise(resolve => server.once('message', resolve))

/** When each letter was due, by the client id of Yjs and its clock. */
let due = new Map()
let latencies = []
let delivered = 0

function received(update) {
  let now = performance.now()
  for (let { id, length } of Y.decodeUpdate(update).structs) {
    let times = due.get(id.client)
    for (let clock = id.clock; times && clock < id.clock + length; clock++) {
      delivered++
      latencies.push(now - times[clock])
    }
  }
}

let typists = await Promise.all(
  Array.from({ length: people }, async (_, person) => {
    let websocketProvider = new HocuspocusProviderWebsocket({
      url: `ws://127.0.0.1:${port}`,
      WebSocketPolyfill: WebSocket
    })
    let document = new Y.Doc()
    let name = `document-${person % documents}`
    let provider = new HocuspocusProvider({ websocketProvider, name, document })
    provider.attach()
    await new Promise(resolve => provider.on('synced', resolve))
    due.set(document.clientID, [])
    document.on('update', (update, origin) => {
      if (origin === provider) received(update)
    })
    return { document, text: document.getText('text'), times: due.get(document.clientID) }
  })
)

let interval = 1_000 / (people * keys)
let start = performance.now()
let typed = 0
let typing = setInterval(() => {
  while (start + (typed + 1) * interval <= performance.now()) {
    let { text, times } = typists[typed % people]
    typed++
    times.push(start + typed * interval)
    text.insert(text.length, 'x')
  }
}, 1)

let sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
await sleep(1_000)
let ms = value => `${value.toFixed(2)} ms`
for (let run = 0; run < runs; run++) {
  latencies = []
  let [before, cpu, own, since] =
    [delivered, cpuTime(server.pid), process.cpuUsage(), performance.now()]
  await sleep(seconds * 1_000)
  let elapsed = (performance.now() - since) / 1_000
  let sorted = latencies.sort((a, b) => a - b)
  let at = share => ms(sorted[Math.floor((sorted.length - 1) * share)] ?? NaN)
  let { user, system } = process.cpuUsage(own)
  console.log(
    `${Math.round((delivered - before) / elapsed)} deliveries/s, p50 ${at(0.5)}, p99 ${at(0.99)}, ` +
      `max ${at(1)}, server ${((cpuTime(server.pid) - cpu) / elapsed).toFixed(2)} cores, ` +
      `clients ${((user + system) / 1e6 / elapsed).toFixed(2)} cores`
  )
}
clearInterval(typing)
await sleep(1_000)
let expected = typists.reduce(
  (sum, { times }, person) =>
    sum + times.length * (Math.ceil((people - (person % documents)) / documents) - 1),
  0
)
console.log(`${expected - delivered} of ${expected} deliveries lost`)
server.kill()
process.exit(delivered === expected ? 0 : 1)
