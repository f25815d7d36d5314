// Official clients in the channel of a document, with the reducer of the documentation, beside a
// client that edits by operations.

import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'

import { shows } from '../helper/device.js'
import { change, shownDocument } from '../helper/json-reducer.js'
import { scenario } from '../helper/scenario.js'

const OPTIONS = {
  rustOnly: 'the official server has no documents'
}

const SUBSCRIBE = {
  channel: 'notes/7',
  filter: { format: 'json' },
  type: 'logux/subscribe'
}

function changes(...ops) {
  return { changes: ops, id: '7', type: 'notes/change' }
}

let shown = device => shownDocument(device, '7')

async function processed(device, action) {
  assert.equal(await device.send(action), 'processed')
}

/** Waits until a device shows a value. */
function becomes(device, expected) {
  return device.inbox.next(
    () => isDeepStrictEqual(shown(device), expected),
    `${JSON.stringify(expected)} at ${device.userId}`
  )
}

scenario('official clients and a Rust client edit one document', OPTIONS, async s => {
  let server = await s.serve({ collections: [], documents: ['notes'] })
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  let rusty = await s.rustDocument(server, 'rusty', 'notes', '7')
  for (let device of [alice, bob]) await processed(device, SUBSCRIBE)
  assert.deepEqual(shown(alice), {})

  await processed(
    alice,
    changes(
      { op: 'set', path: '/title', value: 'Tea' },
      { op: 'insertText', path: '/text', text: 'Boil the water' },
      { op: 'insert', path: '/tasks', values: ['kettle', { done: false }] },
      { by: 2, op: 'increment', path: '/likes' }
    )
  )
  assert.equal(shown(alice).text, 'Boil the water')
  await shows(rusty.state, i => i.likes === 2, () => 'the first change')
  await processed(
    alice,
    changes({ op: 'set', path: '/text', value: 'Boil all the water' })
  )
  await shows(rusty.state, i => i.text.includes('all'), () => 'the whole text')
  rusty.operate({ op: 'insertText', path: '/text', text: '!' })
  rusty.operate({ by: 1, op: 'increment', path: '/likes' })
  rusty.operate({ at: 0, op: 'insert', path: '/tasks', values: ['cup'] })
  let concurrent = [
    bob.send(changes({ at: 0, op: 'insertText', path: '/text', text: '1. ' })),
    bob.send(changes({ by: 4, op: 'increment', path: '/likes' })),
    alice.send(changes({ op: 'insert', path: '/tasks', values: ['leaves'] })),
    bob.send(changes({ op: 'delete', path: '/title' }))
  ]
  assert.deepEqual(await Promise.all(concurrent), Array(4).fill('processed'))
  let isComplete = i => i.likes === 7 && i.tasks?.length === 4 && i.text.endsWith('!')
  let all = await shows(rusty.state, isComplete, () => 'all changes')
  await becomes(alice, all)
  await becomes(bob, all)
  assert.equal(all.title, undefined)
  assert.equal(all.tasks.at(-1), 'leaves')
  assert.equal(all.text, '1. Boil all the water!')
  for (let device of [alice, bob]) {
    let kinds = ['notes/edit', 'notes/create', 'notes/snapshot']
    assert.deepEqual(kinds.flatMap(i => device.heard(i)), [])
    assert.equal(device.heard('logux/undo').length, 0)
  }
})

scenario('an official client comes back to a document', OPTIONS, async s => {
  let server = await s.serve({ collections: [], documents: ['notes'] })
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  for (let device of [alice, bob]) await processed(device, SUBSCRIBE)
  await processed(alice, changes({ op: 'set', path: '/n', value: 1 }))
  await alice.offline()
  let sent = alice.send(changes({ by: 10, op: 'increment', path: '/n' }))
  await processed(bob, changes({ by: 1, op: 'increment', path: '/n' }))
  await processed(bob, changes({ op: 'set', path: '/m', value: { a: [1] } }))
  await alice.online()
  assert.equal(await sent, 'processed')
  for (let device of [alice, bob]) await becomes(device, { m: { a: [1] }, n: 12 })

  await server.stop('SIGKILL')
  await alice.state('disconnected')
  await bob.state('disconnected')
  sent = alice.send(changes({ at: 0, op: 'insert', path: '/m/a', values: [0] }))
  await server.start()
  assert.equal(await sent, 'processed')
  for (let device of [alice, bob]) await becomes(device, { m: { a: [0, 1] }, n: 12 })
})

scenario('an official client undoes its changes', OPTIONS, async s => {
  let server = await s.serve({ collections: [], documents: ['notes'] })
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  for (let device of [alice, bob]) await processed(device, SUBSCRIBE)
  await processed(alice, changes({ op: 'set', path: '/title', value: 'Tea' }))
  let second = changes({ op: 'set', path: '/title', value: 'Coffee' })
  await processed(alice, second)
  await becomes(bob, { title: 'Coffee' })
  let id = alice.inbox.all.find(([action]) => action === second)[1].id
  await processed(alice, { id, reason: 'mistake', type: 'logux/undo' })
  for (let device of [alice, bob]) await becomes(device, { title: 'Tea' })
  let refused = await bob.send(
    changes({ at: 5, op: 'insert', path: '/tasks', values: [1] })
  )
  assert.equal(refused.reason, 'wrongFormat')
  assert.match(refused.error, /^changes\/0: "at": expected a number of at most 0/)
  let wrong = { ...SUBSCRIBE, filter: { format: 'yaml' } }
  assert.equal((await bob.send(wrong)).reason, 'wrongFormat')
})

scenario('the reducer of the documentation applies any change', OPTIONS, async () => {
  let json = { a: { b: 1 }, 'c/d': [1], '': 2 }
  assert.deepEqual(change(json, '/a/b', 2), { ...json, a: { b: 2 } })
  assert.deepEqual(change(json, '/a/b'), { ...json, a: {} })
  assert.deepEqual(change(json, '/c~1d', null), { ...json, 'c/d': null })
  assert.deepEqual(change(json, '/', 3), { ...json, '': 3 })
  assert.deepEqual(change(json, '', [1]), [1])
  let polluted = change({}, '/__proto__/x', 1)
  assert.equal(polluted.x, undefined)
  assert.equal({}.x, undefined)
})
