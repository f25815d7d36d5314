// The engine in WebAssembly does the same as the native one, to the byte.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { exampleFile } from '../../../tests/interop/helper/server.js'
import { randomNumbers } from './random.js'

let encoder = new TextEncoder()
let decoder = new TextDecoder()

/** The functions of the module, with texts instead of addresses. */
async function loadModule() {
  let bytes = await readFile(new URL('../dist/logux.wasm', import.meta.url))
  let { exports } = (await WebAssembly.instantiate(bytes, {})).instance
  let give = text => {
    let bytes = encoder.encode(text)
    let address = exports.logux_allocate(bytes.length)
    new Uint8Array(exports.memory.buffer, address, bytes.length).set(bytes)
    return [address, bytes.length]
  }
  let take = result => {
    let packed = BigInt.asUintN(64, result)
    let [address, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)]
    let text = decoder.decode(new Uint8Array(exports.memory.buffer, address, length))
    exports.logux_free(address, length)
    return text
  }
  return {
    call: (client, wall, mono, call) =>
      take(exports.logux_call(client, wall, mono, ...give(JSON.stringify(call)))),
    start: start => JSON.parse(take(exports.logux_start(...give(JSON.stringify(start))))).client
  }
}

/** Two tabs, of which one follows the other, edit a document and records at random. */
async function simulate(seed) {
  let module = await loadModule()
  let random = randomNumbers(seed)
  let pick = list => list[random(list.length)]
  let lines = []
  let turns = []
  let nodes = ['10:phone:a', '10:phone:b']
  let clients = nodes.map((node, index) => {
    let start = { follows: index === 1, node }
    lines.push({ start })
    return module.start(start)
  })
  let [wall, mono] = [1_700_000_000_000, 0]
  let ask = (client, call) => {
    let passed = random(400)
    wall += passed
    mono += passed
    lines.push({ call, client, mono, wall })
    turns.push(module.call(clients[client], wall, mono, call))
    for (let it of JSON.parse(turns.at(-1)).events ?? []) {
      if (client === 1 && it.event === 'send') {
        ask(0, { followerFrame: { frame: it.frame, tab: nodes[1] } })
      } else if (it.event === 'followerSend') {
        ask(1, { frame: { frame: it.frame } })
      }
    }
    return JSON.parse(turns.at(-1)).value
  }
  let channel = 'notes/7'
  for (let client of [0, 1]) {
    ask(client, { open: { id: '7', kind: 'notes' } })
    ask(client, { openRecords: { filter: {}, plural: 'tasks' } })
  }
  ask(0, { followerOpened: { tab: nodes[1] } })
  ask(1, 'resume')
  ask(1, 'opened')
  let value = () => pick([1, -2.5, 'ä🌍\n', null, true, [1, 'x'], { b: { c: 1e21 } }])
  let path = () => pick(['/a', '/a/b', '/text', '/list', '/list/0', '/n'])
  let op = () => {
    let at = random(4)
    return pick([
      { op: 'set', path: path(), value: value() },
      { op: 'delete', path: path() },
      { by: 2, op: 'increment', path: path() },
      { at, op: 'insert', path: path(), values: [value()] },
      { at, op: 'remove', path: path() },
      { at, op: 'insertText', path: path(), text: pick(['ab', '🌍', '\n']) },
      { at, count: 1, op: 'removeText', path: path() }
    ])
  }
  for (let step = 0; step < 300; step++) {
    let client = pick([0, 1])
    let id = String(random(5))
    let fields = { done: random(2) === 0, title: value() }
    let type = pick(['create', 'change', 'delete'])
    let action = { fields, id, type: `tasks/${type}` }
    ask(
      client,
      pick([
        { edit: { channel, ops: [op()] } },
        { edit: { channel, ops: [op(), op()] } },
        { edit: { channel, ops: [{ ...op(), op: 'insertText', path: '/text', text: 'x' }] } },
        { editRecord: { action, plural: 'tasks' } },
        { undo: { channel } },
        { redo: { channel } },
        { undo: { channel: 'tasks' } },
        { get: { channel, path: '' } },
        { listChanges: { list: 1 } },
        { history: { channel } },
        { authors: { channel, path: '/text' } },
        'wake',
        'entries'
      ])
    )
  }
  return { lines, turns }
}

test('the module and the native engine answer random calls with the same bytes', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    let { lines, turns } = await simulate(seed)
    let input = lines.map(line => JSON.stringify(line)).join('\n')
    let native = spawnSync(exampleFile('run_calls'), { input, maxBuffer: 1 << 30 })
    assert.equal(native.stderr.toString(), '')
    let expected = native.stdout.toString().trimEnd().split('\n')
    assert.equal(turns.length, expected.length)
    let calls = lines.filter(line => line.call)
    for (let [index, turn] of turns.entries()) {
      let where = `seed ${seed}, call ${index}: ${JSON.stringify(calls[index])}`
      assert.equal(turn, expected[index], where)
    }
    let edits = turns.filter(turn => turn.includes('notes/edit')).length
    assert.ok(edits > 50, `seed ${seed} has ${edits} turns with edits`)
  }
})
