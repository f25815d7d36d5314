// What others feel while the server settles a document that is edited all the time: the round
// trips of one client that edits another document, in a process of its own, without settlement and
// with it.
//
//     cargo build --release -p logux-server --example documents --all-features
//     (cd tests/interop && npm ci --legacy-peer-deps)
//     node benches/settling.mjs target/release/examples/documents 40000 5000 2000
import { fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { openSocket } from './socket.mjs'

let port = Number(process.env.PORT || 31982)

/** Connects a client that confirms what it receives, and passes the actions to `receive`. */
async function connect(node, receive) {
  let socket = await openSocket(port)
  let send = message => socket.send(JSON.stringify(message))
  await new Promise((resolve, reject) => {
    socket.on('close', () => reject(new Error(`${node}: the connection was closed`)))
    socket.on('message', data => {
      let message = JSON.parse(data)
      if (message[0] === 'connected') resolve()
      if (message[0] !== 'sync') return
      send(['synced', message[1]])
      for (let i = 2; i < message.length; i += 2) {
        if (message[i].type === 'logux/undo') throw new Error(JSON.stringify(message[i]))
        receive(message[i])
      }
    })
    send(['connect', 5, node, 0, { subprotocol: 3, token: 'any' }])
  })
  return { close: () => socket.close(), send }
}

function edit(id, path, value) {
  return { id, ops: [{ op: 'set', path, value }], type: 'notes/edit' }
}

let sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

if (process.argv[2] === 'innocent') {
  let answered
  let client = await connect('20:innocent:1', action => {
    if (action.type === 'logux/processed') answered()
  })
  let times = []
  process.on('message', () => {
    times.sort((a, b) => a - b)
    let at = part => times[Math.min(times.length - 1, Math.floor(times.length * part))]
    process.send({ count: times.length, max: at(1), p50: at(0.5), p99: at(0.99) })
  })
  process.on('disconnect', () => process.exit())
  for (let number = 1; ; number++) {
    let start = performance.now()
    let done = new Promise(resolve => {
      answered = resolve
    })
    let action = edit('innocent', '/number', number)
    client.send(['sync', number, action, { id: number, time: number }])
    await done
    times.push(performance.now() - start)
    await sleep(5)
  }
}

let [program = 'target/release/examples/documents', edits = '40000', open = '5000', rate = '2000'] =
  process.argv.slice(2)

async function run(title, open) {
  let folder = mkdtempSync(join(process.env.FOLDER || tmpdir(), 'logux-settling-'))
  let env = { ...process.env, LOGUX_DB: join(folder, 'log.db') }
  env = { ...env, LOGUX_OPEN: String(open), LOGUX_PORT: String(port), RUST_LOG: 'off' }
  let server = spawn(program, [], { env, stdio: 'ignore' })
  let snapshots = 0
  let reader = await connect('40:reader:1', action => {
    if (action.type === 'notes/snapshot') snapshots++
  })
  let subscribe = { channel: 'notes/busy', type: 'logux/subscribe' }
  reader.send(['sync', 1, subscribe, { id: 1, time: 1 }])
  let answers = 0
  let author = await connect('10:author:1', action => {
    if (action.type === 'logux/processed') answers++
  })
  let innocent = fork(new URL(import.meta.url).pathname, ['innocent'])
  await sleep(500)
  let start = performance.now()
  for (let first = 1; first <= edits; first += 20) {
    let sync = ['sync', first + 19]
    for (let number = first; number < first + 20; number++) {
      sync.push(edit('busy', `/field${number % 1000}`, number))
      sync.push({ id: [number, '10:author:1', 0], time: number })
    }
    author.send(sync)
    let due = (first / rate) * 1000 - (performance.now() - start)
    if (due > 0) await sleep(due)
  }
  while (answers < edits) await sleep(20)
  let seconds = ((performance.now() - start) / 1000).toFixed(1)
  innocent.send('times')
  let { count, max, p50, p99 } = await new Promise(resolve => innocent.once('message', resolve))
  let [a, b, c] = [p50, p99, max].map(time => time.toFixed(1))
  console.log(
    `${title}: ${edits} edits in ${seconds} s, ${snapshots} snapshots; ` +
      `${count} round trips, p50 ${a} ms, p99 ${b} ms, max ${c} ms`
  )
  innocent.disconnect()
  reader.close()
  author.close()
  server.kill()
  await new Promise(resolve => server.once('exit', resolve))
  rmSync(folder, { recursive: true })
}

await run('without settlement', 1_000_000_000)
await run('with settlement', open)
process.exit()
