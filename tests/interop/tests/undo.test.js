// Undo and redo by official clients, of actions that the server keeps.

import assert from 'node:assert/strict'

import { has } from '../helper/device.js'
import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

const OPTIONS = {
  rustOnly: 'the official server has no rules for undos by clients'
}

/** The lines that a device has, without those that are undone. */
function lines(device) {
  let entries = new Map(device.inbox.all.map(([a, meta]) => [meta.id, a]))
  let undos = [...entries].filter(([, i]) => i.type === 'logux/undo')
  let isUndone = id =>
    undos.some(([undo, action]) => action.id === id && !isUndone(undo))
  return [...entries]
    .filter(([id, i]) => i.type === 'journal/add' && !isUndone(id))
    .map(([, i]) => i.text)
}

/** Sends an action, and returns its id and its outcome. */
async function act(device, action) {
  let id
  let unbind = device.client.log.on('add', (added, meta) => {
    if (added === action) id = meta.id
  })
  let outcome = await device.send(action)
  unbind()
  return [id, outcome]
}

async function add(device, text) {
  let [id, outcome] = await act(device, { text, type: 'journal/add' })
  assert.equal(outcome, 'processed')
  return id
}

/** Undoes, or redoes if the id is the one of an undo. */
async function undo(device, id, more = {}) {
  let [undone, outcome] = await act(device, { ...more, id, type: 'logux/undo' })
  assert.equal(outcome, 'processed')
  return undone
}

async function refused(device, id, reason) {
  let [, outcome] = await act(device, { id, type: 'logux/undo' })
  assert.equal(outcome.type, 'logux/undo')
  assert.equal(outcome.reason, reason)
}

async function newcomer(s, server, name) {
  let device = await s.device(server, name)
  await device.subscribe('journal')
  return device
}

scenario('undo and redo reach readers and newcomers', OPTIONS, async s => {
  let server = await s.journal()
  let alice = await s.device(server, 'alice')
  let bob = await newcomer(s, server, 'bob')
  await add(alice, 'one')
  let two = await add(alice, 'two')
  await bob.hears('journal/add')
  await bob.hears('journal/add')

  let undone = await undo(alice, two, { by: 'keyboard', reason: 'typo' })
  let [action, meta] = await bob.hears('logux/undo')
  let sent = { by: 'keyboard', id: two, reason: 'typo', type: 'logux/undo' }
  assert.deepEqual(action, sent, 'all keys are kept')
  assert.equal(meta.id, undone)
  assert.deepEqual(lines(bob), ['one'])
  assert.deepEqual(lines(await newcomer(s, server, 'carl')), ['one'])

  await undo(alice, undone)
  await bob.hears('logux/undo')
  let dora = await newcomer(s, server, 'dora')
  for (let device of [alice, bob, dora]) {
    assert.deepEqual(lines(device), ['one', 'two'], device.userId)
  }
  await dora.subscribe('journal/count')
  assert.equal(dora.heard('journal/counted')[0].count, 2)
})

scenario('another device of the author undoes', OPTIONS, async s => {
  let server = await s.journal()
  let laptop = await s.device(server, 'alice')
  let phone = await newcomer(s, server, 'alice')
  let id = await add(laptop, 'one')
  await phone.hears('journal/add')
  await undo(phone, id)
  await laptop.hears('logux/undo')
  assert.deepEqual(lines(laptop), [], 'without a subscription')
})

scenario('who may not undo is denied', OPTIONS, async s => {
  let server = await s.journal()
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  let moderator = await s.device(server, 'moderator')
  let id = await add(alice, 'one')
  await refused(bob, id, 'denied')
  let undone = await undo(moderator, id)
  await alice.hears('logux/undo')
  await refused(alice, undone, 'denied')
  let [closed] = await act(alice, { type: 'journal/close' })
  await refused(alice, closed, 'denied')
  await refused(alice, '1 alice:1:1 0', 'notFound')
  await refused(alice, 'nonsense', 'wrongFormat')
  let reader = await newcomer(s, server, 'reader')
  await reader.hears('logux/undo')
  assert.deepEqual(lines(reader), [])
  await undo(moderator, undone)
  await reader.hears('logux/undo')
  assert.deepEqual(lines(reader), ['one'])
})

scenario('who was away receives the undo', OPTIONS, async s => {
  let server = await s.journal()
  let alice = await s.device(server, 'alice')
  let bob = await newcomer(s, server, 'bob')
  let id = await add(alice, 'one')
  await bob.hears('journal/add')
  await bob.offline()
  await undo(alice, id)
  await bob.online()
  await bob.hears('logux/undo')
  assert.deepEqual(lines(bob), [])
})

scenario('an undo before its action was sent', OPTIONS, async s => {
  let server = await s.journal()
  let alice = await s.device(server, 'alice')
  let bob = await newcomer(s, server, 'bob')
  await alice.offline()
  let added = alice.hears('journal/add')
  // The client drops the action, so it is never answered.
  alice.client.sync({ text: 'one', type: 'journal/add' }).catch(() => {})
  let [, { id }] = await added
  let undone = act(alice, { id, type: 'logux/undo' })
  await alice.online()
  let [, outcome] = await within(undone, 'the answer to the undo')
  assert.equal(outcome.reason, 'notFound')
  await add(alice, 'two')
  await bob.hears('journal/add')
  assert.deepEqual(lines(bob), ['two'])
})

scenario('edits of records are not undone', OPTIONS, async s => {
  let server = await s.serve()
  let alice = await s.device(server, 'alice')
  let created = alice.hears('tasks/create')
  await alice.create('tasks', { id: '1', title: 'Tea' })
  let [, { id }] = await created
  await refused(alice, id, 'notFound')
  let bob = await s.device(server, 'bob')
  await has(await bob.record('tasks', '1'), { title: 'Tea' })
})

for (let signal of ['SIGINT', 'SIGKILL']) {
  scenario(`${signal}: undos are the same after it`, OPTIONS, async s => {
    let server = await s.journal()
    let alice = await s.device(server, 'alice')
    let bob = await newcomer(s, server, 'bob')
    let one = await add(alice, 'one')
    let two = await add(alice, 'two')
    let undone = await undo(alice, one)
    await bob.hears('logux/undo')
    await server.stop(signal)
    await alice.state('disconnected')
    await bob.state('disconnected')
    let waiting = [undo(alice, undone), undo(alice, two)]
    await server.start()
    await Promise.all(waiting)

    await bob.state('synchronized')
    await bob.hears('logux/undo')
    await bob.hears('logux/undo')
    let carl = await newcomer(s, server, 'carl')
    assert.deepEqual(lines(bob), ['one'])
    assert.deepEqual(lines(carl), ['one'])
    await carl.subscribe('journal/count')
    assert.equal(carl.heard('journal/counted')[0].count, 1)
  })
}
