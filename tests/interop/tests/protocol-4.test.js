// Older clients say their subprotocol as a SemVer text. They come to the same
// port; `LOGUX_SUPPORTS` says which of them may.

import assert from 'node:assert/strict'
import { Client } from 'logux-interop-protocol-4'

import { scenario } from '../helper/scenario.js'

const OLD = { rustOnly: 'Its version 0.14 refuses protocol 4.' }
const SUPPORTS = { env: { LOGUX_SUPPORTS: '^1.0.0' } }

scenario('protocol 4: the official client 0.21 works', OLD, async s => {
  let server = await s.serve(SUPPORTS)
  let old = await s.device(server, 'old', { Class: Client, subprotocol: '1.2.0' })
  let fresh = await s.device(server, 'fresh')
  let fields = { title: 'from the old one' }
  let create = { fields, id: '1', type: 'tasks/create' }
  assert.equal(await old.send(create), 'processed')
  let record = await fresh.record('tasks', '1')
  assert.equal(record.get().title, 'from the old one')

  assert.equal(await old.subscribe('tasks/1'), 'processed')
  await fresh.change('tasks', '1', { title: 'from the new one' })
  await old.inbox.next(
    ([i]) => i.fields?.title === 'from the new one',
    'the change'
  )
  let denied = await old.send({ type: 'unknown/type' })
  assert.equal(denied.reason, 'unknownType')
})

scenario('protocol 4: the hello', OLD, async s => {
  let server = await s.serve(SUPPORTS)
  let raw = await s.raw(server)
  let options = { subprotocol: '1.0.0' }
  let connected = await raw.connect('old:a:a', { options, protocol: 4 })
  assert.equal(connected[0], 'connected')
  assert.ok(connected[1] <= 4, 'the answer is in the protocol of the client')
  let answer = await raw.ask({ fields: {}, id: '1', type: 'tasks/create' })
  assert.equal(answer.type, 'logux/processed')
})

for (let [used, version] of [
  ['0.9.0', '0.9.0'],
  ['2.0.0', '2.0.0'],
  ['1.0.0-beta', '1.0.0-beta'],
  [undefined, '0.0.0']
]) {
  scenario(`protocol 4: ${used ?? 'no'} subprotocol is wrong`, OLD, async s => {
    let server = await s.serve(SUPPORTS)
    let raw = await s.raw(server)
    let options = used ? { subprotocol: used } : {}
    let answer = await raw.connect('old:a:a', { options, protocol: 4 })
    assert.deepEqual(answer, [
      'error',
      'wrong-subprotocol',
      { supported: '^1.0.0', used: version }
    ])
    await raw.ends()
  })
}

scenario('protocol 4: meta has SemVer strings', OLD, async s => {
  let env = { LOGUX_SUBPROTOCOL: '1.4.0', LOGUX_SUPPORTS: '^1.0.0' }
  let server = await s.serve({ env })
  let fresh = await s.device(server, 'fresh', { subprotocol: 7 })
  let old = await s.raw(server)
  let options = { subprotocol: '1.2.0' }
  let connected = await old.connect('old:a:a', { options, protocol: 4 })
  assert.deepEqual(connected[4], { subprotocol: '1.4.0' })
  let fields = { title: 'A' }
  await old.ask({ fields, id: '1', type: 'tasks/create' })
  await old.ask({ type: 'unknown' })
  await old.subscribe('tasks/1')
  await fresh.change('tasks', '1', { title: 'B' })
  await old.heard.next(([i]) => i.type === 'tasks/changed', 'the change')
  let own = old.heard.all.map(([action, meta]) => [
    action.type,
    meta.subprotocol
  ])
  assert.deepEqual(own, [
    ['logux/processed', '1.4.0'],
    ['logux/undo', '1.4.0'],
    // The load of the record.
    ['tasks/changed', '1.4.0'],
    ['logux/processed', '1.4.0'],
    ['tasks/changed', '1.4.0']
  ])

  // Its lost answers are sent with it as well.
  let again = await s.raw(server)
  again.confirms = false
  await again.connect('old:b:a', { options, protocol: 4 })
  again.sync({ type: 'unknown' })
  await again.frame('sync')
  again.ws.close()
  let last = await s.raw(server)
  await last.connect('old:b:b', { options, protocol: 4 })
  let [undo, meta] = await last.heard.next(() => true, 'the lost answer')
  assert.equal(undo.type, 'logux/undo')
  assert.equal(meta.subprotocol, '1.4.0')
})
