// The document after an earlier action.

import { difference } from '../src/changes.js'
import { find, make } from './dom.js'
import { LANES } from './people.js'

/** Shows the document of a note at the moment of a slider. Returns `update` and `show`. */
export function createHistory(note, describeId) {
  let slider = find('moment')
  let positions = []
  let shown

  let render = () => {
    let index = Number(slider.value)
    let isNow = index >= positions.length - 1
    let { id, isUndone } = positions[index] ?? {}
    let words = id === undefined ? 'There are no actions yet.' : describeId(id)
    let text = isNow ? `Now, after: ${words}` : `${index + 1} of ${positions.length}: ${words}`
    if (isUndone) text += ' (undone)'
    slider.setAttribute('aria-valuetext', text)
    find('moment-text').textContent = text
    find('earlier').disabled = index <= 0
    find('later').disabled = isNow
    let stateOf = position => (position === undefined ? {} : note.stateAt(position.id) ?? {})
    let state = isNow ? note.get() ?? {} : stateOf(positions[index])
    let before = index > 0 ? stateOf(positions[index - 1]) : {}
    let key = JSON.stringify([before, state])
    if (key === shown) return
    shown = key
    find('past').replaceChildren(...view(before, state))
  }

  let move = by => {
    slider.value = String(Number(slider.value) + by)
    render()
  }
  slider.addEventListener('input', render)
  find('earlier').addEventListener('click', () => move(-1))
  find('later').addEventListener('click', () => move(1))

  return {
    /** Shows an action. */
    show(id) {
      let index = positions.findIndex(position => position.id === id)
      if (index < 0) return
      slider.value = String(index)
      render()
      slider.focus({ preventScroll: true })
      slider.scrollIntoView({ behavior: 'smooth', block: 'nearest' })
    },
    /** Reads the positions anew. A slider at the end stays there. */
    update() {
      let isNow = Number(slider.value) >= positions.length - 1
      let id = positions[Number(slider.value)]?.id
      positions = note.history()
      slider.max = String(Math.max(0, positions.length - 1))
      let index = isNow ? positions.length - 1 : positions.findIndex(it => it.id === id)
      slider.value = String(Math.max(0, index))
      render()
    }
  }
}

let string = value => (typeof value === 'string' ? value : '')

/** Returns a state as elements, with what has changed since the one before. */
function view(before, state) {
  let cards = Array.isArray(state.cards) ? state.cards : []
  let old = new Map((Array.isArray(before.cards) ? before.cards : []).map(it => [it?.id, it]))
  let lanes = LANES.map(({ id, title }) => {
    let own = cards.filter(card => card?.lane === id)
    let items = own.map(card => {
      let isChanged = JSON.stringify(old.get(card.id)) !== JSON.stringify(card)
      return make('li', { className: isChanged ? 'changed' : '' }, string(card.title))
    })
    return make('div', {}, make('h4', {}, title), make('ul', {}, ...items))
  })
  return [
    make('h3', {}, ...marked(string(before.title), string(state.title))),
    make('p', {}, ...marked(string(before.text), string(state.text))),
    make('div', { className: 'past-lanes' }, ...lanes)
  ]
}

/** Returns a text as elements, with what was inserted and removed. */
function marked(before, text) {
  let change = difference(before, text)
  if (!change) return [text]
  let { from, insert, to } = change
  let parts = [text.slice(0, from)]
  if (to > from) parts.push(make('del', {}, before.slice(from, to)))
  if (insert) parts.push(make('ins', {}, insert))
  return [...parts, text.slice(from + insert.length)]
}
