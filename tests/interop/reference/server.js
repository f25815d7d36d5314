// The counter of the Logux README on the official server, with the doors that
// the tests knock at. `README.md` says the same in words; the Rust example
// `counter` is held against it.
//
//     PORT=31337 node tests/interop/reference/server.js
//
// It prints a line with `listening` when it takes connections, and stops on
// SIGINT or SIGTERM.

import { LoguxNotFoundError } from '@logux/actions'
import { Server } from '@logux/server'

import { lateServer, logger, open } from './lifecycle.js'

let port = parseInt(process.env.PORT ?? process.env.LOGUX_PORT ?? '31337')

let http = lateServer()
let server = new Server({
  env: 'development',
  logger,
  minSubprotocol: 2,
  server: http,
  subprotocol: 3
})

server.auth(({ token }) => token === 'good')

let value = 0

server.channel('counter', {
  access() {
    return true
  },
  load() {
    return { type: 'counter/set', value }
  }
})

server.type('counter/inc', {
  access(ctx) {
    return ctx.userId !== 'guest'
  },
  resend() {
    return 'counter'
  },
  process(ctx, action) {
    if (action.fail) throw new Error('The counter was asked to fail')
    value += 1
  }
})

server.type('secret/do', {
  access() {
    return false
  }
})

server.channel('private/:user', {
  access(ctx) {
    return ctx.params.user === ctx.userId
  }
})

server.channel('users/find/:id', {
  access() {
    return true
  },
  load() {
    throw new LoguxNotFoundError()
  }
})

await open(server, http, port)
