// A filter of @logux/client.

import {
  changeSyncMapById,
  Client,
  createFilter,
  IndexedStore,
  syncMapTemplate
} from '@logux/client'

import { pause } from './pause.js'

/** Resolves when a store has nothing to write for a second: it writes on its own. */
async function written(store) {
  for (let quick = 0; quick < 10; ) {
    let begin = performance.now()
    await store.removeReason('nothing', {}, () => {})
    quick = performance.now() - begin < 20 ? quick + 1 : 0
    await pause(100)
  }
}

export async function open(parameters) {
  let isKept = parameters.has('store')
  let store = isKept ? new IndexedStore() : undefined
  let client = new Client({
    allowDangerousProtocol: true,
    server: parameters.get('server'),
    store,
    subprotocol: 0,
    userId: 'reader'
  })
  client.start()
  let Task = syncMapTemplate('tasks', { offline: isKept, remote: true })
  let tasks = createFilter(client, Task, { done: false })
  return {
    change: (id, fields) => changeSyncMapById(client, Task, id, fields),
    async kept() {
      await tasks.loading
      await written(store)
    },
    subscribe: listener => tasks.subscribe(({ list }) => listener(list))
  }
}
