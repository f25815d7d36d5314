// An official server that prints what it sees of a client: one JSON object on
// each line, in the order of events. Tests of our client read it.
//
//     PORT=31337 node tests/interop/reference/recorder.js
//
// The token is `good`. Notes are sent to all subscribers of `notes`, encrypted
// actions to the devices of their user. `tasks` are records, with filters.

import {
  addSyncMap,
  addSyncMapFilter,
  ChangedAt,
  Server
} from '@logux/server'

import { lateServer, logger, open } from './lifecycle.js'

let port = parseInt(process.env.PORT ?? '31337')

let http = lateServer()
let server = new Server({
  env: 'production',
  logger,
  minSubprotocol: 0,
  server: http,
  subprotocol: 0
})

function print(seen) {
  process.stdout.write(JSON.stringify(seen) + '\n')
}

server.auth(({ token, userId }) => {
  print({ login: userId, token })
  return token === 'good'
})

server.type('note', {
  access: () => true,
  process(ctx, action, meta) {
    print({ id: meta.id, note: action.text, time: meta.time })
    if (action.fail) throw new Error('The note was asked to fail')
  },
  resend: () => 'notes'
})

server.channel('notes', {
  access: () => true,
  filter(ctx, action) {
    print({ filter: action.filter, since: action.since?.id, subscribed: ctx.nodeId })
    return () => true
  },
  unsubscribe(ctx) {
    print({ unsubscribed: ctx.nodeId })
  }
})

for (let type of ['0', '0/clean']) {
  server.type(type, {
    access: () => true,
    process(ctx, action) {
      print({ encrypted: type, keys: Object.keys(action).sort().join() })
    },
    resend: ctx => ({ users: [ctx.userId] })
  })
}

let tasks = new Map()

function loaded(id) {
  let fields = [...tasks.get(id)].map(([key, [value, time]]) => {
    return [key, ChangedAt(value, time)]
  })
  return { id, ...Object.fromEntries(fields) }
}

function write(id, fields, time) {
  let record = tasks.get(id) ?? new Map()
  for (let key in fields) {
    if (!record.has(key) || record.get(key)[1] < time) {
      record.set(key, [fields[key], time])
    }
  }
  tasks.set(id, record)
}

addSyncMap(server, 'tasks', {
  access: () => true,
  change: (ctx, id, fields, time) => write(id, fields, time),
  create: (ctx, id, fields, time) => write(id, fields, time),
  delete: (ctx, id) => {
    tasks.delete(id)
  },
  load: (ctx, id) => {
    print({ loads: id })
    return tasks.has(id) ? loaded(id) : false
  }
})

addSyncMapFilter(server, 'tasks', {
  access: () => true,
  initial(ctx, filter) {
    let ids = [...tasks.keys()].filter(id => {
      return Object.keys(filter).every(key => {
        return tasks.get(id).get(key)?.[0] === filter[key]
      })
    })
    return ids.map(loaded)
  }
})

await open(server, http, port)
