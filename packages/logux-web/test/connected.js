// Clients of both engines whose other side is a test.

import { startEngines } from './engines.js'

/** Starts the engines with a client for each call of `connect`. */
export async function startClients() {
  let engines = await startEngines()
  return {
    compare: name => engines.compare(name),
    /** Returns a client at a time that waits for the answer of its server. */
    opened(node, wall = 0) {
      let client = engines.start({ node })
      let ask = call => engines.call(client, it, call)
      let it = {
        ask,
        mono: 0,
        /** Passes a message to the client. */
        receive: message => ask({ frame: { frame: JSON.stringify(message) } }),
        wall
      }
      ask('resume')
      ask('opened')
      return it
    },
    /** Returns a client that is connected to a server whose clock is right. */
    connected(node, wall = 0, server = 'server:x') {
      let client = this.opened(node, wall)
      client.receive(['connected', 5, server, [wall, wall]])
      return client
    }
  }
}

/** The frames of a turn, parsed. */
export function sent({ events = [] }) {
  return events.filter(({ event }) => event === 'send').map(({ frame }) => JSON.parse(frame))
}

/** The events of a turn with a name. */
export function eventsOf({ events = [] }, name) {
  return events.filter(({ event }) => event === name)
}
