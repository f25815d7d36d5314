// Presence on `logux serve`: official clients use it as ordinary actions.

import assert from 'node:assert/strict'

import { scenario } from '../helper/scenario.js'

const OPTIONS = {
  rustOnly: 'the official server has no presence'
}

function state(channel, value) {
  return { channel, state: value, type: 'presence/set' }
}

/** The states of the next `presence/changed`. */
async function states(device) {
  let [action] = await device.hears('presence/changed')
  return action.states
}

scenario('people in a record and a document see each other', OPTIONS, async s => {
  let server = await s.serve({ collections: ['tasks'], documents: ['notes'] })
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  await alice.create('tasks', { id: '1', title: 'A' })
  for (let channel of ['tasks/1', 'notes/7']) {
    for (let device of [alice, bob]) {
      assert.equal(await device.subscribe(channel), 'processed')
    }
    let shown = { color: '#c3f', name: 'Alice' }
    assert.equal(await alice.send(state(channel, shown)), 'processed')
    let own = { [alice.client.nodeId]: shown }
    assert.deepEqual(await states(bob), own)
    assert.deepEqual(await states(alice), own)
  }
  let carl = await s.device(server, 'carl')
  await carl.subscribe('notes/7')
  assert.equal(Object.keys(await states(carl))[0], alice.client.nodeId)
  alice.destroy()
  assert.deepEqual(await states(carl), { [alice.client.nodeId]: null })
  await bob.subscribe('tasks')
  let outcome = await bob.send(state('tasks/2', 1))
  assert.equal(outcome.reason, 'denied')
})

scenario('of many states the latest arrives', OPTIONS, async s => {
  let server = await s.serve({ collections: [], documents: ['notes'] })
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  await alice.subscribe('notes/7')
  await bob.subscribe('notes/7')
  let sent = []
  for (let at = 0; at < 100; at++) sent.push(alice.send(state('notes/7', at)))
  await Promise.all(sent)
  let last
  let received = 0
  while (last !== 99) {
    last = (await states(bob))[alice.client.nodeId]
    received += 1
  }
  assert.ok(received < 20, `${received} actions for 100 states`)
})
