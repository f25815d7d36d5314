// The counter of the Logux README with official clients.

import { CrossTabClient } from '@logux/client'
import assert from 'node:assert/strict'

import { scenario } from '../helper/scenario.js'

const INC = { type: 'counter/inc' }

async function value(device) {
  assert.equal(await device.subscribe('counter'), 'processed')
  let [action] = await device.hears('counter/set')
  return action.value
}

scenario('a subscription loads the value and is processed', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  assert.equal(await value(alice), 0)
})

scenario('an action is processed and the next subscriber loads it', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  assert.equal(await alice.send(INC), 'processed')
  assert.equal(await alice.send(INC), 'processed')
  let bob = await s.device(server, 'bob')
  assert.equal(await value(bob), 2)
})

scenario('an action is re-sent to the others and not to its author', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  await value(alice)
  await value(bob)

  let id = alice.client.log.generateId()
  assert.equal(await alice.send({ ...INC, by: 'alice' }, { id }), 'processed')
  let [action, meta] = await bob.hears('counter/inc')
  assert.deepEqual(action, { by: 'alice', type: 'counter/inc' })
  assert.equal(meta.id, id)

  // What bob says now comes to alice after all that was said before.
  assert.equal(await bob.send({ ...INC, by: 'bob' }), 'processed')
  await alice.inbox.next(([i]) => i.by === 'bob', 'the action of bob')
  let by = alice.heard('counter/inc').map(i => i.by)
  assert.deepEqual(by, ['alice', 'bob'], 'her own action once, as she added it')
})

scenario('a re-sent action says the subprotocol of its author', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice', { subprotocol: 2 })
  let bob = await s.device(server, 'bob', { subprotocol: 3 })
  await value(bob)
  await alice.send(INC)
  let [, meta] = await bob.hears('counter/inc')
  assert.equal(meta.subprotocol, 2)
})

scenario('who unsubscribed hears nothing more', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  await value(bob)
  let leave = { channel: 'counter', type: 'logux/unsubscribe' }
  assert.equal(await bob.send(leave), 'processed')

  await alice.send(INC)
  assert.equal(await value(bob), 1)
  assert.deepEqual(bob.heard('counter/inc'), [])
})

scenario('an action keeps its JSON on the way to others', async s => {
  let server = await s.counter()
  let alice = await s.raw(server)
  await alice.connect('alice:a:a')
  let bob = await s.raw(server)
  await bob.connect('bob:b:b')
  await bob.subscribe('counter')

  let texts = []
  bob.ws.on('message', data => texts.push(String(data)))
  let deep = '['.repeat(50) + ']'.repeat(50)
  let json =
    '{"type":"counter/inc","z":1,"a":[0.30000000000000004,9007199254740993,' +
    `-0.5,1e+300],"broken":"\\ud83d","deep":${deep},"":null}`
  alice.text(`["sync",900,${json},{"id":1,"time":1}]`)
  await bob.hears('counter/inc')
  // What JavaScript cannot keep (integers above 2⁵³), the official server
  // rounds; ours must not do worse than that.
  let rounded = json.replace('9007199254740993', '9007199254740992')
  let text = texts.find(i => i.includes('counter/inc'))
  assert.ok(
    text.includes(json) || text.includes(rounded),
    `${text} does not have ${json}`
  )
})

scenario('CrossTabClient works as Client', async s => {
  let server = await s.counter()
  let alice = await s.device(server, 'alice', { Class: CrossTabClient })
  let bob = await s.device(server, 'bob', { Class: CrossTabClient })
  assert.equal(await value(alice), 0)
  assert.equal(await value(bob), 0)
  assert.equal(await alice.send(INC), 'processed')
  await bob.hears('counter/inc')
  assert.equal(await value(bob), 1)
})
