// The binding of CodeMirror with two editors, whose clients are connected to a server.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import './page.js'
import { sameTexts, startServer, until } from './people.js'
import { randomNumbers } from './random.js'

let { EditorSelection, EditorState, Prec } = await import('@codemirror/state')
let { EditorView, runScopeHandlers, ViewPlugin } = await import('@codemirror/view')
let { collaboration, redo, undo } = await import('../src/codemirror.js')

let people
let clients

before(async () => {
  people = await startServer()
  clients = [await people.client('ada'), await people.client('bob')]
})

after(() => people.end())

/** Opens a document in editors of two people. */
async function editors(id, options = {}) {
  let documents = clients.map(client => client.document('notes', id))
  await Promise.all(documents.map(it => it.loading))
  return documents.map(it => editor(it, options))
}

function editor(note, { extensions = [], path = 'body', ...options } = {}) {
  let text = note.text(path)
  let view = new EditorView({
    doc: text.get(),
    extensions: [
      EditorState.allowMultipleSelections.of(true),
      collaboration(text, options),
      extensions
    ],
    parent: document.body
  })
  return { note, shown: () => view.state.sliceDoc(), text, view }
}

/** Waits until the editors show the same, and the server has everything. */
async function settle(...editors) {
  let texts = await sameTexts(clients, editors.map(({ text }) => text))
  assert.deepEqual(editors.map(({ shown }) => shown()), texts, 'editors show their texts')
}

let type = (view, text, userEvent = 'input.type') => {
  view.dispatch(view.state.replaceSelection(text), { userEvent })
}

let select = (view, anchor, head = anchor) => {
  view.dispatch({ selection: { anchor, head }, userEvent: 'select' })
}

test('two people type into one text', async () => {
  let [ada, bob] = await editors('1')
  type(ada.view, 'Hello\nworld')
  await until(() => bob.shown() === 'Hello\nworld')
  select(bob.view, 5)
  type(bob.view, ', dear')
  select(ada.view, 11)
  type(ada.view, '!')
  await settle(ada, bob)
  assert.equal(ada.shown(), 'Hello, dear\nworld!')
  assert.deepEqual(
    [ada, bob].map(it => it.view.state.selection.main.head),
    ['Hello, dear\nworld!'.length, 'Hello, dear'.length]
  )
})

/** Makes a random transaction in an editor, which leaves the letter `†` alone. */
function edit({ view }, random, letters) {
  let { state } = view
  let text = state.sliceDoc()
  let place = () => {
    let at = random(text.length + 1)
    return text.charCodeAt(at) >> 10 === 0xdc00 >> 10 ? at - 1 : at
  }
  let letter = () => letters[random(letters.length)]
  let piece = () => Array.from({ length: random(4) }, letter).join('')
  let marker = text.indexOf('†')
  let ranges = Array.from({ length: random(3) + 1 }, () => {
    let [from, to] = [place(), place()].sort((a, b) => a - b)
    if (random(2)) to = from
    if (marker >= from && marker < to) from = to = marker
    return EditorSelection.range(from, to)
  })
  let selection = EditorSelection.create(ranges)
  let { changes } = state.update({ selection }).state.changeByRange(range => {
    let insert = piece()
    return {
      changes: { from: range.from, insert, to: range.to },
      range: EditorSelection.cursor(range.from + insert.length)
    }
  })
  view.dispatch({ changes, userEvent: 'input.type' })
}

test('after random edits, the texts are the same and selections at their letters', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    let random = randomNumbers(seed)
    let [ada, bob] = await editors(`random ${seed}`)
    type(ada.view, 'one †\ntwo')
    await settle(ada, bob)
    let isMarked = () => ada.shown()[ada.view.state.selection.main.head - 1] === '†'
    for (let step = 0; step < 60; step += 1) {
      let writer = [ada, bob][random(2)]
      if (random(8) === 0) {
        let command = random(2) ? undo : redo
        command(bob.view)
      } else {
        edit(writer, random, ['a', 'b', '\n', '🌍', 'é'])
      }
      select(ada.view, ada.shown().indexOf('†') + 1)
      if (random(6) === 0) await new Promise(resolve => setImmediate(resolve))
      assert.ok(isMarked(), `seed ${seed}: the cursor is after its letter`)
      assert.equal(bob.shown(), bob.text.get(), `seed ${seed}`)
    }
    // What others do from now on leaves the selection where it is.
    for (let step = 0; step < 20; step += 1) edit(bob, random, ['c', '\n'])
    await settle(ada, bob)
    assert.ok(isMarked(), `seed ${seed}: the cursor of one who does not type stays at its letter`)
    ada.view.destroy()
    bob.view.destroy()
  }
})

test('a transaction with several cursors is one action', async () => {
  let [ada, bob] = await editors('2')
  type(ada.view, 'a b c')
  await settle(ada, bob)
  let actions = []
  let end = clients[1].on('add', action => actions.push(action))
  ada.note.closeStep()
  let cursors = [1, 3, 5].map(at => EditorSelection.cursor(at))
  ada.view.dispatch({ selection: EditorSelection.create(cursors) })
  type(ada.view, '!')
  await settle(ada, bob)
  end()
  assert.equal(bob.shown(), 'a! b! c!')
  assert.equal(actions.filter(({ type }) => type === 'notes/edit').length, 1)
})

test('undo takes back what one has typed oneself, and selects what was selected', async () => {
  let [ada, bob] = await editors('3')
  type(ada.view, 'one two three')
  await settle(ada, bob)
  select(ada.view, 4, 7)
  type(ada.view, '2')
  await settle(ada, bob)
  select(bob.view, 0)
  type(bob.view, 'zero ')
  await settle(ada, bob)
  assert.equal(ada.shown(), 'zero one 2 three')
  let press = (key, options) => {
    let event = new KeyboardEvent('keydown', { ctrlKey: true, key, ...options })
    return runScopeHandlers(ada.view, event, 'editor')
  }
  assert.ok(press('z'))
  assert.equal(ada.shown(), 'zero one two three')
  let { anchor, head } = ada.view.state.selection.main
  assert.deepEqual([anchor, head], [9, 12])
  press('y')
  assert.equal(ada.shown(), 'zero one 2 three')
  assert.equal(ada.view.state.selection.main.head, 10)
  press('z')
  press('z')
  await settle(ada, bob)
  assert.equal(bob.shown(), 'zero ')
})

test('what the user selects between two words ends a step of undo', async () => {
  let [ada] = await editors('4')
  type(ada.view, 'one')
  select(ada.view, 0)
  type(ada.view, 'two ')
  undo(ada.view)
  assert.equal(ada.shown(), 'one')
  type(ada.view, 'pasted ', 'input.paste')
  type(ada.view, 'x')
  undo(ada.view)
  assert.equal(ada.shown(), 'pasted one')
  undo(ada.view)
  type(ada.view, 'x')
  type(ada.view, 'pasted ', 'input.paste')
  undo(ada.view)
  assert.equal(ada.shown(), 'xone')
})

test('an editor that is opened later shows the text, with its line breaks', async () => {
  let [ada, bob] = await editors('5')
  ada.text.set('a\r\nb\rc')
  await settle(ada, bob)
  select(bob.view, 3)
  type(bob.view, '!')
  await settle(ada, bob)
  assert.equal(ada.text.get(), 'a\r\n!b\rc')
  let view = new EditorView({ doc: 'something else', extensions: collaboration(ada.text) })
  await Promise.resolve()
  assert.equal(view.state.sliceDoc(), 'a\r\n!b\rc')
  assert.equal(ada.text.get(), 'a\r\n!b\rc')
})

test('changes within an update of the editor are shown after it', async () => {
  for (let isBefore of [true, false]) {
    let note
    let writer = ViewPlugin.define(() => ({
      // Something in the page changes the text while the editor is updated.
      update({ transactions }) {
        if (transactions.some(it => it.isUserEvent('input.type'))) note.text('body').insert(0, '>')
      }
    }))
    let [ada, bob] = await editors(`6 ${isBefore}`)
    type(ada.view, 'abc')
    note = ada.note
    let extensions = isBefore ? Prec.high(writer) : Prec.low(writer)
    let late = editor(note, { extensions })
    select(late.view, 3)
    type(late.view, '!')
    await settle(ada, late)
    select(late.view, 0)
    type(late.view, '?')
    await settle(ada, late, bob)
    assert.equal(bob.shown().replace(/[?>]*/, ''), 'abc!')
  }
})

test('listeners of the document may edit before the editor knows what has changed', async () => {
  let [ada, bob] = await editors('6')
  type(bob.view, 'abc')
  await settle(ada, bob)
  let late
  let end = ada.note.listen(() => {
    end()
    late.view.dispatch({ changes: { from: 3, insert: '!' } })
  })
  late = editor(ada.note)
  select(bob.view, 0)
  type(bob.view, '>')
  await settle(ada, late, bob)
  assert.equal(bob.shown(), '>abc!')
  end = ada.note.listen(() => {
    end()
    ada.note.text('body').insert(0, '<')
  })
  type(late.view, '?')
  await settle(ada, late, bob)
})

test('the editor of a document that may not be edited is read-only', async () => {
  let [ada, bob] = await editors('7')
  type(ada.view, 'abc')
  await settle(ada, bob)
  await bob.note.deleteDocument()
  await until(() => ada.view.state.readOnly)
  // What a program types all the same is taken back by the server.
  let before = ada.shown()
  type(ada.view, 'lost')
  await until(() => ada.shown() === before)
  await bob.note.create()
  await until(() => !ada.view.state.readOnly)
  type(ada.view, 'again ')
  await settle(ada, bob)
})

test('an edit that cannot be made is taken back', async () => {
  let [ada, bob] = await editors('9')
  let problems = []
  let sink = EditorView.exceptionSink.of(problem => problems.push(problem.message))
  let late = editor(ada.note, { extensions: sink })
  type(late.view, 'abc')
  await settle(ada, bob)
  await bob.note.set('body', 5)
  await until(() => late.shown() === '')
  type(late.view, 'one')
  type(late.view, 'lost with it')
  await until(() => late.shown() === '')
  assert.equal(problems.length, 1)
  assert.match(problems[0], /text/)
  await bob.note.delete('body')
  type(bob.view, 'new')
  await until(() => late.shown() === 'new')
  type(late.view, '> ')
  await settle(late, bob)
})

test('people see the cursors of others, at their letters', async () => {
  let user = { color: '#c2410c', name: 'Ada' }
  let [ada, bob] = await editors('8', { user })
  type(ada.view, 'Hello')
  await settle(ada, bob)
  ada.view.focus()
  select(ada.view, 2, 5)
  let states = () => Object.values(bob.note.others).filter(({ cursor }) => cursor)
  await until(() => states().length === 1)
  let [{ color, cursor, name }] = states()
  assert.deepEqual([color, name], ['#c2410c', 'Ada'])
  assert.deepEqual(cursor.ranges[0].map(anchor => bob.text.indexOf(anchor)), [2, 5])
  select(bob.view, 0)
  type(bob.view, '>> ')
  assert.deepEqual(cursor.ranges[0].map(anchor => bob.text.indexOf(anchor)), [5, 8])
  ada.view.destroy()
  await until(() => states().length === 0)
})
