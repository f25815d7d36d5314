// A list of logux-web.

import { open as openClient } from 'logux-web'

export async function open(parameters) {
  let client = await openClient({
    server: parameters.get('server'),
    store: parameters.get('store') ?? undefined,
    userId: 'reader',
    wasm: fetch('/logux.wasm')
  })
  let tasks = client.records('tasks', { filter: { done: false } })
  return {
    change: (id, fields) => tasks.change(id, fields),
    kept: () => client.kept,
    subscribe: listener => tasks.subscribe(listener)
  }
}
