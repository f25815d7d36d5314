// What `logux serve` does, on the official server: sync maps for the
// collections of the command line, kept in memory.
//
//     node reference/serve.js --dev --port 31337 --collection tasks

import { LoguxNotFoundError } from '@logux/actions'
import { isFirstOlder } from '@logux/core'
import { addSyncMap, addSyncMapFilter, ChangedAt, Server } from '@logux/server'
import { parseArgs } from 'node:util'

import { verify } from '../helper/jwt.js'
import { lateServer, logger, open } from './lifecycle.js'

let { values: options } = parseArgs({
  options: {
    'collection': { multiple: true, type: 'string' },
    'db': { type: 'string' }, // this one keeps nothing
    'dev': { type: 'boolean' },
    'host': { type: 'string' }, // it is 127.0.0.1 anyway
    'min-subprotocol': { default: '0', type: 'string' },
    'port': { type: 'string' },
    'secret': { type: 'string' },
    'subprotocol': { default: '0', type: 'string' }
  }
})

let port = parseInt(options.port)

let http = lateServer()
let server = new Server({
  env: options.dev ? 'development' : 'production',
  logger,
  minSubprotocol: parseInt(options['min-subprotocol']),
  server: http,
  subprotocol: parseInt(options.subprotocol)
})

server.auth(({ token, userId }) => {
  if (options.dev) return true
  return verify(token, options.secret)?.sub === userId
})

class Collection {
  // id → key → [value, meta of the action that wrote it]
  records = new Map()

  write(id, fields, meta) {
    let record = this.records.get(id)
    for (let key in fields) {
      if (!record.has(key) || isFirstOlder(record.get(key)[1], meta)) {
        record.set(key, [fields[key], meta])
      }
    }
  }

  read(id) {
    let fields = { id }
    for (let [key, [value, meta]] of this.records.get(id)) {
      fields[key] = ChangedAt(value, meta.time)
    }
    return fields
  }

  matches(id, filter = {}) {
    let record = this.records.get(id)
    return Object.keys(filter).every(key => record.get(key)?.[0] === filter[key])
  }
}

for (let plural of options.collection ?? []) {
  let collection = new Collection()
  let access = () => true

  addSyncMap(server, plural, {
    access,
    change(ctx, id, fields, time, action, meta) {
      if (!collection.records.has(id)) throw new LoguxNotFoundError()
      collection.write(id, fields, meta)
    },
    create(ctx, id, fields, time, action, meta) {
      if (!collection.records.has(id)) collection.records.set(id, new Map())
      collection.write(id, fields, meta)
    },
    delete(ctx, id) {
      collection.records.delete(id)
    },
    load(ctx, id) {
      if (!collection.records.has(id)) throw new LoguxNotFoundError()
      return collection.read(id)
    }
  })

  addSyncMapFilter(server, plural, {
    access,
    initial(ctx, filter) {
      return [...collection.records.keys()]
        .filter(id => collection.matches(id, filter))
        .map(id => collection.read(id))
    }
  })
}

await open(server, http, port)
