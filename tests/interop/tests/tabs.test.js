// Two tabs of one browser have one client and one connection. The server sees
// actions of a node that is not the connected one but belongs to its client.

import { CrossTabClient } from '@logux/client'
import assert from 'node:assert/strict'

import { installBrowser } from '../helper/browser.js'
import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

scenario('a tab sends through the connection of the other tab', async s => {
  installBrowser()
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

/** Waits until the client has confirmed what it got, and closes its page. */
async function close(device) {
  // The client confirms in a microtask after the last `add` event.
  await new Promise(done => {
    setImmediate(done)
  })
  device.destroy()
}

/** Asserts that the only answer of the server is the one to a new action. */
async function hearsNothingOld(device, action) {
  assert.equal(await device.send(action), 'processed')
  assert.deepEqual(device.heard('logux/undo'), [])
  assert.equal(device.heard('logux/processed').length, 1)
}

scenario('a reloaded page gets no old answers', async s => {
  installBrowser()
  let server = await s.counter()
  let page = await s.device(server, 'carl', { Class: CrossTabClient })
  await page.subscribe('counter')
  assert.equal(await page.send({ type: 'counter/inc' }), 'processed')
  assert.equal((await page.send({ type: 'secret/do' })).reason, 'denied')
  assert.equal(await page.send({ type: 'counter/inc' }), 'processed')
  await close(page)
  let again = await s.device(server, 'carl', { Class: CrossTabClient })
  assert.equal(again.client.clientId, page.client.clientId)
  assert.notEqual(again.client.tabId, page.client.tabId)
  await hearsNothingOld(again, { type: 'counter/inc' })
})

scenario('a follower that becomes the leader gets no old answers', async s => {
  installBrowser()
  let server = await s.counter()
  let leader = await s.device(server, 'dave', { Class: CrossTabClient })
  let follower = await s.newDevice(server, 'dave', { Class: CrossTabClient })
  follower.client.start()
  assert.equal(await leader.send({ type: 'counter/inc' }), 'processed')
  assert.equal((await leader.send({ type: 'secret/do' })).reason, 'denied')
  await close(leader)
  await follower.state('synchronized')
  assert.equal(follower.client.role, 'leader')
  await hearsNothingOld(follower, { type: 'counter/inc' })
})

let inMemory = { rustOnly: 'The reference keeps records in memory.' }

scenario('a page is reloaded after a restart', inMemory, async s => {
  installBrowser()
  let server = await s.serve()
  let page = await s.device(server, 'erin', { Class: CrossTabClient })
  assert.equal(await page.create('tasks', { id: '1', title: 'A' }), 'processed')
  assert.equal((await page.send({ type: 'unknown' })).reason, 'unknownType')
  await close(page)
  await server.restart()
  let again = await s.device(server, 'erin', { Class: CrossTabClient })
  let change = { fields: { title: 'B' }, id: '1', type: 'tasks/change' }
  await hearsNothingOld(again, change)
})
