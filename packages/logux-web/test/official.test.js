// The functions of `@logux/client` that show the state of a client, with a client of this package.

import './page.js'

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import {
  attention,
  badge,
  badgeEn,
  confirm,
  favicon,
  log,
  status
} from '../../../tests/interop/node_modules/@logux/client/index.js'
import { within } from '../../../tests/interop/helper/wait.js'
import { startServer, until } from './people.js'

let folder, people

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'logux-web-'))
  let config = join(folder, 'logux.toml')
  await writeFile(config, '[collections.owned]\nowner = "userId"\n')
  let args = ['--dev', '--config', config]
  people = await startServer({ args, collections: ['owned', 'tasks'] })
})

after(async () => {
  await people.end()
  await rm(folder, { force: true, recursive: true })
})

/** What the server of the tests does with actions. */
let accepted = id => ({ fields: { title: 'Tea' }, id, type: 'tasks/create' })
let denied = { fields: { userId: 'somebody' }, id: 'x', type: 'owned/create' }
let refused = { type: 'unknown' }

/** Waits until a list ends with items. */
async function ends(list, ...items) {
  let has = () => items.every((item, index) => list.at(index - items.length) === item)
  await until(has, () => `${items} in ${list}`)
}

test('status', async () => {
  let client = await people.client('status')
  let seen = []
  let details = []
  let end = status(
    client,
    (state, about) => {
      seen.push(state)
      details.push(about)
    },
    { duration: 10 }
  )
  await ends(seen, 'synchronized')
  await people.server.stop('SIGKILL')
  await ends(seen, 'disconnected')
  client.sync(accepted('status'))
  await ends(seen, 'wait')
  await people.server.start()
  await ends(seen, 'synchronizedAfterWait', 'synchronized')
  assert.ok(seen.includes('connectingAfterWait') || seen.includes('sendingAfterWait'), seen)

  await assert.rejects(client.sync(denied))
  await ends(seen, 'denied')
  assert.equal(details.at(-1).action.type, 'logux/undo')
  await assert.rejects(client.sync(refused))
  await ends(seen, 'error')
  assert.equal(details.at(-1).action.reason, 'unknownType')
  end()
  let { length } = seen
  await assert.rejects(client.sync(refused))
  assert.equal(seen.length, length)
})

test('status of a client that the server refuses', async () => {
  let closed = await startServer({ args: ['--secret', 'x'.repeat(32), '--min-subprotocol', '2'] })
  try {
    for (let [options, expected] of [
      [{ subprotocol: 2, token: 'wrong' }, 'wrongCredentials'],
      [{ subprotocol: 1, token: 'wrong' }, 'protocolError']
    ]) {
      let client = await closed.client('ada', options)
      let seen = []
      status(client, state => seen.push(state))
      await ends(seen, expected)
    }
  } finally {
    await closed.end()
  }
})

test('badge', async () => {
  let client = await people.client('badge')
  let styles = { base: {}, text: {}, sending: { color: 'blue' } }
  for (let name of ['synchronized', 'disconnected', 'wait', 'protocolError', 'error']) {
    styles[name] = { color: name === 'error' ? 'red' : 'black' }
  }
  let end = badge(client, { duration: 10, messages: badgeEn, styles })
  let widget = document.querySelector('[role=alert]')
  let shows = text => until(() => widget.innerHTML.includes(text), () => widget.outerHTML)
  await client.waitFor('synchronized')
  await people.server.stop('SIGKILL')
  await client.waitFor('disconnected')
  await shows(badgeEn.disconnected)
  client.sync(accepted('badge'))
  await shows(badgeEn.wait)
  await people.server.start()
  await shows(badgeEn.synchronized)
  await until(() => widget.style.display === 'none', () => widget.outerHTML)
  await assert.rejects(client.sync(denied))
  await shows(badgeEn.denied)
  assert.equal(widget.style.color, 'red')
  await assert.rejects(client.sync(refused))
  await shows(badgeEn.error)
  end()
  assert.equal(document.querySelector('[role=alert]'), null)
})

test('confirm', async () => {
  let client = await people.client('confirm')
  let asks = () => {
    // The DOM of the tests knows only the value of other events.
    let event = Object.defineProperty(new Event('beforeunload'), 'returnValue', { writable: true })
    window.dispatchEvent(event)
    return event.returnValue === 'unsynced'
  }
  let end = confirm(client)
  await client.waitFor('synchronized')
  assert.equal(asks(), false)
  await people.server.stop('SIGKILL')
  await client.waitFor('disconnected')
  assert.equal(asks(), false)
  client.sync(accepted('confirm'))
  await until(asks, () => 'the question')
  await people.server.start()
  await until(() => !asks(), () => 'the end of the question')
  end()
})

test('favicon', async () => {
  let client = await people.client('favicon')
  let end = favicon(client, { error: '/error.ico', normal: '/normal.ico', offline: '/offline.ico' })
  let shows = name => {
    let { href } = document.querySelector('link[rel~="icon"]')
    return until(() => document.querySelector('link[rel~="icon"]').href.endsWith(name), () => href)
  }
  await shows('/normal.ico')
  await people.server.stop('SIGKILL')
  await shows('/offline.ico')
  await people.server.start()
  await shows('/normal.ico')
  await assert.rejects(client.sync(denied))
  await shows('/error.ico')
  end()
})

test('attention', async () => {
  let client = await people.client('attention')
  let isHidden = true
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden })
  document.title = 'Tasks'
  let end = attention(client)
  await assert.rejects(client.sync(denied))
  await until(() => document.title === '* Tasks', () => document.title)
  isHidden = false
  document.dispatchEvent(new Event('visibilitychange'))
  assert.equal(document.title, 'Tasks')
  end()
  delete document.hidden
})

test('log', async t => {
  let lines = []
  let write = (...values) => lines.push(values.map(String).join(' '))
  for (let method of ['log', 'groupCollapsed']) t.mock.method(console, method, write)
  let client = await people.client('log')
  let end = log(client)
  let has = text => until(() => lines.some(line => line.includes(text)), () => lines.join('\n'))
  // The colours of the text are `%c`.
  await has('state is %csynchronized%c')
  await has(`Server ID: %c${client.node.remoteNodeId}`)
  assert.match(client.node.remoteNodeId, /^server:/)
  client.record('tasks', 'log')
  await has('subscribing to %ctasks/log%c channel')
  await has('subscription to %ctasks/log%c was undone because of %cnotFound%c')
  await client.sync(accepted('log'))
  await has('added %ctasks/create%c action')
  await has('action %ctasks/create%c was processed')
  await assert.rejects(client.sync(refused))
  await has('action %cunknown%c was undone because of %cunknownType%c')
  let { id } = await client.add({ type: 'local' }, { keepLast: 'local' })
  await has('added %clocal%c action')
  assert.ok(id.includes(client.nodeId))
  await client.add({ type: 'local' }, { keepLast: 'local' })
  await has('cleaned %clocal%c action')
  await client.add({ type: 'passing' })
  await has('added and cleaned %cpassing%c action')
  await people.server.stop('SIGKILL')
  await has('state is %cdisconnected%c')
  await people.server.start()
  await client.waitFor('synchronized')
  end()
})

test('listeners hear of own actions, received ones and their end', async () => {
  let [ada, bob] = await Promise.all([people.client('ada'), people.client('bob')])
  let list = ada.records('tasks', { filter: { list: 'events' } })
  await within(list.loading, 'the list')
  let seen = []
  let ends = [
    ada.on('preadd', (action, meta) => {
      if (action.type === 'local') meta.reasons.push('kept')
      seen.push(['preadd', action.type, meta.sync ?? false])
    }),
    ada.type('local', (_, meta) => seen.push(['local', meta.reasons.join()])),
    ada.type({ type: 'tasks/created' }, action => seen.push([action.type, action.id])),
    ada.type(Object.assign(() => {}, { type: 'tasks/created' }), () => seen.push(['other']), {
      id: 'other'
    }),
    ada.log.type('local', () => seen.push(['local cleaned']), { event: 'clean' }),
    ada.on('role', () => {}),
    ada.on('user', () => {}),
    ada.node.on('state', state => seen.push([state]))
  ]
  let meta = await ada.add({ type: 'local' })
  assert.deepEqual(meta.reasons, ['kept'])
  assert.equal(await ada.log.add({ type: 'local' }, { id: meta.id }), false)
  let synced = await ada.log.add(accepted('synced'), { reasons: ['mine'], sync: true })
  assert.match(synced.id, new RegExp(`${ada.nodeId} \\d+$`))
  let id = ada.log.generateId()
  assert.equal(ada.sync(accepted('named'), { id }).id, id)
  bob.sync({ ...accepted('7'), fields: { list: 'events' } })
  await until(() => list.get().length === 1, () => 'the record of another one')
  await until(() => seen.some(([type]) => type === 'tasks/created'), () => JSON.stringify(seen))
  for (let end of ends) end()
  assert.deepEqual(
    seen.filter(([name]) => name !== 'sending' && name !== 'synchronized'),
    [
      ['preadd', 'local', false],
      ['local', 'kept'],
      ['preadd', 'local', false],
      ['preadd', 'tasks/create', true],
      ['preadd', 'tasks/create', false],
      ['tasks/created', '7']
    ]
  )
  assert.deepEqual(
    [ada.role, ada.isLeader, ada.options.userId, ada.log.nodeId, ada.node.localNodeId],
    ['leader', true, 'ada', ada.nodeId, ada.nodeId]
  )
  assert.equal(`${ada.clientId}:${ada.tabId}`, ada.nodeId)
  assert.equal(ada.node.connection.url, people.server.url)
})

test('the error of a listener prevents nothing', async t => {
  let client = await people.client('listener')
  let reported = t.mock.method(globalThis, 'queueMicrotask', () => {})
  client.on('add', () => {
    throw new Error('listener')
  })
  await client.sync(accepted('listener'))
  assert.throws(reported.mock.calls[0].arguments[0], /listener/)
})
