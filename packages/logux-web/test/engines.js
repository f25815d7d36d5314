// The engine in WebAssembly and the native one, which are to answer calls with the same bytes.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'

import { exampleFile } from '../../../tests/interop/helper/server.js'
import { Memory } from '../src/wasm.js'

let module = WebAssembly.compile(await readFile(new URL('../dist/logux.wasm', import.meta.url)))

/** Returns clients in an instance of the module. */
export async function startEngines() {
  let { exports } = await WebAssembly.instantiate(await module, {})
  return new Engines(exports)
}

/** Clients of the module. `compare` makes the same calls of native ones. */
class Engines {
  #exports
  #memory
  /** What the native engine gets, a line each. */
  #lines = []
  /** What the module has answered to calls. */
  #turns = []
  #clients = 0

  constructor(exports) {
    this.#exports = exports
    this.#memory = new Memory(exports)
  }

  /** Starts a client. Returns its number, from 0. */
  start(config) {
    let given = this.#memory.give(JSON.stringify(config))
    let { client, error } = JSON.parse(this.#memory.takeResult(this.#exports.logux_start(...given)))
    assert.equal(error, null)
    assert.equal(client, this.#clients + 1)
    this.#lines.push({ start: config })
    return this.#clients++
  }

  /** Calls a client at a time. Returns what is to be done. */
  call(client, { wall, mono }, call) {
    this.#lines.push({ call, client, mono, wall })
    let given = this.#memory.give(JSON.stringify(call))
    let turn = this.#memory.takeResult(this.#exports.logux_call(client + 1, wall, mono, ...given))
    this.#turns.push(turn)
    return JSON.parse(turn)
  }

  /** Returns the names of the calls that were answered without an error. */
  calls() {
    let calls = this.#lines.map(({ call }) => call).filter(Boolean)
    let isAnswered = (_, index) => JSON.parse(this.#turns[index]).error === undefined
    let nameOf = call => (typeof call === 'string' ? call : Object.keys(call)[0])
    return new Set(calls.filter(isAnswered).map(nameOf))
  }

  /** Returns the names of the events of all turns. */
  events() {
    let events = this.#turns.flatMap(turn => JSON.parse(turn).events ?? [])
    return new Set(events.map(({ event }) => event))
  }

  /** Asserts that the native engine answers all calls with the same bytes. */
  compare(name) {
    let input = this.#lines.map(line => JSON.stringify(line)).join('\n')
    let native = spawnSync(exampleFile('run_calls'), { input, maxBuffer: 1 << 30 })
    assert.equal(native.stderr.toString(), '', name)
    let expected = native.stdout.toString().trimEnd().split('\n')
    assert.equal(this.#turns.length, expected.length, name)
    let calls = this.#lines.filter(line => line.call)
    for (let [index, turn] of this.#turns.entries()) {
      if (turn === expected[index]) continue
      assert.equal(turn, expected[index], `${name}, ${index}: ${JSON.stringify(calls[index])}`)
    }
  }
}
