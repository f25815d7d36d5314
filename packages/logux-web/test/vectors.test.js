// The vectors of the specification as calls of a client. The engine in WebAssembly and the native
// one answer them with the same bytes, and as the vectors say.
//
// What a client does not do is left to the tests of the engine: the limits of a server, presence of
// several nodes, what is written for a message, saved bytes, and the changes of `KIND/changed`. The
// protocol of `backend.json` is between a server and its application.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { eventsOf, sent, startClients } from './connected.js'
import { asDocument } from './vectors-as-documents.js'

// JavaScript has no numbers for the long integers, which are kept as texts meanwhile.
let keepLong = text => text.replace(/(?<=[[:,])\d{16,}(?=[\],}])/g, '"long $&"')
let writeLong = text => text.replace(/"long (\d+)"/g, '$1')

async function vectors(name) {
  return readFile(new URL(`../../../spec/vectors/${name}.json`, import.meta.url), 'utf8')
}

let parts = id => {
  let [time, node, sequence] = id.split(' ')
  return [Number(time), node, Number(sequence)]
}

test('documents', async () => {
  let clients = await startClients()
  let left = []
  for (let vector of JSON.parse(keepLong(await vectors('documents')))) {
    let { actions, name, path, value } = asDocument(vector) ?? {}
    if (!actions) {
      left.push(vector.name)
      continue
    }
    let show = entries => {
      let client = clients.connected('10:x:y')
      client.ask({ open: { id: '7', kind: 'notes' } })
      for (let [index, [id, time, action]] of entries.entries()) {
        let message = ['sync', index + 1, action, { id: parts(id), time }]
        client.ask({ frame: { frame: writeLong(JSON.stringify(message)) } })
      }
      return client.ask({ get: { channel: 'notes/7', path } }).value
    }
    for (let first of actions.keys()) {
      let turned = [...actions.slice(first), ...actions.slice(0, first)]
      for (let order of [turned, [...turned].reverse()]) {
        assert.deepEqual(show(undosLater(order)), value, name)
      }
    }
    if (vector.type === 'document') {
      assert.deepEqual(show([snapshot(vector)]), value, `${name}, from a snapshot`)
    }
  }
  assert.deepEqual(left, [
    'the last word on an element',
    'what a snapshot covers is not undone',
    'what is older than the horizon has no effect'
  ])
  clients.compare('documents')
})

/** Returns actions in the same order, but undos after what they undo, as a server sends them. */
function undosLater(actions) {
  let waiting = []
  let ordered = []
  let add = entry => {
    let [id, , action] = entry
    let has = it => ordered.some(([other]) => other === it.id)
    if (action.type === 'logux/undo' && !has(action)) return waiting.push(entry)
    ordered.push(entry)
    let next = waiting.findIndex(([, , undo]) => undo.id === id)
    if (next >= 0) add(...waiting.splice(next, 1))
  }
  for (let entry of actions) add(entry)
  return [...ordered, ...waiting]
}

/** Returns the saved state of a vector as an action of the server. */
function snapshot({ actions, saved: state }) {
  let nodes = {}
  for (let [time, node, sequence] of actions.map(([id]) => parts(id))) {
    let last = nodes[node]
    if (!last || time > last[0]) nodes[node] = [time, sequence]
  }
  let saved = Buffer.from(state, 'base64')
  let version = saved[saved.indexOf('document') + 'document'.length]
  let coverage = { nodes }
  let action = { coverage, id: '7', state, stateType: 'document', type: 'notes/snapshot', version }
  return ['100 server:x 0', 100, action]
}

test('the JSON of documents', async () => {
  let clients = await startClients()
  let channel = 'notes/7'
  for (let { before, changes, name, ops, value } of JSON.parse(await vectors('document-json'))) {
    let client = clients.opened('10:a:b', 1)
    client.ask({ open: { id: '7', kind: 'notes' } })
    client.ask({ edit: { channel, ops: before } })
    client.ask({ closeStep: { channel } })
    client.wall = 2
    let made = client.ask({ edit: { channel, ops: changes } })
    assert.deepEqual(client.ask({ get: { channel, path: '' } }).value, value, name)
    let [put] = (made.changes ?? []).filter(({ id }) => id === made.value)
    assert.equal(put ? JSON.parse(put.action).ops.length : 0, ops, name)
  }
  clients.compare('document-json')
})

test('the order of actions', async () => {
  let clients = await startClients()
  let { pairs, sorted } = JSON.parse(await vectors('order'))
  let lists = pairs.map(({ older, newer }) => [older, newer])
  for (let [index, older] of sorted.entries()) {
    lists.push(...sorted.slice(index + 1).map(newer => [older, newer]))
  }
  // A log has each id once.
  for (let list of lists.filter(([older, newer]) => older.id !== newer.id)) {
    for (let added of [list, [...list].reverse()]) {
      let client = clients.opened('10:x:y')
      for (let meta of added) {
        client.ask({ add: { action: { type: 'a' }, meta: { ...meta, reasons: ['test'] } } })
      }
      let entries = client.ask('entries').value
      assert.deepEqual(entries.map(({ id, time }) => ({ id, time })), list)
    }
  }
  clients.compare('order')
})

test('ids', async () => {
  let clients = await startClients()
  let { compact, generated, invalid, outside, text } = JSON.parse(await vectors('ids'))
  let action = { type: 'a' }
  for (let { id, node, sequence, time } of text) {
    let turn = clients.connected('1:x:y').ask({ sync: { action, meta: { id } } })
    assert.equal(turn.value, id)
    assert.deepEqual(sent(turn), [['sync', 1, action, { id: [time, node, sequence], time }]])
  }
  for (let { id, why } of invalid) {
    let { error } = clients.opened('1:x:y').ask({ add: { action, meta: { id } } })
    assert.match(error, /is not the id of an action/, why)
  }
  for (let { base, compact: short, id, sender } of compact) {
    let [sync] = sent(clients.connected(sender, base).ask({ sync: { action, meta: { id } } }))
    assert.deepEqual(sync[3].id, short, id)
    let reader = clients.connected('1:x:y', base, sender)
    reader.ask('observeLog')
    let [added] = eventsOf(reader.receive(['sync', 1, action, { id: short, time: 0 }]), 'added')
    assert.equal(added.meta.id, id)
  }
  for (let { base, compact: short, why } of outside) {
    let reader = clients.connected('1:x:y', base, 'a')
    let turn = reader.receive(['sync', 1, action, { id: short, time: 0 }])
    assert.match(eventsOf(turn, 'disconnect')[0].reason, /out of the range/, why)
  }
  for (let { clock, ids, node, why } of generated) {
    let client = clients.opened(node)
    let made = clock.map(wall => {
      client.wall = wall
      return client.ask('generateId').value
    })
    assert.deepEqual(made, ids, why)
  }
  clients.compare('ids')
})

test('messages', async () => {
  let clients = await startClients()
  let { invalid, refused, valid } = JSON.parse(await vectors('messages'))
  for (let { means, text } of valid) {
    let { message } = means
    let client = message === 'connected' ? clients.opened('1:a:b') : clients.connected('1:a:b')
    client.ask('observeLog')
    // What `synced` confirms was sent.
    let own = { sync: { action: { type: 'own' } } }
    let length = message === 'synced' ? means.added : 0
    let ids = Array.from({ length }, () => client.ask(own).value)
    let turn = client.ask({ frame: { frame: text } })
    MEANINGS[message]({ client, ids, means, text, turn })
  }
  for (let { limits, reply, text, why } of invalid) {
    let turn = clients.connected('1:a:b').ask({ frame: { frame: text } })
    // The limits of a client cannot be set.
    if (!limits) assert.equal(eventsOf(turn, 'send')[0].frame, reply, why)
  }
  for (let { means, text } of refused) {
    let turn = clients.connected('1:a:b').ask({ frame: { frame: text } })
    assert.deepEqual(sent(turn).at(-1), ['synced', means.added])
  }
  clients.compare('messages')
})

let END_OF_TIME = 8_640_000_000_000_000

/** What a client does for a valid message. */
const MEANINGS = {
  connect: ({ turn }) =>
    assert.deepEqual(sent(turn)[0], ['error', 'wrong-format', 'unexpected `connect` message']),
  connected: ({ client, means, turn }) => {
    assert.equal(eventsOf(turn, 'state')[0].state, 'synchronized')
    assert.equal(client.ask('server').value, means.node)
  },
  debug: ({ means, turn }) => assert.equal(eventsOf(turn, 'debug')[0].text, means.text),
  error: ({ means, turn }) => assert.equal(eventsOf(turn, 'serverError')[0].kind, means.kind),
  headers: ({ turn }) => assert.deepEqual(turn.events, undefined),
  ping: ({ turn }) => assert.deepEqual(sent(turn), [['pong', 0]]),
  pong: ({ turn }) => assert.deepEqual(turn.events, undefined),
  sync: ({ means, text, turn }) => {
    if (means.entries.some(({ id }) => Math.abs(id) > END_OF_TIME)) {
      let [, kind, reason] = sent(turn)[0]
      return assert.deepEqual([kind, /out of the range/.test(reason)], ['wrong-format', true], text)
    }
    let added = eventsOf(turn, 'added').map(({ action, meta }) => [action, meta.id, meta.time])
    let whole = id => (Array.isArray(id) ? id : [id])
    let full = id => (whole(id).length === 3 ? id : [whole(id)[0], 'server:x', whole(id)[1] ?? 0])
    let expected = means.entries.map(({ action, id, time }) => [
      JSON.parse(action),
      full(id).join(' '),
      time
    ])
    assert.deepEqual(added, expected, text)
    assert.deepEqual(sent(turn), [['synced', means.added]])
  },
  synced: ({ ids, turn }) =>
    assert.deepEqual(eventsOf(turn, 'confirmed').map(({ id }) => id), ids)
}

function pass(client, time) {
  client.wall = client.mono = Math.max(client.mono, time)
}

test('presence', async () => {
  let clients = await startClients()
  let { exchanges } = JSON.parse(await vectors('presence'))
  let channel = 'notes/7'
  for (let { name, steps } of exchanges) {
    let nodes = new Map()
    for (let { at, join = [], leave = [], reason, sent: states = {}, set } of steps) {
      for (let { client } of nodes.values()) pass(client, at)
      for (let node of join) {
        let client = clients.connected(node, at)
        let subscribed = client.ask({ open: { id: '7', kind: 'notes' } })
        let [{ id }] = subscribed.changes
        client.receive(['synced', 1])
        client.receive(['sync', 1, { id, type: 'logux/processed' }, { id: 1, time: 1 }])
        nodes.set(node, { added: 1, client, seen: {} })
      }
      for (let node of leave) nodes.delete(node)
      if (set && !reason) {
        let { client } = nodes.get(set.node)
        let turns = [client.ask({ setPresence: { channel, state: set.state } })]
        // A client sends at most one state in 100 ms.
        pass(client, client.mono + 100)
        turns.push(client.ask('wake'))
        let own = turns.flatMap(sent).flatMap(message => message.slice(2))
        assert.deepEqual(own.filter(({ state }) => state !== undefined), [
          { channel, state: set.state, type: 'presence/set' }
        ])
      }
      for (let [node, changed] of Object.entries(states)) {
        let it = nodes.get(node)
        let action = { channel, states: changed, type: 'presence/changed' }
        it.added += 1
        it.client.receive(['sync', it.added, action, { id: it.added, time: it.added }])
        Object.assign(it.seen, changed)
        let others = Object.entries(it.seen).filter(([of, state]) => of !== node && state !== null)
        let shown = it.client.ask({ presence: { channel } }).value
        assert.deepEqual(shown, Object.fromEntries(others), name)
      }
    }
  }
  clients.compare('presence')
})
