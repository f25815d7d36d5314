// Documents beside the official client, in Node.js, against `logux serve`.

import 'fake-indexeddb/auto'

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'

import { MemoryStore } from '../../../tests/interop/node_modules/@logux/core/index.js'
import {
  encryptActions,
  IndexedStore
} from '../../../tests/interop/node_modules/@logux/client/index.js'
import { within } from '../../../tests/interop/helper/wait.js'
import { documents } from '../src/official.js'
import { logged, officials } from './official-people.js'
import { sameTexts, shown, startServer, until } from './people.js'
import { randomNumbers } from './random.js'

let folder, people, official

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'logux-web-'))
  let config = join(folder, 'logux.toml')
  await writeFile(config, '[documents.notes]\nopen_actions = 10\n')
  let args = ['--dev', '--config', config]
  people = await startServer({ args, collections: ['tasks'], documents: ['notes'] })
  official = officials(people.server)
})

after(async () => {
  await official.end()
  await people.end()
  await rm(folder, { force: true, recursive: true })
})

/** Waits until a document shows a text. */
let says = (note, text) => shown(note, it => it.get('text') === text)

test('an official client and one of this package edit a text', async () => {
  let [{ client, docs }, bob] = [await official.open('ada'), await people.client('bob')]
  let [hers, his] = [docs.document('notes', '1'), bob.document('notes', '1')]
  assert.equal(await within(hers.loading, 'the document'), 'ready')
  await hers.text('text').set('Tea')
  await says(his, 'Tea')
  hers.closeStep()
  await his.text('text').insert(3, ' and milk')
  await says(hers, 'Tea and milk')
  await hers.text('text').insert(0, 'Green ')
  await says(his, 'Green Tea and milk')
  hers.undo()
  await says(his, 'Tea and milk')
  hers.redo()
  await says(his, 'Green Tea and milk')
  await until(() => docs.unsaved === 0 && client.state === 'synchronized')
  assert.deepEqual([docs.state, docs.status], ['synchronized', 'synchronized'])

  hers.setPresence({ name: 'Ada' })
  await shown(his, it => isDeepStrictEqual(Object.values(it.others), [{ name: 'Ada' }]))
  his.setPresence({ name: 'Bob' })
  await shown(hers, it => isDeepStrictEqual(Object.values(it.others), [{ name: 'Bob' }]))
  // The connection of the official client goes on.
  await docs.close()
  await shown(his, it => Object.keys(it.others).length === 0)
  assert.equal(client.state, 'synchronized')
  await his.set('title', 'not for Ada')
  assert.throws(() => hers.get('title'), /closed/)
})

test('the application and its actions go on as before', async () => {
  let { client, device, docs } = await official.open('app')
  let note = docs.document('notes', 'app')
  let store = await device.filter('tasks', {})
  await device.create('tasks', { id: '1', title: 'Tea' })
  await note.set('title', 'Tea')
  assert.equal(await device.change('tasks', '1', { title: 'Milk' }), 'processed')
  await until(() => store.get().list[0]?.title === 'Milk', () => JSON.stringify(store.get()))
  let undo = await device.send({ type: 'unknown' })
  assert.equal(undo.reason, 'unknownType')
  // Subscriptions to documents are none of the application.
  let subscriptions = Object.keys(client.subscriptions).join()
  assert.match(subscriptions, /tasks/)
  assert.doesNotMatch(subscriptions, /notes/)
  let kept = await logged(client)
  assert.deepEqual(
    kept.map(([{ type }]) => type).filter(type => !type.startsWith('tasks/')).sort(),
    ['logux-web/since', 'notes/edit']
  )
})

test('records', async () => {
  let [{ docs }, bob] = [await official.open('records'), await people.client('bob')]
  let [hers, his] = [docs.records('tasks', { filter: { list: 'r' } }), bob.records('tasks')]
  await within(hers.loading, 'the list')
  let id = hers.create({ list: 'r', title: 'Tea' })
  await shown(his, list => list.get().some(task => task.title === 'Tea'))
  await his.change(id, { title: 'Milk' })
  await shown(hers, list => list.get()[0].title === 'Milk')
  await his.delete(id)
  await shown(hers, list => list.get().length === 0)
})

test('edits without a connection arrive later', async () => {
  let [{ device, docs }, bob] = [await official.open('offline'), await people.client('bob')]
  let [hers, his] = [docs.document('notes', '2'), bob.document('notes', '2')]
  await hers.text('text').set('one')
  await says(his, 'one')
  his.setPresence({ name: 'Bob' })
  await shown(hers, it => Object.keys(it.others).length === 1)
  await device.offline()
  await until(() => Object.keys(hers.others).length === 0, () => 'nobody')
  assert.equal(docs.state, 'disconnected')
  let answer = hers.text('text').insert(3, ' two')
  await docs.kept
  await until(() => docs.status === 'wait' && docs.unsaved === 1, () => docs.status)
  await his.text('text').insert(0, 'zero ')
  await device.online()
  await within(answer, 'the answer')
  for (let note of [hers, his]) await says(note, 'zero one two')
  await shown(hers, it => Object.keys(it.others).length === 1)
  assert.deepEqual([docs.unsaved, docs.status], [0, 'synchronized'])
})

for (let [name, create] of [
  ['in memory', () => new MemoryStore()],
  ['in IndexedDB', () => new IndexedStore('reload')]
]) {
  test(`a reload without a connection, with a log ${name}`, async () => {
    let id = `reload ${name}`
    let [store, bob] = [create(), await people.client('bob')]
    let his = bob.document('notes', id)
    let ada = await official.open('reload', { store })
    let hers = ada.docs.document('notes', id)
    await hers.loading
    await hers.text('text').set('one')
    await says(his, 'one')
    await ada.device.offline()
    hers.closeStep()
    hers.text('text').insert(3, ' two')
    await ada.docs.kept
    hers.closeStep()
    hers.text('text').insert(7, '!')
    hers.undo()
    hers.text('text').insert(7, '?')
    // What was typed last is not lost either.
    await ada.end()
    await his.text('text').insert(0, 'zero ')

    let again = await official.open('reload', { isOffline: true, store: store.db ? create() : store })
    hers = again.docs.document('notes', id)
    await says(hers, 'one two?')
    await until(() => again.docs.unsaved > 0, () => again.docs.unsaved)
    let edits = []
    bob.on('add', (action, meta) => edits.push(meta.id))
    again.client.start()
    for (let note of [hers, his]) await says(note, 'zero one two?')
    await until(() => again.docs.unsaved === 0, () => again.docs.unsaved)
    assert.equal(new Set(edits).size, edits.length, 'each is sent once')
    // It continues where the log ends.
    let subscribe = again.device.inbox.all.find(([{ type }]) => type === 'logux/subscribe')[0]
    assert.match(subscribe.since.id, /^\d+ server:/)
  })
}

test('a new device of the user receives what the user has written', async () => {
  let ada = await official.open('devices')
  await ada.docs.document('notes', '3').text('text').set('Tea')
  await ada.end()
  let again = await official.open('devices')
  await says(again.docs.document('notes', '3'), 'Tea')
})

test('a refused edit is taken back', async () => {
  let [{ client, device, docs }, bob] = [await official.open('refused'), await people.client('bob')]
  let [hers, his] = [docs.document('notes', '4'), bob.document('notes', '4')]
  await hers.set('title', 'Tea')
  await shown(his, it => it.get('title') === 'Tea')
  await device.offline()
  let undone = []
  docs.on('undone', (error, id) => undone.push([error.reason, id]))
  let answer = hers.set('title', 'Milk')
  await his.deleteDocument()
  await device.online()
  await assert.rejects(within(answer, 'the answer'), { name: 'UndoneError', reason: 'deleted' })
  assert.deepEqual(undone.filter(([, id]) => id === answer.id), [['deleted', answer.id]])
  await shown(hers, it => it.status === 'deleted')
  assert.equal(hers.get('title'), 'Tea')
  let waiting = (await logged(client)).filter(([, { reasons }]) => reasons.includes('syncing'))
  assert.deepEqual(waiting, [])
})

test('a snapshot shortens the log', async () => {
  let store = new MemoryStore()
  let ada = await official.open('snapshot', { store })
  let { client, docs } = ada
  let note = docs.document('notes', '5')
  for (let number = 0; number < 50; number += 1) await note.set('number', number)
  await until(() => store.entries.length <= 25, () => `${store.entries.length} entries`)
  assert.ok((await logged(client, 'notes/snapshot')).length > 0)
  await ada.end()
  let again = await official.open('snapshot', { isOffline: true, store })
  await shown(again.docs.document('notes', '5'), it => it.get('number') === 49)
})

test('a document that is closed and opened again', async () => {
  let [{ docs, device }, bob] = [await official.open('again'), await people.client('bob')]
  let his = bob.document('notes', '6')
  let hers = docs.document('notes', '6')
  await hers.text('text').set('one')
  await says(his, 'one')
  hers.text('text').insert(3, ' two')
  hers.close()
  await says(his, 'one two')
  await his.text('text').insert(7, ' three')
  device.inbox.forget()
  hers = docs.document('notes', '6')
  await says(hers, 'one two three')
  await his.text('text').insert(0, 'zero ')
  await says(hers, 'zero one two three')
})

test('the end of the official client closes the documents', async () => {
  for (let [method, message] of [
    ['destroy', /destroyed/],
    ['clean', /cleaned/],
    ['changeUser', /another user/]
  ]) {
    let store = new MemoryStore()
    let { client, docs } = await official.open('end', { store })
    assert.equal(await documents(client), docs)
    let note = docs.document('notes', method)
    await note.loading
    let errors = []
    docs.on('error', error => errors.push(error))
    let answer = note.text('text').set('Tea')
    await client[method]('somebody')
    assert.throws(() => note.set('title', 'Tea'), message)
    await assert.rejects(answer, message)
    assert.equal(errors.length, 1)
    await docs.close()
    let kept = (await logged(client)).filter(([{ type }]) => type === 'notes/edit')
    assert.equal(kept.length, method === 'clean' ? 0 : 1, method)
    client.destroy()
    if (method === 'changeUser') {
      // The other user has documents too.
      assert.notEqual(await documents(client), docs)
      await (await documents(client)).close()
    }
  }
})

test('a server without such documents refuses them', async () => {
  let { docs } = await official.open('nothing')
  let plan = docs.document('plans', '1')
  assert.equal(await within(plan.loading, 'the document'), 'wrongChannel')
  let refusal = { name: 'UndoneError', reason: 'unknownType' }
  await assert.rejects(within(plan.set('title', 'Tea'), 'the answer'), refusal)
  assert.equal(plan.get('title'), undefined)
})

test('documents are not encrypted', async () => {
  let requests = ['logux/subscribe', 'logux/unsubscribe', 'logux/undo', 'presence/set']
  let hidden = official.device('hidden').client
  encryptActions(hidden, 'secret')
  await assert.rejects(documents(hidden), /encryptActions/)

  let partly = official.device('partly').client
  encryptActions(partly, 'secret', { ignore: requests })
  let note = (await documents(partly)).document('notes', '8')
  await note.loading
  let refusal = { name: 'UndoneError', reason: 'encrypted' }
  await assert.rejects(within(note.set('title', 'Tea'), 'the answer'), refusal)
  assert.equal(note.get('title'), undefined)

  let bob = await people.client('bob')
  let his = bob.document('notes', '9')
  let open = official.device('open').client
  encryptActions(open, 'secret', { ignore: [...requests, 'notes/edit'] })
  let docs = await documents(open)
  await docs.document('notes', '9').set('title', 'Tea')
  await shown(his, it => it.get('title') === 'Tea')
})

for (let seed of [1, 2, 3]) {
  test(`people type, lose their connections and reload, seed ${seed}`, async () => {
    let below = randomNumbers(seed)
    let id = `random ${seed}`
    let reader = await people.client('reader')
    let read = reader.document('notes', id)
    let users = ['ada', 'bob', 'eve'].map(name => `${name} ${seed}`.replace(' ', ''))
    let stores = users.map(() => new MemoryStore())
    let isOffline = users.map(() => false)
    let start = async number => {
      let options = { isOffline: isOffline[number], store: stores[number] }
      let it = await official.open(users[number], options)
      return { ...it, text: it.docs.document('notes', id).text('text') }
    }
    let all = await Promise.all(users.map((_, number) => start(number)))
    for (let step = 0; step < 120; step += 1) {
      let number = below(all.length)
      let { client, docs, end, text } = all[number]
      let { length } = text.get()
      let what = below(20)
      if (what < 10) {
        text.insert(below(length + 1), String.fromCharCode(97 + below(26)).repeat(1 + below(3)))
      } else if (what < 13 && length > 0) {
        text.remove(below(length))
      } else if (what === 13) {
        text.document.undo()
      } else if (what === 14) {
        text.document.redo()
      } else if (what < 17) {
        let { connection } = client.node
        if (isOffline[number]) connection.connect()
        else connection.disconnect()
        isOffline[number] = !isOffline[number]
      } else if (what === 17) {
        await end()
        all[number] = await start(number)
      } else if (what === 18) {
        await docs.kept
      } else {
        await new Promise(resolve => setTimeout(resolve, 30))
      }
    }
    all.forEach(({ client }, number) => isOffline[number] && client.node.connection.connect())
    for (let { text } of all) text.document.closeStep()
    let texts = [read.text('text'), ...all.map(({ text }) => text)]
    let clients = all.map(({ docs }) => docs)
    let [text] = await sameTexts(clients, texts)
    assert.notEqual(text, '')
    // A device that has nothing of it reads the same.
    let fresh = await people.client('fresh')
    await says(fresh.document('notes', id), text)
  })
}
