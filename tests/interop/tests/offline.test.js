// Edits that were made offline come later, with the time when they were made.

import assert from 'node:assert/strict'

import { scenario } from '../helper/scenario.js'
import { apart, within } from '../helper/wait.js'

/** Keeps counter actions in the log, so that their order can be read. */
function keep(device) {
  device.client.type(
    'counter/inc',
    (action, meta) => {
      meta.reasons.push('test')
    },
    { event: 'preadd' }
  )
}

async function history(device) {
  let by = []
  await device.client.log.each({ order: 'created' }, action => {
    if (action.type === 'counter/inc') by.unshift(action.by)
  })
  return by
}

function inc(by) {
  return { by, type: 'counter/inc' }
}

scenario('edits made offline are processed after reconnect', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  await alice.offline()
  let sent = [1, 2, 3].map(i => alice.client.sync(inc(`alice ${i}`)))
  await alice.online()
  await within(Promise.all(sent), 'all three to be processed')
  let bob = await s.device(server, 'bob')
  await bob.subscribe('counter')
  assert.equal(bob.heard('counter/set')[0].value, 3)
})

scenario('the others see the time of making and that order', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  let carl = await s.device(server, 'carl')
  for (let i of [alice, bob, carl]) {
    keep(i)
    await i.subscribe('counter')
  }

  await alice.offline()
  let made = Date.now()
  let early = alice.client.sync(inc('alice'))
  await apart()
  await bob.send(inc('bob'))
  await apart()
  await carl.hears('counter/inc')
  await alice.online()
  await within(early, 'the early edit to be processed')

  for (let i of [bob, carl]) {
    let [, meta] = await i.inbox.next(
      ([action]) => action.by === 'alice',
      'the early edit'
    )
    assert.ok(
      Math.abs(meta.time - made) < 75,
      `${meta.time - made} ms after it was made`
    )
    assert.deepEqual(await history(i), ['alice', 'bob'])
  }
})

scenario('many offline edits come once and in order', async s => {
  let server = await s.counter()
  let bob = await s.device(server, 'bob')
  keep(bob)
  await bob.subscribe('counter')
  let alice = await s.device(server, 'alice')
  await alice.offline()
  let names = Array.from({ length: 200 }, (_, i) => i)
  let sent = names.map(i => alice.client.sync(inc(i)))
  await alice.online()
  await within(Promise.all(sent), 'all to be processed')
  await bob.inbox.next(([action]) => action.by === 199, 'the last one')
  assert.deepEqual(await history(bob), names)
  assert.deepEqual(
    bob.heard('counter/inc').map(i => i.by),
    names
  )
})

scenario('an offline edit that is refused is undone on return', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  await alice.offline()
  let denied = alice.outcome(alice.client.sync({ type: 'secret/do' }))
  await alice.online()
  assert.equal((await denied).reason, 'denied')
})

scenario('a cut connection comes back by itself, with its channels', async s => {
  let server = await s.counter()
  let wire = await s.wire(server)
  let alice = await s.device(wire, 'alice')
  let bob = await s.device(server, 'bob')
  await alice.subscribe('counter')
  alice.inbox.forget()
  wire.cut()
  await alice.state('disconnected')
  await alice.state('synchronized')
  // The official client subscribes anew; its answer tells when.
  await alice.hears('logux/processed')
  await bob.send(inc('bob'))
  await alice.hears('counter/inc')
})
