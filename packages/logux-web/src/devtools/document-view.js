// One document of the client: its state at any moment, and why a value is so.

import { causesOf, valueAt } from './causes.js'
import { brief, clock, count, make } from './elements.js'
import { testOf } from './export.js'
import { treeOf } from './tree.js'

export class DocumentView {
  #shown = ''
  /** The path of the value that was chosen. */
  #path
  /** The id of the action after which the document is shown. `undefined`: the latest. */
  #moment

  constructor(client) {
    this.client = client
    this.select = make('select', { 'aria-label': 'Document' })
    this.select.addEventListener('change', () => {
      this.#moment = this.#path = undefined
      this.update()
    })
    this.slider = make('input', { 'aria-label': 'Moment', min: '0', type: 'range' })
    this.slider.addEventListener('input', () => this.#move(Number(this.slider.value)))
    let step = (sign, label, by) => {
      let button = make('button', { 'aria-label': label, type: 'button' }, sign)
      button.addEventListener('click', () => this.#move(Number(this.slider.value) + by))
      return button
    }
    this.moment = make('span', { className: 'soft moment' })
    this.export = make('button', { type: 'button' }, 'Export as a test')
    this.export.addEventListener('click', () => this.#showExport())
    this.tree = make('ul', { className: 'tree' })
    this.why = make('div', { 'aria-live': 'polite', className: 'why' })
    let earlier = step('‹', 'One action back', -1)
    let later = step('›', 'One action on', 1)
    let bar = make('div', { className: 'bar' }, this.select, earlier, this.slider, later)
    bar.append(this.moment, this.export)
    let parts = make('div', { className: 'parts' }, this.tree, this.why)
    this.element = make('div', { className: 'view' }, bar, parts)
  }

  get note() {
    return this.client.documents.find(({ channel }) => channel === this.select.value)
  }

  update() {
    let channels = this.client.documents.map(({ channel }) => channel)
    if (channels.join('\n') !== [...this.select.options].map(it => it.value).join('\n')) {
      let { value } = this.select
      this.select.replaceChildren(...channels.map(it => make('option', { value: it }, it)))
      if (channels.includes(value)) this.select.value = value
    }
    let { note } = this
    if (!note) return this.tree.replaceChildren('No document is open.')
    let positions = note.history()
    let index = positions.findIndex(({ id }) => id === this.#moment)
    if (index < 0) [index, this.#moment] = [positions.length - 1, undefined]
    let at = this.#moment === undefined ? undefined : positions[index]
    let state = (at ? note.stateAt(at.id) : note.get()) ?? {}
    let before = index > 0 ? note.stateAt(positions[index - 1].id) : undefined
    this.slider.max = String(Math.max(0, positions.length - 1))
    this.slider.value = String(Math.max(0, index))
    let position = positions[index]
    let words = position ? `${index + 1} of ${positions.length}, ${clock(position.time)}` : ''
    if (position?.isUndone) words += ', undone'
    let now = `now, ${note.status}; ${count(positions.length, 'action')}`
    this.moment.textContent = at ? words : now
    let key = JSON.stringify([state, before, this.#path, note.channel])
    if (key === this.#shown) return
    this.#shown = key
    let isChanged = (path, value) => {
      return before !== undefined && JSON.stringify(valueAt(before, path)) !== JSON.stringify(value)
    }
    let chosen = this.#path && JSON.stringify(this.#path)
    // The focus stays at its value.
    let focused = this.tree.querySelector(':focus')?.dataset.path
    let root = treeOf(state, path => this.#choose(path), chosen, isChanged)
    this.tree.replaceChildren(root)
    if (focused) this.tree.querySelector(`[data-path="${CSS.escape(focused)}"]`)?.focus()
    this.#showWhy(note)
  }

  #move(index) {
    let positions = this.note?.history() ?? []
    this.#moment = index >= positions.length - 1 ? undefined : positions[Math.max(0, index)].id
    this.update()
  }

  #choose(path) {
    this.#path = path
    this.update()
  }

  #showWhy(note) {
    if (!this.#path) {
      let hint = 'Choose a value to see which actions have made it what it is.'
      return this.why.replaceChildren(make('p', { className: 'soft' }, hint))
    }
    let { causes, isCut, oldest } = causesOf(note, this.#path)
    let entries = new Map(this.client.entries().map(entry => [entry.id, entry]))
    let items = causes.map(({ after, before, id, time }) => {
      let show = make('button', { className: 'link', type: 'button' }, clock(time))
      show.title = 'Show the document after this action'
      show.addEventListener('click', () => {
        this.#moment = id
        this.update()
      })
      let change = make('p', {}, make('del', {}, brief(before)), ' → ')
      change.append(make('ins', {}, brief(after)))
      let json = JSON.stringify(entries.get(id)?.action ?? {}, null, 2)
      let details = make('details', {}, make('summary', {}, 'Action'), make('pre', {}, json))
      let head = make('p', {}, show, ' ', make('span', { className: 'id' }, id.split(' ')[1]))
      return make('li', {}, head, change, details)
    })
    let path = this.#path.length === 0 ? 'The document' : `/${this.#path.join('/')}`
    let end = oldest === undefined && !isCut ? '' : `Before: ${brief(oldest)}`
    if (items.length === 0 && !end) end = 'No action on this device has written it.'
    this.why.replaceChildren(
      make('h3', {}, `Why is ${path} so?`),
      make('ol', {}, ...items),
      make('p', { className: 'soft' }, end)
    )
  }

  #showExport() {
    let { note } = this
    if (!note) return
    let text = make('textarea', { 'aria-label': 'Test', readOnly: true, rows: 14 })
    text.spellcheck = false
    text.value = testOf(note, this.client.entries())
    let copy = make('button', { type: 'button' }, 'Copy')
    copy.addEventListener('click', async () => {
      text.select()
      await navigator.clipboard?.writeText(text.value)
      copy.textContent = 'Copied'
    })
    this.why.replaceChildren(make('h3', {}, 'A test of this log'), text, make('p', {}, copy))
  }
}
