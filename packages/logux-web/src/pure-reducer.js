// A reducer of JSON states that is checked at each call: that it throws no error, leaves its
// arguments as they are, and depends on nothing else.

/** The time by which the clock differs at the second call, in milliseconds. */
let DAY = 86_400_000

/** What a reducer does that no reducer may do: a letter for the module, and a text. */
class Fault extends Error {
  constructor(letter, text, cause) {
    super(text, cause && { cause })
    this.letter = letter
  }
}

export class PureReducer {
  /** The errors that the reducer has thrown, by their texts. */
  #thrown = new Map()

  constructor(reducer) {
    this.reducer = reducer
  }

  /**
   * Returns `S` and the JSON of the state after an action, or the letter and the text of a fault.
   * Without a state, it is the first state.
   */
  call(state, action) {
    try {
      let first = this.#once(state, action, 0)
      let second = this.#once(state, action, 1)
      if (first !== second) throw new Fault('V', `one call gives ${first}, another ${second}`)
      return `S${first}`
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      if (error.cause) this.#thrown.set(error.message, error.cause)
      return error.letter + error.message
    }
  }

  /** Returns the error that the reducer has thrown in a story. */
  causeOf(story) {
    let [, cause] = [...this.#thrown].find(([text]) => story.includes(text)) ?? []
    return cause
  }

  /** Returns the JSON of the state after an action, in one of two surroundings. */
  #once(stateText, actionText, number) {
    let state = stateText === '' ? undefined : JSON.parse(stateText)
    let action = actionText === '' ? { type: '@@INIT' } : JSON.parse(actionText)
    let after
    try {
      after = inSurroundings(number, () => this.reducer(state, action))
    } catch (error) {
      throw new Fault('T', error instanceof Error ? `${error}` : `${error} was thrown`, error)
    }
    for (let [before, value] of [[stateText, state], [actionText, action]]) {
      let now = JSON.stringify(value)
      if (before !== '' && now !== before) throw new Fault('M', `${before} has become ${now}`)
    }
    let problem = notJson(after, '')
    if (problem) throw new Fault('N', problem)
    return JSON.stringify(after)
  }
}

/**
 * Calls a function with random numbers that are larger in the second surroundings, and a clock that
 * is a day ahead there. A function that uses them has two results.
 */
function inSurroundings(number, call) {
  let { Date: Now } = globalThis
  let { random } = Math
  let count = 0
  Math.random = () => number / 2 + ((count++ * 0.618) % 1) / 2
  if (number === 1) {
    globalThis.Date = class extends Now {
      constructor(...args) {
        if (args.length > 0) super(...args)
        else super(Now.now() + DAY)
      }

      static now() {
        return Now.now() + DAY
      }
    }
  }
  try {
    return call()
  } finally {
    globalThis.Date = Now
    Math.random = random
  }
}

/** Returns where a value is not JSON. A field that is `undefined` is one that is not there. */
function notJson(value, path) {
  let expected = got => `expected JSON${path && ` at ${path}`}, got ${got}`
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : expected(value)
  if (typeof value !== 'object') return expected(typeof value)
  let prototype = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype && Object.getPrototypeOf(prototype)) {
    return expected(`a ${prototype.constructor.name}`)
  }
  for (let [key, inner] of Object.entries(value)) {
    if (inner === undefined && !Array.isArray(value)) continue
    let problem = notJson(inner, `${path}/${key}`)
    if (problem) return problem
  }
}
