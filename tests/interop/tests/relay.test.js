// `logux serve --relay`: official clients encrypt, the server keeps and passes
// on what it cannot read.

import assert from 'node:assert/strict'

import { encryptActions } from '@logux/client'

import { scenario } from '../helper/scenario.js'

const OPTIONS = { args: ['--dev', '--relay'], collections: [] }
const OLD = { rustOnly: 'Its server leaves this to the application.' }
const KEPT = { reasons: ['test'] }

async function secret(s, server, userId, key = 'of us all') {
  let device = await s.newDevice(server, userId)
  encryptActions(device.client, key)
  return device.start()
}

async function note(device, n, meta) {
  // The log writes into the meta that it is given.
  assert.equal(await device.send({ n, type: 'note' }, { ...meta }), 'processed')
}

scenario('what a device does the others of its user get', OLD, async s => {
  let server = await s.serve(OPTIONS)
  let phone = await secret(s, server, '10')
  let laptop = await secret(s, server, '10')
  let eve = await s.device(server, '20')
  let blind = await s.device(server, '10')
  await note(phone, 1, KEPT)
  let [action, meta] = await laptop.hears('note')
  assert.equal(action.n, 1)
  assert.match(meta.id, new RegExp(phone.client.nodeId))
  let [sealed] = await blind.hears('0')
  assert.deepEqual(Object.keys(sealed).sort(), ['d', 'iv', 'type', 'z'])
  assert.ok(!JSON.stringify(sealed).includes('note'))
  assert.equal(eve.heard('0').length, 0)
})

scenario('who was away gets it, also after a crash', OLD, async s => {
  let server = await s.serve(OPTIONS)
  let phone = await secret(s, server, '10')
  let laptop = await secret(s, server, '10')
  await laptop.offline()
  await note(phone, 1, KEPT)
  await note(phone, 2, KEPT)
  await server.restart('SIGKILL')
  await laptop.online()
  await laptop.hears('note')
  await laptop.hears('note')
  let tablet = await secret(s, server, '10')
  await tablet.hears('note')
  await tablet.hears('note')
  for (let device of [laptop, tablet]) {
    // Clients decrypt side by side, so in any order.
    assert.deepEqual(
      device
        .heard('note')
        .map(i => i.n)
        .sort(),
      [1, 2]
    )
  }
  await laptop.offline()
  await laptop.online()
  await note(phone, 3, KEPT)
  await laptop.hears('note')
  assert.equal(laptop.heard('note').length, 3, 'nothing comes twice')
})

scenario('what no device needs is forgotten', OLD, async s => {
  let server = await s.serve(OPTIONS)
  let phone = await secret(s, server, '10')
  await note(phone, 1)
  // Its own log has not kept it: it cleans it on the server, too.
  await phone.hears('0/clean')
  await note(phone, 2, KEPT)
  let laptop = await secret(s, server, '10')
  await laptop.hears('note')
  assert.deepEqual(
    laptop.heard('note').map(i => i.n),
    [2]
  )
})

scenario('nobody cleans what is of another user', OLD, async s => {
  let server = await s.serve(OPTIONS)
  let phone = await secret(s, server, '10')
  await note(phone, 1, KEPT)
  let [, { id }] = phone.inbox.all.find(([action]) => action.type === 'note')
  let eve = await s.device(server, '20')
  assert.equal((await eve.send({ id, type: '0/clean' })).reason, 'denied')
  let laptop = await secret(s, server, '10')
  await laptop.hears('note')
})

const NOTE = { id: '1', type: 'notes/edit' }

function edit(path, value) {
  return { ...NOTE, ops: [{ op: 'set', path, value }] }
}

scenario('devices in Rust and JavaScript read each other', OLD, async s => {
  let server = await s.serve(OPTIONS)
  let phone = await secret(s, server, '10')
  let laptop = await s.rustDevice(server, '10', 'of us all')
  let blind = await s.device(server, '10')

  laptop.set('title', 'Shopping')
  let [action, meta] = await phone.hears('notes/edit')
  assert.deepEqual(action, edit('/title', 'Shopping'))
  assert.match(meta.id, / 10:/)
  let [sealed] = await blind.hears('0')
  assert.deepEqual(Object.keys(sealed).sort(), ['d', 'iv', 'type', 'z'])
  assert.ok(!JSON.stringify(sealed).includes('Shopping'))

  // Above 100 bytes, both compress.
  let list = 'Bread, butter, ąęść 🦀, '.repeat(50)
  assert.equal(
    await phone.send(edit('/list', list), { ...KEPT }),
    'processed'
  )
  await laptop.shows('list', list)
  laptop.set('title', list)
  assert.deepEqual((await phone.hears('notes/edit'))[0], edit('/list', list))
  assert.deepEqual((await phone.hears('notes/edit'))[0], edit('/title', list))

  // A device that comes later gets what the others have kept.
  let tablet = await s.rustDevice(server, '10', 'of us all')
  await tablet.shows('list', list)
  await tablet.shows('title', list)
  // In whatever order they came, and however many at once.
  await tablet.shows('list', list)
  assert.deepEqual(tablet.errors.all, [])
})

scenario('with another secret, nothing can be read', OLD, async s => {
  let server = await s.serve(OPTIONS)
  let phone = await secret(s, server, '10')
  let laptop = await s.rustDevice(server, '10', 'something else')
  await note(phone, 1, KEPT)
  let error = await laptop.errors.next(line => line.includes('another secret'))
  let [, { id }] = phone.inbox.all.find(([action]) => action.type === 'note')
  assert.match(error, new RegExp(`^${id}: `))
  // Its exchange goes on.
  laptop.set('title', 'mine')
  await laptop.shows('title', 'mine')
})
