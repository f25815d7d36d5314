// A world of clients of both engines: two tabs of one device, of which one follows the other, the
// device of another user, and a server. Everything that happens depends on a seed.

import { startEngines } from './engines.js'
import { randomCall } from './random-calls.js'
import { randomNumbers } from './random.js'
import { SimulatedServer } from './simulated-server.js'

const LEADER = '10:phone:a'
const FOLLOWER = '10:phone:b'
const OTHER = '20:pc:c'

/** Lets the world run. Returns the engines, with all their calls. */
export async function simulate(seed, steps) {
  let world = new World(await startEngines(), randomNumbers(seed))
  world.start(LEADER)
  world.start(FOLLOWER, { follows: true })
  world.start(OTHER, { token: 'secret' })
  world.run(steps)
  world.replace(LEADER, FOLLOWER)
  // The tab is opened again, and the other device starts again.
  world.start('10:phone:d', { follows: true })
  world.restart(OTHER)
  world.run(steps)
  return world.engines
}

class World {
  #random
  #server
  #now = { mono: 0, wall: 1_700_000_000_000 }
  #clients = new Map()
  /** Frames on their way: `[from, to, frame]`. */
  #frames = []
  #leader = LEADER

  constructor(engines, random) {
    this.engines = engines
    this.#random = random
    this.#server = new SimulatedServer(random)
  }

  /** Starts a client, with what its database has. */
  start(node, options = {}, database = new Database()) {
    let number = this.engines.start({ node, saved: database.saved(), ...options })
    // What calls have returned, for later calls.
    let known = { anchors: [], ids: [], lists: [], nodes: [], watches: [] }
    this.#clients.set(node, { ...known, database, follows: false, node, number, ...options })
    let records = { openRecords: { filter: {}, plural: 'tasks' } }
    for (let call of ['observeLog', { open: { id: '7', kind: 'notes' } }, records, 'resume']) {
      this.#ask(node, call)
    }
  }

  /** A client is gone without a word. */
  end(node) {
    this.#clients.delete(node)
    this.#cut(node)
  }

  restart(node) {
    let { database } = this.#clients.get(node)
    this.end(node)
    this.start(node, {}, database)
  }

  /** The tab that leads is gone, and another one leads, with the database. */
  replace(last, next) {
    let client = this.#clients.get(next)
    client.database = this.#clients.get(last).database
    client.follows = false
    this.end(last)
    this.#cut(next)
    this.#leader = next
    this.#ask(next, { lead: { saved: client.database.saved(), token: null } })
  }

  run(steps) {
    for (let step = 0; step < steps; step++) {
      if (this.#frames.length > 0 && this.#random(3) > 0) {
        this.#deliver()
      } else {
        let nodes = [...this.#clients.keys()]
        let client = this.#clients.get(nodes[this.#random(nodes.length)])
        this.#ask(client.node, randomCall(this.#random, client))
      }
    }
  }

  #ask(node, call) {
    let client = this.#clients.get(node)
    let passed = this.#random(50) === 0 ? this.#random(30_000) : this.#random(200)
    this.#now = { mono: this.#now.mono + passed, wall: this.#now.wall + passed }
    let turn = this.engines.call(client.number, this.#now, call)
    // A tab that follows keeps nothing itself.
    if (!client.follows) client.database.write(turn.changes ?? [])
    if (!turn.error) remember(client, call, turn.value)
    for (let event of turn.events ?? []) this.#handle(client, event)
  }

  #handle({ follows, node }, { event, frame, tab }) {
    let peer = follows ? this.#leader : 'server'
    if (event === 'connect') this.#connect(node, peer)
    else if (event === 'send') this.#frames.push([node, peer, frame])
    else if (event === 'followerSend') this.#frames.push([node, tab, frame])
    else if (event === 'followerDisconnect') this.#close(tab)
    else if (event === 'disconnect') this.#close(node)
  }

  #connect(node, peer) {
    if (peer === 'server' && this.#random(4) === 0) return this.#ask(node, 'connectFailed')
    this.#cut(node)
    if (peer !== 'server') this.#ask(peer, { followerOpened: { tab: node } })
    this.#ask(node, 'opened')
  }

  /** The connection of a client ends. */
  #close(node) {
    let client = this.#clients.get(node)
    if (!client) return
    this.#cut(node)
    this.#ask(node, 'closed')
    if (client.follows) this.#ask(this.#leader, { followerClosed: { tab: node } })
  }

  /** What is on its way over the connection of a client is lost. */
  #cut(node) {
    this.#server.close(node)
    let isOf = ([from, to]) => (from === node && to !== FOLLOWER) || to === node
    this.#frames = this.#frames.filter(frame => !isOf(frame))
  }

  /** The first frame arrives. Some connections end before. */
  #deliver() {
    let [[from, to, frame]] = this.#frames
    if (this.#random(60) === 0) return this.#close(this.#clients.has(from) ? from : to)
    this.#frames.shift()
    if (to === 'server') {
      for (let [name, answer] of this.#server.receive(from, frame, this.#now)) {
        this.#frames.push(['server', name, answer])
      }
    } else if (this.#clients.get(from)?.follows) {
      this.#ask(to, { followerFrame: { frame, tab: from } })
    } else if (this.#clients.has(to)) {
      this.#ask(to, { frame: { frame } })
    }
  }
}

/** Keeps what later calls need. */
function remember(client, call, value) {
  if (typeof call === 'string') return
  let [name] = Object.keys(call)
  if (name === 'openRecords' || name === 'openRecord') client.lists.push(value)
  if (name === 'watchText') client.watches.push(value)
  if (name === 'anchor') client.anchors.push(value)
  if (name === 'children') client.nodes.push(...value.map(({ id }) => id))
  if (['edit', 'editRecord', 'sync'].includes(name) && value) client.ids.push(value)
}

/** What `database.js` keeps of the changes. */
class Database {
  #kept = new Map()

  write(changes) {
    for (let change of changes) {
      let key = `${change.change === 'remove' ? 'put' : change.change} ${change.id ?? change.name}`
      if (change.change === 'clean') this.#kept.clear()
      else if (change.change === 'remove' || change.value === null) this.#kept.delete(key)
      else this.#kept.set(key, change)
    }
  }

  /** Returns everything, as changes of an empty store. */
  saved() {
    return [...this.#kept.values()]
  }
}
