// A value of JSON as a tree, whose values can be chosen.

import { make } from './elements.js'

/** How many entries of an object or array are shown. */
const MAX = 200

/** Returns the tree of a value. `choose` is called with the path of a value, `chosen` is one. */
export function treeOf(value, choose, chosen, changed, path = []) {
  let key = JSON.stringify(path)
  let name = path.length === 0 ? 'document' : String(path.at(-1))
  let isParent = typeof value === 'object' && value !== null
  let text = isParent ? sizeOf(value) : JSON.stringify(value) ?? 'nothing'
  let button = make(
    'button',
    {
      'aria-pressed': String(key === chosen),
      className: changed(path, value) ? 'node changed' : 'node',
      'data-path': key,
      type: 'button'
    },
    make('span', { className: 'key' }, `${name}: `),
    make('span', { className: `value type-${isParent ? 'parent' : typeof value}` }, text)
  )
  button.addEventListener('click', () => choose(path))
  let item = make('li', {}, button)
  if (isParent) {
    let entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
    let children = entries.slice(0, MAX).map(([name, child]) => {
      return treeOf(child, choose, chosen, changed, [...path, name])
    })
    if (entries.length > MAX) children.push(make('li', {}, `${entries.length - MAX} more`))
    item.append(make('ul', {}, ...children))
  }
  return item
}

function sizeOf(value) {
  if (Array.isArray(value)) return `[${value.length}]`
  return `{${Object.keys(value).length}}`
}
