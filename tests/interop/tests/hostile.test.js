// Clients that lie or talk nonsense hurt only themselves.

import assert from 'node:assert/strict'

import { scenario } from '../helper/scenario.js'

const INC = { type: 'counter/inc' }

async function connected(s, server, nodeId) {
  let raw = await s.raw(server)
  await raw.connect(nodeId)
  return raw
}

/** The server is well: it counts, and a newcomer sees it. */
async function lives(s, server, value = 1) {
  let alice = await connected(s, server, 'alice:well:a')
  assert.equal((await alice.ask(INC)).type, 'logux/processed')
  await alice.subscribe('counter')
  assert.equal(alice.all('counter/set')[0].value, value)
  let health = await fetch(`${server.http}/health`)
  assert.equal(health.status, 200)
  await health.text()
}

scenario('an id of another user is denied', async s => {
  let server = await s.counter()
  let bob = await connected(s, server, 'bob:b:b')
  await bob.subscribe('counter')
  let alice = await connected(s, server, 'alice:a:a')
  let id = alice.id('bob:b:b')
  let undo = await alice.ask({ ...INC, forged: true }, { id })
  assert.equal(undo.reason, 'denied')
  assert.deepEqual(undo.action, { ...INC, forged: true })
  await lives(s, server)
  await bob.hears('counter/inc')
  assert.deepEqual(bob.all('counter/inc'), [INC])
  assert.deepEqual(bob.all('logux/undo'), [])
})

scenario('a forged id is not taken from its owner', async s => {
  let server = await s.counter()
  let bob = await connected(s, server, 'bob:b:b')
  let id = bob.id()
  let alice = await connected(s, server, 'alice:a:a')
  assert.equal((await alice.ask(INC, { id })).reason, 'denied')
  assert.equal((await bob.ask(INC, { id })).type, 'logux/processed')
  await lives(s, server, 2)
})

scenario('an id of another client of the user is denied', async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  let id = alice.id('alice:other:a')
  assert.equal((await alice.ask(INC, { id })).reason, 'denied')
  await lives(s, server)
})

scenario('an id of the server is denied', async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  let id = alice.id(alice.serverId)
  assert.equal((await alice.ask(INC, { id })).reason, 'denied')
  await lives(s, server)
})

scenario('another tab of the client is allowed', async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:tab1')
  let id = alice.id('alice:a:tab2')
  assert.equal((await alice.ask(INC, { id })).type, 'logux/processed')
})

scenario('meta keys that are not for clients are denied', async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  for (let meta of [
    { status: 'processed' },
    { reasons: ['mine'] },
    { server: 'server:x' },
    { anything: 1 }
  ]) {
    let undo = await alice.ask(INC, { meta })
    assert.equal(undo.reason, 'denied', JSON.stringify(meta))
  }
  let allowed = await alice.ask(INC, { meta: { subprotocol: 2 } })
  assert.equal(allowed.type, 'logux/processed')
  await lives(s, server, 2)
})

scenario(
  'the undo of a forged meta goes only to who forged it',
  { rustOnly: 'It takes the receivers of the undo from the forged meta.' },
  async s => {
    let server = await s.counter()
    let bob = await connected(s, server, 'bob:b:b')
    await bob.subscribe('counter')
    let alice = await connected(s, server, 'alice:a:a')
    for (let meta of [
      { users: ['bob'] },
      { clients: ['bob:b'] },
      { nodes: ['bob:b:b'] },
      { channels: ['counter'] }
    ]) {
      assert.equal((await alice.ask(INC, { meta })).reason, 'denied')
    }
    await alice.ask(INC)
    await bob.hears('counter/inc')
    assert.deepEqual(bob.all('logux/undo'), [])
    assert.deepEqual(bob.all('counter/inc'), [INC])
  }
)

for (let [name, text, answer] of [
  ['not JSON', 'not json', ['error', 'wrong-format', 'not json']],
  ['an empty text', '', ['error', 'wrong-format', '']],
  ['cut JSON', '["sync",1,{"ty', ['error', 'wrong-format', '["sync",1,{"ty']],
  ['no array', '{"a": 1}', ['error', 'wrong-format', '{"a":1}']],
  ['an empty array', '[]', ['error', 'wrong-format', '[]']],
  ['a number as type', '[1, 2]', ['error', 'wrong-format', '[1,2]']],
  ['an unknown message', '["abc", 1]', ['error', 'unknown-message', 'abc']],
  ['a sync of text', '["sync", 1, "a", {}]', ['error', 'wrong-format', '["sync",1,"a",{}]']],
  [
    'a sync without meta',
    '["sync",1,{"type":"counter/inc"}]',
    ['error', 'wrong-format', '["sync",1,{"type":"counter/inc"}]']
  ],
  [
    'an action without type',
    '["sync",1,{"a":1},{"id":1,"time":1}]',
    ['error', 'wrong-format', '["sync",1,{"a":1},{"id":1,"time":1}]']
  ],
  ['a ping of text', '["ping", "1"]', ['error', 'wrong-format', '["ping","1"]']]
]) {
  scenario(`${name} ends the connection with the reason`, async s => {
    let server = await s.counter()
    let alice = await connected(s, server, 'alice:a:a')
    alice.text(text)
    assert.deepEqual(await alice.frame('error'), answer)
    await alice.ends()
    await lives(s, server)
  })
}

scenario('one bad entry and nothing of the sync is executed', async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  alice.send(['sync', 2, INC, { id: 1, time: 1 }, 'bad', { id: 2, time: 2 }])
  await alice.frame('error')
  await alice.ends()
  await lives(s, server)
})

for (let text of [
  '["connect",5,"x:y:z",0,null]',
  '["headers",null]',
  '["sync",1,null,{"id":1,"time":1}]',
  '["sync",1,{"type":"counter/inc"},null]',
  '["sync",1,{"type":"logux/subscribe","channel":null},{"id":1,"time":1}]'
]) {
  scenario(
    `null where an object belongs: ${text}`,
    { rustOnly: 'It ends, or stops to work for all.' },
    async s => {
      let server = await s.counter()
      let stranger = await s.raw(server)
      stranger.text(text)
      let alice = await connected(s, server, 'alice:a:a')
      alice.text(text)
      await lives(s, server)
    }
  )
}

scenario('actions of a stranger are not executed', async s => {
  let server = await s.counter()
  let stranger = await s.raw(server)
  stranger.baseTime = Date.now()
  stranger.nodeId = 'alice:a:a'
  stranger.sync(INC)
  let options = { subprotocol: 3, token: 'bad' }
  await stranger.connect('alice:a:a', { options })
  await stranger.ends()
  await lives(s, server)
})

scenario('a client cannot say that it is processed', async s => {
  let server = await s.counter()
  let bob = await connected(s, server, 'bob:b:b')
  await bob.subscribe('counter')
  let alice = await connected(s, server, 'alice:a:a')
  let id = bob.id()
  for (let type of ['logux/processed', 'logux/undo', 'logux/subscribed']) {
    let answer = await alice.ask({ channel: 'counter', id, type })
    assert.equal(answer.type, 'logux/undo', type)
  }
  await lives(s, server)
  await bob.hears('counter/inc')
  assert.deepEqual(bob.all('logux/undo'), [])
})
