// The binding of `<textarea>` and `<input>`, whose clients are connected to a server.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { bindInput } from '../src/input.js'
import './page.js'
import { sameTexts, startServer, until } from './people.js'
import { randomNumbers } from './random.js'

let people
let clients

before(async () => {
  people = await startServer()
  clients = [await people.client('ada'), await people.client('bob')]
})

after(() => people.end())

/** Opens a document in elements of two people. */
async function elements(id, tag = 'textarea') {
  let documents = clients.map(client => client.document('notes', id))
  await Promise.all(documents.map(it => it.loading))
  return documents.map(note => {
    let element = document.createElement(tag)
    document.body.append(element)
    let text = note.text('body')
    return { element, end: bindInput(element, text), note, text }
  })
}

let send = (element, type, options = {}) => {
  let Type = type.startsWith('composition') ? CompositionEvent : InputEvent
  element.dispatchEvent(new Type(type, { bubbles: true, cancelable: true, ...options }))
}

/** Replaces the selection as a user does. */
function type(element, text, inputType = 'insertText') {
  send(element, 'beforeinput', { inputType })
  let { selectionEnd, selectionStart } = element
  element.setRangeText(text, selectionStart, selectionEnd, 'end')
  send(element, 'input', { inputType })
}

function press(element, key, options = {}) {
  let settings = { bubbles: true, cancelable: true, ctrlKey: true, key, ...options }
  element.dispatchEvent(new KeyboardEvent('keydown', settings))
}

async function settle(...elements) {
  let texts = await sameTexts(clients, elements.map(({ text }) => text))
  let values = elements.map(({ element }) => element.value)
  assert.deepEqual(values, texts, 'elements show their texts')
}

let selected = ({ element }) => [element.selectionStart, element.selectionEnd]

test('two people type into one text', async () => {
  let [ada, bob] = await elements('1')
  type(ada.element, 'Hello')
  await settle(ada, bob)
  ada.element.setSelectionRange(2, 5, 'backward')
  bob.element.setSelectionRange(0, 0)
  type(bob.element, '>> ')
  await settle(ada, bob)
  assert.deepEqual(selected(ada), [5, 8])
  assert.equal(ada.element.selectionDirection, 'backward')
  type(ada.element, 'y')
  await settle(ada, bob)
  assert.equal(bob.element.value, '>> Hey')
  assert.deepEqual(selected(bob), [3, 3])
})

test('who has an element of the document is sent each key at once', async () => {
  let [ada, bob] = await elements('keys')
  let people = () => Object.values(ada.note.others)
  let actions = () => ada.note.history().length
  await until(() => people().length === 1)
  assert.deepEqual(people(), [{}])
  for (let key of 'abc') type(ada.element, key)
  assert.equal(actions(), 3)
  await settle(ada, bob)
  bob.note.setPresence({ name: 'Bob' })
  bob.end()
  await until(() => people()[0]?.name === 'Bob')
  bob.note.setPresence(null)
  await until(() => people().length === 0)
  for (let key of 'de') type(ada.element, key)
  assert.equal(actions(), 4, 'what nobody sees is one action')
})

test('a letter is inserted at the caret, also between equal letters', async () => {
  let [ada, bob] = await elements('2')
  type(ada.element, 'aaaa')
  await settle(ada, bob)
  let changes = []
  let end = bob.text.listen(these => changes.push(...these))
  ada.element.setSelectionRange(1, 1)
  type(ada.element, 'a')
  await settle(ada, bob)
  end()
  assert.deepEqual(changes, [{ from: 1, insert: 'a', to: 1 }])
})

test('after random edits, the texts are the same and carets at their letters', async () => {
  let letters = ['a', 'b', '\n', '🌍', 'é']
  for (let seed = 1; seed <= 10; seed += 1) {
    let random = randomNumbers(seed)
    let [ada, bob] = await elements(`random ${seed}`)
    type(ada.element, 'one †\ntwo')
    await settle(ada, bob)
    let mark = () => ada.element.value.indexOf('†') + 1
    let edit = ({ element }) => {
      let place = () => {
        let at = random(element.value.length + 1)
        return (element.value.charCodeAt(at) & 0xfc00) === 0xdc00 ? at - 1 : at
      }
      let [from, to] = [place(), place()].sort((one, other) => one - other)
      if (random(2) || element.value.slice(from, to).includes('†')) to = from
      element.setSelectionRange(from, to)
      type(element, Array.from({ length: random(4) }, () => letters[random(5)]).join(''))
    }
    for (let step = 0; step < 60; step += 1) {
      let kind = random(8)
      if (kind === 0) press(bob.element, random(2) ? 'z' : 'y')
      else edit([ada, bob][random(2)])
      ada.element.setSelectionRange(mark(), mark())
      if (kind === 1) send(ada.element, 'compositionstart')
      if (kind === 2) send(ada.element, 'compositionend')
      if (random(6) === 0) await new Promise(resolve => setImmediate(resolve))
      assert.equal(ada.element.selectionStart, mark(), `seed ${seed}`)
      assert.equal(bob.element.value, bob.text.get(), `seed ${seed}`)
    }
    send(ada.element, 'compositionend')
    for (let step = 0; step < 20; step += 1) edit(bob)
    await settle(ada, bob)
    assert.equal(ada.element.selectionStart, mark(), `seed ${seed}: the caret stays at its letter`)
    ada.end()
    bob.end()
  }
})

test('while a word is composed, the element is left alone', async () => {
  let [ada, bob] = await elements('3')
  type(ada.element, 'one two')
  await settle(ada, bob)
  ada.element.setSelectionRange(4, 7)
  send(ada.element, 'compositionstart')
  type(ada.element, 'か', 'insertCompositionText')
  bob.element.setSelectionRange(0, 3)
  type(bob.element, 'eins')
  await until(() => ada.text.get() === 'eins か')
  assert.equal(ada.element.value, 'one か')
  ada.element.setSelectionRange(4, 5)
  type(ada.element, '漢字', 'insertCompositionText')
  assert.equal(ada.text.get(), 'eins 漢字')
  send(ada.element, 'compositionend')
  assert.equal(ada.element.value, 'eins 漢字')
  assert.deepEqual(selected(ada), [7, 7])
  await settle(ada, bob)
})

test('undo takes back what one has typed oneself, and selects what was selected', async () => {
  let [ada, bob] = await elements('4')
  type(ada.element, 'one two')
  ada.note.closeStep()
  ada.element.setSelectionRange(4, 7)
  type(ada.element, '2')
  await settle(ada, bob)
  bob.element.setSelectionRange(0, 0)
  type(bob.element, 'zero ')
  await settle(ada, bob)
  press(ada.element, 'z')
  assert.equal(ada.element.value, 'zero one two')
  assert.deepEqual(selected(ada), [9, 12])
  press(ada.element, 'Z', { shiftKey: true })
  assert.equal(ada.element.value, 'zero one 2')
  press(ada.element, 'z')
  type(ada.element, 'pasted', 'insertFromPaste')
  type(ada.element, '!')
  press(ada.element, 'z')
  await settle(ada, bob)
  assert.equal(bob.element.value, 'zero one pasted')
})

test('undo takes back what was typed into one element', async () => {
  let [ada, bob] = await elements('steps')
  let title = document.createElement('input')
  document.body.append(title)
  bindInput(title, ada.note.text('title'))
  ada.element.focus()
  type(ada.element, 'text')
  title.focus()
  type(title, 'title')
  await settle(ada, bob)
  ada.note.undo()
  await until(() => bob.note.get('title') === undefined || bob.note.get('title') === '')
  assert.equal(ada.element.value, 'text')
})

test('elements show other line breaks in their own way', async () => {
  let [ada, bob] = await elements('5')
  ada.text.set('a\r\nb\rc')
  await until(() => bob.element.value === 'a\nb\nc')
  bob.element.setSelectionRange(4, 4)
  type(bob.element, '!')
  assert.equal(bob.text.get(), 'a\r\nb\r!c')
  let input = document.createElement('input')
  let end = bindInput(input, bob.text)
  assert.equal(input.value, 'ab!c')
  input.setSelectionRange(2, 2)
  type(input, '?')
  assert.equal(bob.text.get().replace(/[\r\n]/g, ''), 'ab?!c')
  bob.element.setSelectionRange(0, 0)
  type(bob.element, '> ')
  assert.equal(input.value, '> ab?!c')
  assert.equal(input.selectionStart, 5)
  end()
})

test('an element of a document that may not be edited is read-only', async () => {
  let [ada, bob] = await elements('6')
  type(ada.element, 'abc')
  await settle(ada, bob)
  await bob.note.deleteDocument()
  await until(() => ada.element.readOnly)
  await bob.note.create()
  await until(() => !ada.element.readOnly)
})
