// Clients with clocks an hour apart edit one field. The last edit of true time
// wins, whatever the clocks say, and all agree.

import assert from 'node:assert/strict'

import { scenario } from '../helper/scenario.js'
import { has } from '../helper/device.js'
import { apart } from '../helper/wait.js'

const HOUR = 60 * 60 * 1000

async function two(s, shift) {
  let server = await s.serve()
  let bob = await s.device(server, 'bob')
  await bob.create('tasks', { id: '1', title: 'first' })
  await apart()
  let alice = await s.skewed(server, 'alice', shift)
  await alice.call('watch', 'tasks', '1')
  let record = await bob.record('tasks', '1')
  await has(record, { title: 'first' })
  return { alice, bob, record, server }
}

async function agree(s, { alice, record, server }, title) {
  await has(record, { title })
  await alice.call('has', 'tasks', '1', { title })
  let carl = await s.device(server, 'carl')
  await has(await carl.record('tasks', '1'), { title })
}

for (let [name, shift] of [
  ['ahead', HOUR],
  ['behind', -HOUR]
]) {
  scenario(`clock ${name}: the device really has it`, async s => {
    let { alice } = await two(s, shift)
    let error = (await alice.call('now')) - Date.now() - shift
    assert.ok(Math.abs(error) < 1000)
  })

  scenario(`clock ${name}: its later edit wins`, async s => {
    let all = await two(s, shift)
    await all.bob.change('tasks', '1', { title: 'bob' })
    await all.alice.call('has', 'tasks', '1', { title: 'bob' })
    await apart()
    await all.alice.call('change', 'tasks', '1', { title: 'alice' })
    await agree(s, all, 'alice')
  })

  scenario(`clock ${name}: its earlier edit loses`, async s => {
    let all = await two(s, shift)
    await all.alice.call('change', 'tasks', '1', { title: 'alice' })
    await has(all.record, { title: 'alice' })
    await apart()
    await all.bob.change('tasks', '1', { title: 'bob' })
    await agree(s, all, 'bob')
  })

  scenario(`clock ${name}: its earlier offline edit loses`, async s => {
    let all = await two(s, shift)
    await all.alice.call('offline')
    await all.alice.call('changeOffline', 'tasks', '1', { title: 'alice' })
    await apart()
    await all.bob.change('tasks', '1', { title: 'bob' })
    await all.alice.call('online')
    // This one comes after the offline edit, so that has been dealt with.
    await all.alice.call('change', 'tasks', '1', { done: true })
    await has(all.record, { done: true })
    if (shift > 0) {
      // What alice missed: see the next test.
      await has(all.record, { title: 'bob' })
    } else {
      await agree(s, all, 'bob')
    }
  })

  scenario(`clock ${name}: its later offline edit wins`, async s => {
    let all = await two(s, shift)
    await all.alice.call('offline')
    await all.bob.change('tasks', '1', { title: 'bob' })
    await apart()
    await all.alice.call('changeOffline', 'tasks', '1', { title: 'alice' })
    await all.alice.call('online')
    await agree(s, all, 'alice')
  })
}

scenario(
  'clock ahead: what was missed comes',
  {
    rustOnly:
      'It compares `since.time`, which is by the clock of the client, with ' +
      'times by its own, so that a client with a clock ahead misses what ' +
      'changed while it was away. The time inside `since.id`, an id that the ' +
      'server gave out, is by its own clock.'
  },
  async s => {
    let all = await two(s, HOUR)
    await all.alice.call('offline')
    await apart()
    await all.bob.change('tasks', '1', { title: 'bob' })
    await all.alice.call('online')
    await agree(s, all, 'bob')
  }
)
