// The work of crates/logux-client/benches/client.rs, done by `@logux/client`. Prints one line of
// JSON. The packages come from tests/interop.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

let require = createRequire(new URL('../../tests/interop/package.json', import.meta.url))
let load = name => import(pathToFileURL(require.resolve(name)))
let { Client } = await load('@logux/client')
globalThis.WebSocket = (await load('ws')).default

let [command, count, url = 'ws://127.0.0.1:1'] = process.argv.slice(2)
count = Number(count)

let client = new Client({ allowDangerousProtocol: true, server: url, subprotocol: 0, token: 'good', userId: '10' })
client.node.catch(() => {})
let change = n => ({ fields: { title: 'Tea' }, id: `${n}`, type: 'tasks/change' })

// What a client does offline. Its memory store walks its list at each add of a later action, so
// actions are added in reverse, with their ids: its fastest way.
async function addOffline(actions, meta = {}) {
  let start = Date.now()
  for (let n = actions - 1; n >= 0; n--) {
    let time = start - actions + n
    let id = `${time} ${client.nodeId} 0`
    await client.log.add(change(n), { id, sync: true, time, ...meta })
  }
}

function print(result) {
  console.log(JSON.stringify(result))
  process.exit(0)
}

let connected = () => {
  client.start()
  return client.waitFor('synchronized')
}

if (command === 'memory') {
  await addOffline(1)
  global.gc()
  let before = process.memoryUsage().rss
  await addOffline(count)
  global.gc()
  print({ kib: (process.memoryUsage().rss - before) / 1024 })
} else if (command === 'reconnect') {
  await addOffline(count)
  let answers = 0
  let done = new Promise(resolve => {
    client.log.on('add', action => {
      if (action.type === 'logux/processed' && ++answers === count) resolve()
    })
  })
  let start = performance.now()
  client.start()
  await done
  print({ ms: performance.now() - start })
} else if (command === 'single') {
  await connected()
  await client.sync(change(0))
  let start = performance.now()
  for (let n = 0; n < count; n++) await client.sync(change(n))
  print({ us: ((performance.now() - start) * 1000) / count })
} else if (command === 'kept') {
  let start = performance.now()
  for (let n = 0; n < count; n++) await client.log.add(change(n), { sync: true })
  print({ us: ((performance.now() - start) * 1000) / count })
} else if (command === 'idle') {
  await connected()
  for (let n = 0; n < 1000; n++) {
    await client.sync({ channel: `notes/${n}`, type: 'logux/subscribe' })
  }
  await new Promise(resolve => setTimeout(resolve, 1000))
  let before = process.cpuUsage()
  await new Promise(resolve => setTimeout(resolve, count * 1000))
  let { system, user } = process.cpuUsage(before)
  print({ us: system + user })
}
