// The package: a client over a WebSocket.

import { Client, tokenOf } from './client.js'
import { openDatabase } from './database.js'
import { loadEngine } from './engine.js'
import { joinTabs } from './tabs.js'

export { UndoneError } from './client.js'

/** Opens a client. See `index.d.ts`. */
export async function open(options) {
  let engine = await loadEngine(options.wasm)
  let tabs = await joinTabs(options.store)
  try {
    let leader = tabs?.follows ? tabs.leader : undefined
    if (leader && leader.userId !== options.userId) {
      throw new Error(
        `expected the user ${leader.userId}, who has the store ${options.store} in another tab, ` +
          `and not ${options.userId}: give each user a store`
      )
    }
    let database = await openDatabase(leader ? undefined : options.store)
    let saved = await database.read()
    let token = await tokenOf(options)
    return new Client(engine, { ...options, token, renew: options.token }, database, saved, tabs)
  } catch (error) {
    tabs?.leave()
    throw error
  }
}
