// Documents that official clients and a Rust client edit, undo and redo, and that the server
// settles.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'

import { readDocument } from '../helper/saved-document.js'
import { scenario } from '../helper/scenario.js'
import { LOGUX } from '../helper/server.js'
import { within } from '../helper/wait.js'

const OPTIONS = {
  rustOnly: 'the official server has no documents'
}

function edit(path, value) {
  return {
    id: '7',
    ops: [{ op: 'set', path, value }],
    type: 'notes/edit'
  }
}

/** Sends an action, and returns its id and its outcome. */
async function act(device, action) {
  let id
  let unbind = device.client.log.on('add', (added, meta) => {
    if (added === action) id = meta.id
  })
  let outcome = await device.send(action)
  unbind()
  return [id, outcome]
}

async function process(device, action) {
  let [id, outcome] = await act(device, action)
  assert.equal(outcome, 'processed')
  return id
}

async function refused(device, action, reason) {
  let [, outcome] = await act(device, action)
  assert.equal(outcome.reason, reason)
}

/** The values of a document for a device: of the last snapshot, and of the open edits. */
function values(device) {
  let entries = device.inbox.all
  let snapshot = entries.findLast(([i]) => i.type === 'notes/snapshot')?.[0]
  let covered = meta => {
    let [time, node, sequence] = meta.id.split(' ')
    let last = snapshot?.coverage.nodes[node]
    return (
      last &&
      (Number(time) < last[0] ||
        (Number(time) === last[0] && Number(sequence) <= last[1]))
    )
  }
  let open = entries.filter(([, meta]) => !covered(meta))
  let undos = open.filter(([i]) => i.type === 'logux/undo')
  let isUndone = id =>
    undos.some(([i, meta]) => i.id === id && !isUndone(meta.id))
  let result = snapshot ? readDocument(snapshot.state) : {}
  for (let [i, meta] of open) {
    if (i.type === 'notes/edit' && !isUndone(meta.id)) {
      for (let op of i.ops) result[op.path] = op.value
    }
  }
  return result
}

/** Runs the Rust client `logux send`. Returns what it prints. */
async function rustClient(server, action) {
  let args = ['send', '--user', 'rusty', '--token', 'any', '--subprotocol', '3']
  let child = spawn(LOGUX, [...args, server.url, JSON.stringify(action)])
  let output = ''
  child.stdout.on('data', data => (output += data))
  child.stderr.on('data', data => (output += data))
  // After `exit` there may still be output to read.
  let ended = new Promise(done => child.once('close', done))
  await within(ended, 'the end of `logux send`')
  return output
}

async function newcomer(s, server, name) {
  let device = await s.device(server, name)
  await device.subscribe('notes/7')
  return device
}

scenario('documents are edited, undone and settled', OPTIONS, async s => {
  let server = await s.documents(3)
  let alice = await s.device(server, 'alice')
  let bob = await newcomer(s, server, 'bob')
  let title = edit('/title', 'Tea')
  let first = await process(alice, title)
  let done = await process(alice, edit('/done', true))
  assert.match(await rustClient(server, edit('/rust', 1)), /processed/)
  let undone = await process(alice, { id: done, type: 'logux/undo' })
  await bob.hears('logux/undo')
  assert.deepEqual(values(bob), { '/rust': 1, '/title': 'Tea' })
  let redone = await process(alice, { id: undone, type: 'logux/undo' })
  assert.notEqual(redone, undone)
  await bob.hears('logux/undo')
  let all = { '/done': true, '/rust': 1, '/title': 'Tea' }
  assert.deepEqual(values(bob), all)

  // The sixth action: the first three are settled, but the undo of one of them is open.
  await process(alice, edit('/note', 'x'))
  await bob.hears('notes/snapshot')
  assert.deepEqual(values(bob), { ...all, '/note': 'x' })
  await refused(
    alice,
    { action: title, id: first, type: 'logux/undo' },
    'settled'
  )
  await refused(alice, { id: '1 alice:1:1 0', type: 'logux/undo' }, 'notFound')
  await refused(alice, { id: '7', type: 'notes/snapshot' }, 'denied')
  let wrong = { id: '7', ops: [{ op: 'explode' }], type: 'notes/edit' }
  await refused(alice, wrong, 'wrongFormat')
  let carl = await newcomer(s, server, 'carl')
  assert.deepEqual(values(carl), { ...all, '/note': 'x' })

  await server.stop('SIGKILL')
  await alice.state('disconnected')
  let waiting = process(alice, edit('/title', 'Coffee'))
  await server.start()
  await waiting
  let dora = await newcomer(s, server, 'dora')
  let last = { ...all, '/note': 'x', '/title': 'Coffee' }
  assert.deepEqual(values(dora), last)
  let snapshots = dora.heard('notes/snapshot')
  assert.equal(snapshots.length, 1)
  assert.ok(dora.heard('notes/edit').length < 6, 'settled edits are gone')
})
