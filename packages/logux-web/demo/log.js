// The logs of both devices as one list, in the order that all devices agree on.

import { clock, count, make } from './dom.js'
import { describe, nodeOf, titlesOf } from './describe.js'
import { authorOf } from './people.js'
import { rowsOf } from './typing.js'

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
    let titles = titlesOf(entries)
    let shown = rowsOf(entries).slice(-MAX).reverse()
    let ids = new Set(shown.map(({ entries }) => entries[0].id))
    for (let [id, row] of rows) {
      if (ids.has(id)) continue
      row.element.remove()
      rows.delete(id)
    }
    for (let [index, { entries, find }] of shown.entries()) {
      let [first] = entries
      let row = rows.get(first.id)
      if (!row) {
        row = makeRow(first, people, show)
        rows.set(first.id, row)
        if (!isFirst) row.element.classList.add(index > 0 ? 'late' : 'new')
      }
      row.update(entries, describe(find(first.id), find, titles))
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
  let lastId = id
  button.addEventListener('click', () => show(lastId))
  let details = make('details', {}, summary, make('div', { className: 'more' }, json, button))
  let element = make('li', {}, details)
  let last
  return {
    element,
    update(entries, words) {
      let fates = people.map(({ id }) => fateOf(entries.map(({ at }) => at[id]?.fate)))
      let key = JSON.stringify([words, fates, entries.length])
      if (key === last) return
      last = key
      what.textContent = words
      element.classList.toggle('undone', fates.includes('undone'))
      for (let [index, person] of people.entries()) setBadge(badges[index], person, fates[index])
      lastId = entries.at(-1).id
      button.hidden = entries[0].action.type !== 'demo/edit'
      let texts = entries.map(({ action, id }) => JSON.stringify({ action, id }, null, 2))
      json.textContent = texts.join('\n')
    }
  }
}

/** Returns the fate of a row: that of the entry which is the furthest from being everywhere. */
function fateOf(fates) {
  if (fates.includes(undefined)) return undefined
  return fates.includes('waiting') ? 'waiting' : fates[0]
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
