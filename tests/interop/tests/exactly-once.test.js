// An action that comes twice is processed once, whatever happened to the
// connection, the answer or the server. It is answered once if it comes again
// before the answer, and again after it.

import assert from 'node:assert/strict'

import { scenario } from '../helper/scenario.js'
import { within } from '../helper/wait.js'

const TWICE = 'It executes again what comes again.'

const INC = { type: 'counter/inc' }

async function count(s, server) {
  let reader = await s.raw(server)
  await reader.connect('reader:r:r')
  await reader.subscribe('counter')
  return reader.all('counter/set')[0].value
}

async function connected(s, server, nodeId) {
  let raw = await s.raw(server)
  await raw.connect(nodeId)
  return raw
}

scenario('different ids are different actions', async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  let time = Date.now()
  for (let id of [
    `${time} alice:a:a 0`,
    `${time} alice:a:a 1`,
    `${time} alice:a:b 0`,
    `${time + 1} alice:a:a 0`
  ]) {
    assert.equal((await alice.ask(INC, { id })).type, 'logux/processed')
  }
  assert.equal(await count(s, server), 4)
})

scenario('twice on one connection', { rustOnly: TWICE }, async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  let id = alice.sync(INC)
  assert.equal((await alice.answer(id)).type, 'logux/processed')
  alice.sync(INC, { id })
  assert.equal((await alice.answer(id)).type, 'logux/processed')
  assert.equal(await count(s, server), 1)
})

scenario('three times in one message', { rustOnly: TWICE }, async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  let id = alice.id()
  let shift = Number(id.split(' ')[0]) - alice.baseTime
  let entry = [INC, { id: shift, time: shift }]
  alice.send(['sync', 1, ...entry, ...entry, ...entry])
  await alice.answer(id)
  // Answers have the order of the actions.
  assert.equal((await alice.ask(INC)).type, 'logux/processed')
  let answers = alice.heard.all.filter(([action]) => action.id === id)
  assert.equal(answers.length, 1)
  assert.equal(await count(s, server), 2)
})

scenario('the subscribers hear it once', { rustOnly: TWICE }, async s => {
  let server = await s.counter()
  let bob = await connected(s, server, 'bob:b:b')
  await bob.subscribe('counter')
  let alice = await connected(s, server, 'alice:a:a')
  let id = alice.id()
  await alice.ask({ ...INC, n: 1 }, { id })
  await alice.ask({ ...INC, n: 1 }, { id })
  await alice.ask({ ...INC, n: 2 })
  await bob.heard.next(i => i[0].n === 2, 'the second action')
  let heard = bob.all('counter/inc').map(i => i.n)
  assert.deepEqual(heard, [1, 2])
})

scenario('a refused action is refused again', async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  let id = alice.id()
  let action = { type: 'secret/do' }
  assert.equal((await alice.ask(action, { id })).reason, 'denied')
  assert.equal((await alice.ask(action, { id })).reason, 'denied')
})

scenario('twice across a reconnect', { rustOnly: TWICE }, async s => {
  let server = await s.counter()
  let alice = await connected(s, server, 'alice:a:a')
  let id = alice.id()
  await alice.ask(INC, { id })
  await alice.destroy()
  alice = await connected(s, server, 'alice:a:a')
  assert.equal((await alice.ask(INC, { id })).type, 'logux/processed')
  assert.equal(await count(s, server), 1)
})

scenario(
  'official client: the acknowledgement is lost',
  { rustOnly: TWICE },
  async s => {
    let server = await s.counter()
    let wire = await s.wire(server)
    let alice = await s.device(wire, 'alice')
    let bob = await s.device(server, 'bob')
    await bob.subscribe('counter')

    wire.loses = to => to === 'client'
    let sent = alice.client.sync(INC)
    await bob.hears('counter/inc')
    wire.cut()
    wire.loses = () => false
    await within(sent, 'processed after the reconnect')
    assert.equal(await count(s, server), 1)
  }
)

scenario(
  'official client: acknowledged, but the answer is lost',
  { rustOnly: 'It never says again what was lost; the promise hangs.' },
  async s => {
    let server = await s.counter()
    let wire = await s.wire(server)
    let alice = await s.device(wire, 'alice')
    let isAnswer = frame => JSON.stringify(frame).includes('logux/processed')
    let lost = new Promise(resolve => {
      wire.loses = (to, frame) => {
        if (to === 'client' && isAnswer(frame)) {
          resolve()
          return true
        }
        return false
      }
    })
    let sent = alice.client.sync(INC)
    await within(lost, 'the answer on the wire')
    wire.loses = () => false
    wire.cut()
    await within(sent, 'processed after the reconnect')
    assert.equal(await count(s, server), 1)
  }
)

scenario(
  'official client: acknowledged, but the undo is lost',
  { rustOnly: 'It never says again what was lost; the promise hangs.' },
  async s => {
    let server = await s.counter()
    let wire = await s.wire(server)
    let alice = await s.device(wire, 'alice')
    let isAnswer = frame => JSON.stringify(frame).includes('logux/undo')
    let lost = new Promise(resolve => {
      wire.loses = (to, frame) => {
        if (to === 'client' && isAnswer(frame)) {
          resolve()
          return true
        }
        return false
      }
    })
    let sent = alice.outcome(alice.client.sync({ type: 'secret/do' }))
    await within(lost, 'the answer on the wire')
    wire.loses = () => false
    wire.cut()
    assert.equal((await sent).reason, 'denied')
  }
)

for (let signal of ['SIGINT', 'SIGKILL']) {
  scenario(
    `twice across a restart by ${signal}`,
    { rustOnly: `${TWICE} And it has no store.` },
    async s => {
      let server = await s.serve()
      let alice = await connected(s, server, 'alice:a:a')
      await alice.ask({ fields: { n: 0 }, id: '1', type: 'tasks/create' })
      let id = alice.id()
      let change = { fields: { n: 1 }, id: '1', type: 'tasks/change' }
      assert.equal((await alice.ask(change, { id })).type, 'logux/processed')
      await server.restart(signal)

      let bob = await connected(s, server, 'bob:b:b')
      await bob.subscribe('tasks/1')
      bob.heard.forget()
      alice = await connected(s, server, 'alice:a:a')
      assert.equal((await alice.ask(change, { id })).type, 'logux/processed')
      await alice.ask({ ...change, fields: { n: 2 } })
      await bob.heard.next(i => i[0].fields?.n === 2, 'the second change')
      let heard = bob.all('tasks/changed').map(i => i.fields)
      assert.deepEqual(heard, [{ n: 2 }])
    }
  )
}
