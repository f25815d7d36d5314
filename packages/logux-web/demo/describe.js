// What the actions of the document do, in words.

import { LANES } from './people.js'

/** Returns a short text in quotation marks. */
function quote(text) {
  let line = text.trim().replace(/\s+/g, ' ') || (text.includes('\n') ? '↵' : '␣')
  return `“${line.length > 40 ? `${line.slice(0, 40)}…` : line}”`
}

/** Returns the titles of cards by the name that their items have in the list. */
export function titlesOf(entries) {
  let titles = new Map()
  for (let { action, id } of entries) {
    for (let { first, op, path, values } of action.ops ?? []) {
      if (op !== 'insert' || path !== '/cards') continue
      for (let [index, value] of (values ?? []).entries()) {
        titles.set(`${nodeOf(id)} ${first + index}`, value?.title)
      }
    }
  }
  return titles
}

/** Returns the node in the id of an action. */
export let nodeOf = id => id.split(' ')[1]

/** Returns what an entry of the log does. `find` returns an entry by its id. */
export function describe({ action, id }, find, titles, depth = 0) {
  if (action.type === 'logux/undo') {
    let target = find(action.id)
    if (!target || depth > 8) return 'undid an action'
    if (target.action.type === 'logux/undo') {
      let undone = find(target.action.id)
      return `redid: ${undone ? describe(undone, find, titles, depth + 1) : 'an action'}`
    }
    return `undid: ${describe(target, find, titles, depth + 1)}`
  }
  if (action.type === 'demo/create') return 'created the document'
  if (action.type === 'demo/delete') return 'deleted the document'
  if (action.type !== 'demo/edit') return action.type
  let ops = action.ops ?? []
  let words = [text(ops), ...cards(ops, nodeOf(id), titles), title(ops)].filter(Boolean)
  return words.join(', ') || 'changed the document'
}

function text(ops) {
  let [inserted, removed] = ['', 0]
  for (let { elements, op, path, text } of ops) {
    if (op === 'insertText' && path === '/text') inserted += text
    if (op === 'removeText' && path === '/text') {
      removed += elements.reduce((sum, [, length]) => sum + length, 0)
    }
  }
  let letters = `${removed} ${removed === 1 ? 'letter' : 'letters'}`
  if (inserted && removed) return `typed ${quote(inserted)} and removed ${letters}`
  if (inserted) return `typed ${quote(inserted)}`
  if (removed) return `removed ${letters}`
}

function cards(ops, node, titles) {
  let nameOf = item => titles.get(String(item).includes(' ') ? item : `${node} ${item}`) ?? 'a card'
  let words = new Map()
  for (let { item, op, path, value, values } of ops) {
    let [, setItem] = /^\/cards\/@(.+)\/lane$/.exec(path) ?? []
    if (op === 'insert' && path === '/cards') {
      let list = (values ?? []).map(value => quote(String(value?.title)))
      words.set('add', `added ${list.length > 2 ? `${list.length} cards` : list.join(' and ')}`)
    } else if (setItem) {
      let lane = LANES.find(({ id }) => id === value)?.title ?? value
      words.set('move', `moved ${quote(nameOf(setItem))} to ${lane}`)
    } else if (op === 'move' && path === '/cards' && !words.has('move')) {
      words.set('move', `moved ${quote(nameOf(itemName(item)))}`)
    } else if (op === 'remove' && path === '/cards') {
      words.set('remove', `removed ${quote(nameOf(itemName(item)))}`)
    }
  }
  return words.values()
}

/** Returns the name of an item: a count of the author, or that of another node. */
function itemName(item) {
  return typeof item === 'string' ? item.replace(/^@/, '') : item
}

function title(ops) {
  let set = ops.findLast(({ op, path }) => op === 'set' && path === '/title')
  return set ? `named it ${quote(String(set.value))}` : undefined
}
