// The logs of both devices as one list, in the order that all devices agree on.

import { clock, count, make } from './dom.js'
import { describe, nodeOf, titlesOf } from './describe.js'
import { authorOf } from './people.js'

/** The largest number of actions in the list. */
const MAX = 200

/** Compares two entries as the engine does: by time, node and number. */
function compare(one, other) {
  if (one.time !== other.time) return one.time - other.time
  let [oneParts, otherParts] = [one.id.split(' '), other.id.split(' ')]
  if (oneParts[1] !== otherParts[1]) return oneParts[1] < otherParts[1] ? -1 : 1
  return oneParts[2] - otherParts[2]
}

let isOfDocument = ({ action: { type } }) => type.startsWith('demo/') || type === 'logux/undo'

/** Returns what the logs of the people have: `{ id, action, time, at: { ada, bob } }`. */
export function mergedLog(people) {
  let byId = new Map()
  for (let { client, id } of people) {
    for (let entry of client.entries().filter(isOfDocument)) {
      let merged = byId.get(entry.id) ?? { ...entry, at: {} }
      merged.at[id] = entry
      byId.set(entry.id, merged)
    }
  }
  return [...byId.values()].sort(compare)
}

/** Returns a function that shows the log. Entries that come late are marked. */
export function createLog(list, people, show) {
  let rows = new Map()
  return entries => {
    let isFirst = rows.size === 0
    let byId = new Map(entries.map(entry => [entry.id, entry]))
    let titles = titlesOf(entries)
    let shown = entries.slice(-MAX).reverse()
    for (let [id, row] of rows) {
      if (shown.some(entry => entry.id === id)) continue
      row.element.remove()
      rows.delete(id)
    }
    for (let [index, entry] of shown.entries()) {
      let row = rows.get(entry.id)
      if (!row) {
        row = makeRow(entry, people, show)
        rows.set(entry.id, row)
        if (!isFirst) row.element.classList.add(index > 0 ? 'late' : 'new')
      }
      row.update(entry, describe(entry, byId, titles))
      let place = list.children[index]
      if (place !== row.element) list.insertBefore(row.element, place ?? null)
    }
  }
}

function makeRow({ id, time }, people, show) {
  let author = authorOf(nodeOf(id))
  let what = make('span', { className: 'what' })
  let badges = people.map(() => make('span', { className: 'badge' }))
  let summary = make(
    'summary',
    {},
    make('time', { dateTime: new Date(time).toISOString() }, clock(time)),
    make('span', { className: `who who-${author.id}` }, author.name),
    what,
    ...badges
  )
  let json = make('pre', { tabIndex: 0 })
  let button = make('button', { type: 'button' }, 'Show the document then')
  button.addEventListener('click', () => show(id))
  let details = make('details', {}, summary, make('div', { className: 'more' }, json, button))
  let element = make('li', {}, details)
  let last
  return {
    element,
    update(entry, words) {
      let fates = people.map(({ id }) => entry.at[id]?.fate)
      let key = JSON.stringify([words, fates])
      if (key === last) return
      last = key
      what.textContent = words
      element.classList.toggle('undone', fates.includes('undone'))
      for (let [index, person] of people.entries()) setBadge(badges[index], person, fates[index])
      button.hidden = entry.action.type !== 'demo/edit'
      json.textContent = JSON.stringify({ action: entry.action, id: entry.id }, null, 2)
    }
  }
}

const FATES = {
  absent: ['', 'has not arrived', 'not here'],
  processed: ['✓', 'is there', ''],
  undone: ['✓', 'is there, and undone', 'undone'],
  waiting: ['↑', 'waits for the connection', 'waits']
}

function setBadge(badge, { name }, fate = 'absent') {
  let [sign, words, label] = FATES[fate]
  badge.className = `badge is-${fate}`
  badge.title = `${name}: ${words}`
  badge.replaceChildren(
    make('span', { 'aria-hidden': 'true' }, label || sign),
    make('span', { className: 'hidden' }, `At ${name}, it ${words}.`)
  )
}

/** Returns what a connection does, in words. */
export function statusOf({ client, network }) {
  let { state, unsaved } = client
  let waits = unsaved > 0 ? `, ${count(unsaved, 'edit')} ${unsaved === 1 ? 'waits' : 'wait'}` : ''
  if (!network.isOnline) return `Offline${waits}`
  return state === 'synchronized' ? 'Online' : `Connecting${waits}`
}
