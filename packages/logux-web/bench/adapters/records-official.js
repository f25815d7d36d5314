// A filter of @logux/client.

import {
  changeSyncMapById,
  Client,
  createFilter,
  IndexedStore,
  syncMapTemplate
} from '@logux/client'

export async function open(parameters) {
  let isKept = parameters.has('store')
  let client = new Client({
    allowDangerousProtocol: true,
    server: parameters.get('server'),
    store: isKept ? new IndexedStore() : undefined,
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
      // Its store writes on its own.
      await new Promise(resolve => setTimeout(resolve, 5000))
    },
    subscribe: listener => tasks.subscribe(({ list }) => listener(list))
  }
}
