// `syncMapTemplate` and `createFilter` of the official client on `logux serve`.

import assert from 'node:assert/strict'

import { has, lists } from '../helper/device.js'
import { scenario } from '../helper/scenario.js'
import { apart } from '../helper/wait.js'

async function two(s, options) {
  let server = await s.serve(options)
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  return { alice, bob, server }
}

scenario('a record: create, change and see the same', async s => {
  let { alice, bob } = await two(s)
  assert.equal(
    await alice.create('tasks', { done: false, id: '1', title: 'A' }),
    'processed'
  )
  let atBob = await bob.record('tasks', '1')
  await has(atBob, { done: false, id: '1', title: 'A' })
  let atAlice = await alice.record('tasks', '1')

  assert.equal(await bob.change('tasks', '1', { title: 'B' }), 'processed')
  await has(atAlice, { done: false, title: 'B' })
  assert.equal(await alice.change('tasks', '1', { done: true }), 'processed')
  await has(atBob, { done: true, title: 'B' })
})

scenario('all JSON values live in fields', async s => {
  let { alice, bob } = await two(s)
  let value = { list: [1, null, 'ы', 0.1], nested: { a: { b: [] } }, no: null }
  await alice.create('notes', { id: 'n', value })
  let record = await bob.record('notes', 'n')
  assert.deepEqual(record.get().value, value)
})

scenario('a missing record is not found', async s => {
  let { alice } = await two(s)
  await assert.rejects(alice.record('tasks', 'missing'), error => {
    return error.name === 'LoguxUndoError' && error.action.reason === 'notFound'
  })
})

scenario('fields changed at the same time do not fight', async s => {
  let { alice, bob, server } = await two(s)
  await alice.create('tasks', { done: false, id: '1', title: 'A' })
  let atAlice = await alice.record('tasks', '1')
  let atBob = await bob.record('tasks', '1')
  await Promise.all([
    alice.change('tasks', '1', { title: 'alice' }),
    bob.change('tasks', '1', { done: true })
  ])
  await has(atAlice, { done: true, title: 'alice' })
  await has(atBob, { done: true, title: 'alice' })
  let carl = await s.device(server, 'carl')
  await has(await carl.record('tasks', '1'), { done: true, title: 'alice' })
})

scenario('one field changed in quick turns ends the same', async s => {
  let { alice, bob, server } = await two(s)
  await alice.create('tasks', { id: '1', title: 'A' })
  let atAlice = await alice.record('tasks', '1')
  let atBob = await bob.record('tasks', '1')
  let made = []
  for (let i = 0; i < 5; i++) {
    made.push(alice.change('tasks', '1', { title: `alice ${i}` }))
    await apart(30)
    made.push(bob.change('tasks', '1', { title: `bob ${i}` }))
    await apart(30)
  }
  await Promise.all(made)
  await has(atAlice, { title: 'bob 4' })
  await has(atBob, { title: 'bob 4' })
  let carl = await s.device(server, 'carl')
  await has(await carl.record('tasks', '1'), { title: 'bob 4' })
})

// Users before and after `server` in the order of ids.
for (let [first, second] of [
  ['alice', 'bob'],
  ['alice', 'zoe'],
  ['zoe', 'alice'],
  ['yan', 'zoe']
]) {
  scenario(
    `one field in the same millisecond, ${first} then ${second}: all agree`,
    {
      rustOnly:
        'It breaks the tie by the ids of the authors, clients by the id of ' +
        'the server in what it sends: they differ for ever.'
    },
    async s => {
      let server = await s.serve()
      let one = await s.device(server, first)
      let two = await s.device(server, second)
      await one.create('tasks', { id: '1', title: '' })
      let atOne = await one.record('tasks', '1')
      let atTwo = await two.record('tasks', '1')

      let now = Date.now()
      let made = [one, two].map(device => {
        let action = {
          fields: { title: device.userId },
          id: '1',
          type: 'tasks/change'
        }
        // The same time on the wire, whatever each thinks of the clocks.
        return device.send(action, { time: now + device.client.node.timeFix })
      })
      assert.deepEqual(await Promise.all(made), ['processed', 'processed'])
      await one.change('tasks', '1', { one: true })
      await two.change('tasks', '1', { two: true })
      for (let record of [atOne, atTwo]) {
        await has(record, { one: true, two: true })
      }
      let titles = [atOne, atTwo].map(record => record.get().title)
      let carl = await s.device(server, 'carl')
      let { title } = (await carl.record('tasks', '1')).get()
      assert.deepEqual(titles, [title, title])
    }
  )
}

scenario('a filter: what matches comes, changes and goes', async s => {
  let { alice, bob } = await two(s)
  let inbox = await alice.filter('tasks', { list: 'inbox' })
  await lists(inbox)

  await bob.create('tasks', { id: '1', list: 'inbox', title: 'one' })
  await lists(inbox, '1')
  await bob.create('tasks', { id: '2', list: 'other', title: 'two' })
  await bob.create('tasks', { id: '3', list: 'inbox', title: 'three' })
  await lists(inbox, '1', '3')

  await bob.change('tasks', '1', { title: 'ONE' })
  await has(inbox.get().stores.get('1'), { list: 'inbox', title: 'ONE' })

  await bob.change('tasks', '1', { list: 'other' })
  await lists(inbox, '3')
  await bob.change('tasks', '2', { list: 'inbox' })
  await lists(inbox, '2', '3')
  await bob.change('tasks', '1', { list: 'inbox' })
  await lists(inbox, '1', '2', '3')

  await bob.delete('tasks', '3')
  await lists(inbox, '1', '2')
})

scenario('a filter loads what was there', async s => {
  let { alice, bob } = await two(s)
  await bob.create('tasks', { id: '1', list: 'inbox', title: 'one' })
  await bob.create('tasks', { id: '2', list: 'other', title: 'two' })
  await bob.create('tasks', { id: '3', list: 'inbox', title: 'three' })
  await bob.delete('tasks', '3')
  let inbox = await alice.filter('tasks', { list: 'inbox' })
  await lists(inbox, '1')
  await has(inbox.get().stores.get('1'), { list: 'inbox', title: 'one' })
  let all = await alice.filter('tasks', {})
  await lists(all, '1', '2')
  // It is subscribed to the changes of what it loaded.
  await bob.change('tasks', '1', { title: 'ONE' })
  await has(inbox.get().stores.get('1'), { title: 'ONE' })
})

scenario('both sides of a filter may edit', async s => {
  let { alice, bob } = await two(s)
  let atAlice = await alice.filter('tasks', { list: 'inbox' })
  let atBob = await bob.filter('tasks', { list: 'inbox' })
  await alice.create('tasks', { id: 'a', list: 'inbox', title: '' })
  await bob.create('tasks', { id: 'b', list: 'inbox', title: '' })
  await lists(atAlice, 'a', 'b')
  await lists(atBob, 'a', 'b')
  await alice.change('tasks', 'b', { title: 'from alice' })
  await bob.change('tasks', 'a', { title: 'from bob' })
  await has(atAlice.get().stores.get('a'), { title: 'from bob' })
  await has(atBob.get().stores.get('b'), { title: 'from alice' })
  await alice.delete('tasks', 'b')
  await lists(atAlice, 'a')
  await lists(atBob, 'a')
})

scenario('a filter on a field that is not text', async s => {
  let { alice, bob } = await two(s)
  let done = await alice.filter('tasks', { done: true })
  await bob.create('tasks', { done: true, id: '1' })
  await bob.create('tasks', { done: 'true', id: '2' })
  await bob.create('tasks', { done: true, id: '3' })
  await lists(done, '1', '3')
  let carl = await bob.filter('tasks', { done: true })
  await lists(carl, '1', '3')
})

scenario('a deleted record is gone', async s => {
  let { alice, bob } = await two(s)
  await alice.create('tasks', { id: '1', title: 'A' })
  assert.equal(await alice.delete('tasks', '1'), 'processed')
  await assert.rejects(bob.record('tasks', '1'), { name: 'LoguxUndoError' })
})

// What the filter of a device lists: id and fields of each record.
function shown(filter) {
  return filter.get().list.map(({ isLoading, ...fields }) => fields)
}

async function allAgree(s, server, filters) {
  let newcomer = await s.device(server, 'newcomer')
  let expected = shown(await newcomer.filter('tasks', {}))
  for (let filter of filters) {
    await lists(filter, ...expected.map(i => i.id))
    assert.deepEqual(shown(filter), expected)
  }
  return expected
}

scenario(
  'a late change does not restore a deleted record',
  { rustOnly: 'It leaves the decision to the application.' },
  async s => {
    let { alice, bob, server } = await two(s)
    let watcher = await s.device(server, 'watcher')
    await alice.create('tasks', { done: false, id: '1', title: 'Tea' })
    let devices = [alice, bob, watcher]
    let filters = []
    for (let device of devices) {
      filters.push(await device.filter('tasks', {}))
    }
    await bob.offline()
    assert.equal(await alice.delete('tasks', '1'), 'processed')
    let late = bob.change('tasks', '1', { done: true })
    await bob.online()
    assert.equal((await late).reason, 'notFound')
    assert.deepEqual(await allAgree(s, server, filters), [])
  }
)

scenario(
  'who changes a deleted record does not list it again',
  { rustOnly: 'It leaves the decision to the application.' },
  async s => {
    let { alice, bob, server } = await two(s)
    await alice.create('tasks', { done: false, id: '1', title: 'Tea' })
    let atAlice = await alice.filter('tasks', {})
    let atBob = await bob.filter('tasks', {})
    await alice.delete('tasks', '1')
    await bob.hears('tasks/deleted')
    let undo = await bob.change('tasks', '1', { done: true })
    assert.equal(undo.reason, 'notFound')
    assert.deepEqual(await allAgree(s, server, [atAlice, atBob]), [])
  }
)

scenario(
  'a late deletion deletes newer changes too',
  { rustOnly: 'It leaves the decision to the application.' },
  async s => {
    let { alice, bob, server } = await two(s)
    await alice.create('tasks', { done: false, id: '1', title: 'Tea' })
    let atAlice = await alice.filter('tasks', {})
    let atBob = await bob.filter('tasks', {})
    await alice.offline()
    let late = alice.delete('tasks', '1')
    await apart()
    await bob.change('tasks', '1', { done: true })
    await alice.online()
    assert.equal(await late, 'processed')
    let [action, meta] = await alice.hears('tasks/deleted')
    assert.equal(action.id, '1')
    assert.deepEqual(await allAgree(s, server, [atAlice, atBob]), [])
    // A record can be created again after that.
    await apart()
    let again = { done: false, id: '1', title: 'New' }
    // The store of a deleted record lives on for a second in its client, which
    // does not apply its own `create` to it.
    let carl = await s.device(server, 'carl')
    assert.equal(await carl.create('tasks', again), 'processed')
    let [, created] = await alice.hears('tasks/created')
    assert.ok(created.time > meta.time)
    assert.deepEqual(await allAgree(s, server, [atAlice, atBob]), [again])
  }
)

scenario(
  'the id of a record may have any characters',
  { rustOnly: 'The pattern of its channel has no slash.' },
  async s => {
    let { alice, bob } = await two(s)
    for (let id of ['2024/01', 'a/b/c', '/', 'é ?#%2F:id', '..']) {
      assert.equal(await alice.create('tasks', { id, title: id }), 'processed')
      let record = await bob.record('tasks', id)
      await has(record, { id, title: id })
      await alice.change('tasks', id, { title: 'B' })
      await has(record, { title: 'B' })
    }
    let filter = await alice.filter('tasks', {})
    await lists(filter, '2024/01', 'a/b/c', '/', 'é ?#%2F:id', '..')
    let long = await alice.create('tasks', { id: 'x'.repeat(5000), title: '' })
    assert.equal(long.reason, 'error')
  }
)

scenario('collections do not mix', async s => {
  let { alice, bob } = await two(s)
  await alice.create('tasks', { id: '1', title: 'task' })
  await alice.create('notes', { id: '1', title: 'note' })
  await has(await bob.record('tasks', '1'), { title: 'task' })
  await has(await bob.record('notes', '1'), { title: 'note' })
})

scenario('a collection that was not named does not exist', async s => {
  let { alice } = await two(s, { collections: ['tasks'] })
  let created = await alice.create('notes', { id: '1', title: '' })
  assert.equal(created.reason, 'unknownType')
  let subscribed = await alice.subscribe('notes/1')
  assert.equal(subscribed.reason, 'wrongChannel')
  let filtered = await alice.subscribe('notes', { filter: {} })
  assert.equal(filtered.reason, 'wrongChannel')
})

scenario('clients may not say what only the server says', async s => {
  let { alice, bob } = await two(s)
  await alice.create('tasks', { id: '1', title: 'A' })
  let record = await bob.record('tasks', '1')
  for (let action of [
    { fields: { title: 'x' }, id: '1', type: 'tasks/changed' },
    { fields: { title: 'x' }, id: '2', type: 'tasks/created' },
    { id: '1', type: 'tasks/deleted' }
  ]) {
    let undo = await alice.send(action)
    assert.equal(undo.reason, 'denied', action.type)
  }
  await alice.change('tasks', '1', { fence: true })
  await has(record, { fence: true, title: 'A' })
})
