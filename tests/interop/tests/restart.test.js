// The server goes and comes back: clients find it, and nothing is lost.

import assert from 'node:assert/strict'

import { has, lists } from '../helper/device.js'
import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

const MEMORY = 'It has no store of its own: the records are gone with it.'

for (let signal of ['SIGINT', 'SIGTERM', 'SIGKILL']) {
  scenario(`${signal}: clients come back and subscribe again`, async s => {
    let server = await s.counter()
    let alice = await s.device(server, 'alice')
    let bob = await s.device(server, 'bob')
    await alice.subscribe('counter')
    await bob.send({ type: 'counter/inc' })

    let end = await server.stop(signal)
    if (signal !== 'SIGKILL') assert.deepEqual(end, { code: 0, signal: null })
    await alice.state('disconnected')
    await bob.state('disconnected')
    alice.inbox.forget()
    let waiting = bob.client.sync({ by: 'bob', type: 'counter/inc' })

    await server.start()
    await alice.state('synchronized')
    await alice.hears('counter/set')
    await alice.hears('logux/processed')
    await within(waiting, 'the edit made while the server was away')
    await bob.send({ type: 'counter/inc' })
    await alice.hears('counter/inc')
  })

  scenario(`${signal}: records are there`, { rustOnly: MEMORY }, async s => {
    let server = await s.serve()
    let alice = await s.device(server, 'alice')
    await alice.create('tasks', { id: '1', list: 'inbox', title: 'A' })
    await alice.create('tasks', { id: '2', list: 'inbox', title: 'B' })
    await alice.create('notes', { id: '1', title: 'note' })
    await alice.change('tasks', '1', { title: 'AA' })
    await alice.delete('tasks', '2')
    let end = await server.restart(signal)
    if (signal !== 'SIGKILL') assert.deepEqual(end, { code: 0, signal: null })

    let bob = await s.device(server, 'bob')
    await lists(await bob.filter('tasks', { list: 'inbox' }), '1')
    await has(await bob.record('tasks', '1'), { list: 'inbox', title: 'AA' })
    await has(await bob.record('notes', '1'), { title: 'note' })
  })
}

scenario(
  'SIGKILL: edits of the time without a server, and all agree',
  { rustOnly: MEMORY },
  async s => {
    let server = await s.serve()
    let alice = await s.device(server, 'alice')
    let bob = await s.device(server, 'bob')
    await alice.create('tasks', { done: false, id: '1', title: 'A' })
    let atAlice = await alice.record('tasks', '1')
    let atBob = await bob.record('tasks', '1')

    await server.stop('SIGKILL')
    let waiting = [
      alice.change('tasks', '1', { title: 'alice' }),
      bob.change('tasks', '1', { done: true })
    ]
    await server.start()
    assert.deepEqual(await Promise.all(waiting), ['processed', 'processed'])
    await has(atAlice, { done: true, title: 'alice' })
    await has(atBob, { done: true, title: 'alice' })
  }
)

scenario(
  'SIGKILL in the middle of work loses nothing that was answered',
  { rustOnly: MEMORY },
  async s => {
    let server = await s.serve()
    let alice = await s.device(server, 'alice')
    let answered = []
    let waiting = []
    for (let i = 0; i < 300; i++) {
      let made = alice.create('tasks', { id: `t${i}`, list: 'inbox', n: i })
      waiting.push(made.then(() => answered.push(`t${i}`)))
    }
    await waiting[20]
    let before = [...answered]
    await server.restart('SIGKILL')
    await Promise.all(waiting)
    assert.equal(answered.length, 300, 'the client sent the rest again')

    let raw = await s.raw(server)
    await raw.connect('reader:r:r')
    await raw.subscribe('tasks', { filter: { list: 'inbox' } })
    let ids = raw.all('tasks/changed').map(i => i.id)
    for (let id of before) assert.ok(ids.includes(id), `${id} was lost`)
    assert.deepEqual([...new Set(ids)].length, 300)
    assert.equal(ids.length, 300, 'each once')
  }
)

scenario(
  'a time won before the restart wins after it',
  { rustOnly: MEMORY },
  async s => {
    let server = await s.serve()
    let alice = await s.raw(server)
    await alice.connect('alice:a:a')
    let early = alice.id()
    await alice.ask({ fields: { title: '' }, id: '1', type: 'tasks/create' })
    await alice.ask({
      fields: { title: 'late' },
      id: '1',
      type: 'tasks/change'
    })
    await server.restart('SIGKILL')
    alice = await s.raw(server)
    await alice.connect('alice:a:a')
    let action = { fields: { title: 'early' }, id: '1', type: 'tasks/change' }
    await alice.ask(action, { id: early })
    let bob = await s.device(server, 'bob')
    await has(await bob.record('tasks', '1'), { title: 'late' })
  }
)
