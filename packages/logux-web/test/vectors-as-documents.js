// The vectors of types that merge, as vectors of documents that have such a value.

/** Where a document has the value of a vector. */
const PATH = '/it'

/** An operation on an item of a list, or a node of a tree, as one on its value. */
let onItem = ({ item, path = '', ...op }, name) => ({ ...op, path: `${PATH}/${name(item)}${path}` })

/** The operations of documents. `name` is the full name of an element. */
const OPERATIONS = {
  'add-wins set': op => ({ ...op, op: op.op === 'remove' ? 'discard' : op.op, path: PATH }),
  counter: op => ({ ...op, op: 'increment', path: PATH }),
  document: op => op,
  list: (op, name) => (op.op === 'set' ? onItem(op, name) : { ...op, path: PATH }),
  map: op => op,
  register: op => ({ ...op, path: PATH }),
  text: op => ({ ...op, op: `${op.op}Text`, path: PATH }),
  tree: (op, name) =>
    op.op === 'set' || op.op === 'delete'
      ? onItem(op, name)
      : { ...op, op: `${op.op}Node`, path: PATH }
}

/**
 * Returns a vector with the actions of a document, and with the path of its value. `undefined`:
 * documents have no such type, or a server has settled
 * actions of this type.
 */
export function asDocument(vector) {
  let { actions, type, value } = vector
  let translate = OPERATIONS[type]
  let isSnapshot = ([id, , action]) => / server:/.test(id) && action.type === 'notes/snapshot'
  if (!translate || (type !== 'document' && actions.some(isSnapshot))) return
  let isWhole = type === 'document' || type === 'map'
  // A document does not show an empty list.
  if (type === 'list' && value.length === 0) value = undefined
  return {
    ...vector,
    actions: actions.map(([id, time, action]) => {
      let name = item => (typeof item === 'number' ? `@${id.split(' ')[1]} ${item}` : item)
      if (!action.ops) return [id, time, action]
      return [id, time, { ...action, ops: action.ops.map(op => translate(op, name)) }]
    }),
    path: isWhole ? '' : PATH,
    value
  }
}
