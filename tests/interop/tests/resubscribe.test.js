// After a reconnect the official client subscribes again and says `since`: only
// what was missed comes.

import assert from 'node:assert/strict'

import { has, lists } from '../helper/device.js'
import { scenario } from '../helper/scenario.js'
import { apart } from '../helper/wait.js'

async function comeBack(device) {
  device.inbox.forget()
  await device.online()
  let [{ since }] = await device.hears('logux/subscribe')
  assert.ok(since.time, 'the client said since')
  await device.hears('logux/processed')
}

function changes(device) {
  return device.heard('tasks/changed').map(i => i.fields)
}

scenario('a record: only fields changed since come', async s => {
  let server = await s.serve()
  let alice = await s.device(server, 'alice')
  await alice.create('tasks', { done: false, id: '1', title: 'A' })
  await apart()
  let bob = await s.device(server, 'bob')
  let record = await bob.record('tasks', '1')
  assert.deepEqual(changes(bob), [{ done: false, title: 'A' }])

  await bob.offline()
  await apart()
  await alice.change('tasks', '1', { done: true })
  await comeBack(bob)
  await has(record, { done: true, title: 'A' })
  assert.deepEqual(changes(bob), [{ done: true }])
})

scenario('a record: nothing changed, nothing comes', async s => {
  let server = await s.serve()
  let alice = await s.device(server, 'alice')
  await alice.create('tasks', { id: '1', title: 'A' })
  await apart()
  let bob = await s.device(server, 'bob')
  await bob.record('tasks', '1')
  await bob.offline()
  await comeBack(bob)
  assert.deepEqual(changes(bob), [])
})

scenario('a filter: only records changed since come', async s => {
  let server = await s.serve()
  let alice = await s.device(server, 'alice')
  await alice.create('tasks', { id: '1', list: 'inbox', title: 'one' })
  await alice.create('tasks', { id: '2', list: 'inbox', title: 'two' })
  await apart()
  let bob = await s.device(server, 'bob')
  let inbox = await bob.filter('tasks', { list: 'inbox' })
  await lists(inbox, '1', '2')

  await bob.offline()
  await apart()
  await alice.change('tasks', '2', { title: 'TWO' })
  await alice.create('tasks', { id: '3', list: 'inbox', title: 'three' })
  await comeBack(bob)
  await lists(inbox, '1', '2', '3')
  await has(inbox.get().stores.get('2'), { title: 'TWO' })
  await has(inbox.get().stores.get('3'), { title: 'three' })
  let texts = JSON.stringify(changes(bob))
  assert.ok(!texts.includes('one'), `${texts} has what did not change`)
  assert.ok(!texts.includes('two'), `${texts} has what did not change`)
})

scenario('after it the subscription lives', async s => {
  let server = await s.serve()
  let alice = await s.device(server, 'alice')
  await alice.create('tasks', { id: '1', title: 'A' })
  let bob = await s.device(server, 'bob')
  let record = await bob.record('tasks', '1')
  for (let title of ['B', 'C', 'D']) {
    await bob.offline()
    await comeBack(bob)
    await alice.change('tasks', '1', { title })
    await has(record, { title })
  }
})

scenario(
  'a record: an edit that was made before, but came while we were away, comes',
  {
    rustOnly:
      'the official server compares `since` with when an edit was made, so what was made offline before is lost'
  },
  async s => {
    let server = await s.serve()
    let alice = await s.device(server, 'alice')
    await alice.create('tasks', { done: false, id: '1', title: 'A' })
    await alice.offline()
    let edited = alice.change('tasks', '1', { title: 'offline' })
    await apart()
    let bob = await s.device(server, 'bob')
    let record = await bob.record('tasks', '1')
    await bob.offline()
    await apart()
    await alice.online()
    await edited
    await comeBack(bob)
    await has(record, { done: false, title: 'offline' })
  }
)
