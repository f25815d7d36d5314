// The page `/demo` of `logux serve --dev`: two people edit one document.

import { redo, undo } from '../src/codemirror.js'
import { createBoard } from './board.js'
import { describe, titlesOf } from './describe.js'
import { eachFrame, find, icon, make, tell } from './dom.js'
import { createEditor, showAuthors } from './editor.js'
import { createHistory } from './history.js'
import { createLog, mergedLog, statusOf } from './log.js'
import { connect, fill, PEOPLE, startOver } from './people.js'
import { createSteps } from './steps.js'

let people = await start().catch(error => {
  find('loading').textContent = `The demo cannot start: ${error.message}`
  throw error
})
let [ada] = people
let entries = []

let panes = people.map(createPane)
find('panes').replaceChildren(...panes.map(({ element }) => element))
let keys = make('p', { className: 'hidden', id: 'keys' }, 'Arrow keys move, Delete removes.')
find('panes').append(keys)
for (let pane of panes) pane.begin()

let travel = createHistory(ada.note, id => {
  let byId = new Map(entries.map(entry => [entry.id, entry]))
  return byId.has(id) ? describe(byId.get(id), id => byId.get(id), titlesOf(entries)) : 'an action'
})
let showLog = createLog(find('log'), people, id => travel.show(id))
let steps = createSteps(people)

let update = eachFrame(() => {
  entries = mergedLog(people)
  showLog(entries)
  travel.update()
  for (let pane of panes) pane.showStatus()
  steps.update(entries)
})
for (let { client, note } of people) {
  note.watch(update)
  for (let event of ['state', 'undone', 'add']) client.on(event, update)
}
// What is confirmed changes no document.
setInterval(update, 500)
update()

find('authors').addEventListener('change', ({ target }) => {
  for (let { view } of panes) showAuthors(view, target.checked)
})
find('restart').addEventListener('click', () => startOver(ada.note))
for (let button of document.querySelectorAll('.choice button')) {
  button.addEventListener('click', () => {
    find('panes').dataset.part = button.dataset.part
    for (let other of document.querySelectorAll('.choice button')) {
      other.setAttribute('aria-pressed', String(other === button))
    }
  })
}
document.body.dataset.ready = ''

/** Opens the clients of both people, and fills the document of a new server. */
async function start() {
  let wasm = fetch('/demo/logux.wasm')
  let people = await Promise.all(PEOPLE.map(person => connect(person, wasm)))
  await Promise.all(people.map(({ note }) => note.loading))
  if (Object.keys(people[0].note.get() ?? {}).length === 0) {
    await fill()
    await new Promise(resolve => {
      let isFilled = () => people.every(({ note }) => /piano/.test(note.get('text')))
      let ends = people.map(({ note }) => note.watch(() => {
        if (!isFilled()) return
        for (let end of ends) end()
        resolve()
      }))
      if (isFilled()) resolve()
    })
  }
  return people
}

function createPane(person) {
  let { color, id, name, network, note } = person
  let status = make('span', { className: 'status' })
  let button = (label, command) => {
    let element = make('button', { className: 'tool', type: 'button' }, icon(command))
    element.setAttribute('aria-label', `${label} as ${name}`)
    element.title = `${label} what ${name} has done`
    element.addEventListener('click', () => {
      steps.done(command)
      let run = { redo, undo }[command]
      run(pane.view)
    })
    return element
  }
  let [undoButton, redoButton] = [button('Undo', 'undo'), button('Redo', 'redo')]
  let offline = make('button', {
    'aria-checked': 'false',
    className: 'switch',
    role: 'switch',
    type: 'button'
  })
  offline.append(make('span', { 'aria-hidden': 'true', className: 'track' }))
  offline.append('Offline', make('span', { className: 'hidden' }, ` (${name})`))
  offline.addEventListener('click', () => {
    network.set(!network.isOnline)
    offline.setAttribute('aria-checked', String(!network.isOnline))
    tell(`${name} is ${network.isOnline ? 'online' : 'offline'}.`)
    update()
  })

  let title = make('input', { 'aria-label': `Title, as ${name}`, maxLength: 80 })
  title.className = 'title'
  // What was edited elsewhere is a step of its own.
  title.addEventListener('focus', () => note.closeStep())
  title.addEventListener('input', () => note.set('title', title.value))
  title.addEventListener('change', () => note.closeStep())
  let editor = make('div', { className: 'editor' })
  let board = make('div', { className: 'board' })
  let element = make(
    'section',
    { 'aria-labelledby': `name-${id}`, className: 'pane', id },
    make(
      'header',
      {},
      make('span', { 'aria-hidden': 'true', className: 'avatar' }, name[0]),
      make('div', { className: 'person' }, make('h2', { id: `name-${id}` }, name), status),
      undoButton,
      redoButton,
      offline
    ),
    make('div', { className: 'text' }, title, editor),
    board
  )

  let pane = {
    begin() {
      pane.view = createEditor(editor, { color, name, note })
      createBoard(board, person)
      note.subscribe(eachFrame(() => {
        undoButton.disabled = !note.canUndo
        redoButton.disabled = !note.canRedo
        let shown = note.get('title')
        if (typeof shown === 'string' && title.value !== shown) title.value = shown
      }))
    },
    element,
    showStatus() {
      let text = statusOf(person)
      if (status.textContent !== text) status.textContent = text
      element.classList.toggle('offline', !network.isOnline)
      element.classList.toggle('waits', person.client.unsaved > 0)
    }
  }
  return pane
}
