// What is not allowed, not known or fails is taken back, with the reason.

import assert from 'node:assert/strict'

import { scenario } from '../helper/scenario.js'

const INC = { type: 'counter/inc' }

function isUndo(outcome, action, reason) {
  assert.equal(outcome.type, 'logux/undo', `${outcome} is not an undo`)
  assert.equal(outcome.reason, reason)
  assert.deepEqual(outcome.action, action)
}

async function count(s, server) {
  let reader = await s.raw(server)
  await reader.connect('reader:r:r')
  await reader.subscribe('counter')
  return reader.all('counter/set')[0].value
}

scenario('an action without access is denied', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  isUndo(await alice.send({ type: 'secret/do' }), { type: 'secret/do' }, 'denied')
})

scenario('access depends on the user', async s => {
  let server = await s.counter()
  let guest = await s.device(server, 'guest')
  let alice = await s.device(server, 'alice')
  await alice.subscribe('counter')
  isUndo(await guest.send(INC), INC, 'denied')
  assert.equal(await alice.send(INC), 'processed')
  assert.equal(await count(s, server), 1)
  assert.equal(alice.heard('counter/inc').length, 1, 'denied is not re-sent')
})

scenario('an unknown type is undone', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  let action = { data: [1, 2], type: 'unknown/type' }
  isUndo(await alice.send(action), action, 'unknownType')
})

scenario('an unknown channel is undone', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  isUndo(
    await alice.subscribe('unknown'),
    { channel: 'unknown', type: 'logux/subscribe' },
    'wrongChannel'
  )
})

scenario('a subscription without a channel is undone', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  let action = { type: 'logux/subscribe' }
  isUndo(await alice.send(action), action, 'wrongChannel')
})

scenario('a channel of another user is denied, the own one is not', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  isUndo(
    await alice.subscribe('private/bob'),
    { channel: 'private/bob', type: 'logux/subscribe' },
    'denied'
  )
  assert.equal(await alice.subscribe('private/alice'), 'processed')
})

scenario('a channel whose data is missing is undone as not found', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  isUndo(
    await alice.subscribe('users/find/12'),
    { channel: 'users/find/12', type: 'logux/subscribe' },
    'notFound'
  )
})

scenario('an exception undoes the action, also at the others', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  await bob.subscribe('counter')

  let action = { fail: true, type: 'counter/inc' }
  let id = alice.client.log.generateId()
  isUndo(await alice.send(action, { id }), action, 'error')
  let [undo] = await bob.hears('logux/undo')
  assert.equal(undo.id, id)
  assert.deepEqual(bob.heard('counter/inc'), [action])
  assert.equal(await count(s, server), 0)
})

scenario('after a refusal the next actions of the client go on', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  for (let refused of [
    { type: 'secret/do' },
    { type: 'unknown/type' },
    { channel: 'unknown', type: 'logux/subscribe' },
    { channel: 'users/find/1', type: 'logux/subscribe' },
    { fail: true, type: 'counter/inc' }
  ]) {
    assert.equal((await alice.send(refused)).type, 'logux/undo')
    assert.equal(await alice.send(INC), 'processed')
  }
  assert.equal(await count(s, server), 5)
})
