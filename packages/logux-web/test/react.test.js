// The hooks of React, and the stores in the hook of nanostores, against `logux serve`.

import './page.js'

import { useStore } from '@nanostores/react'
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as React from 'react'
import { createRoot } from 'react-dom/client'
import { renderToString } from 'react-dom/server'

import { within } from '../../../tests/interop/helper/wait.js'
import {
  useDocument,
  usePresence,
  useRecord,
  useRecords,
  useStatus,
  useText,
  useValue
} from '../src/react.js'
import { shown, startServer, until } from './people.js'

let { createElement, StrictMode } = React

/** Calls a function, and waits for what React makes of it. */
async function act(change) {
  globalThis.IS_REACT_ACT_ENVIRONMENT = true
  try {
    await React.act(async () => void (await change()))
  } finally {
    // What the server changes is rendered when it arrives.
    globalThis.IS_REACT_ACT_ENVIRONMENT = false
  }
}

let people, ada, bob

before(async () => {
  people = await startServer({ collections: ['tasks'], documents: ['notes'] })
  ;[ada, bob] = await Promise.all([people.client('ada'), people.client('bob')])
})

after(() => people.end())

/** Renders a component in an element. It is rendered again within `act`. */
async function render(component, Wrapper = StrictMode) {
  let element = document.createElement('div')
  let root = createRoot(element)
  let again = next => act(() => root.render(createElement(Wrapper, null, createElement(next))))
  await again(component)
  return {
    again,
    /** Waits until the element shows a text. */
    shows: text =>
      until(
        () => element.textContent === text,
        () => `${text}; the page shows ${element.textContent}`
      ),
    get text() {
      return element.textContent
    },
    unmount: () => act(() => root.unmount())
  }
}

test('a document is open while components show it', async () => {
  let his = bob.document('notes', 'react')
  await his.set('title', 'Tea')
  let seen = []
  function Note() {
    let { canUndo, document: note, status } = useDocument(ada, 'notes', 'react')
    seen.push(note)
    return `${useValue(note, 'title')} ${status} ${canUndo}`
  }
  let page = await render(Note)
  await page.shows('Tea ready false')
  let note = seen.at(-1)
  await his.set('title', 'Milk')
  await page.shows('Milk ready false')
  await act(() => note.set('title', 'Coffee'))
  assert.equal(page.text, 'Coffee ready true')

  // The hook has it open once, the application may have it open too.
  assert.equal(note.users, 1)
  ada.document('notes', 'react')
  await page.unmount()
  assert.equal(note.lc, 0)
  await until(() => note.users === 1, () => 'the hook to close the document')
  assert.equal(note.isOpen, true)
  note.close()
  assert.equal(note.isOpen, false)
})

test('a component that is mounted again finds the document open', async () => {
  let seen = new Set()
  function Note() {
    let { document: note } = useDocument(ada, 'notes', 'again')
    seen.add(note)
    return note.id
  }
  let page = await render(Note)
  await page.unmount()
  page = await render(Note)
  await page.unmount()
  assert.equal(seen.size, 1)
})

test('a text is rendered when it changes, and nothing else', async () => {
  let note = ada.document('notes', 'text')
  let renders = 0
  let handle
  function Body() {
    let { text, value } = useText(note, ['deep', 'body'])
    renders += 1
    handle = text
    return value
  }
  let page = await render(Body, 'main')
  assert.equal(page.text, '')
  await act(() => handle.set('Hello'))
  assert.equal(page.text, 'Hello')
  let before = renders
  await act(() => note.set('title', 'Other'))
  assert.equal(renders, before)
  let same = handle
  await act(() => handle.insert(5, '!'))
  assert.equal(page.text, 'Hello!')
  assert.equal(handle, same)
  await page.unmount()
  note.close()
})

test('a value that is equal is the same object', async () => {
  let note = ada.document('notes', 'same')
  note.set('tags', ['a', { b: 1 }])
  let [tags, all] = [note.get('tags'), note.get()]
  assert.equal(note.get('/tags'), tags)
  assert.equal(note.get(), all)
  note.set('title', 'Tea')
  assert.equal(note.get('tags'), tags)
  assert.notEqual(note.get(), all)
  note.list('tags').push('c')
  assert.deepEqual(note.get('tags'), ['a', { b: 1 }, 'c'])
  note.delete('tags')
  assert.equal(note.get('tags'), undefined)
  note.close()
})

test('people see each other while a component is mounted', async () => {
  let [hers, his] = [ada, bob].map(client => client.document('notes', 'presence'))
  await Promise.all([hers.loading, his.loading])
  let show
  function Others() {
    let presence = usePresence(hers)
    show = presence.show
    return Object.values(presence.others).join()
  }
  let page = await render(Others)
  await act(() => his.setPresence('Bob'))
  await page.shows('Bob')
  await act(() => show('Ada'))
  await shown(his.$others, others => Object.values(others.get()).includes('Ada'))
  let others = his.others
  assert.equal(his.others, others)
  await page.unmount()
  await shown(his.$others, others => Object.values(others.get()).length === 0)
  hers.close()
  his.close()
})

test('records are open while components show them', async () => {
  let seen
  function Tasks({ done = false }) {
    seen = useRecords(ada, 'tasks', { filter: { done } })
    return `${seen.records.map(({ title }) => title).join()} ${seen.status}`
  }
  let page = await render(Tasks)
  await page.shows(' ready')
  let id
  await act(() => {
    id = seen.list.create({ done: false, title: 'Tea' })
  })
  assert.equal(page.text, 'Tea ready')
  let { list } = seen
  function Task() {
    let { record, status, value } = useRecord(bob, 'tasks', id)
    return `${record.id === id} ${value?.title} ${status}`
  }
  let task = await render(Task)
  await task.shows('true Tea ready')
  await task.unmount()

  // Another filter is another list.
  await page.again(() => createElement(Tasks, { done: true }))
  await page.shows(' ready')
  assert.notEqual(seen.list, list)
  await page.unmount()
  await until(() => list.users === 0, () => 'the hook to close the list')
})

test('the state of the connection is shown', async () => {
  let page = await render(() => useStatus(ada))
  await page.shows('synchronized')
  await page.unmount()
})

test('a page is rendered on a server, and before there is a client', async () => {
  function Page({ client }) {
    let { document: note, status } = useDocument(client, 'notes', 'server')
    let { value } = useText(note, 'body')
    let { records } = useRecords(client, 'tasks')
    let { others } = usePresence(note)
    let shownStatus = useStatus(client)
    let record = useRecord(client, 'tasks', '1')
    return [
      status,
      value,
      useValue(note, 'title'),
      records.length,
      Object.keys(others).length,
      shownStatus,
      record.status
    ].join()
  }
  let nothing = 'loading,,,0,0,disconnected,loading'
  assert.equal(renderToString(createElement(Page)), nothing)
  let page = await render(Page)
  assert.equal(page.text, nothing)
  bob.document('notes', 'server').text('body').set('Hello')
  await page.again(() => createElement(Page, { client: ada }))
  await until(() => page.text.startsWith('ready,Hello,'), () => page.text)
  await page.unmount()
})

test('what a component has open may be closed with its client', async () => {
  let client = await people.client('eve')
  function Page() {
    let { document: note, status } = useDocument(client, 'notes', 'end')
    let { records } = useRecords(client, 'tasks', { filter: { none: true } })
    return `${status} ${useValue(note)?.title} ${records.length}`
  }
  let page = await render(Page)
  await page.shows('ready undefined 0')
  await act(() => client.close())
  await page.again(Page)
  await page.unmount()
})

test('the hook of nanostores shows documents, values, records and the connection', async () => {
  let note = ada.document('notes', 'nano')
  let list = ada.records('tasks', { filter: { list: 'nano' } })
  let title = note.part('title')
  function Page() {
    let tasks = useStore(list)
    return [
      useStore(note)?.title,
      useStore(title),
      useStore(note.$status),
      tasks.length,
      useStore(ada.$state)
    ].join()
  }
  let page = await render(Page)
  await within(Promise.all([note.loading, list.loading]), 'the server')
  await page.shows(',,ready,0,synchronized')
  await act(() => {
    note.set('title', 'Tea')
    list.create({ list: 'nano' })
  })
  await page.shows('Tea,Tea,ready,1,synchronized')
  await page.unmount()
  assert.deepEqual([note.lc, title.lc, list.lc], [0, 0, 0])
  note.close()
  list.close()
})
