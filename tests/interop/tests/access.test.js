// Access that ends, is revoked, or belongs to an owner, as official clients
// see it.

import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { sign } from '../helper/jwt.js'
import { scenario } from '../helper/scenario.js'

const SECRET = 'a secret which only tests know, long enough for HS256'
const RUST = { rustOnly: 'Logins do not end there, and records have no owners.' }

function token(claims) {
  return { allowDangerousProtocol: true, token: sign(claims, SECRET) }
}

scenario('a client connects again when its login ends', RUST, async s => {
  let args = ['--secret', SECRET, '--login-leeway-ms', '0']
  let server = await s.serve({ args })
  let exp = Math.floor(Date.now() / 1000) + 2
  let alice = await s.device(server, 'alice', token({ exp, sub: 'alice' }))
  // An application gives the client a new token before the old one ends.
  alice.client.node.options.token = sign({ sub: 'alice' }, SECRET)
  await alice.state('disconnected')
  await alice.state('synchronized')
  assert.deepEqual(alice.errors.all, [])
  assert.equal(await alice.create('tasks', { id: '1', title: 'A' }), 'processed')
})

scenario('outdated tabs do not lock their address out', RUST, async s => {
  let server = await s.serve({ args: ['--secret', SECRET] })
  for (let i = 0; i < 4; i++) {
    let old = await s.newDevice(server, 'old', token({ exp: 1, sub: 'old' }))
    old.client.start()
    let error = await old.errors.next(() => true, 'an error')
    assert.equal(error.type, 'wrong-credentials')
  }
  await s.device(server, 'alice', token({ sub: 'alice' }))
  await s.device(server, 'old', token({ sub: 'old' }))
})

scenario('a user cannot delete the record of another', RUST, async s => {
  let config = join(mkdtempSync(join(tmpdir(), 'logux-')), 'logux.toml')
  writeFileSync(config, '[collections.tasks]\nowner = "userId"\n')
  let args = ['--secret', SECRET, '--config', config]
  let server = await s.serve({ args })
  let alice = await s.device(server, 'alice', token({ sub: 'alice' }))
  let bob = await s.device(server, 'bob', token({ sub: 'bob' }))
  let record = { id: '1', title: 'A', userId: 'alice' }
  assert.equal(await alice.create('tasks', record), 'processed')
  let denied = await bob.send({ id: '1', type: 'tasks/delete' })
  assert.equal(denied.reason, 'denied')
  assert.equal((await bob.subscribe('tasks/1')).reason, 'denied')
  assert.equal(await bob.subscribe('tasks'), 'processed')
  assert.equal(await alice.send({ id: '1', type: 'tasks/delete' }), 'processed')
  assert.equal(bob.heard('tasks/changed').length, 0)
})

scenario('the application sends clients out', RUST, async s => {
  let env = {
    LOGUX_BACKEND: 'http://127.0.0.1:1/',
    LOGUX_CONTROL_SECRET: SECRET
  }
  let server = await s.serve({ args: ['--dev'], env })
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  assert.equal(await alice.subscribe('tasks'), 'processed')
  let post = async command => {
    let body = { commands: [command], secret: SECRET, version: 4 }
    let sent = { body: JSON.stringify(body), method: 'POST' }
    assert.equal((await fetch(`${server.http}/`, sent)).status, 200)
  }
  let meta = { users: ['alice'] }
  await post({ channel: 'tasks', command: 'unsubscribe', meta })
  let [undo] = await alice.hears('logux/undo')
  assert.equal(undo.reason, 'revoked')
  assert.equal(undo.action.channel, 'tasks')
  assert.equal(await bob.create('tasks', { id: '1', title: 'A' }), 'processed')
  await post({ command: 'disconnect', meta })
  await alice.state('disconnected')
  await alice.state('synchronized')
  assert.equal(alice.heard('tasks/created').length, 0)
  await post({ command: 'disconnect', final: true, meta })
  let error = await alice.errors.next(i => i.type, 'an error')
  assert.equal(error.type, 'wrong-credentials')
  await alice.state('disconnected')
})
