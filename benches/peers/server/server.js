// The application of `logux bench` on the official server, with nothing that
// could slow it down: production, memory store, no log lines.
//
//     node server.js 31339

import { Server } from '@logux/server'
import { createServer } from 'node:http'

let port = parseInt(process.argv[2] ?? '31339')

let silent = () => {}
let logger = {
  debug: silent,
  error: (details, msg) => process.stderr.write(`${msg} ${JSON.stringify(details)}\n`),
  fatal: (details, msg) => process.stderr.write(`${msg} ${JSON.stringify(details)}\n`),
  info: silent,
  warn: silent
}

// The official server opens its port before it listens to connections: who
// comes in between is accepted and never answered. With an HTTP server of ours
// the port opens last.
let http = createServer()

let server = new Server({
  env: 'production',
  logger,
  minSubprotocol: 0,
  server: http,
  subprotocol: 0
})

server.auth(() => true)

server.type('bench/note', {
  access: () => true,
  resend: () => 'bench'
})

server.channel('bench', {
  access: () => true
})

process.on('SIGTERM', async () => {
  await server.destroy()
  process.exit(0)
})

await server.listen()
http.listen(port, '127.0.0.1', 4096, () => {
  process.stdout.write(`listening on ws://127.0.0.1:${port}\n`)
})
