// The two people, each with a client and a network of their own.

import { open } from '../src/index.js'

export const PEOPLE = [
  { color: '#0e7490', id: 'ada', name: 'Ada' },
  { color: '#c2410c', id: 'bob', name: 'Bob' }
]

export const LANES = [
  { id: 'todo', title: 'To do' },
  { id: 'doing', title: 'Doing' },
  { id: 'done', title: 'Done' }
]

const SERVER = location.origin.replace(/^http/, 'ws')

/** The document that a new server begins with. The first part is by Ada, the second by Bob. */
const TEXT = [
  'The van comes on Saturday at nine.\nWe have the old flat until Sunday evening.\n\n',
  'Who takes the piano? It does not fit through the door.'
]
const TITLE = 'Moving day'
const CARDS = [
  { id: 'books', lane: 'todo', title: 'Pack the books' },
  { id: 'kitchen', lane: 'todo', title: 'Pack the kitchen' },
  { id: 'sofa', lane: 'doing', title: 'Sell the sofa' },
  { id: 'van', lane: 'done', title: 'Rent a van' }
]

/** Returns the person whose client has a node id, or a name for others. */
export function authorOf(node) {
  let user = node.split(':')[0]
  return PEOPLE.find(({ id }) => id === user) ?? { color: '#64748b', id: 'other', name: user }
}

/** A connection to the network that can be cut. */
export class Network {
  isOnline = true
  #sockets = new Set()

  constructor() {
    let network = this
    this.WebSocket = function (url) {
      return network.#connect(url)
    }
  }

  set(isOnline) {
    this.isOnline = isOnline
    // Clients connect again at once.
    if (isOnline) return dispatchEvent(new Event('online'))
    for (let socket of this.#sockets) {
      socket.onclose?.()
      socket.onmessage = socket.onclose = socket.onopen = null
      socket.close()
    }
    this.#sockets.clear()
  }

  #connect(url) {
    if (!this.isOnline) {
      let refused = { close() {}, send() {} }
      setTimeout(() => refused.onclose?.())
      return refused
    }
    let socket = new WebSocket(url)
    this.#sockets.add(socket)
    return socket
  }
}

/**
 * Opens the client of a person, with what it has kept in this window. Each window is another device
 * with a connection of its own, which can be cut.
 */
export async function connect(person, wasm) {
  let network = new Network()
  let { database } = document.documentElement.dataset
  sessionStorage.device ??= crypto.randomUUID().slice(0, 8)
  let client = await open({
    server: SERVER,
    store: `logux-demo ${database} ${sessionStorage.device} ${person.id}`,
    userId: person.id,
    wasm,
    WebSocket: network.WebSocket
  })
  return { ...person, client, network, note: client.document('demo', '1') }
}

/** Fills the document of a new server. Its authors are devices whose steps nobody undoes. */
export async function fill() {
  for (let [index, { id }] of PEOPLE.entries()) {
    let client = await open({ server: SERVER, userId: id })
    let note = client.document('demo', '1')
    await note.loading
    let { length } = note.text('text').get()
    let ops = [{ at: length, op: 'insertText', path: '/text', text: TEXT[index] }]
    if (index === 0) {
      ops.push({ op: 'set', path: '/title', value: TITLE })
      ops.push({ op: 'insert', path: '/cards', values: CARDS })
    }
    await note.edit(...ops)
    await client.close()
  }
}

/** Lets the document be as it was in the beginning, in one action of a person. */
export function startOver(note) {
  let count = (note.get('cards') ?? []).length
  let cards = [{ at: 0, op: 'insert', path: '/cards', values: CARDS }]
  if (count > 0) cards.unshift({ at: 0, count, op: 'remove', path: '/cards' })
  note.closeStep()
  note.edit(
    { op: 'set', path: '/text', value: TEXT.join('') },
    { op: 'set', path: '/title', value: TITLE },
    ...cards
  )
  note.closeStep()
}
