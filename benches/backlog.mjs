// What one client did offline, processed by a server with a durable log: the actions per second
// from the first byte to the last answer.
//
//     cargo build --release -p logux-cli
//     (cd tests/interop && npm ci --legacy-peer-deps)
//     node benches/backlog.mjs target/release/logux 3000
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { openSocket } from './socket.mjs'

let [program = 'target/release/logux', count = '3000'] = process.argv.slice(2)
let actions = Number(count)
let port = Number(process.env.PORT || 31980)
let folder = mkdtempSync(join(process.env.FOLDER || tmpdir(), 'logux-backlog-'))
let args = ['serve', '--dev', '--collection', 'tasks', '--port', port]
let server = spawn(program, [...args, '--db', join(folder, 'logux.db')], { stdio: 'ignore' })

let socket = await openSocket(port)
let send = message => socket.send(JSON.stringify(message))
let answers = 0
let start
await new Promise((resolve, reject) => {
  socket.on('close', () => reject(new Error('the connection was closed')))
  socket.on('message', data => {
    let message = JSON.parse(data)
    if (message[0] === 'connected') {
      start = performance.now()
      for (let first = 0; first < actions; first += 100) {
        let sync = ['sync', first + 100]
        for (let number = first; number < Math.min(first + 100, actions); number++) {
          let fields = { title: `Task ${number}`, done: false }
          sync.push({ type: 'tasks/create', id: `${number}`, fields })
          sync.push({ id: [number, '10:bench:1', 0], time: number })
        }
        send(sync)
      }
    } else if (message[0] === 'sync') {
      send(['synced', message[1]])
      for (let i = 2; i < message.length; i += 2) {
        if (message[i].type === 'logux/undo') reject(new Error(JSON.stringify(message[i])))
        if (message[i].type === 'logux/processed') answers++
      }
      if (answers === actions) resolve()
    }
  })
  send(['connect', 5, '10:bench:1', 0])
})
let seconds = (performance.now() - start) / 1000
console.log(`${actions} actions in ${seconds.toFixed(2)} s: ${Math.round(actions / seconds)}/s`)
socket.removeAllListeners('close')
socket.close()
server.kill()
await new Promise(resolve => server.once('exit', resolve))
rmSync(folder, { recursive: true })
