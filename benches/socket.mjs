// A WebSocket to a server that has just been started.
import { createRequire } from 'node:module'

let require = createRequire(new URL('../tests/interop/package.json', import.meta.url))
let WebSocket = require('ws')

/** Opens a socket. Tries for 5 s while the server starts. */
export async function openSocket(port) {
  for (let attempt = 0; ; attempt++) {
    let socket = new WebSocket(`ws://127.0.0.1:${port}`)
    let opened = await new Promise(resolve => {
      socket.once('open', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    if (opened) return socket
    if (attempt === 100) throw new Error('the server does not start')
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
