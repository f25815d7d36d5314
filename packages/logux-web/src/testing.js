// Tests of reducers: laws in random histories of a few users, and worlds of clients that lose
// their connections.

import { PureReducer } from './pure-reducer.js'
import { compile, Memory, once } from './wasm.js'

/** A law that is broken. `message` is the story of how, `seed` repeats it. */
export class BrokenLaw extends Error {
  constructor(story, seed, cause) {
    super(`${story}\nSeed: ${seed}`, cause && { cause })
    this.name = 'BrokenLaw'
    this.seed = seed
  }
}

/** Tests the laws of a reducer. */
export async function assertLaws(reducer, options) {
  let { histories = 256, users = 2, turns = 12, commutes = false } = options
  let { always = {}, ends = {}, seed = anySeed() } = options
  let laws = { seed, histories, users, turns, commutes }
  let names = { always: Object.keys(always), ends: Object.keys(ends) }
  await run(new ReducerTest(reducer, options), { laws: { ...laws, ...names } }, seed)
  return { seed }
}

/** Tests a reducer in worlds of clients and a server. */
export async function assertSurvives(reducer, options) {
  let { worlds = 50, clients = 3, events = 40, ends = {}, seed = anySeed() } = options
  let request = { seed, worlds, clients, events, ends: Object.keys(ends) }
  return { seed, ...(await run(new ReducerTest(reducer, options), { worlds: request }, seed)) }
}

function anySeed() {
  return Math.floor(Math.random() * 2 ** 32)
}

let load = once(() => compile(undefined, new URL('../dist/logux-testing.wasm', import.meta.url)))

async function run(test, request, seed) {
  let { exports } = await WebAssembly.instantiate(await load(), { logux: test.imports() })
  test.memory = new Memory(exports)
  let result = exports.logux_test(...test.memory.give(JSON.stringify(request)))
  let { story, seed: found, ...counts } = JSON.parse(test.memory.takeResult(result))
  if (story) throw new BrokenLaw(story, found ?? seed, test.causeOf(story))
  return counts
}

/** A reducer with what belongs to its test, as the module calls it. */
class ReducerTest {
  constructor(reducer, { actions, always = {}, ends = {} }) {
    this.reducer = new PureReducer(reducer)
    this.make = Array.isArray(actions) ? (_, pick) => pick(actions) : actions
    this.always = Object.values(always)
    this.ends = Object.values(ends)
  }

  /** Returns the functions that the module calls. */
  imports() {
    let text = (address, length) => this.memory.read(address, length)
    let state = (address, length) => JSON.parse(text(address, length))
    return {
      reduce: (address, length, action, actionLength) =>
        this.memory.giveResult(
          this.reducer.call(text(address, length), text(action, actionLength))
        ),
      make: (address, length, choice) =>
        this.memory.giveResult(this.#action(state(address, length), choice)),
      always: (law, address, length) => this.#holds(this.always[law], state(address, length)),
      ends: (law, address, length, actions, actionsLength) =>
        this.#holds(this.ends[law], state(address, length), state(actions, actionsLength))
    }
  }

  /** Returns the error behind a story, if there is one. */
  causeOf(story) {
    return this.lawError ?? this.reducer.causeOf(story)
  }

  #action(state, choice) {
    let action = this.make(state, picker(choice))
    if (action === undefined || action === null) return ''
    if (typeof action.type !== 'string') {
      throw new TypeError(`expected an action with a type, got ${JSON.stringify(action)}`)
    }
    return JSON.stringify(action)
  }

  /** A law is broken if it returns `false`, or throws, as assertions do. */
  #holds(law, ...args) {
    this.lawError = undefined
    try {
      return law(...args) === false ? 0 : 1
    } catch (error) {
      this.lawError = error
      return 0
    }
  }
}

/** Returns the function that picks one of some values. Smaller choices pick earlier ones. */
function picker(choice) {
  let fraction = choice / 2 ** 53
  return values => {
    let scaled = fraction * values.length
    let index = Math.floor(scaled)
    fraction = scaled - index
    return values[index]
  }
}
