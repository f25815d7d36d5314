// Actions of one client keep their order, but only those of the same record
// fail together.

import assert from 'node:assert/strict'

import { has } from '../helper/device.js'
import { scenario } from '../helper/scenario.js'

const NO_FATE =
  'the official server undoes all that waits in the queue after a failure'

function change(id, fields) {
  return { fields, id, type: 'tasks/change' }
}

scenario(
  'a failed offline edit undoes only later edits of its record',
  { rustOnly: NO_FATE },
  async s => {
    let server = await s.serve()
    let alice = await s.device(server, 'alice')
    let bob = await s.device(server, 'bob')
    for (let id of ['1', '2']) {
      await alice.create('tasks', { id, title: 'A' })
    }
    let [first, second] = await Promise.all([
      bob.record('tasks', '1'),
      bob.record('tasks', '2')
    ])
    await alice.offline()
    let sent = [
      change('1', { title: 'B' }),
      change('2', { id: 'no edit changes an id' }),
      change('1', { done: true }),
      change('2', { title: 'B' }),
      { fields: { title: 'C' }, id: '3', type: 'tasks/create' }
    ].map(action => alice.send(action))
    await alice.online()
    let answers = (await Promise.all(sent)).map(i => i.reason ?? i)
    assert.deepEqual(answers, [
      'processed',
      'error',
      'processed',
      'error',
      'processed'
    ])
    await has(first, { done: true, title: 'B' })
    assert.equal(second.get().title, 'A')
    await has(await bob.record('tasks', '3'), { title: 'C' })
  }
)

scenario(
  'a subscription after a denied action still gets its data',
  { rustOnly: NO_FATE },
  async s => {
    let server = await s.counter()
    let alice = await s.device(server, 'alice')
    await alice.send({ by: 'alice', type: 'counter/inc' })
    await alice.offline()
    let denied = alice.send({ type: 'secret/do' })
    let subscribed = alice.subscribe('counter')
    let later = alice.send({ by: 'alice', type: 'counter/inc' })
    await alice.online()
    assert.equal((await denied).reason, 'denied')
    assert.equal(await subscribed, 'processed')
    assert.equal((await later).reason, 'error')
    assert.deepEqual(alice.heard('counter/set'), [
      { type: 'counter/set', value: 1 }
    ])
  }
)

scenario(
  'a client subscribes again after a denied offline action',
  { rustOnly: NO_FATE },
  async s => {
    let server = await s.counter()
    let alice = await s.device(server, 'alice')
    let bob = await s.device(server, 'bob')
    await alice.subscribe('counter')
    await alice.offline()
    let denied = alice.send({ type: 'secret/do' })
    alice.inbox.forget()
    await alice.online()
    assert.equal((await denied).reason, 'denied')
    await alice.hears('counter/set')
    await bob.send({ by: 'bob', type: 'counter/inc' })
    await alice.hears('counter/inc')
  }
)
