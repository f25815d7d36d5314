// Two tabs of one browser have one client and one connection. The server sees
// actions of a node that is not the connected one but belongs to its client.

import { CrossTabClient } from '@logux/client'
import assert from 'node:assert/strict'

import { installBrowser } from '../helper/browser.js'
import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

installBrowser()

scenario('a tab sends through the connection of the other tab', async s => {
  let server = await s.counter()
  let leader = await s.device(server, 'alice', { Class: CrossTabClient })
  let follower = await s.newDevice(server, 'alice', { Class: CrossTabClient })
  follower.client.start()
  assert.equal(leader.client.role, 'leader')
  assert.equal(follower.client.role, 'follower')
  assert.equal(leader.client.clientId, follower.client.clientId)
  assert.notEqual(leader.client.nodeId, follower.client.nodeId)

  let bob = await s.device(server, 'bob')
  await bob.subscribe('counter')

  let processed = new Promise(resolve => {
    follower.client.on('add', action => {
      if (action.type === 'logux/processed') resolve(action)
    })
  })
  let id = follower.client.log.generateId()
  await follower.client.log.add({ type: 'counter/inc' }, { id, sync: true })
  let [, meta] = await bob.hears('counter/inc')
  assert.equal(meta.id, id)
  let action = await within(processed, 'the answer in the tab that asked')
  assert.equal(action.id, id)
})
