// Documents and records of an application that has `@logux/client`: over its log, its connection
// and its tabs.

import { Client } from './client.js'
import { openDatabase } from './database.js'
import { loadEngine } from './engine.js'
import { OfficialLeader } from './official-leader.js'

/** What is open, by official client. */
let opened = new WeakMap()

/** Returns the documents of an official client. See `official.d.ts`. */
export function documents(official, { wasm } = {}) {
  let known = opened.get(official)
  if (known) return known
  let opening = open(official, wasm)
  opened.set(official, opening)
  opening.catch(() => opened.delete(official))
  return opening
}

async function open(official, wasm) {
  let [engine, database] = await Promise.all([loadEngine(wasm), openDatabase()])
  let leader = new OfficialLeader(official)
  await leader.check()
  let { server, subprotocol, userId } = official.options
  let client = new Client(engine, { server, subprotocol, userId }, database, [], leader)
  let end = problem => client.close(problem)
  let ends = [
    before(official, 'clean', () => {
      leader.forget()
      end(new Error('the Logux client was cleaned, and its documents are closed'))
    }),
    before(official, 'destroy', () => {
      end(new Error('the Logux client was destroyed, and its documents are closed'))
    }),
    official.on('user', () => {
      end(new Error('the Logux client has another user, and the documents of before are closed'))
    }),
    () => opened.delete(official)
  ]
  leader.ended = () => ends.forEach(end => end())
  return client
}

/** Calls a function before a method of an object. Returns what ends that. */
function before(object, name, call) {
  let isOwn = Object.hasOwn(object, name)
  let method = object[name]
  object[name] = function (...values) {
    call()
    return method.apply(this, values)
  }
  return () => {
    if (isOwn) object[name] = method
    else delete object[name]
  }
}
