// The package in Node.js, against `logux serve`.

import 'fake-indexeddb/auto'

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import WebSocket from 'ws'

import { serve } from '../../../tests/interop/helper/server.js'
import { within } from '../../../tests/interop/helper/wait.js'
import { open, UndoneError } from '../src/index.js'

let server
let clients = []

before(async () => {
  server = await serve({ collections: [], documents: ['notes'] })
  await server.start()
})

after(async () => {
  await Promise.all(clients.map(client => client.close()))
  await server.destroy()
})

/** Opens a client that the end of the tests closes. */
async function client(userId, options = {}) {
  let opened = await open({ server: server.url, userId, WebSocket, ...options })
  clients.push(opened)
  return opened
}

/** Waits until a condition on a document is true. */
function until(document, condition) {
  let unsubscribe
  let done = new Promise(resolve => {
    unsubscribe = document.subscribe(() => {
      if (condition(document)) resolve()
    })
  })
  let shown = () => `a change of ${document.channel}: ${JSON.stringify(document.get())}`
  return within(done, shown).finally(() => unsubscribe())
}

test('two people edit a document', async () => {
  let [ada, bob] = await Promise.all([client('ada'), client('bob')])
  let [hers, his] = [ada.document('notes', '1'), bob.document('notes', '1')]
  assert.equal(await within(hers.loading, 'the document'), 'ready')
  await hers.set('title', 'Tea')
  await hers.list('items').push('Milk', 'Sugar')
  await hers.text('text').set('Hello 🌍')
  await hers.increment('count', 2)
  await until(his, it => it.get('count') === 2)
  assert.deepEqual(his.get(), {
    count: 2,
    items: ['Milk', 'Sugar'],
    text: 'Hello 🌍',
    title: 'Tea'
  })
  // Indexes count UTF-16 code units.
  his.text('text').insert('Hello 🌍'.length, '!')
  his.list('items').move(0, 1)
  await until(hers, it => it.get('text') === 'Hello 🌍!' && it.get('items')[0] === 'Sugar')
  assert.equal(hers.get(['items', 1]), 'Milk')
})

test('two people change an outline', async () => {
  let [ada, bob] = await Promise.all([client('ada'), client('bob')])
  let [hers, his] = [ada.document('notes', 'tree'), bob.document('notes', 'tree')]
  await within(hers.loading, 'the document')
  let tree = hers.tree('outline')
  assert.deepEqual([tree.get(), tree.children()], [[], []])
  let work = tree.create({ title: 'Work' })
  let mail = tree.create('Mail', { parent: work.node })
  let call = tree.create('Call', { index: 0, parent: work.node })
  let home = tree.create('Home', { index: 0 })
  await tree.set(tree.children(work.node)[0].id, 'Call Bob')
  await hers.set(tree.pathOf(work.node, 'title'), 'Office')
  assert.deepEqual(tree.children(), [
    { id: home.node, value: 'Home' },
    { id: work.node, value: { title: 'Office' } }
  ])
  await until(his, it => it.tree('outline').get().at(1)?.value.title === 'Office')
  let shown = it => it.tree('outline').get().map(({ depth, value }) => [depth, value.title ?? value])
  assert.deepEqual(shown(his), [[0, 'Home'], [0, 'Office'], [1, 'Call Bob'], [1, 'Mail']])

  // Whatever is moved at once, there is no cycle, and nothing is lost.
  await Promise.all([
    tree.move(home.node, { parent: work.node }),
    his.tree('outline').move(work.node, { parent: home.node })
  ])
  let isSame = () => JSON.stringify(hers.get()) === JSON.stringify(his.get())
  await Promise.any([until(hers, isSame), until(his, isSame)])
  assert.equal(tree.get().length, 4)
  await tree.move(mail.node, { index: 0 })
  await tree.remove(tree.get().find(({ id }) => id === call.node).parent)
  await until(his, isSame)
  assert.equal(tree.get()[0].value, 'Mail')
  assert.throws(() => tree.create('x', { parent: call.node }), /the tree has no node/)
  hers.undo()
  await until(his, () => his.tree('outline').get().some(({ id }) => id === call.node))
})

test('undo takes back what one has done oneself', async () => {
  let [ada, bob] = await Promise.all([client('ada'), client('bob')])
  let [hers, his] = [ada.document('notes', '2'), bob.document('notes', '2')]
  await hers.text('text').set('one two')
  await until(his, it => it.get('text') === 'one two')
  hers.closeStep()
  hers.text('text').insert(3, ' and a half')
  await until(his, it => it.get('text') === 'one and a half two')
  await his.text('text').insert(0, 'zero ')
  await until(hers, it => it.get('text') === 'zero one and a half two')
  assert.equal(hers.canUndo, true)
  hers.undo()
  await until(his, it => it.get('text') === 'zero one two')
  assert.equal(hers.canRedo, true)
  hers.redo()
  await until(his, it => it.get('text') === 'zero one and a half two')
})

test('people see each other, and cursors stay at their letters', async () => {
  let [ada, bob] = await Promise.all([client('ada'), client('bob')])
  let [hers, his] = [ada.document('notes', '3'), bob.document('notes', '3')]
  await hers.text('text').set('abc')
  await until(his, it => it.get('text') === 'abc')
  hers.setPresence({ cursor: hers.text('text').anchor(2), name: 'Ada' })
  await until(his, it => Object.values(it.others).some(({ name }) => name === 'Ada'))
  let { cursor } = his.others[ada.nodeId]
  await his.text('text').insert(0, '>> ')
  assert.equal(his.text('text').indexOf(cursor), 5)
  await ada.close()
  await until(his, it => Object.keys(it.others).length === 0)
})

test('edits without a connection arrive later, also after a restart', async () => {
  let offline = await client('ada', { server: 'ws://127.0.0.1:9', store: 'ada' })
  let note = offline.document('notes', '4')
  note.text('text').set('written on a train')
  assert.equal(offline.unsaved, 1)
  await offline.kept
  await offline.close()

  let online = await client('ada', { store: 'ada' })
  assert.equal(online.isKept, true)
  let again = online.document('notes', '4')
  assert.equal(again.get('text'), 'written on a train')
  let bob = await client('bob')
  await until(bob.document('notes', '4'), it => it.get('text') === 'written on a train')
})

test('what the server refuses is taken back', async () => {
  let ada = await client('ada')
  let undone = []
  ada.on('undone', error => undone.push(error.reason))
  await assert.rejects(ada.sync({ type: 'unknown' }), error => {
    assert.ok(error instanceof UndoneError)
    assert.equal(error.reason, 'unknownType')
    return true
  })
  assert.deepEqual(undone, ['unknownType'])
})

test('a wrong call says what is wrong', async () => {
  let ada = await client('ada')
  let note = ada.document('notes', '5')
  assert.throws(() => note.list('items').remove(3), /items/)
  assert.throws(() => note.set('/a~2', 1), /JSON Pointer|~/)
  note.close()
  assert.throws(() => note.set('a', 1), /not open/)
})

test('a server that is killed and starts again loses nothing', async () => {
  let [ada, bob] = await Promise.all([client('ada'), client('bob')])
  let [hers, his] = [ada.document('notes', '6'), bob.document('notes', '6')]
  await hers.text('text').set('before')
  await server.stop('SIGKILL')
  hers.text('text').insert(6, ' and after')
  await server.start()
  await until(his, it => it.get('text') === 'before and after')
})

test('an editor hears of the changes that it has not made', async () => {
  let [ada, bob] = await Promise.all([client('ada'), client('bob')])
  let [hers, his] = [ada.document('notes', '7'), bob.document('notes', '7')]
  let [own, other] = [hers.text('text'), hers.text('text')]
  let shown = ''
  let heard = []
  let unsubscribe = own.listen(changes => {
    heard.push(changes)
    for (let { from, to, insert } of [...changes].reverse()) {
      shown = shown.slice(0, from) + insert + shown.slice(to)
    }
  })
  await own.set('one three')
  shown = own.get()
  assert.deepEqual(heard, [])
  await until(his, it => it.get('text') === 'one three')
  await his.text('text').edit([
    { from: 0, insert: '0 ' },
    { from: 4, insert: 'two ' },
    { from: 4, insert: '2½ ' },
    { from: 4, insert: 'T', to: 5 }
  ])
  await until(hers, it => it.get('text') === '0 one two 2½ Three')
  assert.equal(shown, '0 one two 2½ Three')
  assert.deepEqual(heard.flat(), [
    { from: 0, insert: '0 ', to: 0 },
    { from: 4, insert: 'two 2½ T', to: 5 }
  ])
  // Another object, and undo.
  other.remove(0, 2)
  assert.equal(shown, 'one two 2½ Three')
  hers.undo()
  assert.equal(shown, '0 one two 2½ Three')
  let parts = own.authors().map(({ from, to, author }) => [from, to, author.split(':')[0]])
  assert.deepEqual(parts[0], [0, 2, 'bob'])
  assert.deepEqual(parts.at(-1), [14, 18, 'ada'])
  unsubscribe()
  other.insert(0, '?')
  assert.equal(shown, '0 one two 2½ Three')
})

test('the log, and former states of a document', async () => {
  let ada = await client('ada')
  let note = ada.document('notes', '8')
  await note.set('title', 'one')
  note.closeStep()
  let second = note.set('title', 'two').id
  await until(note, it => it.history().length === 2)
  let [first, last] = note.history()
  assert.equal(last.id, second)
  assert.deepEqual(note.stateAt(first.id), { title: 'one' })
  note.undo()
  assert.deepEqual(note.get(), { title: 'one' })
  let entry = ada.entries().find(({ id }) => id === second)
  assert.equal(entry.fate, 'undone')
  assert.equal(entry.action.type, 'notes/edit')
})

test('a database that has failed once gets nothing more, so that it has no gap', async () => {
  let options = { server: 'ws://127.0.0.1:9', store: 'gap' }
  let ada = await client('ada', options)
  let problems = []
  ada.on('error', ({ kind }) => problems.push(kind))
  let note = ada.document('notes', '9')
  await note.set('a', 1).kept
  let { put } = IDBObjectStore.prototype
  IDBObjectStore.prototype.put = () => {
    IDBObjectStore.prototype.put = put
    throw new DOMException('full', 'QuotaExceededError')
  }
  note.set('b', 2)
  await ada.kept
  await note.set('c', 3).kept
  assert.deepEqual(note.get(), { a: 1, b: 2, c: 3 })
  assert.deepEqual([problems, ada.isKept], [['not-kept'], false])
  await ada.close()
  let again = await client('ada', options)
  assert.deepEqual(again.document('notes', '9').get(), { a: 1 })
})
