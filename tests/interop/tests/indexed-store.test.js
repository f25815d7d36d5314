// A page whose client keeps its log in the browser, in the official
// `IndexedStore`. A reload is a new client, of another tab, over the same
// database. It loses no action, and gets no answer twice.

import { CrossTabClient, IndexedStore } from '@logux/client'
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'

import 'fake-indexeddb/auto'

import { installBrowser } from '../helper/browser.js'
import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

let inc = by => ({ by, type: 'counter/inc' })

/** The ids of the answers that a page has received, in order. */
function answered(page) {
  return page.inbox.all
    .map(([action]) => action)
    .filter(i => i.type === 'logux/processed' || i.type === 'logux/undo')
    .map(i => i.id)
}

/** Adds an action without waiting for its answer. Returns its id. */
async function add(page, action) {
  let id = page.client.log.generateId()
  await page.client.log.add(action, { id, sync: true })
  return id
}

async function hearsAnswers(page, ...ids) {
  for (let id of ids) {
    await page.inbox.next(
      ([action]) => action.id === id && action.type.startsWith('logux/'),
      `the answer to ${id}`
    )
  }
  assert.deepEqual(answered(page).toSorted(), ids.toSorted())
}

/**
 * Closes a page. The official store may lose one of two numbers that are
 * written at the same time, so both are written again.
 */
async function close(page) {
  let { node, options } = page.client
  await setImmediate()
  let { lastReceived, lastSent } = node
  await options.store.setLastSynced({ received: lastReceived, sent: lastSent })
  page.destroy()
}

// Each page of a user has the same database. `Client` is not tried: it has a
// new id on each page, and its old actions are those of another client.
function open(s, server, user) {
  let store = new IndexedStore(user)
  return s.device(server, user, { Class: CrossTabClient, store })
}

scenario('a page with a kept log is reloaded', async s => {
  installBrowser()
  let server = await s.counter()
  let page = await open(s, server, 'iris')
  assert.equal(await page.send(inc('iris')), 'processed')
  assert.equal((await page.send({ type: 'secret/do' })).reason, 'denied')
  await page.offline()
  let offline = [
    await add(page, inc('iris')),
    await add(page, inc('iris')),
    await add(page, { type: 'secret/do' })
  ]
  await close(page)

  let again = await open(s, server, 'iris')
  assert.notEqual(again.client.tabId, page.client.tabId)
  await hearsAnswers(again, ...offline)
  await close(again)

  let third = await open(s, server, 'iris')
  assert.equal(await third.send(inc('iris')), 'processed')
  assert.equal(answered(third).length, 1, 'the answer to the new action only')
  let bob = await s.device(server, 'bob')
  await bob.subscribe('counter')
  assert.equal(bob.heard('counter/set')[0].value, 4)
})

let remembered = { rustOnly: 'The reference sends each answer once.' }

scenario('answers are lost before a reload', remembered, async s => {
  installBrowser()
  let server = await s.counter()
  let wire = await s.wire(server)
  let page = await open(s, wire, 'jack')
  assert.equal(await page.send(inc('jack')), 'processed')
  let lost
  let isLost = new Promise(resolve => {
    lost = resolve
  })
  wire.loses = (to, [type, , action]) => {
    if (to !== 'client' || type !== 'sync') return false
    if (action.type.startsWith('logux/')) lost()
    return true
  }
  let id = await add(page, inc('jack'))
  await within(isLost, 'an answer')
  wire.cut()
  wire.loses = () => false
  await page.state('disconnected')
  await close(page)

  let again = await open(s, wire, 'jack')
  await hearsAnswers(again, id)
  await close(again)
  let third = await open(s, wire, 'jack')
  assert.equal(await third.send(inc('jack')), 'processed')
  assert.equal(answered(third).length, 1)
  let bob = await s.device(server, 'bob')
  await bob.subscribe('counter')
  assert.equal(bob.heard('counter/set')[0].value, 3, 'each once')
})
