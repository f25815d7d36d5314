// The log of the client: its order, and why and whether each entry is there.

import { brief, clock, count, make } from './elements.js'

/** How many entries are shown. */
const MAX = 300

export class LogView {
  #rows = new Map()
  #shown = ''

  constructor(client) {
    this.client = client
    this.filter = make('input', { 'aria-label': 'Filter', placeholder: 'Filter', type: 'search' })
    this.filter.addEventListener('input', () => this.update())
    this.number = make('span', { className: 'soft' })
    this.list = make('ol', { 'aria-label': 'Actions, the newest first', className: 'log' })
    let names = ['Time', 'Node', 'Action', 'Content', 'Reasons', 'Fate']
    let head = make('div', { 'aria-hidden': 'true', className: 'row head' })
    head.append(...names.map(name => make('span', {}, name)))
    this.element = make(
      'div',
      { className: 'view' },
      make('div', { className: 'bar' }, this.filter, this.number),
      head,
      this.list
    )
  }

  update() {
    let words = this.filter.value.toLowerCase()
    let all = this.client.entries()
    let found = words ? all.filter(it => JSON.stringify(it).toLowerCase().includes(words)) : all
    let shown = found.slice(-MAX).reverse()
    let more = found.length > shown.length ? `, the last ${shown.length} are shown` : ''
    this.number.textContent = count(found.length, 'action') + more
    let key = JSON.stringify(shown)
    if (key === this.#shown) return
    this.#shown = key
    let rows = new Map(shown.map(entry => [entry.id, this.#rows.get(entry.id) ?? makeRow(entry)]))
    this.#rows = rows
    for (let entry of shown) rows.get(entry.id).update(entry)
    let elements = [...rows.values()].map(({ element }) => element)
    for (let [index, element] of elements.entries()) {
      let place = this.list.children[index]
      if (place !== element) this.list.insertBefore(element, place ?? null)
    }
    while (this.list.children.length > elements.length) this.list.lastChild.remove()
  }
}

function makeRow({ id, time }) {
  let name = make('b')
  let content = make('code', { className: 'content' })
  let reasons = make('span', { className: 'reasons' })
  let fate = make('span')
  let node = make('span', { className: 'id', title: id }, id.split(' ')[1])
  let summary = make('summary', { className: 'row' })
  summary.append(make('time', {}, clock(time)), node, name, content, reasons, fate)
  let json = make('pre', { tabIndex: 0 })
  let element = make('li', {}, make('details', {}, summary, json))
  return {
    element,
    update(entry) {
      let { type, ...others } = entry.action
      // The whole undone action would hide the rest.
      if (type === 'logux/undo') delete others.action
      name.textContent = type
      content.textContent = brief(others, 160)
      reasons.textContent = entry.reasons.join(', ')
      fate.textContent = entry.fate ?? ''
      fate.className = `fate is-${entry.fate}`
      json.textContent = JSON.stringify(entry, null, 2)
    }
  }
}
