// What others feel while some readers open a large collection: the round trips of one client in a
// process of its own, before and during the loads.
//
//     cargo build --release -p logux-cli
//     (cd tests/interop && npm ci --legacy-peer-deps)
//     node benches/loads.mjs target/release/logux 20000 4
import { fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { openSocket } from './socket.mjs'

let port = Number(process.env.PORT || 31981)

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
    send(['connect', 5, node, 0])
  })
  return { close: () => socket.close(), send }
}

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
    times = []
  })
  process.on('disconnect', () => process.exit())
  for (let number = 1; ; number++) {
    let start = performance.now()
    let done = new Promise(resolve => {
      answered = resolve
    })
    let type = number === 1 ? 'tasks/create' : 'tasks/change'
    let action = { fields: { number }, id: 'innocent', type }
    client.send(['sync', number, action, { id: number, time: number }])
    await done
    times.push(performance.now() - start)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

let [program = 'target/release/logux', records = '20000', readers = '4'] = process.argv.slice(2)
let folder = mkdtempSync(join(process.env.FOLDER || tmpdir(), 'logux-loads-'))
let args = ['serve', '--dev', '--collection', 'tasks', '--port', port]
let server = spawn(program, [...args, '--db', join(folder, 'logux.db')], { stdio: 'ignore' })

let answers = 0
let filled
let author = await connect('10:author:1', action => {
  if (action.type === 'logux/processed' && ++answers === Number(records)) filled()
})
await new Promise(resolve => {
  filled = resolve
  for (let first = 0; first < records; first += 100) {
    let sync = ['sync', first + 100]
    for (let number = first; number < first + 100; number++) {
      let fields = { done: number % 2 === 0, text: 'x'.repeat(200), title: `Task ${number}` }
      sync.push({ fields, id: `${number}`, type: 'tasks/create' })
      sync.push({ id: [number, '10:author:1', 0], time: number })
    }
    author.send(sync)
  }
})
author.close()

let innocent = fork(new URL(import.meta.url).pathname, ['innocent'])
let show = async title => {
  innocent.send('times')
  let { count, max, p50, p99 } = await new Promise(resolve => innocent.once('message', resolve))
  let [a, b, c] = [p50, p99, max].map(time => time.toFixed(1))
  console.log(`${title}: ${count} round trips, p50 ${a} ms, p99 ${b} ms, max ${c} ms`)
}
await new Promise(resolve => setTimeout(resolve, 3000))
await show('alone')

let start = performance.now()
let filters = [{}, {}, { done: true }, { done: true }]
await Promise.all(
  Array.from({ length: Number(readers) }, async (_, number) => {
    let received = 0
    let loaded
    let client = await connect(`3${number}:reader:1`, action => {
      if (action.type === 'tasks/changed') received++
      if (action.type === 'logux/processed') loaded()
    })
    await new Promise(resolve => {
      loaded = resolve
      let filter = process.env.FILTER ? filters[number % 4] : {}
      let action = { channel: 'tasks', filter, type: 'logux/subscribe' }
      client.send(['sync', 1, action, { id: 1, time: 1 }])
    })
    let seconds = ((performance.now() - start) / 1000).toFixed(2)
    console.log(`reader ${number}: ${received} actions after ${seconds} s`)
  })
)
await show(`while ${readers} readers load`)
innocent.disconnect()
server.kill()
await new Promise(resolve => server.once('exit', resolve))
rmSync(folder, { recursive: true })
process.exit()
