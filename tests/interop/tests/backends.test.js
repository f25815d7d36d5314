// Official clients, this server, and applications in Django, PHP and Ruby
// behind it. The same scenario for each.

import assert from 'node:assert/strict'
import { Client as OldClient } from 'logux-interop-protocol-4'

import { BACKENDS, SECRET } from '../helper/backend.js'
import { scenario } from '../helper/scenario.js'

const OLD = {
  rustOnly: 'Its version 0.14 has no back-end proxy any more.'
}

async function start(s, kind) {
  let backend = await s.backend(kind)
  let server = await s.serve({
    args: [],
    collections: [],
    env: {
      LOGUX_BACKEND: backend.url,
      LOGUX_CONTROL_SECRET: SECRET,
      NODE_ENV: 'development'
    }
  })
  await backend.start(`${server.http}/`)
  return { backend, server }
}

async function counter(device) {
  assert.equal(await device.subscribe('counter'), 'processed')
  return (await device.hears('counter/set'))[0].value
}

for (let kind of BACKENDS) {
  scenario(`${kind}: load, increment, resend`, OLD, async s => {
    let { server } = await start(s, kind)
    let alice = await s.device(server, 'alice')
    let bob = await s.device(server, 'bob')
    assert.equal(await counter(alice), 0)
    assert.equal(await counter(bob), 0)
    assert.equal(await alice.send({ type: 'INC' }), 'processed')
    let [, meta] = await bob.hears('INC')
    assert.match(meta.id, / alice:/)
    assert.equal(await bob.send({ type: 'INC' }), 'processed')
    let carl = await s.device(server, 'carl')
    assert.equal(await counter(carl), 2)
  })

  scenario(`${kind}: a client of protocol 4`, OLD, async s => {
    let { server } = await start(s, kind)
    let old = await s.device(server, 'old', {
      Class: OldClient,
      subprotocol: '3.0.1'
    })
    assert.equal(await counter(old), 0)
    assert.equal(await old.send({ type: 'INC' }), 'processed')
    assert.equal(await counter(await s.device(server, 'new')), 1)
  })

  scenario(`${kind}: refusals and errors`, OLD, async s => {
    let { server } = await start(s, kind)
    let guest = await s.device(server, 'guest')
    let bob = await s.device(server, 'bob')
    await counter(bob)
    assert.equal((await guest.send({ type: 'INC' })).reason, 'denied')
    assert.equal((await guest.send({ type: 'BREAK' })).reason, 'error')
    assert.equal((await guest.send({ type: 'WHAT' })).reason, 'unknownType')
    assert.equal((await guest.send({ type: 'ANNOUNCE', text: 'ё📜' })) , 'processed')
    let [announced] = await bob.hears('announced')
    assert.equal(announced.text, 'ё📜')
    assert.equal(bob.heard('INC').length, 0)
    assert.equal(await counter(await s.device(server, 'carl')), 0)

    let stranger = await s.newDevice(server, 'stranger', { token: 'bad' })
    stranger.client.start()
    let error = await stranger.errors.next(() => true, 'an error')
    assert.equal(error.type, 'wrong-credentials')
  })

  scenario(`${kind}: down and back again`, OLD, async s => {
    let { backend, server } = await start(s, kind)
    let alice = await s.device(server, 'alice')
    await counter(alice)
    assert.equal(await alice.send({ type: 'INC' }), 'processed')
    await backend.stop()
    let waiting = [alice.send({ type: 'INC' }), alice.send({ type: 'INC' })]
    // Whoever comes now is not told that its token is wrong: it waits.
    let late = await s.newDevice(server, 'late')
    late.client.start()
    await backend.start()
    await late.state('synchronized')
    assert.deepEqual(late.errors.all, [])
    // An action is undone only if the connection broke while it was on its way.
    let outcomes = await Promise.all(waiting)
    let processed = outcomes.filter(i => i === 'processed').length
    assert.ok(processed >= 1, JSON.stringify(outcomes))
    assert.equal(await counter(late), 1 + processed)
  })
}

scenario('the control endpoint takes what a back end may send', OLD, async s => {
  let { server } = await start(s, 'php')
  let alice = await s.device(server, 'alice')
  await counter(alice)
  let post = async (body, method = 'POST') => {
    let response = await fetch(`${server.http}/`, {
      body: typeof body === 'string' ? body : JSON.stringify(body),
      method
    })
    return [response.status, await response.text()]
  }
  let command = {
    action: { type: 'told' },
    command: 'action',
    meta: { channels: ['counter'] }
  }
  let good = { commands: [command], secret: SECRET, version: 4 }
  assert.deepEqual(await post(good), [200, ''])
  await alice.hears('told')
  assert.deepEqual(await post('{'), [400, 'Wrong format'])
  assert.deepEqual(await post({ ...good, secret: 1 }), [400, 'Wrong body'])
  let version = 'Back-end protocol version is not supported'
  assert.deepEqual(await post({ ...good, version: 3 }), [400, version])
  let wrong = { ...good, commands: [command, { command: 'auth' }] }
  assert.deepEqual(await post(wrong), [400, 'Wrong command'])
  assert.equal(alice.heard('told').length, 1)
  let guess = { ...good, secret: 'guess' }
  assert.deepEqual(await post(guess), [403, 'Wrong secret'])
  assert.deepEqual(await post(guess), [403, 'Wrong secret'])
  assert.deepEqual(await post(guess), [403, 'Wrong secret'])
  let many = 'Too many wrong secret attempts'
  assert.deepEqual(await post(good), [429, many])
  assert.equal((await post(good, 'PUT'))[0], 405)
})
