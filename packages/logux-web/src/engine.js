// The WebAssembly module of the client: JSON in, JSON out.

import { compile, Memory, once } from './wasm.js'

/**
 * Returns the functions of the module, which is loaded once for a page.
 *
 * @param {BufferSource | Response | Promise<Response> | WebAssembly.Module} [source] the module;
 *   default: the file in the package
 */
export let loadEngine = once(async source => {
  let module = await compile(source, new URL('../dist/logux.wasm', import.meta.url))
  let { exports } = await WebAssembly.instantiate(module, {})
  return new Engine(exports)
})

class Engine {
  constructor(exports) {
    this.exports = exports
    this.memory = new Memory(exports)
  }

  /** Starts a client. Returns its number. */
  start(config) {
    let { client, error } = this.#take(this.exports.logux_start(...this.#give(config)))
    if (error) throw new Error(error)
    return client
  }

  /** Calls a client, and returns what is to be done. */
  call(client, call) {
    let string = this.#give(call)
    return this.#take(
      this.exports.logux_call(client, Date.now(), performance.now(), ...string)
    )
  }

  end(client) {
    this.exports.logux_end(client)
  }

  #give(value) {
    return this.memory.give(JSON.stringify(value))
  }

  #take(result) {
    return JSON.parse(this.memory.takeResult(result))
  }
}
