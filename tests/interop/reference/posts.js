// The example `posts` of `logux-server` on the official server.
//
//     PORT=31337 node tests/interop/reference/posts.js

import { LoguxNotFoundError } from '@logux/actions'
import { ResponseError, Server } from '@logux/server'

import { lateServer, logger, open } from './lifecycle.js'

let port = parseInt(process.env.PORT ?? process.env.LOGUX_PORT ?? '31337')

let http = lateServer()
let server = new Server({
  env: 'development',
  logger,
  minSubprotocol: 0,
  server: http,
  subprotocol: 3
})

server.auth(({ token }) => !!token)

// The loader has to make whole entries of the log.
server.sendOnConnect(ctx => {
  let id = server.log.generateId()
  let meta = { added: 0, id, time: parseInt(id) }
  return [[{ type: 'welcome', user: ctx.userId }, meta]]
})

function notForGuests(ctx) {
  return ctx.userId !== 'guest'
}

server.channel(/^posts\/(?<tag>[a-z]+)$/, {
  access: notForGuests,
  filter(ctx, action) {
    if (!action.filter) return () => true
    let { author } = action.filter
    return (_, other) => !('author' in other) || other.author === author
  },
  load(ctx) {
    let { tag } = ctx.params.groups
    return [1, 2].map(n => ({ n, tag, type: 'posts/loaded' }))
  }
})

server.type(/^posts\/(add|change)$/, {
  access: notForGuests,
  resend: (ctx, action) => `posts/${action.tag}`
})

server.type('moderate', {
  access: ctx => ctx.userId === 'moderator',
  async process(ctx, action) {
    let meta = { channels: ['posts/news'], id: action.post }
    await server.undo({ type: 'posts/add' }, meta, 'spam', { by: ctx.userId })
  }
})

server.type('pay', {
  async accessAndProcess(ctx) {
    if (!notForGuests(ctx)) throw new ResponseError(403, '/pay')
    await ctx.sendBack({ type: 'paid' })
  }
})

server.channel('bills/:id', {
  async accessAndLoad(ctx) {
    if (ctx.params.id === '1') return { id: '1', type: 'bill' }
    if (ctx.params.id === '2') throw new ResponseError(403, '/bills')
    throw new LoguxNotFoundError()
  }
})

let go
server.type('wait', {
  access: () => true,
  async process(ctx, action) {
    await new Promise(resolve => {
      go = resolve
    })
    if (action.fail) throw new Error('asked to fail')
  }
})

server.type(
  'go',
  {
    access: () => true,
    process() {
      go()
    }
  },
  { queue: 'gate' }
)

await open(server, http, port)
