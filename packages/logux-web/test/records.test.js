// Records in Node.js, against `logux serve`.

import 'fake-indexeddb/auto'

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import WebSocket from 'ws'

import { within } from '../../../tests/interop/helper/wait.js'
import { shown, startServer } from './people.js'

const RULES = `
[collections.owned]
owner = "userId"
`

let people, folder

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'logux-web-'))
  let config = join(folder, 'logux.toml')
  await writeFile(config, RULES)
  let args = ['--dev', '--config', config]
  people = await startServer({ args, collections: ['tasks', 'owned'] })
})

after(async () => {
  await people.end()
  await rm(folder, { force: true, recursive: true })
})

let client = (userId, options) => people.client(userId, options)

/** Checks a list of records, without their ids. */
function shows(records, expected) {
  assert.deepEqual(
    records.get().map(({ id: _, ...fields }) => fields),
    expected
  )
}

test('two people share a list', async () => {
  let [ada, bob] = await Promise.all([client('ada'), client('bob')])
  let hers = ada.records('tasks', { filter: { list: 'one' } })
  let his = bob.records('tasks', { filter: { list: 'one' } })
  assert.deepEqual(hers.get(), [])
  assert.equal(await within(hers.loading, 'the list'), 'ready')
  let [tea, milk] = ['Tea', 'Milk'].map(title => hers.create({ list: 'one', title }))
  shows(hers, [
    { list: 'one', title: 'Tea' },
    { list: 'one', title: 'Milk' }
  ])
  await shown(his, it => it.get().length === 2)
  assert.deepEqual(his.get(), hers.get())

  await his.change(tea, { title: 'Green tea' })
  await shown(hers, it => it.get()[0].title === 'Green tea')
  // The record also leaves the list of the client that has not received its new value.
  await his.change(tea, { list: 'two' })
  await shown(hers, it => it.get().length === 1)
  await his.delete(milk)
  await shown(hers, it => it.get().length === 0)
})

test('what a list shows stays the same object until it changes', async () => {
  let ada = await client('ada')
  let list = ada.records('tasks', { filter: { a: 1, list: 'same' } })
  assert.equal(ada.records('tasks', { filter: { list: 'same', a: 1 } }), list)
  let [one, two] = [1, 2].map(n => list.create({ a: 1, list: 'same', n }))
  let before = list.get()
  assert.equal(list.get(), before)
  assert.equal(list.value, before)
  let shown = []
  let unsubscribe = list.subscribe(value => shown.push(value))
  await list.change(two, { n: 3 })
  assert.notEqual(list.get(), before)
  assert.equal(list.get()[0], before[0])
  assert.deepEqual(shown.at(0), before)
  assert.equal(shown.at(-1), list.get())
  unsubscribe()
  let count = shown.length
  list.change(one, { n: 0 })
  assert.equal(shown.length, count)
  // It was opened twice.
  list.close()
  assert.equal(ada.records('tasks', { filter: { a: 1, list: 'same' } }), list)
  for (let n = 0; n < 2; n++) list.close()
  assert.notEqual(ada.records('tasks', { filter: { a: 1, list: 'same' } }), list)
})

test('one record is open by its id', async () => {
  let [ada, bob] = await Promise.all([client('ada'), client('bob')])
  let hers = ada.record('tasks', 'solo')
  assert.equal(await within(hers.loading, 'the record'), 'missing')
  assert.equal(hers.get(), undefined)
  await hers.create({ title: 'Tea' })
  assert.deepEqual(hers.get(), { id: 'solo', title: 'Tea' })
  let his = bob.record('tasks', 'solo')
  assert.equal(await within(his.loading, 'the record'), 'ready')
  await his.change({ title: 'Milk' })
  await shown(hers, it => it.get().title === 'Milk')
  await his.delete()
  await shown(hers, it => it.get() === undefined)
})

test('a user undoes the own changes of records', async () => {
  let ada = await client('ada')
  let list = ada.records('tasks', { filter: { list: 'undo' } })
  let id = list.create({ list: 'undo', title: 'one' })
  list.closeStep()
  list.change(id, { title: 'two' })
  assert.equal(list.canUndo, true)
  list.undo()
  assert.equal(list.get()[0].title, 'one')
  list.redo()
  assert.equal(list.get()[0].title, 'two')
})

test('what the server refuses is taken back', async () => {
  let ada = await client('ada')
  let undone = []
  ada.on('undone', (error, id) => undone.push([error.reason, id]))
  let list = ada.records('owned', { filter: { userId: 'ada' } })
  let mine = list.create({ id: 'mine', title: 'Mine', userId: 'ada' })
  assert.equal(mine, 'mine')
  await shown(ada.record('owned', 'mine'), it => it.status === 'ready')
  let refused = list.change('theirs', { title: 'Mine too', userId: 'ada' })
  assert.equal(list.get().length, 2)
  await assert.rejects(refused, ({ reason }) => reason === 'notFound')
  assert.deepEqual(undone, [['notFound', refused.id]])
  shows(list, [{ title: 'Mine', userId: 'ada' }])

  let bob = await client('bob')
  let theirs = bob.record('owned', 'mine')
  assert.equal(await within(theirs.loading, 'the record'), 'forbidden')
})

test('changes without a connection arrive later, also after a restart', async () => {
  let filter = { list: 'train' }
  let offline = await client('ada', { server: 'ws://127.0.0.1:9', store: 'train' })
  let list = offline.records('tasks', { filter })
  list.create({ list: 'train', title: 'one' })
  list.change(list.create({ list: 'train', title: 'two' }), { title: '2' })
  assert.equal(list.status, 'loading')
  await offline.kept
  await offline.close()
  // A component that is removed later closes what it had open.
  list.close()

  let online = await client('ada', { store: 'train' })
  let again = online.records('tasks', { filter })
  shows(again, [
    { list: 'train', title: 'one' },
    { list: 'train', title: '2' }
  ])
  let bob = await client('bob')
  await shown(bob.records('tasks', { filter }), it => it.get().length === 2)
  await shown(again, it => it.status === 'ready')
})

test('a long list is sent to JavaScript once', async () => {
  let ada = await client('ada')
  let list = ada.records('tasks', { filter: { list: 'long' } })
  await within(list.loading, 'the list')
  let unsubscribe = list.listen(() => {})
  for (let n = 0; n < 2000; n++) list.create({ list: 'long', n })
  let before = list.get()
  assert.equal(before.length, 2000)
  list.change(before[1000].id, { n: -1 })
  let same = list.get().filter((record, index) => record === before[index])
  assert.equal(same.length, 1999)
  unsubscribe()
})

test('what a listener changes is written after the change that it hears of', async () => {
  let options = { server: 'ws://127.0.0.1:9', store: 'nested' }
  let ada = await client('ada', options)
  let list = ada.records('tasks', { filter: { list: 'nested' } })
  let unsubscribe = list.listen(records => {
    if (records.length === 1) list.undo()
  })
  list.create({ list: 'nested', title: 'one' })
  unsubscribe()
  assert.deepEqual(list.get(), [])
  await ada.kept
  await ada.close()
  let again = await client('ada', options)
  assert.deepEqual(again.records('tasks', { filter: { list: 'nested' } }).get(), [])
})

test('a WebSocket that cannot be made is an attempt that has failed', async () => {
  let attempts = 0
  class Wrong extends WebSocket {
    constructor(url) {
      attempts += 1
      if (attempts === 1) throw new SyntaxError(`not an address: ${url}`)
      super(url)
    }
  }
  let ada = await client('ada', { WebSocket: Wrong })
  await within(ada.records('tasks').loading, 'a second attempt')
  assert.equal(attempts, 2)
})
