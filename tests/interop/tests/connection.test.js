// Before the first action: who may come in, and what is said at the door.

import assert from 'node:assert/strict'

import { sign } from '../helper/jwt.js'
import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

const SECRET = 'a secret which only tests know, long enough for HS256'
const PRODUCTION = { args: ['--secret', SECRET] }

async function refused(device, type) {
  device.client.start()
  let error = await device.errors.next(i => i.type, 'an error')
  assert.equal(error.type, type)
  await device.state('disconnected')
  // It is fatal: the client does not try again.
  assert.equal(device.client.node.connection.reconnecting, false)
  return error
}

scenario('the server says hello in the order clients expect', async s => {
  let server = await s.counter()
  let raw = await s.raw(server)
  let before = Date.now()
  let connected = await raw.connect('alice:a:a')
  let after = Date.now()
  assert.deepEqual(raw.frames.all[0], ['headers', { env: 'development' }])
  assert.equal(raw.frames.all[1], connected)
  let [, protocol, node, times, options] = connected
  assert.equal(protocol, 5)
  assert.match(node, /^server:[\w-]+$/)
  assert.equal(times.length, 2)
  assert.ok(before <= times[0] && times[0] <= times[1] && times[1] <= after)
  assert.deepEqual(options, { subprotocol: 3 })
})

scenario('a ping is answered', async s => {
  let server = await s.counter()
  let raw = await s.raw(server)
  await raw.connect('alice:a:a')
  raw.send(['ping', 0])
  let pong = await raw.frame('pong')
  assert.equal(typeof pong[1], 'number')
})

scenario('a wrong token is wrong-credentials, for good', async s => {
  let server = await s.counter()
  await refused(
    await s.newDevice(server, 'alice', { token: 'bad' }),
    'wrong-credentials'
  )
  let raw = await s.raw(server)
  let options = { subprotocol: 3, token: 'bad' }
  let answer = await raw.connect('alice:a:a', { options })
  assert.deepEqual(answer, ['error', 'wrong-credentials'])
  await raw.ends()
})

scenario('no token is wrong-credentials', async s => {
  let server = await s.counter()
  await refused(
    await s.newDevice(server, 'alice', { token: undefined }),
    'wrong-credentials'
  )
})

scenario('a client cannot be a server', async s => {
  let server = await s.counter()
  for (let node of ['server:12345678', 'server']) {
    let raw = await s.raw(server)
    assert.deepEqual(await raw.connect(node), ['error', 'wrong-credentials'])
    await raw.ends()
  }
})

scenario('an old subprotocol is wrong-subprotocol', async s => {
  let server = await s.counter()
  let device = await s.newDevice(server, 'alice', { subprotocol: 1 })
  let error = await refused(device, 'wrong-subprotocol')
  assert.deepEqual(error.options, { supported: 2, used: 1 })
  await s.device(server, 'alice', { subprotocol: 2 })
})

scenario('the subprotocol is looked at before the token', async s => {
  let server = await s.counter()
  let raw = await s.raw(server)
  let options = { subprotocol: 1, token: 'bad' }
  assert.deepEqual(await raw.connect('alice:a:a', { options }), [
    'error',
    'wrong-subprotocol',
    { supported: 2, used: 1 }
  ])
  await raw.ends()
})

scenario('no subprotocol counts as 0', async s => {
  let server = await s.counter()
  let raw = await s.raw(server)
  let options = { token: 'good' }
  assert.deepEqual(await raw.connect('alice:a:a', { options }), [
    'error',
    'wrong-subprotocol',
    { supported: 2, used: 0 }
  ])
})

scenario('an old protocol is wrong-protocol', async s => {
  let server = await s.counter()
  let raw = await s.raw(server)
  let [name, type, options] = await raw.connect('alice:a:a', { protocol: 2 })
  assert.deepEqual([name, type, options.used], ['error', 'wrong-protocol', 2])
  assert.ok(options.supported > 2)
  await raw.ends()
})

scenario('a newer protocol is answered with the own one', async s => {
  let server = await s.counter()
  let raw = await s.raw(server)
  let connected = await raw.connect('alice:a:a', { protocol: 6 })
  assert.deepEqual(connected.slice(0, 2), ['connected', 5])
})

scenario('what is said before the answer waits for it', async s => {
  let server = await s.counter()
  let raw = await s.raw(server)
  raw.baseTime = Date.now() // not known yet, the id is what it is
  let connected = raw.connect('alice:a:a')
  raw.sync({ channel: 'counter', type: 'logux/subscribe' })
  assert.equal((await connected)[0], 'connected')
  await raw.hears('logux/processed')
  assert.equal(raw.all('counter/set').length, 1)
})

scenario('a client that comes again replaces its old connection', async s => {
  let server = await s.counter()
  let old = await s.raw(server)
  await old.connect('alice:client:tab1')
  await old.subscribe('counter')
  let fresh = await s.raw(server)
  await fresh.connect('alice:client:tab2')
  await old.ends()

  // The subscription went with the connection.
  let bob = await s.raw(server)
  await bob.connect('bob:b:b')
  await bob.ask({ type: 'counter/inc' })
  await fresh.subscribe('counter')
  assert.equal(fresh.all('counter/set')[0].value, 1)
  assert.deepEqual(fresh.all('counter/inc'), [])
})

scenario('other clients of the user stay', async s => {
  let server = await s.counter()
  let phone = await s.raw(server)
  await phone.connect('alice:phone:a')
  let laptop = await s.raw(server)
  await laptop.connect('alice:laptop:a')
  await laptop.subscribe('counter')
  await phone.ask({ type: 'counter/inc' })
  await laptop.hears('counter/inc')
})

scenario(
  'a stranger with the id of a client does not disturb it',
  { rustOnly: 'It forgets the client when the stranger is sent away.' },
  async s => {
    let server = await s.counter()
    let alice = await s.raw(server)
    await alice.connect('alice:client:tab1')
    let thief = await s.raw(server)
    let options = { subprotocol: 3, token: 'bad' }
    await thief.connect('alice:client:tab1', { options })
    await thief.ends()
    assert.equal((await alice.ask({ type: 'counter/inc' })).type, 'logux/processed')
  }
)

scenario('/health and / answer', async s => {
  let server = await s.counter()
  let health = await fetch(`${server.http}/health`)
  assert.equal(health.status, 200)
  assert.equal((await health.text()).trim(), 'Logux Server: OK')
  let page = await fetch(`${server.http}/?a=1`)
  assert.equal(page.status, 200)
  assert.match(page.headers.get('content-type'), /^text\/html/)
  await page.text()
  let missing = await fetch(`${server.http}/missing`)
  assert.equal(missing.status, 404)
  await missing.text()
})

scenario('production: the token says who the user is', async s => {
  let server = await s.serve(PRODUCTION)
  let token = sign({ sub: 'alice' }, SECRET)
  let options = { allowDangerousProtocol: true, token }
  let alice = await s.device(server, 'alice', options)
  let outcome = await alice.create('tasks', { id: '1', title: 'A' })
  assert.equal(outcome, 'processed')
  await refused(await s.newDevice(server, 'bob', options), 'wrong-credentials')
})

scenario('production: tokens of others do not open', async s => {
  let server = await s.serve(PRODUCTION)
  let now = Math.floor(Date.now() / 1000)
  let none =
    Buffer.from('{"alg":"none"}').toString('base64url') +
    `.${sign({ sub: 'alice' }, SECRET).split('.')[1]}.`
  for (let token of [
    sign({ sub: 'alice' }, 'another secret, as long as the right one is'),
    none
  ]) {
    let device = await s.newDevice(server, 'alice', { token })
    await refused(device, 'wrong-credentials')
  }
  // Each server counts refusals by address, so this one has its own.
  let other = await s.serve(PRODUCTION)
  let token = sign({ exp: now - 3600, sub: 'alice' }, SECRET)
  let late = await s.newDevice(other, 'alice', { token })
  await refused(late, 'wrong-credentials')
})

scenario('production says nothing of a development environment', async s => {
  let server = await s.serve(PRODUCTION)
  let raw = await s.raw(server)
  let token = sign({ sub: 'alice' }, SECRET)
  await raw.connect('alice:a:a', { options: { token } })
  await raw.ask({ type: 'unknown/type' })
  assert.equal(raw.frames.all[0][0], 'connected')
})

scenario('the official client accepts ws: in development only', async s => {
  let server = await s.serve(PRODUCTION)
  let token = sign({ sub: 'alice' }, SECRET)
  let device = await s.newDevice(server, 'alice', { token })
  let { error } = console
  let told = new Promise(resolve => {
    console.error = resolve
  })
  try {
    device.client.start()
    assert.match(await within(told, 'the complaint'), /WSS/)
  } finally {
    console.error = error
  }
})

scenario('serve: subprotocols by flags', async s => {
  let args = ['--dev', '--subprotocol', '5', '--min-subprotocol', '4']
  let server = await s.serve({ args })
  let old = await s.newDevice(server, 'alice', { subprotocol: 3 })
  let error = await refused(old, 'wrong-subprotocol')
  assert.deepEqual(error.options, { supported: 4, used: 3 })
  let raw = await s.raw(server)
  let options = { subprotocol: 4 }
  let connected = await raw.connect('alice:a:a', { options })
  assert.deepEqual(connected[4], { subprotocol: 5 })
})

scenario('a subprotocol may be any number', async s => {
  let server = await s.counter()
  for (let [subprotocol, answer] of [
    [2.5, 'connected'],
    [1e300, 'connected'],
    [1.5, 'error'],
    [-1, 'error']
  ]) {
    let raw = await s.raw(server)
    let options = { subprotocol, token: 'good' }
    let [type, error] = await raw.connect('alice:a:a', { options })
    assert.equal(type, answer, `${subprotocol}`)
    if (type === 'error') assert.equal(error, 'wrong-subprotocol')
  }
})
