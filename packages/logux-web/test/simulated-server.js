// A server of a simulation: it keeps actions in one log, sends them to clients, and undoes some.

/** Without rights, schemas and settlement: what it answers only has to be valid. */
export class SimulatedServer {
  #random
  /** The entries `{ action, author, id, to }`; `to`: the only client that gets it. */
  #log = []
  #ids = new Set()
  #connections = new Map()
  #sequence = 0

  /** `random` returns a number below a bound. */
  constructor(random) {
    this.#random = random
  }

  close(name) {
    this.#connections.delete(name)
  }

  /** Handles a frame of a client. Returns the frames to send, as `[name, frame]`. */
  receive(name, frame, { wall }) {
    let [type, ...rest] = JSON.parse(frame)
    let frames = []
    let send = message => frames.push([name, JSON.stringify(message)])
    let connection = this.#connections.get(name)
    if (type === 'connect') {
      let [, node, synced] = rest
      this.#connections.set(name, { base: wall, node, sent: synced })
      send(['connected', 5, 'server:x', [wall, wall]])
    } else if (!connection) {
      return []
    } else if (type === 'ping') {
      send(['pong', this.#log.length])
    } else if (type === 'sync') {
      let [added, ...entries] = rest
      for (let index = 0; index < entries.length; index += 2) {
        this.#add(connection, entries[index], entries[index + 1], wall)
      }
      send(['synced', added])
    }
    for (let [to, connection] of this.#connections) this.#sendNew(to, connection, frames)
    return frames
  }

  #add({ base, node }, action, meta, wall) {
    let id = fullId(meta.id, base, node)
    if (this.#ids.has(id)) return
    this.#ids.add(id)
    let author = clientOf(node)
    let answer = action => {
      this.#log.push({ action, id: `${wall} server:x ${this.#sequence++}`, time: wall, to: author })
    }
    if (this.#random(8) === 0) {
      return answer({ action, id, reason: 'denied', type: 'logux/undo' })
    }
    if (action.type === 'presence/set') {
      let states = { [id.split(' ')[1]]: action.state }
      answer({ channel: action.channel, states, type: 'presence/changed' })
      this.#log.at(-1).to = undefined
    } else if (!action.type.startsWith('logux/') || action.type === 'logux/undo') {
      this.#log.push({ action, author, id, time: meta.time + base })
    }
    answer({ id, type: 'logux/processed' })
  }

  /** Sends a client what it has not been sent, in one message for each action. */
  #sendNew(name, connection, frames) {
    let { base, node } = connection
    let client = clientOf(node)
    for (; connection.sent < this.#log.length; connection.sent++) {
      let { action, author, id, time, to } = this.#log[connection.sent]
      if (author === client || (to && to !== client)) continue
      let [ms, of, sequence] = id.split(' ')
      let meta = { id: [ms - base, of, Number(sequence)], time: time - base }
      frames.push([name, JSON.stringify(['sync', connection.sent + 1, action, meta])])
    }
  }
}

function clientOf(node) {
  return node.split(':').slice(0, 2).join(':')
}

function fullId(id, base, sender) {
  let [time, ...rest] = Array.isArray(id) ? id : [id]
  let [node, sequence] = rest.length === 2 ? rest : [sender, rest[0] ?? 0]
  return `${time + base} ${node} ${sequence}`
}
