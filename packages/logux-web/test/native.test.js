// The engine in WebAssembly does the same as the native one, to the byte.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { simulate } from './simulation.js'

const SEEDS = Number(process.env.LOGUX_SEEDS ?? 20)
const STEPS = 300

/** Returns the names of the variants of an enum of `crates/logux-web`, as JavaScript has them. */
async function variants(file, name) {
  let url = new URL(`../../../crates/logux-web/src/${file}`, import.meta.url)
  let [, body] = (await readFile(url, 'utf8')).match(new RegExp(`enum ${name} {\n([^]*?)\n}`))
  let names = [...body.matchAll(/^ {4}([A-Z]\w*)(?: \{|\(|,)/gm)].map(([, name]) => name)
  assert.ok(names.length > 10)
  return names.map(name => name[0].toLowerCase() + name.slice(1))
}

test('the module and the native engine do the same in simulations', async () => {
  let calls = await variants('call.rs', 'Call')
  let missing = { calls, events: await variants('turn.rs', 'WebEvent') }
  for (let seed = 1; seed <= SEEDS; seed++) {
    let engines = await simulate(seed, STEPS)
    engines.compare(`seed ${seed}`)
    for (let what of ['calls', 'events']) {
      let seen = engines[what]()
      missing[what] = missing[what].filter(name => !seen.has(name))
    }
  }
  assert.deepEqual(missing, { calls: [], events: [] }, 'no simulation has these without an error')
})
