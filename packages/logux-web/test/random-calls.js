// Random calls of a client, with the wrong ones that applications make.

const CHANNEL = 'notes/7'
const PATHS = ['', '/a', '/a/b', '/text', '/list', '/list/0', '/n', '/tags']
/** Frames of a peer that refuses a client, tells something, or violates the protocol. */
const WRONG = [
  '["error","wrong-credentials"]',
  '["error","wrong-subprotocol",{"supported":2,"used":1}]',
  '["debug","error","a problem"]',
  'no message'
]
const VALUES = [1, -2.5, 'ä🌍\n', null, true, [1, 'x'], { b: { c: 1e21 } }]

/**
 * Returns a call. `random` returns a number below a bound. `known` has what earlier calls have
 * returned.
 */
export function randomCall(random, known) {
  let pick = list => list[random(list.length)]
  let value = () => pick(VALUES)
  let path = () => pick(PATHS)
  let id = () => String(random(5))
  let channel = CHANNEL
  let any = list => pick(list) ?? 0
  let undoable = () => pick([channel, channel, 'tasks'])
  let meta = () => pick([{}, { keepLast: 'last', reasons: ['kept'] }, { indexes: ['i'], time: 5 }])

  let node = () => pick([undefined, ...known.nodes.slice(-5)])

  let op = () => {
    let [at, index] = [random(4), random(3)]
    return pick([
      { op: 'set', path: path(), value: value() },
      { op: 'set', path: '/text', value: pick(['', 'abc', 'ä🌍']) },
      { op: 'delete', path: path() },
      { by: 2, op: 'increment', path: pick(['/n', path()]) },
      { at, op: 'insert', path: '/list', values: [value()] },
      { at, op: 'remove', path: pick(['/list', path()]) },
      { from: at, op: 'move', path: '/list', to: index },
      { at, op: 'insertText', path: '/text', text: pick(['ab', '🌍', '\n']) },
      { at, count: 1, op: 'removeText', path: '/text' },
      { element: pick(['x', 'y']), op: pick(['add', 'discard']), path: '/tags' },
      { at: pick([0, undefined]), op: 'createNode', parent: node(), path: '/tree', value: value() },
      { node: node() ?? '@a 0', op: 'moveNode', parent: node(), path: '/tree' },
      { op: 'set', path: `/tree/${node()}/b`, value: value() }
    ])
  }
  let typing = () => ({ at: random(3), op: 'insertText', path: '/text', text: 'x' })
  let record = () => {
    let type = `tasks/${pick(['create', 'change', 'change', 'delete'])}`
    return { fields: { done: random(2) === 0, title: value() }, id: id(), type }
  }

  let edits = [
    () => ({ edit: { channel, ops: [op()] } }),
    () => ({ edit: { channel, ops: [op(), op()] } }),
    () => ({ edit: { channel, ops: [typing()] } }),
    () => ({ edit: { channel, ops: [typing()], watch: any(known.watches) } }),
    () => ({ editRecord: { action: record(), plural: 'tasks' } }),
    () => ({ undo: { channel: undoable() } }),
    () => ({ redo: { channel: undoable() } }),
    () => ({ closeStep: { channel: undoable() } }),
    () => ({ select: { channel, selection: pick([null, { at: random(9) }]) } }),
    () => ({ sync: { action: { type: 'a', value: value() }, meta: meta() } }),
    () => ({ add: { action: { type: 'b', value: value() }, meta: meta() } })
  ]
  let questions = [
    () => ({ get: { channel, path: path() } }),
    () => ({ info: { channel: undoable() } }),
    () => ({ presence: { channel } }),
    () => ({ anchor: { channel, index: random(4), path: '/text' } }),
    () => ({ anchorIndex: { anchor: any(known.anchors), channel, path: '/text' } }),
    () => ({ watchText: { channel, path: '/text' } }),
    () => ({ textChanges: { watch: any(known.watches) } }),
    () => ({ unwatchText: { watch: any(known.watches) } }),
    () => ({ listChanges: { list: any(known.lists) } }),
    () => ({ authors: { channel, path: '/text' } }),
    () => ({ children: { channel, parent: node(), path: '/tree' } }),
    () => ({ history: { channel } }),
    () => ({ stateAt: { channel, id: pick(known.ids) ?? '1 a 0' } }),
    () => 'entries',
    () => 'unconfirmed',
    () => 'generateId',
    () => 'server'
  ]
  let others = [
    () => 'wake',
    () => pick(['pause', 'resume', 'resume']),
    () => ({ device: { device: pick(['online', 'asleep', 'visible']) } }),
    () => ({ setToken: { token: pick([null, 'secret']) } }),
    () => ({ setPresence: { channel, state: value() } }),
    () => ({ open: { id: pick(['7', '7', '8']), kind: 'notes' } }),
    () => ({ close: { channel: pick([channel, 'notes/8']) } }),
    () => ({ [pick(['create', 'delete', 'create'])]: { channel } }),
    () => ({ openRecords: { filter: pick([{}, { done: true }]), plural: 'tasks' } }),
    () => ({ openRecord: { id: id(), plural: 'tasks' } }),
    () => ({ closeList: { list: any(known.lists) } }),
    () => ({ frame: { frame: pick(WRONG) } }),
    () => ({ followerFrame: { frame: pick(WRONG.slice(2)), tab: '10:phone:b' } }),
    () => pick(['nothing', { get: {} }, { open: { id: 7, kind: 'notes' } }])
  ]
  return pick(pick([edits, edits, edits, questions, questions, others]))()
}
