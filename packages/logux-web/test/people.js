// Clients of tests, and waiting for what they show.

import WebSocket from 'ws'

import { serve } from '../../../tests/interop/helper/server.js'
import { PATIENCE, within } from '../../../tests/interop/helper/wait.js'
import { open } from '../src/index.js'

/** Starts a server. Default: for documents of the kind `notes`. */
export async function startServer(options = { collections: [], documents: ['notes'] }) {
  let server = await serve(options)
  await server.start()
  let clients = []
  return {
    /** Opens a client that `end` closes. */
    async client(userId, options = {}) {
      let client = await open({ server: server.url, userId, WebSocket, ...options })
      clients.push(client)
      return client
    },
    async end() {
      await Promise.all(clients.map(client => client.close()))
      await server.destroy()
    },
    server
  }
}

/** Waits until a condition on what a store shows is true. */
export async function shown(store, condition) {
  let unsubscribe
  let done = new Promise(resolve => {
    unsubscribe = store.subscribe(() => {
      if (condition(store)) resolve()
    })
  })
  let what = () => `a change of ${JSON.stringify(store.get())}, ${store.status}`
  await within(done, what).finally(() => unsubscribe())
}

/** Waits until a condition is true. `what` says what it is, if it does not become true. */
export async function until(condition, what = () => condition) {
  let end = Date.now() + PATIENCE
  while (!condition()) {
    if (Date.now() > end) throw new Error(`Waited in vain for ${what()}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

/** Waits until the server has everything of clients, and texts are the same. Returns them. */
export async function sameTexts(clients, texts) {
  let read = () => texts.map(text => text.get())
  await until(
    () => clients.every(({ unsaved }) => unsaved === 0) && new Set(read()).size === 1,
    () => `the same texts: ${JSON.stringify(read())}`
  )
  return read()
}
