// What handlers can do beyond the counter, as official clients see it: the
// example `posts`, and the same on the official server.

import assert from 'node:assert/strict'

import { scenario } from '../helper/scenario.js'

async function seen(device, type) {
  return (await device.hears(type))[0]
}

scenario('a client is greeted', async s => {
  let server = await s.posts()
  let alice = await s.device(server, 'alice')
  assert.equal((await seen(alice, 'welcome')).user, 'alice')
})

scenario('channels and types by regular expression', async s => {
  let server = await s.posts()
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  assert.equal(await alice.subscribe('posts/news'), 'processed')
  assert.deepEqual(
    alice.heard('posts/loaded').map(i => [i.tag, i.n]),
    [
      ['news', 1],
      ['news', 2]
    ]
  )
  assert.equal((await alice.subscribe('posts/9')).reason, 'wrongChannel')
  let guest = await s.device(server, 'guest')
  assert.equal((await guest.subscribe('posts/news')).reason, 'denied')
  for (let type of ['posts/add', 'posts/change']) {
    assert.equal(await bob.send({ tag: 'news', type }), 'processed')
    await alice.hears(type)
  }
  let remove = await bob.send({ tag: 'news', type: 'posts/remove' })
  assert.equal(remove.reason, 'unknownType')
})

scenario('each subscription has its own filter', async s => {
  let server = await s.posts()
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  for (let author of ['a', 'b']) {
    let filter = { author }
    assert.equal(await alice.subscribe('posts/news', { filter }), 'processed')
  }
  let posts = async () => {
    for (let author of ['a', 'b', 'c']) {
      await bob.send({ author, tag: 'news', type: 'posts/add' })
    }
    await bob.send({ last: true, tag: 'news', type: 'posts/change' })
    await alice.hears('posts/change')
    return alice.heard('posts/add').map(i => i.author)
  }
  assert.deepEqual(await posts(), ['a', 'b'])
  let unsubscribe = { channel: 'posts/news', type: 'logux/unsubscribe' }
  await alice.send({ ...unsubscribe, filter: { author: 'a' } })
  assert.deepEqual(await posts(), ['a', 'b', 'b'])
})

scenario('one step decides and does', async s => {
  let server = await s.posts()
  let alice = await s.device(server, 'alice')
  let guest = await s.device(server, 'guest')
  assert.equal(await alice.send({ type: 'pay' }), 'processed')
  await alice.hears('paid')
  assert.equal((await guest.send({ type: 'pay' })).reason, 'denied')
  assert.equal(await alice.subscribe('bills/1'), 'processed')
  await alice.hears('bill')
  assert.equal((await alice.subscribe('bills/2')).reason, 'denied')
  assert.equal((await alice.subscribe('bills/3')).reason, 'notFound')
})

scenario('queues of one client run side by side', async s => {
  let server = await s.posts()
  let alice = await s.device(server, 'alice')
  let order = []
  let note = (name, sent) => sent.then(outcome => order.push([name, outcome]))
  await Promise.all([
    note('wait', alice.send({ type: 'wait' })),
    note('behind', alice.send({ tag: 'news', type: 'posts/add' })),
    note('go', alice.send({ type: 'go' }))
  ])
  // `wait` ends because `go` was begun beside it; which of the two is answered first is left to chance.
  let names = order.map(i => i[0])
  assert.deepEqual(names.toSorted(), ['behind', 'go', 'wait'])
  assert.ok(names.indexOf('wait') < names.indexOf('behind'), names)
})

scenario('a failure takes only its own queue along', async s => {
  let server = await s.posts()
  let alice = await s.device(server, 'alice')
  let [wait, behind, go] = await Promise.all([
    alice.send({ fail: true, type: 'wait' }),
    alice.send({ tag: 'news', type: 'posts/add' }),
    alice.send({ type: 'go' })
  ])
  assert.equal(wait.reason, 'error')
  assert.equal(behind.reason, 'error')
  assert.equal(go, 'processed')
})

scenario('undo of what was done before', async s => {
  let server = await s.posts()
  let alice = await s.device(server, 'alice')
  let bob = await s.device(server, 'bob')
  let moderator = await s.device(server, 'moderator')
  await bob.subscribe('posts/news')
  await alice.send({ tag: 'news', type: 'posts/add' })
  let [, { id }] = await bob.hears('posts/add')
  let moderate = { post: id, type: 'moderate' }
  assert.equal((await bob.send(moderate)).reason, 'denied')
  assert.equal(await moderator.send(moderate), 'processed')
  for (let device of [alice, bob]) {
    let undo = await seen(device, 'logux/undo')
    if (undo.id !== id) undo = await seen(device, 'logux/undo')
    assert.deepEqual([undo.id, undo.reason, undo.by], [id, 'spam', 'moderator'])
  }
})
